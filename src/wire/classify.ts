/**
 * Turns any failure into a `ClaudeError`.
 *
 * Decides by structure (`status`, `error.type`, `error_code`, the chain of
 * causes), never by class, because the SDK's CommonJS and ESM builds have
 * different classes, and the SDK chooses the class by the status, which an error
 * in a stream may lack. The error code decides first, then known phrases of the
 * message (`errorWords`), then the type, then the status.
 */
import type * as Duration from "effect/Duration"
import * as ClaudeError from "../ClaudeError.ts"
import type { RateLimits } from "../Message.ts"
import * as Codes from "./errorCodes.ts"
import * as Words from "./errorWords.ts"
import { rateLimitsOf, retryAfterOf, verdictOf } from "./headers.ts"
import { codeOf, headersOf, innermost, number, plain, property, responseText, saidBy, string } from "./readFailure.ts"

export interface Context {
  readonly model?: string | undefined
  readonly requestId?: string | undefined
  /** The current time in milliseconds since the epoch, for a `retry-after` that is a date. */
  readonly now: number
  /** `false` if the request was perhaps not sent: then the key or the request may be the cause. Default: `true`. */
  readonly sent?: boolean | undefined
}

/** Classifies `failure`: an error of the SDK or of `fetch`, an SSE error event (`{ error: body }`), or any other value. */
export const classify = (failure: unknown, context: Context): ClaudeError.ClaudeError => {
  const header = headersOf(failure)
  const said = saidBy(property(failure, "error"))
  const { body, errorCode, type, words } = said
  const status = number(property(failure, "status"))
  // A gateway that has already sent a 200 can report the status of a later error only in the body.
  const told = status === undefined || status < 300 ? said.status : status
  const limits = rateLimitsOf(header)
  const common = {
    model: context.model,
    requestId: header("request-id") ?? string(property(failure, "requestID"))
      ?? string(property(body, "request_id")) ?? context.requestId,
    status,
    errorCode,
    shouldRetry: verdictOf(header("x-should-retry")),
    detail: isRedirect(status) ? redirect : words ?? (status === undefined ? undefined : responseText(failure)),
    limits: Object.keys(limits).length === 0 ? undefined : limits
  }
  const proxy = status === 407 ? "407" : proxyStatusOf(failure)
  if (proxy !== undefined) {
    const detail = proxy === "407"
      ? "the proxy requires a user and a password: put them into its URL, http://user:password@host:port"
      : `the proxy refused the connection (${proxy})`
    return new ClaudeError.Unreachable({ ...common, detail, code: `PROXY_${proxy}`, cause: failure })
  }
  const tag = Codes.ofCode(errorCode) ?? Codes.ofCode(type)
    ?? Words.tagOf(words ?? (body === undefined ? responseText(failure) : undefined), told, type)
    ?? Codes.ofType(type) ?? Codes.ofType(errorCode)
    ?? (told === undefined ? undefined : Codes.ofStatus(told))
    ?? (type === undefined ? undefined : type === "invalid_request_error" ? "InvalidRequest" : "ServerFault")
    // The failure has an error body, but no type and no status.
    ?? (property(failure, "error") == null ? undefined : "UnexpectedResponse")
  if (tag === undefined) return unanswered(failure, common, context)

  return answered(tag, common, { words, limits, retryAfter: retryAfterOf(header, context.now) })
}

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

const isRedirect = (status: number | undefined): boolean => status !== undefined && redirects.has(status)
const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
const redirect = "a redirect, which is not followed: check the base URL, or look for a proxy in between"

/** The message of the innermost cause, if it says more than the SDK's. A JSON parser's is left out: it quotes the body. */
const reasonOf = (failure: unknown): string | undefined => {
  const last = innermost(failure)
  const words = property(last, "name") === "SyntaxError" ? "" : plain(last)
  if (words === "bad port") return "fetch blocks the port in the base URL"
  return words === "" || words === "Connection error." ? undefined : words
}

/** The status of a proxy that refused a tunnel. For a 407, the error of Node's `fetch` has no message and no code. */
const proxyStatusOf = (failure: unknown): string | undefined => {
  const last = innermost(failure)
  const words = string(property(last, "message"))
  return words === "" && last !== failure && codeOf(failure) === undefined
    ? "407"
    : /^Proxy response \((\d{3})\) !== 200/.exec(words ?? "")?.[1]
}

const slow = /^(UND_ERR_(CONNECT|HEADERS|BODY)_TIMEOUT|ETIMEDOUT)$/

/** Codes of the operating system and of undici. Codes that begin with `ERR_` mean a mistake of the program. */
const system = /^(E(?!RR_)|UND_ERR_)/

/** undici's code for an invalid argument, such as a malformed request or a dispatcher of another undici version. */
const unsendable = "UND_ERR_INVALID_ARG"

/** Codes of zlib, brotli and zstd: the body does not match its `content-encoding`. */
const undecodable = /^(Z_|ZSTD_|ERR_?_ERROR_|ERR_BROTLI)/

/** Builds the error for a failure in the transport, for an unreadable body, or for a request that was not sent. */
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
  // The message of the JSON parser is left out, because it quotes the body.
  if (name === "SyntaxError") {
    return new ClaudeError.UnexpectedResponse({
      ...common,
      detail: "the body is not JSON: look for a proxy or a gateway in between"
    })
  }
  if (code !== undefined && undecodable.test(code)) {
    return new ClaudeError.UnexpectedResponse({
      ...common,
      detail: "the body cannot be decompressed: look for a proxy or a gateway in between",
      cause: failure
    })
  }
  if (code === unsendable) {
    const detail = plain(innermost(failure))
    return new ClaudeError.InvalidRequest({ ...common, sent: false, detail, cause: failure })
  }
  if (sent || name === "APIConnectionError" || (code !== undefined && system.test(code))) {
    const detail = code === undefined ? reasonOf(failure) : undefined
    return new ClaudeError.Unreachable({ ...common, code, detail, cause: failure })
  }
  // Nothing was sent: the SDK could not get a credential, or it could not build the request.
  return /credential|authentication|\btoken\b|WorkloadIdentity/i.test(`${name} ${plain(failure)}`)
    ? new ClaudeError.AuthenticationFailed({ ...common, detail: plain(failure), cause: failure })
    : new ClaudeError.InvalidRequest({ ...common, sent: false, detail: plain(failure), cause: failure })
}
