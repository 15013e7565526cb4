/**
 * The answer of the benchmarks: one text, as a message in JSON and as the ten events of a stream.
 *
 * Does not use `src/testing`, so that a change to the fakes does not change the figures.
 */

export const text = "A circuit breaker stops sending requests to a service that keeps failing. ".repeat(9)
const deltas = 4

const usage = { input_tokens: 14, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 }
const message = {
  id: "msg_01Bench",
  type: "message",
  role: "assistant",
  model: "claude-sonnet-5-5",
  content: [],
  container: null,
  diagnostics: null,
  stop_reason: null,
  stop_sequence: null,
  stop_details: null,
  usage: { ...usage, output_tokens: 1, service_tier: "standard" }
}

/** The answer as one message. */
export const json = JSON.stringify({
  ...message,
  content: [{ type: "text", text, citations: null }],
  stop_reason: "end_turn",
  usage: { ...message.usage, output_tokens: 160 }
})

const event = (type: string, data: object): string => `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`

const size = Math.ceil(text.length / deltas)

/** The shortest answer. */
export const shortest: ReadonlyArray<string> = [
  event("message_start", { message }),
  event("content_block_start", { index: 0, content_block: { type: "text", text: "", citations: null } }),
  event("content_block_delta", { index: 0, delta: { type: "text_delta", text: "Yes." } }),
  event("content_block_stop", { index: 0 }),
  event("message_delta", { delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: 2 } }),
  event("message_stop", {})
]

const streamed = (pieces: ReadonlyArray<string>): ReadonlyArray<string> => [
  event("message_start", { message }),
  event("content_block_start", { index: 0, content_block: { type: "text", text: "", citations: null } }),
  event("ping", {}),
  ...pieces.map((text) => event("content_block_delta", { index: 0, delta: { type: "text_delta", text } })),
  event("content_block_stop", { index: 0 }),
  event("message_delta", {
    delta: { stop_reason: "end_turn", stop_sequence: null, stop_details: null, container: null },
    usage: { ...usage, output_tokens: 160, output_tokens_details: null, server_tool_use: null }
  }),
  event("message_stop", {})
]

/** The answer as events. */
export const events = streamed(Array.from({ length: deltas }, (_, i) => text.slice(i * size, (i + 1) * size)))

/** The events of a long answer, with a few words in each of its `pieces`. */
export const longEvents = (pieces: number): ReadonlyArray<string> =>
  streamed(Array.from({ length: pieces }, (_, i) => `word ${i} of many `))

const bucket = (name: string, limit: number) => ({
  [`anthropic-ratelimit-${name}-limit`]: String(limit),
  [`anthropic-ratelimit-${name}-remaining`]: String(limit - 1),
  [`anthropic-ratelimit-${name}-reset`]: "2026-11-22T18:40:00Z"
})

/** The headers that the API sends, names and values in turn. The rate limits are too high to be reached, because guards obey them. */
export const headers: ReadonlyArray<string> = Object.entries({
  "request-id": "req_bench_0001",
  "anthropic-organization-id": "5a2f0c1e-7d34-4b8a-9f61-2c0de81b7a90",
  ...bucket("requests", 4e9),
  ...bucket("input-tokens", 2e12),
  ...bucket("output-tokens", 4e11),
  ...bucket("tokens", 2.4e12),
  server: "cloudflare",
  "cf-ray": "8f00bench0a1b2c3d-AMS",
  via: "1.1 google"
}).flat()
