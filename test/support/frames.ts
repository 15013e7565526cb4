/** Generated answers, and generated changes to their frames that keep the content. */
import { Arbitrary, Schema } from "effect"
import { type Data, type Encoding, encodings, type Manner, manners, write } from "./manners.ts"

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))
const oneOf = <A>(all: ReadonlyArray<A>): Arbitrary.Arbitrary<A> =>
  // Safe cast: the index is below the length.
  Arbitrary.map(int(0, all.length - 1), (i) => all[i] as A)
const some = <A>(all: ReadonlyArray<A>, maxLength: number) => Arbitrary.array(oneOf(all), { maxLength })

// -----------------------------------------------------------------------------
// Answers
// -----------------------------------------------------------------------------

/** A content block: its start, its deltas, and the final block. */
interface Block {
  readonly start: object
  readonly deltas: ReadonlyArray<object>
  readonly whole: object
}

/** Pieces of text that look like frames, or have characters of several bytes. */
const pieces = [
  "a",
  "Zürich ",
  "東京",
  "👩‍👧",
  "\n\ndata: {}\n\n",
  "\r\n",
  "\u2028",
  ": x",
  "\uFEFF",
  "\"}\\",
  "[DONE]",
  ""
]

const textOf = (texts: ReadonlyArray<string>, citations: ReadonlyArray<object> | null = null): Block => {
  const start = { type: "text", text: "", citations: null }
  return {
    start,
    deltas: [
      ...texts.map((text) => ({ type: "text_delta", text })),
      ...(citations ?? []).map((citation) => ({ type: "citations_delta", citation }))
    ],
    whole: { ...start, text: texts.join(""), citations }
  }
}

/** A tool whose input arrives in pieces of `size` characters. */
const toolOf = (start: object, input: object, size: number): Block => {
  const json = JSON.stringify(input)
  const parts = Array.from({ length: Math.ceil(json.length / size) }, (_, i) => json.slice(i * size, (i + 1) * size))
  return {
    start: { ...start, input: {} },
    deltas: ["", ...parts].map((partial_json) => ({ type: "input_json_delta", partial_json })),
    whole: { ...start, input }
  }
}

const thinkingOf = (texts: ReadonlyArray<string>): Block => ({
  start: { type: "thinking", thinking: "", signature: "" },
  deltas: [
    ...texts.map((thinking) => ({ type: "thinking_delta", thinking })),
    { type: "signature_delta", signature: "c2lnbmF0dXJl" }
  ],
  whole: { type: "thinking", thinking: texts.join(""), signature: "c2lnbmF0dXJl" }
})

const atOnce = (whole: object): Block => ({ start: whole, deltas: [], whole })

const kinds: ReadonlyArray<(texts: ReadonlyArray<string>, size: number) => Block> = [
  (texts) => textOf(texts),
  (texts) => textOf(texts, [{ type: "char_location", cited_text: texts.join(), document_index: 0 }, { type: "new" }]),
  thinkingOf,
  () => atOnce({ type: "redacted_thinking", data: "cmVkYWN0ZWQ=" }),
  (texts, size) => toolOf({ type: "tool_use", id: "toolu_1", name: "look" }, { at: texts, deep: [1, null] }, size),
  (texts, size) => toolOf({ type: "server_tool_use", id: "srvtoolu_1", name: "web_search" }, { query: texts }, size),
  (texts) => atOnce({ type: "web_search_tool_result", tool_use_id: "srvtoolu_1", content: texts }),
  (texts) => atOnce({ type: "hologram", of: texts })
]

const counts = { input_tokens: 14, cache_creation_input_tokens: 3, cache_read_input_tokens: 5 }
const start: Data = {
  type: "message_start",
  message: {
    id: "msg_01Fake",
    type: "message",
    role: "assistant",
    model: "claude-sonnet-5-5",
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: {
      ...counts,
      output_tokens: 1,
      cache_creation: { ephemeral_5m_input_tokens: 3, ephemeral_1h_input_tokens: 0 },
      service_tier: "standard",
      inference_geo: "eu"
    }
  }
}

