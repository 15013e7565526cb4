/** A limit in time, at a moment and not after a while. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { DeadlineExceeded } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { supervisedIn, type Supervisor } from "./supervised.ts"

/** Ends `self` at a moment, in milliseconds since the epoch, which is the deadline of everything inside. */
export const until = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  deadline: number,
  exceeded: () => E2
): Effect.Effect<A, E | E2, R> =>
  // What runs an effect has what it needs.
  Effect.withFiber((fiber) => untilIn(fiber, fiber.context as Context.Context<R>, self, deadline, now(fiber), exceeded))

/**
 * Ends `self` after so many milliseconds, or at a deadline outside that is earlier: in the fiber that waits for it, with
 * what it is run with.
 */
export const overallIn = <A, E, R>(
  fiber: Fiber.Fiber<unknown, unknown>,
  context: Context.Context<R>,
  self: Effect.Effect<A, E, R>,
  length: number
): Effect.Effect<A, E | DeadlineExceeded> => {
  const start = now(fiber)
  const deadline = Math.min(fiber.getRef(Current.Deadline), start + length)
  // An earlier one outside is the limit that it had.
  return untilIn(fiber, context, self, deadline, start, exceededAfter)
}

const exceededAfter = (millis: number): DeadlineExceeded =>
  new DeadlineExceeded({ limit: Duration.millis(Math.max(0, millis)) })

const untilIn = <A, E, R, E2>(
  fiber: Fiber.Fiber<unknown, unknown>,
  context: Context.Context<R>,
  self: Effect.Effect<A, E, R>,
  deadline: number,
  now: number,
  exceeded: (millis: number) => E2
): Effect.Effect<A, E | E2> =>
  deadline <= now
    ? Effect.fail(exceeded(deadline - now))
    : supervisedIn(fiber, Context.add(context, Current.Deadline, deadline), self, new Alarm(deadline - now, exceeded))

const now = (fiber: Fiber.Fiber<unknown, unknown>): number => fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()

/** Rings once, after so many milliseconds, if it takes as long. */
class Alarm<E, E2> implements Supervisor<E | E2, E | E2> {
  readonly left: number
  readonly exceeded: (millis: number) => E2
  over = false
  alarm: Fiber.Fiber<void> | undefined

  constructor(left: number, exceeded: (millis: number) => E2) {
    this.left = left
    this.exceeded = exceeded
  }

  began(end: () => void, fork: (self: Effect.Effect<void>) => Fiber.Fiber<void>): void {
    this.alarm = fork(Effect.map(Effect.sleep(this.left), () => {
      this.over = true
      end()
    }))
  }

  ended(): Effect.Effect<never, E2> | undefined {
    this.alarm?.interruptUnsafe()
    return this.over ? Effect.fail(this.exceeded(this.left)) : undefined
  }

  failed(error: E | E2): E | E2 {
    return error
  }
}
