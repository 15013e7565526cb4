/**
 * The quota of one class of models: estimates the cost of a request, takes it, settles it with the usage, and learns
 * from usage and from the rate-limit headers.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { isObject } from "effect/Predicate"
import { beforeAnswer } from "../../answer/unstreamed.ts"
import type { ClaudeError, InvalidRequest, RateLimited } from "../../ClaudeError.ts"
import type { CountParams, Params, RateLimits, Usage } from "../../Message.ts"
import { isPermanent } from "../../permanence.ts"
import { countable } from "../../request/build.ts"
import { Prefixes } from "../../request/prefixes.ts"
import * as Estimate from "../../request/tokenEstimate.ts"
import { longestPause, tokensOf } from "../admission/pause.ts"
import type { Priced, Taken } from "../admission/ticket.ts"
import type * as Guard from "../Guard.ts"
import * as Amounts from "./amounts.ts"
import { Limits } from "./knownLimits.ts"
import type * as Quota from "./Quota.ts"
import type { Settings } from "./settings.ts"
import { spent, tooLarge } from "./spent.ts"

export interface Place {
  /** Account and class of models: the key in the store. */
  readonly key: string
  readonly quota: Settings & { readonly limits: Quota.Amount; readonly store: Quota.Levels }
  readonly countTokens: (params: CountParams) => Effect.Effect<number, ClaudeError>
}

export class Meter {
  readonly place: Place
  readonly estimator: Estimate.Estimator
  readonly prefixes = new Prefixes()
  readonly limits: Limits
  /** The amount that this process has taken, less the amount that it gave back. */
  total = Amounts.zero

  constructor(place: Place, estimator: Estimate.Estimator) {
    this.place = place
    this.estimator = estimator
    this.limits = new Limits(place.quota, place.quota.limits)
  }

  // ---------------------------------------------------------------------------
  // Taking
  // ---------------------------------------------------------------------------

  /** Fails if even the lowest estimate of the input exceeds the limit per period: the request could never be sent. */
  price(params: Params, now: number): Effect.Effect<Priced, InvalidRequest> {
    const { countTokens, quota } = this.place
    const { content, input, output } = this.estimator.of(params)
    const within = (input: number, least: number, counted?: number): Effect.Effect<Priced, InvalidRequest> =>
      least > this.limits.stated.input && content.cached === undefined
        ? Effect.fail(tooLarge(params.model, least, this.limits.stated.input, quota.per))
        : Effect.succeed(this.fit({ cost: { requests: 1, input, output }, content, counted }, now))
    if (quota.estimate === "characters" || this.limits.buckets.capacity.input === Infinity) {
      return within(input, Estimate.atLeast(content.characters))
    }
    return Effect.matchEffect(Effect.interruptible(beforeAnswer(countTokens(countable(params)))), {
      onSuccess: (tokens) => within(tokens, tokens, tokens),
      onFailure: () => within(input, Estimate.atLeast(content.characters))
    })
  }

  /**
   * Recalculates a cost with the cached prefixes and the limits that are known now. Input read from the cache is free.
   * An estimate above the capacity may be too high, so it is reduced to the capacity: such a request leaves when the
   * bucket is full.
   */
  fit(priced: Priced, now: number): Priced {
    const { content, cost, counted } = priced
    const { capacity } = this.limits.buckets
    const found = content.cached && this.prefixes.find(content, now)
    const input = found === undefined
      ? cost.input
      : counted === undefined
      ? this.estimator.input(content, found[0])
      : Math.max(0, counted - found[1])
    return input === cost.input && input <= capacity.input && cost.output <= capacity.output ? priced : {
      ...priced,
      cost: {
        requests: cost.requests,
        input: Math.min(input, capacity.input),
        output: Math.min(cost.output, capacity.output)
      }
    }
  }

  /**
   * The lowest likely cost: all content marked for caching is read from the cache, and the answer is no longer than
   * usual.
   */
  least({ content, cost }: Priced): Quota.Amount {
    const rest = content.cached === undefined ? cost.input : this.estimator.input(content, content.cached)
    return {
      requests: cost.requests,
      input: Math.min(cost.input, rest),
      output: Math.min(cost.output, this.estimator.usualOutput)
    }
  }

  /** Takes the cost and returns 0, or takes nothing and returns the milliseconds until it may be available. */
  take(cost: Quota.Amount, now: number): Effect.Effect<number> {
    const { key, quota: { store } } = this.place
    this.limits.refresh(now)
    return Effect.map(store.take(key, this.limits.buckets, cost, now), (wait) => {
      // Written so that any other value counts as 0: a user's store may return `undefined` or `NaN`.
      if (wait > 0) return wait
      this.total = Amounts.plus(this.total, cost)
      return 0
    })
  }

