import type { Issue } from "../ClaudeError.ts"
import type { Params } from "../Message.ts"
import type { Models } from "../models/catalogue.ts"
import { bounds, estimate, unknownChoice } from "./capabilities.ts"
import { both, none } from "./rules/rule.ts"
import { beyond, shape } from "./rules/rules.ts"

/** Errors fail the call; warnings are logged. */
export interface Findings {
  readonly errors: ReadonlyArray<Issue>
  readonly warnings: ReadonlyArray<Issue>
}

/**
 * Values beyond the known limits of the API, and issues from a catalogue entry that did not come from the API, are errors
 * only with `strict`. An estimated size and an unknown type of `tool_choice` are always warnings.
 */
export const inspect = (params: Params, models: Models | undefined, strict: boolean): Findings => {
  const wrong = shape(params)
  const limited = beyond(params)
  const [errors, warned] = strict ? [both(wrong, limited), none] : [wrong, limited]
  // The rules that need the catalogue assume a valid shape.
  if (models === undefined || errors.length > 0) return findings(errors, warned)
  const model = models.get(params.model)
  const guessed = both(warned, both(estimate(params, model), unknownChoice(params.tool_choice)))
  const found = model === undefined && isAlias(params.model, models) ? none : bounds(params, model)
  if (found.length === 0) return findings(none, guessed)
  const certain = strict || (model === undefined ? isListed(models) : model.live === true)
  return certain ? findings(found, guessed) : findings(none, both(found, guessed))
}

const findings = (errors: ReadonlyArray<Issue>, warnings: ReadonlyArray<Issue>): Findings =>
  errors.length === 0 && warnings.length === 0 ? nothing : { errors, warnings }

const nothing: Findings = { errors: none, warnings: none }

/** Whether `name` is the alias of a dated model id: the API lists only the dated ids. */
const isAlias = (name: string, models: Models): boolean =>
  [...models.keys()].some((id) => id.startsWith(`${name}-`) && /^\d{8}$/.test(id.slice(name.length + 1)))

/** Whether the catalogue was read from the API: then a model that is missing does not exist. */
const isListed = (models: Models): boolean => [...models.values()].some(({ live }) => live === true)
