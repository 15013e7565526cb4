import type { Table } from "../ClaudeError.ts"
import * as Guard from "./Guard.ts"

/** How each guard counts the end of an attempt; for the monitor, the end of a call. */
export interface Outcome {
  /** `success`: the model responded, even if it rejected the request. `none`: says nothing about the model. */
  readonly circuit: "success" | "failure" | "none"
  /** `success` may raise the concurrency limit, `loss` may lower it. */
  readonly concurrency: "success" | "loss" | "none"
  /**
   * The quota that the request used, if the API did not report its usage. `request`: one request, no tokens. `input`:
   * one request and the estimated input tokens, because the model may have read them. `none`: nothing was sent.
   */
  readonly quota: "none" | "request" | "input"
  /**
   * `loss`: the attempt added load without a result. `none`: the attempt was not sent, or its answer is a result (even
   * a `Truncated` answer). Policies have a similar column, `sent` in `policy/decisions.ts`, because guards and policies
   * do not import each other.
   */
  readonly budget: "loss" | "none"
  /** `failure`: the call failed, even if nothing was sent. `none`: the request is at fault, or Claude declined it. */
  readonly monitor: "failure" | "none"
}

export const outcomes: Table<Outcome> = {
  InvalidRequest: { circuit: "success", concurrency: "none", quota: "request", budget: "loss", monitor: "none" },
  AuthenticationFailed: {
    circuit: "success",
    concurrency: "none",
    quota: "request",
    budget: "loss",
    monitor: "failure"
  },
  PermissionDenied: { circuit: "success", concurrency: "none", quota: "request", budget: "loss", monitor: "failure" },
  ResourceNotFound: { circuit: "success", concurrency: "none", quota: "request", budget: "loss", monitor: "failure" },
  RequestTooLarge: { circuit: "success", concurrency: "none", quota: "request", budget: "loss", monitor: "none" },
  ContextWindowExceeded: { circuit: "success", concurrency: "none", quota: "request", budget: "loss", monitor: "none" },
  SpendLimitReached: { circuit: "none", concurrency: "none", quota: "request", budget: "loss", monitor: "failure" },
  RateLimited: { circuit: "none", concurrency: "loss", quota: "request", budget: "loss", monitor: "failure" },
  Overloaded: { circuit: "failure", concurrency: "loss", quota: "request", budget: "loss", monitor: "failure" },
  ServerFault: { circuit: "failure", concurrency: "none", quota: "input", budget: "loss", monitor: "failure" },
  Unreachable: { circuit: "failure", concurrency: "none", quota: "input", budget: "loss", monitor: "failure" },
  PartialAnswer: { circuit: "failure", concurrency: "none", quota: "input", budget: "loss", monitor: "failure" },
  UnexpectedResponse: { circuit: "failure", concurrency: "none", quota: "input", budget: "loss", monitor: "failure" },
  Refused: { circuit: "success", concurrency: "success", quota: "input", budget: "loss", monitor: "none" },
  Truncated: { circuit: "success", concurrency: "success", quota: "input", budget: "none", monitor: "failure" },
  EmptyAnswer: { circuit: "success", concurrency: "success", quota: "input", budget: "loss", monitor: "failure" },
  MalformedOutput: { circuit: "success", concurrency: "success", quota: "input", budget: "loss", monitor: "failure" },
  TimedOut: { circuit: "failure", concurrency: "loss", quota: "input", budget: "loss", monitor: "failure" },
  DeadlineExceeded: { circuit: "none", concurrency: "none", quota: "input", budget: "loss", monitor: "failure" },
  CircuitOpen: { circuit: "none", concurrency: "none", quota: "none", budget: "none", monitor: "failure" },
  Saturated: { circuit: "none", concurrency: "none", quota: "none", budget: "none", monitor: "failure" }
}

/** The outcome of an answer, even if its reader left early. */
const success: Outcome = { circuit: "success", concurrency: "success", quota: "input", budget: "none", monitor: "none" }

/** The outcome of an interrupt, a defect, or any other ending that says nothing about the service. */
const neutral: Outcome = { circuit: "none", concurrency: "none", quota: "input", budget: "none", monitor: "none" }

export const outcomeOf = (exit: Guard.Ending): Outcome => Guard.judge(exit, { success, neutral, failure: outcomes })
