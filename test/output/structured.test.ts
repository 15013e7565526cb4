/** Structured answers: how they are requested, decoded and corrected. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted, Ref, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Anthropic, CallLog, Claude, type ClaudeError, Models, Policy, Retry, Tool } from "../../src/index.ts"
import { FakeClaude, FakeServer, Faults } from "../../src/testing/index.ts"
import { Tree } from "../support/tree.ts"

const Invoice = Schema.Struct({
  number: Schema.String,
  total: Schema.Finite,
  due: Schema.optional(Schema.String)
})

const sent = Effect.map(FakeClaude.received, (requests) => requests.map(({ params }) => params))

/** The issues of the error. */
const issues = <A, R>(self: Effect.Effect<A, unknown, R>) =>
  Effect.map(Effect.flip(self), (error) => {
    if (!(typeof error === "object" && error !== null && "_tag" in error && error._tag === "MalformedOutput")) {
      return assert.fail(`not malformed: ${String(error)}`)
    }
    const { issues } = error as { readonly issues?: Redacted.Redacted<ReadonlyArray<unknown>> }
    return issues === undefined ? assert.fail("no issues") : Redacted.value(issues)
  })

describe("a request for a value", () => {
  it.effect("sends the schema to the API", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Claude.object(Invoice, "read it"), { number: "A1", total: 7 })
      const [params] = yield* sent
      assert.deepStrictEqual(params?.messages, [{ role: "user", content: "read it" }])
      assert.deepStrictEqual(params?.output_config?.format, {
        type: "json_schema",
        schema: {
          type: "object",
          properties: {
            number: { type: "string" },
            total: { type: "number" },
            due: { anyOf: [{ type: "string" }, { type: "null" }] }
          },
          required: ["number", "total", "due"],
          additionalProperties: false
        }
      })
    }).pipe(Effect.provide(FakeClaude.layer([Faults.value({ number: "A1", total: 7, due: null })]))))

  it.effect("decodes a record from a list of pairs, and a tuple from an object with numeric keys", () =>
    Effect.gen(function*() {
      const Counts = Schema.Struct({
        byName: Schema.Record(Schema.String, Schema.Int),
        pair: Schema.Tuple([Schema.String, Schema.Int])
      })
      assert.deepStrictEqual(Claude.formOf(Counts), { form: "schema" })
      assert.deepStrictEqual(yield* Claude.object(Counts, "count"), { byName: { a: 1 }, pair: ["b", 2] })
    }).pipe(Effect.provide(FakeClaude.layer([
      Faults.value({ byName: [{ 0: "a", 1: 1 }], pair: { 0: "b", 1: 2 } })
    ]))))

  it.effect("has an instruction at the end of its last message, instead of the schema, if the API does not accept the schema", () =>
    Effect.gen(function*() {
      const tree = { name: "a", children: [{ name: "b", children: [] }] }
      const first = { type: "text", text: "read it", cache_control: { type: "ephemeral" } } as const
      assert.deepStrictEqual(yield* Claude.object(Tree, [{ role: "user", content: [first] }]), tree)
      const [params] = yield* sent
      assert.isUndefined(params?.output_config)
      const [message] = params?.messages ?? []
      assert.deepStrictEqual(message?.content[0], first)
      assert.match(JSON.stringify(message?.content[1]), /matches this JSON Schema, and nothing else:.*\$defs/)
    }).pipe(Effect.provide(FakeClaude.layer([Faults.value({ name: "a", children: [{ name: "b", children: [] }] })]))))

  it("has a form that `Claude.formOf` returns without sending the request, with a reason if the form is not `schema`", () => {
    const many = Schema.Struct(Object.fromEntries(
      Array.from({ length: 17 }, (_, i) => [`f${i}`, Schema.optional(Schema.String)])
    ))
    assert.deepStrictEqual(Claude.formOf(Invoice), { form: "schema" })
    class Form extends Schema.Class<Form>("Form")(
      Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`f${i}`, Schema.optional(Schema.String)]))
    ) {}
    for (const schema of [Schema.Array(Invoice), Form, Schema.Struct({})]) {
      assert.deepStrictEqual(Claude.formOf(schema), { form: "schema" })
    }
    const broken = Schema.suspend((): Schema.Codec<string> => {
      throw new Error("no such schema")
    })
    assert.deepStrictEqual(Claude.formOf(broken), {
      form: "unsupported",
      because: "the schema has no JSON form: Error: no such schema"
    })
    // @effect-diagnostics-next-line schemaNumber:off
    const numbers = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`f${i}`, Schema.Number]))
    assert.deepStrictEqual(Claude.formOf(Schema.Struct(numbers)), { form: "schema" })
    assert.deepStrictEqual(Claude.formOf(Tree), {
      form: "prompt",
      because: "the schema is recursive, which the API does not accept"
    })
    assert.deepStrictEqual(Claude.formOf(Schema.Struct({ any: Schema.Unknown })), {
      form: "prompt",
      because: "\"any\" in the schema has no type, which the API does not accept"
    })
    assert.deepStrictEqual(Claude.formOf(many), {
      form: "prompt",
      because: "the schema has 17 unions and optional fields, but the API accepts at most 16"
    })
  })

  it.effect("has an instruction instead of the schema if the fallback model has no structured outputs", () =>
    Effect.gen(function*() {
      const call = yield* Claude.object(Invoice, "read it").pipe(
        Policy.apply({ models: ["claude-old"] }),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.join(call), { number: "A1", total: 7 })
      const [first, second] = yield* sent
      assert.strictEqual(first?.output_config?.format?.type, "json_schema")
      assert.isUndefined(second?.output_config)
      assert.match(JSON.stringify(second?.messages), /matches this JSON Schema/)
    }).pipe(
      Effect.provide(
        Layer.provide(
          FakeClaude.layer([Faults.overloaded, Faults.value({ number: "A1", total: 7 })]),
          Models.layer([{ id: "claude-old", capabilities: { structuredOutputs: false } }])
        )
      )
    ))

  it.effect("is validated together with its schema: citations beside a schema are refused", () =>
    Effect.gen(function*() {
      const source = { type: "text", media_type: "text/plain", data: "a" } as const
      const cited = { type: "document", source, citations: { enabled: true } } as const
      const error = yield* Claude.object(Invoice, [{ role: "user", content: [cited] }]).pipe(
        Policy.apply({ ...Policy.none, strict: true }),
        Effect.flip
      )
      assert.strictEqual(error._tag, "InvalidRequest")
      assert.match(error.message, /citations/)
      assert.deepStrictEqual(yield* sent, [])
    }).pipe(Effect.provide(FakeClaude.layer([]))))

  it.effect("whose literals include null returns null for a JSON null, and sends no schema that contains `[null]`", () =>
    Effect.gen(function*() {
      // Cast: `Schema.Literals` accepts null, but its types do not.
      const literals = ["yes", "no", null] as ReadonlyArray<string | null> as ReadonlyArray<string>
      const schemas = [
        Schema.Literals(literals),
        Schema.Array(Schema.Literals(literals)),
        Schema.Struct({ a: Schema.optional(Schema.Literals(literals)) })
      ]
      const answers = [null, ["yes", null], { a: "no" }]
      for (const [i, schema] of schemas.entries()) {
        yield* Effect.gen(function*() {
          const value = yield* Claude.object<unknown, unknown>(schema, "read it").pipe(
            Policy.apply({ ...Policy.none, strict: true })
          )
          assert.deepStrictEqual(value, answers[i])
          assert.notInclude(JSON.stringify(yield* sent), "[null]")
        }).pipe(Effect.provide(FakeClaude.layer([Faults.answer(JSON.stringify(answers[i]))])))
      }
    }))

  const optionalFields: ReadonlyArray<readonly [name: string, field: Schema.Codec<string | null | undefined>]> = [
    ["a string", Schema.String],
    ["a string or null", Schema.NullOr(Schema.String)],
    ["a string, null or undefined", Schema.NullishOr(Schema.String)]
  ]
  it.effect.each(optionalFields)(
    "allows null exactly once in the schema of an optional field that is %s",
    ([, field]) =>
      Effect.gen(function*() {
        yield* Claude.object(Schema.Struct({ due: Schema.optional(field) }), "read it")
        const [params] = yield* sent
        assert.deepStrictEqual(params?.output_config?.format?.schema["properties"], {
          due: { anyOf: [{ type: "string" }, { type: "null" }] }
        })
      }).pipe(Effect.provide(FakeClaude.layer([Faults.value({ due: null })])))
  )

  it.effect.each(optionalFields)(
    "allows null exactly once in the instruction, as a tool does in its input schema, for an optional field that is %s",
    ([, field]) =>
      Effect.gen(function*() {
        const schema = Schema.Struct({ due: Schema.optional(field) })
        yield* Claude.object(schema, "read it", { form: "prompt" })
        const [params] = yield* sent
        const written = JSON.stringify({ due: { anyOf: [{ type: "string" }, { type: "null" }] } })
        const [message] = params?.messages ?? []
        assert.include(JSON.stringify(message), JSON.stringify(written).slice(1, -1))
        assert.strictEqual(JSON.stringify(Tool.make("read", { input: schema }).input_schema.properties), written)
      }).pipe(Effect.provide(FakeClaude.layer([Faults.value({ due: null })])))
  )

  it.effect("rejects a string such as \"NaN\" for a number, and writes NaN or Infinity in no schema, instruction or issue", () =>
    Effect.gen(function*() {
      // @effect-diagnostics-next-line schemaNumber:off
      const number = Schema.Number
      const schemas = [
        [Schema.Struct({ a: number }), { a: "12.50" }, { a: "Infinity" }],
        [Schema.Array(Schema.optional(number)), ["12.50"], ["NaN"]],
        [Schema.Struct({ a: Schema.Array(number) }), { a: ["12.50"] }, { a: ["Infinity"] }],
        [Schema.Struct({ a: number.check(Schema.isGreaterThan(1)) }), { a: "12.50" }, { a: "-Infinity" }],
        [Schema.Struct({ a: number, any: Schema.Unknown }), { a: "12.50", any: 1 }, { a: "NaN", any: 1 }]
      ] as const
      for (const [schema, ...wrong] of schemas) {
        yield* Effect.gen(function*() {
          for (const model of ["claude-opus-5-5", "claude-old"]) {
            const found = [
              yield* issues(Claude.object<unknown, unknown>(schema, "read it", { model })),
              yield* issues(Claude.object<unknown, unknown>(schema, "read it", { model }))
            ]
            assert.match(JSON.stringify(found), /Expected (a finite number|number \| null)/)
            assert.notMatch(JSON.stringify(found), /Infinity|NaN/)
          }
          assert.notMatch(JSON.stringify(yield* sent), /Infinity|NaN/)
        }).pipe(
          Effect.provide(
            FakeClaude.layer([...wrong, ...wrong].map((value) => Faults.answer(JSON.stringify(value)))).pipe(
              Layer.provide(Models.layer([{ id: "claude-old", capabilities: { structuredOutputs: false } }]))
            )
          )
        )
      }
    }))

  it.effect("has its instruction in the user message if it ends with a system message", () =>
    Effect.gen(function*() {
      const messages = [{ role: "user", content: "a" }, { role: "system", content: "be brief" }] as const
      assert.deepStrictEqual(yield* Claude.json(messages), 1)
      const [params] = yield* sent
      assert.deepStrictEqual(params?.messages.map(({ role }) => role), ["user", "system"])
      assert.match(JSON.stringify(params?.messages[0]), /one JSON value/)
    }).pipe(Effect.provide(FakeClaude.layer([Faults.value(1)]))))

  it.effect("is refused if it ends with a prefill", () =>
    Effect.gen(function*() {
      const prefilled = [{ role: "user", content: "read it" }, { role: "assistant", content: "{" }] as const
      const error = yield* Effect.flip(Claude.object(Invoice, prefilled))
      assert.strictEqual(error._tag, "InvalidRequest")
      assert.match(error.message, /a structured answer cannot continue a message of the assistant/)
      assert.deepStrictEqual(yield* sent, [])
    }).pipe(Effect.provide(FakeClaude.layer([]))))
})

