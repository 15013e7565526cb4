import { isString } from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import { defaultPaused, type Rules } from "../answer/continuation.ts"
import type { ClaudeError, Tag } from "../ClaudeError.ts"
import * as Refuse from "../options.ts"
import { usual } from "./decisions.ts"
import * as Limits from "./limits.ts"
import { type Chain, defaultReserve } from "./modelFallback.ts"
import * as Plan from "./plan.ts"
import type { Policy } from "./Policy.ts"
import * as Record from "./record.ts"
import * as Retry from "./Retry.ts"
import type { Rules as RetryRules } from "./retryState.ts"
import type { How } from "./validateCall.ts"

/** A checked policy. Durations are in milliseconds. */
export interface Compiled {
  /** The settings for retries, which apply on each model anew. */
  readonly retries: RetryRules
  /**
   * Whether `CircuitOpen` is retried, so that a call waits at an open circuit. `undefined` without `retry` and `models`: the
   * setting of an outer policy then applies.
   */
  readonly waitsForCircuit: boolean | undefined
  readonly retriesTimeOuts: boolean
  readonly chain: Chain | undefined
  readonly unfinished: Rules
  /** `undefined` if the policy sets no time limit of an attempt. */
  readonly withLimits: ReturnType<typeof Limits.setting> | undefined
  readonly overall: number | undefined
  readonly onBreak: "fail" | "restart" | "resume"
  readonly streamOverall: number | undefined
  /** `undefined` if validation is off. */
  readonly validate: How | undefined
}

/** Throws a `RangeError` if the policy is invalid or contradicts itself. */
export const compile = (policy: Policy): Compiled => {
  const { overall, streamOverall, ...ofAttempt } = Record.check(policy)
  const {
    empty = "fail",
    maxRetries,
    models = [],
    onBreak = "fail",
    paused = defaultPaused,
    precheck,
    reask = 0,
    refused,
    reserve,
    retry,
    strict = false,
    truncated = "fail",
    validate = true
  } = policy
  const others = isString(refused) ? undefined : refused
  const schedule = scheduleOf(retry)
  const takes = (tag: Tag) => schedule !== undefined && Plan.takes(schedule, tag)
  return {
    retries: { schedule, maxRetries, reask },
    waitsForCircuit: retry === undefined && models.length === 0 ? undefined : takes("CircuitOpen"),
    retriesTimeOuts: maxRetries !== 0 && takes("TimedOut"),
    chain: models.length === 0 && others === undefined ? undefined : {
      model: undefined,
      models,
      refused: others,
      on: refused === "fail" ? { ...usual("otherModel"), Refused: false } : usual("otherModel"),
      reserve: reserve === undefined ? defaultReserve : Refuse.millis("Policy: reserve", reserve)
    },
    unfinished: { truncated, paused, empty },
    withLimits: Object.keys(ofAttempt).length === 0 ? undefined : Limits.setting(ofAttempt),
    overall,
    onBreak,
    streamOverall,
    validate: validate ? { strict, count: precheck === "count" } : undefined
  }
}

const scheduleOf = (retry: Policy["retry"]): Schedule.Schedule<unknown, ClaudeError> | undefined => {
  if (retry === undefined || Schedule.isSchedule(retry)) return retry
  const record: Retry.ByTag<ClaudeError> = retry
  return Retry.byTag(record)
}
