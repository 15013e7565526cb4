/** The fields of a `Policy`, and its checks. */
import type * as Duration from "effect/Duration"
import { isObject } from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type { ClaudeError } from "../ClaudeError.ts"
import type * as Current from "../Current.ts"
import * as Refuse from "../options.ts"
import { absurdMaxTokens } from "../request/rules/parameters.ts"
import * as Limits from "./limits.ts"
import * as ModelFallback from "./modelFallback.ts"
import * as Plan from "./plan.ts"
import type { ByTag } from "./Retry.ts"

/** A schedule for each kind of error. A kind without one is not retried. `pipe` sets it apart from a `Schedule`. */
export type Retries = ByTag<ClaudeError> & { readonly pipe?: never }

/** The parts of a policy. All are optional. The limits of an attempt have defaults. */
export interface Policy extends Current.Limits {
  /**
   * When to retry: one schedule, or a record with one for each kind of error. A kind without an entry is not retried.
   * Change `Retry.standard` with a spread; `undefined` removes a kind. Default: no retries.
   */
  readonly retry?: Schedule.Schedule<unknown, ClaudeError> | Retries | undefined
  /**
   * The maximum number of retries on each model, over all kinds of error; at most 3 if another model is left. Waits for a
   * circuit, a queue or a budget do not count. Default: no limit.
   */
  readonly maxRetries?: number | undefined
  /**
   * How often to ask again, without a wait, after a malformed answer, with the malformed answers and their mistakes as
   * further turns. Default: 0. Only for answers that Claude ended itself (`end_turn`). Comes before `retry`, and does not
   * count in `maxRetries`.
   */
  readonly reask?: number | undefined
  /** The fallback models, which are asked in turn when the retries end. */
  readonly models?: ReadonlyArray<Current.ModelId> | undefined
  /** The models to ask after a refusal, if not `models`; or `fail`. The text before the refusal is discarded. */
  readonly refused?: "fail" | ReadonlyArray<Current.ModelId> | undefined
  /** Time reserved for each remaining model. Default: 10 seconds, or an equal share of the time left if that is less. */
  readonly reserve?: Duration.Input | undefined
  /**
   * What to do if a collected answer reaches `max_tokens`: `fail` (the default); `raiseTo`, ask once more with a higher
   * `max_tokens`, up to the maximum of the model; or `continue`, ask for the rest up to so many times. An answer with a
   * schema cannot be continued.
   */
  readonly truncated?: "fail" | { readonly raiseTo: number } | { readonly continue: number } | undefined
  /** How often to continue a collected answer that Claude paused. Default: 5 times. */
  readonly paused?: { readonly continue: number } | undefined
  /** What to do after an answer without content: `fail` (the default), or ask once to continue. */
  readonly empty?: "fail" | { readonly nudge: 1 } | undefined
  /** The limit for the whole call, retries and models included. For a stream: for each opening. */
  readonly overall?: Duration.Input | undefined
  /** The limit for a stream from its opening to its end, including the time of its reader. Only for `applyStream`. */
  readonly streamOverall?: Duration.Input | undefined
  /**
   * What to do if an answer breaks off while it is read, within the same retries: `fail` (the default), with the text so
   * far in the error; `restart`, ask again and emit a `restarted` event, which text streams cannot, so they fail; or
   * `resume`, ask for the rest, emit a `resumed` event, and continue where the text ends.
   */
  readonly onBreak?: "fail" | "restart" | "resume" | undefined
  /** Whether requests are validated before they are sent. Default: `true`. */
  readonly validate?: boolean | undefined
  /** Whether an issue known only from the catalogue of models fails a request instead of a warning. Default: `false`. */
  readonly strict?: boolean | undefined
  /** `count`: the API counts the prompt before it is sent, one more request for each model. Default: it is estimated. */
  readonly precheck?: "count" | "estimate" | undefined
}

/** The allowed values of some fields. */
const choices = {
  onBreak: ["fail", "restart", "resume"],
  validate: [true, false],
  strict: [true, false],
  precheck: ["count", "estimate"]
} as const

const fields: { readonly [K in keyof Required<Policy>]: true } = {
  ...Limits.ofAttempt,
  retry: true,
  maxRetries: true,
  reask: true,
  models: true,
  refused: true,
  reserve: true,
  truncated: true,
  paused: true,
  empty: true,
  overall: true,
  streamOverall: true,
  onBreak: true,
  validate: true,
  strict: true,
  precheck: true
}

