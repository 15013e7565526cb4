/** What the endings of calls say to a monitor: whether they were served. */
import type * as CallLog from "../../CallLog.ts"
import { type ClaudeError, kindOf } from "../../ClaudeError.ts"
import { isLocal } from "../../local.ts"
import { isByHand } from "../circuit/verdicts.ts"
import { outcomes } from "../outcomes.ts"
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
  outcomes[kindOf(error)].monitor === "none" || isLocal(error) || isByHand(error) ? undefined : error._tag
