/**
 * Finds invalid requests before they are sent.
 *
 * Every policy validates requests by default. A malformed request fails with all
 * its issues at once. An issue known only from our catalogue of models is a
 * warning, because an outdated catalogue must not cause an outage. The request
 * fails if the catalogue came from the API (`Models.refresh`) or the policy is
 * `strict`.
 */
import type { Issue } from "../ClaudeError.ts"
import type { Params } from "../Message.ts"
import { byId, type Model } from "../models/catalogue.ts"
import { type Findings, inspect } from "../request/inspect.ts"

export type { Findings } from "../request/inspect.ts"

/** Checks a request against all rules. Without `models`, the rules about models are skipped. */
export const check = (
  params: Params,
  { models, strict = false }: {
    readonly models?: ReadonlyArray<Model> | undefined
    readonly strict?: boolean | undefined
  } = {}
): Findings => inspect(params, models && byId(models), strict)

/** An issue as one line: its path and its message. */
export const show = ({ message, path }: Issue): string => path.length === 0 ? message : `${path.join(".")}: ${message}`