/** Throws a `RangeError` if the policy is invalid or contradicts itself. */
export const check = (policy: Policy): void => {
  Refuse.unknown("Policy", policy, fields)
  Limits.lengths("Policy", policy)
  checkRetry(policy)
  for (const name of ["onBreak", "validate", "strict", "precheck"] as const) {
    const [value, allowed]: [unknown, ReadonlyArray<unknown>] = [policy[name], choices[name]]
    if (value !== undefined && !allowed.includes(value)) {
      const list = allowed.map((choice) => JSON.stringify(choice)).join(" or ")
      Refuse.refuse(`Policy: ${name} is ${String(value)}: it must be ${list}`)
    }
  }
  if (policy.validate === false && (policy.strict === true || policy.precheck !== undefined)) {
    Refuse.refuse("Policy: validate is false, so strict and precheck do nothing: remove them, or validate")
  }
  if (policy.models !== undefined) ModelFallback.check("Policy: models", policy.models)
  if (policy.refused !== undefined && policy.refused !== "fail") checkRefused(policy.refused)
  checkReserve(policy)
  checkUnfinished(policy)
  if (policy.onBreak !== undefined && policy.onBreak !== "fail" && policy.retry === undefined) {
    Refuse.refuse(
      `Policy: onBreak is "${policy.onBreak}", but without retry it does nothing: add retry, for example Retry.standard`
    )
  }
}

const checkRetry = ({ maxRetries, reask, retry }: Policy): void => {
  for (const [name, times] of Object.entries({ maxRetries, reask })) {
    if (times !== undefined && !(Number.isInteger(times) && times >= 0)) {
      Refuse.refuse(`Policy: ${name} is ${String(times)}: it must be a whole number, 0 or more`)
    }
  }
  if (maxRetries !== undefined && retry === undefined) {
    Refuse.refuse("Policy: maxRetries limits retries, but retry is missing: add retry, for example Retry.standard")
  }
  if (retry === undefined) return
  if (!isObject(retry)) {
    Refuse.refuse(
      `Policy: retry is ${
        shown(retry)
      }: it must be a Schedule, or a record of them by kind of error, like Retry.standard`
    )
  }
  const plan = Schedule.isSchedule(retry) ? Plan.of(retry) : undefined
  const entries = Schedule.isSchedule(retry)
    ? plan?.kind === "byTag" ? plan.entries : undefined
    : Plan.entries("Policy: retry", retry)
  const last = entries?.get("DeadlineExceeded")
  if (last !== undefined && Plan.takes(last, "DeadlineExceeded")) {
    Refuse.refuse("Policy: retry has an entry for DeadlineExceeded, which ends the call: remove it, or raise overall")
  }
}

const checkRefused = (models: unknown): void => {
  if (!Array.isArray(models) || models.length === 0) {
    Refuse.refuse(`Policy: refused is ${shown(models)}: name the models to ask after a refusal, or write "fail"`)
  }
  ModelFallback.check("Policy: refused", models)
}

const shown = (value: unknown): string =>
  Result.getOrElse(Result.try(() => JSON.stringify(value) ?? String(value)), () => typeof value)

const checkReserve = ({ models = [], overall, reserve }: Policy): void => {
  if (reserve === undefined) return
  const least = Refuse.millis("Policy: reserve", reserve)
  const others = models.length
  if (others === 0) Refuse.refuse("Policy: reserve is time for further models, but models is missing: add models")
  if (overall === undefined) Refuse.refuse("Policy: reserve is a part of overall, which is missing: add overall")
  else if (least * others >= Refuse.millis("Policy: overall", overall)) {
    Refuse.refuse(
      `Policy: reserve (${Refuse.show(least)}) for ${others} further models leaves nothing of overall (${
        Refuse.show(Refuse.millis("Policy: overall", overall))
      }) for the first one: lower reserve or raise overall`
    )
  }
}

/** The fields about unfinished answers take a record with exactly one of `names`, with a number from `least` to `most`. */
const unfinished = {
  truncated: { names: ["raiseTo", "continue"], least: 1, most: absurdMaxTokens },
  paused: { names: ["continue"], least: 0, most: Infinity },
  empty: { names: ["nudge"], least: 1, most: 1 }
} as const

const checkUnfinished = (policy: Policy): void => {
  for (const field of ["truncated", "paused", "empty"] as const) {
    const { least, most, names }: { names: ReadonlyArray<string>; least: number; most: number } = unfinished[field]
    const value: unknown = policy[field]
    if (value === undefined || value === "fail" && field !== "paused") continue
    const [entry, ...more] = isObject(value) ? Object.entries(value).filter(([, number]) => number !== undefined) : []
    const [name, times] = entry ?? []
    if (name === undefined || !names.includes(name) || more.length > 0) {
      const shapes = names.map((name) => `{ ${name}: ${field === "empty" ? 1 : "a number"} }`)
      Refuse.refuse(
        `Policy: ${field} is ${shown(value)}: it must be ${
          [...field === "paused" ? [] : [`"fail"`], ...shapes].join(" or ")
        }`
      )
    }
    if (!Number.isInteger(times) || Number(times) < least || Number(times) > most) {
      const range = least === most
        ? `${least}`
        : most === Infinity
        ? `a whole number, ${least} or more`
        : `a whole number from ${least} to ${most}`
      Refuse.refuse(`Policy: ${field}: ${name} is ${shown(times)}: it must be ${range}`)
    }
  }
}
