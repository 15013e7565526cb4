/** A time limit that is cheap enough for every call and every read. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/**
 * A cheaper `Effect.timeoutOrElse`, which starts a timer fiber even if `self` completes at once, and then waits until
 * that fiber is interrupted: a third of all effects of a call (`node bench/ops.ts`). Here `self` runs in a separate fiber,
 * which is passed to `began` and does not inherit uninterruptibility. `reached` is called at the limit, before `self` is
 * interrupted.
 */
export const within = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  millis: number,
  exceeded: () => E2,
  began?: (fiber: Fiber.Fiber<A, E>) => void,
  reached?: () => void
): Effect.Effect<A, E | E2, R> =>
  Effect.contextWith((context: Context.Context<R>) =>
    // Fork in the same step that returns the finalizer: an interrupt between two steps would leave the fiber running.
    Effect.callback<A, E | E2>((resume) => {
      const fork = Effect.runForkWith(context)
      const fiber = fork(self)
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return resume(exit)
      began?.(fiber)
      let isOver = false
      const timer = fork(Context.get(context, Clock.Clock).sleep(Duration.millis(millis)))
      timer.addObserver((exit) => {
        if (Exit.isFailure(exit)) return
        isOver = true
        reached?.()
        fiber.interruptUnsafe()
      })
      fiber.addObserver((exit) => {
        timer.interruptUnsafe()
        // Keep a defect of the interrupted fiber.
        resume(isOver && !Exit.hasDies(exit) ? Effect.fail(exceeded()) : exit)
      })
      return Fiber.interrupt(fiber)
    })
  )
