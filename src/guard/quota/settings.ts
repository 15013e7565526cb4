import * as Refuse from "../../options.ts"
import { build, dimensions } from "./amounts.ts"
import type { Amount, Buckets, Limits, Options } from "./Quota.ts"

export interface Settings {
  /** The class of a model: the model id if the options set limits for it, otherwise its line (such as `opus`). */
  readonly classOf: (line: string | undefined, model: string) => { readonly name: string; readonly limits: Amount }
  /** In milliseconds. */
  readonly per: number
  /** How much of the limits to use: `told` while answers report how much remains at the API, `own` otherwise. */
  readonly own: Share
  readonly told: Share
  readonly estimate: "characters" | "count"
}

/** The share of a limit to use: `headroom` on average, `burst` in one burst. */
export interface Share {
  readonly headroom: number
  readonly burst: number
}

/**
 * The default `headroom`, for `Settings.own` and for `Settings.told`. `own`: 50 of 60 requests, a common margin. `told`
 * is higher, because with a simulated load at the limit, 0.83 would hold back calls that the API accepts.
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

/** Throws a `RangeError` if the options are invalid or contradict each other. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("Guards: quota", options, fields, "like { requests: 50 }")
  const { classes = {}, estimate = "characters" } = options
  Refuse.record("Guards: quota: classes", classes, "like { opus: { requests: 50 } }")
  const headroom = Refuse.share("Guards: quota: headroom", options.headroom ?? usual.own)
  const told = options.headroom ?? usual.told
  const burst = Refuse.share("Guards: quota: burst", options.burst ?? headroom)
  if (burst > headroom) {
    Refuse.refuse(
      `Guards: quota: burst (${burst}) is more than headroom (${headroom}), the share of the limits that may be used: lower burst or raise headroom`
    )
  }
  if (estimate !== "characters" && estimate !== "count") {
    Refuse.refuse(`Guards: quota: estimate is ${Refuse.shown(estimate)}: it must be "characters" or "count"`)
  }
  const usual_ = amountOf("Guards: quota", options)
  const named = Object.entries(classes).map(([name, limits]) => {
    Refuse.unknown(`Guards: quota: classes.${name}`, limits, ownFields, "like { requests: 50 }")
    return [name, amountOf(`Guards: quota: classes.${name}`, limitsOf(limits, options))] as const
  })
  if (
    [usual_, ...named.map(([, amount]) => amount)].every((amount) => dimensions.every((of) => amount[of] === Infinity))
  ) {
    Refuse.refuse("Guards: quota limits nothing: give requests, inputTokens or outputTokens, or remove quota")
  }
  const amounts = new Map(named)
  return {
    classOf: (line, model) => {
      const name = line === undefined || amounts.has(model) ? model : line
      return { name, limits: amounts.get(name) ?? usual_ }
    },
    per: Refuse.finite("Guards: quota: per", options.per ?? "1 minute"),
    own: { headroom, burst },
    told: { headroom: told, burst: options.burst ?? told },
    estimate
  }
}

/** The limits of a class: its own, and `all` for those that it lacks. */
export const limitsOf = (own: Limits, all: Limits): Limits => ({
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
      : Refuse.refuse(`${where}.${name} is ${Refuse.shown(value)}: it must be above 0`)
  return {
    requests: limit("requests", requests),
    input: limit("inputTokens", inputTokens),
    output: limit("outputTokens", outputTokens)
  }
}

/** The request bucket holds at least one request, even if the burst is smaller. */
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
