/**
 * Property: for any schema and any answer, `Claude.object` returns a value of the schema, or fails with an error that
 * says why it cannot.
 *
 * `SEED=anything vitest run test/output/structuredProperties.test.ts` generates other cases.
 */
import { assert, it } from "@effect/vitest"
import { Arbitrary, Cause, Data, Effect, Exit, Layer, Redacted, Result, Schema, SchemaTransformation } from "effect"
import { Claude, ClaudeError, Models, Validate } from "../../src/index.ts"
import * as Output from "../../src/output/codec.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"
import { runs } from "../support/effort.ts"
import { Tree } from "../support/tree.ts"

const seed = process.env["SEED"] ?? "resilient-claude"

// -----------------------------------------------------------------------------
// Schemas
// -----------------------------------------------------------------------------

type AnySchema = Schema.ConstraintCodec<unknown, unknown>

/** A schema, and its known properties. */
interface Kind {
  readonly name: string
  readonly schema: AnySchema
  /** The schema without the parts that throw, to generate values. */
  readonly source: AnySchema
  /** What an encoded value decodes to: "back" the same value, "like it" any value of the schema, "not at all" an error. */
  readonly comes: "back" | "like it" | "not at all"
}

class Person extends Schema.Class<Person>("Person")({ name: Schema.String, born: Schema.optional(Schema.Date) }) {}

class Folder extends Schema.Class<Folder>("Folder")({
  name: Schema.String,
  inside: Schema.Array(Schema.suspend((): Schema.Codec<Folder, { readonly name: string }> => Folder))
}) {}

const cannot = (what: string) => (): never => {
  throw new Error(`cannot ${what}`)
}
const undecodable = Schema.String.pipe(
  Schema.decodeTo(
    Schema.String,
    SchemaTransformation.transform<string, string>({ decode: cannot("decode"), encode: (text) => text })
  )
)

type Leaf = readonly [name: string, schema: AnySchema, comes?: Kind["comes"], source?: AnySchema]

const leaves: ReadonlyArray<Leaf> = [
  ["String", Schema.String],
  ["NonEmptyString", Schema.NonEmptyString],
  ["Finite", Schema.Finite],
  // @effect-diagnostics-next-line schemaNumber:off
  ["Number", Schema.Number],
  ["Int", Schema.Int],
  ["Int from 1 to 5", Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 5 }))],
  ["String of 2 to 4", Schema.String.check(Schema.isMinLength(2), Schema.isMaxLength(4))],
  ["String of digits", Schema.String.check(Schema.isPattern(/^\d+$/))],
  ["Boolean", Schema.Boolean],
  ["Null", Schema.Null],
  ["Undefined", Schema.Undefined],
  ["Literals", Schema.Literals(["a", "b{", 1, true])],
  ["Literals and null", Schema.Literals(["a", null] as ReadonlyArray<string | null> as ReadonlyArray<string>)],
  ["Date", Schema.Date],
  ["BigInt", Schema.BigInt],
  ["FiniteFromString", Schema.FiniteFromString],
  ["Trim", Schema.Trim],
  ["Uint8Array", Schema.Uint8Array],
  ["Option", Schema.Option(Schema.String)],
  ["Redacted", Schema.Redacted(Schema.String), "like it"],
  ["Map", Schema.ReadonlyMap(Schema.String, Schema.Finite)],
  ["Symbol", Schema.Symbol, "like it"],
  ["Unknown", Schema.Unknown],
  ["Json", Schema.Json],
  ["Never", Schema.Never],
  ["an empty Struct", Schema.Struct({})],
  ["Tree", Tree],
  ["Person", Person],
  ["Folder", Folder],
  // Schemas that cannot encode, or cannot decode.
  ["a function", Schema.declare((input): input is () => void => typeof input === "function")],
  ["a symbol key", Schema.Struct({ [Symbol.for("key")]: Schema.String })],
  ["a schema that throws", Schema.suspend(cannot("be made"))],
  ["a check that throws", Schema.String.check(Schema.makeFilter(cannot("check"))), "not at all", Schema.String],
  ["a transformation that throws", undecodable, "not at all", Schema.String]
]

const leaf: Arbitrary.Arbitrary<Kind> = Arbitrary.map(
  Arbitrary.schema(Schema.Literals(leaves.map((_, i) => i))),
  (at) => {
    const [name, schema, comes = "back", source = schema] = leaves[at] ?? assert.fail()
    return { name, schema, source, comes }
  }
)

