/**
 * Finds invalid requests before they are sent.
 *
 * Every policy validates requests by default. A malformed request fails with all
 * its issues at once. An issue known only from the built-in catalogue of models, or
 * from a limit that the API may raise, is a warning: outdated data must not cause an
 * outage. With `strict`, such an issue fails the request. An issue from a catalogue
 * that the API confirmed (`Models.refresh`) always does.
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
