/** Types and helpers for changing a request so that the API accepts it. */
import type { Params } from "../Message.ts"
import type { Model } from "../models/catalogue.ts"

/** The adapted request, and the changes to it. Without changes, `params` is the original object. */
export interface Adapted {
  readonly params: Params
  readonly changes: ReadonlyArray<string>
}

/** One row of the table of adaptations. */
export interface Adaptation {
  readonly name: string
  /** The documentation of the restriction. */
  readonly source: string
  /** The adapted request; undefined if nothing must change. `original` is the request before all adaptations. */
  readonly change: (params: Params, model: Model, original: Params) => Adapted | undefined
}

export const leftOut = "left out"

export const changed = (params: Params, change: string): Adapted => ({ params, changes: [change] })

export const withConfig = (params: Params, config: NonNullable<Params["output_config"]>): Params => {
  const { output_config: _, ...rest } = params
  return Object.keys(config).length === 0 ? rest : { ...rest, output_config: config }
}