type Inner = readonly [AnySchema, ...ReadonlyArray<AnySchema>]

const struct = (inner: Inner, field: (schema: AnySchema, i: number) => AnySchema) =>
  Schema.Struct(Object.fromEntries(inner.map((schema, i) => [`f${i}`, field(schema, i)])))

type Composite = readonly [name: string, make: (inner: Inner) => AnySchema, comes?: Kind["comes"]]

/** Ways to combine schemas. */
const composites: ReadonlyArray<Composite> = [
  ["NullOr", ([a]) => Schema.NullOr(a)],
  ["Array", ([a]) => Schema.Array(a)],
  ["Array of two or more", ([a]) => Schema.Array(a).check(Schema.isMinLength(2))],
  ["Struct", (inner) => struct(inner, (schema) => schema)],
  [
    "Struct of optional",
    (inner) => struct(inner, (schema, i) => i % 2 === 0 ? Schema.optional(schema) : Schema.optionalKey(schema))
  ],
  ["Tuple", (inner) => Schema.Tuple(inner)],
  ["Tuple with rest", ([a, b = a]) => Schema.TupleWithRest(Schema.Tuple([a]), [b])],
  ["Record", ([a]) => Schema.Record(Schema.String, a)],
  ["Union", (inner) => Schema.Union(inner), "like it"],
  [
    "tagged Union",
    (inner) => Schema.Union(inner.map((value, i) => Schema.Struct({ _tag: Schema.Literal(`t${i}`), value })))
  ]
]

const worst = (...all: ReadonlyArray<Kind["comes"]>): Kind["comes"] =>
  all.includes("not at all") ? "not at all" : all.includes("like it") ? "like it" : "back"

/** A schema with at most `depth` composites around each leaf. */
const kindOf = (depth: number): Arbitrary.Arbitrary<Kind> => {
  if (depth === 0) return leaf
  const inner = kindOf(depth - 1)
  const composite = Arbitrary.map(
    Arbitrary.all([
      Arbitrary.schema(Schema.Literals(composites.map((_, i) => i))),
      Arbitrary.array(inner, { minLength: 1, maxLength: 3 })
    ]),
    ([at, inner]): Kind => {
      const [name, make, comes = "back"] = composites[at] ?? assert.fail()
      const of = (key: "schema" | "source") => {
        const [first, ...rest] = inner.map((kind) => kind[key])
        return make([first ?? assert.fail(), ...rest])
      }
      return {
        name: `${name}(${inner.map(({ name }) => name).join(", ")})`,
        schema: of("schema"),
        source: of("source"),
        comes: worst(comes, ...inner.map(({ comes }) => comes))
      }
    }
  )
  return Arbitrary.flatMap(
    Arbitrary.schema(Schema.Literals([0, 1, 2])),
    (which) => which === 0 ? inner : composite
  )
}

// -----------------------------------------------------------------------------
// Answers
// -----------------------------------------------------------------------------

/** A value of the schema, if one can be generated. */
const valueOf = ({ source }: Kind): Arbitrary.Arbitrary<{ readonly value: unknown } | undefined> =>
  Result.match(Result.try(() => Arbitrary.schema(source)), {
    onFailure: () => Arbitrary.Constant(undefined),
    onSuccess: (values) => Arbitrary.map(values, (value) => ({ value }))
  })

/** A schema, a model, and how the text of the answer is made. */
interface Case {
  readonly kind: Kind
  /** Whether the model has structured outputs. */
  readonly able: boolean
  /** A value of the schema, if one can be generated. Otherwise the answer is made from `other`. */
  readonly valid: { readonly value: unknown } | undefined
  readonly other: Schema.Json
  readonly change: keyof typeof changes
  readonly at: number
}

