/**
 * What is left of a quota for one class of models: estimates what a request will use, takes that, settles it with what
 * was used, and learns from both and from what the API says of its buckets.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { isObject } from "effect/Predicate"
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
import * as Quota from "./Quota.ts"
import { spent, tooLarge } from "./spent.ts"

/** What a meter needs of the place where it is built. */
export interface Place {
  /** The account and the class of models. */
  readonly key: string
  readonly quota: Quota.Settings & { readonly limits: Quota.Amount; readonly store: Quota.Levels }
  readonly countTokens: (params: CountParams) => Effect.Effect<number, ClaudeError>
}

/** What is left, in a store. */
export class Meter {
  readonly place: Place
  readonly estimator: Estimate.Estimator
  readonly prefixes = new Prefixes()
  readonly limits: Limits
  /** What was taken here in all, less what came back. */
  total = Quota.zero

  constructor(place: Place, estimator: Estimate.Estimator) {
    this.place = place
    this.estimator = estimator
    this.limits = new Limits(place.quota, place.quota.limits)
  }

  // ---------------------------------------------------------------------------
  // Taking
  // ---------------------------------------------------------------------------

  /** What a request costs, or why it can never be sent. */
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
    return Effect.matchEffect(Effect.interruptible(countTokens(countable(params))), {
      onSuccess: (tokens) => within(tokens, tokens, tokens),
      onFailure: () => within(input, Estimate.atLeast(content.characters))
    })
  }

  /**
   * The same by all that is known now. What is read from the cache is free. What is estimated to be more than there ever
   * is may be less, and goes when all is there.
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

  /** What it costs at least: what it marks to be cached may be read from there, and few answers are as long as they may be. */
  least({ content, cost }: Priced): Quota.Amount {
    const rest = content.cached === undefined ? cost.input : this.estimator.input(content, content.cached)
    return {
      requests: cost.requests,
      input: Math.min(cost.input, rest),
      output: Math.min(cost.output, this.estimator.usualOutput)
    }
  }

  /** Takes it and answers 0, or takes nothing and answers in how many milliseconds it may be there. */
  take(cost: Quota.Amount, now: number): Effect.Effect<number> {
    const { key, quota: { store } } = this.place
    this.limits.refresh(now)
    return Effect.map(store.take(key, this.limits.buckets, cost, now), (wait) => {
      // Another answer than a time is none.
      if (wait > 0) return wait
      this.total = Amounts.plus(this.total, cost)
      return 0
    })
  }

  /** In how many milliseconds there may be so much, at least. */
  waitFor(amount: Quota.Amount, now: number): Effect.Effect<number> {
    return Effect.map(this.left(now), (left) => {
      const waits = Quota.dimensions.map((of) =>
        left === undefined || amount[of] <= left[of] ? 0 : (amount[of] - left[of]) / this.limits.buckets.refill[of]
      )
      // What is a millionth short is rounding.
      return Math.ceil(Math.max(0, ...waits) - 1e-6)
    })
  }

  /** What is left, if the store says so. */
  left(now: number): Effect.Effect<Quota.Amount | undefined> {
    const { key, quota: { store } } = this.place
    this.limits.refresh(now)
    return store.levels(key, this.limits.buckets, now)
  }

  // ---------------------------------------------------------------------------
  // Giving back
  // ---------------------------------------------------------------------------

  /** Gives back, or (negative) takes what was used beyond an estimate. */
  add(amount: Quota.Amount, now: number): Effect.Effect<void> {
    if (amount.requests === 0 && amount.input === 0 && amount.output === 0) return Effect.void
    const { key, quota: { store } } = this.place
    this.total = Amounts.minus(this.total, amount)
    return store.add(key, this.limits.buckets, amount, now)
  }

  /** An answer begins, and says what it has read: that much is known now, and what is left after it. */
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

  /** Settles what was taken with what was used, as far as that is known; learns from answers, and from what errors say. */
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
  // What the API says
  // ---------------------------------------------------------------------------

  /** Lowers the levels to what the API says is left. */
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

  /** There is too little left, or the API would have answered. Where the traffic only grew too fast, there is enough. */
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
