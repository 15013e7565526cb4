/** The types of the model catalogue, and the cost of an answer. */
import { hasProperty, isNotNullish, isNullish, isNumber, isObject, isString } from "effect/Predicate"

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

// -----------------------------------------------------------------------------
// Costs
// -----------------------------------------------------------------------------

/** US dollars; a lower bound if `atLeast` is set. */
interface Cost {
  readonly dollars: number
  readonly atLeast: boolean
}

/** The tokens of a usage that have a price. The nested records are not validated. */
interface Tokens {
  readonly input_tokens: number
  readonly output_tokens: number
  readonly cache_creation_input_tokens: number | null
  readonly cache_read_input_tokens: number | null
  readonly cache_creation: object | null
}

/** The fields of the API's usage that decide the cost. */
interface Usage extends Tokens {
  readonly inference_geo: string | null
  readonly server_tool_use: object | null
  readonly service_tier: string | null
  readonly speed: string | null
}

/** Whether a value is neither missing nor zero. */
const isSomething = (value: unknown): boolean => isNotNullish(value) && value !== 0

const usesTools = (tools: unknown): boolean =>
  isObject(tools) ? Object.values(tools).some(isSomething) : isSomething(tools)

/** Excludes numbers such as `1e999`, which JSON can carry and which would make every sum infinite. */
export const isCount = (value: unknown): value is number =>
  isNumber(value) && value >= 0 && value <= Number.MAX_SAFE_INTEGER

/** The tokens written to the cache, by the time for which they are stored. */
const storedOf = (creation: unknown) => ({
  minutes: countIn(creation, "ephemeral_5m_input_tokens"),
  hour: countIn(creation, "ephemeral_1h_input_tokens")
})

const countIn = (counts: unknown, key: string): number => {
  const count = hasProperty(counts, key) ? counts[key] : 0
  return isCount(count) ? count : 0
}

const dollars = (usage: Tokens, { cacheRead, cacheWrite, cacheWriteHour, input, long, output }: Prices): number => {
  const read = usage.cache_read_input_tokens ?? 0
  const { hour, minutes } = storedOf(usage.cache_creation)
  // A gateway may leave out the sum of the cache writes.
  const written = Math.max(usage.cache_creation_input_tokens ?? 0, minutes + hour)
  const perMillion = usage.input_tokens * input + usage.output_tokens * output + read * cacheRead +
    (written - hour) * cacheWrite + hour * cacheWriteHour
  const times = long !== undefined && usage.input_tokens + read + written > long.above ? long.times : 1
  return times * perMillion / 1_000_000
}

/**
 * The cost of a usage, including the requests that the API made for the answer (`iterations`); a lower bound if
 * something is unknown or a feature has an extra price: server tools, speed, region, tier.
 */
export const cost = (usage: Usage, prices: Prices, pricesOf: (model: string) => Prices | undefined): Cost => {
  let sum = dollars(usage, prices)
  let atLeast = usesTools(usage.server_tool_use) || !isUsual(usage) || hasUnknown(usage)
  const iterations: unknown = Reflect.get(usage, "iterations")
  for (const iteration of Array.isArray(iterations) ? iterations : isNullish(iterations) ? [] : [iterations]) {
    const more = isObject(iteration) ? separate(iteration, prices, pricesOf) : undefined
    if (more === undefined) atLeast = true
    else sum += more
  }
  return { dollars: sum, atLeast }
}

/**
 * The cost of an iteration that the usage of the answer does not contain, or `undefined` if it is unknown. That usage
 * contains the iterations of type `message`, but not compactions and advisors. Source: SDK types,
 * BetaUsage.iterations.
 */
const separate = (
  iteration: { readonly [key: PropertyKey]: unknown },
  prices: Prices,
  pricesOf: (model: string) => Prices | undefined
): number | undefined => {
  const { model, type } = iteration
  const own = isString(model) ? pricesOf(model) : undefined
  if (type === "message") return 0
  if (type !== "compaction" && type !== "advisor_message") return undefined
  const price = type === "compaction" ? own ?? prices : own
  const isKnown = isCount(iteration["input_tokens"]) && isCount(iteration["output_tokens"]) && !hasUnknown(iteration)
  return price === undefined || !isKnown ? undefined : dollars(tokensOf(iteration), price)
}

const tokensOf = (iteration: { readonly [key: PropertyKey]: unknown }): Tokens => {
  const creation = iteration["cache_creation"]
  return {
    input_tokens: countIn(iteration, "input_tokens"),
    output_tokens: countIn(iteration, "output_tokens"),
    cache_creation_input_tokens: countIn(iteration, "cache_creation_input_tokens"),
    cache_read_input_tokens: countIn(iteration, "cache_read_input_tokens"),
    cache_creation: isObject(creation) ? creation : null
  }
}

/** Whether speed, region and tier have no extra price. */
const isUsual = ({ inference_geo, service_tier, speed }: Usage): boolean =>
  [inference_geo, service_tier, speed].every((word) => isNullish(word) || usual.has(word))

const usual: ReadonlySet<string> = new Set(["", "standard", "global", "not_available"])

const priced: ReadonlySet<string> = new Set([
  "input_tokens",
  "output_tokens",
  "cache_creation_input_tokens",
  "cache_read_input_tokens"
])

const pricedStores: ReadonlySet<string> = new Set(["ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"])

/**
 * Whether the usage has tokens of a kind without a price, a count that is not valid, or tokens that were written to
 * the cache for an unknown time.
 */
const hasUnknown = (usage: object): boolean => {
  const creation: unknown = Reflect.get(usage, "cache_creation")
  const { hour, minutes } = storedOf(creation)
  const stores = isObject(creation) ? Object.entries(creation) : isNullish(creation) ? [] : [["", creation] as const]
  const isUnknown = (known: ReadonlySet<string>) => ([key, value]: readonly [string, unknown]): boolean =>
    isSomething(value) && !(known.has(key) && isCount(value))
  return countIn(usage, "cache_creation_input_tokens") > minutes + hour || stores.some(isUnknown(pricedStores)) ||
    Object.entries(usage).filter(([key]) => key.endsWith("_tokens")).some(isUnknown(priced))
}