/** The ways to change the text of an answer. */
const changes = {
  nothing: (text) => text,
  spaces: (text) => ` \n${text}\n `,
  fence: (text) => `\`\`\`json\n${text}\n\`\`\``,
  words: (text) => `Here's what I read: ${text}\nIs it what you wanted?`,
  wordsAndFence: (text) => `It's this:\n\n\`\`\`\n${text}\n\`\`\`\n\nThat's all.`,
  footnote: (text) => `${text} as it says in [1].`,
  doubled: (text) => `${text}\n${text}`,
  cut: (text, { at }) => text.slice(0, at % Math.max(1, text.length)),
  deleted: (text, { at }) => text.slice(0, at % text.length) + text.slice(at % text.length + 1),
  inserted: (text, { at }) => {
    const where = at % (text.length + 1)
    const characters = "\"\\{}[],:0-e. nt\n\u0000\uD800"
    return text.slice(0, where) + (characters[at % characters.length] ?? "") + text.slice(where)
  },
  removed: (text, { at }) => edit(text, at, () => undefined),
  replaced: (text, { at, other }) => edit(text, at, () => other),
  wrapped: (text, { at }) => edit(text, at, (value) => [value]),
  other: (_, { other }) => JSON.stringify(other)
} satisfies Record<string, (text: string, by: Pick<Case, "at" | "other">) => string>

const same: ReadonlyArray<Case["change"]> = ["nothing", "spaces", "fence"]
const sameIfBrackets: ReadonlyArray<Case["change"]> = ["words", "wordsAndFence"]
const several: ReadonlyArray<Case["change"]> = ["doubled"]

type Path = ReadonlyArray<string>

/** The paths of a value and of all values inside it. */
const places = (value: unknown, path: Path = []): ReadonlyArray<Path> => [
  path,
  ...(typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([key, inner]) => places(inner, [...path, key]))
    : [])
]

/** The JSON text with one of its values changed or removed. */
const edit = (text: string, at: number, change: (value: unknown) => unknown): string => {
  const value: unknown = JSON.parse(text)
  const all = places(value)
  return JSON.stringify(put(value, all[at % all.length] ?? [], change)) ?? "null"
}

const put = (value: unknown, [key, ...path]: Path, change: (value: unknown) => unknown): unknown => {
  if (key === undefined) return change(value)
  const entries = Object.entries(Object(value)).flatMap(([name, inner]) => {
    const changed = name === key ? put(inner, path, change) : inner
    return changed === undefined ? [] : [[name, changed] as const]
  })
  return Array.isArray(value) ? entries.map(([, inner]) => inner) : Object.fromEntries(entries)
}

/** Normalizes differences that JSON cannot express: negative zero, and undefined or missing fields. */
const told = (value: unknown): unknown => {
  if (value === 0) return 0
  if (Array.isArray(value)) return value.map(told)
  if (value instanceof Map) return [...value].map(told)
  if (typeof value !== "object" || value === null) return value ?? null
  const prototype: unknown = Object.getPrototypeOf(value)
  if (value instanceof Person || value instanceof Folder) return [prototype, told({ ...value })]
  if (prototype !== Object.prototype && prototype !== null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, inner]) => inner === undefined || inner === null ? [] : [[key, told(inner)]])
  )
}

const cases: Arbitrary.Arbitrary<Case> = Arbitrary.flatMap(kindOf(3), (kind) =>
  Arbitrary.all({
    kind: Arbitrary.Constant(kind),
    able: Arbitrary.schema(Schema.Boolean),
    valid: valueOf(kind),
    other: Arbitrary.schema(Schema.Json),
    change: Arbitrary.schema(Schema.Literals(Object.keys(changes) as ReadonlyArray<Case["change"]>)),
    at: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100_000 })))
  }))

// -----------------------------------------------------------------------------
// The property
// -----------------------------------------------------------------------------

/** Counts the outcomes, to check that the property sees successes too. */
const seen = new Map<string, number>()
const see = (what: string) => seen.set(what, (seen.get(what) ?? 0) + 1)

