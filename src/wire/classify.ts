/**
 * From whatever went wrong to a `ClaudeError`.
 *
 * Decided by structure (`status`, `error.type`, `error_code`, the chain of
 * causes), never by class: the SDK's CommonJS and ESM builds have different
 * ones, and a stream can carry an error without a status. The order is error
 * code, then the few words that mean more than type and status say
 * (`errorWords`), then type, then status.
 */
import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import { hasProperty, isNumber, isObject, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import * as ClaudeError from "../ClaudeError.ts"
import type { RateLimits } from "../Message.ts"
import * as Words from "./errorWords.ts"

type Tag = ClaudeError.Tag

/** Reads one header, whatever holds the headers. */
export type HeaderOf = (name: string) => string | undefined

// -----------------------------------------------------------------------------
// Tables
// -----------------------------------------------------------------------------

/** Codes that say more than type and status do. Source: `core/error-classes.ts` of the SDK 1.14. */
const byCode: Readonly<Record<string, Tag>> = {
  enforced_spend_limit_reached: "SpendLimitReached",
  contract_spend_limit_reached: "SpendLimitReached",
  linked_organization_spend_limit_reached: "SpendLimitReached",
  linked_organization_billing_unavailable: "SpendLimitReached",
  ramp_limit_exceeded: "RateLimited",
  organization_on_hold: "Forbidden",
  request_body_too_large_after_decoding: "RequestTooLarge",
  // Transient, although their status is a 4xx.
  thread_continue_in_flight: "ServerFault",
  external_key_validation_timed_out: "ServerFault",
  request_body_timeout: "ServerFault",
  concurrent_membership_change: "ServerFault",
  external_key_changed: "ServerFault",
  scan_pending: "ServerFault",
  storage_changed_concurrently: "ServerFault",
  workspace_changed_concurrently: "ServerFault",
  // Permanent, although a 409 usually is not.
  skill_read_blocked_undecryptable: "InvalidRequest",
  plugin_name_taken: "InvalidRequest",
  skill_name_taken: "InvalidRequest",
  slack_channel_set_up_settings_conflict: "InvalidRequest",
  gcp_project_controlled_by_another_organization: "InvalidRequest",
  storage_already_registered: "InvalidRequest",
  storage_attached_during_archive: "InvalidRequest",
  storage_in_use: "InvalidRequest",
  // Gateways that speak the API of OpenAI: platform.openai.com/docs/guides/error-codes, docs.litellm.ai/docs/proxy/users.
  insufficient_quota: "SpendLimitReached",
  budget_exceeded: "SpendLimitReached",
  billing_hard_limit_reached: "SpendLimitReached"
}

/** `invalid_request_error` is missing: the API uses it for other statuses too. */
const byType: Readonly<Record<string, Tag>> = {
  authentication_error: "Unauthorized",
  billing_error: "SpendLimitReached",
  permission_error: "Forbidden",
  not_found_error: "NotFound",
  request_too_large: "RequestTooLarge",
  rate_limit_error: "RateLimited",
  timeout_error: "ServerFault",
  api_error: "ServerFault",
  overloaded_error: "Overloaded"
}

/** 409 is a conflict that may be gone the next time; the permanent ones have codes. */
const byStatus: Readonly<Record<number, Tag>> = {
  401: "Unauthorized",
  402: "SpendLimitReached",
  403: "Forbidden",
  404: "NotFound",
  408: "ServerFault",
  409: "ServerFault",
  413: "RequestTooLarge",
  429: "RateLimited",
  499: "ServerFault",
  529: "Overloaded"
}

const ofStatus = (status: number): Tag =>
  byStatus[status] ?? (status >= 500 ? "ServerFault" : status >= 400 ? "InvalidRequest" : "UnexpectedResponse")

/** Time-outs of the transport below us. */
const slow = /^(UND_ERR_(CONNECT|HEADERS|BODY)_TIMEOUT|ETIMEDOUT)$/

/** Codes of the operating system and of undici; `ERR_…` is Node's, for what is wrong on our side. */
const system = /^(E(?!RR_)|UND_ERR_)/

/** What was to be sent, or what was to send it, is not what it should be: a dispatcher of another undici, for one. */
const unsendable = "UND_ERR_INVALID_ARG"

/** Codes of zlib, brotli and zstd: a body that is not what its `content-encoding` says. */
const undecodable = /^(Z_|ZSTD_|ERR_?_ERROR_|ERR_BROTLI)/

/** Certificates that do not verify: waiting does not mend them. */
const certificate = /^(CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|ERR_TLS_CERT)/

// -----------------------------------------------------------------------------
// Classification
// -----------------------------------------------------------------------------

/** What is known about the call, besides the failure itself. */
export interface Context {
  readonly model?: string | undefined
  readonly requestId?: string | undefined
  /** Now, in milliseconds since the epoch: a `retry-after` may be a date. */
  readonly now: number
  /** Whether anything was sent. A failure before that is ours. */
  readonly sent?: boolean | undefined
}

/** Gives the one kind of error that `failure` is. It may be an error of the SDK, of `fetch`, an SSE error event, or anything. */
export const classify = (failure: unknown, context: Context): ClaudeError.ClaudeError => {
  const header = headersOf(failure)
  const { body, errorCode, type, words } = saidBy(property(failure, "error"))
  const status = number(property(failure, "status"))
  const limits = rateLimitsOf(header)
  const common = {
    model: context.model,
    requestId: header("request-id") ?? string(property(failure, "requestID"))
      ?? string(property(body, "request_id")) ?? context.requestId,
    status,
    errorCode,
    shouldRetry: verdictOf(header("x-should-retry")),
    detail: words ?? (status === undefined ? undefined : plain(failure)),
    limits: Object.keys(limits).length === 0 ? undefined : limits
  }
  const tag = entry(byCode, errorCode) ?? entry(byCode, type)
    ?? Words.tagOf(words ?? (body === undefined ? unnumbered(plain(failure)) : undefined), status, type)
    ?? entry(byType, type)
    ?? (status === undefined ? undefined : ofStatus(status))
    ?? (type === undefined ? undefined : type === "invalid_request_error" ? "InvalidRequest" : "ServerFault")
    // An error was sent that does not say which.
    ?? (property(failure, "error") == null ? undefined : "UnexpectedResponse")
  if (tag === undefined) return unanswered(failure, common, context)

  return answered(tag, common, { words, limits, retryAfter: retryAfterOf(header, context.now) })
}

/**
 * What the body of an error says: `{ error: { type, message } }`, the same without its wrapping, as the first of a list, or
 * under the names of a gateway: `detail` (LiteLLM), `errors` (Cloudflare), `Message` (AWS), `metadata.raw` (OpenRouter: what
 * the provider said).
 */
const saidBy = (sent: unknown) => {
  const body = first(sent)
  const inner = first(property(body, "error") ?? property(body, "errors") ?? property(body, "detail"))
  const fields = isObject(inner) ? inner : body
  const type = string(property(fields, "type"))
  const raw = string(property(property(fields, "metadata"), "raw"))
  const words = string(property(fields, "message")) ?? string(property(fields, "Message")) ?? string(inner)
    ?? string(property(fields, "error")) ?? string(body)
  return {
    body,
    type: type === "error" ? undefined : type,
    errorCode: string(property(property(fields, "details"), "error_code")) ?? named(property(fields, "code")),
    words: raw === undefined ? words : saidInside(raw) ?? words
  }
}

const first = (value: unknown): unknown => Array.isArray(value) ? value[0] : value

/** The words of an error that another one carries as text. */
const saidInside = (raw: string): string | undefined => {
  const inner = Result.try((): unknown => JSON.parse(raw))
  const error = Result.isSuccess(inner) ? first(property(first(inner.success), "error")) : undefined
  return string(property(error, "message")) ?? (Result.isFailure(inner) ? raw : undefined)
}

/** A code that is a word: gateways also repeat the status there, or say "None". */
const named = (code: unknown): string | undefined =>
  isString(code) && !/^(\d*|none|null)$/i.test(code) ? code : undefined

/** The SDK puts the status before words that are no JSON. */
const unnumbered = (words: string | undefined): string | undefined => words?.replace(/^\d{3} /, "")

/** The API said what is wrong. */
const answered = (
  tag: Tag,
  common: {
    readonly model: string | undefined
    readonly requestId: string | undefined
    readonly status: number | undefined
    readonly errorCode: string | undefined
    readonly shouldRetry: boolean | undefined
    readonly detail: string | undefined
    readonly limits: RateLimits | undefined
  },
  { limits, retryAfter, words }: {
    readonly words: string | undefined
    readonly limits: RateLimits
    readonly retryAfter: Duration.Duration | undefined
  }
): ClaudeError.ClaudeError => {
  switch (tag) {
    case "RateLimited":
      return new ClaudeError.RateLimited({
        ...common,
        retryAfter,
        limits,
        ramp: common.errorCode === "ramp_limit_exceeded"
      })
    case "SpendLimitReached":
      return new ClaudeError.SpendLimitReached({ ...common, regainsAt: regainsAt(words) })
    case "Overloaded":
      return new ClaudeError.Overloaded({ ...common, retryAfter })
    case "ServerFault":
      return new ClaudeError.ServerFault({ ...common, retryAfter })
    case "Unauthorized":
      return new ClaudeError.Unauthorized(common)
    case "Forbidden":
      return new ClaudeError.Forbidden(common)
    case "NotFound":
      return new ClaudeError.NotFound(common)
    case "RequestTooLarge":
      return new ClaudeError.RequestTooLarge(common)
    case "ContextWindowExceeded":
      return new ClaudeError.ContextWindowExceeded(common)
    case "UnexpectedResponse":
      return new ClaudeError.UnexpectedResponse(common)
    default:
      return new ClaudeError.InvalidRequest({ ...common, sent: true })
  }
}

/** No status and no body: the transport failed, or we did before it. */
const unanswered = (
  failure: unknown,
  common: { readonly model: string | undefined; readonly requestId: string | undefined },
  { sent = true }: Context
): ClaudeError.ClaudeError => {
  const name = string(property(failure, "name"))
  const code = codeOf(failure)
  if (name === "APIConnectionTimeoutError" || (code !== undefined && slow.test(code))) {
    const scope = code === "UND_ERR_BODY_TIMEOUT" ? "idle" : "connect"
    return new ClaudeError.TimedOut({ ...common, scope, cause: failure })
  }
  // Something came that cannot be read. Without the parser's words: they quote it.
  if (name === "SyntaxError") return new ClaudeError.UnexpectedResponse({ ...common, detail: "it is not JSON" })
  if (code !== undefined && undecodable.test(code)) {
    return new ClaudeError.UnexpectedResponse({ ...common, detail: "it cannot be decompressed", cause: failure })
  }
  if (code === unsendable) {
    const detail = plain(innermost(failure))
    return new ClaudeError.InvalidRequest({ ...common, sent: false, detail, cause: failure })
  }
  if (sent || name === "APIConnectionError" || (code !== undefined && system.test(code))) {
    return new ClaudeError.Unreachable({ ...common, code, cause: failure })
  }
  // Nothing was sent: the SDK could not get a credential, or could not build the request.
  return /credential|authentication|\btoken\b|WorkloadIdentity/i.test(`${name} ${plain(failure)}`)
    ? new ClaudeError.Unauthorized({ ...common, detail: plain(failure), cause: failure })
    : new ClaudeError.InvalidRequest({ ...common, sent: false, detail: plain(failure), cause: failure })
}

/**
 * Whether asking the same later cannot help, whatever a schedule says: the server said so (`x-should-retry: false`), a
 * request that is wrong or too large, an account without money, an answer longer than it may be, events that contradict
 * each other, an answer that any of these broke off, what is not implemented, a certificate that does not verify, a
 * circuit or a queue that does not say when to come back.
 */
export const isPermanent = (error: ClaudeError.ClaudeError): boolean => {
  // `true` changes nothing: a request that is wrong stays wrong.
  if (error.shouldRetry === false) return true
  switch (error._tag) {
    case "PartialAnswer":
      return error.permanent === true
    case "UnexpectedResponse":
      return error.contradiction === true
    // Isolated by hand; a queue that is full, or was waited in for as long as is allowed.
    case "CircuitOpen":
    case "Saturated":
      return error.retryAfter === undefined
    case "InvalidRequest":
    case "RequestTooLarge":
    case "ContextWindowExceeded":
    case "SpendLimitReached":
    case "Truncated":
      return true
    case "ServerFault":
      return error.status === 501 || error.status === 505
    case "Unreachable":
      return error.code !== undefined && certificate.test(error.code)
    default:
      return false
  }
}

/** Whether an error in the middle of an answer ends it for good. Before it, a caller may know better: a key was replaced. */
export const isPermanentMidway = (error: ClaudeError.ClaudeError): boolean =>
  isPermanent(error) || error._tag === "Unauthorized" || error._tag === "Forbidden" || error._tag === "NotFound"

// -----------------------------------------------------------------------------
// Headers
// -----------------------------------------------------------------------------

/** A hint that is longer is likelier a mistake (a date in seconds, a year) than true, and is none: a day, in milliseconds. */
export const longestHint = 86_400_000

/**
 * The wait the server asks for: milliseconds first, then seconds, then a date; nothing that is past or no time at all. A
 * date is measured against the server's own `date`, because our clock may be wrong.
 */
const retryAfterOf = (header: HeaderOf, now: number): Duration.Duration | undefined => {
  const seconds = header("retry-after")
  const date = dateOf(seconds)
  const millis = [
    numeric(header("retry-after-ms")),
    1000 * (numeric(seconds) ?? NaN),
    date === undefined ? undefined : date - (servedAt(header) ?? now)
  ].find((wait) => wait !== undefined && wait > 0 && wait <= longestHint)
  return millis === undefined ? undefined : Duration.millis(millis)
}

/** When the server says that it is: a cache adds how old its answer is. */
const servedAt = (header: HeaderOf): number | undefined => {
  const date = dateOf(header("date"))
  return date === undefined ? undefined : date + 1000 * (numeric(header("age")) ?? 0)
}

const dateOf = (value: string | undefined): number | undefined =>
  value === undefined ? undefined : Result.getOrUndefined(Headers.parseHttpDate(value))?.epochMilliseconds

/** What the server says about asking again. */
const verdictOf = (header: string | undefined): boolean | undefined =>
  header === "true" ? true : header === "false" ? false : undefined

/** The buckets of the account, from the `anthropic-ratelimit-*` headers. */
export const rateLimitsOf = (header: HeaderOf): RateLimits => {
  const limits: { -readonly [K in keyof RateLimits]: RateLimits[K] } = {}
  for (const [key, limit, remaining, reset] of buckets) {
    // One that is empty says nothing.
    const bucket = {
      limit: header(limit) || undefined,
      remaining: header(remaining) || undefined,
      reset: header(reset) || undefined
    }
    if (bucket.limit === undefined && bucket.remaining === undefined && bucket.reset === undefined) continue
    limits[key] = { limit: numeric(bucket.limit), remaining: numeric(bucket.remaining), reset: bucket.reset }
  }
  return limits
}

const bucket = (key: keyof RateLimits, name: string) =>
  [
    key,
    `anthropic-ratelimit-${name}-limit`,
    `anthropic-ratelimit-${name}-remaining`,
    `anthropic-ratelimit-${name}-reset`
  ] as const

/** The headers of each bucket. */
const buckets = [
  bucket("requests", "requests"),
  bucket("tokens", "tokens"),
  bucket("inputTokens", "input-tokens"),
  bucket("outputTokens", "output-tokens")
]

/** What is written in digits: nothing else is a number here, an empty text least of all. */
const numeric = (value: string | undefined): number | undefined => {
  const parsed = value !== undefined && digits.test(value) ? Number(value) : NaN
  return Number.isFinite(parsed) ? parsed : undefined
}

const digits = /^\s*\d+(\.\d+)?\s*$/

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

/** What is under a key, or nothing; also if the value throws when it is asked. */
const property = (value: unknown, key: string): unknown =>
  Result.getOrUndefined(Result.try(() => hasProperty(value, key) ? value[key] : undefined))

/** Not what every object has, like `constructor`. */
const entry = (table: Readonly<Record<string, Tag>>, key: string | undefined): Tag | undefined =>
  key !== undefined && Object.hasOwn(table, key) ? table[key] : undefined

const string = (value: unknown): string | undefined => isString(value) ? value : undefined
const number = (value: unknown): number | undefined => isNumber(value) ? value : undefined

/** What a failure says, short enough for a log: a proxy may send a whole page. */
const plain = (failure: unknown): string | undefined =>
  string(property(failure, "message"))?.replaceAll(/\s+/g, " ").slice(0, 200)

/** Reads the headers of a failure, if it has any. */
const headersOf = (failure: unknown): HeaderOf => {
  const headers = property(failure, "headers")
  const get = property(headers, "get")
  return typeof get === "function"
    ? (name) => string(Result.getOrUndefined(Result.try((): unknown => get.call(headers, name))))
    : () => undefined
}

/** The innermost code in the chain of causes: `ECONNRESET` and its like. */
const codeOf = (failure: unknown, depth = 0): string | undefined =>
  failure === undefined || depth > 8
    ? undefined
    : codeOf(property(failure, "cause"), depth + 1) ?? string(property(failure, "code"))

/** The last in the chain of causes. */
const innermost = (failure: unknown, depth = 0): unknown => {
  const cause = property(failure, "cause")
  return cause == null || depth > 8 ? failure : innermost(cause, depth + 1)
}

/** "… You will regain access on 2026-12-01 at 00:00 UTC." */
const regainsAt = (words: string | undefined): string | undefined => {
  const [, day, time = "00:00"] = /regain access on (\d{4}-\d\d-\d\d)(?: at (\d\d:\d\d))?/i.exec(words ?? "") ?? []
  return day === undefined ? undefined : `${day}T${time}:00Z`
}
