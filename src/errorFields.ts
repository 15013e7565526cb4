/** What the errors are made of. */
import * as Schema from "effect/Schema"

/** Typed as `schema`, unchecked at run time: what the API sent must not make a constructor throw. */
export const loose = <S extends Schema.Top>(_schema: S): S => Schema.Unknown as Schema.Top as S

export const text = Schema.optional(loose(Schema.String))
export const number = Schema.optional(loose(Schema.Finite))
export const flag = Schema.optional(loose(Schema.Boolean))
export const duration = Schema.optional(loose(Schema.Duration))
export const unknown = Schema.optional(Schema.Unknown)

/** The model's words, and ours about them. `Redacted`, so that printing an error cannot leak them. */
export const content = Schema.optional(Schema.Redacted(loose(Schema.String)))

/** What is wrong, and where. The shape of Standard Schema's issues. */
export const Issue = Schema.Struct({
  path: Schema.Array(Schema.Union([Schema.String, Schema.Finite])),
  message: Schema.String
})

/** What is wrong with what we were given. Our words only. */
export const issues = Schema.optional(loose(Schema.Array(Issue)))

/** What is wrong with an answer. `Redacted`, because it quotes the answer. */
export const secretIssues = Schema.optional(Schema.Redacted(loose(Schema.Array(Issue))))

/** What had arrived. */
export const partial = {
  text: content,
  blocks: Schema.optional(Schema.Redacted(Schema.Unknown)),
  usage: unknown
}

/** One bucket of the account, as the API last described it. `reset`, an RFC 3339 date, is when it is full again, at the latest. */
export const RateLimit = Schema.Struct({
  limit: Schema.UndefinedOr(Schema.Finite),
  remaining: Schema.UndefinedOr(Schema.Finite),
  reset: Schema.UndefinedOr(Schema.String)
})

/** The buckets of the account. Those that the API did not mention are missing. */
export const RateLimits = Schema.Struct({
  requests: Schema.optionalKey(RateLimit),
  tokens: Schema.optionalKey(RateLimit),
  inputTokens: Schema.optionalKey(RateLimit),
  outputTokens: Schema.optionalKey(RateLimit)
})

/**
 * Why no further attempt was made: the kind is not retried; its retries, or those of all kinds, are spent; the next attempt
 * could not end before the deadline (of the call, or of the model that was asked); the deadline has come; the retry budget
 * of the process has nothing left.
 */
export const GaveUp = Schema.Literals([
  "NotRetried",
  "RetriesSpent",
  "DeadlineTooClose",
  "DeadlineExceeded",
  "BudgetSpent"
])

/** One failed attempt of a call, in words that hold no content. `waited` is the wait after it, in milliseconds. */
export const Tried = Schema.Struct({
  attempt: Schema.Finite,
  model: Schema.String,
  error: Schema.String,
  message: Schema.String,
  requestId: Schema.optional(Schema.String),
  waited: Schema.optional(Schema.Finite)
})

/**
 * What every member may carry. `detail` is the API's own sentence, `shouldRetry` its `x-should-retry` header; `limits` is what
 * its headers said of the account; `gaveUp` and `history` come from the policy.
 */
export const common = {
  model: text,
  requestId: text,
  status: number,
  errorCode: text,
  shouldRetry: flag,
  detail: text,
  limits: Schema.optional(loose(RateLimits)),
  gaveUp: Schema.optional(loose(GaveUp)),
  history: Schema.optional(loose(Schema.Array(Tried))),
  cause: Schema.optional(Schema.Defect())
}

export const sentence = (
  what: string,
  { detail, status }: { readonly detail?: unknown; readonly status?: unknown }
): string =>
  `${what}${status === undefined ? "" : ` (${String(status)})`}${detail === undefined ? "." : `: ${String(detail)}`}`
