/**
 * Effects that may be done already.
 *
 * An `Exit` is an effect, and one that costs no step of a fiber if it is looked
 * at instead of run. What usually has nothing to wait for, and runs for every
 * attempt, is written with `Effect.flatMapEager`: the same code serves a store
 * in memory at the price of a function call, and one elsewhere.
 */
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"

/** Whether it is done, and only to be looked at. */
export const isDone = <A, E, R>(self: Effect.Effect<A, E, R>): self is Effect.Effect<A, E, R> & Exit.Exit<A, E> =>
  Exit.isExit(self)

/** What there is left to do: nothing, if it is `Exit.void`. What `Effect.onExitPrimitive` is told costs no step then. */
export const left = <E, R>(self: Effect.Effect<void, E, R>): Effect.Effect<void, E, R> | undefined =>
  self === Exit.void ? undefined : self