const decodes = ({ able, at, change, kind, other, valid }: Case) =>
  Effect.gen(function*() {
    const { comes, schema, source } = kind
    const output = Output.of(schema)
    const codec = Result.map(Output.of(source), ({ held, words }) =>
      able && Result.isSuccess(held) ? held.success.codec : words.codec)

    // The JSON that Claude would write for the value, if it can be encoded.
    const encoded = valid === undefined || Result.isFailure(codec)
      ? undefined
      : yield* Effect.exit(Effect.suspend(() =>
        Schema.encodeUnknownEffect(codec.success)(valid.value)
      ))
    const original = encoded !== undefined && Exit.isSuccess(encoded) ? JSON.stringify(encoded.value) : undefined
    const whole = original ?? JSON.stringify(other)
    const written = changes[change](whole, { at, other })

    const { exit, requests } = yield* Effect.gen(function*() {
      const exit = yield* Effect.exit(Claude.object(schema, "read it", { model: able ? "claude-opus-5-5" : "old" }))
      return { exit, requests: yield* FakeClaude.received }
    }).pipe(
      Effect.provide(Layer.provide(FakeClaude.layer([Faults.answer(written)]), old))
    )

    const brackets = /^[[{]/.test(whole)
    if (Exit.isSuccess(exit)) {
      see("value")
      assert.isTrue(Schema.is(schema)(exit.value), "the value is not of the schema")
      assert.isFalse(brackets && several.includes(change), "one of two values was taken")
    }
    if (Result.isFailure(output)) {
      see("InvalidRequest")
      assert.strictEqual(errorOf(exit)?._tag, "InvalidRequest")
      assert.lengthOf(requests, 0)
      return true
    }
    assert.lengthOf(requests, 1)
    if (
      original !== undefined && comes !== "not at all" &&
      (same.includes(change) || brackets && sameIfBrackets.includes(change))
    ) {
      see("the same value")
      if (Exit.isFailure(exit)) return assert.fail(`a valid answer was not taken: ${Cause.pretty(exit.cause)}`)
      if (comes === "back") assert.deepStrictEqual(told(exit.value), told(valid?.value))
    }
    const error = errorOf(exit)
    if (error === undefined) return true
    see(error._tag)
    if (written.trim() === "") {
      assert.strictEqual(error._tag, "EmptyAnswer")
      return true
    }
    if (error._tag !== "MalformedOutput") return assert.fail(`it is a ${error._tag}: ${error.message}`)
    assert.strictEqual(error.text === undefined ? undefined : Redacted.value(error.text), written)
    const issues = error.issues === undefined ? [] : Redacted.value(error.issues)
    assert.isNotEmpty(issues)
    for (const { message, path } of issues) {
      assert.isString(message)
      assert.isNotEmpty(message.trim())
      for (const part of path) assert.include(["string", "number"], typeof part)
    }
    return true
  }).pipe(
    // Names the case in one line, because the printed schema of a failed case is long.
    Effect.catchDefect((cause) => Effect.fail(new Broken({ what: `${kind.name}, ${change}, ${able}`, cause })))
  )

class Broken extends Data.TaggedError("Broken")<{ readonly what: string; readonly cause: unknown }> {
  override get message() {
    return this.what
  }
}

const old = Models.layer([{ id: "old", capabilities: { structuredOutputs: false } }])

/** The error of a failure. Asserts that it is a ClaudeError, not a defect or an interrupt. */
const errorOf = (exit: Exit.Exit<unknown, ClaudeError.ClaudeError>): ClaudeError.ClaudeError | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  const [reason, ...more] = exit.cause.reasons
  if (reason?._tag !== "Fail" || more.length > 0) return assert.fail(Cause.pretty(exit.cause))
  assert.isTrue(ClaudeError.is(reason.error))
  assert.isNotEmpty(reason.error.message)
  return reason.error
}

it.effect.prop(
  "for random schemas and answers, Claude.object returns a value of the schema or fails with MalformedOutput, EmptyAnswer or InvalidRequest",
  { one: cases },
  ({ one }) => decodes(one),
  { arbitrary: { runs: runs(2000), seed }, timeout: 60_000 }
)

it.effect.prop(
  "a request with the JSON schema of a random schema breaks no validation rule",
  { kind: kindOf(3) },
  ({ kind: { name, schema } }) =>
    Effect.sync(() => {
      const output = Output.of(schema)
      if (Output.formOf(output).form !== "schema" || Result.isFailure(output)) return true
      see("a schema")
      const question = { model: "claude-opus-5-5", max_tokens: 9, messages: [{ role: "user" as const, content: "hi" }] }
      const { params } = Output.ask(output.success, question, true)
      assert.deepStrictEqual(Validate.check(params, { strict: true }).errors, [], name)
      return true
    }),
  { arbitrary: { runs: runs(2000), seed }, timeout: 60_000 }
)

it("each kind of success and of failure occurred at least three times in the tests with random schemas", () => {
  for (const what of ["value", "the same value", "MalformedOutput", "InvalidRequest", "EmptyAnswer", "a schema"]) {
    assert.isAtLeast(seen.get(what) ?? 0, 3, what)
  }
})