  /** Minimum milliseconds until `amount` is available. */
  waitFor(amount: Quota.Amount, now: number): Effect.Effect<number> {
    return Effect.map(this.left(now), (left) => {
      const waits = Amounts.dimensions.map((of) =>
        left === undefined || amount[of] <= left[of] ? 0 : (amount[of] - left[of]) / this.limits.buckets.refill[of]
      )
      // A shortfall of less than 1e-6 ms is a rounding error.
      return Math.ceil(Math.max(0, ...waits) - 1e-6)
    })
  }

  /** `undefined` if the levels are unknown. */
  left(now: number): Effect.Effect<Quota.Amount | undefined> {
    const { key, quota: { store } } = this.place
    this.limits.refresh(now)
    return store.levels(key, this.limits.buckets, now)
  }

  // ---------------------------------------------------------------------------
  // Giving back
  // ---------------------------------------------------------------------------

  /** Gives an unused amount back to the store. A negative amount takes the usage beyond the estimate. */
  add(amount: Quota.Amount, now: number): Effect.Effect<void> {
    if (amount.requests === 0 && amount.input === 0 && amount.output === 0) return Effect.void
    const { key, quota: { store } } = this.place
    this.total = Amounts.minus(this.total, amount)
    return store.add(key, this.limits.buckets, amount, now)
  }

  /**
   * Call when an answer begins. Corrects the cost with the input tokens, and the levels with the headers, of the
   * answer.
   */
  begun(priced: Priced, usage: Usage, limits: RateLimits, taken: Taken, now: number): Effect.Effect<Priced> {
    const { content, cost } = priced
    const isKnown = Estimate.allInputOf(usage) > 0
    const input = isKnown ? Estimate.inputOf(usage) : cost.input
    if (isKnown) this.prefixes.learn(content, usage, now)
    this.limits.show(limits)
    return Effect.flatMap(
      this.add({ requests: 0, input: cost.input - input, output: 0 }, now),
      () => Effect.map(this.sync(limits, taken, now), () => ({ ...priced, cost: { ...cost, input } }))
    )
  }

  /** Gives back the unused part of the cost. Learns from answers, and from the limits that errors report. */
  settle(
    { content, cost }: Priced,
    exit: Guard.Ending,
    error: ClaudeError | undefined,
    usage: Usage | undefined,
    isAnswer: boolean,
    taken: Taken,
    now: number
  ): Effect.Effect<void> {
    if (isAnswer && usage !== undefined) {
      this.prefixes.learn(content, usage, now)
      this.estimator.learn(content, usage)
      this.estimator.learnOutput(usage)
    }
    const rest = Amounts.minus(cost, spent(cost, exit, error, usage))
    const added = this.add(rest, now)
    return error === undefined ? added : Effect.flatMap(added, () => this.heard(error, cost, taken, now))
  }

  // ---------------------------------------------------------------------------
  // Reports of the API
  // ---------------------------------------------------------------------------

  /** Lowers the levels to what the API reports. */
  sync(seen: RateLimits, taken: Taken, now: number, refused: Quota.Seen = { atMost: {} }): Effect.Effect<void> {
    const { key, quota: { store } } = this.place
    const heard = this.limits.hear(seen, taken.at, Amounts.minus(this.total, taken.total), now)
    const all: Quota.Seen = { atMost: { ...refused.atMost, ...heard }, until: refused.until }
    if (all.until === undefined && Object.keys(all.atMost).length === 0) return Effect.void
    return store.sync(key, this.limits.buckets, all, now)
  }

  heard(error: ClaudeError, cost: Quota.Amount, taken: Taken, now: number): Effect.Effect<void> {
    if (error._tag === "RateLimited" && !isPermanent(error)) return this.refused(error, cost, taken, now)
    return isObject(error.limits) ? this.sync(error.limits, taken, now) : Effect.void
  }

  /**
   * Handles a 429. If only tokens ran out, lowers the levels to what the error reports, and does nothing else. Otherwise,
   * also holds all requests for the `retry-after`, at most for `longestPause`, and sets the level of requests to 0. If
   * traffic only grew too fast (`ramp`), the level of requests is not set to 0.
   */
  refused(
    { limits, ramp, retryAfter }: RateLimited,
    cost: Quota.Amount,
    taken: Taken,
    now: number
  ): Effect.Effect<void> {
    const seen: RateLimits = isObject(limits) ? limits : {}
    const isPause = tokensOf(limits, () => cost) === undefined
    const wait = retryAfter === undefined || !isPause ? 0 : Math.min(Duration.toMillis(retryAfter), longestPause)
    return this.sync(seen, taken, now, {
      atMost: ramp === true || !isPause ? {} : { requests: 0 },
      until: wait > 0 ? now + wait : undefined
    })
  }
}
