import { assert, describe, it } from "@effect/vitest"
import * as Draft from "../../src/answer/draft.ts"
import type { WireEvent } from "../../src/Message.ts"

/** An event of any shape, as from the wire. */
const event = (type: string, more: object = {}): WireEvent => ({ type, ...more }) as object as WireEvent

const messageStart = event("message_start", {
  message: {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "claude-opus-5-5",
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: {
      input_tokens: 14,
      output_tokens: 1,
      cache_creation_input_tokens: 3,
      cache_read_input_tokens: 4,
      service_tier: "standard"
    }
  }
})
const start = (index: unknown, content_block: unknown) => event("content_block_start", { index, content_block })
const delta = (index: unknown, delta: unknown) => event("content_block_delta", { index, delta })
const stop = (index: unknown) => event("content_block_stop", { index })
const end = (stop_reason: unknown = "end_turn", more: object = {}, usage: unknown = { output_tokens: 9 }) =>
  event("message_delta", { delta: { stop_reason, stop_sequence: null, ...more }, usage })
const messageStop = event("message_stop")

const text = (text: unknown, index: unknown = 0) => delta(index, { type: "text_delta", text })
const json = (partial_json: unknown, index: unknown = 0) => delta(index, { type: "input_json_delta", partial_json })
const emptyText = { type: "text", text: "", citations: null }
const emptyThinking = { type: "thinking", thinking: "", signature: "" }
const tool = { type: "tool_use", id: "toolu_1", name: "get_weather", input: {}, caller: { type: "direct" } }

/** A draft after these events, all of which must be valid. */
const after = (...events: ReadonlyArray<WireEvent>) => {
  const draft = Draft.make("claude-sonnet-5-5")
  for (const event of events) assert.isUndefined(draft.add(event), JSON.stringify(event))
  return draft
}

const content = (...events: ReadonlyArray<WireEvent>): ReadonlyArray<unknown> =>
  after(messageStart, ...events).message().content

describe("a message", () => {
  it("equals the message that the API sends without streaming", () => {
    const message: object = after(
      messageStart,
      start(0, emptyThinking),
      delta(0, { type: "thinking_delta", thinking: "so " }),
      delta(0, { type: "thinking_delta", thinking: "it is" }),
      delta(0, { type: "signature_delta", signature: "c2ln" }),
      stop(0),
      start(1, emptyText),
      text("Pa", 1),
      text("ris", 1),
      stop(1),
      start(2, tool),
      json("{\"city\":", 2),
      json(" \"Oslo\"}", 2),
      stop(2),
      end("tool_use", { container: null }),
      messageStop
    ).message()
    assert.deepInclude(message, {
      id: "msg_1",
      model: "claude-opus-5-5",
      stop_reason: "tool_use",
      content: [
        { type: "thinking", thinking: "so it is", signature: "c2ln" },
        { type: "text", text: "Paris", citations: null },
        { ...tool, input: { city: "Oslo" } }
      ]
    })
  })

  it("can be read at any time, even before the first event", () => {
    const draft = Draft.make("claude-sonnet-5-5")
    assert.deepInclude(draft.message(), { model: "claude-sonnet-5-5", content: [], stop_reason: null })
    for (const next of [messageStart, start(0, emptyText), text("half ")]) draft.add(next)
    const before = draft.message()
    draft.add(text("an answer"))
    assert.deepStrictEqual(before.content, [{ type: "text", text: "half ", citations: null }])
    assert.deepStrictEqual(draft.message().content, [{ type: "text", text: "half an answer", citations: null }])
  })

  it("has begun once its first block starts, and has ended once message_stop arrives", () => {
    const draft = Draft.make("claude-sonnet-5-5")
    const seen = [messageStart, event("brand_new"), start(0, emptyText), text("a"), stop(0), end(), messageStop].map(
      (next) => {
        draft.add(next)
        return [draft.begun(), draft.ended()]
      }
    )
    assert.deepStrictEqual(seen.map(([begun]) => begun), [false, false, true, true, true, true, true])
    assert.deepStrictEqual(seen.map(([, ended]) => ended), [false, false, false, false, false, false, true])
  })

  it("has the stop reason, stop sequence and stop details of message_delta", () => {
    const details = { type: "refusal", category: "cyber", explanation: null }
    const message: object = after(messageStart, end("stop_sequence", { stop_sequence: "END", stop_details: details }))
      .message()
    assert.deepInclude(message, { stop_reason: "stop_sequence", stop_sequence: "END", stop_details: details })
  })

  it("may have no content", () => {
    assert.isTrue(after(messageStart, end("refusal"), messageStop).ended())
  })
})

