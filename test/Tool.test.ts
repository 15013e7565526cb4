import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Ref, Result, Schema, Stream } from "effect"
import { CallLog, Claude, type ClaudeError, type Message, Policy, Tool } from "../src/index.ts"
import * as Tools from "../src/output/toolInput.ts"
import { FakeClaude, Faults } from "../src/testing/index.ts"
import { Tree } from "./support/tree.ts"

const Booking = Schema.Struct({
  city: Schema.String,
  day: Schema.Date,
  nights: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 30 })),
  note: Schema.optional(Schema.String)
})
const book = Tool.make("book_hotel", { description: "Books a hotel.", input: Booking })
const weather = Tool.make("get_weather", { input: Schema.Struct({ city: Schema.String, at: Schema.BigInt }) })

const input = { city: "Oslo", day: "2026-12-24T00:00:00.000Z", nights: 2 }
const calls = (name: string, input: unknown, options: Faults.AnswerOptions = {}) =>
  Faults.answer("Let me see.", { ...options, tool: { name, input } })

const ask = (...tools: ReadonlyArray<Tool.Tool<unknown>>) => Claude.message("book it", { tools: [...tools] })
const sent = Effect.map(FakeClaude.received, (requests) => requests.map(({ params }) => params))

/** The issues of a `MalformedOutput`, not redacted; other errors fail the test. */
const issues = (error: ClaudeError.ClaudeError) =>
  error._tag === "MalformedOutput" && error.issues !== undefined
    ? Redacted.value(error.issues)
    : assert.fail(`not malformed: ${error._tag}`)

describe("a tool in a request", () => {
  it.effect("is sent as a tool parameter of the SDK, without the codec of its input", () =>
    Effect.gen(function*() {
      yield* ask(book)
      const [params] = yield* sent
      assert.deepStrictEqual(JSON.parse(JSON.stringify(params?.tools)), [{
        description: "Books a hotel.",
        name: "book_hotel",
        input_schema: {
          type: "object",
          properties: {
            city: { type: "string" },
            day: { type: "string" },
            nights: { type: "integer", minimum: 1, maximum: 30 },
            note: { anyOf: [{ type: "string" }, { type: "null" }] }
          },
          required: ["city", "day", "nights"],
          additionalProperties: true
        }
      }])
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("No.")]))))

  it("has the same JSON as a tool that is written by hand", () => {
    const tool = Tool.make("a", { input: Schema.Struct({ b: Schema.String }), strict: true })
    assert.deepStrictEqual(JSON.parse(JSON.stringify(tool)), {
      name: "a",
      input_schema: {
        type: "object",
        properties: { b: { type: "string" } },
        required: ["b"],
        additionalProperties: false
      },
      strict: true
    })
  })

  it("passes on the other tool fields of the SDK, such as cache_control", () => {
    const options = {
      description: "Books a hotel.",
      cache_control: { type: "ephemeral", ttl: "1h" },
      strict: true,
      eager_input_streaming: true,
      input_examples: [{ city: "Oslo" }],
      type: "custom"
    } as const
    const written: unknown = JSON.parse(
      JSON.stringify(Tool.make("book_hotel", { input: Booking, ...options, input_examples: [{ city: "Oslo" }] }))
    )
    assert.deepInclude(written, { name: "book_hotel", ...options })
    assert.notProperty(written, "input")
  })

  it.effect("passes the validation of a policy", () =>
    Effect.gen(function*() {
      const { toolUses } = yield* ask(book, weather).pipe(Policy.apply({ strict: true }))
      assert.lengthOf(toolUses, 1)
      assert.lengthOf(yield* sent, 1)
    }).pipe(Effect.provide(FakeClaude.layer([calls("book_hotel", input)]))))

  it.effect("may be passed in a prompt with messages", () =>
    Effect.gen(function*() {
      const reply = yield* Claude.message({ messages: [{ role: "user", content: "book it" }], tools: [book] })
      assert.deepStrictEqual((yield* book.uses(reply))[0]?.input.day, new Date(input.day))
    }).pipe(Effect.provide(FakeClaude.layer([calls("book_hotel", input)]))))
})

