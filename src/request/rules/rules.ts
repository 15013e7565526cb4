/**
 * What is wrong with a request, before it is sent: the rules about its shape.
 *
 * They fail the call, so that what is in doubt passes: what the API has come to know since (blocks, tools, parameters)
 * is none of their business.
 */
import { isObject } from "effect/Predicate"
import type { Issue } from "../../ClaudeError.ts"
import type { Params } from "../../Message.ts"
import { loopRules } from "./loop.ts"
import { mediaRules } from "./media.ts"
import { messageRules } from "./messages.ts"
import { ownRules, parameterRules } from "./parameters.ts"
import { broken, issue, kind, type Rule } from "./rule.ts"
import { schemaRules } from "./schema.ts"
import { sizeRules } from "./size.ts"
import { toolRules } from "./tools.ts"

/** What the API refuses. */
export const apiRules: ReadonlyArray<Rule> = [
  ...parameterRules,
  ...messageRules,
  ...loopRules,
  ...mediaRules,
  ...toolRules,
  ...schemaRules,
  ...sizeRules
]

export const shapeRules: ReadonlyArray<Rule> = [...ownRules, ...apiRules]

/** Everything that is wrong with the shape of a request. */
export const shape = (params: Params): ReadonlyArray<Issue> => {
  const given: unknown = params
  return isObject(given)
    ? broken(shapeRules, given)
    : issue([], `the request is ${kind(given)}: it must be an object of parameters`)
}
