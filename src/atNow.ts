/** Effects that need the current time. */
import * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"

/** Runs `f` with the time in milliseconds, in one fiber step; `Clock.currentTimeMillis` and `flatMap` take four. */
export const atNow = <A, E, R>(f: (now: number) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Clock.clockWith((clock) => f(clock.currentTimeMillisUnsafe()))
