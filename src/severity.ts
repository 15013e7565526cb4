/** How loudly failures are reported. */
import type * as LogLevel from "effect/LogLevel"
import type { Table } from "./ClaudeError.ts"

/** Of each kind. */
export const severity: Table<LogLevel.Severity> = {
  InvalidRequest: "Error",
  AuthenticationFailed: "Error",
  PermissionDenied: "Error",
  ResourceNotFound: "Error",
  RequestTooLarge: "Error",
  ContextWindowExceeded: "Warn",
  SpendLimitReached: "Error",
  RateLimited: "Warn",
  Overloaded: "Warn",
  ServerFault: "Warn",
  Unreachable: "Warn",
  PartialAnswer: "Warn",
  UnexpectedResponse: "Warn",
  Refused: "Info",
  Truncated: "Info",
  EmptyAnswer: "Warn",
  MalformedOutput: "Warn",
  TimedOut: "Warn",
  DeadlineExceeded: "Warn",
  CircuitOpen: "Debug",
  Saturated: "Warn"
}
