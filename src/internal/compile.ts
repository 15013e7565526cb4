/** A policy that was checked, its parts ready to be used. */
import { isString } from "effect/Predicate"
import type * as Schedule from "effect/Schedule"
import type { ClaudeError } from "../ClaudeError.ts"
import * as Timeout from "../policy/Timeout.ts"
import { defaultReserve, type Ladder } from "./ladder.ts"
import * as Record from "./policyRecord.ts"
import * as Refuse from "./refuse.ts"
import { defaultPaused, type Rules } from "./unfinished.ts"
import type { How } from "./validating.ts"
import { anotherModel } from "./worth.ts"

/** A policy that was checked, its parts ready to be used. */
export interface Compiled {
  readonly retry: Schedule.Schedule<unknown, ClaudeError> | undefined
  /** Whether the schedule knows by itself which errors it is for. */
  readonly choosy: boolean
  /** Which models are asked, if others may be. */
  readonly ladder: Ladder | undefined
  /** What is done about answers that stopped half-way. */
  readonly unfinished: Rules
  readonly limits: ReturnType<typeof Timeout.limits> | undefined
  /** The time of a call, in milliseconds. */
  readonly overall: number | undefined
  readonly onBreak: "fail" | "restart" | "resume"
  /** The time of a stream, in milliseconds. */
  readonly streamOverall: number | undefined
  /** How requests are validated, if they are. */
  readonly validate: How | undefined
}

/** Checks a policy, and parses everything in it once. */
export const compile = (policy: Record.Policy): Compiled => {
  Record.check(policy)
  const {
    empty = "fail",
    models = [],
    onBreak = "fail",
    overall,
    paused = defaultPaused,
    precheck,
    refused,
    reserve,
    retry,
    streamOverall,
    strict = false,
    truncated = "fail",
    validate = true,
    ...limits
  } = policy
  const others = isString(refused) ? undefined : refused
  return {
    retry,
    choosy: retry !== undefined && Record.byTag(retry) !== undefined,
    ladder: models.length === 0 && others === undefined ? undefined : {
      model: undefined,
      models,
      refused: others,
      on: refused === "fail" ? { ...anotherModel, Refused: false } : anotherModel,
      reserve: reserve === undefined ? defaultReserve : Refuse.millis("Policy: reserve", reserve)
    },
    unfinished: { truncated, paused, empty },
    limits: Object.values(limits).every((limit) => limit === undefined) ? undefined : Timeout.limits(limits),
    overall: overall === undefined ? undefined : Refuse.millis("overall", overall),
    onBreak,
    streamOverall: streamOverall === undefined ? undefined : Refuse.millis("Policy: streamOverall", streamOverall),
    validate: validate ? { strict, count: precheck === "count" } : undefined
  }
}