describe("usage", () => {
  const usage = (...events: ReadonlyArray<WireEvent>) => after(messageStart, ...events).message().usage

  it("starts with the counts of message_start", () => {
    assert.deepInclude(usage(), {
      input_tokens: 14,
      output_tokens: 1,
      cache_creation_input_tokens: 3,
      cache_read_input_tokens: 4,
      service_tier: "standard",
      server_tool_use: null
    })
  })

  it("is cumulative: counts of message_delta replace earlier counts", () => {
    const { input_tokens, output_tokens } = usage(
      end(null, {}, { input_tokens: 20, output_tokens: 5 }),
      end("end_turn", {}, { output_tokens: 9 })
    )
    assert.deepStrictEqual({ input_tokens, output_tokens }, { input_tokens: 20, output_tokens: 9 })
  })

  it("ignores null, and events without usage", () => {
    const nothing = { input_tokens: null, output_tokens: 9, cache_creation_input_tokens: null }
    assert.deepInclude(usage(end("end_turn", {}, nothing)), {
      input_tokens: 14,
      output_tokens: 9,
      cache_creation_input_tokens: 3,
      cache_read_input_tokens: 4
    })
    for (const none of [{}, { usage: null }]) {
      const { output_tokens } = usage(event("message_delta", { delta: { stop_reason: "end_turn" }, ...none }))
      assert.strictEqual(output_tokens, 1)
    }
  })
})

describe("invalid usage", () => {
  it.each([Infinity, -Infinity, NaN, -1])("is ignored in each field whose count is %d", (count) => {
    const draft = after(messageStart, end("end_turn", {}, { input_tokens: count, output_tokens: count }))
    const { input_tokens, output_tokens } = draft.message().usage
    assert.deepStrictEqual({ input_tokens, output_tokens }, { input_tokens: 14, output_tokens: 1 })
  })

  it("is ignored in each field whose count is not a number, and as a whole if it is not an object", () => {
    const usage = { input_tokens: "14", output_tokens: [9], cache_read_input_tokens: {}, service_tier: "standard" }
    for (const from of [event("message_start", { message: { usage } }), end("end_turn", {}, usage)]) {
      const draft = from.type === "message_start" ? after(from) : after(messageStart, from)
      const { cache_read_input_tokens, input_tokens, output_tokens, service_tier } = draft.message().usage
      assert.isNumber(input_tokens)
      assert.isNumber(output_tokens)
      assert.isTrue(cache_read_input_tokens === null || cache_read_input_tokens === 4)
      assert.strictEqual(service_tier, "standard")
    }
    for (const usage of ["none", 7, [], null]) {
      assert.strictEqual(after(event("message_start", { message: { usage } })).message().usage.input_tokens, 0)
      assert.strictEqual(after(messageStart, end("end_turn", {}, usage)).message().usage.input_tokens, 14)
    }
  })
})