describe("choice", () => {
  const ask = Claude.choice(["billing", "technical", "other"], "My invoice is wrong.")

  it.effect("returns one of the choices", () =>
    Effect.gen(function*() {
      const team: "billing" | "technical" | "other" = yield* ask
      assert.strictEqual(team, "billing")
      const [params] = yield* sent
      assert.deepInclude(params?.output_config?.format?.schema, {
        properties: { choice: { type: "string", enum: ["billing", "technical", "other"] } }
      })
    }).pipe(Effect.provide(FakeClaude.layer([Faults.value({ choice: "billing" })]))))

  it.effect("fails with MalformedOutput for an answer that is not one of the choices", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* issues(ask), [
        { path: ["choice"], message: `Expected "billing" | "technical" | "other"` }
      ])
    }).pipe(Effect.provide(FakeClaude.layer([Faults.value({ choice: "sales" })]))))

  it.effect.each([
    { choices: [] },
    { choices: ["a", "a"] },
    { choices: ["a", " "] }
  ])("refuses the list of choices $choices", ({ choices }) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Claude.choice(choices, "which?"))
      assert.deepInclude({ ...error }, { _tag: "InvalidRequest", sent: false })
      assert.deepStrictEqual(yield* sent, [])
    }).pipe(Effect.provide(FakeClaude.layer([]))))
})

