/**
 * From whatever went wrong to a `ClaudeError`.
 *
 * Decided by structure (`status`, `error.type`, `error_code`, the chain of
 * causes), never by class: the SDK's CommonJS and ESM builds have different
 * ones, and a stream can carry an error without a status. The order is error
 * code, then the few words that mean more than type and status say
 * (`errorWords`), then type, then status.
 */
import type * as Duration from "effect/Duration"
import * as ClaudeError from "../ClaudeError.ts"
import type { RateLimits } from "../Message.ts"
import * as Codes from "./errorCodes.ts"
import * as Words from "./errorWords.ts"
import { rateLimitsOf, retryAfterOf, verdictOf } from "./headers.ts"
import { codeOf, headersOf, innermost, number, plain, property, saidBy, string, unnumbered } from "./readFailure.ts"

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
  const tag = Codes.ofCode(errorCode) ?? Codes.ofCode(type)
    ?? Words.tagOf(words ?? (body === undefined ? unnumbered(plain(failure)) : undefined), status, type)
    ?? Codes.ofType(type)
    ?? (status === undefined ? undefined : Codes.ofStatus(status))
    ?? (type === undefined ? undefined : type === "invalid_request_error" ? "InvalidRequest" : "ServerFault")
    // An error was sent that does not say which.
    ?? (property(failure, "error") == null ? undefined : "UnexpectedResponse")
  if (tag === undefined) return unanswered(failure, common, context)

  return answered(tag, common, { words, limits, retryAfter: retryAfterOf(header, context.now) })
}

/** The API said what is wrong. */
const answered = (
  tag: Codes.Answered,
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
      return new ClaudeError.SpendLimitReached({ ...common, regainsAt: Words.regainsAt(words) })
    case "Overloaded":
    case "ServerFault":
      return new ClaudeError[tag]({ ...common, retryAfter })
    case "AuthenticationFailed":
    case "PermissionDenied":
    case "ResourceNotFound":
    case "RequestTooLarge":
    case "ContextWindowExceeded":
    case "UnexpectedResponse":
      return new ClaudeError[tag](common)
    case "InvalidRequest":
      return new ClaudeError.InvalidRequest({ ...common, sent: true })
  }
}

/** Time-outs of the transport below us. */
const slow = /^(UND_ERR_(CONNECT|HEADERS|BODY)_TIMEOUT|ETIMEDOUT)$/

/** Codes of the operating system and of undici; `ERR_…` is Node's, for what is wrong on our side. */
const system = /^(E(?!RR_)|UND_ERR_)/

/** What was to be sent, or what was to send it, is not what it should be: a dispatcher of another undici, for one. */
const unsendable = "UND_ERR_INVALID_ARG"

/** Codes of zlib, brotli and zstd: a body that is not what its `content-encoding` says. */
const undecodable = /^(Z_|ZSTD_|ERR_?_ERROR_|ERR_BROTLI)/

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
    ? new ClaudeError.AuthenticationFailed({ ...common, detail: plain(failure), cause: failure })
    : new ClaudeError.InvalidRequest({ ...common, sent: false, detail: plain(failure), cause: failure })
}
