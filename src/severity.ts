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

/** The log level of a failed attempt. `Warn` for invalid messages in a request, because a user often wrote them. */
export const severity = (error: ClaudeError): LogLevel.Severity =>
  error._tag === "InvalidRequest" && isOfQuestion(error) ? "Warn" : ofKind[error._tag]

/** The log level of a failed call: `Error`, unless the messages of the request, or a drain, may have caused the failure. */
export const severityOfEnd = (error: ClaudeError): LogLevel.Severity => {
  switch (error._tag) {
    case "InvalidRequest":
    case "RequestTooLarge":
    case "ContextWindowExceeded":
    case "Refused":
      return severity(error)
    case "PartialAnswer":
      return error.because === "InvalidRequest" && isAboutQuestion(error.detail) ? "Warn" : "Error"
    case "Saturated":
      return error.by === "drain" ? severity(error) : "Error"
    default:
      return "Error"
  }
}

/** Only our validation gives `issues`; a rejection by the API is judged by its `detail`. */
const isOfQuestion = ({ detail, issues }: Tagged<"InvalidRequest">): boolean =>
  Array.isArray(issues) && issues.length > 0
    ? issues.every(({ path: [first] }: Issue) => first === "messages")
    : isAboutQuestion(detail)

/**
 * Matches the `detail` of an error that the messages of the request caused: it begins with the path `messages`, possibly
 * after a prefix of LiteLLM or Bedrock, or names a problem with a file or with the answer. Sources:
 * github.com/anthropics/claude-code/issues/1747, github.com/anthropics/anthropic-sdk-python/issues/903,
 * platform.claude.com/docs/en/build-with-claude/pdf-support.
 */
const aboutQuestion =
  /(^|Exception - |following errors: )messages[.:]|could not process (image|pdf)|\bthe pdf specified\b|\bpdf pages may be\b|image dimensions exceed|unable to download the file|robots\.txt|blocked by content filtering/i

const isAboutQuestion = (detail: unknown): boolean => isString(detail) && aboutQuestion.test(detail)
