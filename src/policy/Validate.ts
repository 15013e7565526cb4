/**
 * Requests that cannot work, found before they cost anything.
 *
 * On in every policy. What is wrong with the shape of a request fails it, all
 * of it at once. What only our catalogue of models says is a warning, until the
 * API itself was asked (`Models.refresh`) or the policy is `strict`: a stale
 * table of ours must not be anybody's outage.
 */
import type { Issue } from "../ClaudeError.ts"
import type { Params } from "../Message.ts"
import type * as Catalogue from "../models/catalogue.ts"
import { bounds, estimate, unknownChoice } from "../request/capabilities.ts"
import { both, none } from "../request/rules/rule.ts"
import { shape } from "../request/rules/rules.ts"

/** What was found: errors stop a request, warnings are told to the log. */
export interface Findings {
  readonly errors: ReadonlyArray<Issue>
  readonly warnings: ReadonlyArray<Issue>
}

/** Looks at a request with all rules. `catalogue` is what is known of the models: without it, nothing is said of them. */
export const check = (
  params: Params,
  { catalogue, strict = false }: {
    readonly catalogue?: Catalogue.Catalogue | undefined
    readonly strict?: boolean | undefined
  } = {}
): Findings => {
  const errors = shape(params)
  // Of a model whose name is no name, or a prompt that is none, the catalogue has nothing to say.
  if (catalogue === undefined || errors.length > 0) return findings(errors, none)
  const model = catalogue.models.get(params.model)
  const guessed = both(estimate(params, model), unknownChoice(params.tool_choice))
  const found = model === undefined && isAlias(params.model, catalogue) ? [] : bounds(params, model)
  const certain = strict || catalogue.refreshed && (model === undefined || model.live === true)
  return certain ? findings(found, guessed) : findings(none, both(found, guessed))
}

const findings = (errors: ReadonlyArray<Issue>, warnings: ReadonlyArray<Issue>): Findings =>
  errors.length === 0 && warnings.length === 0 ? nothing : { errors, warnings }

const nothing: Findings = { errors: none, warnings: none }

/** Whether it is the name of a model whose id has a date: the API lists only the ids. */
const isAlias = (name: string, { models }: Catalogue.Catalogue): boolean =>
  [...models.keys()].some((id) => id.startsWith(`${name}-`) && /^\d{8}$/.test(id.slice(name.length + 1)))

/** An issue as one line: where, and what. */
export const show = ({ message, path }: Issue): string => path.length === 0 ? message : `${path.join(".")}: ${message}`
