import * as Effect from "effect/Effect"
import { atNow } from "../../atNow.ts"
import { forgetAfter } from "../forgetAfter.ts"
import type { Status, Step, Store } from "./Circuit.ts"
import type { Place } from "./guard.ts"
import * as Machine from "./machine.ts"

/** The state of a new circuit: closed, without calls. */
export const initial: Machine.State = Machine.initial

/** Keeps circuits in memory. When a new circuit is added, closed circuits that nobody read for an hour are dropped. */
export const memory = (): Store => {
  const modify = remembering()
  return { modify: (key, f) => atNow((now) => modify(key, f, undefined, now)) }
}

/** A stored circuit, and when a request or a status last read it. */
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

/**
 * Drops closed circuits that nobody read for an hour, because model names may come from outside the program. An open
 * circuit stays, because idle time does not close it.
 */
const forget = (kept: Map<string, Remembered>, now: number): void => {
  for (const [key, { askedAt, state }] of kept) {
    if (state._tag === "Closed" && now - askedAt >= forgetAfter) kept.delete(key)
  }
}

/**
 * The decision if the store fails: the request is admitted, because a broken store must not stop the program. A closed
 * circuit decides the same. `closed` is false because the request does not close a circuit.
 */
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

/** Updates a circuit in the store; returns `otherwise` if the store fails. */
export type Modify = <A>(key: string, f: Step<A>, otherwise: A, now: number) => Effect.Effect<A>

export const modifying = ({ onStoreError, store }: Pick<Place, "store" | "onStoreError">): Modify =>
  store === undefined ? remembering() : (key, f, otherwise) =>
    Effect.catchCause(
      Effect.suspend(() => store.modify(key, f)),
      (cause) => Effect.as(onStoreError(cause), otherwise)
    )
