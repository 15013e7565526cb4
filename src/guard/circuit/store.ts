/** Where circuits are kept. */
import * as Effect from "effect/Effect"
import { atNow } from "../../atNow.ts"
import { forgetAfter } from "../forgetAfter.ts"
import type { Place, Status, Step, Store } from "./Circuit.ts"
import * as Machine from "./machine.ts"

/** A circuit of which nothing is known. */
export const initial: Machine.State = Machine.initial

/** Keeps circuits in memory. Those that are closed and were not asked for an hour are forgotten when there is a new one. */
export const memory = (): Store => {
  const modify = remembering()
  return { modify: (key, f) => atNow((now) => modify(key, f, undefined, now)) }
}

/** A circuit in memory, and when it was asked last. */
interface Remembered {
  readonly state: Machine.State
  readonly askedAt: number
}

const remembering = () => {
  const kept = new Map<string, Remembered>()
  return <A>(key: string, f: Step<A>, _: unknown, now: number): Effect.Effect<A> =>
    Effect.sync(() => {
      const known = kept.get(key)
      const before = known?.state ?? initial
      const [state, result] = f(before)
      if (known === undefined && state !== before) forget(kept, now)
      if (known !== undefined || state !== before) kept.set(key, { state, askedAt: now })
      return result
    })
}

/** Names of models may come from anywhere. One that is open is kept: idle time closes none. */
const forget = (kept: Map<string, Remembered>, now: number): void => {
  for (const [key, { askedAt, state }] of kept) {
    if (state._tag === "Closed" && now - askedAt >= forgetAfter) kept.delete(key)
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

/** Asks for a circuit. Where that fails, `otherwise` is what is to be thought. */
export type Modify = <A>(key: string, f: Step<A>, otherwise: A, now: number) => Effect.Effect<A>

/** How a store is asked. */
export const modifying = ({ onStoreError, store }: Pick<Place, "store" | "onStoreError">): Modify =>
  store === undefined ? remembering() : (key, f, otherwise) =>
    Effect.catchCause(
      Effect.suspend(() => store.modify(key, f)),
      (cause) => Effect.as(onStoreError(cause), otherwise)
    )
