/** What is done at once, and needs the time. */
import * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"

/** Does something with the time, in milliseconds. One step, where asking for the time and going on with it are four. */
export const atNow = <A, E, R>(f: (now: number) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Clock.clockWith((clock) => f(clock.currentTimeMillisUnsafe()))
