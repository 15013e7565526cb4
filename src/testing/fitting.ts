/**
 * An answer that fits the JSON schema of a request.
 *
 * Effect generates the value. Strings and numbers without bounds get plain values, so that a value is readable and the
 * same for every request with the same schema.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as JsonSchema from "effect/JsonSchema"
import { isObject, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import * as SchemaRepresentation from "effect/SchemaRepresentation"
import { beforeSchema, json } from "../output/codec.ts"
import * as Faults from "./Faults.ts"

/**
 * The answer to a request for a value: with a structured output, with a tool that Claude must use, or with a schema in the
 * prompt, where `Claude.object` puts a schema that the API does not accept. Undefined if the request asks for text. Fails
 * with the reason why no value fits.
 */
export const answerTo = (
  params: Readonly<Record<string, unknown>>
): Effect.Effect<Faults.Turn | undefined, string> => {
  const tool = forcedTool(params)
  if (tool !== undefined) {
    const { input_schema, name } = tool
    return Effect.map(valueOf(input_schema), (input) => Faults.answer("", { tool: { name: String(name), input } }))
  }
  const schema = held(params) ?? inWords(params["messages"])
  return schema === undefined ? Effect.undefined : Effect.map(valueOf(schema), (value) => Faults.value(value))
}

// -----------------------------------------------------------------------------
// The schema of a request
// -----------------------------------------------------------------------------

type Fields = Readonly<Record<string, unknown>>

const fields = (value: unknown): Fields => isObject(value) ? { ...value } : {}

const forcedTool = ({ tool_choice, tools }: Fields): Fields | undefined => {
  const { name, type } = fields(tool_choice)
  if (type !== "tool" && type !== "any" || !Array.isArray(tools)) return undefined
  return tools.map(fields).find((tool) => isObject(tool["input_schema"]) && (type === "any" || tool["name"] === name))
}

/** The schema of a structured output: in `output_config` or, in older requests, in `output_format`. */
const held = ({ output_config, output_format }: Fields): unknown =>
  fields(fields(output_config)["format"] ?? output_format)["schema"]

/** The schema in the last message that has a schema: the messages after it may ask to correct an answer. */
const inWords = (messages: unknown): unknown =>
  textsOf(messages).map((said) => {
    if (Result.isSuccess(json) && said.endsWith(json.success.words.instruction)) return {}
    const at = said.lastIndexOf(beforeSchema)
    const schema = Result.try((): unknown => JSON.parse(said.slice(at + beforeSchema.length)))
    return at === -1 ? undefined : Result.getOrUndefined(schema)
  }).findLast((schema) => schema !== undefined)

const textsOf = (messages: unknown): ReadonlyArray<string> =>
  (Array.isArray(messages) ? messages : []).flatMap((message) => {
    const { content } = fields(message)
    return Array.isArray(content) ? content.map((block) => fields(block)["text"]) : [content]
  }).filter(isString)

// -----------------------------------------------------------------------------
// A value for a schema
// -----------------------------------------------------------------------------

/** Generates the same value each time: with plain strings and numbers if they fit the schema, or else with random ones. */
const valueOf = (schema: unknown): Effect.Effect<unknown, string> => {
  const sampled = (size: number, options: SchemaRepresentation.FromJsonSchemaOptions) =>
    Effect.suspend(() => {
      const given = fields(schema)
      const document = "definitions" in given
        ? JsonSchema.fromSchemaDraft07(given)
        : JsonSchema.fromSchemaDraft2020_12(given)
      const type = SchemaRepresentation.fromJsonSchemaDocument(document, { ...options, patterns: "apply" })
      // Cast: a schema from JSON needs no services.
      return Arbitrary.sampleEffect(Arbitrary.schema(type as never), { count: 1, size, seed: "1" })
    })
  return sampled(0, { onEnter: plain }).pipe(
    // Plain values do not fit, for example, a list of two unique strings, or a date with at most three characters.
    Effect.catchCause(() => sampled(5, {})),
    Effect.map(([value]) => value),
    Effect.catchCause((cause) => Effect.fail(because(Cause.squash(cause))))
  )
}

/** The first line of the reason. */
const because = (failure: unknown): string => {
  const [line = ""] = failure instanceof Error ? failure.message.split("\n") : []
  return line === "" ? "no value that fits was found" : line
}

/**
 * Keywords that every plain value satisfies. With any other keyword, such as `minLength`, the value is random, unless the
 * schema has a format: a random text would not have it.
 */
const silent: ReadonlySet<string> = new Set(
  ["type", "format", "enum", "title", "description", "examples", "default", "$id", "$comment"]
)

/** Fixes the value of a string or a number without bounds, and takes the first value of an enumeration. */
const plain = (schema: JsonSchema.JsonSchema): JsonSchema.JsonSchema => {
  const [first = plainValues.get(schema["format"] ?? schema.type)] = Array.isArray(schema["enum"]) ? schema["enum"] : []
  const isFree = isString(schema["format"]) || Object.keys(schema).every((key) => silent.has(key))
  return isFree && first !== undefined ? { ...schema, enum: [first] } : schema
}

/** Plain values by type, and by each string format that the API knows. */
const plainValues: ReadonlyMap<unknown, unknown> = new Map<unknown, unknown>([
  ["string", "text"],
  ["number", 1],
  ["integer", 1],
  ["date-time", "2026-11-29T09:30:00Z"],
  ["date", "2026-11-29"],
  ["time", "09:30:00Z"],
  ["duration", "PT1M"],
  ["email", "ada@example.com"],
  ["hostname", "example.com"],
  ["uri", "https://example.com/"],
  ["ipv4", "192.0.2.1"],
  ["ipv6", "2001:db8::1"],
  ["uuid", "5a2f0c1e-7d34-4b8a-9f61-2c0de81b7a90"]
])
