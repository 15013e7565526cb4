/** An effect that somebody may end from outside. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"

/** Who watches over an effect, that may fail with `E`, while it is waited for. */
export interface Supervisor<E, E2> {
  /** The effect waits for something. `end` interrupts it; `fork` is for what watches, and `ended` must end that. */
  readonly began: (end: () => void, fork: (self: Effect.Effect<void>) => Fiber.Fiber<void>) => void
  /** It is over: with what it came to, or with what is returned here. */
  readonly ended: () => Effect.Effect<never, E> | undefined
  /** What a failure means outside, be it that of the effect or what `ended` has returned. */
  readonly failed: (error: E) => E2
}

/**
 * Runs `self` in a fiber of its own, and tells the supervisor if it takes time. For every attempt, every read and every
 * overall limit: `Effect.raceFirst` takes three times as many steps, because it waits for the loser too.
 */
export const supervised = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  supervisor: Supervisor<E, E2>
): Effect.Effect<A, E2, R> =>
  // What runs an effect has what it needs.
  Effect.withFiber((parent) => supervisedIn(parent, parent.context as Context.Context<R>, self, supervisor))

/** The same, where the fiber that waits for it is known, and what `self` is run with. */
export const supervisedIn = <A, E, R, E2>(
  parent: Fiber.Fiber<unknown, unknown>,
  context: Context.Context<R>,
  self: Effect.Effect<A, E, R>,
  supervisor: Supervisor<E, E2>
): Effect.Effect<A, E2> =>
  // Forked in the step that knows how to end it: between two, the parent could be interrupted, and leave it running.
  Effect.callback((resume) => {
    const fiber = Effect.runForkWith(context)(self)
    const exit = fiber.pollUnsafe()
    if (exit === undefined) return wait(parent, context, fiber, supervisor, resume)
    resume(outside(exit, supervisor))
  })

const wait = <A, E, E2>(
  parent: Fiber.Fiber<unknown, unknown>,
  context: Context.Context<never>,
  fiber: Fiber.Fiber<A, E>,
  supervisor: Supervisor<E, E2>,
  resume: (outside: Effect.Effect<A, E2>) => void
): Effect.Effect<void> => {
  supervisor.began(() => fiber.interruptUnsafe(parent.id), Effect.runForkWith(context))
  fiber.addObserver((exit) => {
    const ended = supervisor.ended()
    resume(ended === undefined ? outside(exit, supervisor) : failed(ended, supervisor))
  })
  return Fiber.interrupt(fiber)
}

const outside = <A, E, E2>(exit: Exit.Exit<A, E>, supervisor: Supervisor<E, E2>): Effect.Effect<A, E2> =>
  isSuccess(exit) ? exit : failed(exit, supervisor)

/** What has succeeded has no error, of whatever type. */
const isSuccess = <A>(exit: Exit.Exit<A, unknown>): exit is Exit.Success<A> => exit._tag === "Success"

const failed = <A, E, E2>(self: Effect.Effect<A, E>, supervisor: Supervisor<E, E2>): Effect.Effect<A, E2> =>
  Effect.mapError(self, (error) => supervisor.failed(error))
