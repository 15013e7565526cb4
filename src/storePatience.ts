/** Time limits for stores and other services of the application, so that a slow service cannot delay a call for long. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** The time limit of one operation. Short, because a call may wait for the operation. */
const patience = "1 second"

/** How long a slow store is skipped, in milliseconds: otherwise each call would wait until `patience` is over. */
const rest = 10_000

/** Makes the wait for `self` interruptible, even if `self` is not. */
export const leavable = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => waiting(self, Fiber.join)

/** Runs `self` with a time limit that holds even if `self` cannot be interrupted. */
export const bounded = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E | Cause.TimeoutError, R> =>
  waiting(self, (fiber) => Effect.timeout(Fiber.join(fiber), patience))

/** Runs `self` in a separate fiber. When the wait ends, interrupts that fiber without waiting for its end. */
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

/** Runs an operation with the time limit; fails at once while the store is skipped. */
type Patient = <A>(ask: () => Effect.Effect<A, unknown>) => Effect.Effect<A, unknown>

/** Each store needs a separate runner, which remembers until when the store is skipped. */
export const patient = (): Patient => {
  let restsUntil = -Infinity
  return (ask) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      // A remaining time above `rest` means that the clock was set back.
      if (now < restsUntil && restsUntil - now <= rest) {
        return Effect.fail(new Cause.TimeoutError("the store was too slow and is not used for 10 seconds"))
      }
      return Effect.tapError(bounded(Effect.suspend(ask)), (error) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          if (Cause.isTimeoutError(error)) restsUntil = now + rest
        }))
    })
}
