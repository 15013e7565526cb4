/** What the endings of calls say to the queue that let them in: about their number, and what they used. */
import * as Exit from "effect/Exit"
import { type ClaudeError, InvalidRequest, type Table } from "../../ClaudeError.ts"
import { isLocal } from "../../local.ts"
import type { Usage } from "../../Message.ts"
import * as Refuse from "../../options.ts"
import * as Estimate from "../../request/tokenEstimate.ts"
import * as Guard from "../Guard.ts"
import * as Quota from "../quota/Quota.ts"

/** Refuses what is larger than the account may ever send. */
export const tooLarge = (model: string, tokens: number, limit: number, per: number) =>
  new InvalidRequest({
    model,
    sent: false,
    detail: `it has at least ${tokens} tokens, and the account may send ${limit} in ${
      Refuse.show(per)
    }: make it shorter, or raise the limit`
  })

/** What an ending says about how many calls run at once. */
export type Sign = "success" | "loss" | "none"

/** What says that too many calls run at once. */
export const signs: Table<Sign> = {
  InvalidRequest: "none",
  Unauthorized: "none",
  Forbidden: "none",
  NotFound: "none",
  RequestTooLarge: "none",
  ContextWindowExceeded: "none",
  SpendLimitReached: "none",
  RateLimited: "loss",
  Overloaded: "loss",
  ServerFault: "none",
  Unreachable: "none",
  PartialAnswer: "none",
  UnexpectedResponse: "none",
  Refused: "success",
  Truncated: "success",
  EmptyAnswer: "success",
  MalformedOutput: "success",
  TimedOut: "loss",
  DeadlineExceeded: "none",
  CircuitOpen: "none",
  Saturated: "none"
}

/** What a request is taken to have used where its failure says nothing: it may have been sent, so only what cannot be comes back. */
const charges: Table<"nothing" | "request" | "input"> = {
  InvalidRequest: "request",
  Unauthorized: "request",
  Forbidden: "request",
  NotFound: "request",
  RequestTooLarge: "request",
  ContextWindowExceeded: "request",
  SpendLimitReached: "request",
  RateLimited: "request",
  Overloaded: "request",
  ServerFault: "input",
  Unreachable: "input",
  PartialAnswer: "input",
  UnexpectedResponse: "input",
  Refused: "input",
  Truncated: "input",
  EmptyAnswer: "input",
  MalformedOutput: "input",
  TimedOut: "input",
  DeadlineExceeded: "input",
  CircuitOpen: "nothing",
  Saturated: "nothing"
}

/** Codes of a network that was not there: nothing was sent. */
const unsent = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|CERT_|ERR_TLS)/

/** Whether the API may have heard of it, and had the time to say something. */
export const wasHeard = (exit: Guard.Ending, error: ClaudeError | undefined): boolean =>
  Exit.isSuccess(exit) || error !== undefined && !isLocal(error) && charges[error._tag] !== "nothing"

/** What was used, as far as that is known; the rest of what was taken comes back. */
export const spent = (
  cost: Quota.Amount,
  exit: Guard.Ending,
  error: ClaudeError | undefined,
  usage: Usage | undefined
): Quota.Amount => {
  if (usage !== undefined) return { requests: 1, input: Estimate.inputOf(usage), output: usage.output_tokens }
  if (error !== undefined && isLocal(error)) return Quota.none
  if (error?._tag === "Unreachable" && unsent.test(error.code ?? "")) return Quota.none
  const charged = Guard.judge(exit, { success: "input" as const, neutral: "input" as const, failure: charges })
  switch (charged) {
    case "nothing":
      return Quota.none
    case "request":
      return { ...Quota.none, requests: 1 }
    case "input":
      return { ...cost, output: 0 }
  }
}
