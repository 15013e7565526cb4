/**
 * What is wrong with a request, before it is sent: the rules about its shape.
 *
 * They fail the call, so that what is in doubt passes: what the API has come to know since (blocks, tools, parameters)
 * is none of their business.
 */
import { isObject } from "effect/Predicate"
import type { Issue } from "../ClaudeError.ts"
import type { Params } from "../Message.ts"
import { loopRules } from "./shapeLoop.ts"
import { mediaRules } from "./shapeMedia.ts"
import { messageRules } from "./shapeMessages.ts"
import { parameterRules } from "./shapeParameters.ts"
import { broken, issue, kind, type Rule } from "./shapeRule.ts"
import { schemaRules } from "./shapeSchema.ts"
import { sizeRules } from "./shapeSize.ts"
import { toolRules } from "./shapeTools.ts"

export const shapeRules: ReadonlyArray<Rule> = [
  ...parameterRules,
  ...messageRules,
  ...loopRules,
  ...mediaRules,
  ...toolRules,
  ...schemaRules,
  ...sizeRules
]

/** Everything that is wrong with the shape of a request. */
export const shape = (params: Params): ReadonlyArray<Issue> => {
  const given: unknown = params
  return isObject(given)
    ? broken(shapeRules, given)
    : issue([], `the request is ${kind(given)}: it must be an object of parameters`)
}
