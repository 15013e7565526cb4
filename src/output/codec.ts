/**
 * What an answer must be, and how Claude is told.
 *
 * The API holds the model to a JSON schema where it can: no recursion, nothing
 * that may be anything, at most 16 unions. Where it cannot, or the model is not
 * able to, the schema goes into the question. Both are decoded in the same way.
 */
import type { ContentBlockParam } from "@anthropic-ai/sdk/resources/messages"
import * as AnthropicStructuredOutput from "effect/ai/AnthropicStructuredOutput"
import * as Effect from "effect/Effect"
import type * as JsonSchema from "effect/JsonSchema"
import { isObject, isString } from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { type Issue, MalformedOutput, redact } from "../ClaudeError.ts"
import type { Params, Reply } from "../Message.ts"
import * as Json from "./extractJson.ts"

/** How a value is asked for: by a schema the API holds the model to, or in words, or not at all, and then why. */
export type Form = { readonly form: "schema" } | { readonly form: "prompt" | "none"; readonly because: string }

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

type Codec<A, RD> = Schema.ConstraintCodec<A, unknown, RD>

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

/** A schema whose root is no reference, with the definitions that it needs, and no others. */
const rooted = (
  root: JsonSchema.JsonSchema,
  definitions: { readonly [name: string]: unknown }
): JsonSchema.JsonSchema => {
  const needed = new Map<string, unknown>()
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) return node.forEach(visit)
    if (!isObject(node)) return
    const name = nameOf(node)
    if (name !== undefined && !needed.has(name)) {
      needed.set(name, definitions[name])
      visit(definitions[name])
    }
    Object.values(node).forEach(visit)
  }
  const top = definitions[nameOf(root) ?? ""]
  const schema = isObject(top) ? { ...top } : root
  visit(schema)
  return needed.size === 0 ? schema : { ...schema, $defs: Object.fromEntries(needed) }
}

/** The same schema, with numbers that are no text: Effect writes those that JSON lacks as `"NaN"` and `"Infinity"`. */
const finite = (schema: JsonSchema.JsonSchema): JsonSchema.JsonSchema => {
  const visit = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(visit)
    if (!isObject(node)) return node
    const { anyOf } = node
    const isNumber = Array.isArray(anyOf) && anyOf.length === 2 &&
      anyOf.every((member) =>
        isObject(member) && (member["type"] === "number" || String(member["enum"]) === "Infinity,-Infinity,NaN")
      )
    return isNumber
      ? { type: "number" }
      : Object.fromEntries(Object.entries(node).map(([key, value]) => [key, visit(value)]))
  }
  // What is made of an object by this is one.
  return visit(schema) as JsonSchema.JsonSchema
}

/** The definition that a schema refers to, if it does. Its name is in an escaped form (RFC 6901, 6). */
const nameOf = ({ $ref }: { readonly $ref?: unknown }): string | undefined =>
  isString($ref) && $ref.startsWith("#/$defs/")
    ? decodeURIComponent($ref.slice("#/$defs/".length)).replaceAll("~1", "/").replaceAll("~0", "~")
    : undefined

/** The most unions in one request. Source: API docs, structured outputs. */
const mostUnions = 16

/** Why the API would not take a schema, if it would not. */
const refusal = (schema: JsonSchema.JsonSchema): string | undefined => {
  let unions = 0
  let open = false
  const visit = (node: unknown): void => {
    if (!isObject(node) || Array.isArray(node)) return
    const { $defs, anyOf, items, properties, ...own } = node as JsonSchema.JsonSchema
    if (Array.isArray(anyOf)) unions++
    else if (!["type", "enum", "const", "$ref", "allOf"].some((key) => key in own)) open = true
    for (const group of [$defs, properties]) if (isObject(group)) Object.values(group).forEach(visit)
    for (const list of [anyOf, own["allOf"]]) if (Array.isArray(list)) list.forEach(visit)
    if (items !== undefined) visit(items)
  }
  visit(schema)
  return open
    ? "a part of the schema may be anything, which the API does not take"
    : unions > mostUnions
    ? `the schema has ${unions} unions and optional fields, and the API takes ${mostUnions}`
    : undefined
}

// -----------------------------------------------------------------------------
// Asking
// -----------------------------------------------------------------------------

/** The form in which a model that takes schemas is asked. */
export const formOf = (output: Result.Result<Output<unknown, unknown>, string>): Form =>
  Result.isFailure(output)
    ? { form: "none", because: output.failure }
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

// -----------------------------------------------------------------------------
// Decoding
// -----------------------------------------------------------------------------

/** The value in an answer that is complete. What is wrong is said in the words of the schema, not of the API's form. */
export const decode = <A, RD>(
  { words }: Output<A, RD>,
  codec: Codec<A, RD>,
  reply: Reply
): Effect.Effect<A, MalformedOutput, RD> =>
  Result.match(Json.find(reply.text), {
    onFailure: (message) => Effect.fail(malformed(reply, [{ path: [], message }])),
    onSuccess: (value) => {
      const decoded = decodeValue(codec, value, (issues) => issues)
      return Effect.catch(decoded, (issues) =>
        codec === words.codec ? Effect.fail(malformed(reply, issues)) : Effect.matchEffect(
          decodeValue(words.codec, value, (plain) =>
            plain),
          {
            onFailure: (plain) => Effect.fail(malformed(reply, plain)),
            onSuccess: () => Effect.fail(malformed(reply, issues))
          }
        ))
    }
  })

/** The value of a codec, or what is wrong with it. What a schema throws is wrong with the value too. */
export const decodeValue = <A, RD, E>(
  codec: Codec<A, RD>,
  value: unknown,
  onIssues: (issues: ReadonlyArray<Issue>) => E
): Effect.Effect<A, E, RD> =>
  Effect.suspend(() => Schema.decodeUnknownEffect(codec, { errors: "all" })(value)).pipe(
    Effect.mapError(({ issue }) => onIssues(issuesOf(issue))),
    Effect.catchDefect((defect) =>
      Effect.fail(onIssues([{ path: [], message: `the schema cannot decode it: ${String(defect)}` }]))
    )
  )

/** How many, for people: the rest quotes the answer. */
export const countOf = (issues: ReadonlyArray<Issue>): string =>
  issues.length === 1 ? "1 issue" : `${issues.length} issues`

const malformed = ({ model, requestId, stopReason, text, usage }: Reply, issues: ReadonlyArray<Issue>) =>
  new MalformedOutput({
    model,
    requestId,
    usage,
    text: redact(text),
    issues: Redacted.make(issues),
    stopReason: stopReason ?? undefined,
    detail: countOf(issues)
  })

const standard = SchemaIssue.makeFormatterStandardSchemaV1()

const issuesOf = (issue: SchemaIssue.Issue): ReadonlyArray<Issue> =>
  standard(issue).issues.map(({ message, path = [] }) => ({
    message,
    path: path.map((part) => typeof part === "number" ? part : String(typeof part === "object" ? part.key : part))
  }))
