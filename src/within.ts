import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/**
 * `Effect.timeoutOrElse` at a lower cost. If `self` completes at once, `within` starts no timer; `timeoutOrElse` starts a
 * timer fiber and waits until it is interrupted, which took a third of all effects of a call (`node bench/ops.ts`).
 *
 * `self` runs in a separate fiber, which does not inherit uninterruptibility. `began` gets that fiber if `self` does not
 * complete at once. `reached` is called at the limit, before `self` is interrupted.
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
