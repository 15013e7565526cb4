import { noModel } from "../../callContext.ts"
import type * as CallLog from "../../CallLog.ts"
import { type ClaudeError, kindOf } from "../../ClaudeError.ts"
import { isLocal, isOfDrain } from "../../local.ts"
import { isByHand } from "../circuit/verdicts.ts"
import { outcomes } from "../outcomes.ts"
import type { Count } from "./slidingRate.ts"

/**
 * How an event counts. `undefined` if it is not the end of a call, if the call is not about one model (such as
 * `Models.refresh`), or if the failure does not count (`failed`).
 */
export const endOf = (event: CallLog.Event): Count => {
  if (event.model === noModel) return undefined
  switch (event._tag) {
    case "CallSucceeded":
      return "success"
    case "GaveUp":
      return failed(event.error)
    default:
      return undefined
  }
}

/** A rejection by an isolated circuit or by a drain does not count, because an operator decided it. */
export const failed = (error: ClaudeError): Count =>
  outcomes[kindOf(error)].monitor === "none" || isLocal(error) || isByHand(error) || isOfDrain(error)
    ? undefined
    : error._tag
