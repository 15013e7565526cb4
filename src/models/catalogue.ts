/** The types of the model catalogue. */

/** US dollars per million tokens. */
export interface Prices {
  readonly input: number
  readonly output: number
  /** For tokens written to the cache for five minutes. */
  readonly cacheWrite: number
  /** For tokens written to the cache for an hour. */
  readonly cacheWriteHour: number
  readonly cacheRead: number
  /** For a prompt of more than `above` tokens, cached ones included, all prices are multiplied by `times`. */
  readonly long?: { readonly above: number; readonly times: number } | undefined
}

/** The capabilities of a model; an unknown capability is missing. */
export interface Capabilities {
  readonly structuredOutputs?: boolean | undefined
  /** Whether the last message may be the assistant's (prefill): the answer then continues it. */
  readonly prefill?: boolean | undefined
  readonly images?: boolean | undefined
  readonly pdfs?: boolean | undefined
  /** The supported levels of `output_config.effort`; empty if the model does not support effort. */
  readonly effort?: ReadonlyArray<string> | undefined
  /** The supported types of `thinking`; empty if the model does not support thinking. */
  readonly thinking?: ReadonlyArray<string> | undefined
  /**
   * Whether `tool_choice` may force the use of a tool, even with adaptive thinking. With thinking `enabled`, no model
   * allows a forced tool.
   */
  readonly forcedTools?: boolean | undefined
  /** Whether `speed` may be `fast`. */
  readonly fast?: boolean | undefined
}

/** One model; an unknown field is missing. */
export interface Model {
  readonly id: string
  /** Its family: `haiku`, `sonnet` … */
  readonly line?: string | undefined
  readonly lifecycle: "active" | "deprecated" | "retired"
  /** When it was deprecated, as an ISO date. */
  readonly deprecatedAt?: string | undefined
  /** When retirement is planned, as an ISO date. A date in the past does not mean that the model is retired. */
  readonly retiresAt?: string | undefined
  /** In tokens. */
  readonly contextWindow?: number | undefined
  /** The largest `max_tokens`. */
  readonly maxOutput?: number | undefined
  readonly capabilities: Capabilities
  readonly prices?: Prices | undefined
  /** Where the data is from. */
  readonly source: string
  /** When it was looked up, as an ISO date. */
  readonly asOf: string
  /** Whether the API itself sent the entry, in this process. */
  readonly live?: boolean | undefined
}

/** Models by their id. */
export type Models = ReadonlyMap<string, Model>

/** The catalogue of one `Claude`: a mutable record, which `Models.refresh` updates. */
export interface Catalogue {
  models: Models
  /** The warnings that were logged already. */
  readonly warned: Set<string>
}

export const byId = (models: ReadonlyArray<Model>): Models => new Map(models.map((model) => [model.id, model] as const))