describe("blocks", () => {
  it("may start without the fields that deltas fill", () => {
    assert.deepStrictEqual(content(start(0, { type: "text" }), text("Paris")), [
      { type: "text", text: "Paris", citations: null }
    ])
    assert.deepStrictEqual(content(start(0, { type: "thinking", thinking: null })), [
      { type: "thinking", thinking: "", signature: "" }
    ])
  })

  it("collect their citations", () => {
    const cite = (cited_text: string) => ({ type: "char_location", cited_text, document_index: 0 })
    const citation = (cited_text: string) => delta(0, { type: "citations_delta", citation: cite(cited_text) })
    assert.deepStrictEqual(content(start(0, emptyText), text("Paris"), citation("a"), citation("b")), [
      { type: "text", text: "Paris", citations: [cite("a"), cite("b")] }
    ])
  })

  it("may be open at the same time", () => {
    assert.deepStrictEqual(
      content(start(0, emptyText), start(1, emptyText), text("b", 1), text("a", 0), stop(0), text("b", 1), stop(1)),
      [{ ...emptyText, text: "a" }, { ...emptyText, text: "bb" }]
    )
  })

  it.each([
    ["a tool", tool],
    ["a server tool", { ...tool, type: "server_tool_use" }],
    ["an MCP tool", { ...tool, type: "mcp_tool_use" }],
    ["an unknown type of tool", { ...tool, type: "brand_new_tool_use" }]
  ])("collect the input of %s", (_, start_) => {
    assert.deepStrictEqual(content(start(0, start_), json(""), json("{\"a\":"), json("[1]}"), stop(0)), [
      { ...start_, input: { a: [1] } }
    ])
    assert.deepStrictEqual(content(start(0, start_), json(""), stop(0)), [start_])
    const whole = { ...start_, input: { a: 1 } }
    assert.deepStrictEqual(content(start(0, whole), stop(0)), [whole])
  })

  it.each([
    ["has not ended", [json("{\"city\": \"Oslo\"}")]],
    ["is cut", [json("{\"city\": \"Os"), stop(0)]],
    ["is cut at a limit", [json("{\"city\": \"Os"), stop(0), end("max_tokens"), messageStop]],
    ["is empty at a limit", [json(""), stop(0), end("max_tokens"), messageStop]],
    ["is cut by a refusal", [json("{\"city\": \"Os"), stop(0), end("refusal"), messageStop]],
    ["is empty at a refusal", [stop(0), end("refusal"), messageStop]],
    ["is cut by a pause", [json("{\"city\": \"Os"), stop(0), end("pause_turn"), messageStop]],
    ["does not fit into the context window", [stop(0), end("model_context_window_exceeded"), messageStop]]
  ])("do not contain a tool call whose input %s", (_, events) => {
    assert.deepStrictEqual(content(start(0, tool), ...events), [])
  })

  it.each([
    ["is JSON", ["{\"city\": \"Oslo\"}"], "tool_use", []],
    ["is not JSON", ["{\"city\"", ": nope"], "tool_use", ["{\"city\": nope"]],
    ["is cut at a limit", ["{\"city\": \"Os"], "max_tokens", []],
    ["is cut by a refusal", ["{\"city\": \"Os"], "refusal", []],
    ["is cut by a pause", ["{\"city\": \"Os"], "pause_turn", []]
  ])(
    "include a tool use in unreadable() only if its input is complete and is not JSON; here its input %s",
    (_, pieces, reason, unreadable) => {
      const draft = after(
        messageStart,
        start(0, tool),
        ...pieces.map((piece) => json(piece)),
        stop(0),
        end(reason),
        messageStop
      )
      assert.deepStrictEqual(
        draft.unreadable(),
        unreadable.map((json) => ({ id: "toolu_1", name: "get_weather", json }))
      )
    }
  )
})