describe("the input of a tool", () => {
  it.effect("is decoded by Claude.message", () =>
    Effect.gen(function*() {
      const reply = yield* ask(book)
      const decoded = { city: "Oslo", day: new Date(input.day), nights: 2 }
      const json = JSON.stringify(input)
      assert.deepStrictEqual(reply.toolUses, [{ id: "toolu_01Fake", name: "book_hotel", input: decoded, json }])
      // The message keeps the raw input, so that it can be sent back unchanged.
      assert.deepInclude(reply.message.content[1], { type: "tool_use", input })
      assert.strictEqual(reply.text, "Let me see.")
    }).pipe(Effect.provide(FakeClaude.layer([calls("book_hotel", input)]))))

  it.effect("is returned by `uses` with the type of the schema, beside the id of the tool use", () =>
    Effect.gen(function*() {
      const [use, ...more] = yield* book.uses(yield* ask(book))
      const day: Date | undefined = use?.input.day
      assert.deepStrictEqual(day, new Date("2026-12-24T00:00:00.000Z"))
      assert.strictEqual(use?.id, "toolu_01Fake")
      assert.deepStrictEqual(more, [])
    }).pipe(Effect.provide(FakeClaude.layer([calls("book_hotel", input)]))))

  it.effect("fails the call with MalformedOutput if it does not match the schema, and the path of every issue begins with the name of the tool", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ask(book, weather))
      assert.deepStrictEqual(issues(error), [
        { path: ["book_hotel", "city"], message: "Missing key" },
        { path: ["book_hotel", "day"], message: "Expected string" },
        { path: ["book_hotel", "nights"], message: "Expected a value between 1 and 30" }
      ])
      assert.deepInclude({ ...error }, {
        model: "claude-sonnet-5-5",
        requestId: "req_fake_0001",
        stopReason: "tool_use"
      })
      const { blocks, text } = error._tag === "MalformedOutput" ? error : assert.fail()
      assert.strictEqual(text && Redacted.value(text), "Let me see.")
      assert.include(JSON.stringify(blocks && Redacted.value(blocks)), "book_hotel")
      for (const secret of ["Let me see.", "31"]) assert.notInclude(JSON.stringify(error), secret)
    }).pipe(Effect.provide(FakeClaude.layer([calls("book_hotel", { day: 7, nights: 31, note: null })]))))

  it.effect.each([
    ["a text", "Oslo"],
    ["null", null],
    ["a list", [input]]
  ])("fails the call with MalformedOutput if it is %s", ([, input]) =>
    Effect.gen(function*() {
      const [issue, ...more] = issues(yield* Effect.flip(ask(book)))
      assert.deepStrictEqual(issue?.path, ["book_hotel"])
      assert.isNotEmpty(issue?.message)
      assert.deepStrictEqual(more, [])
    }).pipe(Effect.provide(FakeClaude.layer([calls("book_hotel", input)]))))

  it.effect("fails the call with MalformedOutput if the schema throws", () =>
    Effect.gen(function*() {
      const broken = Tool.make("broken", {
        input: Schema.Struct({
          a: Schema.String.check(Schema.makeFilter((): boolean => {
            throw new Error("cannot check")
          }))
        })
      })
      assert.deepStrictEqual(issues(yield* Effect.flip(ask(broken))), [
        { path: ["broken"], message: "the schema cannot decode the value: Error: cannot check" }
      ])
    }).pipe(Effect.provide(FakeClaude.layer([calls("broken", { a: "x" })]))))

  it.effect("is not decoded if the tool was not made with Tool.make", () =>
    Effect.gen(function*() {
      const plain = { name: "search", input_schema: { type: "object" } } as const
      const reply = yield* Claude.message("book it", { tools: [plain, book] })
      assert.deepStrictEqual(reply.toolUses, [
        { id: "toolu_01Fake", name: "search", input: { day: 7 }, json: "{\"day\":7}" }
      ])
      assert.deepStrictEqual(yield* book.uses(reply), [])
    }).pipe(Effect.provide(FakeClaude.layer([calls("search", { day: 7 })]))))

  it.effect("is not decoded if the request does not contain the tool", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* ask(weather)).toolUses[0]?.input, { day: 7 })
    }).pipe(Effect.provide(FakeClaude.layer([calls("book_hotel", { day: 7 })]))))

  it.effect("of a streamed answer is raw in `toolUses`, and is decoded by the `uses` method of its tool", () =>
    Effect.gen(function*() {
      const answer = yield* Claude.open("book it", { tools: [book] })
      yield* Stream.runDrain(answer.events)
      const reply = yield* answer.reply
      assert.deepStrictEqual(reply.toolUses[0]?.input, input)
      const [use] = yield* book.uses(reply)
      assert.deepStrictEqual(use?.input.day, new Date(input.day))
    }).pipe(Effect.provide(FakeClaude.layer([calls("book_hotel", input)]))))

  it.effect("of a streamed answer makes the `uses` method of its tool fail with MalformedOutput if it does not match the schema", () =>
    Effect.gen(function*() {
      const answer = yield* Claude.open("book it", { tools: [book] })
      yield* Stream.runDrain(answer.events)
      const error = yield* Effect.flip(book.uses(yield* answer.reply))
      assert.deepStrictEqual(issues(error), [{ path: ["book_hotel", "city"], message: "Expected string" }])
    }).pipe(Effect.provide(FakeClaude.layer([calls("book_hotel", { ...input, city: 7 })]))))

  it.effect("may be described by a schema class", () =>
    Effect.gen(function*() {
      class City extends Schema.Class<City>("City")({ name: Schema.String }) {}
      const tool = Tool.make("city", { input: City })
      const [use] = yield* tool.uses(yield* ask(tool))
      assert.isTrue(use?.input instanceof City && use.input.name === "Oslo")
    }).pipe(Effect.provide(FakeClaude.layer([calls("city", { name: "Oslo" })]))))

  it.effect("may be recursive if the tool is not strict", () =>
    Effect.gen(function*() {
      const tool = Tool.make("tree", { input: Tree })
      const [use] = yield* tool.uses(yield* ask(tool))
      assert.deepStrictEqual(use?.input, { name: "a", children: [{ name: "b", children: [] }] })
      const [params] = yield* sent
      assert.match(JSON.stringify(params?.tools), /"type":"object".*"\$ref":"#\/\$defs\//)
    }).pipe(Effect.provide(FakeClaude.layer([
      calls("tree", { name: "a", children: [{ name: "b", children: [] }] })
    ]))))

  it.effect("may be an empty struct", () =>
    Effect.gen(function*() {
      const tool = Tool.make("now", { input: Schema.Struct({}), strict: true })
      assert.deepStrictEqual(yield* tool.uses(yield* ask(tool)), [{ id: "toolu_01Fake", input: {} }])
      const [params] = yield* sent
      assert.deepInclude(JSON.parse(JSON.stringify(params?.tools?.[0])), {
        input_schema: { type: "object", properties: {}, required: [], additionalProperties: false }
      })
    }).pipe(Effect.provide(FakeClaude.layer([calls("now", {})]))))

  it.effect("may contain a field of type Schema.Unknown if the tool is not strict", () =>
    Effect.gen(function*() {
      const tool = Tool.make("any", { input: Schema.Struct({ what: Schema.Unknown, when: Schema.Date }) })
      const [use] = yield* tool.uses(yield* ask(tool))
      assert.deepStrictEqual(use?.input, { what: [1, { a: null }], when: new Date(0) })
    }).pipe(Effect.provide(FakeClaude.layer([calls("any", { what: [1, { a: null }], when: new Date(0).toJSON() })]))))
})

