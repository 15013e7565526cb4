/** Blocks whose content comes in unusual events, over real sockets on every wire. */
import { Anthropic as Sdk } from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, Redacted, Schema, Stream } from "effect"
import { Anthropic, CallLog, Claude, type ClaudeError, Policy, Retry } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { FakeServer, Faults } from "../../src/testing/index.ts"
import { assembled } from "../support/blocks.ts"
import { added, framed, started, stopped, text } from "../support/streams.ts"

const apiKey = "sk-ant-test"
const wires: ReadonlyArray<readonly [name: string, layer: (url: string) => Layer.Layer<Claude.Claude>]> = [
  ["NodeAnthropic", (baseUrl) => NodeAnthropic.layer({ apiKey, baseUrl })],
  ["Anthropic", (baseUrl) => Anthropic.layer({ apiKey, baseUrl })],
  ["a client", (baseURL) => Anthropic.layer({ client: new Sdk({ apiKey, baseURL }) })]
]

const start = framed([]).slice(0, 1)
const words = (text: string, index = 0) => added(index, { type: "text_delta", text })

describe.each(wires)("%s", (_, wire) => {
  /** The result of a call to a server that plays these turns, and its number of requests. */
  const called = <A>(
    turns: Faults.Playable,
    call: Effect.Effect<A, ClaudeError.ClaudeError, Claude.Claude>
  ) =>
    Effect.gen(function*() {
      const server = yield* FakeServer.FakeServer
      const result = yield* Effect.result(Effect.provide(call, wire(server.url)))
      return {
        value: result._tag === "Success" ? result.success : undefined,
        error: result._tag === "Failure" ? result.failure : undefined,
        requests: (yield* server.received).length
      }
    }).pipe(Effect.provide([FakeServer.layer(turns), CallLog.layerNoop]))

  // ---------------------------------------------------------------------------
  // Content in content_block_start
  // ---------------------------------------------------------------------------

  const cited = { type: "char_location", cited_text: "P", document_index: 0, start_char_index: 0, end_char_index: 1 }
  const thought = { type: "thinking", thinking: "France.", signature: "c2ln" }
  const starts: ReadonlyArray<
    readonly [name: string, blocks: ReadonlyArray<object>, events: ReadonlyArray<string>]
  > = [
    ["the first words", [text("Paris")], [started(0, text("Pa")), words("ris"), stopped(0)]],
    ["the whole text", [text("Paris")], [started(0, text("Paris")), stopped(0)]],
    ["a text without other fields", [text("Paris")], [started(0, { type: "text", text: "Paris" }), stopped(0)]],
    [
      "a citation",
      [{ ...text("Paris"), citations: [cited] }],
      [started(0, { type: "text", text: "", citations: [cited] }), words("Paris"), stopped(0)]
    ],
    [
      "thinking, its signature and the text",
      [thought, text("Paris")],
      [started(0, thought), stopped(0), started(1, text("Paris")), stopped(1)]
    ]
  ]

  it.live.each(starts)(
    "%s in content_block_start is the same in text, streams and replies",
    ([, blocks, events]) =>
      Effect.gen(function*() {
        const answer = Faults.stream(framed(events))
        assert.strictEqual((yield* called([answer], Claude.text("hi"))).value, "Paris")
        const pieces = yield* called([answer], Stream.mkString(Claude.stream("hi")))
        assert.strictEqual(pieces.value, "Paris")
        const message = yield* called([answer], Claude.message("hi"))
        assert.deepStrictEqual<unknown>(message.value?.message.content, blocks)
        const seen = yield* called([answer], Stream.runCollect(Claude.events("hi")))
        assert.deepStrictEqual(assembled(seen.value ?? []), blocks)
        // Each part arrives once: a start has none of it.
        const empty = (seen.value ?? []).flatMap((event) =>
          event.type === "content_block_start" ? Object.values(event.content_block).slice(1) : []
        )
        assert.isTrue(empty.every((field) => field === "" || field === null), JSON.stringify(empty))
      })
  )

  it.live("a value in content_block_start is decoded", () =>
    Effect.gen(function*() {
      const answer = Faults.stream(framed([started(0, text("{\"city\":")), words("\"Paris\"}"), stopped(0)]))
      const { value } = yield* called([answer], Claude.object(Schema.Struct({ city: Schema.String }), "hi"))
      assert.deepStrictEqual(value, { city: "Paris" })
    }))

  it.live("the input of a tool in content_block_start is in the reply, and stays in the start of the events", () =>
    Effect.gen(function*() {
      const tool = { type: "tool_use", id: "toolu_1", name: "look", input: { city: "Paris" } }
      const answer = Faults.stream(framed([started(0, tool), stopped(0)], "tool_use"))
      const reply = yield* called([answer], Claude.message("hi"))
      assert.deepStrictEqual(reply.value?.toolUses.map(({ input }) => input), [{ city: "Paris" }])
      const seen = yield* called([answer], Stream.runCollect(Claude.events("hi")))
      assert.deepStrictEqual<unknown>(
        seen.value?.flatMap((event) => event.type === "content_block_start" ? [event.content_block] : []),
        [tool]
      )
    }))

  const ends: ReadonlyArray<Faults.End> = ["cut", "end"]

  it.live.each(ends)(
    "text in content_block_start is on the error of an answer that breaks off (%s)",
    (end) =>
      Effect.gen(function*() {
        const broken = Faults.stream([...start, started(0, text("Pa"))], { end })
        const { error } = yield* called([broken], Claude.text("hi"))
        assert.strictEqual(error?._tag === "PartialAnswer" && error.text && Redacted.value(error.text), "Pa")
      })
  )

  const rests: ReadonlyArray<readonly [name: string, model: string, first: string, more: string]> = [
    ["after a prefill", "claude-haiku-4-5", " jumps", " high"],
    ["after the repeated words", "claude-sonnet-5-5", "The quick fox jumps", " high"],
    ["and split in the repeated words", "claude-sonnet-5-5", "The qu", "ick fox jumps high"]
  ]

  it.live.each(rests)("an answer whose text is in content_block_start is resumed without a hole, %s", (
    [, model, first, more]
  ) =>
    Effect.gen(function*() {
      const shown = yield* called(
        [
          Faults.stream([...start, started(0, text("The quick")), words(" fox")], { end: "cut" }),
          Faults.stream(framed([started(0, text(first)), words(more), stopped(0)]))
        ],
        Claude.stream("hi", { model }).pipe(
          Policy.applyStream({ onBreak: "resume", retry: Retry.backoff({ times: 1, base: "1 milli" }) }),
          Stream.mkString
        )
      )
      assert.deepStrictEqual([shown.value, shown.requests], ["The quick fox jumps high", 2], String(shown.error))
    }))
})