describe("unknown events, blocks and fields", () => {
  it("are accepted", () => {
    const block = { type: "brand_new_block", news: [1] }
    assert.deepStrictEqual(
      content(
        event("brand_new"),
        start(0, block),
        stop(0),
        start(1, emptyText),
        delta(1, { type: "brand_new_delta" }),
        text("Paris", 1),
        stop(1)
      ),
      [block, { ...emptyText, text: "Paris" }]
    )
    assert.strictEqual(after(messageStart, end("brand_new"), messageStop).message().stop_reason, "brand_new")
  })

  it("lead to a message without the block if all content of the block may be in unknown deltas", () => {
    const block = { type: "brand_new_block", news: null }
    const news = delta(0, { type: "brand_new_delta", news: 2 })
    for (
      const events of [
        [start(0, block), news, stop(0)],
        [start(0, block), text("for another version"), stop(0)],
        [start(0, { type: "brand_new_tool_use" }), json("{}"), news, stop(0)],
        [start(0, tool), news, stop(0)],
        [start(0, emptyText), news, stop(0)],
        [start(0, block)]
      ]
    ) assert.deepStrictEqual(content(...events), [], JSON.stringify(events))
  })

  it.each(["toString", "constructor", "__proto__"])(
    "are accepted even if the type of a delta is %s, and unknown() reports that type",
    (type) => {
      const draft = after(messageStart, start(0, emptyText), text("Paris"), delta(0, { type }), stop(0))
      assert.deepStrictEqual<unknown>(draft.message().content, [{ ...emptyText, text: "Paris" }])
      assert.strictEqual(draft.unknown(), `${type} in a block of type text`)
    }
  )
})

