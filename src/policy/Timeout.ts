/**
 * Limits on how long a caller waits.
 *
 * A call has two clocks. The limits on one attempt travel with the request and
 * are enforced where it is sent, so time spent in our own queues does not count
 * and a circuit sees a slow model as a failing one. The limit on the whole call
 * is the caller's, and covers retries, queues and fallbacks.
 *
 * Settings that contradict each other are refused when they are written, in the
 * words of `Policy`.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { DeadlineExceeded } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import * as Refuse from "../options.ts"
import * as Deadline from "./deadline.ts"
import { lengths, ofAttempt } from "./limits.ts"

/** A change to whatever is inside. */
type Inside = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Limits each attempt. A limit that is not given stays as it was. An attempt over a limit fails with `TimedOut`. */
export const limits = (limits: Current.Limits): Inside => {
  Refuse.unknown("Timeout", limits, ofAttempt)
  const given = lengths("Timeout", limits)
  return (self) => Effect.updateService(self, Current.Limits, (outer) => ({ ...outer, ...given }))
}

/** Limits the wait of each attempt for the headers of the response. */
export const connect = (limit: Duration.Input): Inside => limits({ connect: limit })

/** Limits the wait of each attempt for the first content, from the start of the attempt. */
export const firstToken = (limit: Duration.Input): Inside => limits({ firstToken: limit })

/** Limits the silence of the wire within each attempt; pings are not silence. */
export const idle = (limit: Duration.Input): Inside => limits({ idle: limit })

/** Limits the time without content within each attempt; pings are not content. */
export const contentIdle = (limit: Duration.Input): Inside => limits({ contentIdle: limit })

/** Limits each attempt as a whole, without the time its reader takes. */
export const attempt = (limit: Duration.Input): Inside => limits({ attempt: limit })

/**
 * Limits everything inside: attempts, waits and fallbacks together. Adds `DeadlineExceeded`. Inside another such limit,
 * the earlier one holds; `Current.Deadline` says when it is. A limit that is over when it begins runs nothing.
 */
export const overall = (
  limit: Duration.Input
): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | DeadlineExceeded, R> => {
  const length = Refuse.millis("Timeout: overall", limit)
  return (self) => Deadline.overall(self, length)
}
