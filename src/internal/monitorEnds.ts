/** What the endings of calls say to a monitor: of the calls that succeed, and of those that are answered at all. */
import type * as CallLog from "../CallLog.ts"
import { type ClaudeError, type GaveUp, kindOf, type Table } from "../ClaudeError.ts"
import { isByHand } from "./circuitEnds.ts"
import { isLocal } from "./local.ts"
import type { Count } from "./measure.ts"

/** What the end of a call says to each rate. */
export interface End {
  readonly successRate: Count
  readonly availability: Count
}

/** It was answered, and well. */
export const well: End = { successRate: "success", availability: "success" }

/** It failed, or was given up for that reason. */
export const badly = (error: ClaudeError, reason?: GaveUp): End => ({
  successRate: failure(error, reason),
  availability: answer(error)
})

/** What a gate has turned away was decided here: it is no failure. */
export const turnedAway = (error: ClaudeError): End => ({ successRate: undefined, availability: answer(error) })

/** What a call came to, if this is the end of one. */
export const endOf = (event: CallLog.Event): End | undefined => {
  switch (event._tag) {
    case "CallSucceeded":
      return well
    case "GaveUp":
      return badly(event.error, event.reason)
    default:
      return undefined
  }
}

const failure = (error: ClaudeError, reason: GaveUp | undefined): Count =>
  reason === "BudgetSpent" || !failures[kindOf(error)] || isLocal(error)
    ? undefined
    : error._tag

/** Whoever isolates a circuit has decided so. */
const answer = (error: ClaudeError): Count => {
  const how = answers[kindOf(error)]
  return how === "own" || isByHand(error) ? undefined : how === "none" ? error._tag : "success"
}

/** What counts as a failure: not what was decided here, nor what Claude declined. */
const failures: Table<boolean> = {
  InvalidRequest: true,
  Unauthorized: true,
  Forbidden: true,
  NotFound: true,
  RequestTooLarge: true,
  ContextWindowExceeded: true,
  SpendLimitReached: true,
  RateLimited: true,
  Overloaded: true,
  ServerFault: true,
  Unreachable: true,
  PartialAnswer: true,
  UnexpectedResponse: true,
  Refused: false,
  Truncated: true,
  EmptyAnswer: true,
  MalformedOutput: true,
  TimedOut: true,
  DeadlineExceeded: true,
  CircuitOpen: false,
  Saturated: false
}

/**
 * What counts as an answer: all that Claude said, be it of use or not. No answer came where the API gave none, or where
 * we did not ask, for the budget, the circuit or the queue said no. The caller's own fault or decision does not count.
 */
const answers: Table<"answer" | "none" | "own"> = {
  InvalidRequest: "own",
  Unauthorized: "own",
  Forbidden: "own",
  NotFound: "own",
  RequestTooLarge: "own",
  ContextWindowExceeded: "own",
  SpendLimitReached: "none",
  RateLimited: "none",
  Overloaded: "none",
  ServerFault: "none",
  Unreachable: "none",
  PartialAnswer: "none",
  UnexpectedResponse: "none",
  Refused: "own",
  Truncated: "answer",
  EmptyAnswer: "answer",
  MalformedOutput: "answer",
  TimedOut: "none",
  DeadlineExceeded: "none",
  CircuitOpen: "none",
  Saturated: "none"
}
