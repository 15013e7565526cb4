/**
 * Rate limits: requests, input tokens and output tokens per minute, taken together or not at all.
 *
 * Uses token buckets that refill continuously, like the API. A level may fall below zero if a call used more than
 * estimated; later calls wait until the debt is refilled. Only part of the stated limit is used, because estimates err
 * and other clients may share the account: 83 % by this process's own count, 95 % while answers report the API's count.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"

/** The rate limits of an account for each class of models. A missing limit means no limit. */
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
   * The share of the limits to use. Default: 0.83 by this process's own count (50 requests of 60), and 0.95 while
   * answers report the API's count.
   */
  readonly headroom?: number | undefined
  /**
   * The share of the limits that may be used in one burst. Default: `headroom`. For a provider with a sliding window,
   * `headroom` and `burst` should add up to at most 1, such as 0.83 and 0.17.
   */
  readonly burst?: number | undefined
  /**
   * Other limits for some classes of models, by line (`opus`, `sonnet`, `haiku` …) or by model id. A limit that is missing
   * in a class is the limit of the account.
   */
  readonly classes?: { readonly [line: string]: Limits } | undefined
  /** How to estimate input tokens: from characters (default), or with a free extra request to the API that counts them. */
  readonly estimate?: "characters" | "count" | undefined
}

export { memory } from "./store.ts"

/** An amount of quota: a cost, or a level. */
export interface Amount {
  readonly requests: number
  readonly input: number
  readonly output: number
}

/** Token buckets, one per dimension. `Infinity` means no limit. */
export interface Buckets {
  readonly capacity: Amount
  /** Amount per millisecond. */
  readonly refill: Amount
}

/**
 * The API's report: upper bounds for the levels, and a time before which nothing may be taken (in milliseconds, like
 * `now`).
 */
export interface Seen {
  readonly atMost: Partial<Amount>
  readonly until?: number | undefined
}

/**
 * Stores levels by key. Each method must be atomic. Times are milliseconds since the epoch that never go back; a
 * missing bucket is full. A store that fails or takes more than a second is reported in the log, and calls go on
 * without a limit.
 */
export interface Store {
  /** Takes all of `cost` and returns 0, or takes nothing and returns the milliseconds until it may be available. */
  readonly take: (key: string, buckets: Buckets, cost: Amount, now: number) => Effect.Effect<number, unknown>
  /** Adds `amount` to the levels: an unused part, or (negative) usage beyond an estimate. */
  readonly add: (key: string, buckets: Buckets, amount: Amount, now: number) => Effect.Effect<void, unknown>
  /** Lowers the levels to the amounts that the API reported. */
  readonly sync: (key: string, buckets: Buckets, seen: Seen, now: number) => Effect.Effect<void, unknown>
  /** The current levels; `undefined` if they are unknown. */
  readonly levels: (key: string, buckets: Buckets, now: number) => Effect.Effect<Amount | undefined, unknown>
}

/** The store of levels. Default: the memory of the guarded `Claude`. */
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
