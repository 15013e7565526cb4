/**
 * The rules about the shape of a request, checked before it is sent.
 *
 * An issue fails the call, so anything doubtful passes: unknown blocks, tools and parameters may be newer than this
 * version.
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

/** The rules of the API. */
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

/** The issues of the shape of a request. */
export const shape = (params: Params): ReadonlyArray<Issue> => {
  const given: unknown = params
  return isObject(given)
    ? broken(shapeRules, given)
    : issue([], `the request is ${kind(given)}: it must be an object of parameters`)
}
