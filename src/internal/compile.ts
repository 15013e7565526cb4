/** A policy that was checked, its parts ready to be used. */
import type * as Schedule from "effect/Schedule"
import type { ClaudeError } from "../ClaudeError.ts"
import type * as Current from "../Current.ts"
import * as Timeout from "../policy/Timeout.ts"
import * as Record from "./policyRecord.ts"
import type { How } from "./validating.ts"

/** A policy that was checked, its parts ready to be used. */
export interface Compiled {
  readonly retry: Schedule.Schedule<unknown, ClaudeError> | undefined
  /** Whether the schedule knows by itself which errors it is for. */
  readonly choosy: boolean
  readonly models: ReadonlyArray<Current.ModelId>
  readonly limits: ReturnType<typeof Timeout.limits> | undefined
  readonly overall: ReturnType<typeof Timeout.overall> | undefined
  readonly restart: boolean
  /** How requests are validated, if they are. */
  readonly validate: How | undefined
}

/** Checks a policy, and parses everything in it once. */
export const compile = (policy: Record.Policy): Compiled => {
  Record.check(policy)
  const { models = [], onBreak, overall, precheck, retry, strict = false, validate = true, ...limits } = policy
  return {
    retry,
    choosy: retry !== undefined && Record.byTag(retry) !== undefined,
    models,
    limits: Object.values(limits).every((limit) => limit === undefined) ? undefined : Timeout.limits(limits),
    overall: overall === undefined ? undefined : Timeout.overall(overall),
    restart: onBreak === "restart",
    validate: validate ? { strict, count: precheck === "count" } : undefined
  }
}
