/** US dollars per million tokens. */
export interface Prices {
  readonly input: number
  readonly output: number
  /** For tokens written to the cache for five minutes. */
  readonly cacheWrite: number
  /** For tokens written to the cache for an hour. */
  readonly cacheWriteHour: number
  readonly cacheRead: number
  /** If the prompt has more than `above` tokens, cached tokens included, all prices are multiplied by `times`. */
  readonly long?: { readonly above: number; readonly times: number } | undefined
}

/** A missing field means that nobody knows whether the model has the capability. */
export interface Capabilities {
  readonly structuredOutputs?: boolean | undefined
  /** Whether the last message may be the assistant's (prefill). The answer then continues that message. */
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

/** The facts about one model; an unknown fact is missing. */
export interface Model {
  readonly id: string
  /** The family: `haiku`, `sonnet` … */
  readonly line?: string | undefined
  readonly lifecycle: "active" | "deprecated" | "retired"
  /** An ISO date. */
  readonly deprecatedAt?: string | undefined
  /** When retirement is planned, as an ISO date. A date in the past does not mean that the model is retired. */
  readonly retiresAt?: string | undefined
  /** In tokens. */
  readonly contextWindow?: number | undefined
  /** The largest `max_tokens`. */
  readonly maxOutput?: number | undefined
  readonly capabilities: Capabilities
  readonly prices?: Prices | undefined
  readonly source: string
  /** When the facts were looked up, as an ISO date. Empty if the application added the model without this date. */
  readonly asOf: string
  /** Whether `Models.refresh` has read the entry from the API. If so, issues of the validation about this model are errors, not warnings. */
  readonly live?: boolean | undefined
}

/** By id. */
export type Models = ReadonlyMap<string, Model>

/** The catalogue of one `Claude`. `Models.refresh` replaces `models`. */
export interface Catalogue {
  models: Models
  /** Warnings that are logged once per `Claude`, and were logged already. */
  readonly warned: Set<string>
}

export const byId = (models: ReadonlyArray<Model>): Models => new Map(models.map((model) => [model.id, model] as const))
