/** The fields of a `Policy`, and the checks that refuse one that contradicts itself. */
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

/** A schedule for each kind of error. A kind without one is final. A `Schedule`, which has a `pipe`, is none. */
export type Retries = ByTag<ClaudeError> & { readonly pipe?: never }

/** The parts of a policy. A missing part does nothing, but the limits of an attempt always have a default. */
export interface Policy extends Current.Limits {
  /**
   * Which failures to try again, and when: one schedule, or one for each kind of error, where a kind without one is final.
   * Extend `Retry.standard` by a spread; `undefined` takes a kind out of it.
   */
  readonly retry?: Schedule.Schedule<unknown, ClaudeError> | Retries | undefined
  /**
   * How many requests `retry` may send again, over all kinds of error, to each model; at most 3 of them while another model
   * may be asked. Waits for a circuit, a queue or a budget do not count. No limit if absent.
   */
  readonly maxRetries?: number | undefined
  /**
   * How often to ask for a malformed answer again at once, with the malformed answers so far and what is wrong with them as
   * further turns: 0. Only for answers that Claude ended by itself (`end_turn`), before `retry` is asked, and not counted in
   * `maxRetries`.
   */
  readonly reask?: number | undefined
  /** Which models to ask next, once retrying is over. */
  readonly models?: ReadonlyArray<Current.ModelId> | undefined
  /** Which models to ask after a refusal, where they are not `models`; or `fail`. What was said before it is discarded. */
  readonly refused?: "fail" | ReadonlyArray<Current.ModelId> | undefined
  /** What each of the models that are left keeps of the time: 10 seconds, or a fair share if that is less. */
  readonly reserve?: Duration.Input | undefined
  /**
   * What to do about a collected answer that reached its limit: `fail`; ask once more with up to so many tokens, or as
   * many as the model writes, if that is more than before; or have it continued, so many times. What is held to a schema
   * cannot be continued.
   */
  readonly truncated?: "fail" | { readonly raiseTo: number } | { readonly continue: number } | undefined
  /** How often to let Claude go on with a collected answer that it paused: 5 times. */
  readonly paused?: { readonly continue: number } | undefined
  /** What to do about an answer without content: `fail`, or ask it, once, to go on. */
  readonly empty?: "fail" | { readonly nudge: 1 } | undefined
  /** The longest the caller waits for all of the above. For a stream: for each opening. */
  readonly overall?: Duration.Input | undefined
  /** The longest a stream may take from its opening to its end, its reader included. Only for `applyStream`. */
  readonly streamOverall?: Duration.Input | undefined
  /**
   * What to do when an answer breaks off while it is read, under the same retries: `fail` (what arrived is in the
   * error); `restart`, which the reader learns from a `restarted` event, and text streams cannot say, so that they fail; or
   * `resume`, which asks for the rest, and goes on where the text ends. A `resumed` event tells that it does.
   */
  readonly onBreak?: "fail" | "restart" | "resume" | undefined
  /** Whether requests are validated before they are sent: yes. */
  readonly validate?: boolean | undefined
  /** Whether what only the catalogue of models says fails a request, and does not only warn: no. */
  readonly strict?: boolean | undefined
  /** Whether the prompt is counted by the API before it is sent, once for each model (a request more), or estimated. */
  readonly precheck?: "count" | "estimate" | undefined
}

/** The fields that are one of a list. */
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

/** Throws a sentence if the policy contradicts itself. */
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
      `Policy: onBreak is "${policy.onBreak}", but nothing says how often: add retry, for example Retry.standard`
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
    Refuse.refuse("Policy: maxRetries counts retries, and there are none: add retry, for example Retry.standard")
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
  if (others === 0) Refuse.refuse("Policy: reserve is the time of further models, and there are none: add models")
  if (overall === undefined) Refuse.refuse("Policy: reserve is a part of overall, which is missing: add overall")
  else if (least * others >= Refuse.millis("Policy: overall", overall)) {
    Refuse.refuse(
      `Policy: reserve (${Refuse.show(least)}) for ${others} further models leaves nothing of overall (${
        Refuse.show(Refuse.millis("Policy: overall", overall))
      }) for the first one: lower reserve or raise overall`
    )
  }
}

/** What the fields about unfinished answers may be: one number under one name. */
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
