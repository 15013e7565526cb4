/** Where circuits are kept. */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Status } from "./circuitEnds.ts"
import * as Machine from "./circuitMachine.ts"

/**
 * Where circuits are kept, by key. `modify` is atomic: it may run `f` more than once, and keeps what the last run
 * returned. No write is needed where `f` returns the state that it was given. A state is plain data (JSON will do); what
 * is not there is `Circuit.initial`. A store that fails, or takes more than a second, is reported, and stops no call.
 */
export interface Store {
  readonly modify: <A>(
    key: string,
    f: (state: Machine.State) => readonly [Machine.State, A]
  ) => Effect.Effect<A, unknown>
  /** The circuits themselves, where they can be had at once: in memory. */
  readonly unsafe?: Map<string, Machine.State> | undefined
}

/** Where circuits are kept: where nothing is said, in the memory of the guarded `Claude`. */
export const Store = Context.Reference<Store | undefined>("resilient-claude/Circuit/Store", {
  defaultValue: () => undefined
})

/** A circuit of which nothing is known. */
export const initial: Machine.State = Machine.initial

/** Keeps circuits in memory. */
export const memory = (): Store => {
  const unsafe = new Map<string, Machine.State>()
  return {
    unsafe,
    modify: (key, f) =>
      Effect.sync(() => {
        const [state, result] = f(unsafe.get(key) ?? initial)
        unsafe.set(key, state)
        return result
      })
  }
}

/** Where the store fails, the circuit is closed, and nothing is told: it is not to be what stops the program. */
export const letThrough: Machine.Decision = {
  _tag: "Admitted",
  generation: initial.generation,
  probe: false,
  closed: false
}
export const unknown = [initial, letThrough] as const
export const nothingKnown: Status = {
  state: "closed",
  calls: 0,
  failures: 0,
  retryAfter: undefined,
  why: undefined,
  waiting: 0
}

/** A store, and who is told when it fails. */
export interface Asked {
  readonly store: Store
  readonly onStoreError: (cause: Cause.Cause<unknown>) => Effect.Effect<void>
}

/** A circuit in the store, or what is to be thought where that fails. */
export class Kept {
  readonly key: string
  readonly place: Asked
  /** When it had closed, when that was looked at last. */
  seen: number | null = null

  constructor(key: string, place: Asked) {
    this.key = key
    this.place = place
  }

  /** At once, or when the store has answered. */
  modify<A>(f: (state: Machine.State) => readonly [Machine.State, A], otherwise: A): Effect.Effect<A> {
    const { onStoreError, store } = this.place
    if (store.unsafe === undefined) {
      return Effect.catchCause(store.modify(this.key, f), (cause) => Effect.as(onStoreError(cause), otherwise))
    }
    const state = store.unsafe.get(this.key) ?? initial
    const [next, result] = f(state)
    if (next !== state) store.unsafe.set(this.key, next)
    return Exit.succeed(result)
  }
}
