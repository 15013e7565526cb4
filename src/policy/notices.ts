/** Texts of `Fallback.Notice`, for end users. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { isString } from "effect/Predicate"
import { type ClaudeError, regainsAt, retryAfter, type Table } from "../ClaudeError.ts"
import { isPermanent } from "../permanence.ts"
import { decisions, decisive } from "./decisions.ts"

/** Whether the same request may succeed later. A request that was never sent (open circuit, full queue) always may. */
export const isRetryable = (error: ClaudeError): boolean => {
  const { retryable, sent } = decisions[error._tag]
  return retryable && (!sent || !isPermanent(error))
}

/** What happened and, for most kinds that a retry does not help, what to do instead. */
const kinds: Table<string> = {
  InvalidRequest: "The assistant could not understand this request. Please put it in another way.",
  AuthenticationFailed:
    "The assistant is not set up correctly. Trying again will not help: please contact the team that runs it.",
  PermissionDenied:
    "The assistant is not available for this account. Trying again will not help: please ask for access.",
  ResourceNotFound:
    "The assistant is not set up correctly. Trying again will not help: please contact the team that runs it.",
  RequestTooLarge: "That is more than the assistant can take at once. Please shorten it.",
  ContextWindowExceeded: "This conversation has become too long for the assistant. Please start a new one.",
  SpendLimitReached: "The assistant has reached its spending limit. Trying again will not help for now.",
  RateLimited: "The assistant is very busy right now.",
  Overloaded: "The assistant is very busy right now.",
  ServerFault: "The assistant had a problem answering.",
  Unreachable: "The assistant could not be reached.",
  PartialAnswer: "The assistant was interrupted while answering.",
  UnexpectedResponse: "The assistant had a problem answering.",
  Refused: "The assistant cannot help with this request. Please ask for something else.",
  Truncated: "The answer became too long. Please ask for a shorter one.",
  EmptyAnswer: "The assistant had no answer this time.",
  MalformedOutput: "The assistant gave an answer that could not be used.",
  TimedOut: "The assistant took too long to answer.",
  DeadlineExceeded: "The assistant took too long to answer.",
  CircuitOpen: "The assistant is having problems at the moment.",
  Saturated: "The assistant is very busy right now."
}

/** The text of a notice. `now` is in milliseconds since the epoch. */
export const sentences = (error: ClaudeError, now: number): string => {
  const requestId = quotable(error)
  const kind = decisive(error)
  return [
    kinds[kind],
    isRetryable(error) ? again(hint(error)) : decisions[kind].retryable ? inVain : undefined,
    kind === "SpendLimitReached" ? available(regainsAt(error), now) : undefined,
    // No full stop at the end: users would copy it with the id.
    requestId === undefined ? undefined : `Reference: ${requestId}`
  ].filter((sentence) => sentence !== undefined).join(" ")
}

/** The `retryAfter` of the error, if it is positive and finite. Checked here, because errors do not check their fields. */
export const hint = (error: ClaudeError): Duration.Duration | undefined => {
  const hint: unknown = retryAfter(error)
  return Duration.isDuration(hint) && Duration.isPositive(hint) && Duration.isFinite(hint) ? hint : undefined
}

/** The request id, if it is well-formed: it comes from a header, which may contain anything. */
export const quotable = ({ requestId }: { readonly requestId?: unknown }): string | undefined =>
  isString(requestId) && /^[\w.:-]{1,64}$/.test(requestId) ? requestId : undefined

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

/** Units of time: the largest amount shown in each, and its length in seconds. Longer waits are not shown. */
const units = [["second", 59, 1], ["minute", 59, 60], ["hour", 47, 3600], ["day", 400, 86_400]] as const

/** The advice for a permanent failure of a kind that is usually temporary, such as an expired certificate. */
const inVain = "Trying again will not help for now."

/** When to try again, rounded up to whole units. */
const again = (hint: Duration.Duration | undefined): string => {
  const seconds = hint === undefined ? Infinity : Duration.toSeconds(hint)
  for (const [unit, most, length] of units) {
    const amount = Math.ceil(seconds / length)
    if (amount <= most) {
      return `Please try again in ${unit === "second" ? "" : "about "}${amount} ${unit}${amount === 1 ? "" : "s"}.`
    }
  }
  return "Please try again in a moment."
}

/** A sentence with the day when credit is available again, if `regainsAt` is a real ISO date in the future. */
const available = (regainsAt: unknown, now: number): string | undefined => {
  const [text = "", written = ""] = /^(\d{4}-\d\d-\d\d)(?:$|T.*)/.exec(isString(regainsAt) ? regainsAt : "") ?? []
  const [moment, day] = [DateTime.make(text), DateTime.make(written)]
  return moment._tag === "Some" && day._tag === "Some" && DateTime.formatIsoDateUtc(day.value) === written &&
      DateTime.toEpochMillis(moment.value) > now
    ? `It should be available again on ${DateTime.formatUtc(moment.value, { locale: "en-GB", dateStyle: "long" })}.`
    : undefined
}
