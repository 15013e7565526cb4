/**
 * The rate limits of an account: token buckets that refill continuously, with the headers of the API.
 *
 * Source: platform.claude.com/docs/en/api/rate-limits ("token bucket algorithm", "Response headers").
 */
import * as DateTime from "effect/DateTime"

/** A rate limit, as a token bucket. */
export interface Limit {
  readonly perMinute: number
  /** The capacity of the bucket. Default: the refill of one minute. */
  readonly burst?: number | undefined
}

/** The rate limits of the account. A missing field means no limit. */
export interface Limits {
  readonly requests?: Limit | undefined
  /** Excludes tokens read from the cache. */
  readonly inputTokens?: Limit | undefined
  /** Taken when an answer ends, so the bucket may fall below zero. With less than one token in it, all requests are refused. */
  readonly outputTokens?: Limit | undefined
  /** How many requests may run at once. Further requests get a 429 without a `retry-after`. */
  readonly concurrent?: number | undefined
}

/** Amounts are in requests or tokens, times in milliseconds. */
export interface Bucket {
  readonly level: (now: number) => number
  readonly take: (now: number, amount: number) => void
  /** The time until `amount` is available, or until the bucket is full if `amount` exceeds its capacity. */
  readonly wait: (now: number, amount: number) => number
  readonly headers: (now: number, epoch: number) => Headers
}

type Headers = Readonly<Record<string, string>>

const unlimited: Bucket = { level: () => Infinity, take: () => {}, wait: () => 0, headers: () => ({}) }

/** Added to each level, because floating-point errors may leave a bucket a millionth short. */
const rounding = 1e-6

/** Starts full. `name` is the name of the limit in the headers. */
export const bucket = (name: string, limit: Limit | undefined): Bucket => {
  if (limit === undefined) return unlimited
  const { burst = limit.perMinute, perMinute } = limit
  const perMillisecond = perMinute / 60_000
  let left = burst
  let at = 0
  const level = (now: number) => {
    left = Math.min(burst, left + (now - at) * perMillisecond)
    at = now
    return left + rounding
  }
  return {
    level,
    take: (now, amount) => {
      level(now)
      left -= amount
    },
    wait: (now, amount) => Math.max(0, Math.min(amount, burst) - level(now)) / perMillisecond,
    headers: (now, epoch) => {
      const remaining = Math.max(0, Math.floor(level(now)))
      return {
        [`anthropic-ratelimit-${name}-limit`]: String(perMinute),
        [`anthropic-ratelimit-${name}-remaining`]: String(remaining),
        [`anthropic-ratelimit-${name}-reset`]: rfc3339(epoch + now + (burst - left) / perMillisecond)
      }
    }
  }
}

/** Rounds up to the second, as the API does. */
const rfc3339 = (millis: number): string =>
  DateTime.formatIso(DateTime.makeUnsafe(Math.ceil(millis / 1000) * 1000)).replace(".000Z", "Z")
