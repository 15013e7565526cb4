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
import { byId, type Model } from "../models/catalogue.ts"
import { type Findings, inspect } from "../request/inspect.ts"

export type { Findings } from "../request/inspect.ts"

/** Looks at a request with all rules. `models` is what is known of the models: without it, nothing is said of them. */
export const check = (
  params: Params,
  { models, strict = false }: {
    readonly models?: ReadonlyArray<Model> | undefined
    readonly strict?: boolean | undefined
  } = {}
): Findings => inspect(params, models && byId(models), strict)

/** An issue as one line: where, and what. */
export const show = ({ message, path }: Issue): string => path.length === 0 ? message : `${path.join(".")}: ${message}`
