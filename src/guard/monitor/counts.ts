/** What the endings of calls say to a monitor: whether they were served. */
import type * as CallLog from "../../CallLog.ts"
import { type ClaudeError, kindOf, type Table } from "../../ClaudeError.ts"
import { isLocal } from "../../local.ts"
import { isByHand } from "../circuit/verdicts.ts"
import type { Count } from "./slidingRate.ts"

/** What the end of a call counts as, if this event is the end of one. */
export const endOf = (event: CallLog.Event): Count => {
  switch (event._tag) {
    case "CallSucceeded":
      return "success"
    case "GaveUp":
      return failed(event.error)
    default:
      return undefined
  }
}

/** What a call counts as that failed with this. An isolated circuit is a decision of its operator. */
export const failed = (error: ClaudeError): Count =>
  !counts[kindOf(error)] || isLocal(error) || isByHand(error) ? undefined : error._tag

/** Which failures count: also those of calls that were not sent. Not the fault of the caller, nor what Claude declined. */
const counts: Table<boolean> = {
  InvalidRequest: false,
  Unauthorized: true,
  Forbidden: true,
  NotFound: true,
  RequestTooLarge: false,
  ContextWindowExceeded: false,
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
  CircuitOpen: true,
  Saturated: true
}
