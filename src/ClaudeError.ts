/**
 * All errors of a call to Claude, as one closed union.
 *
 * A name states what happened (`Overloaded`, `Refused`), never what to do about
 * it: what to do is decided in a `ClaudeError.Table`, for example of the log levels.
 * When a member is added to the union, the compiler lists each table that needs an
 * entry.
 */
import type * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Kinds from "./errorKinds.ts"

export type { GaveUp, Issue, Tried, WrittenUse } from "./errorFields.ts"
export * from "./errorKinds.ts"

/**
 * The schema of the union, to send or store errors. Its JSON codec (`Schema.toCodecJson`) writes redacted content in
 * plain text: for logs use `CallLog.record`.
 */
export const ClaudeError = Schema.Union([
  Kinds.InvalidRequest,
  Kinds.AuthenticationFailed,
  Kinds.PermissionDenied,
  Kinds.ResourceNotFound,
  Kinds.RequestTooLarge,
  Kinds.ContextWindowExceeded,
  Kinds.SpendLimitReached,
  Kinds.RateLimited,
  Kinds.Overloaded,
  Kinds.ServerFault,
  Kinds.Unreachable,
  Kinds.PartialAnswer,
  Kinds.UnexpectedResponse,
  Kinds.Refused,
  Kinds.Truncated,
  Kinds.EmptyAnswer,
  Kinds.MalformedOutput,
  Kinds.TimedOut,
  Kinds.DeadlineExceeded,
  Kinds.CircuitOpen,
  Kinds.Saturated
])

/** Any error with which a call to Claude can fail. `_tag` names its kind. */
export type ClaudeError =
  | Kinds.InvalidRequest
  | Kinds.AuthenticationFailed
  | Kinds.PermissionDenied
  | Kinds.ResourceNotFound
  | Kinds.RequestTooLarge
  | Kinds.ContextWindowExceeded
  | Kinds.SpendLimitReached
  | Kinds.RateLimited
  | Kinds.Overloaded
  | Kinds.ServerFault
  | Kinds.Unreachable
  | Kinds.PartialAnswer
  | Kinds.UnexpectedResponse
  | Kinds.Refused
  | Kinds.Truncated
  | Kinds.EmptyAnswer
  | Kinds.MalformedOutput
  | Kinds.TimedOut
  | Kinds.DeadlineExceeded
  | Kinds.CircuitOpen
  | Kinds.Saturated

export type Tag = ClaudeError["_tag"]

/** The member of `ClaudeError` with the given tag. */
export type Tagged<T extends Tag> = Extract<ClaudeError, { readonly _tag: T }>

/** One entry for every kind of error. An incomplete table does not compile. */
export type Table<A> = { readonly [T in Tag]: A }

const tags: ReadonlySet<unknown> = new Set<Tag>(ClaudeError.members.map((member) => member.identifier as Tag))

const isTag = (tag: unknown): tag is Tag => tags.has(tag)

/**
 * Whether an error is a `ClaudeError`. An error of the application with the same tag is none.
 *
 * `Effect.catchIf(ClaudeError.is, …)` removes the `ClaudeError`s from the error type and keeps other errors.
 */
export const is = <E>(error: E): error is E & ClaudeError =>
  ClaudeError.members.some((member) => error instanceof member)

/**
 * The tag of an error or, for a `PartialAnswer`, the tag of the error that broke the answer off: a 400 in the middle of a
 * stream is then handled like a 400 before the stream begins.
 */
export const kindOf = (error: ClaudeError): Tag =>
  error._tag === "PartialAnswer" && isTag(error.because) ? error.because : error._tag

/** How long to wait before a retry, if the server, a circuit or a queue of this library said so. */
export const retryAfter = (error: ClaudeError): Duration.Duration | undefined =>
  "retryAfter" in error ? error.retryAfter : undefined

/**
 * When the spend limit resets, as an ISO date, if the error says so. For an error of the account's circuit, it is the time
 * of the next probe.
 */
export const regainsAt = (error: ClaudeError): string | undefined => "regainsAt" in error ? error.regainsAt : undefined

/** Wraps text of an answer, so that printing an error does not show it. */
export const redact = (content: string): Redacted.Redacted<string> => Redacted.make(content)
