/** What a request has used of a quota, and the error of one that is larger than the quota. */
import { type ClaudeError, InvalidRequest } from "../../ClaudeError.ts"
import { isLocal } from "../../local.ts"
import type { Usage } from "../../Message.ts"
import * as Refuse from "../../options.ts"
import * as Estimate from "../../request/tokenEstimate.ts"
import type * as Guard from "../Guard.ts"
import { outcomeOf } from "../outcomes.ts"
import * as Quota from "./Quota.ts"

/** Refuses what is larger than the account may ever send. */
export const tooLarge = (model: string, tokens: number, limit: number, per: number) =>
  new InvalidRequest({
    model,
    sent: false,
    detail: `it has at least ${tokens} tokens, and the account may send ${limit} in ${
      Refuse.show(per)
    }: make it shorter, or raise the limit`
  })

/** Codes of a network that was not there: nothing was sent. */
const unsent = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|CERT_|ERR_TLS)/

/** What was used, as far as that is known; the rest of what was taken comes back. */
export const spent = (
  cost: Quota.Amount,
  exit: Guard.Ending,
  error: ClaudeError | undefined,
  usage: Usage | undefined
): Quota.Amount => {
  if (usage !== undefined) return { requests: 1, input: Estimate.inputOf(usage), output: usage.output_tokens }
  if (error !== undefined && isLocal(error)) return Quota.zero
  if (error?._tag === "Unreachable" && unsent.test(error.code ?? "")) return Quota.zero
  switch (outcomeOf(exit).quota) {
    case "none":
      return Quota.zero
    case "request":
      return { ...Quota.zero, requests: 1 }
    case "input":
      return { ...cost, output: 0 }
  }
}
