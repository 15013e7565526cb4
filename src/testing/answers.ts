import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import { event, messageDelta, messageStart } from "./messageEvents.ts"
import { type End, named, type Turn } from "./turn.ts"

export { event }

export interface ToolCall {
  readonly name: string
  readonly input: unknown
}

/** The parts of an answer other than its text. */
export interface AnswerOptions {
  /** Default: `tool_use` with a `tool`, otherwise `end_turn`. Null leaves out the `message_delta` event. */
  readonly stopReason?: string | null | undefined
  /** Why Claude refused, for the stop reason `refusal`. */
  readonly category?: string | undefined
  /** The summary in a compaction block, which comes first; null for a compaction that failed. */
  readonly compaction?: string | null | undefined
  /** A thinking block before the text. */
  readonly thinking?: string | undefined
  /** A tool use after the text, or several. */
  readonly tool?: ToolCall | ReadonlyArray<ToolCall> | undefined
  /** A use of a server tool after the text. */
  readonly serverTool?: { readonly name: string; readonly input: unknown } | undefined
  /** The model in the answer. Default: the model of the request; for `events`, `claude-sonnet-5-5`. */
  readonly model?: string | undefined
  readonly inputTokens?: number | undefined
  readonly outputTokens?: number | undefined
  /** The wait before each event. Default: none. `events` ignores it. */
  readonly every?: Duration.Input | undefined
}

const words = (text: string): ReadonlyArray<string> => text.split(/(?<= )/)

const halves = (json: string): ReadonlyArray<string> => [json.slice(0, json.length / 2), json.slice(json.length / 2)]

/**
 * The stream events of an answer, in the order of the API. A `ping` follows the first `content_block_start`.
 */
export const events = (text: string, options: AnswerOptions = {}): ReadonlyArray<string> => {
  const { compaction, serverTool, thinking } = options
  const tools = options.tool === undefined ? [] : Arr.ensure(options.tool)
  const { inputTokens = 14, outputTokens = Math.max(1, Math.ceil(text.length / 4)) } = options
  const { stopReason = tools.length === 0 ? "end_turn" : "tool_use" } = options
  const blocks = [
    ...(compaction === undefined ? [] : [{
      start: { type: "compaction", content: null, encrypted_content: null },
      deltas: [{
        type: "compaction_delta",
        content: compaction,
        encrypted_content: compaction === null ? null : "ZmFrZQ=="
      }]
    }]),
    ...(thinking === undefined ? [] : [{
      start: { type: "thinking", thinking: "", signature: "" },
      deltas: [...words(thinking).map((piece) => ({ type: "thinking_delta", thinking: piece })), {
        type: "signature_delta",
        signature: "c2lnbmF0dXJl"
      }]
    }]),
    ...(text === "" ? [] : [{
      start: { type: "text", text: "", citations: null },
      deltas: words(text).map((piece) => ({ type: "text_delta", text: piece }))
    }]),
    ...(serverTool === undefined ? [] : [{
      start: {
        type: "server_tool_use",
        id: "srvtoolu_01Fake",
        name: serverTool.name,
        input: {},
        caller: { type: "direct" }
      },
      deltas: halves(JSON.stringify(serverTool.input)).map((piece) => ({
        type: "input_json_delta",
        partial_json: piece
      }))
    }]),
    ...tools.map(({ input, name }, i) => ({
      start: {
        type: "tool_use",
        id: `toolu_${String(i + 1).padStart(2, "0")}Fake`,
        name,
        input: {},
        caller: { type: "direct" }
      },
      deltas: halves(JSON.stringify(input)).map((piece) => ({ type: "input_json_delta", partial_json: piece }))
    }))
  ]
  const usage = { input_tokens: inputTokens, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 }
  return [
    messageStart("msg_01FakeB1", options.model ?? "claude-sonnet-5-5", usage),
    ...blocks.flatMap(({ deltas, start }, index) => [
      event("content_block_start", { index, content_block: start }),
      ...(index === 0 ? [event("ping", {})] : []),
      ...deltas.map((delta) => event("content_block_delta", { index, delta })),
      event("content_block_stop", { index })
    ]),
    ...(stopReason === null ? [] : [messageDelta(usage, outputTokens, stopReason, {
      sequence: stopReason === "stop_sequence" ? "END" : null,
      details: stopReason === "refusal"
        ? { type: "refusal", category: options.category ?? null, explanation: null }
        : null
    })]),
    event("message_stop", {})
  ]
}

/** Answers with a stream of the given events or bytes. */
export const stream = (bodies: ReadonlyArray<string | Uint8Array>, options: {
  readonly name?: string | undefined
  readonly every?: Duration.Input | undefined
  readonly end?: End | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Whether `message_start` names the model of the request instead of `claude-sonnet-5-5`. Default: false. */
  readonly anyModel?: boolean | undefined
} = {}): Turn => ({
  name: options.name ?? "a stream",
  after: 0,
  head: {
    status: 200,
    headers: { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", ...options.headers },
    api: true
  },
  body: bodies.map((bytes) => ({ after: Duration.toMillis(options.every ?? 0), bytes })),
  end: options.end ?? "end",
  anyModel: options.anyModel
})

/** Answers with text, word by word. */
export const answer = (text: string, options: AnswerOptions = {}): Turn =>
  stream(events(text, options), { name: "an answer", every: options.every, anyModel: options.model === undefined })

/** Answers with a value as JSON. */
export const value = (value: unknown, options?: AnswerOptions): Turn => answer(JSON.stringify(value), options)

/** Writes `text`, then ends with the stop reason `refusal`, which becomes `Refused`. */
export const refusal = (text = "", category?: string): Turn =>
  named("a refusal", answer(text, { stopReason: "refusal", category }))

/** Writes `text`, then stops at `max_tokens`, which becomes `Truncated`. */
export const maxTokens = (text: string): Turn => named("max_tokens", answer(text, { stopReason: "max_tokens" }))

/** Ends with `end_turn`, without content, which becomes `EmptyAnswer`. */
export const emptyAnswer: Turn = named("an empty answer", answer(""))

/** Writes `text`, begins a web search, then ends with the stop reason `pause_turn`. */
export const paused = (text: string): Turn =>
  named(
    "a pause",
    answer(text, { stopReason: "pause_turn", serverTool: { name: "web_search", input: { query: "news" } } })
  )
