/**
 * Requests, input tokens and output tokens per minute, taken together or not at all.
 *
 * Token buckets that refill continuously, as those of the API do. A level may
 * fall below zero when a call used more than was estimated: the debt is waited
 * off. Less than the stated limit is used, because estimates err and others may
 * use the account too: 83 % by a count of our own, 95 % while answers say what
 * the API has counted.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Refuse from "../../options.ts"
import { build, dimensions } from "./amounts.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** The stated limits of an account, for a class of models. What is not given is not limited. */
export interface Limits {
  readonly requests?: number | undefined
  /** Without those that are read from the cache, as the API counts. */
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
}

/** How an account is limited, and how much of that to use. */
export interface Options extends Limits {
  /** In which time: 1 minute. */
  readonly per?: Duration.Input | undefined
  /**
   * Which share of the limits to use. Where it is not given: 0.83 by a count of our own (50 requests where 60 are allowed),
   * and 0.95 while answers say what the API has counted.
   */
  readonly headroom?: number | undefined
  /**
   * Which share of the limits may be used at once after a pause: as much as `headroom`. A provider that counts in a window
   * that slides wants `headroom` and `burst` to be at most 1 together: 0.83 and 0.17.
   */
  readonly burst?: number | undefined
  /** Other limits for some classes of models, by their line: `opus`, `sonnet`, `haiku` … or by id. */
  readonly classes?: { readonly [line: string]: Limits } | undefined
  /** How the input of a request is measured: by its characters, or by the API (a request more, which is free). */
  readonly estimate?: "characters" | "count" | undefined
}

export { build, dimensions, zero } from "./amounts.ts"
export { memory } from "./store.ts"

/** What a call uses, or how much there is. */
export interface Amount {
  readonly requests: number
  readonly input: number
  readonly output: number
}

/** Buckets, one for each dimension. `Infinity` is no limit. */
export interface Buckets {
  readonly capacity: Amount
  /** What comes back in a millisecond. */
  readonly refill: Amount
}

/** What the API said of a bucket: there is no more in it than that, and nothing before then (in milliseconds, as `now`). */
export interface Seen {
  readonly atMost: Partial<Amount>
  readonly until?: number | undefined
}

/**
 * Where levels are kept, by key. Each method is atomic; times are milliseconds since the epoch that never go back, and
 * what is not there is full. A store that fails, or takes more than a second, is reported, and stops no call.
 */
export interface Store {
  /** Takes all of `cost` and answers 0, or takes nothing and answers the milliseconds until it may be there. */
  readonly take: (key: string, buckets: Buckets, cost: Amount, now: number) => Effect.Effect<number, unknown>
  /** Adds to the levels: what is given back, or (negative) what was used beyond an estimate. */
  readonly add: (key: string, buckets: Buckets, amount: Amount, now: number) => Effect.Effect<void, unknown>
  /** Lowers the levels to what the API said. */
  readonly sync: (key: string, buckets: Buckets, seen: Seen, now: number) => Effect.Effect<void, unknown>
  /** The levels now, if they are known. */
  readonly levels: (key: string, buckets: Buckets, now: number) => Effect.Effect<Amount | undefined, unknown>
}

/** Where levels are kept: where nothing is said, in the memory of the guarded `Claude`. */
export const Store = Context.Reference<Store | undefined>("resilient-claude/Quota/Store", {
  defaultValue: () => undefined
})

/** A store that does not fail. */
export interface Levels extends Store {
  readonly take: (...asked: Parameters<Store["take"]>) => Effect.Effect<number>
  readonly add: (...asked: Parameters<Store["add"]>) => Effect.Effect<void>
  readonly sync: (...asked: Parameters<Store["sync"]>) => Effect.Effect<void>
  readonly levels: (...asked: Parameters<Store["levels"]>) => Effect.Effect<Amount | undefined>
}

