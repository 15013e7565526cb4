import * as Effect from "effect/Effect"
import { build, dimensions, minus } from "./amounts.ts"
import type { Amount, Buckets, Levels } from "./Quota.ts"

interface Bucket {
  /** The buckets that the last access passed in. */
  buckets: Buckets
  levels: Amount
  at: number
  /** Nothing may be taken before this time. */
  until: number
}

/** Stores levels in the memory of this process. Full buckets are dropped when a new bucket is created. */
export const memory = (): Levels => {
  const kept = new Map<string, Bucket>()

  const refilled = (key: string, buckets: Buckets, now: number) => {
    const { capacity, refill } = buckets
    const bucket = kept.get(key)
    if (bucket === undefined) {
      for (const [other, known] of kept) if (fullAt(known) <= now) kept.delete(other)
      const made: Bucket = { buckets, levels: capacity, at: now, until: 0 }
      kept.set(key, made)
      return made
    }
    const passed = Math.max(0, now - bucket.at)
    bucket.levels = build((of) =>
      capacity[of] === Infinity ? Infinity : Math.min(capacity[of], bucket.levels[of] + refill[of] * passed)
    )
    bucket.at = now
    bucket.buckets = buckets
    return bucket
  }

  return {
    take: (key, buckets, cost, now) =>
      Effect.sync(() => {
        const bucket = refilled(key, buckets, now)
        const { levels } = bucket
        const wait = (of: keyof Amount) =>
          cost[of] <= levels[of] + rounding ? 0 : (cost[of] - levels[of] - rounding) / buckets.refill[of]
        const longest = Math.max(wait("requests"), wait("input"), wait("output"), bucket.until - now)
        if (longest > 0) return Math.max(1, Math.ceil(longest))
        bucket.levels = minus(levels, cost)
        return 0
      }),
    add: (key, buckets, amount, now) =>
      Effect.sync(() => {
        const bucket = refilled(key, buckets, now)
        const { levels } = bucket
        bucket.levels = build((of) => Math.min(buckets.capacity[of], levels[of] + amount[of]))
      }),
    sync: (key, buckets, { atMost, until = 0 }, now) =>
      Effect.sync(() => {
        const bucket = refilled(key, buckets, now)
        const { levels } = bucket
        bucket.levels = build((of) => Math.min(levels[of], atMost[of] ?? Infinity))
        bucket.until = Math.max(bucket.until, until)
      }),
    levels: (key, buckets, now) => Effect.sync(() => refilled(key, buckets, now).levels)
  }
}

/** Tolerance, so that rounding errors do not delay a call by a millisecond. */
const rounding = 1e-6

/** The time from which a bucket is full. It can then be dropped, because a missing bucket counts as full. */
const fullAt = ({ at, buckets: { capacity, refill }, levels, until }: Bucket): number =>
  Math.max(
    until,
    ...dimensions.map((of) => capacity[of] === Infinity ? at : at + (capacity[of] - levels[of]) / refill[of])
  )
