/** Numbers of an answer that JavaScript cannot hold. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Schema } from "effect"
import { Claude } from "../../src/index.ts"
import { decodeValue } from "../../src/output/decode.ts"
import * as Exact from "../../src/output/exactJson.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

/** The value of an answer, or its issues. */
const asked = <A, I>(schema: Schema.Codec<A, I>, text: string) =>
  Claude.object(schema, "hi").pipe(
    Effect.catchTag("MalformedOutput", ({ issues }) =>
      Effect.succeed(
        issues === undefined
          ? []
          : Redacted.value(issues).map(({ message, path }) => [path.join("."), message])
      )),
    Effect.provide(FakeClaude.layer([Faults.answer(text)]))
  )

const tooLong = (digits: string) => `${digits} has more digits than a JavaScript number can hold`
const id = "2512292042121000001"
/** A number that JavaScript holds, but that is not safe. */
const round = "9007199254740992"

describe("a number that JavaScript cannot hold", () => {
  it.effect.each<readonly [string, Schema.Codec<unknown, unknown>, string, unknown]>([
    ["a BigInt", Schema.BigInt, id, BigInt(id)],
    ["a negative BigInt", Schema.BigInt, `-${id}`, -BigInt(id)],
    ["the BigInt 2 ** 53, an unsafe integer", Schema.BigInt, "9007199254740992", 9007199254740992n],
    ["a string", Schema.String, id, id],
    ["a string with a decimal", Schema.String, "0.12345678901234567890", "0.12345678901234567890"],
    ["a string with 1e400", Schema.String, "1e400", "1e400"],
    ["a string or a number", Schema.Union([Schema.Number, Schema.String]), id, id],
    ["a BigInt or null", Schema.NullOr(Schema.BigInt), id, BigInt(id)]
  ])("keeps all digits when it is decoded as %s", ([, schema, text, value]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* asked(Schema.Struct({ id: schema }), `{"id": ${text}}`), { id: value })
    }))

  it.effect.each<readonly [string, Schema.Codec<unknown, unknown>, string, string]>([
    ["Number and the value an id of 19 digits", Schema.Number, id, "Expected a finite number"],
    ["Int and the value an id of 19 digits", Schema.Int, id, "Expected number"],
    ["Number and the value a long decimal", Schema.Number, "0.1234567890123456789", "Expected a finite number"],
    ["Number and the value 1e400", Schema.Number, "1e400", "Expected a finite number"],
    ["Number and the value -1e400", Schema.Number, "-1e400", "Expected a finite number"],
    ["Number and the value 1e-400", Schema.Number, "1e-400", "Expected a finite number"],
    ["Unknown and the value an id of 19 digits", Schema.Unknown, id, "Expected JSON value"],
    ["Any and the value an id of 19 digits", Schema.Any, id, "Expected JSON value"],
    ["Literals and the value an id of 19 digits", Schema.Literals(["a", "b"]), id, "Expected \"a\" | \"b\""]
  ])(
    "causes MalformedOutput with its path in the issues if the schema is %s",
    ([, schema, text, message]) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* asked(Schema.Struct({ id: schema }), `{"id": ${text}}`), [
          ["id", `${message}: ${tooLong(text)}`]
        ])
      })
  )

  it.effect("keeps its digits, or is reported with its path, inside lists, objects and recursive schemas", () =>
    Effect.gen(function*() {
      const Ids = Schema.Struct({ ids: Schema.Array(Schema.BigInt), text: Schema.NullOr(Schema.String) })
      assert.deepStrictEqual(yield* asked(Schema.Array(Ids), `[{"ids": [1, ${id}], "text": ${id}}]`), [
        ["0.ids.0", "Expected string"]
      ])
      assert.deepStrictEqual(yield* asked(Schema.Array(Ids), `[{"ids": ["1", ${id}], "text": ${id}}]`), [
        { ids: [1n, BigInt(id)], text: id }
      ])
      interface Tree {
        readonly id: bigint
        readonly more: ReadonlyArray<Tree>
      }
      const Tree: Schema.Codec<Tree, unknown> = Schema.Struct({
        id: Schema.BigInt,
        more: Schema.Array(Schema.suspend((): Schema.Codec<Tree, unknown> => Tree))
      })
      assert.deepStrictEqual(yield* asked(Tree, `{"id": ${id}, "more": [{"id": ${id}, "more": []}]}`), {
        id: BigInt(id),
        more: [{ id: BigInt(id), more: [] }]
      })
      const Any = Schema.Struct({ a: Schema.Array(Schema.Unknown) })
      assert.deepStrictEqual(yield* asked(Any, `{"a": [1, {"b": ${id}}]}`), [
        ["a.1.b", `Expected JSON value: ${tooLong(id)}`]
      ])
    }))

  it.effect.each<readonly [string, Schema.Codec<unknown, unknown>, string, unknown]>([
    ["a BigInt", Schema.BigInt, round, BigInt(round)],
    ["a string", Schema.String, "1e20", "1e20"],
    ["a BigInt or null", Schema.NullOr(Schema.BigInt), round, BigInt(round)],
    ["BigInts in a record", Schema.Record(Schema.String, Schema.BigInt), `{"__proto__": ${round}}`, {
      ["__proto__"]: BigInt(round)
    }],
    [
      "BigInts and numbers in a list",
      Schema.Array(Schema.Struct({ a: Schema.BigInt, b: Schema.Number })),
      `[{"a": ${round}, "b": ${round}}, {"a": ${id}, "b": 1}]`,
      [{ a: BigInt(round), b: Number(round) }, { a: BigInt(id), b: 1 }]
    ],
    [
      "a BigInt in one of several objects",
      Schema.Union([
        Schema.Struct({ is: Schema.Literal("a"), a: Schema.BigInt, b: Schema.Number }),
        Schema.Struct({ is: Schema.Literal("b"), a: Schema.Number, b: Schema.BigInt })
      ]),
      `{"is": "b", "a": ${round}, "b": ${round}}`,
      { is: "b", a: Number(round), b: BigInt(round) }
    ]
  ])(
    "keeps all digits where the schema has a BigInt or a string, even if other parts of the schema are numbers: %s",
    ([, schema, text, value]) =>
      Effect.gen(function*() {
        const Mixed = Schema.Struct({
          n: Schema.Number,
          any: Schema.Unknown,
          either: Schema.Union([Schema.String, Schema.Number]),
          id: schema
        })
        const number = Number(round)
        assert.deepStrictEqual(
          yield* asked(Mixed, `{"n": ${round}, "any": ${round}, "either": ${round}, "id": ${text}}`),
          {
            n: number,
            any: number,
            either: number,
            id: value
          }
        )
      })
  )

  it.effect.each<readonly [string, Schema.Codec<unknown, unknown>, string, string]>([
    ["an object that should be an array", Schema.Array(Schema.BigInt), `{"x": ${id}}`, "Expected array"],
    ["an array that should be an object", Schema.Struct({ a: Schema.BigInt }), `[${id}]`, "Expected object"],
    ["an array that should be a string", Schema.Struct({ a: Schema.String }), `{"a": [${id}]}`, "Expected string"],
    [
      "an object that should be a number",
      Schema.Struct({ a: Schema.Number }),
      `{"a": {"n": ${id}}}`,
      "Expected a finite number"
    ]
  ])(
    "is not mentioned in the issue if it is inside %s",
    ([, schema, text, message]) =>
      Effect.gen(function*() {
        const path = message === "Expected array" || message === "Expected object" ? "" : "a"
        assert.deepStrictEqual(yield* asked(schema, text), [[path, message]])
      })
  )

  it.effect("causes no defect in a value that is too deep for the stack", () =>
    Effect.gen(function*() {
      let deep: unknown = new Exact.LongNumber(id)
      for (let depth = 0; depth < 20_000; depth++) deep = { a: deep }
      for (const schema of [Schema.Json, Schema.Array(Schema.String), Schema.Struct({ b: Schema.String })]) {
        const flaws = yield* Effect.flip(decodeValue(schema, { value: deep, long: deep }))
        assert.lengthOf(flaws.issues, 1)
      }
    }))

  it.effect("is ignored in a field that the schema does not have", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* asked(Schema.Struct({ a: Schema.Int }), `{"a": 1, "b": ${id}}`), { a: 1 })
    }))

  it.effect("causes MalformedOutput in an answer to Claude.json", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Claude.json("hi"))
      assert.strictEqual(error._tag, "MalformedOutput")
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer(`{"a": [${id}]}`)]))))

  it.effect("keeps all digits if the JSON that contains it stands between words", () =>
    Effect.gen(function*() {
      const text = `See [1]: {"id": ${id}} and 3em.`
      assert.deepStrictEqual(yield* asked(Schema.Struct({ id: Schema.BigInt }), text), { id: BigInt(id) })
    }))
})