describe("json", () => {
  it.effect("adds an instruction to answer with one JSON value, and returns this value without a schema", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Claude.json("three primes"), [2, 3, 5])
      const [params] = yield* sent
      assert.deepStrictEqual(params?.messages, [{
        role: "user",
        content: [
          { type: "text", text: "three primes" },
          { type: "text", text: "Answer with one JSON value, and nothing else." }
        ]
      }])
    }).pipe(Effect.provide(FakeClaude.layer([Faults.value([2, 3, 5])]))))
})

describe("decoding", () => {
  it.effect("reports every issue with its path", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* issues(Claude.object(Schema.Struct({ items: Schema.Array(Invoice) }), "read it")), [
        { path: ["items", 0, "total"], message: "Expected number" },
        { path: ["items", 1, "number"], message: "Missing key" },
        { path: ["items", 1, "total"], message: "Missing key" }
      ])
    }).pipe(
      Effect.provide(
        FakeClaude.layer([Faults.value({ items: [{ number: "A1", total: "7", due: null }, { due: null }] })])
      )
    ))

  it.effect.each<readonly [string, Effect.Effect<unknown, ClaudeError.ClaudeError, Claude.Claude>, Faults.Turn]>([
    ["an object", Claude.object(Invoice, "read it"), Faults.value({ number: "A1" })],
    ["a choice", Claude.choice(["a", "b"], "which?"), Faults.value({ choice: "c" })],
    ["JSON", Claude.json("three primes"), Faults.answer("two, three and five")],
    [
      "the input of a tool",
      Claude.message("book it", { tools: [Tool.make("book", { input: Schema.Struct({ seats: Schema.Int }) })] }),
      Faults.answer("", { tool: { name: "book", input: { seats: "two" } } })
    ]
  ])("logs a failed attempt for a malformed answer: %s", ([, ask, turn]) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(Policy.apply({ overall: "1 minute" })(ask)))._tag, "MalformedOutput")
      const events = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["AttemptStarted", "AttemptFailed", "GaveUp"])
      const [, failed] = events
      assert.strictEqual(failed?._tag === "AttemptFailed" && failed.error._tag, "MalformedOutput")
    }).pipe(Effect.provide(Layer.provideMerge(FakeClaude.layer([turn]), CallLog.layerMemory))))

  const Even = Schema.Int.check(Schema.makeFilter((n) => n % 2 === 0 || `${n} is odd`, { expected: "an even number" }))
  const Odd = Schema.String.check(Schema.makeFilter((word) => `${word} is not a name`))
  it.effect.each<readonly [string, Schema.Codec<unknown, unknown>, unknown, string]>([
    [
      "paths and expected types",
      Schema.Struct({ items: Schema.Array(Invoice) }),
      { items: [{ number: "A1", total: "SECRET", due: null }, { due: null }] },
      "3 issues: items.0.total: Expected number; items.1.number: Missing key; items.1.total: Missing key"
    ],
    ["what a check expects", Schema.Struct({ n: Even }), { n: 3 }, "1 issue: n: Expected an even number"],
    [
      "no message of a check",
      Schema.Struct({ name: Odd }),
      { name: "SECRET" },
      "1 issue: name: a check failed that has no \"expected\" annotation"
    ],
    [
      "no key of a record",
      Schema.Struct({ ages: Schema.Record(Schema.String, Schema.Int) }),
      { ages: { SECRET: "x" } },
      "1 issue: ages.*: Expected number"
    ],
    [
      "the types of a union",
      Schema.Struct({ at: Schema.Union([Schema.Int, Schema.Boolean]) }),
      { at: "SECRET" },
      "1 issue: at: Expected number | boolean"
    ],
    [
      "nothing of a value that a transformation refuses",
      Schema.Struct({ n: Schema.BigInt, at: Schema.URL }),
      { n: "SECRET", at: "SECRET" },
      "2 issues: n: Expected a string representing a bigint; at: Expected a valid value"
    ]
  ])(
    "G14: the message of the MalformedOutput error contains %s",
    ([, schema, value, detail]) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Claude.object(schema, "read it"))
        assert.strictEqual(error.detail, detail)
        assert.notMatch(error.message, /SECRET/)
      }).pipe(Effect.provide(FakeClaude.layer([Faults.value(value)])))
  )

  it.effect("joins two text blocks", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Claude.object(Invoice, "read it"), { number: "A1", total: 7 })
    }).pipe(
      Effect.provide(FakeClaude.layer([twoBlocks("Here it is: {\"number\": \"A1\",", "\"total\": 7, \"due\": null}")]))
    ))

  it.effect("fails with MalformedOutput if the schema throws", () =>
    Effect.gen(function*() {
      const broken = Schema.String.check(Schema.makeFilter((): boolean => {
        throw new Error("cannot check")
      }))
      assert.deepStrictEqual(yield* issues(Claude.object(Schema.Struct({ a: broken }), "read it")), [
        { path: [], message: "the schema cannot decode the value: Error: cannot check" }
      ])
    }).pipe(Effect.provide(FakeClaude.layer([Faults.value({ a: "x" })]))))

  it.effect("fails with MalformedOutput if the answer is nested deeper than the stack", () =>
    Effect.gen(function*() {
      assert.lengthOf(yield* issues(Claude.object(Tree, "read it")), 1)
    }).pipe(Effect.provide(FakeClaude.layer([
      Faults.answer("{\"name\":\"a\",\"children\":[".repeat(20_000) + "]}".repeat(20_000))
    ]))))

  it.effect.each(
    [
      ["a refusal", Faults.refusal("{\"number\": \"A1\", \"total\": 7}"), "Refused"],
      ["a cut answer", Faults.maxTokens("{\"number\": \"A1\", \"total\": 7}"), "Truncated"],
      ["an empty answer", Faults.emptyAnswer, "EmptyAnswer"]
    ] as const
  )("is skipped for %s", ([, turn, tag]) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(Claude.object(Invoice, "read it")))._tag, tag)
    }).pipe(Effect.provide(FakeClaude.layer([turn]))))
})

