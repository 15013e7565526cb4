import { type ClaudeError, InvalidRequest } from "../../ClaudeError.ts"
import { isLocal } from "../../local.ts"
import type { Usage } from "../../Message.ts"
import * as Refuse from "../../options.ts"
import * as Estimate from "../../request/tokenEstimate.ts"
import type * as Guard from "../Guard.ts"
import { outcomeOf } from "../outcomes.ts"
import * as Amounts from "./amounts.ts"
import type * as Quota from "./Quota.ts"

export const tooLarge = (model: string, tokens: number, limit: number, per: number) =>
  new InvalidRequest({
    model,
    sent: false,
    detail: `the request has at least ${tokens} input tokens, but the quota allows only ${limit} per ${
      Refuse.period(per)
    }: shorten the request, or raise inputTokens in the quota if the account has a higher limit`
  })

/** Error codes of connections that were never established: nothing was sent. */
const unsent = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|CERT_|ERR_TLS)/

/** The quota that a request used: as reported by the API, or else estimated from its ending. */
export const spent = (
  cost: Quota.Amount,
  exit: Guard.Ending,
  error: ClaudeError | undefined,
  usage: Usage | undefined
): Quota.Amount => {
  if (usage !== undefined) return { requests: 1, input: Estimate.inputOf(usage), output: usage.output_tokens }
  if (error !== undefined && isLocal(error)) return Amounts.zero
  if (error?._tag === "Unreachable" && unsent.test(error.code ?? "")) return Amounts.zero
  switch (outcomeOf(exit).quota) {
    case "none":
      return Amounts.zero
    case "request":
      return { ...Amounts.zero, requests: 1 }
    case "input":
      return { ...cost, output: 0 }
  }
}
