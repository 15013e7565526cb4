/** What is known of the limits of an account: what was said, and what answers say of it. */
import { isNumber } from "effect/Predicate"
import type { RateLimits } from "../../Message.ts"
import * as Quota from "./Quota.ts"

/** How long the API's own count is used after an answer that says it, in milliseconds: its limits are per minute. */
const freshFor = 60_000

/** The limits of one class of models, and the buckets for them. */
export class Limits {
  readonly settings: Quota.Settings
  readonly most: Quota.Amount
  /** What was said, or less, if the API says so. */
  stated: Quota.Amount
  buckets: Quota.Buckets
  /** Until when the API's own count is fresh. */
  readonly freshUntil = { requests: -Infinity, input: -Infinity, output: -Infinity }
  /** The most that was left of each bucket: it may hold less than the limit of a minute. Scenario c: 4 of 180. */
  readonly mostSeen = { requests: 0, input: 0, output: 0 }
  /** How many requests its bucket holds, as far as answers have shown: more are not sent at once. Scenario: bursts of 20 on 4. */
  shown = 0
  /** When the first of them is not fresh any more. */
  nextAt = Infinity

  constructor(settings: Quota.Settings, most: Quota.Amount) {
    this.settings = settings
    this.most = most
    this.stated = most
    this.buckets = Quota.bucketsOf(settings, most)
  }

  /** Forgets what is not fresh any more. */
  refresh(now: number): void {
    if (now >= this.nextAt) this.tune(now)
  }

  /** An answer begins: its request was taken from what it says is left. */
  show({ requests }: RateLimits): void {
    if (isCount(requests?.remaining)) this.shown = Math.max(this.shown, requests.remaining + 1)
  }

  /**
   * What there is at most, from what an answer says: its limits are per minute. The API counted when the request came,
   * at a time `at`: since then some has come back, and what was taken `later` is not in it. What is kept free is not ours.
   */
  hear(seen: RateLimits, at: number, later: Quota.Amount, now: number): Partial<Quota.Amount> {
    const { per, told } = this.settings
    const atMost: { -readonly [D in keyof Quota.Amount]?: number } = {}
    this.stated = Quota.build((of) => {
      const { limit } = seen[names[of]] ?? nothingKnown
      return isCount(limit) && limit > 0 ? Math.min(this.most[of], limit * per / 60_000) : this.stated[of]
    })
    const limits = Quota.build((of) => this.stated[of] * 60_000 / per)
    for (const of of Quota.dimensions) {
      const { remaining } = seen[names[of]] ?? nothingKnown
      if (!isCount(remaining) || this.stated[of] === Infinity) continue
      this.freshUntil[of] = now + freshFor
      const back = limits[of] * told.headroom / 60_000 * (now - at)
      const size = this.mostSeen[of] = Math.min(limits[of], Math.max(this.mostSeen[of], remaining))
      // At least -1: `remaining` is rounded down and never negative. Requests that would take it lower were refused.
      const least = -1
      atMost[of] = Math.max(least, remaining + back - Math.max(0, later[of])) - (1 - told.headroom) * size
    }
    this.tune(now)
    return atMost
  }

  tune(now: number): void {
    const isTold = (of: keyof Quota.Amount) => now < this.freshUntil[of]
    const { capacity, refill } = Quota.bucketsOf(this.settings, this.stated, isTold)
    const requests = this.shown === 0 ? capacity.requests : Math.min(capacity.requests, this.shown)
    this.buckets = { refill, capacity: { ...capacity, requests } }
    this.nextAt = Math.min(...Quota.dimensions.filter(isTold).map((of) => this.freshUntil[of]))
  }
}

/** Limits of our own errors are checked, those of others may be anything. */
const isCount = (value: unknown): value is number => isNumber(value) && value >= 0

const nothingKnown = { limit: undefined, remaining: undefined }

/** The dimensions as the API names them. */
const names = { requests: "requests", input: "inputTokens", output: "outputTokens" } as const
