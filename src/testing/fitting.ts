/**
 * Answers that fit the JSON schema of a request.
 *
 * Effect generates the value. Strings and numbers without bounds get fixed values, such as "text" and 1, so that a person
 * can read the answer.
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
 * An answer whose value fits the schema in the request; undefined if the request has no schema. The schema belongs to a
 * tool that Claude must use or to a structured output, or is in the prompt, where `Claude.object` writes a schema that
 * the API does not accept. Fails with the reason if no fitting value can be made.
 */
export const answerTo = (
  params: Readonly<Record<string, unknown>>
): Effect.Effect<Faults.Turn | undefined, string> => {
  const tool = forcedTool(params)
  if (tool !== undefined) {
    const { input_schema, name } = tool
    return Effect.map(valueOf(input_schema), (input) => Faults.answer("", { tool: { name: String(name), input } }))
  }
  const schema = ofOutput(params) ?? inPrompt(params["messages"])
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

/** Older requests have the schema in `output_format`. */
const ofOutput = ({ output_config, output_format }: Fields): unknown =>
  fields(fields(output_config)["format"] ?? output_format)["schema"]

/** The last text with a schema counts. Later messages may have none, because they only ask to correct an answer. */
const inPrompt = (messages: unknown): unknown =>
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

/**
 * Makes a value that has plain strings and numbers if they fit, otherwise random ones. The seed is fixed, so a schema
 * always gets the same value.
 */
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
    // Plain values cannot fill every schema: two unique strings, for example, cannot both be the same plain text.
    Effect.catchCause(() => sampled(5, {})),
    Effect.map(([value]) => value),
    Effect.catchCause((cause) => Effect.fail(because(Cause.squash(cause))))
  )
}

const because = (failure: unknown): string => {
  const [line = ""] = failure instanceof Error ? failure.message.split("\n") : []
  return line === "" ? "no value that fits was found" : line
}

/**
 * Keywords that every plain value satisfies. A schema with another keyword, such as `minLength`, gets a random value,
 * unless it has a `format` of `plainValues`: a random text would not match the format.
 */
const harmless: ReadonlySet<string> = new Set(
  ["type", "format", "enum", "title", "description", "examples", "default", "$id", "$comment"]
)

/** Replaces a string or a number without bounds by one fixed value, and an `enum` by its first value. */
const plain = (schema: JsonSchema.JsonSchema): JsonSchema.JsonSchema => {
  const [first = plainValues.get(schema["format"] ?? schema.type)] = Array.isArray(schema["enum"]) ? schema["enum"] : []
  const isFree = isString(schema["format"]) || Object.keys(schema).every((key) => harmless.has(key))
  return isFree && first !== undefined ? { ...schema, enum: [first] } : schema
}

/** By `type`, and by each string `format` that the API accepts. */
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
