/** A time limit, for what has one in every call and every read. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/**
 * `Effect.timeoutOrElse` for what runs in every call and at every read. Effect's own waits until its timer has ended, and
 * starts it also for what is there at once: a third of all effects of a call (`node bench/ops.ts`). `began` is given the
 * fiber that is waited for. It is a fiber of its own: that `self` is uninterruptible outside does not reach into it.
 */
export const within = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  millis: number,
  exceeded: () => E2,
  began?: (fiber: Fiber.Fiber<A, E>) => void
): Effect.Effect<A, E | E2, R> =>
  Effect.contextWith((context: Context.Context<R>) =>
    // Forked in the step that knows how to end it: between two, an interrupt would leave it running.
    Effect.callback<A, E | E2>((resume) => {
      const fork = Effect.runForkWith(context)
      const fiber = fork(self)
      const exit = fiber.pollUnsafe()
      if (exit !== undefined) return resume(exit)
      began?.(fiber)
      let isOver = false
      const timer = fork(Effect.map(Effect.sleep(millis), () => {
        isOver = true
        fiber.interruptUnsafe()
      }))
      fiber.addObserver((exit) => {
        timer.interruptUnsafe()
        // A defect on the way out is not hidden.
        resume(isOver && !Exit.hasDies(exit) ? Effect.fail(exceeded()) : exit)
      })
      return Fiber.interrupt(fiber)
    })
  )
