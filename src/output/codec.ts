/**
 * What an answer must be, and how Claude is told.
 *
 * The API holds the model to a JSON schema where it can: no recursion, nothing
 * that may be anything, at most 16 unions. Where it cannot, or the model is not
 * able to, the schema goes into the question.
 */
import type { ContentBlockParam } from "@anthropic-ai/sdk/resources/messages"
import * as AnthropicStructuredOutput from "effect/ai/AnthropicStructuredOutput"
import type * as JsonSchema from "effect/JsonSchema"
import { isObject, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Form, Params } from "../Message.ts"
import { finite, refusal, rooted } from "./jsonSchema.ts"

/** What an answer must be. */
export interface Output<A, RD> {
  /** How it is decoded, and asked for, in words. */
  readonly words: Held<A, RD> & { readonly instruction: string }
  /** The same by a schema, or why the API would not take it. */
  readonly held: Result.Result<Held<A, RD>, string>
}

interface Held<A, RD> {
  readonly codec: Codec<A, RD>
  readonly jsonSchema: JsonSchema.JsonSchema
}

export type Codec<A, RD> = Schema.ConstraintCodec<A, unknown, RD>

/** What an answer must be, to be a value of the schema. Fails with a sentence if that cannot be written as JSON. */
export const of = <A, I, RD>(schema: Schema.ConstraintCodec<A, I, RD>): Result.Result<Output<A, RD>, string> => {
  const known = outputs.get(schema)
  // What is under a schema was made from it.
  if (known !== undefined) return known as Result.Result<Output<A, RD>, string>
  const output = Result.map(
    Result.try({
      try: () => inWords(schema),
      catch: (reason) => `the schema has no JSON form: ${String(reason)}`
    }),
    (words): Output<A, RD> => ({ words, held: held(schema) })
  )
  outputs.set(schema, output)
  return output
}

/** A cache, because to compile a schema costs more than a call: a copied schema is only compiled again. */
const outputs = new WeakMap<object, Result.Result<Output<unknown, unknown>, string>>()

/** One of a list. Fails with a sentence if it is no list to choose from. */
export const choice = <C extends ReadonlyArray<string>>(
  choices: C
): Result.Result<Output<{ readonly choice: C[number] }, never>, string> => {
  if (choices.length === 0 || new Set(choices).size < choices.length || choices.some((name) => name.trim() === "")) {
    return Result.fail("the choices are none, or one is blank or there twice: give each a name of its own")
  }
  const codec = Schema.Struct({ choice: Schema.Literals(choices) })
  const jsonSchema = {
    type: "object",
    properties: { choice: { type: "string", enum: choices } },
    required: ["choice"],
    additionalProperties: false
  }
  const written = { codec, jsonSchema }
  return Result.succeed({ words: { ...written, instruction: inSchema(jsonSchema) }, held: Result.succeed(written) })
}

/** Whatever JSON can say. */
export const json: Result.Result<Output<Schema.Json, never>, string> = Result.succeed({
  words: { codec: Schema.Json, jsonSchema: {}, instruction: "Answer with one JSON value, and nothing else." },
  held: Result.fail("any JSON value is asked for")
})

const inWords = <A, I, RD>(schema: Schema.ConstraintCodec<A, I, RD>): Output<A, RD>["words"] => {
  const codec = Schema.toCodecJson(schema)
  const { definitions, schema: top } = Schema.toJsonSchemaDocument(codec)
  const jsonSchema = rooted(isEmpty(schema) ? nothing : top, definitions)
  return { codec, jsonSchema, instruction: inSchema(jsonSchema) }
}

/** Asks for a value of a JSON schema, in words. */
export const inSchema = (schema: object): string =>
  `Answer with one JSON value that matches this JSON Schema, and nothing else:\n${JSON.stringify(schema)}`

const held = <A, I, RD>(schema: Schema.ConstraintCodec<A, I, RD>): Result.Result<Held<A, RD>, string> =>
  Result.flatMap(
    Result.try({
      try: () => AnthropicStructuredOutput.toCodecAnthropic(schema),
      catch: (reason) =>
        String(reason).includes("Recursive")
          ? "the schema is recursive, which the API does not take"
          : `the schema has no form that the API takes: ${String(reason)}`
    }),
    ({ codec, jsonSchema: { $defs, ...top } }) => {
      const jsonSchema = finite(rooted(isEmpty(schema) ? nothing : top, isObject($defs) ? $defs : {}))
      const because = refusal(jsonSchema)
      return because === undefined ? Result.succeed({ codec, jsonSchema }) : Result.fail(because)
    }
  )

/** A struct without fields: TypeScript means by it anything, whoever writes it means an object. */
const isEmpty = ({ ast }: Schema.Constraint): boolean =>
  ast._tag === "Objects" && ast.propertySignatures.length === 0 && ast.indexSignatures.length === 0

const nothing = { type: "object", properties: {}, required: [], additionalProperties: false }

// -----------------------------------------------------------------------------
// Asking
// -----------------------------------------------------------------------------

/** The form in which a model that takes schemas is asked. */
export const formOf = (output: Result.Result<Output<unknown, unknown>, string>): Form =>
  Result.isFailure(output)
    ? { form: "unsupported", because: output.failure }
    : Result.isFailure(output.success.held)
    ? { form: "prompt", because: output.success.held.failure }
    : { form: "schema" }

/** The codec of the form, and the parameters that ask for it. */
export const ask = <A, RD>(output: Output<A, RD>, params: Params, able: boolean): {
  readonly codec: Codec<A, RD>
  readonly params: Params
} => {
  const { held, words } = output
  if (!able || Result.isFailure(held)) return { codec: words.codec, params: instruct(params, words.instruction) }
  const { codec, jsonSchema } = held.success
  const format = { type: "json_schema", schema: { ...jsonSchema } } as const
  return { codec, params: { ...params, output_config: { ...params.output_config, format } } }
}

/** The same request, with an instruction at the end of the last message of the user's: what is before it stays cached. */
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