describe("two tool uses", () => {
  const two = [use("toolu_1", "get_weather", { city: "Oslo", at: "7" }), use("toolu_2", "book_hotel", input)]

  it.effect("are decoded with the schemas of their tools, in order", () =>
    Effect.gen(function*() {
      const reply = yield* ask(book, weather)
      assert.deepStrictEqual(reply.toolUses.map(({ id, input, name }) => ({ id, name, input })), [
        { id: "toolu_1", name: "get_weather", input: { city: "Oslo", at: 7n } },
        { id: "toolu_2", name: "book_hotel", input: { city: "Oslo", day: new Date(input.day), nights: 2 } }
      ])
      assert.deepStrictEqual(yield* weather.uses(reply), [{ id: "toolu_1", input: { city: "Oslo", at: 7n } }])
      assert.deepStrictEqual((yield* book.uses(reply)).map(({ id }) => id), ["toolu_2"])
    }).pipe(Effect.provide(FakeClaude.layer([answer(two)]))))

  it.effect("with valid inputs do not prevent MalformedOutput if the input of a third tool use does not match its schema", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(issues(yield* Effect.flip(ask(book, weather))), [
        { path: ["book_hotel", "city"], message: "Expected string" }
      ])
    }).pipe(Effect.provide(FakeClaude.layer([answer([...two, use("toolu_3", "book_hotel", { ...input, city: 1 })])]))))

  it.effect("of the same tool are both decoded", () =>
    Effect.gen(function*() {
      const reply = yield* ask(weather)
      assert.deepStrictEqual((yield* weather.uses(reply)).map(({ id, input: { at } }) => [id, at]), [["a", 1n], [
        "b",
        2n
      ]])
    }).pipe(
      Effect.provide(FakeClaude.layer([
        answer([use("a", "get_weather", { city: "A", at: "1" }), use("b", "get_weather", { city: "B", at: "2" })])
      ]))
    ))
})