/** The settings that were meant. */
export interface Settings {
  /** The class of a model, by its id if that has limits of its own, else by its line. */
  readonly classOf: (line: string | undefined, model: string) => { readonly name: string; readonly limits: Amount }
  readonly per: number
  /** What is used by a count of our own, and while the API says what it has counted. */
  readonly own: Share
  readonly told: Share
  readonly estimate: "characters" | "count"
}

/** What is used of a limit, in the long run and at once. */
export interface Share {
  readonly headroom: number
  readonly burst: number
}

/**
 * What is used of a limit. Sources: 50 of 60, as is usual in the field, for a count of our own; scenarios c3 and c4 (load
 * at the limit) for the other, where 83 % loses calls that the API would take.
 */
const usual = { own: 0.83, told: 0.95 }

const ownFields = { requests: true, inputTokens: true, outputTokens: true }

const fields = {
  ...ownFields,
  per: true,
  headroom: true,
  burst: true,
  classes: true,
  estimate: true
}

/** What is meant by the options. Throws a `RangeError` with a sentence if they contradict themselves. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("quota", options, fields)
  const { classes = {}, estimate = "characters" } = options
  Refuse.record("quota: classes", classes)
  const headroom = Refuse.share("quota: headroom", options.headroom ?? usual.own)
  const told = options.headroom ?? usual.told
  const burst = Refuse.share("quota: burst", options.burst ?? headroom)
  if (burst > headroom) {
    Refuse.refuse(`quota: burst (${burst}) is more than headroom (${headroom}), which is all there is: lower burst`)
  }
  if (estimate !== "characters" && estimate !== "count") {
    Refuse.refuse(`quota: estimate is ${String(estimate)}: it must be "characters" or "count"`)
  }
  const usual_ = amountOf("quota", options)
  const named = Object.entries(classes).map(([name, limits]) => {
    Refuse.unknown(`quota: classes.${name}`, limits, ownFields)
    return [name, amountOf(`quota: classes.${name}`, limitsOf(limits, options))] as const
  })
  if (
    [usual_, ...named.map(([, amount]) => amount)].every((amount) => dimensions.every((of) => amount[of] === Infinity))
  ) {
    Refuse.refuse("quota limits nothing: give requests, inputTokens or outputTokens, or leave it out")
  }
  const amounts = new Map(named)
  return {
    classOf: (line, model) => {
      const name = line === undefined || amounts.has(model) ? model : line
      return { name, limits: amounts.get(name) ?? usual_ }
    },
    per: Refuse.finite("quota: per", options.per ?? "1 minute"),
    own: { headroom, burst },
    told: { headroom: told, burst: options.burst ?? told },
    estimate
  }
}

/** A class inherits the limits that it does not set. */
const limitsOf = (own: Limits, all: Limits): Limits => ({
  requests: own.requests ?? all.requests,
  inputTokens: own.inputTokens ?? all.inputTokens,
  outputTokens: own.outputTokens ?? all.outputTokens
})

const amountOf = (where: string, { inputTokens, outputTokens, requests }: Limits): Amount => {
  const limit = (name: string, value: number | undefined) =>
    value === undefined
      ? Infinity
      : value > 0
      ? value
      : Refuse.refuse(`${where}.${name} is ${value}: it must be above 0`)
  return {
    requests: limit("requests", requests),
    input: limit("inputTokens", inputTokens),
    output: limit("outputTokens", outputTokens)
  }
}

/** The buckets for a stated limit: a request must fit in, whatever the burst. */
export const bucketsOf = (
  { own, per, told }: Settings,
  limits: Amount,
  isTold: (dimension: keyof Amount) => boolean = () => false
): Buckets => {
  const share = (of: keyof Amount) => isTold(of) ? told : own
  return {
    capacity: build((of) => Math.max(of === "requests" ? 1 : 0, limits[of] * share(of).burst)),
    refill: build((of) => limits[of] * share(of).headroom / per)
  }
}
