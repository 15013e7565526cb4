/** An effect that somebody may end from outside. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/** Who watches over an effect while it is waited for. */
export interface Supervisor<E> {
  /** The effect waits for something: whoever interrupts the fiber ends it. Gives what to do before it is waited for. */
  readonly began: (fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<unknown> | undefined
  /** It is over: with what it came to, or with what is returned here. */
  readonly ended: () => Effect.Effect<never, E> | undefined
}

/**
 * Runs `self` in a fiber of its own, and tells the supervisor if it takes time. For every attempt, every read and every
 * overall limit: `Effect.raceFirst` takes three times as many steps, because it waits for the loser too.
 */
export const supervised = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  { began, ended }: Supervisor<E2>
): Effect.Effect<A, E | E2, R> =>
  Effect.flatMap(Effect.forkChild(self, { startImmediately: true }), (fiber): Effect.Effect<A, E | E2> => {
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return exit
    const wait = Effect.callback<A, E | E2>((resume) => {
      fiber.addObserver((exit) => resume(ended() ?? exit))
      return Fiber.interrupt(fiber)
    })
    const first = began(fiber)
    return first === undefined ? wait : Effect.flatMap(first, () => wait)
  })
