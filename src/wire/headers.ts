import * as Duration from "effect/Duration"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"
import type { RateLimits } from "../Message.ts"

export type HeaderOf = (name: string) => string | undefined

/** One day in milliseconds. A longer `retry-after` is ignored as a likely mistake, such as a Unix timestamp. */
const longestHint = 86_400_000

/**
 * Returns the wait that the server asks for: `retry-after-ms`, or `retry-after` in seconds or as a date. Ignores a wait
 * that is zero or in the past. Compares a date with the server's `date` header, because our clock may be wrong.
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

/** The server's time: its `date` header, plus the `age` header that a cache adds. */
const servedAt = (header: HeaderOf): number | undefined => {
  const date = dateOf(header("date"))
  return date === undefined ? undefined : date + 1000 * (numeric(header("age")) ?? 0)
}

const dateOf = (value: string | undefined): number | undefined =>
  value === undefined ? undefined : Result.getOrUndefined(Headers.parseHttpDate(value))?.epochMilliseconds

/** Whether the server allows a retry, from `x-should-retry`. `undefined` if the header is missing or has another value. */
export const verdictOf = (header: string | undefined): boolean | undefined =>
  header === "true" ? true : header === "false" ? false : undefined

export const rateLimitsOf = (header: HeaderOf): RateLimits => {
  const limits: { -readonly [K in keyof RateLimits]: RateLimits[K] } = {}
  for (const [key, limit, remaining, reset] of buckets) {
    // An empty header counts as missing.
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

const buckets = [
  bucket("requests", "requests"),
  bucket("tokens", "tokens"),
  bucket("inputTokens", "input-tokens"),
  bucket("outputTokens", "output-tokens")
]

/** Parses a decimal number. `Number` alone would also accept an empty text and `0x10`. */
const numeric = (value: string | undefined): number | undefined => {
  const parsed = value !== undefined && digits.test(value) ? Number(value) : NaN
  return Number.isFinite(parsed) ? parsed : undefined
}

const digits = /^\s*\d+(\.\d+)?\s*$/
