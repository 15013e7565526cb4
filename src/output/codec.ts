/**
 * The API enforces only a JSON schema without recursion, with a type for every
 * part, and with at most 16 unions. Any other schema is put in the prompt, and so
 * is the schema for a model without structured outputs.
 */
import type { ContentBlockParam } from "@anthropic-ai/sdk/resources/messages"
import * as AnthropicStructuredOutput from "effect/ai/AnthropicStructuredOutput"
import type * as JsonSchema from "effect/JsonSchema"
import { isObject, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Form, Params } from "../Message.ts"
import { distinct, mostUnions, refusal, rooted } from "./jsonSchema.ts"
import { plain } from "./plainJson.ts"

/** The ways to request a structured answer: by an instruction, or by a schema that the API enforces. */
export interface Output<A, RD> {
  readonly words: Held<A, RD> & { readonly instruction: string }
  /** For a schema that the API enforces; fails with the reason why the API would refuse that schema. */
  readonly held: Result.Result<Held<A, RD>, string>
  /**
   * Like `held`, for the input of a strict tool. The number of unions is not limited here: `Tool.make` throws if the
   * schema fails here, and the API may raise its limit on unions.
   */
  readonly strict: Result.Result<Held<A, RD>, string>
  /** The models for which the API refused the schema, for example as too large. They get an instruction instead. */
  readonly refusedFor: Set<string>
}

interface Held<A, RD> {
  readonly codec: Codec<A, RD>
  readonly jsonSchema: JsonSchema.JsonSchema
}

export type Codec<A, RD> = Schema.ConstraintCodec<A, unknown, RD>

/** Fails with a message if the schema has no JSON form. */
export const of = <A, I, RD>(schema: Schema.ConstraintCodec<A, I, RD>): Result.Result<Output<A, RD>, string> => {
  const known = outputs.get(schema)
  // Cast: the entry under a schema was made from that schema.
  if (known !== undefined) return known as Result.Result<Output<A, RD>, string>
  const output = Result.map(
    Result.try({
      try: () => inWords(schema),
      catch: (reason) => `the schema has no JSON form: ${String(reason)}`
    }),
    (words): Output<A, RD> => {
      const strict = strictly(schema)
      return {
        words,
        held: Result.flatMap(strict, (form) => accepted(form, mostUnions)),
        strict,
        refusedFor: new Set()
      }
    }
  )
  outputs.set(schema, output)
  return output
}

/** A cache by schema, because compiling a schema takes more CPU time than all other work of a call. */
const outputs = new WeakMap<object, Result.Result<Output<unknown, unknown>, string>>()

export const choice = <C extends ReadonlyArray<string>>(
  choices: C
): Result.Result<Output<{ readonly choice: C[number] }, never>, string> => {
  if (choices.length === 0 || new Set(choices).size < choices.length || choices.some((name) => name.trim() === "")) {
    return Result.fail(
      "the list of choices is empty, or a choice is blank or repeated: give at least one, each with a unique name"
    )
  }
  const codec = Schema.Struct({ choice: Schema.Literals(choices) })
  const jsonSchema = {
    type: "object",
    properties: { choice: { type: "string", enum: choices } },
    required: ["choice"],
    additionalProperties: false
  }
  const written = { codec, jsonSchema }
  return Result.succeed({
    words: { ...written, instruction: inSchema(jsonSchema) },
    held: Result.succeed(written),
    strict: Result.succeed(written),
    refusedFor: new Set()
  })
}

/** Accepts any JSON value, so the API has no schema to enforce. */
export const json: Result.Result<Output<Schema.Json, never>, string> = Result.succeed({
  words: { codec: Schema.Json, jsonSchema: {}, instruction: "Answer with one JSON value, and nothing else." },
  held: Result.fail("every JSON value is accepted"),
  strict: Result.fail("every JSON value is accepted"),
  refusedFor: new Set()
})

const inWords = <A, I, RD>(schema: Schema.ConstraintCodec<A, I, RD>): Output<A, RD>["words"] => {
  const codec = plain(schema)
  const { definitions, schema: top } = Schema.toJsonSchemaDocument(codec)
  const jsonSchema = distinct(rooted(isEmpty(schema) ? nothing : top, definitions))
  return { codec, jsonSchema, instruction: inSchema(jsonSchema) }
}

export const inSchema = (schema: object): string => `${beforeSchema}${JSON.stringify(schema)}`

export const beforeSchema = "Answer with one JSON value that matches this JSON Schema, and nothing else:\n"

const strictly = <A, I, RD>(schema: Schema.ConstraintCodec<A, I, RD>): Result.Result<Held<A, RD>, string> =>
  Result.flatMap(
    Result.try({
      try: () => AnthropicStructuredOutput.toCodecAnthropic(plain(schema)),
      catch: (reason) =>
        String(reason).includes("Recursive")
          ? "the schema is recursive, which the API does not accept"
          : `the schema has no form that the API accepts: ${String(reason)}`
    }),
    ({ codec, jsonSchema: { $defs, ...top } }) => {
      const jsonSchema = distinct(rooted(isEmpty(schema) ? nothing : top, isObject($defs) ? $defs : {}))
      return accepted({ codec, jsonSchema }, Infinity)
    }
  )

/** `most`: the highest number of unions that the API accepts. */
const accepted = <A, RD>(form: Held<A, RD>, most: number): Result.Result<Held<A, RD>, string> => {
  const because = refusal(form.jsonSchema, most)
  return because === undefined ? Result.succeed(form) : Result.fail(because)
}

/** Whether the schema is a struct without fields. It decodes any value except null, but its author means an object. */
const isEmpty = ({ ast }: Schema.Constraint): boolean =>
  ast._tag === "Objects" && ast.propertySignatures.length === 0 && ast.indexSignatures.length === 0

const nothing = { type: "object", properties: {}, required: [], additionalProperties: false }

// -----------------------------------------------------------------------------
// Asking
// -----------------------------------------------------------------------------

/** How the value is requested from a model with structured outputs: by its schema, by an instruction, or not at all. */
export const formOf = (output: Result.Result<Output<unknown, unknown>, string>): Form =>
  Result.isFailure(output)
    ? { form: "unsupported", because: output.failure }
    : Result.isFailure(output.success.held)
    ? { form: "prompt", because: output.success.held.failure }
    : { form: "schema" }

export interface Asked<A, RD> {
  readonly codec: Codec<A, RD>
  readonly params: Params
  /** Whether the API enforces the schema. */
  readonly isHeld: boolean
}

/** `able`: false if the model is known to lack structured outputs, or if the caller chose the form `prompt`. */
export const ask = <A, RD>(output: Output<A, RD>, params: Params, able: boolean): Asked<A, RD> => {
  const { held, refusedFor, words } = output
  if (!able || Result.isFailure(held) || refusedFor.has(params.model)) {
    return { codec: words.codec, params: instruct(params, words.instruction), isHeld: false }
  }
  const { codec, jsonSchema } = held.success
  const format = { type: "json_schema", schema: { ...jsonSchema } } as const
  return { codec, params: { ...params, output_config: { ...params.output_config, format } }, isHeld: true }
}

/** Appends an instruction to the last user message, so that the cached prefix stays valid. */
export const instruct = (params: Params, instruction: string): Params => {
  const at = params.messages.findLastIndex(({ role }) => role === "user")
  const last = params.messages[at]
  if (last?.role !== "user") return params
  const content: Array<ContentBlockParam> = isString(last.content)
    ? [{ type: "text", text: last.content }]
    : [...last.content]
  content.push({ type: "text", text: instruction })
  return { ...params, messages: params.messages.with(at, { ...last, content }) }
}
