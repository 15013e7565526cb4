/** One change of a request for another model, and how it is told. */
import type { Params } from "../Message.ts"
import type { Model } from "../models/catalogue.ts"

/** A request, and what is no longer as it was: nothing, if it is the same object. */
export interface Adapted {
  readonly params: Params
  readonly changes: ReadonlyArray<string>
}

/** One row of the table. */
export interface Adaptation {
  readonly name: string
  /** Where it is from. */
  readonly source: string
  /** The request as the model takes it, if it does not take it so. `original` is the one before all rows. */
  readonly change: (params: Params, model: Model, original: Params) => Adapted | undefined
}

export const leftOut = "left out"

export const changed = (params: Params, change: string): Adapted => ({ params, changes: [change] })

export const withConfig = (params: Params, config: NonNullable<Params["output_config"]>): Params => {
  const { output_config: _, ...rest } = params
  return Object.keys(config).length === 0 ? rest : { ...rest, output_config: config }
}
