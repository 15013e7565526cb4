/** The input of tools in Claude's own text, over real sockets on every wire. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Ref, Schema, Stream } from "effect"
import { CallLog, Claude, type ClaudeError, Policy, Retry, Tool } from "../../src/index.ts"
import { FakeServer, Faults } from "../../src/testing/index.ts"
import { wires } from "../support/wires.ts"

const [messageStart = ""] = Faults.events("")
const { event } = Faults

/** The events of one content block. */
const block = (index: number, content_block: object, ...deltas: ReadonlyArray<object>): ReadonlyArray<string> => [
  event("content_block_start", { index, content_block }),
  ...deltas.map((delta) => event("content_block_delta", { index, delta })),
  event("content_block_stop", { index })
]

const text = (index: number, text: string) =>
  block(index, { type: "text", text: "", citations: null }, { type: "text_delta", text })

const thinking = (index: number) =>
  block(
    index,
    { type: "thinking", thinking: "", signature: "" },
    { type: "thinking_delta", thinking: "so it is" },
    { type: "signature_delta", signature: "c2ln" }
  )

/** The events of a tool call whose input arrives in these pieces. `more` overrides fields of the block. */
const tool = (index: number, pieces: ReadonlyArray<string>, more: object = {}) =>
  block(
    index,
    { type: "tool_use", id: `toolu_${index}`, name: "look", input: {}, ...more },
    ...pieces.map((partial_json) => ({ type: "input_json_delta", partial_json }))
  )

/** An answer with 14 input tokens and 30 output tokens. */
const turn = (...blocks: ReadonlyArray<ReadonlyArray<string>>): Faults.Turn =>
  Faults.stream([
    messageStart,
    ...blocks.flat(),
    event("message_delta", { delta: { stop_reason: "tool_use", stop_sequence: null }, usage: { output_tokens: 30 } }),
    event("message_stop", {})
  ])

const received = Effect.flatMap(FakeServer.FakeServer, (server) => server.received)
const look = { tools: [{ name: "look", input_schema: { type: "object" as const } }] }