describe("Exact.parse", () => {
  it.each([
    "0",
    "-0",
    "0.0",
    "0e5",
    "7",
    "-7.50",
    "9007199254740991",
    "1e23",
    "100000000000000000000000",
    "1180591620717411303424",
    "2512292042121000000",
    "0.1",
    "0.30000000000000004",
    "0.12345678901234567",
    "0.1000000000000000055511151231257827",
    "3.141592653589793",
    "1.7976931348623157e308",
    "1.50E+2",
    "12345678.123456789"
  ])("returns a JavaScript number for %s", (text) => {
    assert.isTrue(Object.is(Exact.parse(text).value, JSON.parse(text)))
    assert.deepStrictEqual(Exact.parse(`{"a": [${text}]}`).value, { a: [JSON.parse(text)] })
  })

  it.each([
    "9007199254740993",
    "-9007199254740993",
    "1e309",
    "1e-400",
    "0.1234567890123456789",
    "12345678.12345678901",
    "123456789012345678901e3",
    `0.${"0".repeat(500)}1`,
    "9".repeat(500)
  ].map((text) => [text.length > 30 ? `a number of ${text.length} characters` : text, text] as const))(
    "returns a LongNumber for %s",
    (_, text) => {
      assert.deepStrictEqual(Exact.parse(` ${text} `).value, new Exact.LongNumber(text))
    }
  )

  it("keeps the key __proto__ as a property", () => {
    const value = Exact.parse(`{"__proto__": ${id}, "a": {"__proto__": {"b": 1}}}`).value
    assert.deepStrictEqual(Object.keys(Object(value)), ["__proto__", "a"])
    assert.strictEqual(Object.getPrototypeOf(value), Object.prototype)
  })

  it("parses a text of 2,400,000 characters, mostly digits, in less than 10 seconds", () => {
    const started = performance.now()
    Exact.parse(`["${"1".repeat(1_000_000)}", ${"0.1,".repeat(100_000)}${"1".repeat(1_000_000)}]`)
    assert.isBelow(performance.now() - started, 10_000)
  })
})

describe("Exact.parse, if JSON.parse does not pass the source of a number,", () => {
  it("returns a LongNumber without digits for an unsafe integer, and rounds a long decimal", () => {
    const { parse } = JSON
    type Reviver = (this: unknown, key: string, value: unknown) => unknown
    const untold = (text: string, reviver?: Reviver): unknown =>
      parse(text, reviver && ((key: string, value: unknown) => reviver.call(undefined, key, value)))
    Object.assign(JSON, { parse: untold })
    try {
      for (const text of [id, "1e400"]) {
        assert.deepStrictEqual(Exact.parse(text).value, new Exact.LongNumber(undefined))
      }
      assert.strictEqual(Exact.parse("0.1234567890123456789").value, Number("0.1234567890123456789"))
    } finally {
      Object.assign(JSON, { parse })
    }
  })
})