describe("a reply or a copy of it", () => {
  const two = [use("a", "get_weather", { city: "A", at: "1" }), use("b", "get_weather", { city: "B", at: "2" })]
  const inputs = [{ city: "A", at: 1n }, { city: "B", at: 2n }]

  it.effect.each<readonly [string, (reply: Message.Reply) => Message.Reply]>([
    ["unchanged", (reply) => reply],
    ["copied by a spread", (reply) => ({ ...reply, toolUses: reply.toolUses.map((use) => ({ ...use })) })],
    [
      "copied through JSON",
      (reply) => JSON.parse(JSON.stringify(reply, (_, value) => typeof value === "bigint" ? 0 : value))
    ],
    ["copied with raw inputs", (reply) => ({ ...reply, toolUses: Tools.uses(reply.message.content) })]
  ])(
    "yields the decoded inputs from the `uses` method of the tool if the reply is %s, and the same inputs if it is decoded again",
    ([, copy]) =>
      Effect.gen(function*() {
        const reply = copy(yield* ask(weather))
        for (
          const again of [reply, yield* Tools.decode([weather], reply), copy(yield* Tools.decode([weather], reply))]
        ) {
          assert.deepStrictEqual((yield* weather.uses(again)).map(({ input }) => input), inputs)
        }
        assert.deepStrictEqual((yield* Tools.decode([weather], reply)).toolUses.map(({ input }) => input), inputs)
      }).pipe(Effect.provide(FakeClaude.layer([answer(two)])))
  )

  it.effect("makes the `uses` method of a tool return exactly the uses in its own `toolUses`, in their order", () =>
    Effect.gen(function*() {
      const reply = yield* ask(weather)
      const toolUses = reply.toolUses.toReversed()
      const uses = yield* weather.uses({ ...reply, toolUses })
      assert.deepStrictEqual(uses.map(({ id, input: { city } }) => [id, city]), [["b", "B"], ["a", "A"]])
      assert.deepStrictEqual((yield* weather.uses({ ...reply, toolUses: toolUses.slice(0, 1) })).map(({ id }) => id), [
        "b"
      ])
    }).pipe(Effect.provide(FakeClaude.layer([answer(two)]))))

  it.effect("yields the right input for each of two tool uses with the same id", () =>
    Effect.gen(function*() {
      const reply = yield* ask(weather)
      assert.deepStrictEqual((yield* weather.uses({ ...reply })).map(({ input }) => input), inputs)
    }).pipe(
      Effect.provide(
        FakeClaude.layer([
          answer([use("", "get_weather", { city: "A", at: "1" }), use("", "get_weather", { city: "B", at: "2" })])
        ])
      )
    ))

  it.effect("makes the `uses` method of a tool fail with MalformedOutput if an input does not match the schema of that tool", () =>
    Effect.gen(function*() {
      const strictly = Tool.make("get_weather", {
        input: Schema.Struct({ city: Schema.Literal("A"), at: Schema.BigInt })
      })
      assert.deepStrictEqual(issues(yield* Effect.flip(strictly.uses({ ...yield* ask(weather) }))), [
        { path: ["get_weather", "city"], message: `Expected "A"` }
      ])
    }).pipe(Effect.provide(FakeClaude.layer([answer(two)]))))

  it.effect("yields a decoded tool use from `toolUses` even if the content of the message is empty", () =>
    Effect.gen(function*() {
      const reply = yield* ask(weather)
      const made = { ...reply, message: { ...reply.message, content: [] }, toolUses: Tools.uses(reply.message.content) }
      assert.deepStrictEqual((yield* weather.uses(made)).map(({ input }) => input), inputs)
    }).pipe(Effect.provide(FakeClaude.layer([answer(two)]))))
})

