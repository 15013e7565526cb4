import { isObject } from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import * as Refuse from "../options.ts"
import { absurdMaxTokens } from "../request/rules/parameters.ts"
import * as Limits from "./limits.ts"
import * as ModelFallback from "./modelFallback.ts"
import * as Plan from "./plan.ts"
import type { Policy } from "./Policy.ts"

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

/** Throws a `RangeError` if the policy is invalid or contradicts itself. Returns its time limits, in milliseconds. */
export const check = (policy: Policy): Limits.Given => {
  Refuse.unknown("Policy", policy, fields)
  const given = Limits.lengths("Policy", policy)
  checkRetry(policy)
  for (const name of ["onBreak", "validate", "strict", "precheck"] as const) {
    const [value, allowed]: [unknown, ReadonlyArray<unknown>] = [policy[name], choices[name]]
    if (value !== undefined && !allowed.includes(value)) {
      const list = allowed.map((choice) => JSON.stringify(choice)).join(" or ")
      Refuse.refuse(`Policy: ${name} is ${Refuse.shown(value)}: it must be ${list}`)
    }
  }
  if (policy.validate === false && (policy.strict === true || policy.precheck !== undefined)) {
    Refuse.refuse(
      "Policy: validate is false, so strict and precheck do nothing: remove them, or remove validate: false"
    )
  }
  if (policy.models !== undefined) ModelFallback.check("Policy: models", policy.models)
  if (policy.refused !== undefined && policy.refused !== "fail") checkRefused(policy.refused)
  checkReserve(policy, given)
  checkUnfinished(policy)
  if (policy.onBreak !== undefined && policy.onBreak !== "fail" && policy.retry === undefined) {
    Refuse.refuse(
      `Policy: onBreak is "${policy.onBreak}", but without retry it does nothing: add retry, for example Retry.standard`
    )
  }
  return given
}

const checkRetry = ({ maxRetries, reask, retry }: Policy): void => {
  for (const [name, times] of Object.entries({ maxRetries, reask })) {
    if (times !== undefined && !(Number.isInteger(times) && times >= 0)) {
      Refuse.refuse(`Policy: ${name} is ${Refuse.shown(times)}: it must be a whole number, 0 or more`)
    }
  }
  if (maxRetries !== undefined && retry === undefined) {
    Refuse.refuse("Policy: maxRetries limits retries, but retry is missing: add retry, for example Retry.standard")
  }
  if (retry === undefined) return
  if (!isObject(retry)) {
    Refuse.refuse(
      `Policy: retry is ${
        Refuse.shown(retry)
      }: it must be a Schedule, or an object with a Schedule for each kind of error, like Retry.standard`
    )
  }
  const plan = Schedule.isSchedule(retry) ? Plan.of(retry) : undefined
  const entries = Schedule.isSchedule(retry)
    ? plan?.kind === "byTag" ? plan.entries : undefined
    : Plan.entries("Policy: retry", retry)
  const last = entries?.get("DeadlineExceeded")
  if (last !== undefined && Plan.takes(last, "DeadlineExceeded")) {
    Refuse.refuse(
      "Policy: retry has an entry for DeadlineExceeded, but a call is never retried after its deadline: remove the entry, or raise overall"
    )
  }
}

const checkRefused = (models: unknown): void => {
  if (!Array.isArray(models) || models.length === 0) {
    Refuse.refuse(`Policy: refused is ${Refuse.shown(models)}: name the models to ask after a refusal, or write "fail"`)
  }
  ModelFallback.check("Policy: refused", models)
}

const checkReserve = ({ models = [], reserve }: Policy, { overall }: Limits.Given): void => {
  if (reserve === undefined) return
  const least = Refuse.millis("Policy: reserve", reserve)
  const others = models.length
  if (others === 0) {
    Refuse.refuse(
      "Policy: reserve is time for further models, but models is missing or empty: add models or remove reserve"
    )
  }
  if (overall === undefined) {
    Refuse.refuse("Policy: reserve is taken from overall, which is missing: add overall or remove reserve")
  } else if (least * others >= overall) {
    Refuse.refuse(
      `Policy: reserve (${Refuse.show(least)} for each of ${others} further ${
        others === 1 ? "model" : "models"
      }) leaves nothing of overall (${Refuse.show(overall)}) for the first one: lower reserve or raise overall`
    )
  }
}

/** Each of these fields takes a record with exactly one of `names`, whose value is an integer from `least` to `most`. */
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
        `Policy: ${field} is ${Refuse.shown(value)}: it must be ${
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
      Refuse.refuse(`Policy: ${field}: ${name} is ${Refuse.shown(times)}: it must be ${range}`)
    }
  }
}
