/**
 * The rules about a request, checked before it is sent: rules about its shape, and rules about the limits of the API.
 *
 * A request whose shape is never valid fails the call. A request beyond a known limit or list of accepted values only
 * gets a warning, because the API may accept more than when the rule was written. Unknown blocks, tools and parameters
 * pass, because they may be newer than this version.
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

/** The rules of the API, without the rules of this library. */
export const apiRules: ReadonlyArray<Rule> = [...certain, ...limits]

export const shapeRules: ReadonlyArray<Rule> = [...ownRules, ...certain]

export const limitRules: ReadonlyArray<Rule> = [...limits, ...schemaHints]

/** The issues with the shape of a request; they fail the call. */
export const shape = (params: Params): ReadonlyArray<Issue> => {
  const given: unknown = params
  return isObject(given)
    ? broken(shapeRules, given)
    : issue([], `the request is ${kind(given)}: it must be an object of parameters`)
}

/** The issues with values beyond the known limits of the API; usually only warnings. */
export const beyond = (params: Params): ReadonlyArray<Issue> => {
  const given: unknown = params
  return isObject(given) ? broken(limitRules, given) : none
}
