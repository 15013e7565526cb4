/** Ends effects at a deadline. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { atNow } from "../atNow.ts"
import { DeadlineExceeded } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { within } from "../within.ts"

/** Runs `self` until `deadline`, in milliseconds since the epoch, and then fails. `self` sees it as `Current.Deadline`. */
export const until = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  deadline: number,
  exceeded: (millis: number) => E2
): Effect.Effect<A, E | E2, R> =>
  atNow((now) => {
    const left = deadline - now
    return left <= 0
      ? Effect.fail(exceeded(left))
      : within(Effect.provideService(self, Current.Deadline, deadline), left, () => exceeded(left))
  })

/** Ends `self` after `length` milliseconds, or at an earlier outer deadline. */
export const overall = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  length: number
): Effect.Effect<A, E | DeadlineExceeded, R> =>
  Effect.contextWith((context: Context.Context<R>) => {
    const now = Context.get(context, Clock.Clock).currentTimeMillisUnsafe()
    return until(self, Math.min(Context.get(context, Current.Deadline), now + length), exceededAfter)
  })

const exceededAfter = (millis: number): DeadlineExceeded =>
  new DeadlineExceeded({ limit: Duration.millis(Math.max(0, millis)) })
