/**
 * The rules about a request, checked before it is sent: rules about its shape, and rules about the limits of the API.
 *
 * A request with an invalid shape fails the call. A value beyond a known limit or outside a list of accepted values only
 * gets a warning (unless the validation is strict), because the API may accept more than when the rule was written.
 * Unknown blocks, tools and parameters pass, because they may be newer than this version.
 */
import { isObject } from "effect/Predicate"
import type { Issue } from "../../ClaudeError.ts"
import type { Params } from "../../Message.ts"
import { loopLimits, loopRules } from "./loop.ts"
import { mediaLimits, mediaRules } from "./media.ts"
import { messageLimits, messageRules } from "./messages.ts"
import { ownRules, parameterLimits, parameterRules } from "./parameters.ts"
import { broken, issue, kind, none, type Rule } from "./rule.ts"
import { schemaHints, schemaLimits, schemaRules } from "./schema.ts"
import { sizeLimits, sizeRules } from "./size.ts"
import { toolLimits, toolRules } from "./tools.ts"

const certain: ReadonlyArray<Rule> = [
  ...parameterRules,
  ...messageRules,
  ...loopRules,
  ...mediaRules,
  ...toolRules,
  ...schemaRules,
  ...sizeRules
]

const limits: ReadonlyArray<Rule> = [
  ...parameterLimits,
  ...messageLimits,
  ...loopLimits,
  ...mediaLimits,
  ...toolLimits,
  ...schemaLimits,
  ...sizeLimits
]

/** For the fake server: without the rules that only this library has. */
export const apiRules: ReadonlyArray<Rule> = [...certain, ...limits]

export const shapeRules: ReadonlyArray<Rule> = [...ownRules, ...certain]

export const limitRules: ReadonlyArray<Rule> = [...limits, ...schemaHints]

/** These issues fail the call. */
export const shape = (params: Params): ReadonlyArray<Issue> => {
  const given: unknown = params
  return isObject(given)
    ? broken(shapeRules, given)
    : issue([], `the request is ${kind(given)}: it must be an object of parameters`)
}

/** These issues are warnings, unless the validation is strict. */
export const beyond = (params: Params): ReadonlyArray<Issue> => {
  const given: unknown = params
  return isObject(given) ? broken(limitRules, given) : none
}