describe("an event that contradicts the protocol is rejected:", () => {
  const open = [messageStart, start(0, emptyText), text("Paris")]
  const other = { toString: 1, valueOf: 1 }
  const noBlock = "a content_block_start without a block"
  const notOpen = "a delta for a block that is not open"
  const noText = "a text_delta without text, or in a block of another type"
  const noThinking = "a thinking_delta without thinking, or in a block of another type"
  const noSignature = "a signature_delta without a signature, or in a block of another type"
  const noJson = "an input_json_delta without JSON, or in a block of another type"
  const noCitation = "a citations_delta without a citation, or in a block of another type"
  const noCompaction = "a compaction_delta whose content is no text, or in a block of another type"
  const noObject = "a message_delta whose delta is not an object"
  const noEnd = "a message_stop without a stop reason"
  const noMessage = "a message_start without a message"
  const startOf = (id: string) => event("message_start", { message: { ...Object(messageStart).message, id } })
  const begun = [messageStart]
  const contradictions: ReadonlyArray<
    readonly [name: string, before: ReadonlyArray<WireEvent>, next: WireEvent, complaint: string]
  > = [
    ["a second message_start with another id", open, startOf("msg_2"), "a second message_start"],
    ["a second message_start without an id", [startOf("")], startOf(""), "a second message_start"],
    ["a message_start without a message", [], event("message_start"), noMessage],
    ["a message_start whose message is not an object", [], event("message_start", { message: 7 }), noMessage],
    ["a message_start without usage", [], event("message_start", { message: {} }), noMessage],
    ["content before message_start", [], start(0, emptyText), "content before message_start"],
    ["a block whose index skips a number", begun, start(1, emptyText), "a content_block_start out of order (1)"],
    ["a second block with the same index", open, start(0, emptyText), "a content_block_start out of order (0)"],
    ["a block whose index is not a number", begun, start(other, emptyText), "a content_block_start out of order"],
    ["a content_block_start without a block", begun, start(0, undefined), noBlock],
    ["a block that is not an object", begun, start(0, "text"), noBlock],
    ["a block whose type is not a string", begun, start(0, { type: 7 }), noBlock],
    ["a text that is not a string", begun, start(0, { type: "text", text: other }), noBlock],
    ["citations that are not a list", begun, start(0, { ...emptyText, citations: 7 }), noBlock],
    ["thinking that is not a string", begun, start(0, { type: "thinking", thinking: 7 }), noBlock],
    ["a signature that is not a string", begun, start(0, { type: "thinking", signature: 7 }), noBlock],
    ["a delta before its block", begun, text("a"), "a delta for a block that is not open (0)"],
    ["a delta after its block", [...open, stop(0)], text("a"), "a delta for a block that is not open (0)"],
    ["a delta for a block that has not started", open, text("a", 1), "a delta for a block that is not open (1)"],
    ["a delta with a negative index", open, text("a", -1), "a delta for a block that is not open (-1)"],
    ["a delta with a fractional index", open, text("a", 0.5), "a delta for a block that is not open (0.5)"],
    ["a delta whose index is a property of lists", open, text("a", "length"), notOpen],
    ["a delta whose index is a string", open, text("a", "0"), notOpen],
    ["a delta whose index is an object", open, text("a", other), notOpen],
    ["a delta without an index", open, text("a", null), notOpen],
    ["a content_block_delta without a delta", open, delta(0, undefined), "a content_block_delta without a delta"],
    ["a delta whose type is not a string", open, delta(0, { type: 7 }), "a content_block_delta without a delta"],
    ["a text_delta that is not a string", open, text(7), noText],
    ["text in a tool", [messageStart, start(0, tool)], text("a"), noText],
    ["text in thinking", [messageStart, start(0, emptyThinking)], text("a"), noText],
    [
      "a thinking_delta without thinking",
      [messageStart, start(0, emptyThinking)],
      delta(0, { type: "thinking_delta" }),
      noThinking
    ],
    ["thinking in text", open, delta(0, { type: "thinking_delta", thinking: "a" }), noThinking],
    [
      "a signature_delta without a signature",
      [messageStart, start(0, emptyThinking)],
      delta(0, { type: "signature_delta" }),
      noSignature
    ],
    ["a signature of text", open, delta(0, { type: "signature_delta", signature: "a" }), noSignature],
    ["input that is not a string", [messageStart, start(0, tool)], json({}), noJson],
    ["input in text", open, json("{}"), noJson],
    ["a citations_delta without a citation", open, delta(0, { type: "citations_delta" }), noCitation],
    [
      "a citation in a tool",
      [messageStart, start(0, tool)],
      delta(0, { type: "citations_delta", citation: { type: "a" } }),
      noCitation
    ],
    ["a compaction in text", open, delta(0, { type: "compaction_delta", content: "a" }), noCompaction],
    [
      "a compaction that is not a string",
      [messageStart, start(0, { type: "compaction" })],
      delta(0, { type: "compaction_delta", content: 7 }),
      noCompaction
    ],
    ["a stop before its block", begun, stop(0), "a content_block_stop for a block that is not open (0)"],
    ["a second stop of a block", [...open, stop(0)], stop(0), "a content_block_stop for a block that is not open (0)"],
    ["a stop whose index is not a number", open, stop("0"), "a content_block_stop for a block that is not open"],
    ["a stop reason before message_start", [], end(), "a message_delta before message_start"],
    ["a message_delta whose delta is not an object", begun, event("message_delta", { delta: 7 }), noObject],
    ["a message_stop without a stop reason", [messageStart, event("message_delta", { delta: {} })], messageStop, noEnd],
    ["a message_stop without a message_delta", [...open, stop(0)], messageStop, noEnd],
    ["a stop reason that is not a string", [messageStart, end(7)], messageStop, noEnd],
    ["a message_stop before message_start", [], messageStop, noEnd],
    ["a message_stop inside a block", [...open, end()], messageStop, "a message_stop inside a block"]
  ]

  it.each(contradictions)("%s", (_, before, next, complaint) => {
    const draft = after(...before)
    const { content } = draft.message()
    const begun = draft.begun()
    assert.strictEqual(draft.add(next), complaint)
    // The rejected event does not change the draft.
    assert.deepStrictEqual(draft.message().content, content)
    assert.strictEqual(draft.begun(), begun)
    assert.isFalse(draft.ended())
  })
})
