import { errorBody } from "../failures.ts"
import { apiHeaders } from "../turn.ts"

/**
 * The faults of a request, in the order of the type: a 529, a 500, a reset before the headers, a request that gets no
 * headers, a 502 page of a proxy, a page with status 200, an answer that breaks off after its first token, a 429, and a
 * spend limit.
 */
export type Fault =
  | "overloaded"
  | "serverError"
  | "reset"
  | "stall"
  | "htmlError"
  | "htmlPage"
  | "break"
  | "rateLimited"
  | "spendCap"

/** A response that is not a stream of events. */
export interface Response {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const json = { "content-type": "application/json" }
const page = { "content-type": "text/html", server: "cloudflare" }
const html = (title: string) => `<html>\r\n<head><title>${title}</title></head>\r\n<body>cloudflare</body>\r\n</html>`

/** Without the rate limits, because the simulated API has limits of its own. */
const api = (index: number): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(apiHeaders(index)).filter(([name]) => !name.startsWith("anthropic-ratelimit-")))

const error = (
  index: number,
  status: number,
  type: string,
  message: string,
  headers: object = {},
  details?: object
) => ({
  status,
  headers: { ...json, ...api(index), ...headers },
  body: errorBody(type, message, details)
})

export const streamHeaders = (index: number, limits: Readonly<Record<string, string>>) => ({
  "content-type": "text/event-stream; charset=utf-8",
  "request-id": `req_fake_${index + 1}`,
  ...limits
})

/** `retryAfter` is in whole seconds. */
export const rateLimited = (index: number, retryAfter: number | undefined, limits: Readonly<Record<string, string>>) =>
  error(
    index,
    429,
    "rate_limit_error",
    "This request would exceed your organization's rate limit.",
    {
      ...limits,
      "x-should-retry": "true",
      ...(retryAfter === undefined ? undefined : { "retry-after": String(retryAfter) })
    }
  )

/** `retryAfter` is in whole seconds. A reset, a stall and a broken answer have no error response. */
export const responses: {
  readonly [F in Exclude<Fault, "reset" | "stall" | "break">]: (index: number, retryAfter?: number) => Response
} = {
  overloaded: (index) => error(index, 529, "overloaded_error", "Overloaded", { "x-should-retry": "true" }),
  serverError: (index) => error(index, 500, "api_error", "Internal server error"),
  htmlError: () => ({ status: 502, headers: page, body: html("502 Bad Gateway") }),
  htmlPage: () => ({ status: 200, headers: page, body: html("Please wait") }),
  rateLimited: (index, retryAfter) => rateLimited(index, retryAfter, {}),
  spendCap: (index) =>
    error(
      index,
      429,
      "rate_limit_error",
      "You have reached your API usage limits: your organization has crossed its monthly API usage threshold. "
        + "You will regain access on 2026-12-01 at 00:00 UTC.",
      {},
      { error_code: "enforced_spend_limit_reached" }
    )
}
