/** Errors of every kind, and which of them fall back to another account by default. */
import { ClaudeError } from "../../src/index.ts"

/** An error of the given kind. */
export const make = (tag: ClaudeError.Tag, fields: object = {}): ClaudeError.ClaudeError => {
  const member = ClaudeError.ClaudeError.members.find((member) => member.identifier.endsWith(tag))
  return new (member as unknown as new(fields: object) => ClaudeError.ClaudeError)({ scope: "idle", ...fields })
}

/** Whether each kind of error falls back to another account. The other fallbacks differ for a few kinds. */
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
