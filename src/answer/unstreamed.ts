/** Time limits of the requests that are sent without a stream: token counts and model lists. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type ClaudeError, TimedOut } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { within } from "../within.ts"

/** The default limit of one request, in milliseconds. */
const usual = 30_000

export const limited = <A>(self: Effect.Effect<A, ClaudeError>, model?: string): Effect.Effect<A, ClaudeError> =>
  Effect.flatMap(Current.Limits, ({ attempt = usual }) => {
    const limit = Duration.fromInputUnsafe(attempt)
    return within(self, Duration.toMillis(limit), () => new TimedOut({ model, scope: "attempt", limit }))
  })

/**
 * Limits a token count that precedes an answer to a third of the time until the deadline, so that two thirds stay for the
 * answer. If the count takes longer, the answer is requested without it.
 */
export const beforeAnswer = <A>(count: Effect.Effect<A, ClaudeError>): Effect.Effect<A, ClaudeError> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const left = Context.get(context, Current.Deadline) - Context.get(context, Clock.Clock).currentTimeMillisUnsafe()
    return left === Infinity ? count : Effect.updateService(count, Current.Limits, (limits) => ({
      ...limits,
      attempt: Math.max(1, Math.min(Math.floor(left / 3), Duration.toMillis(limits.attempt ?? usual)))
    }))
  })
