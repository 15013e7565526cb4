import * as Duration from "effect/Duration"
import { type AnswerOptions, event, events, stream } from "./answers.ts"
import { anyId } from "./requestId.ts"
import type { End, Turn } from "./turn.ts"

// -----------------------------------------------------------------------------
// Errors with a status
// -----------------------------------------------------------------------------

/** The body of an API error. The fakes replace its placeholder `request_id` with the id of the request. */
export const errorBody = (type: string, message: string, details?: object): string =>
  JSON.stringify({
    type: "error",
    error: { type, message, ...(details === undefined ? undefined : { details }) },
    request_id: anyId
  })

/** A response that is not a stream. Default content type: JSON. `api`: with the headers of the API (default: true). */
export const respond = (status: number, body: string, options: {
  readonly name?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly api?: boolean | undefined
  readonly end?: End | undefined
} = {}): Turn => ({
  name: options.name ?? `a ${status}`,
  after: 0,
  head: { status, headers: { "content-type": "application/json", ...options.headers }, api: options.api ?? true },
  body: body === "" ? [] : [{ after: 0, bytes: body }],
  end: options.end ?? "end"
})

/** An error response of the API. */
export const fails = (
  status: number,
  type: string,
  message: string,
  options: { readonly details?: object | undefined; readonly headers?: Readonly<Record<string, string>> | undefined } =
    {}
): Turn =>
  respond(status, errorBody(type, message, options.details), { name: `a ${status} ${type}`, headers: options.headers })

const drained = Object.fromEntries(
  ["requests", "input-tokens", "output-tokens", "tokens"].map((name) => [`anthropic-ratelimit-${name}-remaining`, "0"])
)

/**
 * A 429. Without `retryAfter`, it has no `retry-after` header. `ramp` adds the error code `ramp_limit_exceeded`: traffic
 * grew too fast.
 */
export const rateLimited = (retryAfter?: Duration.Input, options: { readonly ramp?: boolean | undefined } = {}): Turn =>
  fails(
    429,
    "rate_limit_error",
    "This request would exceed your organization's rate limit of 2,000,000 input tokens per minute.",
    {
      details: options.ramp === true ? { error_code: "ramp_limit_exceeded" } : undefined,
      headers: {
        ...drained,
        "x-should-retry": "true",
        ...(retryAfter === undefined ? undefined : { "retry-after": String(Duration.toMillis(retryAfter) / 1000) })
      }
    }
  )

/** A 429 without `retry-after`: the monthly spend limit of the account. */
export const spendLimited: Turn = fails(
  429,
  "rate_limit_error",
  "You have reached your API usage limits: your organization has crossed its monthly API usage threshold. You will regain access on 2026-12-01 at 00:00 UTC.",
  { details: { error_code: "enforced_spend_limit_reached" } }
)

/** A 400 without an error code: a spend limit that the account set itself. */
export const ownSpendLimit: Turn = fails(
  400,
  "invalid_request_error",
  "You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."
)

/** A 529, which becomes `Overloaded`. */
export const overloaded: Turn = fails(529, "overloaded_error", "Overloaded", { headers: { "x-should-retry": "true" } })

/** A 500, which becomes `ServerFault`. */
export const serverError: Turn = fails(500, "api_error", "Internal server error")

/** A 504, which becomes `ServerFault`. */
export const gatewayTimeout: Turn = fails(504, "timeout_error", "Request timed out")

/** A 401, which becomes `AuthenticationFailed`. */
export const unauthorized: Turn = fails(401, "authentication_error", "Invalid bearer token")

/** A 402, which becomes `SpendLimitReached`. */
export const billing: Turn = fails(402, "billing_error", "The linked organization has reached its spend limit.", {
  details: { error_code: "linked_organization_spend_limit_reached" }
})

/** A 403, which becomes `PermissionDenied`. */
export const forbidden: Turn = fails(
  403,
  "permission_error",
  "Your API key does not have permission to use this resource."
)

/** A 404, which becomes `ResourceNotFound`. */
export const notFound: Turn = fails(404, "not_found_error", "model: claude-nope-1")

/** A 413 from the proxy in front of the API, which becomes `RequestTooLarge`. */
export const tooLarge: Turn = respond(413, "<html><head><title>413 Request Entity Too Large</title></head></html>", {
  name: "a 413 page",
  headers: { "content-type": "text/html" },
  api: false
})

/** A 400, which becomes `ContextWindowExceeded`. */
export const promptTooLong: Turn = fails(
  400,
  "invalid_request_error",
  "prompt is too long: 250000 tokens > 200000 maximum"
)

/** An HTML page from a proxy, without a request id. */
export const html = (status: number): Turn =>
  respond(status, `<html>\r\n<head><title>${status} Bad Gateway</title></head>\r\n<body>cloudflare</body>\r\n</html>`, {
    name: `a ${status} page`,
    headers: { "content-type": "text/html", server: "cloudflare", "cf-ray": "8f00fake0a1b2c3d-AMS" },
    api: false
  })

// -----------------------------------------------------------------------------
// Broken transports and broken streams
// -----------------------------------------------------------------------------

const headless = (name: string, end: End, raw?: string): Turn => ({
  name,
  after: 0,
  head: raw === undefined ? undefined : { raw },
  body: [],
  end
})

/** Resets the connection before the headers. */
export const reset: Turn = headless("a reset", "reset")

/** Closes the connection before the headers. */
export const hangUp: Turn = headless("a closed connection", "cut")

/** Accepts the request and never answers. */
export const silence: Turn = headless("silence", "silence")

/** Answers with bytes that are not HTTP. */
export const garbage: Turn = headless("garbage", "cut", "\u0000\u0001 this is not HTTP\r\n\r\n")

/** Writes `text`, then breaks off: by default the connection is closed before the end of the stream. */
export const breaks = (text: string, end: End = "cut", options?: AnswerOptions): Turn =>
  stream(events(text, options).slice(0, -3), {
    name: `a stream that breaks (${typeof end === "string" ? end : "forever"})`,
    every: options?.every,
    end,
    anyModel: options?.model === undefined
  })

/** Writes `text`, then an `error` event. With an empty `text`, the stream has only that event. */
export const errorAfter = (text: string, type = "overloaded_error", message = "Overloaded"): Turn =>
  stream(
    [...text === "" ? [] : events(text).slice(0, -3), event("error", { error: { details: null, type, message } })],
    {
      name: `a stream with an ${type}`,
      anyModel: true
    }
  )

const pinging = (every: Duration.Input): End => ({
  forever: { after: Duration.toMillis(every), bytes: event("ping", {}) }
})

/** Starts an answer, writes `text`, then pings forever. */
export const pings = (text = "", every: Duration.Input = "5 seconds"): Turn =>
  stream(text === "" ? events("").slice(0, 1) : events(text).slice(0, -3), {
    name: "pings only",
    end: pinging(every),
    anyModel: true
  })

/** Writes a complete answer and keeps the socket open. */
export const lingers = (text: string): Turn =>
  stream(events(text), { name: "an answer that lingers", end: "silence", anyModel: true })
