/**
 * Rate limits: requests, input tokens and output tokens per minute, taken together or not at all.
 *
 * Uses token buckets that refill continuously, like the API. A level falls below zero if a call used more than
 * estimated and more than was left; later calls then wait until the level is high enough. Only a part of each limit is
 * used, because estimates err and other clients may use the account too: 83 % by default, or 95 % while answers report
 * how much remains at the API.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"

/**
 * The rate limits of an account, per minute unless `per` is set. Each class of models has them separately. A missing
 * limit means no limit, except in `classes`.
 */
export interface Limits {
  readonly requests?: number | undefined
  /** Excludes tokens read from the cache, as the API does. */
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
}

/** The rate limits of an account, and how much of them to use. */
export interface Options extends Limits {
  /** The period of the limits. Default: 1 minute. */
  readonly per?: Duration.Input | undefined
  /**
   * The share of the limits to use, from 0 to 1. Default: 0.83 (50 requests of 60), and 0.95 while answers report how
   * much remains at the API.
   */
  readonly headroom?: number | undefined
  /**
   * The share of the limits that may be used in one burst. Default: `headroom`. If the provider counts in a sliding
   * window instead of a token bucket, `headroom` and `burst` should add up to at most 1, such as 0.83 and 0.17.
   */
  readonly burst?: number | undefined
  /**
   * Other limits for some classes of models, by line (`opus`, `sonnet`, `haiku` …) or by model id. A class inherits
   * each limit that it does not set.
   */
  readonly classes?: { readonly [line: string]: Limits } | undefined
  /**
   * How to estimate input tokens: from characters (default), or with a free extra request to the API that counts them.
   */
  readonly estimate?: "characters" | "count" | undefined
}

export { memory } from "./store.ts"

/** An amount of quota: the cost of a request, or the levels of the buckets. */
export interface Amount {
  readonly requests: number
  readonly input: number
  readonly output: number
}

/** Token buckets, one per dimension. `Infinity` means no limit. */
export interface Buckets {
  readonly capacity: Amount
  /** Per millisecond. */
  readonly refill: Amount
}

/**
 * What the API reported. `atMost`: upper bounds for the levels. `until`: nothing may be taken before this time, in
 * milliseconds since the epoch.
 */
export interface Seen {
  readonly atMost: Partial<Amount>
  readonly until?: number | undefined
}

/**
 * Stores levels by key. Each method must be atomic. A missing bucket is full. `now` is in milliseconds since the epoch,
 * and never goes back within one process. A store that fails or takes more than a second is reported in the log, and
 * calls go on without a limit.
 */
export interface Store {
  /** Takes all of `cost` and returns 0, or takes nothing and returns the milliseconds until it may be available. */
  readonly take: (key: string, buckets: Buckets, cost: Amount, now: number) => Effect.Effect<number, unknown>
  /** Adds `amount` to the levels, up to the capacity. A negative amount is usage beyond the estimate. */
  readonly add: (key: string, buckets: Buckets, amount: Amount, now: number) => Effect.Effect<void, unknown>
  /** Lowers the levels to the amounts that the API reported. */
  readonly sync: (key: string, buckets: Buckets, seen: Seen, now: number) => Effect.Effect<void, unknown>
  /** The current levels; `undefined` if they are unknown. */
  readonly levels: (key: string, buckets: Buckets, now: number) => Effect.Effect<Amount | undefined, unknown>
}

/** The store of levels. Default: a memory store in each guarded `Claude`. */
export const Store = Context.Reference<Store | undefined>("resilient-claude/Quota/Store", {
  defaultValue: () => undefined
})

/** A store whose methods do not fail. */
export interface Levels extends Store {
  readonly take: (...asked: Parameters<Store["take"]>) => Effect.Effect<number>
  readonly add: (...asked: Parameters<Store["add"]>) => Effect.Effect<void>
  readonly sync: (...asked: Parameters<Store["sync"]>) => Effect.Effect<void>
  readonly levels: (...asked: Parameters<Store["levels"]>) => Effect.Effect<Amount | undefined>
}
