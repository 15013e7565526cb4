/**
 * Every way a call to Claude can end badly, as one closed union.
 *
 * A name states what happened (`Overloaded`, `Refused`), never what to do
 * about it: that is in one `ClaudeError.Table` each for retries, policies,
 * notices, guards and the log. Add a member to the union and the compiler lists
 * every table that must now take a side.
 */
import type * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Kinds from "./errorKinds.ts"

export type { GaveUp, Issue, Tried } from "./errorFields.ts"
export * from "./errorKinds.ts"

/**
 * Schema of the whole union, for stores and wires of your own. Its JSON codec (`Schema.toCodecJson`) carries content in
 * clear, as whoever decodes it wants it: logs are what `CallLog.record` is for.
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

/** Every way a call to Claude can end badly. */
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

/** The tags of `ClaudeError`. */
export type Tag = ClaudeError["_tag"]

/** The member of `ClaudeError` with the given tag. */
export type Tagged<T extends Tag> = Extract<ClaudeError, { readonly _tag: T }>

/** A decision for every kind of error. Incomplete tables do not compile. */
export type Table<A> = { readonly [T in Tag]: A }

const tags: ReadonlySet<unknown> = new Set<Tag>(ClaudeError.members.map((member) => member.identifier as Tag))

const isTag = (tag: unknown): tag is Tag => tags.has(tag)

/**
 * Whether this is one of ours. An application's own error with the same tag is not. `Effect.catchIf(ClaudeError.is, …)`
 * removes all that is left of our errors from a type, and leaves those of the application.
 */
export const is = <E>(error: E): error is E & ClaudeError =>
  ClaudeError.members.some((member) => error instanceof member)

/**
 * The kind that decides what to do: for a `PartialAnswer`, that of the error that broke the answer off; else its own. A 400
 * in the middle of an answer is as final as one before it.
 */
export const kindOf = (error: ClaudeError): Tag =>
  error._tag === "PartialAnswer" && isTag(error.because) ? error.because : error._tag

/** How long to wait before asking again, from the errors that say so: the server's hint, or ours of a circuit or a queue. */
export const retryAfter = (error: ClaudeError): Duration.Duration | undefined =>
  "retryAfter" in error ? error.retryAfter : undefined

/** When there is money again, as an ISO date, from the errors that say so. */
export const regainsAt = (error: ClaudeError): string | undefined => "regainsAt" in error ? error.regainsAt : undefined

/** Marks content, so that only who asks for it sees it. */
export const redact = (content: string): Redacted.Redacted<string> => Redacted.make(content)
