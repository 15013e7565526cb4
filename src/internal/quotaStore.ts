/** Levels of quotas in memory. What is full is forgotten when another is asked for. */
import * as Effect from "effect/Effect"
import type { Amount, Buckets, Store, Unsafe } from "../guard/Quota.ts"
import { build, dimensions } from "./amounts.ts"

interface Bucket {
  levels: Amount
  at: number
  /** Nothing is taken before then. */
  until: number
  /** From when on it is as one that is not there. */
  fullAt: number
}

/** Keeps levels in memory. */
export const memory = (): Store => {
  const kept = new Map<string, Bucket>()

  const refilled = (key: string, { capacity, refill }: Buckets, now: number) => {
    const bucket = kept.get(key)
    if (bucket === undefined) {
      for (const [other, { fullAt }] of kept) if (fullAt <= now) kept.delete(other)
      const made = { levels: capacity, at: now, until: 0, fullAt: now }
      kept.set(key, made)
      return made
    }
    const passed = Math.max(0, now - bucket.at)
    bucket.levels = build((of) =>
      capacity[of] === Infinity ? Infinity : Math.min(capacity[of], bucket.levels[of] + refill[of] * passed)
    )
    bucket.at = now
    return bucket
  }

  const unsafe: Unsafe = {
    take: (key, buckets, cost, now) => {
      const bucket = refilled(key, buckets, now)
      const { levels } = bucket
      const wait = (of: keyof Amount) =>
        cost[of] <= levels[of] + rounding ? 0 : (cost[of] - levels[of] - rounding) / buckets.refill[of]
      const longest = Math.max(wait("requests"), wait("input"), wait("output"), bucket.until - now)
      if (longest > 0) return Math.max(1, Math.ceil(longest))
      bucket.levels = build((of) => levels[of] - cost[of])
      bucket.fullAt = fullAt(bucket, buckets)
      return 0
    },
    add: (key, buckets, amount, now) => {
      const bucket = refilled(key, buckets, now)
      const { levels } = bucket
      bucket.levels = build((of) => Math.min(buckets.capacity[of], levels[of] + amount[of]))
      bucket.fullAt = fullAt(bucket, buckets)
    },
    sync: (key, buckets, { atMost, until = 0 }, now) => {
      const bucket = refilled(key, buckets, now)
      const { levels } = bucket
      bucket.levels = build((of) => Math.min(levels[of], atMost[of] ?? Infinity))
      bucket.until = Math.max(bucket.until, until)
      bucket.fullAt = fullAt(bucket, buckets)
    },
    levels: (key, buckets, now) => refilled(key, buckets, now).levels
  }
  return {
    unsafe,
    take: (...args) => Effect.sync(() => unsafe.take(...args)),
    add: (...args) => Effect.sync(() => unsafe.add(...args)),
    sync: (...args) => Effect.sync(() => unsafe.sync(...args)),
    levels: (...args) => Effect.sync(() => unsafe.levels(...args))
  }
}

/** Rounding must not make anybody wait another millisecond. */
const rounding = 1e-6

const fullAt = ({ at, levels, until }: Bucket, { capacity, refill }: Buckets): number =>
  Math.max(
    until,
    ...dimensions.map((of) => capacity[of] === Infinity ? at : at + (capacity[of] - levels[of]) / refill[of])
  )
