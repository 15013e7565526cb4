/** Changes by gateways and proxies that keep the content of an answer, each with the product or report that it models. */
import { Predicate } from "effect"
import * as Zlib from "node:zlib"

/** The data of an event. */
export type Data = Readonly<Record<string, unknown>> & { readonly type: string }

// -----------------------------------------------------------------------------
// Manners
// -----------------------------------------------------------------------------

type Change = (events: ReadonlyArray<Data>) => ReadonlyArray<Data>

/** A change that a gateway or a proxy makes to answers. */
export interface Manner {
  readonly name: string
  readonly change?: Change
  readonly write?: (event: Data) => string
  readonly headers?: Readonly<Record<string, string>>
  /** Sent after the last event. */
  readonly last?: string
  readonly messageStop?: "optional"
}

/** An event as the API writes it. */
export const write = (event: Data) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`

/** Rewrites the events of a type. */
const each =
  (type: string, change: (event: Data, all: ReadonlyArray<Data>) => ReadonlyArray<Data>): Change => (events) =>
    events.flatMap((event) => event.type === type ? change(event, events) : [event])

const omit = (value: object, isOmitted: (key: string, value: unknown) => boolean) =>
  Object.fromEntries(Object.entries(value).filter(([key, value]) => !isOmitted(key, value)))
const zeros = (value: object) =>
  Object.fromEntries(Object.entries(value).map(([key, value]) => [key, typeof value === "number" ? 0 : value]))

/** The usage of an event. */
const usageOf = ({ message, usage }: Data): object =>
  Predicate.isObject(message) && Predicate.hasProperty(message, "usage") ? Object(message.usage) : Object(usage)
const isCount = (usage: unknown, key: string) => Predicate.hasProperty(usage, key) && Number(usage[key]) > 0

/** The message_start with another usage. */
const startWith = ({ message, ...event }: Data, usage: object): Data => ({
  ...event,
  message: { ...Object(message), usage }
})

export const manners: ReadonlyArray<Manner> = [
  {
    name: "data without names: github.com/earendil-works/pi/issues/1983",
    write: (e) => `data: ${JSON.stringify(e)}\n\n`
  },
  {
    name: "names without types in the data",
    write: ({ type, ...data }) => `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`
  },
  {
    name: "every event named message, the default of SSE",
    write: (e) => `event: message\ndata: ${JSON.stringify(e)}\n\n`
  },
  {
    name: "no space after the colon: github.com/inngest/inngest-js/pull/1714",
    write: (event) => `event:${event.type}\ndata:${JSON.stringify(event)}\n\n`
  },
  {
    name: "data before the name, and an id, as of Spring's SseEmitter",
    write: (event) => `data:${JSON.stringify(event)}\nid:1\nevent:${event.type}\n\n`
  },
  {
    name: "JSON on several lines",
    write: (event) =>
      `event: ${event.type}\n${JSON.stringify(event, null, 1).split("\n").map((line) => `data: ${line}\n`).join("")}\n`
  },
  {
    name: "JSON with escapes and padding",
    write: (event) => write(event).replace(/[^\0-\x7f]/gu, escaped).replace("}\n", "}   \n")
  },
  { name: "padded with blank lines", write: (event) => `\n\n${write(event)}\n` },
  {
    name: "message_start twice, the same: github.com/BerriAI/litellm/issues/32478",
    change: each("message_start", (event) => [event, event])
  },
  {
    name: "message_start twice, the first with less: github.com/maximhq/bifrost/issues/4556",
    change: each("message_start", (event) => [
      startWith(event, omit(usageOf(event), (key) => /^service_tier$|^inference_geo$/.test(key))),
      event
    ])
  },
  {
    name: "message_start again before the end, with less",
    change: each("message_delta", (event, events) => [
      ...events.slice(0, 1).map((first) => startWith(first, { output_tokens: 0, service_tier: null })),
      event
    ])
  },
  {
    name: "zeros in the usage of message_start: github.com/BerriAI/litellm/issues/41406",
    change: each("message_start", (event, events) => {
      const comesLater = (key: string) =>
        events.some(({ type, usage }) => type === "message_delta" && isCount(usage, key))
      const usage = Object.entries(usageOf(event)).map(([key, value]) => [key, comesLater(key) ? 0 : value])
      return [startWith(event, Object.fromEntries(usage))]
    })
  },
  {
    name: "only what is new in the usage of message_delta: github.com/sgl-project/sglang/pull/33419",
    change: each("message_delta", (event, events) => {
      const known = new Map(events.slice(0, 1).flatMap((first) => Object.entries(usageOf(first))))
      return [{ ...event, usage: omit(usageOf(event), (key, value) => value === known.get(key)) }]
    })
  },
  {
    name: "zeros in a second message_delta: github.com/farion1231/cc-switch/pull/2485",
    change: each("message_delta", (event) => [event, { ...event, delta: {}, usage: zeros(usageOf(event)) }])
  },
  {
    name: "an empty second message_delta: github.com/use-agent-os/agent-os/issues/1724",
    change: each("message_delta", (event) => [event, { type: event.type, delta: {} }])
  },
  {
    name: "nulls in a first message_delta",
    change: each("message_delta", (event) => [
      { ...event, delta: { stop_reason: null, stop_sequence: null }, usage: null },
      event
    ])
  },
  {
    name: "a block starts without its empty fields: github.com/labring/aiproxy/pull/604",
    change: each("content_block_start", (event) => {
      const isEmpty = (key: string, value: unknown) =>
        /^(text|thinking|signature|citations)$/.test(key) && (value === "" || value === null)
      return [{ ...event, content_block: omit(Object(event["content_block"]), isEmpty) }]
    })
  },
  {
    name: "more fields in every event, as of OpenRouter",
    change: (events) => events.map((event) => ({ provider: "x", ...event, cost: { total: 0.1 }, error: null }))
  },
  { name: "[DONE] after message_stop, as of OpenAI's API", last: "data: [DONE]\n\n" },
  {
    name: "[DONE] in place of message_stop: github.com/huggingface/tau/issues/692",
    change: (events) => events.filter(({ type }) => type !== "message_stop"),
    last: "data: [DONE]\n\n",
    messageStop: "optional"
  },
  {
    name: "no message_stop",
    change: (events) => events.filter(({ type }) => type !== "message_stop"),
    messageStop: "optional"
  },
  { name: "an empty content type", headers: { "content-type": "" } },
  { name: "another content type", headers: { "content-type": "application/octet-stream" } },
  {
    name: "headers in other case",
    headers: { "Content-Type": "Text/Event-Stream;Charset=UTF-8", "X-Accel-Buffering": "no" }
  }
]

const escaped = (character: string) =>
  character.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("")

// -----------------------------------------------------------------------------
// Encodings
// -----------------------------------------------------------------------------

export type Encoding = readonly [name: string | undefined, encode: (bytes: Uint8Array) => Uint8Array]

/** Content encodings, under the names that servers use: github.com/Wei-Shaw/claude-relay-service/issues/1027 */
export const encodings: readonly [plain: Encoding, ...ReadonlyArray<Encoding>] = [
  [undefined, (bytes) => bytes],
  ["identity", (bytes) => bytes],
  ["gzip", (bytes) => Zlib.gzipSync(bytes)],
  ["X-Gzip", (bytes) => Zlib.gzipSync(bytes)],
  ["deflate", (bytes) => Zlib.deflateSync(bytes)],
  ["deflate", (bytes) => Zlib.deflateRawSync(bytes)],
  ["br", (bytes) => Zlib.brotliCompressSync(bytes, { params: { [Zlib.constants.BROTLI_PARAM_QUALITY]: 1 } })],
  ["zstd", (bytes) => Zlib.zstdCompressSync(bytes)],
  ["gzip, br", (bytes) => Zlib.brotliCompressSync(Zlib.gzipSync(bytes))]
]