/** An answer in the format of the API: its blocks and its events. */
export interface Answer {
  readonly content: ReadonlyArray<object>
  readonly events: ReadonlyArray<Data>
}

const toAnswer = (blocks: ReadonlyArray<Block>): Answer => ({
  content: blocks.map(({ whole }) => whole),
  events: [
    start,
    ...blocks.flatMap(({ deltas, start }, index) => [
      { type: "content_block_start", index, content_block: start },
      ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
      { type: "content_block_stop", index }
    ]),
    {
      type: "message_delta",
      delta: { stop_reason: "end_turn", stop_sequence: null },
      usage: { ...counts, output_tokens: 9, server_tool_use: { web_search_requests: 1 } }
    },
    { type: "message_stop" }
  ]
})

const answer = Arbitrary.map(
  Arbitrary.all([
    Arbitrary.array(Arbitrary.all([oneOf(kinds), some(pieces, 5), int(1, 12)]), { maxLength: 3 }),
    int(0, 3)
  ]),
  ([made, at]) => {
    const blocks = made.map(([kind, texts, size]) => kind(texts, size))
    // Adds a text, because an answer without text is an error.
    return toAnswer(blocks.toSpliced(at, 0, textOf(["Paris", " — ", "it is."])))
  }
)

// -----------------------------------------------------------------------------
// Frames without content
// -----------------------------------------------------------------------------

export const frames: ReadonlyArray<string> = [
  // Pings
  "event: ping\ndata: {\"type\": \"ping\"}\n\n",
  "event: ping\ndata: {}\n\n",
  "event: ping\ndata: \n\n",
  "event: ping\ndata\n\n",
  "event: ping\n\n",
  "event: ping\ndata: keep-alive\n\n",
  "event: ping\ndata: {\ndata: \"type\": \"ping\"\ndata: }\n\n",
  "data: {\"type\":\"ping\"}\n\n",
  "data: {\"type\":\"ping\",\"cost\":\"0.00\"}\n\n",
  // Comments. The last two are rewritten as data: github.com/mnfst/llm-gateway/issues/2053
  ": keep-alive\n\n",
  ": keep-alive\n",
  ":\n",
  ": OPENROUTER PROCESSING\n\n",
  "data: : OPENROUTER PROCESSING\n\n",
  "event: message\ndata: : keep-alive\n\n",
  // Unknown events
  "event: heartbeat\ndata: 12:00:01\n\n",
  "event: heartbeat\ndata: {\"at\":1}\n\n",
  "event: tea_time\ndata: {\"type\":\"tea_time\",\"of\":\"day\"}\n\n",
  "data: {\"type\":\"tea_time\",\"error\":null}\n\n",
  "event: content_block_delta\ndata: \n\n",
  "event: content_block_delta\n\n",
  // Data without a known event
  "data:\n\n",
  "data\n\n",
  "data:\ndata:\n\n",
  "data: {}\n\n",
  "data: []\n\n",
  "data: [{}, 1]\n\n",
  "data: null\n\n",
  "data: 0\n\n",
  "data: true\n\n",
  "data: \"\"\n\n",
  // Other fields and blank lines
  "id: 7\n",
  "id: 7\n\n",
  "id\n",
  "retry: 3000\n",
  "retry: soon\n\n",
  "foo: bar\n",
  "foo\n\n",
  "\n",
  "\n\n\n"
]

// -----------------------------------------------------------------------------
// Cases
// -----------------------------------------------------------------------------

