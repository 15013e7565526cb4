/**
 * The fields of errors are typed but not validated: an odd value from the network must not make the constructor or the
 * JSON codec of an error throw.
 */
import type { ContentBlock, Usage } from "@anthropic-ai/sdk/resources/messages"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { isUnknown } from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type { RateLimit, RateLimits } from "./Message.ts"

const encodeAnything = Schema.encodeUnknownSync(Schema.Defect())

/** Accepts any value. Encodes a value that does not fit `schema` as far as JSON can represent it. */
export const loose = <S extends Schema.ConstraintCodec<unknown, unknown>>(schema: S): Schema.declare<S["Type"]> => {
  const json = Schema.toCodecJson(schema)
  const encode = Schema.encodeUnknownOption(json)
  const decode = Schema.decodeUnknownOption(json)
  // Cast: the field has this type but accepts every value.
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

/** In JSON, `undefined` is `null`. `Undefined` comes first in the union, because `loose` would keep that `null`. */
const optional = <S extends Schema.Constraint>(schema: S) =>
  Schema.optionalKey(Schema.Union([Schema.Undefined, schema]))

export interface Field<A> extends Schema.optionalKey<Schema.Union<readonly [Schema.Undefined, Schema.declare<A>]>> {}

export const field = <S extends Schema.ConstraintCodec<unknown, unknown>>(schema: S): Field<S["Type"]> =>
  optional(loose(schema))

/** Casts: these SDK shapes are validated only as JSON. */
const Usage = Schema.Record(Schema.String, Schema.Json) as Schema.Codec<unknown, unknown> as Schema.Codec<Usage>
const Blocks = Schema.Array(Schema.Json) as Schema.Codec<unknown, unknown> as Schema.Codec<ReadonlyArray<ContentBlock>>

export const text = field(Schema.String)
const number = field(Schema.Finite)
export const flag = field(Schema.Boolean)
export const duration = field(Schema.Duration)
export const usage = field(Usage)

/** The tag of another error. A test keeps the list in step with `ClaudeError.Tag`. */
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

/** Text that the model wrote. `Redacted`, so that printing an error does not show it. */
export const content = optional(Schema.Redacted(loose(Schema.String)))

/** Like an issue of Standard Schema. `path` is the place in the request or the answer. */
export interface Issue {
  readonly path: ReadonlyArray<string | number>
  readonly message: string
}

const Issue: Schema.Codec<Issue> = Schema.Struct({
  path: Schema.Array(Schema.Union([Schema.String, Schema.Finite])),
  message: Schema.String
})

/** The problems of a request. Not `Redacted`, because the messages do not quote the prompt. */
export const issues = field(Schema.Array(Issue))

/** The problems of an answer. `Redacted`, because the messages quote the answer. */
export const secretIssues = optional(Schema.Redacted(loose(Schema.Array(Issue))))

/** A tool use as Claude wrote it: `json` is the text of the input. */
export interface WrittenUse {
  readonly id: string
  readonly name: string
  readonly json: string
}

const WrittenUse: Schema.Codec<WrittenUse> = Schema.Struct({
  id: Schema.String,
  name: Schema.String,
  json: Schema.String
})

export const toolUses = optional(Schema.Redacted(loose(Schema.Array(WrittenUse))))

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
 * Why no further attempt was made; the field `gaveUp` of an error.
 *
 * - `NotRetried`: the policy does not retry this kind of error, or a retry cannot help.
 * - `RetriesSpent`: all retries for this kind of error, or all retries of the call, were used.
 * - `DeadlineTooClose`: the next attempt could not end before the deadline of the call, or in the time for its model.
 * - `DeadlineExceeded`: the deadline passed.
 * - `BudgetSpent`: the retry budget of the process did not allow another attempt in time, or the process is about to stop.
 */
export type GaveUp = "NotRetried" | "RetriesSpent" | "DeadlineTooClose" | "DeadlineExceeded" | "BudgetSpent"

const GaveUp: Schema.Codec<GaveUp> = Schema.Literals([
  "NotRetried",
  "RetriesSpent",
  "DeadlineTooClose",
  "DeadlineExceeded",
  "BudgetSpent"
])

/** A failed attempt of a call. `error` is the tag of its error, `waited` the wait after the attempt in milliseconds. */
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
 * The optional fields of every error. `detail` is the message of the API or an explanation, `shouldRetry` the header
 * `x-should-retry`, `limits` the rate limits in the headers. A policy sets `gaveUp` and `history`.
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

/**
 * Describes a transport failure by its code. A connection that the other side closed and an answer that is not HTTP
 * have their own texts, because in these cases a server was reached.
 */
export const unreached = (code: unknown): string =>
  isNotHttp(code)
    ? `What answered is not valid HTTP${inBrackets(code)}: check the base URL, or look for a proxy in between`
    : isClosed(code)
    ? `The connection was lost before a response arrived${inBrackets(code)}`
    : `The API could not be reached${inBrackets(code)}`

/** Node's HTTP parser has a code for each problem; undici 7 gives its errors only a name. */
export const isNotHttp = (code: unknown): boolean => /^(HPE_|HTTPParserError$)/.test(String(code))

const isClosed = (code: unknown): boolean => /^(ECONNRESET|EPIPE|UND_ERR_SOCKET)$/.test(String(code))

export const sentence = (
  what: string,
  { detail, status }: { readonly detail?: unknown; readonly status?: unknown }
): string => `${what}${inBrackets(status)}${detail === undefined ? "." : `: ${String(detail)}`}`

/** Why a call may not be sent now, by the `by` of the `Saturated`. */
export const heldBack = ({ by, model }: { readonly by?: unknown; readonly model?: unknown }): string => {
  const call = model === undefined ? "" : ` to ${String(model)}`
  switch (by) {
    case "quota":
      return `The guards' quota leaves no room in time for a call${call}`
    case "pause":
      return `The pause after a 429 leaves no room in time for a call${call}`
    case "ramp":
      return `The slow start after a 429 leaves no room in time for a call${call}`
    case "drain":
      return "This process is about to stop and takes no new calls"
    default:
      return `Too many calls${call} are running or waiting${by === undefined ? "" : ` (${String(by)} limit)`}`
  }
}

export const inBrackets = (value: unknown): string => value === undefined ? "" : ` (${String(value)})`

/** What had not arrived when an attempt reached a time limit, by the `scope` of the `TimedOut`. */
export const missed: ReadonlyMap<unknown, string> = new Map([
  ["connect", ", before a response arrived"],
  ["firstToken", ", before any content arrived"],
  ["idle", ", in which nothing arrived"],
  ["contentIdle", ", in which no content arrived"],
  ["attempt", ", before the answer was complete"]
])

/** Empty for a limit that is missing, infinite or no duration, because errors do not validate their fields. */
export const ofLength = (limit: unknown): string =>
  Duration.isDuration(limit) && Duration.isFinite(limit)
    ? ` of ${Duration.format(Duration.millis(Math.round(Duration.toMillis(limit))))}`
    : ""

export const inSeconds = (what: string, wait: unknown): string =>
  Duration.isDuration(wait) ? `; ${what} in ${Math.ceil(Duration.toSeconds(wait))} s` : ""
