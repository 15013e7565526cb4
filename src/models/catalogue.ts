/** What is known of the models: the shape of it. */
import { isNotNullish, isNumber } from "effect/Predicate"

/** US dollars per million tokens. */
export interface Prices {
  readonly input: number
  readonly output: number
  /** Written to the cache for five minutes. */
  readonly cacheWrite: number
  /** Written to the cache for an hour. */
  readonly cacheWriteHour: number
  readonly cacheRead: number
  /** For a prompt of more tokens than this, cached ones included, everything costs so many times as much. */
  readonly long?: { readonly above: number; readonly times: number } | undefined
}

/** What a model can do; what is not known is missing. */
export interface Capabilities {
  readonly structuredOutputs?: boolean | undefined
  /** Whether an answer can be begun for it, by a last message of the assistant. */
  readonly prefill?: boolean | undefined
  readonly images?: boolean | undefined
  readonly pdfs?: boolean | undefined
  /** The levels of `output_config.effort`; none, if it knows no effort. */
  readonly effort?: ReadonlyArray<string> | undefined
  /** The types of `thinking`; none, if it does not think. */
  readonly thinking?: ReadonlyArray<string> | undefined
  /**
   * Whether a `tool_choice` may force the use of a tool, even while the model thinks adaptively: while thinking is
   * `enabled`, it never may.
   */
  readonly forcedTools?: boolean | undefined
}

/** One model; what is not known is missing. */
export interface Model {
  readonly id: string
  /** Its family: `haiku`, `sonnet` … */
  readonly line?: string | undefined
  readonly lifecycle: "active" | "deprecated" | "retired"
  /** When it was deprecated, as an ISO date. */
  readonly deprecatedAt?: string | undefined
  /** When it is to be retired, as an ISO date. A date in the past says that it is overdue, not that it has happened. */
  readonly retiresAt?: string | undefined
  /** How much it reads, in tokens. */
  readonly contextWindow?: number | undefined
  /** How much it writes at most, in tokens. */
  readonly maxOutput?: number | undefined
  readonly capabilities: Capabilities
  readonly prices?: Prices | undefined
  /** Where this is from. */
  readonly source: string
  /** When it was looked up, as an ISO date. */
  readonly asOf: string
  /** Whether the API itself said so, in this process. */
  readonly live?: boolean | undefined
}

/** Models by their id. */
export type Models = ReadonlyMap<string, Model>

/** What one `Claude` knows of the models. One mutable record, which `Models.refresh` writes to. */
export interface Catalogue {
  models: Models
  /** What was warned of: once is enough. */
  readonly warned: Set<string>
}

/** These models by their id. */
export const byId = (models: ReadonlyArray<Model>): Models => new Map(models.map((model) => [model.id, model] as const))

// -----------------------------------------------------------------------------
// Costs
// -----------------------------------------------------------------------------

/** What an answer cost in US dollars, or at least cost. */
interface Cost {
  readonly dollars: number
  readonly atLeast: boolean
}

/** What tokens were used for. The names are the API's. What is inside of a record may be anything that was sent. */
interface Usage {
  readonly input_tokens: number
  readonly output_tokens: number
  readonly cache_creation_input_tokens: number | null
  readonly cache_read_input_tokens: number | null
  readonly cache_creation: { readonly ephemeral_1h_input_tokens: unknown } | null
  readonly inference_geo: string | null
  readonly server_tool_use: object | null
  readonly service_tier: string | null
  readonly speed: string | null
}

/** Usually it says nothing of tools. */
const usesTools = (tools: object | null | undefined): boolean =>
  isNotNullish(tools) && Object.values(tools).some((uses) => isNumber(uses) && uses > 0)

/** JSON may say `1e999`, which is infinite: nothing that it is added to would come back from that. */
export const isCount = (value: unknown): value is number => isNumber(value) && value >= 0 && value < Infinity

/** The price of what was used. At least that, where something has a price of its own: tools, speed, place, tier. */
export const cost = (usage: Usage, { cacheRead, cacheWrite, cacheWriteHour, input, long, output }: Prices): Cost => {
  const read = usage.cache_read_input_tokens ?? 0
  const written = usage.cache_creation_input_tokens ?? 0
  const hours = usage.cache_creation?.ephemeral_1h_input_tokens
  const hour = isCount(hours) ? Math.min(written, hours) : 0
  const perMillion = usage.input_tokens * input + usage.output_tokens * output + read * cacheRead +
    (written - hour) * cacheWrite + hour * cacheWriteHour
  const times = long !== undefined && usage.input_tokens + read + written > long.above ? long.times : 1
  return {
    dollars: times * perMillion / 1_000_000,
    atLeast: usesTools(usage.server_tool_use) || usage.speed === "fast" ||
      usage.service_tier === "priority" || usage.inference_geo === "us"
  }
}
