/** Looks at a request with all rules. */
import type { Issue } from "../ClaudeError.ts"
import type { Params } from "../Message.ts"
import type { Models } from "../models/catalogue.ts"
import { bounds, estimate, unknownChoice } from "./capabilities.ts"
import { both, none } from "./rules/rule.ts"
import { shape } from "./rules/rules.ts"

/** What was found: errors stop a request, warnings are told to the log. */
export interface Findings {
  readonly errors: ReadonlyArray<Issue>
  readonly warnings: ReadonlyArray<Issue>
}

/** Finds what is wrong. Of the models, only what the API has said of one is certain, unless it is `strict`. */
export const inspect = (params: Params, models: Models | undefined, strict: boolean): Findings => {
  const errors = shape(params)
  // The catalogue is only asked about a request whose shape is right.
  if (models === undefined || errors.length > 0) return findings(errors, none)
  const model = models.get(params.model)
  const guessed = both(estimate(params, model), unknownChoice(params.tool_choice))
  const found = model === undefined && isAlias(params.model, models) ? none : bounds(params, model)
  if (found.length === 0) return findings(none, guessed)
  const certain = strict || (model === undefined ? isListed(models) : model.live === true)
  return certain ? findings(found, guessed) : findings(none, both(found, guessed))
}

const findings = (errors: ReadonlyArray<Issue>, warnings: ReadonlyArray<Issue>): Findings =>
  errors.length === 0 && warnings.length === 0 ? nothing : { errors, warnings }

const nothing: Findings = { errors: none, warnings: none }

/** Whether it is the name of a model whose id has a date: the API lists only the ids. */
const isAlias = (name: string, models: Models): boolean =>
  [...models.keys()].some((id) => id.startsWith(`${name}-`) && /^\d{8}$/.test(id.slice(name.length + 1)))

/** Whether the API has said which models there are: then one that it did not name is none. */
const isListed = (models: Models): boolean => [...models.values()].some(({ live }) => live === true)
