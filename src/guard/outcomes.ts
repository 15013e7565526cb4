/** What each kind of failure says to each guard. A new kind of error gets a row here. */
import type { Table } from "../ClaudeError.ts"
import * as Guard from "./Guard.ts"

/** What the end of an attempt says to each guard; for the monitor, it is the end of a call. */
export interface Outcome {
  /** About the health of the model. `success`: it answered, if only to reject the request. `none`: nothing. */
  readonly circuit: "success" | "failure" | "none"
  /** About how many calls may run at once. `success`: more. `loss`: fewer. `none`: nothing. */
  readonly concurrency: "success" | "loss" | "none"
  /**
   * What was used of the quota, where the API does not say. `request`: one request, and no tokens. `input`: also the
   * estimated input, for the model may have read it. `none`: nothing was sent.
   */
  readonly quota: "none" | "request" | "input"
  /**
   * `loss`: the attempt was load for nothing. `none`: it gave a part of an answer, or was not sent. The policies have a
   * column `sent` of their own, because guards and policies do not import each other.
   */
  readonly budget: "loss" | "none"
  /** Whether the call counts as failed, also if it was not sent. `none`: the caller is at fault, or Claude declined. */
  readonly monitor: "failure" | "none"
}

/** After each kind of failure. */
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

/** After an answer, also one that its reader left early. */
const success: Outcome = { circuit: "success", concurrency: "success", quota: "input", budget: "none", monitor: "none" }

/** After an interrupt, a defect, and whatever else says nothing about the service. */
const neutral: Outcome = { circuit: "none", concurrency: "none", quota: "input", budget: "none", monitor: "none" }

/** What the end of an attempt says to each guard. */
export const outcomeOf = (exit: Guard.Ending): Outcome => Guard.judge(exit, { success, neutral, failure: outcomes })
