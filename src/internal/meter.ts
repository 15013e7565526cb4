/**
 * What is left of a quota for one class of models: estimates what a request will use, takes that, settles it with what
 * was used, and learns from both and from what the API says of its buckets.
 */
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { isNumber, isObject } from "effect/Predicate"
import type { CountParams } from "../Claude.ts"
import type { ClaudeError, InvalidRequest, RateLimited } from "../ClaudeError.ts"
import type * as Guard from "../guard/Guard.ts"
import * as Quota from "../guard/Quota.ts"
import type { RateLimits, Request, Usage } from "../Message.ts"
import { isCached, spent, tooLarge } from "./admissionEnds.ts"
import * as Estimate from "./estimate.ts"
import { countable } from "./request.ts"
import * as Stated from "./stated.ts"

/** What a request costs, and how long it is. */
export interface Priced {
  readonly cost: Quota.Amount
  readonly characters: number
}

/** What a meter needs of the place where it is built. */
export interface Place {
  /** The account and the class of models. */
  readonly key: string
  readonly quota: Quota.Settings & { readonly limits: Quota.Amount; readonly store: Quota.Store }
  readonly countTokens: (params: CountParams) => Effect.Effect<number, ClaudeError>
  /** Told when the store fails. */
  readonly onStoreError: (cause: Cause.Cause<unknown>) => Effect.Effect<void>
}

/** What is left, in a store. What it asks is an `Exit` where the store is in memory. */
export class Meter {
  readonly place: Place
  readonly estimator = new Estimate.Estimator()
  /** What is known of the limits of the account: what was said, or less, if the API says so. */
  stated: Quota.Amount
  buckets: Quota.Buckets
  /** When the store said last that it may have what was asked for, and how long that was then. */
  notBefore = 0
  waited = 0

  constructor(place: Place) {
    this.place = place
    this.stated = place.quota.limits
    this.buckets = Quota.bucketsOf(place.quota, this.stated)
  }

  // ---------------------------------------------------------------------------
  // Taking
  // ---------------------------------------------------------------------------

  /** What a request costs, or why it can never be sent. */
  price({ params }: Request): Effect.Effect<Priced, InvalidRequest> {
    const { countTokens, quota } = this.place
    const { characters, input, output } = this.estimator.of(params)
    const within = (input: number, least: number): Exit.Exit<Priced, InvalidRequest> => {
      if (least > this.stated.input && !isCached(params)) {
        return Exit.fail(tooLarge(params.model, least, this.stated.input, quota.per))
      }
      return Exit.succeed(this.fit({ cost: { requests: 1, input, output }, characters }))
    }
    if (quota.estimate === "characters" || this.buckets.capacity.input === Infinity) {
      return within(input, Estimate.atLeast(characters))
    }
    return Effect.matchEffect(Effect.interruptible(countTokens(countable(params))), {
      onSuccess: (tokens) => within(tokens, tokens),
      onFailure: () => within(input, Estimate.atLeast(characters))
    })
  }

  /** What is estimated to be more than there ever is may be less, and goes when all is there: all that is known of now. */
  fit(priced: Priced): Priced {
    const { characters, cost: { input, output, requests } } = priced
    const { capacity } = this.buckets
    return input <= capacity.input && output <= capacity.output ? priced : {
      characters,
      cost: { requests, input: Math.min(input, capacity.input), output: Math.min(output, capacity.output) }
    }
  }

  /** Takes it and answers 0, or takes nothing and answers in how many milliseconds it may be there. */
  take(cost: Quota.Amount, now: number): Effect.Effect<number> {
    const { key } = this.place
    const taken = this.stored(
      (store, buckets) => store.take(key, buckets, cost, now),
      ({ take }, buckets) => take(key, buckets, cost, now),
      0
    )
    return Effect.mapEager(taken, (wait) => {
      // Another answer than a time is none.
      if (!(wait > 0)) return 0
      if (wait < Infinity) {
        this.notBefore = now + wait
        this.waited = wait
      }
      return wait
    })
  }

  /** In how many milliseconds it may be there, for the first of those who wait or for this one. */
  waitFor(cost: Quota.Amount, now: number): Effect.Effect<number> {
    return Effect.mapEager(this.left(now), (left) => {
      const waits = Quota.dimensions.map((of) =>
        left === undefined || cost[of] <= left[of] ? 0 : (cost[of] - left[of]) / this.buckets.refill[of]
      )
      return Math.ceil(Math.max(1, Math.min(this.waited, this.notBefore - now), ...waits))
    })
  }

  /** What is left, if the store says so. */
  left(now: number): Effect.Effect<Quota.Amount | undefined> {
    const { key } = this.place
    return this.stored<Quota.Amount | undefined>(
      (store, buckets) => store.levels(key, buckets, now),
      ({ levels }, buckets) => levels(key, buckets, now),
      undefined
    )
  }