describe("a tool use", () => {
  const uses = Faults.answer("", { tool: { name: "get_weather", input: {} } })

  it.effect("without text is an EmptyAnswer for a call that asks for text or a value", () =>
    Effect.gen(function*() {
      for (const ask of [Effect.asVoid(Claude.text("hi")), Effect.asVoid(Claude.object(Invoice, "read it"))]) {
        const error = yield* Effect.flip(ask)
        assert.strictEqual(error._tag, "EmptyAnswer")
        assert.match(error.message, /it called a tool instead of writing text: use Claude\.message/)
      }
    }).pipe(Effect.provide(FakeClaude.layer([uses, uses]))))
})

describe("an undefined option", () => {
  it.effect("counts as missing, so the default applies", () =>
    Effect.gen(function*() {
      const unset = { model: undefined, max_tokens: undefined, system: undefined }
      // The types forbid undefined here, but untyped code may pass it.
      yield* Claude.text("hi", unset as object).pipe(Policy.apply(Policy.none))
      assert.deepInclude((yield* sent)[0], { model: "claude-sonnet-5-5", max_tokens: 4096 })
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("hello")]))))

  it.effect("leaves the parameter of the prompt unchanged", () =>
    Effect.gen(function*() {
      const prompt: Claude.Prompt = { messages: [{ role: "user", content: "hi" }], system: "be brief", max_tokens: 7 }
      yield* Claude.text(prompt, { system: undefined, max_tokens: undefined, model: undefined })
      assert.deepInclude((yield* sent)[0], { system: "be brief", max_tokens: 7, model: "claude-sonnet-5-5" })
      const twice = { max_tokens: 7, maxTokens: 9 }
      const error = yield* Effect.flip(Claude.text("hi", twice))
      assert.match(error.message, /maxTokens is not a parameter of the API: write max_tokens/)
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("hello")]))))
})

