/**
 * The fields of the errors.
 *
 * A field is typed, but not checked when an error is made: what the network sent must not make a constructor throw, nor
 * the JSON codec of an error.
 */
import type { ContentBlock, Usage } from "@anthropic-ai/sdk/resources/messages"
import * as Option from "effect/Option"
import { isUnknown } from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type { RateLimit, RateLimits } from "./Message.ts"

const encodeAnything = Schema.encodeUnknownSync(Schema.Defect())

/** Typed as `schema`, unchecked. In JSON: what `schema` makes of it, else as much as JSON can hold of an odd value. */
export const loose = <S extends Schema.ConstraintCodec<unknown, unknown>>(schema: S): Schema.declare<S["Type"]> => {
  const json = Schema.toCodecJson(schema)
  const encode = Schema.encodeUnknownOption(json)
  const decode = Schema.decodeUnknownOption(json)
  // Nothing is refused, whatever the type says.
  return Schema.declare(isUnknown as (value: unknown) => value is S["Type"], {
    expected: "anything",
    toCodecJson: () =>
      Schema.link<S["Type"]>()(Schema.Json, {
        encode: SchemaGetter.transform((value) => Option.getOrElse(encode(value), () => encodeAnything(value))),
        decode: SchemaGetter.transform((value): S["Type"] => Option.getOrElse(decode(value), () => value))
      }),
    toCodecArbitrary: () => Schema.link<S["Type"]>()(schema, SchemaTransformation.passthrough({ strict: false }))
  })
}

/** Before the schema in the union: JSON has no `undefined`, and a `null` would else be taken for a value. */
const optional = <S extends Schema.Constraint>(schema: S) =>
  Schema.optionalKey(Schema.Union([Schema.Undefined, schema]))

/** A field that may be missing. */
export interface Field<A> extends Schema.optionalKey<Schema.Union<readonly [Schema.Undefined, Schema.declare<A>]>> {}

export const field = <S extends Schema.ConstraintCodec<unknown, unknown>>(schema: S): Field<S["Type"]> =>
  optional(loose(schema))

/** Shapes of the SDK, of which we only know that they are JSON. */
const Usage = Schema.Record(Schema.String, Schema.Json) as Schema.Codec<unknown, unknown> as Schema.Codec<Usage>
const Blocks = Schema.Array(Schema.Json) as Schema.Codec<unknown, unknown> as Schema.Codec<ReadonlyArray<ContentBlock>>

export const text = field(Schema.String)
const number = field(Schema.Finite)
export const flag = field(Schema.Boolean)
export const duration = field(Schema.Duration)
export const usage = field(Usage)

/** A kind of error, as a field of another one. `Tag` comes from the classes that have it (`test/types.test.ts` compares them). */
export const tag = field(Schema.Literals([
  "InvalidRequest",
  "AuthenticationFailed",
  "PermissionDenied",
  "ResourceNotFound",
  "RequestTooLarge",
  "ContextWindowExceeded",
  "SpendLimitReached",
  "RateLimited",
  "Overloaded",
  "ServerFault",
  "Unreachable",
  "PartialAnswer",
  "UnexpectedResponse",
  "Refused",
  "Truncated",
  "EmptyAnswer",
  "MalformedOutput",
  "TimedOut",
  "DeadlineExceeded",
  "CircuitOpen",
  "Saturated"
]))

/** The model's words, and ours about them. `Redacted`, so that printing an error cannot leak them. */
export const content = optional(Schema.Redacted(loose(Schema.String)))

/** What is wrong, and where in what we were given. The shape of Standard Schema's issues. */
export interface Issue {
  readonly path: ReadonlyArray<string | number>
  readonly message: string
}

const Issue: Schema.Codec<Issue> = Schema.Struct({
  path: Schema.Array(Schema.Union([Schema.String, Schema.Finite])),
  message: Schema.String
})

/** What is wrong with what we were given. Our words only. */
export const issues = field(Schema.Array(Issue))

/** What is wrong with an answer. `Redacted`, because it quotes the answer. */
export const secretIssues = optional(Schema.Redacted(loose(Schema.Array(Issue))))

/** What had arrived. */
export const partial = {
  text: content,
  blocks: optional(Schema.Redacted(loose(Blocks))),
  usage
}

const RateLimit: Schema.Codec<RateLimit> = Schema.Struct({
  limit: Schema.UndefinedOr(Schema.Finite),
  remaining: Schema.UndefinedOr(Schema.Finite),
  reset: Schema.UndefinedOr(Schema.String)
})

const RateLimits: Schema.Codec<RateLimits> = Schema.Struct({
  requests: Schema.optionalKey(RateLimit),
  tokens: Schema.optionalKey(RateLimit),
  inputTokens: Schema.optionalKey(RateLimit),
  outputTokens: Schema.optionalKey(RateLimit)
})

/**
 * Why no further attempt was made: the kind is not retried; its retries, or those of all kinds, are spent; the next attempt
 * could not end before the deadline (of the call, or of the model that was asked); the deadline has come; the retry budget
 * of the process has nothing left. It is on the error as `gaveUp`, next to the `history` of the attempts.
 */
export type GaveUp = "NotRetried" | "RetriesSpent" | "DeadlineTooClose" | "DeadlineExceeded" | "BudgetSpent"

const GaveUp: Schema.Codec<GaveUp> = Schema.Literals([
  "NotRetried",
  "RetriesSpent",
  "DeadlineTooClose",
  "DeadlineExceeded",
  "BudgetSpent"
])

/** One failed attempt of a call, in words that hold no content. `waited` is the wait after it, in milliseconds. */
export interface Tried {
  readonly attempt: number
  readonly model: string
  readonly error: string
  readonly message: string
  readonly requestId?: string | undefined
  readonly waited?: number | undefined
}

const Tried: Schema.Codec<Tried> = Schema.Struct({
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
  limits: field(RateLimits),
  gaveUp: field(GaveUp),
  history: field(Schema.Array(Tried)),
  cause: optional(Schema.Defect())
}

export const sentence = (
  what: string,
  { detail, status }: { readonly detail?: unknown; readonly status?: unknown }
): string =>
  `${what}${status === undefined ? "" : ` (${String(status)})`}${detail === undefined ? "." : `: ${String(detail)}`}`
