/**
 * Time limits for an attempt and for a whole call.
 *
 * The limits of an attempt start when its request is sent: time in the queues of
 * this library does not count, and the circuit breaker records a time-out as a
 * failure. The limit of a call includes retries, queues and fallbacks.
 *
 * Limits that are set together and contradict each other throw a `RangeError`.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { DeadlineExceeded } from "../ClaudeError.ts"
import type * as Current from "../Current.ts"
import * as Refuse from "../options.ts"
import * as Deadline from "./deadline.ts"
import { lengths, ofAttempt, setting } from "./limits.ts"

type Inside = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Sets limits for each attempt, which fails with `TimedOut` at a limit. A limit that is not given keeps its outer value. */
export const limits = (limits: Current.Limits): Inside => {
  Refuse.unknown("Timeout.limits", limits, ofAttempt, `like { attempt: "30 seconds" }`)
  return setting(lengths("Timeout", limits))
}

/** Limits the wait of each attempt for the headers of the response. */
export const connect = (limit: Duration.Input): Inside => limits({ connect: limit })

/** Limits the wait of each attempt for the first content, from the start of the attempt. */
export const firstToken = (limit: Duration.Input): Inside => limits({ firstToken: limit })

/** Limits the time without any event in each attempt; a ping is an event. */
export const idle = (limit: Duration.Input): Inside => limits({ idle: limit })

/** Limits the time without content in each attempt; a ping is not content. */
export const contentIdle = (limit: Duration.Input): Inside => limits({ contentIdle: limit })

/** Limits each attempt as a whole, without the time that its reader takes. */
export const attempt = (limit: Duration.Input): Inside => limits({ attempt: limit })

/**
 * Limits attempts, waits and fallbacks together, and fails with `DeadlineExceeded`. Of nested limits, the earliest deadline
 * applies, and is `Current.Deadline` inside. If this deadline has passed already, the effect fails without being run.
 */
export const overall = (
  limit: Duration.Input
): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DeadlineExceeded, R> => {
  const length = Refuse.millis("Timeout: overall", limit)
  return (self) => Deadline.overall(self, length)
}