describe("a correction", () => {
  const question = { role: "user" as const, content: "read it" }
  const patient = Policy.apply({
    retry: {
      RateLimited: Retry.backoff({ times: 1, base: "1 milli", jitter: "none" }),
      Truncated: Retry.backoff({ times: 3, base: "1 milli" })
    },
    reask: 2
  })
  /** Runs a call over a socket, to see the bytes of its requests. */
  const bodies = (turns: ReadonlyArray<Faults.Turn>) =>
    Effect.gen(function*() {
      const { received, url } = yield* FakeServer.FakeServer
      const outcome = yield* Claude.object(Invoice, "read it").pipe(
        patient,
        Policy.outcome,
        Effect.provide(Anthropic.layer({ apiKey: "sk-ant-test", baseUrl: url }))
      )
      return { outcome, bodies: (yield* received).map(({ params }) => params) }
    }).pipe(Effect.provide(Layer.mergeAll(FakeServer.layer(turns), CallLog.layerNoop)))

  const bad = "{\"number\": 1, \"total\": 7, \"due\": null}"
  const worse = "I cannot say."
  const afterBad = [
    { role: "assistant" as const, content: bad },
    {
      role: "user" as const,
      content: "That is not what was asked for:\n- number: Expected string\n" +
        "Answer again, with the corrected JSON only."
    }
  ]
  const afterWorse = [
    { role: "assistant" as const, content: worse },
    {
      role: "user" as const,
      content: "That is not what was asked for:\n- the answer has no JSON value\n" +
        "Answer again, with the corrected JSON only."
    }
  ]

  it.live("adds every malformed answer and its issues to the messages, even if another error comes between two malformed answers", () =>
    Effect.gen(function*() {
      const good = Faults.value({ number: "A1", total: 7, due: null }, { inputTokens: 100, outputTokens: 10 })
      const { bodies: sent, outcome } = yield* bodies([
        Faults.answer(bad, { inputTokens: 100, outputTokens: 10 }),
        Faults.rateLimited(),
        Faults.answer(worse, { inputTokens: 100, outputTokens: 10 }),
        good
      ])
      assert.deepInclude(outcome, { status: "success", data: { number: "A1", total: 7 } })
      assert.deepStrictEqual(outcome.tokens, { input: 300, output: 30 })
      assert.closeTo(outcome.cost.dollars, (300 * 2 + 30 * 10) / 1e6, 1e-12)
      assert.isFalse(outcome.cost.atLeast)
      assert.deepStrictEqual(sent.map(({ messages }) => messages), [
        [question],
        [question, ...afterBad],
        [question, ...afterBad],
        [question, ...afterBad, ...afterWorse]
      ])
      // Only the messages change, so the cached prefix stays valid.
      const rest = sent.map((params) => ({ ...params, messages: [] }))
      for (const other of rest) assert.deepStrictEqual(other, rest[0])
    }))

  it.effect("is not sent with a different, later prompt under the same policy", () =>
    Effect.gen(function*() {
      const both = Effect.zip(Claude.object(Invoice, "read it"), Claude.text("thank you"))
      yield* patient(both)
      const asked = (yield* sent).map(({ messages }) => messages)
      assert.deepStrictEqual(asked, [
        [question],
        [question, ...afterBad],
        [{ role: "user", content: "thank you" }]
      ])
    }).pipe(Effect.provide(FakeClaude.layer([
      Faults.answer(bad),
      Faults.value({ number: "A1", total: 7, due: null }),
      Faults.answer("You are welcome.")
    ]))))

  it.effect("is sent only with the question whose answer was malformed, if the policy asks two questions again", () =>
    Effect.gen(function*() {
      const Rating = Schema.Struct({ stars: Schema.Int })
      const both = Effect.gen(function*() {
        const summary = yield* Claude.text("summarise")
        return yield* Claude.object(Rating, `rate ${summary}`)
      })
      assert.deepStrictEqual(yield* patient(both), { stars: 5 })
      const asked = (yield* sent).map(({ messages }) => messages)
      const rate = { role: "user" as const, content: "rate short" }
      assert.deepStrictEqual(asked, [
        [{ role: "user", content: "summarise" }],
        [rate],
        [{ role: "user", content: "summarise" }],
        [
          rate,
          { role: "assistant", content: "{\"stars\":4.5}" },
          {
            role: "user",
            content: "That is not what was asked for:\n- stars: Expected an integer\n" +
              "Answer again, with the corrected JSON only."
          }
        ]
      ])
    }).pipe(Effect.provide(FakeClaude.layer([
      Faults.answer("short"),
      Faults.value({ stars: 4.5 }),
      Faults.answer("short"),
      Faults.value({ stars: 5 })
    ]))))

  it.effect("is sent only with the question that it corrects, if the policy asks an earlier question again too", () =>
    Effect.gen(function*() {
      yield* patient(Effect.zip(Claude.json("one"), Claude.object(Invoice, "read it")))
      const asked = (yield* sent).map(({ messages }) => messages.length)
      assert.deepStrictEqual(asked, [1, 1, 1, 3])
    }).pipe(Effect.provide(FakeClaude.layer([
      Faults.value(1),
      Faults.answer(bad),
      Faults.value(1),
      Faults.value({ number: "A1", total: 7, due: null })
    ]))))

  it.live("is sent at most as often as the policy allows", () =>
    Effect.gen(function*() {
      const { bodies: sent, outcome } = yield* bodies([1, 2, 3].map(() => Faults.answer(bad)))
      assert.lengthOf(sent, 3)
      assert.isTrue(outcome.status === "error" && outcome.error._tag === "MalformedOutput")
      assert.isTrue(outcome.status === "error" && outcome.error.gaveUp === "RetriesSpent")
    }))

  it.live("is not sent after an answer that was cut or did not end its turn", () =>
    Effect.gen(function*() {
      for (const turn of [Faults.maxTokens(bad), Faults.answer(bad, { stopReason: "stop_sequence" })]) {
        const { bodies: sent, outcome } = yield* bodies([turn, turn])
        assert.lengthOf(sent, 1)
        assert.isTrue(outcome.status === "error" && outcome.error.gaveUp === "NotRetried")
      }
    }))
})

/** An answer in two text blocks. */
const twoBlocks = (first: string, second: string): Faults.Turn => {
  const all = Faults.events(first)
  const block = (text: string) => [
    Faults.event("content_block_start", { index: 1, content_block: { type: "text", text: "", citations: null } }),
    Faults.event("content_block_delta", { index: 1, delta: { type: "text_delta", text } }),
    Faults.event("content_block_stop", { index: 1 })
  ]
  return Faults.stream([...all.slice(0, -2), ...block(second), ...all.slice(-2)])
}
