/** Content blocks whose content arrives in unusual events, over real sockets on every wire. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, Ref, Schema, Stream } from "effect"
import { CallLog, Claude, type ClaudeError, Policy, Retry } from "../../src/index.ts"
import { FakeServer, Faults } from "../../src/testing/index.ts"
import { assembled } from "../support/blocks.ts"
import { added, framed, started, stopped, text } from "../support/streams.ts"
import { wires } from "../support/wires.ts"

const start = framed([]).slice(0, 1)
const words = (text: string, index = 0) => added(index, { type: "text_delta", text })

describe.each(wires)("%s", (_, wire) => {
  /** The result of a call to a server that plays these turns, its number of requests, and the codes of its warnings. */
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
        requests: (yield* server.received).length,
        warnings: (yield* Effect.flatMap(CallLog.Memory, Ref.get)).flatMap((event) =>
          event._tag === "Warning" && event.code !== "UnknownStopReason" ? [event.code] : []
        )
      }
    }).pipe(Effect.provide([FakeServer.layer(turns), CallLog.layerMemory]))

  // ---------------------------------------------------------------------------
  // Content in content_block_start
  // ---------------------------------------------------------------------------

  const cited = { type: "char_location", cited_text: "P", document_index: 0, start_char_index: 0, end_char_index: 1 }
  const thought = { type: "thinking", thinking: "France.", signature: "c2ln" }
  const starts: ReadonlyArray<
    readonly [name: string, blocks: ReadonlyArray<object>, events: ReadonlyArray<string>]
  > = [
    ["the beginning of the text", [text("Paris")], [started(0, text("Pa")), words("ris"), stopped(0)]],
    ["the whole text", [text("Paris")], [started(0, text("Paris")), stopped(0)]],
    ["a text block without other fields", [text("Paris")], [started(0, { type: "text", text: "Paris" }), stopped(0)]],
    [
      "a citation",
      [{ ...text("Paris"), citations: [cited] }],
      [started(0, { type: "text", text: "", citations: [cited] }), words("Paris"), stopped(0)]
    ],
    [
      "thinking with its signature",
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
        // The content arrives only in deltas: the start events are empty.
        const empty = (seen.value ?? []).flatMap((event) =>
          event.type === "content_block_start" ? Object.values(event.content_block).slice(1) : []
        )
        assert.isTrue(empty.every((field) => field === "" || field === null), JSON.stringify(empty))
      })
  )

  it.live("an object that begins in content_block_start is decoded by Claude.object", () =>
    Effect.gen(function*() {
      const answer = Faults.stream(framed([started(0, text("{\"city\":")), words("\"Paris\"}"), stopped(0)]))
      const { value } = yield* called([answer], Claude.object(Schema.Struct({ city: Schema.String }), "hi"))
      assert.deepStrictEqual(value, { city: "Paris" })
    }))

  it.live("the input of a tool in content_block_start is in the reply, and in the start event of a stream", () =>
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
    "text in content_block_start is in the error of an answer that breaks off (end: %s)",
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
    ["split within the repeated words", "claude-sonnet-5-5", "The qu", "ick fox jumps high"]
  ]

  it.live.each(rests)(
    "a continuation whose text begins in content_block_start is joined to the answer without a gap, %s",
    (
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
      })
  )

  // ---------------------------------------------------------------------------
  // Compaction: github.com/anthropics/anthropic-sdk-typescript/issues/1164
  // ---------------------------------------------------------------------------

  const empty = { type: "compaction", content: null, encrypted_content: null }
  const summary = { ...empty, content: "The user asked for Paris.", encrypted_content: "ZW5j" }
  const delta = (more: object, index = 0) => added(index, { type: "compaction_delta", ...more })
  const { type: _type, ...said } = summary
  const compactions: ReadonlyArray<
    readonly [name: string, block: object, events: ReadonlyArray<string>]
  > = [
    ["one delta", summary, [started(0, empty), delta(said)]],
    ["only a type in its start event", summary, [started(0, { type: "compaction" }), delta(said)]],
    ["a delta without encrypted content", { ...summary, encrypted_content: null }, [
      started(0, empty),
      delta({ content: said.content })
    ]],
    ["encrypted content in its start event", summary, [
      started(0, { ...empty, encrypted_content: "ZW5j" }),
      delta({ content: said.content, encrypted_content: null })
    ]],
    ["one delta for each field", summary, [
      started(0, empty),
      delta({ content: said.content, encrypted_content: null }),
      delta({ content: null, encrypted_content: said.encrypted_content })
    ]],
    ["a second delta that replaces the first one", summary, [
      started(0, empty),
      delta({ ...said, content: "The user" }),
      delta(said)
    ]],
    ["fields newer than this library", { ...summary, signature: "c2ln" }, [
      started(0, empty),
      delta({ ...said, signature: "c2ln" })
    ]],
    ["null content after a failure", empty, [
      started(0, empty),
      delta({ content: null, encrypted_content: null })
    ]],
    ["its content in the start event and no delta", summary, [started(0, summary)]]
  ]

  it.live.each(compactions)("a compaction with %s is in the reply", ([, block, events]) =>
    Effect.gen(function*() {
      const alone = Faults.stream(framed([...events, stopped(0)], "compaction"))
      const reply = yield* called([alone], Claude.message("hi"))
      assert.deepStrictEqual<unknown>(reply.value?.message.content, [block])
      const before = Faults.stream(framed([...events, stopped(0), started(1, text("")), words("Paris", 1), stopped(1)]))
      const answer = yield* called([before], Claude.message("hi"))
      assert.deepStrictEqual<unknown>(answer.value?.message.content, [block, text("Paris")])
      assert.deepStrictEqual([answer.value?.text, answer.warnings], ["Paris", []])
    }))

  it.live("a compaction that Faults.answer sends is in the reply, before the text", () =>
    Effect.gen(function*() {
      for (const content of ["The user asked for Paris.", null]) {
        const { value } = yield* called([Faults.answer("Paris", { compaction: content })], Claude.message("hi"))
        const encrypted_content = content === null ? null : "ZmFrZQ=="
        assert.deepStrictEqual<unknown>(value?.message.content, [
          { type: "compaction", content, encrypted_content },
          text("Paris")
        ])
      }
    }))

  it.live("a compaction that is cut off before its end is not in the blocks of the error", () =>
    Effect.gen(function*() {
      for (const events of [[started(0, empty)], [started(0, empty), delta(said)]]) {
        const { error } = yield* called([Faults.stream([...start, ...events], { end: "cut" })], Claude.message("hi"))
        assert.deepStrictEqual(error?._tag === "PartialAnswer" && error.blocks && Redacted.value(error.blocks), [])
      }
    }))

  // ---------------------------------------------------------------------------
  // Deltas of unknown types
  // ---------------------------------------------------------------------------

  const hologram = [started(0, { type: "hologram", light: null }), added(0, { type: "light_delta", light: "blue" })]
  const paris = [started(1, text("")), words("Paris", 1), stopped(1)]
  const tool = { type: "tool_use", id: "toolu_1", name: "look", input: {} }
  const gloss = (index = 0) => added(index, { type: "gloss_delta", gloss: "!" })
  const input = [added(0, { type: "input_json_delta", partial_json: "{\"city\":\"Paris\"}" })]

  const unknown: ReadonlyArray<
    readonly [name: string, content: ReadonlyArray<object>, events: ReadonlyArray<string>, stopReason?: string]
  > = [
    ["an unknown delta in a block of an unknown type", [text("Paris")], [...hologram, stopped(0), ...paris]],
    ["a known delta in a block of an unknown type", [text("Paris")], [
      started(0, { type: "hologram", text: "" }),
      words("blue"),
      stopped(0),
      ...paris
    ]],
    ["an unknown delta as the only delta of a block", [text("Paris")], [
      started(0, text("")),
      gloss(),
      stopped(0),
      ...paris
    ]],
    ["an unknown delta beside known deltas", [text("Paris"), text("Paris")], [
      started(0, text("")),
      words("Pa"),
      gloss(),
      words("ris"),
      stopped(0),
      ...paris
    ]],
    ["an unknown delta beside a signature", [{ type: "thinking", thinking: "", signature: "c2ln" }, text("Paris")], [
      started(0, { type: "thinking", thinking: "", signature: "" }),
      gloss(),
      added(0, { type: "signature_delta", signature: "c2ln" }),
      stopped(0),
      ...paris
    ]],
    ["an unknown delta beside the empty input of a tool", [tool], [
      started(0, tool),
      added(0, { type: "input_json_delta", partial_json: "" }),
      gloss(),
      stopped(0)
    ], "tool_use"],
    ["an unknown delta beside the input of a tool", [{ ...tool, input: { city: "Paris" } }], [
      started(0, tool),
      gloss(),
      ...input,
      stopped(0)
    ], "tool_use"]
  ]

  it.live.each(unknown)("%s removes its block only if the block has no known content, and logs a warning", (
    [, content, events, stopReason]
  ) =>
    Effect.gen(function*() {
      const reply = yield* called([Faults.stream(framed(events, stopReason))], Claude.message("hi"))
      assert.deepStrictEqual<unknown>(reply.value?.message.content, content, String(reply.error))
      assert.deepStrictEqual(reply.warnings, ["UnknownDelta"])
    }))

  it.live("an answer with only unknown deltas causes EmptyAnswer", () =>
    Effect.gen(function*() {
      const answers: ReadonlyArray<readonly [events: ReadonlyArray<string>, stopReason?: string]> = [
        [[...hologram, stopped(0)]],
        [[started(0, text("")), gloss(), stopped(0)]],
        [[started(0, tool), gloss(), stopped(0)], "tool_use"]
      ]
      for (const [events, stopReason] of answers) {
        const { error, warnings } = yield* called([Faults.stream(framed(events, stopReason))], Claude.message("hi"))
        assert.deepStrictEqual([error?._tag, warnings], ["EmptyAnswer", ["UnknownDelta"]])
      }
    }))

  it.live("a text that follows a block of an unknown type is resumed at its own index", () =>
    Effect.gen(function*() {
      const { requests, value } = yield* called(
        [
          Faults.stream([...start, ...hologram, stopped(0), started(1, text("")), words("The quick", 1)], {
            end: "cut"
          }),
          Faults.stream(framed([...hologram, stopped(0), ...paris])),
          Faults.stream(framed([started(0, text("")), words("The quick fox"), stopped(0)]))
        ],
        Claude.events("hi").pipe(
          Policy.applyStream({ onBreak: "resume", retry: Retry.backoff({ times: 2, base: "1 milli" }) }),
          Stream.runCollect
        )
      )
      const events = value ?? []
      const after = events.slice(events.findIndex(({ type }) => type === "resumed"))
      assert.deepStrictEqual(after.flatMap((event) => "index" in event ? [[event.type, event.index]] : []), [
        ["resumed", 1],
        // The first continuation did not fit, so the answer is resumed again.
        ["resumed", 1],
        ["content_block_delta", 1],
        ["content_block_stop", 1]
      ])
      assert.strictEqual(requests, 3)
    }))
})
