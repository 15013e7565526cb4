/** The log levels of failed attempts and failed calls. */
import type * as LogLevel from "effect/LogLevel"
import { isString } from "effect/Predicate"
import type { ClaudeError, Issue, Table, Tagged } from "./ClaudeError.ts"

const ofKind: Table<LogLevel.Severity> = {
  InvalidRequest: "Error",
  AuthenticationFailed: "Error",
  PermissionDenied: "Error",
  ResourceNotFound: "Error",
  RequestTooLarge: "Warn",
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

/** The log level of a failed attempt. Invalid messages are often the input of a user, and no error of the program. */
export const severity = (error: ClaudeError): LogLevel.Severity =>
  error._tag === "InvalidRequest" && isOfMessages(error) ? "Warn" : ofKind[error._tag]

/** The log level of a failed call: `Error`, unless the question caused the failure. */
export const severityOfEnd = (error: ClaudeError): LogLevel.Severity => {
  switch (error._tag) {
    case "InvalidRequest":
    case "RequestTooLarge":
    case "ContextWindowExceeded":
    case "Refused":
      return severity(error)
    default:
      return "Error"
  }
}

/** Whether the errors are only in the messages. The API begins its sentence with the path. */
const isOfMessages = ({ detail, issues }: Tagged<"InvalidRequest">): boolean =>
  Array.isArray(issues) && issues.length > 0
    ? issues.every(({ path: [first] }: Issue) => first === "messages")
    : isString(detail) && /^messages[.:]/.test(detail)
