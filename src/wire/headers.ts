/** What the headers of a response say: how long to wait, whether to ask again, what is left of the account's limits. */
import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"
import type { RateLimits } from "../Message.ts"

/** Reads one header, whatever holds the headers. */
export type HeaderOf = (name: string) => string | undefined

/** A hint that is longer is likelier a mistake (a date in seconds, a year) than true, and is none: a day, in milliseconds. */
const longestHint = 86_400_000

/**
 * The wait the server asks for: milliseconds first, then seconds, then a date; nothing that is past or no time at all. A
 * date is measured against the server's own `date`, because our clock may be wrong.
 */
export const retryAfterOf = (header: HeaderOf, now: number): Duration.Duration | undefined => {
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
export const verdictOf = (header: string | undefined): boolean | undefined =>
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
