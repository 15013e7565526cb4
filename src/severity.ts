/** The log levels of failed attempts. */
import type * as LogLevel from "effect/LogLevel"
import type { Table } from "./ClaudeError.ts"

/** The log level of each kind of error. */
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
