import * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"

/** `now` is in milliseconds. Takes one fiber step; `Clock.currentTimeMillis` with `flatMap` takes four. */
export const atNow = <A, E, R>(f: (now: number) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Clock.clockWith((clock) => f(clock.currentTimeMillisUnsafe()))
