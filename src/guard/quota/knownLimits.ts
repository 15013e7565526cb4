import { isNumber } from "effect/Predicate"
import type { RateLimits } from "../../Message.ts"
import * as Amounts from "./amounts.ts"
import type * as Quota from "./Quota.ts"
import { bucketsOf, type Settings } from "./settings.ts"

/** Milliseconds for which a reported `remaining` is trusted: the limits of the API are per minute. */
const freshFor = 60_000

/**
 * The limits of one class of models, from the options and from the headers of answers, and the buckets made of them.
 */
export class Limits {
  readonly settings: Settings
  /** The limits from the options. */
  readonly most: Quota.Amount
  /** The limits from the options, or lower limits that the API reported. */
  stated: Quota.Amount
  buckets: Quota.Buckets
  /** Until when the reported `remaining` can be trusted, by dimension. */
  readonly freshUntil = { requests: -Infinity, input: -Infinity, output: -Infinity }
  /**
   * The highest `remaining` that answers reported: an estimate of the size of the API's bucket, which may be less than
   * the limit per minute (such as 4 requests with a limit of 180). `1 - headroom` of this size stays unused.
   */
  readonly mostSeen = { requests: 0, input: 0, output: 0 }
  /**
   * The largest burst of requests that the API is known to accept, from the `remaining` of answers; 0 if unknown.
   * Larger bursts are not sent, because the API might reject a part of them.
   */
  shown = 0
  /** When the first value of `freshUntil` expires. */
  nextAt = Infinity

  constructor(settings: Settings, most: Quota.Amount) {
    this.settings = settings
    this.most = most
    this.stated = most
    this.buckets = bucketsOf(settings, most)
  }

  /** Rebuilds the buckets if a value of `freshUntil` has expired. */
  refresh(now: number): void {
    if (now >= this.nextAt) this.tune(now)
  }

  /** Call when an answer begins. `remaining` does not include the request of that answer, hence + 1. */
  show({ requests }: RateLimits): void {
    if (isCount(requests?.remaining)) this.shown = Math.max(this.shown, requests.remaining + 1)
  }

  /**
   * Learns from the headers of an answer, whose limits are per minute, and returns upper bounds for the levels. The API
   * reported `remaining` as of `at`, when the request was sent: since then its bucket was refilled, and other requests
   * of this process took `later`. Subtracts `1 - headroom` of the size of the bucket (`mostSeen`), to leave it unused.
   */
  hear(seen: RateLimits, at: number, later: Quota.Amount, now: number): Partial<Quota.Amount> {
    const { per, told } = this.settings
    const atMost: { -readonly [D in keyof Quota.Amount]?: number } = {}
    this.stated = Amounts.build((of) => {
      const { limit } = seen[names[of]] ?? nothingKnown
      return isCount(limit) && limit > 0 ? Math.min(this.most[of], limit * per / 60_000) : this.stated[of]
    })
    const limits = Amounts.build((of) => this.stated[of] * 60_000 / per)
    for (const of of Amounts.dimensions) {
      const { remaining } = seen[names[of]] ?? nothingKnown
      if (!isCount(remaining) || this.stated[of] === Infinity) continue
      this.freshUntil[of] = now + freshFor
      const back = limits[of] * told.headroom / 60_000 * (now - at)
      const size = this.mostSeen[of] = Math.min(limits[of], Math.max(this.mostSeen[of], remaining))
      // The API rejects a request for which too little remains, so its bucket never falls below 0, and it rounds
      // `remaining` down. If the estimate is below -1, the API must have rejected some of the requests in `later`, and
      // these took nothing from its bucket.
      const least = -1
      atMost[of] = Math.max(least, remaining + back - Math.max(0, later[of])) - (1 - told.headroom) * size
    }
    this.tune(now)
    return atMost
  }

  tune(now: number): void {
    const isTold = (of: keyof Quota.Amount) => now < this.freshUntil[of]
    const { capacity, refill } = bucketsOf(this.settings, this.stated, isTold)
    const requests = this.shown === 0 ? capacity.requests : Math.min(capacity.requests, this.shown)
    this.buckets = { refill, capacity: { ...capacity, requests } }
    this.nextAt = Math.min(...Amounts.dimensions.filter(isTold).map((of) => this.freshUntil[of]))
  }
}

/** Errors made by this library have valid limits; errors made by other code may contain anything. */
const isCount = (value: unknown): value is number => isNumber(value) && value >= 0

const nothingKnown = { limit: undefined, remaining: undefined }

const names = { requests: "requests", input: "inputTokens", output: "outputTokens" } as const