/** An answer, and all changes to its frames and to its body. */
export interface Case {
  readonly answer: Answer
  readonly manners: ReadonlyArray<Manner>
  readonly frames: ReadonlyArray<readonly [at: number, frame: string]>
  /** The line ends of the frames, in turn. */
  readonly ends: ReadonlyArray<string>
  readonly bom: boolean
  readonly encoding: Encoding
  /** Whether the response has the length of its body; otherwise the body is sent in chunks. */
  readonly sized: boolean
  /** Where the body is cut into chunks, in bytes. */
  readonly cuts: ReadonlyArray<number>
}

export const cases: Arbitrary.Arbitrary<Case> = Arbitrary.all({
  answer,
  manners: some(manners, 3),
  frames: Arbitrary.array(Arbitrary.all([int(0, 40), oneOf(frames)]), { maxLength: 12 }),
  ends: some(["\n", "\r\n", "\r"], 3),
  bom: Arbitrary.schema(Schema.Boolean),
  encoding: Arbitrary.flatMap(int(0, 2), (kind) => oneOf(kind === 0 ? encodings : encodings.slice(0, 1))),
  sized: Arbitrary.schema(Schema.Boolean),
  // Numbers inside the range, because its ends are generated more often: thousands of chunks take long.
  cuts: Arbitrary.flatMap(int(0, 199), (kind) =>
    kind === 100
      // Cuts after each byte of the body
      ? Arbitrary.Constant(Array.from({ length: 6000 }, (_, i) => i))
      : kind > 100 && kind < 115
      // Cuts after each byte of a part of the body
      ? Arbitrary.map(int(1, 2000), (from) => Array.from({ length: 99 }, (_, i) => from + i))
      : Arbitrary.array(int(1, 4000), { maxLength: 20 }))
})

/** An answer of all kinds of block, without any change. */
export const example: Case = {
  answer: toAnswer(kinds.map((kind) => kind(["Zürich — ", "東京\n"], 5))),
  manners: [],
  frames: [],
  ends: [],
  bom: false,
  encoding: encodings[0],
  sized: false,
  cuts: []
}

/** The response to a case. */
export interface Sent {
  readonly headers: Readonly<Record<string, string>>
  readonly chunks: ReadonlyArray<Uint8Array>
  readonly messageStop: "optional" | undefined
}

/** The frames of a case. A frame without content comes before the event with its number, or after the last event. */
export const framesOf = (one: Case): ReadonlyArray<string> => {
  const events = one.manners.reduce((events, { change }) => change?.(events) ?? events, one.answer.events)
  const written = events.map(one.manners.findLast(({ write }) => write !== undefined)?.write ?? write)
  const before = (at: number) =>
    one.frames.flatMap(([place, frame]) => place % (events.length + 1) === at ? [frame] : [])
  const lasts = one.manners.flatMap(({ last }) => last ?? [])
  return [...written.flatMap((event, at) => [...before(at), event]), ...before(events.length), ...lasts]
}

export const toSent = (one: Case): Sent => {
  const lines = framesOf(one).map((frame, i) => frame.replaceAll("\n", one.ends[i % one.ends.length] ?? "\n"))
  const [encoding, encode] = one.encoding
  const bytes = encode(new TextEncoder().encode((one.bom ? "\uFEFF" : "") + lines.join("")))
  const at = [0, ...new Set(one.cuts.filter((cut) => cut > 0 && cut < bytes.length).toSorted((a, b) => a - b))]
  const own = Object.assign({}, ...one.manners.map(({ headers }) => headers)) as Readonly<Record<string, string>>
  const named = Object.keys(own).some((name) => name.toLowerCase() === "content-type")
  return {
    headers: {
      ...named ? {} : { "content-type": "text/event-stream; charset=utf-8" },
      ...own,
      ...encoding === undefined ? {} : { "content-encoding": encoding },
      ...one.sized ? { "content-length": String(bytes.length) } : {}
    },
    chunks: at.map((from, i) => bytes.slice(from, at[i + 1])),
    messageStop: one.manners.some(({ messageStop }) => messageStop === "optional") ? "optional" : undefined
  }
}
