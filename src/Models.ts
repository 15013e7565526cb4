/**
 * The model catalogue: capabilities, lifecycle and prices.
 *
 * Every built-in entry has a date and a source. An entry may be outdated, so validation against it only warns. `refresh`
 * updates the entries with data from the API, which sends no prices.
 */
import type { ModelInfo } from "@anthropic-ai/sdk/resources/models"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { hasProperty, isBoolean, isNumber, isObject, isString } from "effect/Predicate"
import * as CallContext from "./callContext.ts"
import { Claude } from "./Claude.ts"
import type { ClaudeError } from "./ClaudeError.ts"
import type * as Current from "./Current.ts"
import * as Catalogue from "./models/catalogue.ts"
import { Initial } from "./models/initial.ts"
import { specified } from "./options.ts"
import * as Runtime from "./runtime.ts"

export type { Capabilities, Model, Prices } from "./models/catalogue.ts"
export { known } from "./models/known.ts"

/** All models in the catalogue of this `Claude`. */
export const all: Effect.Effect<ReadonlyArray<Catalogue.Model>, never, Claude> = Effect.map(
  Claude,
  (claude) => [...Runtime.of(claude).catalogue.models.values()]
)

/** The catalogue entry of a model, if there is one. An alias may have no entry. */
export const get = (id: Current.ModelId): Effect.Effect<Option.Option<Catalogue.Model>, never, Claude> =>
  Effect.map(Claude, (claude) => Option.fromNullishOr(Runtime.of(claude).catalogue.models.get(id)))

/**
 * Fetches the models from the API and returns them. From then on, validation rejects a request that its model cannot
 * serve; before, it only warned. Prices are unchanged. A policy around `refresh` applies, except for its fallback models. Each
 * layer of `Claude` has its own catalogue: a refresh does not affect the other catalogues of the process.
 */
export const refresh: Effect.Effect<ReadonlyArray<Catalogue.Model>, ClaudeError, Claude> = Effect.gen(function*() {
  const claude = yield* Claude
  const { catalogue } = Runtime.of(claude)
  const call = yield* CallContext.Call
  // If the call around this refresh has not asked a model, its model is `*`, so that the success rate does not count it.
  if (call !== undefined) call.model ??= CallContext.noModel
  const listed = yield* claude.models
  const asOf = DateTime.formatIsoDateUtc(yield* DateTime.now)
  const models = listed.map((info) => fromApi(info, catalogue.models.get(info.id), asOf))
  // The API does not list aliases: keep their entries.
  catalogue.models = new Map([...catalogue.models, ...models.map((model) => [model.id, model] as const)])
  return models
})

/**
 * Adds models to the catalogue of a `Claude`, or overrides fields of built-in models. Provide it to the layer of the
 * `Claude`.
 *
 * ```ts
 * const ClaudeLive = NodeAnthropic.layerConfig().pipe(
 *   Layer.provide(Models.layer([{ id: "my-model", maxOutput: 8192 }]))
 * )
 * ```
 */
export const layer = (
  models: ReadonlyArray<Pick<Catalogue.Model, "id"> & Partial<Catalogue.Model>> = []
): Layer.Layer<never> =>
  Layer.effect(
    Initial,
    Effect.map(Initial, (outer) => {
      const added = models.map((model): Catalogue.Model => ({
        ...unknown,
        ...outer.get(model.id),
        ...specified(model)
      }))
      return Catalogue.byId([...outer.values(), ...added])
    })
  )

const unknown = { lifecycle: "active", capabilities: {}, source: "the application", asOf: "" } as const

/** Keeps the prices of `before`, and the line, limits and capabilities that the API does not send. */
const fromApi = (info: ModelInfo, before: Catalogue.Model | undefined, asOf: string): Catalogue.Model => {
  const { capabilities, deprecated_at, id, lifecycle, line, max_input_tokens, max_tokens, retires_at } = info
  return {
    id,
    line: text(line) ?? before?.line,
    lifecycle,
    deprecatedAt: date(deprecated_at),
    retiresAt: date(retires_at),
    contextWindow: count(max_input_tokens) ?? before?.contextWindow,
    maxOutput: count(max_tokens) ?? before?.maxOutput,
    capabilities: { ...before?.capabilities, ...able(capabilities) },
    prices: before?.prices,
    source: "Models API",
    asOf,
    live: true
  }
}

/** Reads capabilities of any shape, because a gateway may have written them. */
const able = (given: unknown): Catalogue.Capabilities => ({
  ...said(isSupported(field(given, "structured_outputs")), (structuredOutputs) => ({ structuredOutputs })),
  ...said(isSupported(field(given, "image_input")), (images) => ({ images })),
  ...said(isSupported(field(given, "pdf_input")), (pdfs) => ({ pdfs })),
  ...said(supported(field(given, "effort")), (effort) => ({ effort })),
  ...said(supported(field(field(given, "thinking"), "types")), (thinking) => ({ thinking }))
})

const said = <A, B>(value: A | undefined, make: (value: A) => B): B | undefined =>
  value === undefined ? undefined : make(value)

const field = (value: unknown, key: string): unknown => hasProperty(value, key) ? value[key] : undefined

const isSupported = (support: unknown): boolean | undefined => {
  const value = field(support, "supported")
  return isBoolean(value) ? value : undefined
}

const supported = (record: unknown): ReadonlyArray<string> | undefined =>
  isObject(record) ? Object.keys(record).filter((name) => isSupported(record[name]) === true) : undefined

const text = (value: unknown): string | undefined => isString(value) ? value : undefined
const date = (value: unknown): string | undefined => text(value)?.slice(0, 10)
const count = (value: unknown): number | undefined => isNumber(value) ? value : undefined
