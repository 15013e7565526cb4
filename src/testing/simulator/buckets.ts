/**
 * The rate limits of an account: token buckets that refill continuously, with the headers of the API.
 *
 * Source: platform.claude.com/docs/en/api/rate-limits ("token bucket algorithm", "Response headers").
 */
import * as DateTime from "effect/DateTime"

/** One bucket. `burst` is its capacity. Default: the refill of a minute. */
export interface Limit {
  readonly perMinute: number
  readonly burst?: number | undefined
}

/** The limits of the account. A missing limit means no limit. */
export interface Limits {
  readonly requests?: Limit | undefined
  /** Excludes tokens read from the cache. */
  readonly inputTokens?: Limit | undefined
  /** Taken when an answer ends: a bucket below zero refuses the next request. */
  readonly outputTokens?: Limit | undefined
  /** How many requests may run at once. More are refused without a `retry-after`. */
  readonly concurrent?: number | undefined
}

/** A bucket with its level. Amounts are in requests or tokens, times in milliseconds. */
export interface Bucket {
  /** The amount available now. */
  readonly level: (now: number) => number
  readonly take: (now: number, amount: number) => void
  /** Milliseconds until the amount is available. */
  readonly wait: (now: number, amount: number) => number
  readonly headers: (now: number, epoch: number) => Headers
}

type Headers = Readonly<Record<string, string>>

const unlimited: Bucket = { level: () => Infinity, take: () => {}, wait: () => 0, headers: () => ({}) }

/** Added to each level, because rounding may leave a bucket a millionth short. */
const rounding = 1e-6

/** A full bucket. `name` is its name in the headers. */
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

/** Formats a time, rounded up to the second as in the API. */
const rfc3339 = (millis: number): string =>
  DateTime.formatIso(DateTime.makeUnsafe(Math.ceil(millis / 1000) * 1000)).replace(".000Z", "Z")