describe.each(wires)("%s", (_, wire) => {
  /** The result of a call to a server that plays these turns, its number of requests and its log as JSON. */
  const called = <A>(
    turns: Faults.Playable,
    call: Effect.Effect<A, ClaudeError.ClaudeError, Claude.Claude>
  ) =>
    Effect.gen(function*() {
      const { url } = yield* FakeServer.FakeServer
      const lines = yield* Ref.make<ReadonlyArray<string>>([])
      const log = Layer.succeed(CallLog.CallLog, {
        emit: (event: CallLog.Event) =>
          Ref.update(
            lines,
            (all) => [...all, JSON.stringify([event, CallLog.record(event), String("error" in event && event.error)])]
          )
      })
      const result = yield* Effect.result(Effect.provide(call, Layer.provide(wire(url), log)))
      return {
        value: result._tag === "Success" ? result.success : undefined,
        error: result._tag === "Failure" ? result.failure : undefined,
        requests: (yield* received).length,
        log: (yield* Ref.get(lines)).join("\n")
      }
    }).pipe(Effect.provide(FakeServer.layer(turns)))

  it.effect("G16: a tool input in one piece with 20,000 levels causes MalformedOutput, with or without a schema", () =>
    Effect.gen(function*() {
      const nested = `${"[".repeat(20_000)}${"]".repeat(20_000)}`
      const start = (input: string) =>
        `event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":`
        + `{"type":"tool_use","id":"toolu_0","name":"look","input":${input}}}\n\n`
      const turnOf = (input: string) => turn([start(input), event("content_block_stop", { index: 0 })])
      const city = Tool.make("look", { description: "Looks.", input: Schema.Struct({ city: Schema.String }) })
      for (
        const [input, call] of [
          [nested, Claude.message("hi", look)],
          [`{"city":${nested}}`, Claude.message("hi", { tools: [city] })]
        ] as const
      ) {
        const { error } = yield* called([turnOf(input)], call)
        assert.strictEqual(error?._tag, "MalformedOutput")
      }
    }))

  // ---------------------------------------------------------------------------
  // Input that is not a JSON object: github.com/NousResearch/hermes-agent/issues/107830
  // ---------------------------------------------------------------------------

  /** The fields of an error for a tool input that is not a JSON object. */
  const contentOf = (error: ClaudeError.ClaudeError | undefined) =>
    error?._tag === "MalformedOutput"
      ? {
        text: error.text && Redacted.value(error.text),
        blocks: error.blocks && Redacted.value(error.blocks).map(({ type }) => type),
        toolUses: error.toolUses && Redacted.value(error.toolUses),
        output: error.usage?.output_tokens,
        stopReason: error.stopReason
      }
      : error

  const whole = { text: "Let me look.", output: 30, stopReason: "tool_use" }
  const use = (json: string, index = 1, name = "look") => ({ id: `toolu_${index}`, name, json })
  const unquoted = "{\"names\": cronjob_manage}"
  const eager = turn(text(0, "Let me look."), tool(1, ["", "{\"names\": cro", "njob_manage}"]))

  const broken: ReadonlyArray<readonly [name: string, turn: Faults.Turn, expected: object]> = [
    ["a string without quotes", eager, { ...whole, blocks: ["text"], toolUses: [use(unquoted)] }],
    [
      "half of a JSON object",
      turn(text(0, "Let me look."), tool(1, ["{\"at\": \"Os"])),
      { ...whole, blocks: ["text"], toolUses: [use("{\"at\": \"Os")] }
    ],
    [
      "text after a JSON object",
      turn(text(0, "Let me look."), tool(1, ["{\"at\": 1}", " so"])),
      { ...whole, blocks: ["text"], toolUses: [use("{\"at\": 1} so")] }
    ],
    [
      "white space only",
      turn(text(0, "Let me look."), tool(1, [" "])),
      { ...whole, blocks: ["text"], toolUses: [use(" ")] }
    ],
    [
      "an empty string in content_block_start",
      turn(text(0, "Let me look."), tool(1, [], { input: "" })),
      { ...whole, blocks: ["text"], toolUses: [use("")] }
    ],
    [
      "an array",
      turn(text(0, "Let me look."), tool(1, ["[1, 2]"])),
      { ...whole, blocks: ["text"], toolUses: [use("[1, 2]")] }
    ],
    ["a number", turn(tool(0, ["7"])), { ...whole, text: "", blocks: [], toolUses: [use("7", 0)] }],
    ["a number in content_block_start", turn(tool(0, [], { input: 7 })), {
      ...whole,
      text: "",
      blocks: [],
      toolUses: [use("7", 0)]
    }],
    ["null", turn(tool(0, ["null"])), { ...whole, text: "", blocks: [], toolUses: [use("null", 0)] }],
    [
      "text that is not JSON, after a tool call with valid input",
      turn(tool(0, ["{\"at\": 1}"]), text(1, "Let me look."), tool(2, ["nope"], { name: "other" })),
      { ...whole, blocks: ["tool_use", "text"], toolUses: [use("nope", 2, "other")] }
    ],
    [
      "text that is not JSON in two tool calls, after thinking",
      turn(thinking(0), text(1, "Let me look."), tool(2, ["nope"]), tool(3, ["{"])),
      { ...whole, blocks: ["thinking", "text"], toolUses: [use("nope", 2), use("{", 3)] }
    ],
    [
      "half of a JSON object for a server tool",
      turn(text(0, "Let me look."), tool(1, ["{\"query\": "], { type: "server_tool_use", name: "web_search" })),
      { ...whole, blocks: ["text"], toolUses: [use("{\"query\": ", 1, "web_search")] }
    ]
  ]

  it.live.each(broken)(
    "the error of Claude.message has the unreadable input, the blocks before it and the usage: %s",
    ([, turn, expected]) =>
      Effect.gen(function*() {
        const { error, requests } = yield* called([turn], Claude.message("hi", look))
        assert.deepStrictEqual([contentOf(error), requests], [expected, 1])
      })
  )

  const ways: ReadonlyArray<
    readonly [name: string, call: Effect.Effect<unknown, ClaudeError.ClaudeError, Claude.Claude>]
  > = [
    ["Claude.text", Claude.text("hi", look)],
    ["Claude.object", Claude.object(Schema.Struct({ a: Schema.String }), "hi", look)],
    [
      "Claude.message with a schema for the input",
      Claude.message("hi", { tools: [Tool.make("look", { input: Schema.Struct({}) })] })
    ],
    ["Claude.events", Stream.runDrain(Claude.events("hi", look))],
    ["Claude.stream", Stream.runDrain(Claude.stream("hi", look))],
    ["the reply of Claude.open", Effect.scoped(Effect.flatMap(Claude.open("hi", look), ({ reply }) => reply))],
    ["Claude.message under Policy.standard", Policy.apply(Policy.standard)(Claude.message("hi", look))],
    ["Claude.message under a policy with reask", Policy.apply({ reask: 2 })(Claude.message("hi", look))]
  ]

  it.live.each(ways)(
    "the error of %s has the unreadable input, the blocks before it and the usage",
    ([, call]) =>
      Effect.gen(function*() {
        const { error, log, requests } = yield* called([eager], call)
        assert.deepStrictEqual([contentOf(error), requests], [
          { ...whole, blocks: ["text"], toolUses: [use(unquoted)] },
          1
        ])
        assert.include(log, "the input of look is not a JSON object")
        for (const secret of ["cronjob", "Let me"]) {
          assert.notInclude(log, secret)
          assert.notInclude(String(error) + JSON.stringify(error) + error?.message, secret)
        }
      })
  )

  it.live("Policy.outcome counts the tokens and the cost of an answer with an unreadable input", () =>
    Effect.gen(function*() {
      const { value } = yield* called([eager], Policy.outcome(Claude.message("hi", look)))
      assert.deepStrictEqual(value?.tokens, { input: 14, output: 30 })
      assert.isAbove(value?.cost.dollars ?? 0, 0)
      assert.isFalse(value?.cost.atLeast)
    }))

  const often = { ...Retry.standard, MalformedOutput: Retry.backoff({ times: 3, base: "1 millis" }) }

  it.live.each(["restart", "resume"] as const)(
    "onBreak: \"%s\" repeats a request after an unreadable input only if the policy retries MalformedOutput",
    (onBreak) =>
      Effect.gen(function*() {
        const good = turn(text(0, "Let me look."), tool(1, ["{\"at\": 1}"]))
        const read = (policy: Policy.Policy) =>
          called(
            [eager, good],
            Claude.open("hi", look).pipe(
              Policy.apply({ onBreak, ...policy }),
              Effect.flatMap(({ reply }) => reply),
              Effect.scoped
            )
          )
        const once = yield* read({ retry: Retry.standard })
        assert.deepStrictEqual([contentOf(once.error), once.requests], [
          { ...whole, blocks: ["text"], toolUses: [use(unquoted)] },
          1
        ])
        const { requests, value } = yield* read({ retry: often })
        assert.deepStrictEqual([value?.text, value?.toolUses.map(({ input }) => input), requests], [
          "Let me look.",
          [{ at: 1 }],
          2
        ])
      })
  )

  // ---------------------------------------------------------------------------
  // Numbers that JavaScript cannot hold
  // ---------------------------------------------------------------------------

  const id = "2512292042121000001"
  const exactly = turn(tool(0, ["{\"id\": 25122920421210", "00001, \"name\": \"a\"}"]))
  const toolOf = <A, I>(id: Schema.Codec<A, I>) =>
    Tool.make("look", { input: Schema.Struct({ id, name: Schema.String }) })
  const asked = <A, I>(id: Schema.Codec<A, I>) =>
    called([exactly, exactly], Claude.message("hi", { tools: [toolOf(id)] }))

  it.live("the input of a tool has every digit of a number if its schema is a BigInt or a string", () =>
    Effect.gen(function*() {
      const big = yield* asked(Schema.BigInt)
      const json = `{"id": ${id}, "name": "a"}`
      assert.deepStrictEqual(big.value?.toolUses, [
        { id: "toolu_0", name: "look", input: { id: BigInt(id), name: "a" }, json }
      ])
      const text = yield* asked(Schema.String)
      assert.deepStrictEqual(text.value?.toolUses.map(({ input }) => input), [{ id, name: "a" }])
      const raw = yield* called([exactly], Claude.message("hi", look))
      assert.strictEqual(raw.value?.toolUses[0]?.json, json)
    }))

  it.live("the input of a tool causes MalformedOutput if a number in it has more digits than its schema can hold", () =>
    Effect.gen(function*() {
      const { error } = yield* asked(Schema.Number)
      if (error?._tag !== "MalformedOutput" || error.issues === undefined || error.toolUses === undefined) {
        return assert.fail(String(error))
      }
      assert.deepStrictEqual(Redacted.value(error.issues), [{
        path: ["look", "id"],
        message: `Expected a finite number: ${id} has more digits than a JavaScript number can hold`
      }])
      assert.deepStrictEqual(Redacted.value(error.toolUses), [
        { id: "toolu_0", name: "look", json: `{"id": ${id}, "name": "a"}` }
      ])
      assert.notInclude(error.message, id)
    }))

  it.live("the tool uses of a streamed reply, and of its copies, have every digit of a number", () =>
    Effect.gen(function*() {
      const tool = toolOf(Schema.BigInt)
      const { value } = yield* called(
        [exactly],
        Effect.scoped(Effect.flatMap(Claude.open("hi", { tools: [tool] }), ({ reply }) => reply))
      )
      if (value === undefined) return assert.fail("no reply")
      for (const reply of [value, structuredClone(value), { ...value }]) {
        assert.deepStrictEqual((yield* tool.uses(reply)).map(({ input }) => input.id), [BigInt(id)])
      }
    }))

  it.live("Claude.object with reask asks again if a number in the answer has too many digits for Schema.Number", () =>
    Effect.gen(function*() {
      const { requests, value } = yield* called(
        [Faults.answer(`{"id": ${id}}`), Faults.answer("{\"id\": 7}")],
        Policy.apply({ reask: 1 })(Claude.object(Schema.Struct({ id: Schema.Number }), "hi"))
      )
      assert.deepStrictEqual([value, requests], [{ id: 7 }, 2])
    }))

  it.live("Claude.object returns every digit of a number if its schema is a BigInt", () =>
    Effect.gen(function*() {
      const { value } = yield* called(
        [Faults.answer(`{"id": ${id}}`)],
        Claude.object(Schema.Struct({ id: Schema.BigInt }), "hi")
      )
      assert.deepStrictEqual(value, { id: BigInt(id) })
    }))
})
