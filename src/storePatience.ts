/** Time limits for stores and other services of the application, so that a slow one cannot delay a call for long. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** The time limit of one operation: a call waits for it. */
const patience = "1 second"

/** How long a store that was too slow is not used, in milliseconds: each call would wait for it more than once. */
const rest = 10_000

/** Can be interrupted at any time, even if `self` cannot: `self` then goes on in a fiber of its own. */
export const leavable = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => waiting(self, Fiber.join)

/** A time limit that holds even if `self` cannot be interrupted. */
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

/** Runs an operation of a store under the limit; fails at once while the store rests. */
type Patient = <A>(ask: () => Effect.Effect<A, unknown>) => Effect.Effect<A, unknown>

/** The state of one store. */
export const patient = (): Patient => {
  let restsUntil = -Infinity
  return (ask) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      // A remaining rest above `rest` means that the clock was set back.
      if (now < restsUntil && restsUntil - now <= rest) {
        return Effect.fail(new Cause.TimeoutError("the store was too slow and is not used for 10 seconds"))
      }
      return Effect.tapError(bounded(Effect.suspend(ask)), (error) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          if (Cause.isTimeoutError(error)) restsUntil = now + rest
        }))
    })
}
