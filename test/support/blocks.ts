/** Answers of blocks in the format of the API, and a reference implementation that accumulates their events. */
import { assert } from "@effect/vitest"
import { Schema } from "effect"
import type { Message } from "../../src/index.ts"
import { Faults } from "../../src/testing/index.ts"
import { oneIn } from "./effort.ts"
import { added, framed, started, stopped, text } from "./streams.ts"

export type Block =
  | { readonly type: "text"; readonly text: string; readonly cites?: string }
  | { readonly type: "thinking"; readonly thinking: string }
  | { readonly type: "tool_use"; readonly input: object }

/** Splits a text into two words at a time, with the blank after them. */
const words = (text: string) => text.match(/\s*\S+(\s+\S+)?\s?|\s+/gu) ?? []
const halves = (text: string) => [text.slice(0, text.length / 2), text.slice(text.length / 2)]

const startOf = (block: Block): object => {
  switch (block.type) {
    case "text":
      return text("")
    case "thinking":
      return { type: "thinking", thinking: "", signature: "" }
    case "tool_use":
      return { type: "tool_use", id: "toolu_01Fake", name: "look", input: {}, caller: { type: "direct" } }
  }
}

const citation = (cited_text: string) => ({
  type: "char_location",
  cited_text,
  document_index: 0,
  document_title: "Fables",
  start_char_index: 0,
  end_char_index: cited_text.length,
  file_id: null
})

/** A citation comes between two chunks of its text. */
const deltasOf = (block: Block): ReadonlyArray<object> => {
  switch (block.type) {
    case "text": {
      const [first, ...others] = words(block.text).map((text) => ({ type: "text_delta", text }))
      const cites = block.cites === undefined ? [] : [{ type: "citations_delta", citation: citation(block.cites) }]
      return [...first === undefined ? [] : [first], ...cites, ...others]
    }
    case "thinking":
      return [
        ...words(block.thinking).map((thinking) => ({ type: "thinking_delta", thinking })),
        { type: "signature_delta", signature: "c2lnbmF0dXJl" }
      ]
    case "tool_use":
      return halves(JSON.stringify(block.input)).map((partial_json) => ({ type: "input_json_delta", partial_json }))
  }
}

/** The events of a message of these blocks, in the format of the API. */
export const written = (blocks: ReadonlyArray<Block>): ReadonlyArray<string> =>
  framed(
    blocks.flatMap((block, index) => [
      started(index, startOf(block)),
      ...index === 0 ? [Faults.event("ping", {})] : [],
      ...deltasOf(block).map((delta) => added(index, delta)),
      stopped(index)
    ]),
    blocks.some(({ type }) => type === "tool_use") ? "tool_use" : "end_turn"
  )

export const kinds: ReadonlyArray<readonly [name: string, blocks: ReadonlyArray<Block>]> = [
  ["text", [{ type: "text", text: "Once there was a fox — 狐 — who said:  \"Hi\"\n\nto 👩‍👧." }]],
  ["thinking, then text", [
    { type: "thinking", thinking: "A fox, or a 狐?" },
    { type: "text", text: "A fox — 狐 — it is." }
  ]],
  ["text, then a tool", [
    { type: "text", text: "Let me look — 狐." },
    { type: "tool_use", input: { at: "the fox — 狐", deep: { n: 1 } } }
  ]],
  ["two texts with citations", [
    { type: "text", text: "The fox is red,", cites: "red — 狐" },
    { type: "text", text: " and the hen is white.", cites: "white" }
  ]]
]

export const toolOnly: ReadonlyArray<Block> = [{ type: "tool_use", input: { at: "the fox" } }]

export const textIn = (blocks: ReadonlyArray<Block>) =>
  blocks.map((block) => block.type === "text" ? block.text : "").join("")
const bytesOf = (events: ReadonlyArray<string>) => new TextEncoder().encode(events.join(""))

const fromJson = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Unknown))
// Cast: we wrote the event ourselves.
const parsed = (event: string) => fromJson(event.slice(event.indexOf("data: ") + 6)) as Message.WireEvent
const isPing = (event: string) => event.startsWith("event: ping")

interface Building {
  readonly start: Record<string, unknown>
  text: string
  thinking: string
  signature: string
  json: string
  citations: Array<unknown>
  stopped: boolean
}

/** Accumulates an answer from its events, independently of the library. */
export const assembled = (events: ReadonlyArray<Message.Event>): ReadonlyArray<object> => {
  const blocks: Array<Building> = []
  for (const event of events) {
    switch (event.type) {
      case "restarted":
        blocks.length = 0
        break
      case "resumed":
        blocks.length = event.index + 1
        break
      case "content_block_start":
        assert.strictEqual(event.index, blocks.length, "a block comes after the one before it, and once")
        blocks.push({
          start: { ...event.content_block },
          text: "",
          thinking: "",
          signature: "",
          json: "",
          citations: [],
          stopped: false
        })
        break
      case "content_block_delta": {
        const block = blocks[event.index]
        assert.isDefined(block)
        const { delta } = event
        if (delta.type === "text_delta") block.text += delta.text
        if (delta.type === "thinking_delta") block.thinking += delta.thinking
        if (delta.type === "signature_delta") block.signature += delta.signature
        if (delta.type === "input_json_delta") block.json += delta.partial_json
        if (delta.type === "citations_delta") block.citations.push(delta.citation)
        break
      }
      case "content_block_stop": {
        const block = blocks[event.index]
        assert.isDefined(block)
        block.stopped = true
        break
      }
    }
  }
  return blocks.flatMap(({ citations, json, signature, start, stopped, text, thinking }): ReadonlyArray<object> => {
    switch (start["type"]) {
      case "text":
        return [{ ...start, text, citations: citations.length === 0 ? null : citations }]
      case "thinking":
        return [{ ...start, thinking, signature }]
      default:
        return stopped ? [{ ...start, input: fromJson(json) }] : []
    }
  })
}

export const toolsIn = (content: ReadonlyArray<object>) =>
  content.flatMap((block) => "input" in block ? [block.input] : [])

/** A complete body, and its prefixes by length in bytes. */
export const bodyOf = (blocks: ReadonlyArray<Block>) => {
  const lines = written(blocks)
  let length = 0
  const all = lines.map((line) => ({
    isPing: isPing(line),
    event: parsed(line),
    end: length += bytesOf([line]).length
  }))
  const whole = all.filter(({ isPing }) => !isPing)
  const bytes = bytesOf(lines)
  return {
    length,
    whole: whole.map(({ event }) => event),
    turn: Faults.stream(lines),
    cutAt: (at: number, end: Faults.End = "cut") => Faults.stream([bytes.slice(0, at)], { end }),
    arrived: (at: number, missing = 0): ReadonlyArray<Message.WireEvent> =>
      whole.filter(({ end }) => end - missing <= at).map(({ event }) => event),
    /** The lengths at which the body is cut: all of them, or every 29th in the short tests. */
    places: oneIn(29, Array.from({ length }, (_, at) => at))
  }
}
