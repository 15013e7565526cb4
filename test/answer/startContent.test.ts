import { assert, describe, it } from "@effect/vitest"
import { toDeltas } from "../../src/answer/startContent.ts"
import type { WireEvent } from "../../src/Message.ts"

const start = (content_block: unknown, index = 0) =>
  ({ type: "content_block_start", index, content_block }) as object as WireEvent
const delta = (delta: object, index = 0) => ({ type: "content_block_delta", index, delta }) as object as WireEvent
const cite = (cited_text: string) => ({ type: "char_location", cited_text, document_index: 0 })
const text = { type: "text", text: "", citations: null }
const thinking = { type: "thinking", thinking: "", signature: "" }

describe("content in content_block_start", () => {
  it("moves into deltas, before the deltas that follow", () => {
    const more = delta({ type: "text_delta", text: "ris" }, 1)
    const events = [
      start({ type: "thinking", thinking: "so", signature: "c2ln" }),
      start({ ...text, text: "Pa", citations: [cite("a"), cite("b")] }, 1),
      more
    ]
    assert.deepStrictEqual(toDeltas(events), [
      start(thinking),
      delta({ type: "thinking_delta", thinking: "so" }),
      delta({ type: "signature_delta", signature: "c2ln" }),
      start(text, 1),
      delta({ type: "text_delta", text: "Pa" }, 1),
      delta({ type: "citations_delta", citation: cite("a") }, 1),
      delta({ type: "citations_delta", citation: cite("b") }, 1),
      more
    ])
  })

  it("leaves unknown fields of the block and of the event in the start event", () => {
    const filled = { ...start({ ...text, text: "Pa", news: 1 }), news: 2 } as object as WireEvent
    assert.deepStrictEqual(toDeltas([filled])[0], { ...filled, content_block: { ...text, news: 1 } } as object)
  })

  const untouched: ReadonlyArray<readonly [name: string, block: unknown]> = [
    ["an empty text", text],
    ["a text with an empty list of citations", { ...text, citations: [] }],
    ["a text without fields", { type: "text" }],
    ["thinking whose fields are null", { type: "thinking", thinking: null, signature: null }],
    ["a tool with its input", { type: "tool_use", id: "toolu_1", name: "look", input: { city: "Oslo" } }],
    ["a text of an unknown type of block", { type: "brand_new", text: "Pa" }],
    ["a text that is not a string", { type: "text", text: { a: 1 } }],
    ["citations that are not a list", { ...text, text: "Pa", citations: 7 }],
    ["missing", undefined]
  ]

  it.each(untouched)("is not moved into deltas if it is %s", (_, block) => {
    const events = [start(block)]
    assert.strictEqual(toDeltas(events), events)
  })
})
