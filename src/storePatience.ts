/** How long others are waited for: nobody's call is to hang because of what it only leans on. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** How long a store may take: what it holds up is a call that somebody waits for. */
const patience = "1 second"

/** How long a store that took longer is left alone, in milliseconds: a call asks more than once, and so does the next. */
const rest = 10_000

/** Can be left at any time, also where it cannot be interrupted: it then goes on by itself. */
export const leavable = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => waiting(self, Fiber.join)

/** Ends in time, also where what it waits for cannot be interrupted. */
export const bounded = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | Cause.TimeoutError, R> =>
  waiting(self, (fiber) => Effect.timeout(Fiber.join(fiber), patience))

/** Runs it in a fiber of its own, which is interrupted, and not waited for, when the wait is over. */
const waiting = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  wait: (fiber: Fiber.Fiber<A, E>) => Effect.Effect<A, E2>
): Effect.Effect<A, E2, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Effect.forkDetach(self, { startImmediately: true }),
      (fiber) => Effect.onExit(restore(wait(fiber)), () => Effect.sync(() => fiber.interruptUnsafe()))
    )
  )

/** Asks a store in time, and not at all for a while after it was too slow. */
type Patient = <A>(ask: () => Effect.Effect<A, unknown>) => Effect.Effect<A, unknown>

/** Patience with one store. */
export const patient = (): Patient => {
  let restsUntil = -Infinity
  return (ask) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      // What is longer than a rest is a clock that was set back.
      if (now < restsUntil && restsUntil - now <= rest) {
        return Effect.fail(new Cause.TimeoutError("the store was too slow, and is left alone"))
      }
      return Effect.tapError(bounded(Effect.suspend(ask)), (error) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          if (Cause.isTimeoutError(error)) restsUntil = now + rest
        }))
    })
}