describe("input that is cut at max_tokens", () => {
  /** The error, with its content no longer redacted. */
  const error = Effect.gen(function*() {
    const error = yield* Effect.flip(ask(book, weather))
    if (error._tag !== "Truncated" || error.blocks === undefined) return assert.fail(`it is a ${error._tag}`)
    return { ...error, text: error.text && Redacted.value(error.text), blocks: Redacted.value(error.blocks) }
  })

  it.effect("does not appear in the error", () =>
    Effect.gen(function*() {
      const { blocks, reason, text } = yield* error
      assert.strictEqual(reason, "max_tokens")
      assert.strictEqual(text, "Let me see.")
      assert.deepStrictEqual(blocks, [{ type: "text", text: "Let me see.", citations: null }])
    }).pipe(Effect.provide(FakeClaude.layer([answer([cut("{\"city\": \"Osl")], "max_tokens")]))))

  it.effect("does not appear in the error, even if it was cut before its first character", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* error).blocks, [{ type: "text", text: "Let me see.", citations: null }])
    }).pipe(Effect.provide(FakeClaude.layer([answer([cut("")], "max_tokens")]))))

  it.effect("does not appear in the error, but a complete tool use before it does", () =>
    Effect.gen(function*() {
      const { blocks } = yield* error
      assert.deepInclude(blocks, {
        type: "tool_use",
        id: "toolu_1",
        name: "get_weather",
        input: { city: "Oslo", at: "7" },
        caller: { type: "direct" }
      })
      assert.notInclude(JSON.stringify(blocks), "book_hotel")
    }).pipe(
      Effect.provide(FakeClaude.layer([
        answer([use("toolu_1", "get_weather", { city: "Oslo", at: "7" }), cut("{\"city\": \"Osl")], "max_tokens")
      ]))
    ))
})

describe("Tool.make", () => {
  const noObject = "The input of tool t must be an object: wrap its schema in a Schema.Struct"

  it.each<readonly [what: string, make: () => unknown, sentence: string | RegExp]>([
    ["a text as the input", () => Tool.make("t", { input: Schema.String }), noObject],
    ["a list as the input", () => Tool.make("t", { input: Schema.Array(Booking) }), noObject],
    [
      "a union as the input",
      () => Tool.make("t", { input: Schema.Union([Booking, Schema.Struct({ id: Schema.String })]) }),
      noObject
    ],
    ...["filter[id]", "a b", "", "größe", "a".repeat(65)].map((key) =>
      [
        `a property named ${JSON.stringify(key)}`,
        () => Tool.make("t", { input: Schema.Struct({ [key]: Schema.String }) }),
        `The API refuses the property ${JSON.stringify(key)} of tool t: `
        + `use 1 to 64 letters, digits, "_", "." and "-", for example with Schema.encodeKeys`
      ] as const
    ),
    [
      "a union with a date as the input",
      () => Tool.make("t", { input: Schema.Union([Booking, Schema.Struct({ a: Schema.Date })]) }),
      noObject
    ],
    ["an object or null as the input", () => Tool.make("t", { input: Schema.NullOr(Booking) }), noObject],
    ["input of any type", () => Tool.make("t", { input: Schema.Unknown }), noObject],
    [
      "a recursive schema if the tool is strict",
      () => Tool.make("t", { input: Schema.Struct({ tree: Tree }), strict: true }),
      "Tool t is strict, but the schema is recursive, which the API does not accept: remove strict, or change the schema"
    ],
    [
      "a schema with a part of any type if the tool is strict",
      () => Tool.make("t", { input: Schema.Struct({ a: Schema.Unknown }), strict: true }),
      "Tool t is strict, but \"a\" in the schema has no type, which the API does not accept: " +
      "remove strict, or change the schema"
    ],
    [
      "a schema without a JSON form",
      () => Tool.make("t", { input: Schema.Struct({ [Symbol.for("a")]: Schema.String }) }),
      /^Tool t: .*no JSON form: Error: Objects property names must be strings$/
    ]
  ])("refuses %s", (_, make, sentence) => {
    const made = Result.try(make)
    if (Result.isSuccess(made) || !(made.failure instanceof RangeError)) return assert.fail("not refused")
    const { message } = made.failure
    if (typeof sentence === "string") assert.strictEqual(message, sentence)
    else assert.match(message, sentence)
  })

  it.effect("accepts a strict schema with more unions than the API allows, about which a policy then logs a warning", () =>
    Effect.gen(function*() {
      const fields = Array.from({ length: 17 }, (_, i) => [`field${i}`, Schema.NullOr(Schema.String)] as const)
      const tool = Tool.make("fill", { input: Schema.Struct(Object.fromEntries(fields)), strict: true })
      yield* ask(tool).pipe(Policy.apply(Policy.none))
      assert.lengthOf(yield* sent, 1)
      const events = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      assert.match(JSON.stringify(events), /17 properties with a choice of types .*: keep at most 16/)
    }).pipe(
      Effect.provide(
        Layer.provideMerge(
          FakeClaude.layer([
            calls("fill", Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`field${i}`, null])))
          ]),
          CallLog.layerMemory
        )
      )
    ))

  it.effect("accepts a recursive schema below an object if the tool is not strict", () =>
    Effect.gen(function*() {
      const tool = Tool.make("plant", { input: Schema.Struct({ tree: Tree, on: Schema.Date }) })
      const [use] = yield* tool.uses(yield* ask(tool))
      const leaf: string | undefined = use?.input.tree.children[0]?.name
      assert.strictEqual(leaf, "b")
      assert.deepStrictEqual(use?.input.on, new Date(0))
      const [params] = yield* sent
      assert.match(JSON.stringify(params?.tools), /"type":"object".*"\$ref":"#\/\$defs\//)
    }).pipe(Effect.provide(FakeClaude.layer([
      calls("plant", { tree: { name: "a", children: [{ name: "b", children: [] }] }, on: new Date(0).toJSON() })
    ]))))
})

