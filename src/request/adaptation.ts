import type { Params } from "../Message.ts"
import type { Model } from "../models/catalogue.ts"

export interface Adapted {
  /** The original object if nothing was changed. */
  readonly params: Params
  /** For the log, without any text of the prompt. */
  readonly changes: ReadonlyArray<string>
}

export interface Adaptation {
  readonly name: string
  /** Where the restriction is documented. */
  readonly source: string
  /** Undefined if nothing must change. `original` is the request before the first adaptation. */
  readonly change: (params: Params, model: Model, original: Params) => Adapted | undefined
}

export const leftOut = "left out"

export const changed = (params: Params, change: string): Adapted => ({ params, changes: [change] })

export const withConfig = (params: Params, config: NonNullable<Params["output_config"]>): Params => {
  const { output_config: _, ...rest } = params
  return Object.keys(config).length === 0 ? rest : { ...rest, output_config: config }
}
