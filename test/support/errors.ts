/** Errors of every kind, and which of them the defaults take for worth another account. */
import { ClaudeError } from "../../src/index.ts"

/** An error of a kind. */
export const make = (tag: ClaudeError.Tag, fields: object = {}): ClaudeError.ClaudeError => {
  const member = ClaudeError.ClaudeError.members.find((member) => member.identifier.endsWith(tag))
  return new (member as unknown as new(fields: object) => ClaudeError.ClaudeError)({ scope: "idle", ...fields })
}

/** What is worth another account. For another model, or an old answer, a few differ. */
export const worthAnother: ClaudeError.Table<boolean> = {
  InvalidRequest: false,
  AuthenticationFailed: true,
  PermissionDenied: true,
  ResourceNotFound: true,
  RequestTooLarge: false,
  ContextWindowExceeded: false,
  SpendLimitReached: true,
  RateLimited: true,
  Overloaded: true,
  ServerFault: true,
  Unreachable: false,
  PartialAnswer: true,
  UnexpectedResponse: true,
  Refused: true,
  Truncated: false,
  EmptyAnswer: true,
  MalformedOutput: true,
  TimedOut: true,
  DeadlineExceeded: false,
  CircuitOpen: true,
  Saturated: true
}