  // ---------------------------------------------------------------------------
  // Giving back
  // ---------------------------------------------------------------------------

  /** Gives back, or (negative) takes what was used beyond an estimate. */
  add(amount: Quota.Amount, now: number): Effect.Effect<void> {
    const { key } = this.place
    return this.stored(
      (store, buckets) => store.add(key, buckets, amount, now),
      ({ add }, buckets) => add(key, buckets, amount, now),
      undefined
    )
  }

  /** Settles what was taken with what was used, as far as that is known; learns from answers, and from what errors say. */
  settle(
    { characters, cost }: Priced,
    exit: Guard.Ending,
    error: ClaudeError | undefined,
    usage: Usage | undefined,
    isAnswer: boolean,
    now: number
  ): Effect.Effect<void> {
    if (isAnswer && usage !== undefined) this.estimator.learn(characters, usage)
    const used = spent(cost, exit, error, usage)
    const rest = Quota.build((of) => cost[of] - used[of])
    const isEven = rest.requests === 0 && rest.input === 0 && rest.output === 0
    return Effect.flatMapEager(isEven ? Exit.void : this.add(rest, now), () => this.heard(error, now))
  }

  // ---------------------------------------------------------------------------
  // What the API says
  // ---------------------------------------------------------------------------

  /** Lowers the levels to what is left, and the limits, which come per minute, if they are lower than was said. */
  sync(seen: RateLimits, until: number | undefined, now: number): Effect.Effect<void> {
    const { key, quota } = this.place
    const atMost: { -readonly [D in keyof Quota.Amount]?: number } = {}
    const minutes = quota.per / 60_000
    const limits = Quota.build((of) => {
      const { limit } = seen[names[of]] ?? nothingKnown
      return isCount(limit) && limit > 0 ? Math.min(quota.limits[of], limit * minutes) : this.stated[of]
    })
    for (const of of Quota.dimensions) {
      const { remaining } = seen[names[of]] ?? nothingKnown
      // What is kept free is not ours.
      if (isCount(remaining) && limits[of] < Infinity) {
        atMost[of] = Math.max(0, remaining - (limits[of] / minutes) * (1 - quota.headroom))
      }
    }
    if (Quota.dimensions.some((of) => limits[of] !== this.stated[of])) {
      this.stated = limits
      this.buckets = Quota.bucketsOf(quota, limits)
    }
    if (until === undefined && Object.keys(atMost).length === 0) return Exit.void
    return this.stored(
      (store, buckets) => store.sync(key, buckets, { atMost, until }, now),
      (store, buckets) => store.sync(key, buckets, { atMost, until }, now),
      undefined
    )
  }

  heard(error: ClaudeError | undefined, now: number): Effect.Effect<void> {
    if (error === undefined) return Exit.void
    if (error._tag === "RateLimited") return this.drain(error, now)
    const seen = Stated.nextTo(error)
    return seen === undefined ? Exit.void : this.sync(seen, undefined, now)
  }

  /** There is nothing left, or the API would have answered. Where the traffic only grew too fast, there is. */
  drain({ limits, ramp, retryAfter }: RateLimited, now: number): Effect.Effect<void> {
    const seen: RateLimits = isObject(limits) ? limits : {}
    const isKnown = Quota.dimensions.some((of) => seen[names[of]]?.remaining === 0)
    const drained = ramp === true || isKnown
      ? seen
      : { ...seen, requests: { ...nothingKnown, ...seen.requests, remaining: 0 } }
    const wait = retryAfter === undefined ? 0 : Duration.toMillis(retryAfter)
    return this.sync(drained, now + Math.min(wait, longestPause), now)
  }

  /** Asks the store: at once, if it is in memory. It may fail: then nobody is limited. */
  stored<A>(
    ask: (store: Quota.Store, buckets: Quota.Buckets) => Effect.Effect<A, unknown>,
    unsafe: (store: Quota.Unsafe, buckets: Quota.Buckets) => A,
    otherwise: A
  ): Effect.Effect<A> {
    const { buckets, place: { onStoreError, quota: { store } } } = this
    return store.unsafe !== undefined
      ? Exit.succeed(unsafe(store.unsafe, buckets))
      : Effect.catchCause(
        Effect.suspend(() => ask(store, buckets)),
        (cause) => Effect.as(onStoreError(cause), otherwise)
      )
  }
}

/** A hint that is longer is likelier a mistake than true, and is given again if it is: an hour, in milliseconds. */
const longestPause = 3_600_000

/** What is free. */
export const free = Exit.succeed<Priced>({ cost: Quota.none, characters: 0 })

/** Limits of our own errors are checked, those of others may be anything. */
const isCount = (value: unknown): value is number => isNumber(value) && value >= 0

const nothingKnown = { limit: undefined, remaining: undefined, reset: undefined }

/** The dimensions as the API names them. */
const names = { requests: "requests", input: "inputTokens", output: "outputTokens" } as const
