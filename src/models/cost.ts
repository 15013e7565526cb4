import { hasProperty, isNotNullish, isNullish, isNumber, isObject, isString } from "effect/Predicate"
import type { Prices } from "./catalogue.ts"

/** A lower bound if `atLeast` is set. */
interface Cost {
  readonly dollars: number
  readonly atLeast: boolean
}

/** The tokens that have a price. `cache_creation` is not validated. */
interface Tokens {
  readonly input_tokens: number
  readonly output_tokens: number
  readonly cache_creation_input_tokens: number | null
  readonly cache_read_input_tokens: number | null
  readonly cache_creation: object | null
}

interface Usage extends Tokens {
  readonly inference_geo: string | null
  readonly server_tool_use: object | null
  readonly service_tier: string | null
  readonly speed: string | null
}

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
  // A gateway may send the parts of the cache writes without their sum.
  const written = Math.max(usage.cache_creation_input_tokens ?? 0, minutes + hour)
  const perMillion = usage.input_tokens * input + usage.output_tokens * output + read * cacheRead +
    (written - hour) * cacheWrite + hour * cacheWriteHour
  const times = long !== undefined && usage.input_tokens + read + written > long.above ? long.times : 1
  return times * perMillion / 1_000_000
}

/** An entry of `iterations`: one of the requests that the API made for the answer. Not validated. */
type Iteration = Readonly<Record<PropertyKey, unknown>>

/**
 * The cost of all requests that the API made for the answer (`iterations`). A lower bound if a part of the usage is
 * unknown, or has an extra price that the catalogue lacks: server tools, speed, region, tier.
 *
 * The other fields of `usage` are sums over the requests that wrote the answer, without compactions and advisors. If
 * `iterations` lists these requests, each is priced separately, because its price depends on its model and the length of
 * its prompt. Source: SDK types, BetaUsage.iterations.
 */
export const cost = (usage: Usage, prices: Prices, pricesOf: (model: string) => Prices | undefined): Cost => {
  const given: unknown = Reflect.get(usage, "iterations")
  const iterations: ReadonlyArray<unknown> = Array.isArray(given) ? given : isNullish(given) ? [] : [given]
  const costs = iterations.map((iteration) => isObject(iteration) ? costOf(iteration, prices, pricesOf) : unknown)
  const isListed = iterations.some((iteration) => hasProperty(iteration, "type") && answering.has(iteration.type))
  return {
    dollars: costs.reduce((sum, { dollars }) => sum + dollars, isListed ? 0 : dollars(usage, prices)),
    atLeast: usesTools(usage.server_tool_use) || !isUsual(usage) || hasUnknown(usage) ||
      costs.some(({ atLeast }) => atLeast)
  }
}

const unknown: Cost = { dollars: 0, atLeast: true }

const answering: ReadonlySet<unknown> = new Set(["message", "fallback_message"])

const costOf = (
  iteration: Iteration,
  prices: Prices,
  pricesOf: (model: string) => Prices | undefined
): Cost => {
  const { input_tokens, model, output_tokens, type } = iteration
  if (!answering.has(type) && type !== "compaction" && type !== "advisor_message") return unknown
  // An iteration without a model used the model of the answer; an advisor used another model, which is unknown here.
  const own = isString(model) ? pricesOf(model) : type === "advisor_message" ? undefined : prices
  if (own === undefined) return unknown
  return {
    dollars: dollars(tokensOf(iteration), own),
    atLeast: !isCount(input_tokens) || !isCount(output_tokens) || hasUnknown(iteration)
  }
}

const tokensOf = (iteration: Iteration): Tokens => {
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
 * Whether the usage has a kind of tokens without a price, an invalid number of tokens, or tokens that are stored in the
 * cache for an unknown time.
 */
const hasUnknown = (usage: object): boolean => {
  const creation: unknown = Reflect.get(usage, "cache_creation")
  const { hour, minutes } = storedOf(creation)
  return countIn(usage, "cache_creation_input_tokens") > minutes + hour ||
    (isObject(creation) ? hasUnpriced(creation, Object.keys(creation), pricedStores) : isSomething(creation)) ||
    hasUnpriced(usage, Object.keys(usage).filter((key) => key.endsWith("_tokens")), priced)
}

const hasUnpriced = (counts: object, keys: ReadonlyArray<string>, known: ReadonlySet<string>): boolean =>
  keys.some((key) => {
    const count: unknown = Reflect.get(counts, key)
    return isSomething(count) && !(known.has(key) && isCount(count))
  })