describe("a server tool", () => {
  const result = (content: object) =>
    block({ type: "web_search_tool_result", tool_use_id: "srvtoolu_1", caller: { type: "direct" }, content })
  const search = block({
    type: "server_tool_use",
    id: "srvtoolu_1",
    name: "web_search",
    input: { query: "Oslo" },
    caller: { type: "direct" }
  })
  const failed = result({ type: "web_search_tool_result_error", error_code: "max_uses_exceeded" })

  it.effect("that fails is in serverToolErrors and does not fail the call", () =>
    Effect.gen(function*() {
      const reply = yield* ask(book)
      assert.deepStrictEqual(reply.serverToolErrors, [
        { type: "web_search_tool_result", toolUseId: "srvtoolu_1", errorCode: "max_uses_exceeded" }
      ])
      assert.strictEqual(reply.text, "Let me see.")
      assert.deepStrictEqual(reply.toolUses, [])
      assert.lengthOf(reply.message.content, 3)
    }).pipe(Effect.provide(FakeClaude.layer([answer([search, failed], "end_turn")]))))

  it.effect("that fails is in serverToolErrors even if the answer also uses a client tool", () =>
    Effect.gen(function*() {
      const reply = yield* ask(weather)
      assert.lengthOf(reply.serverToolErrors, 1)
      assert.deepStrictEqual((yield* weather.uses(reply)).map(({ input }) => input.at), [7n])
    }).pipe(
      Effect.provide(FakeClaude.layer([
        answer([search, failed, use("toolu_1", "get_weather", { city: "Oslo", at: "7" })])
      ]))
    ))

  it.effect("that succeeds is not in serverToolErrors", () =>
    Effect.gen(function*() {
      const reply = yield* ask(book)
      assert.deepStrictEqual(reply.serverToolErrors, [])
      assert.lengthOf(reply.message.content, 3)
    }).pipe(Effect.provide(FakeClaude.layer([answer([search, result([])], "end_turn")]))))
})

// -----------------------------------------------------------------------------
// Answers
// -----------------------------------------------------------------------------

type Block = (index: number) => ReadonlyArray<string>

/** A block without deltas. */
function block(content_block: object): Block {
  return (index) => [
    Faults.event("content_block_start", { index, content_block }),
    Faults.event("content_block_stop", { index })
  ]
}

/** A tool use, in the chunks that the API sends. */
function use(id: string, name: string, input: unknown): Block {
  return written(id, name, JSON.stringify(input))
}

/** A tool use whose input is cut off at the end of the answer. */
function cut(json: string): Block {
  return written("toolu_cut", "book_hotel", json)
}

function written(id: string, name: string, json: string): Block {
  return (index) => [
    Faults.event("content_block_start", {
      index,
      content_block: { type: "tool_use", id, name, input: {}, caller: { type: "direct" } }
    }),
    Faults.event("content_block_delta", { index, delta: { type: "input_json_delta", partial_json: json } }),
    Faults.event("content_block_stop", { index })
  ]
}

/** An answer that begins with text. */
function answer(blocks: ReadonlyArray<Block>, stopReason = "tool_use"): Faults.Turn {
  const all = Faults.events("Let me see.", { stopReason })
  return Faults.stream([...all.slice(0, -2), ...blocks.flatMap((block, i) => block(i + 1)), ...all.slice(-2)])
}
