/** Faults of servers and networks, over real sockets, on both wires. */
import { Anthropic as Sdk, type ClientOptions } from "@anthropic-ai/sdk"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Layer, Predicate, Redacted, Stream } from "effect"
import { createPrivateKey } from "node:crypto"
import * as Https from "node:https"
import * as Net from "node:net"
import { vi } from "vitest"
import { Anthropic, CallLog, Claude, ClaudeError, type Current, Timeout } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { isPermanent } from "../../src/permanence.ts"
import { FakeServer, Faults } from "../../src/testing/index.ts"

// The global `fetch` is read before undici can replace Node's dispatcher.
vi.hoisted(() => void fetch("data:,"))

type LayerWith = (options: Omit<Anthropic.Options, "fetch">) => Layer.Layer<Claude.Claude>

const wires: ReadonlyArray<readonly [name: string, layerWith: LayerWith]> = [
  ["Anthropic", Anthropic.layer],
  ["NodeAnthropic", NodeAnthropic.layer]
]

/** A server that plays a script, and a client of it. */
const playing = (
  layerWith: LayerWith,
  playable: Faults.Playable,
  options: (url: string) => Parameters<LayerWith>[0] = (baseUrl) => ({ apiKey: "sk-ant-test", baseUrl })
) =>
  Layer.unwrap(Effect.map(FakeServer.FakeServer, ({ url }) => layerWith(options(url)))).pipe(
    Layer.provideMerge(FakeServer.layer(playable)),
    Layer.provide(CallLog.layerNoop)
  )

const received = Effect.flatMap(FakeServer.FakeServer, (server) => server.received)

/** Waits for the first request of the server: until it has arrived, or until its connection is closed. */
const first = (over: boolean, within: number): Effect.Effect<FakeServer.Received, never, FakeServer.FakeServer> =>
  Effect.flatMap(received, ([request]) => {
    if (request !== undefined && (!over || request.closedAt !== undefined)) return Effect.succeed(request)
    assert.isAbove(within, 0, over ? "the connection was not closed in time" : "there was no request in time")
    return Effect.andThen(Effect.sleep("5 millis"), first(over, within - 5))
  })

/** The result of an effect, and its duration in milliseconds. */
const timed = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const start = performance.now()
    return Effect.map(self, (value) => ({ value, took: performance.now() - start }))
  })

// -----------------------------------------------------------------------------
// Turns
// -----------------------------------------------------------------------------

const { event, events, fails, respond, stream } = Faults

/** Raw bytes, for responses that Node's server cannot send. */
const raw = (bytes: string, end: Faults.End = "cut"): Faults.Turn => ({
  name: "raw",
  after: 0,
  head: { raw: bytes },
  body: [],
  end
})

const sse = "HTTP/1.1 200 OK\r\nrequest-id: req_raw\r\ncontent-type: text/event-stream\r\n"
const chunked = `${sse}transfer-encoding: chunked\r\n\r\n`
const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`

/** message_start, content_block_start, ping, one delta, content_block_stop, message_delta, message_stop. */
const paris = events("Paris")
const [start = "", blockStart = "", ping = "", delta = "", blockStop = "", messageDelta = "", messageStop = ""] = paris
const begun = [start, blockStart, ping, delta]
const last = [blockStop, messageDelta, messageStop]
const otherStart = start.replace(/"id":"[^"]*"/, `"id":"msg_other"`)

const textDelta = (text: string, index: unknown = 0) =>
  event("content_block_delta", { index, delta: { type: "text_delta", text } })
const errorEvent = (type: string, details: object | null = null) =>
  event("error", { error: { details, type, message: "Overloaded" } })

const tool = (json: ReadonlyArray<string>, stopReason = "tool_use") => [
  start,
  event("content_block_start", {
    index: 0,
    content_block: { type: "tool_use", id: "toolu_01Fake", name: "get_weather", input: {}, caller: { type: "direct" } }
  }),
  ...json.map((partial_json) =>
    event("content_block_delta", { index: 0, delta: { type: "input_json_delta", partial_json } })
  ),
  blockStop,
  event("message_delta", { delta: { stop_reason: stopReason, stop_sequence: null }, usage: { output_tokens: 9 } }),
  messageStop
]

const message = (more: object) =>
  JSON.stringify({
    id: "msg_01FakeA1",
    type: "message",
    role: "assistant",
    model: "claude-opus-5-5",
    content: [{ type: "text", text: "Paris.", citations: null }],
    stop_reason: "end_turn",
    stop_sequence: null,
    usage: { input_tokens: 14, output_tokens: 5 },
    ...more
  })

const ok = (headers: Readonly<Record<string, string>>, body: string, api = false) =>
  respond(200, body, { headers, api })

const endless: Faults.Turn = {
  ...respond(529, "{"),
  end: { forever: { after: 0, bytes: "x".repeat(16_384) } }
}

const html = { "content-type": "text/html" }
const page = "<html><head><title>Welcome to the hotel</title></head></html>"

// -----------------------------------------------------------------------------
// Expected results
// -----------------------------------------------------------------------------

interface Expected {
  readonly tag: ClaudeError.Tag
  readonly status?: number
  readonly requestId?: string
  readonly errorCode?: string
  /** In milliseconds. */
  readonly retryAfter?: number
  readonly regainsAt?: string
  readonly ramp?: boolean
  /** The code of the operating system, which differs between platforms. */
  readonly code?: RegExp
  /** The text that had arrived. */
  readonly text?: string
  readonly cause?: ClaudeError.Tag
  readonly scope?: ClaudeError.TimedOut["scope"]
  readonly reason?: string
  readonly category?: string
}

type Case = readonly [name: string, turn: Faults.Turn, expected: Expected, limits?: Current.Limits]

const requestId = "req_fake_0001"
const odd = (more: Partial<Expected> = {}): Expected => ({ tag: "UnexpectedResponse", requestId, ...more })
const partial = (text: string, more: Partial<Expected> = {}): Expected => ({
  tag: "PartialAnswer",
  text,
  requestId,
  ...more
})
/** An error of the API, with its status and other fields. */
const api = (tag: ClaudeError.Tag, ...more: ReadonlyArray<number | Partial<Expected>>): Expected =>
  Object.assign({ tag, requestId }, ...more.map((one) => typeof one === "number" ? { status: one } : one))

const failures: ReadonlyArray<Case> = [
  // A: a JSON body instead of a stream.
  ["A: a message as JSON", respond(200, message({})), odd({ status: 200 })],
  ["A: a message as JSON that stopped at max_tokens", respond(200, message({ stop_reason: "max_tokens" })), odd()],
  ["A: an error as JSON with status 200", respond(200, Faults.errorBody("api_error", "no")), api("ServerFault", 200)],
  ["A: JSON without a content type", {
    ...stream([message({})]),
    head: { status: 200, headers: {}, api: true }
  }, odd()],

  // B: complete messages that are not a usable answer.
  [
    "B: max_tokens",
    Faults.maxTokens("The capital is"),
    api("Truncated", { reason: "max_tokens", text: "The capital is" })
  ],
  [
    "B: pause_turn",
    stream(events("Searching", { stopReason: "pause_turn" })),
    api("Truncated", { reason: "pause_turn", text: "Searching" })
  ],
  [
    "B: model_context_window_exceeded",
    stream(events("So", { stopReason: "model_context_window_exceeded" })),
    api("ContextWindowExceeded", { text: "So" })
  ],
  ["B: a refusal", Faults.refusal("I will", "cyber"), api("Refused", { category: "cyber", text: "I will" })],
  ["B: a refusal without text", Faults.refusal(), api("Refused", { text: "" })],
  ["B: an empty answer", Faults.emptyAnswer, api("EmptyAnswer")],

  // C: error events in the stream.
  ["C: an error first", stream([errorEvent("overloaded_error")]), api("Overloaded")],
  ["C: an error after the start", stream([start, errorEvent("overloaded_error")]), api("Overloaded")],
  ["C: api_error", stream([start, errorEvent("api_error")]), api("ServerFault")],
  ["C: timeout_error", stream([start, errorEvent("timeout_error")]), api("ServerFault")],
  ["C: rate_limit_error", stream([start, errorEvent("rate_limit_error")]), api("RateLimited")],
  [
    "C: an error with a code",
    stream([errorEvent("rate_limit_error", { error_code: "ramp_limit_exceeded" })]),
    api("RateLimited", { errorCode: "ramp_limit_exceeded", ramp: true })
  ],
  ["C: an error of an unknown type", stream([start, errorEvent("brand_new_error")]), api("ServerFault")],
  ["C: an error after content", Faults.errorAfter("half an"), partial("half an", { cause: "Overloaded" })],
  [
    "C: an error with a code after content",
    stream([...begun, errorEvent("api_error", { error_code: "cmek_key_unreachable" })]),
    partial("Paris", { cause: "ServerFault", errorCode: "cmek_key_unreachable" })
  ],
  [
    "C: an error after all of the content",
    stream([...begun, blockStop, messageDelta, errorEvent("overloaded_error")]),
    partial("Paris", { cause: "Overloaded" })
  ],
  [
    "C: an error under another name",
    stream([
      start,
      "event: oops\ndata: {\"type\":\"error\"," +
      "\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"
    ]),
    api("Overloaded")
  ],
  ["C: an error without JSON", stream([start, "event: error\ndata: upstream failed\n\n"]), odd()],
  ["C: an error without a type", stream([event("error", {})]), odd()],
  ["C: an error that is a string", stream([event("error", { error: "boom" })]), odd()],

  // D to K: responses with an error status.
  ["D: 429", Faults.rateLimited("17 seconds"), api("RateLimited", 429, { retryAfter: 17_000, ramp: false })],
  ["D: 429 without retry-after", Faults.rateLimited(), api("RateLimited", 429)],
  [
    "E: 429, traffic that grew too fast",
    Faults.rateLimited("2500 millis", { ramp: true }),
    api("RateLimited", 429, { errorCode: "ramp_limit_exceeded", retryAfter: 2500, ramp: true })
  ],
  [
    "F: 429, the monthly spend limit",
    Faults.spendLimited,
    api("SpendLimitReached", 429, { errorCode: "enforced_spend_limit_reached", regainsAt: "2026-12-01T00:00:00Z" })
  ],
  [
    "G: 400, a spend limit that the customer has set",
    Faults.ownSpendLimit,
    api("SpendLimitReached", 400, { regainsAt: "2026-12-01T00:00:00Z" })
  ],
  ["H: 529", Faults.overloaded, api("Overloaded", 529)],
  [
    "H: 529 with retry-after",
    fails(529, "overloaded_error", "Overloaded", { headers: { "retry-after-ms": "1500", "retry-after": "9" } }),
    api("Overloaded", 529, { retryAfter: 1500 })
  ],
  ["I: 500", Faults.serverError, api("ServerFault", 500)],
  ["I: 504", Faults.gatewayTimeout, api("ServerFault", 504)],
  [
    "I: 503 with a code",
    fails(503, "api_error", "no key", { details: { error_code: "cmek_key_unreachable" } }),
    api("ServerFault", 503, { errorCode: "cmek_key_unreachable" })
  ],
  ["J: 401", Faults.unauthorized, api("AuthenticationFailed", 401)],
  ["J: 402", Faults.billing, api("SpendLimitReached", 402, { errorCode: "linked_organization_spend_limit_reached" })],
  ["J: 403", Faults.forbidden, api("PermissionDenied", 403)],
  ["J: 404", Faults.notFound, api("ResourceNotFound", 404)],
  [
    "K: 400, an image that is too large",
    fails(400, "invalid_request_error", "too large", {
      details: { error_code: "image_dimensions_too_large", max_side_length_pixels: 2000, paths: ["messages.0"] }
    }),
    api("InvalidRequest", 400, { errorCode: "image_dimensions_too_large" })
  ],
  [
    "K: 400, an organization on hold",
    fails(400, "invalid_request_error", "on hold", {
      details: { error_code: "organization_on_hold", appeal_url: "https://example.test/appeal" }
    }),
    api("PermissionDenied", 400, { errorCode: "organization_on_hold" })
  ],
  [
    "K: 400, a grammar that timed out",
    fails(400, "invalid_request_error", "Grammar compilation timed out."),
    api("ServerFault", 400)
  ],
  ["K: 400, a prompt that is too long", Faults.promptTooLong, api("ContextWindowExceeded", 400)],
  ["a 400 with x-should-retry: true", {
    ...fails(400, "invalid_request_error", "no", { headers: { "x-should-retry": "true" } })
  }, api("InvalidRequest", 400)],

  // L: proxies.
  ["L: a 502 page", Faults.html(502), { tag: "ServerFault", status: 502 }],
  ["L: a 503 page", Faults.html(503), { tag: "ServerFault", status: 503 }],
  ["L: a 524 page", Faults.html(524), { tag: "ServerFault", status: 524 }],
  ["L: a 413 page", Faults.tooLarge, { tag: "RequestTooLarge", status: 413 }],
  ["L: a 403 page", respond(403, page, { headers: html, api: false }), { tag: "PermissionDenied", status: 403 }],
  ["L: a 503 from Envoy", {
    ...respond(503, "upstream connect error or disconnect/reset before headers", {
      headers: { "content-type": "text/plain" },
      api: false
    })
  }, { tag: "ServerFault", status: 503 }],
  ["L: a 200 page", ok(html, page), { tag: "UnexpectedResponse", status: 200 }],
  ["L: a 302 to a login page", respond(302, "", { headers: { location: "/v1/messages" }, api: false }), {
    tag: "UnexpectedResponse",
    status: 302
  }],
  ["L: a 307", respond(307, "", { headers: { location: "/v1/messages" } }), odd({ status: 307 })],
  ["L: a 304", respond(304, ""), odd({ status: 304 })],

  // Bodies of errors.
  ["a 500 without a body", respond(500, "", { headers: { "content-length": "0" } }), api("ServerFault", 500)],
  ["a 500 with half a body", respond(500, "{\"type\":\"error\",\"error\":{\"type\":\"api_er"), api("ServerFault", 500)],
  ["a 500 whose body is cut", respond(500, "{\"type\":\"error\"", { end: "cut" }), api("ServerFault", 500)],
  ["a 500 with a string", respond(500, "\"upstream connect error\""), api("ServerFault", 500)],
  ["a 500 with null", respond(500, "null"), api("ServerFault", 500)],
  ["a 500 with an array", respond(500, "[1]"), api("ServerFault", 500)],
  [
    "a 400 with a body of another format",
    respond(400, "{\"error\":\"bad thing\",\"message\":\"top\"}"),
    api("InvalidRequest", 400)
  ],
  [
    "a 429 whose body never comes",
    respond(429, "", { end: "silence", headers: { "retry-after": "3" } }),
    api("RateLimited", 429, { retryAfter: 3000 })
  ],
  ["a 529 whose body never ends", endless, api("Overloaded", 529)],
  ["a 529 whose body drips for ever", {
    ...respond(529, "{"),
    end: { forever: { after: 20, bytes: " " } }
  }, api("Overloaded", 529)],

  // M: the transport.
  ["M: a reset before the headers", Faults.reset, { tag: "Unreachable", code: /^(ECONNRESET|UND_ERR_SOCKET)$/ }],
  ["M: closed before the headers", Faults.hangUp, { tag: "Unreachable", code: /^(ECONNRESET|UND_ERR_SOCKET)$/ }],
  ["M: a reset after one byte", raw("H", "reset"), { tag: "Unreachable", code: /^(ECONNRESET|UND_ERR_SOCKET|HPE_)/ }],
  ["M: closed in the headers", raw("HTTP/1.1 200 OK\r\ncontent-ty"), {
    tag: "Unreachable",
    code: /^(ECONNRESET|UND_ERR_SOCKET|HPE_)/
  }],
  ["M: garbage", Faults.garbage, { tag: "Unreachable" }],
  ["M: headers that are too large", raw(`HTTP/1.1 200 OK\r\nx-large: ${"x".repeat(20_000)}\r\n\r\n`), {
    tag: "Unreachable",
    code: /^UND_ERR_HEADERS_OVERFLOW$/
  }],
  ["M: another protocol", raw("HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"), {
    tag: "Unreachable",
    code: /^UND_ERR_SOCKET$/
  }],
  ["M: no response", Faults.silence, { tag: "TimedOut", scope: "connect" }, { connect: "150 millis" }],
  ["M: a reset after the headers", stream([], { end: "reset" }), {
    tag: "Unreachable",
    requestId,
    code: /^(ECONNRESET|UND_ERR_SOCKET)$/
  }],
  ["M: a reset before content", stream([start], { end: "reset" }), api("Unreachable")],
  ["M: a reset after some content", Faults.breaks("half an", "reset"), partial("half an", { cause: "Unreachable" })],
  ["M: closed after some content", Faults.breaks("half an", "cut"), partial("half an", { cause: "Unreachable" })],
  [
    "M: less than content-length",
    raw(`${sse}content-length: 99999\r\n\r\n${begun.join("")}`),
    partial("Paris", { cause: "Unreachable", requestId: "req_raw" })
  ],
  ["M: a bad chunk size", raw(`${chunked}${chunk(start)}zz\r\n`), { tag: "Unreachable", requestId: "req_raw" }],
  [
    "M: a bad chunk size after some content",
    raw(`${chunked}${begun.map(chunk).join("")}zz\r\n`),
    partial("Paris", { cause: "Unreachable", requestId: "req_raw" })
  ],
  [
    "M: a body that is not gzip, as its header says",
    stream([new Uint8Array([0x1f, 0x8b, 0xff, 0xff, 0xff, 0xff])], { headers: { "content-encoding": "gzip" } }),
    odd()
  ],
  ["M: headers and then silence", stream([], { end: "silence" }), api("TimedOut", { scope: "idle" }), {
    idle: "150 millis"
  }],
  [
    "M: silence after some content",
    Faults.breaks("half an", "silence"),
    api("TimedOut", { scope: "idle", text: "half an" }),
    { idle: "150 millis" }
  ],
  [
    "M: single bytes, too slowly",
    Faults.drip(Faults.answer("Paris"), 1, "20 millis"),
    api("TimedOut", { scope: "firstToken" }),
    { firstToken: "250 millis" }
  ],
  ["M: endless pings", Faults.pings("", "20 millis"), api("TimedOut", { scope: "firstToken" }), {
    firstToken: "250 millis"
  }],
  [
    "M: endless pings after some content",
    Faults.pings("half an", "20 millis"),
    api("TimedOut", { scope: "contentIdle", text: "half an" }),
    { contentIdle: "250 millis" }
  ],
  [
    "M: an answer without end",
    {
      ...stream(begun),
      end: { forever: { after: 10, bytes: textDelta("!") } }
    },
    api("TimedOut", { scope: "attempt" }),
    { attempt: "250 millis" }
  ],

  // N: the shape of the stream.
  ["N: an empty body", stream([]), odd()],
  ["N: a 204", respond(204, ""), odd()],
  ["N: only pings", stream([ping, ping]), odd()],
  ["N: no message_stop", stream(paris.slice(0, -1)), partial("Paris", { cause: "UnexpectedResponse" })],
  ["N: no content_block_stop", stream([...begun, messageDelta, messageStop]), partial("Paris")],
  ["N: no message_delta", stream([...begun, blockStop, messageStop]), partial("Paris")],
  ["N: no message_start", stream(paris.slice(1)), odd()],
  ["N: half a line", stream([...begun, textDelta(" is").slice(0, -10)]), partial("Paris")],
  ["N: half a line of message_stop", stream([...paris.slice(0, -1), "event: message_stop\ndata: {\"type\":\"mess"]), {
    ...partial("Paris")
  }],
  ["N: malformed JSON first", stream(["event: message_start\ndata: {nope}\n\n"]), odd()],
  ["N: malformed JSON after some content", stream([...begun, "data: {nope}\n\n", ...last]), {
    ...partial("Paris", { cause: "UnexpectedResponse" })
  }],
  ["N: JSON that is not an object", stream([start, "data: 7\n\n"]), odd()],
  ["N: [DONE], as in OpenAI's API", stream([...paris.slice(0, -1), "data: [DONE]\n\n"]), partial("Paris")],
  ["N: a second message_start", stream([start, otherStart, ...paris.slice(1)]), odd()],
  ["N: a second message_start after some content", stream([...begun, otherStart, ...last]), partial("Paris")],
  ["N: a delta before its block", stream([start, delta, blockStart, delta, ...last]), odd()],
  ["N: a delta after its block", stream([...begun, blockStop, delta, messageDelta, messageStop]), partial("Paris")],
  [
    "N: a gap in the indices",
    stream([
      ...begun,
      blockStop,
      event("content_block_start", { index: 2, content_block: { type: "text", text: "" } })
    ]),
    partial("Paris")
  ],
  ["N: a delta for another block", stream([...begun, textDelta(" is", 1), ...last]), partial("Paris")],
  ["N: an index that is not a number", stream([...begun, textDelta(" is", "length"), ...last]), partial("Paris")],
  ["N: an index that is an object", stream([...begun, textDelta(" is", { toString: 1 }), ...last]), partial("Paris")],
  [
    "N: a text that is not a string",
    stream([
      ...begun,
      event("content_block_delta", { index: 0, delta: { type: "text_delta", text: 7 } }),
      ...last
    ]),
    partial("Paris")
  ],
  [
    "N: bytes that are not UTF-8",
    stream([begun.join(""), new Uint8Array([0xff, 0xfe, 0x0a])], { every: "20 millis" }),
    {
      ...partial("Paris", { cause: "UnexpectedResponse" })
    }
  ],
  [
    "N: a block that is not an object",
    stream([start, event("content_block_start", { index: 0, content_block: 7 })]),
    odd()
  ],
  ["N: text in a tool", stream([...tool(["{}"]).slice(0, 2), delta, ...last]), partial("")],
  [
    "N: tool input in text",
    stream([
      ...begun,
      event("content_block_delta", { index: 0, delta: { type: "input_json_delta", partial_json: "{}" } }),
      ...last
    ]),
    partial("Paris")
  ],
  ["N: tool input that is not JSON", stream(tool(["{\"a\": nope "])), api("MalformedOutput")],
  ["N: tool input that is cut", stream(tool(["{\"city\": \"Os"])), api("MalformedOutput")],
  [
    "N: tool input that is cut at max_tokens",
    stream(tool(["{\"city\": \"Os"], "max_tokens")),
    api("Truncated", { reason: "max_tokens" })
  ],
  [
    "N: stop reason tool_use without a tool call",
    stream(events("Let me see.", { stopReason: "tool_use" })),
    api("EmptyAnswer")
  ]
]

type Answer = readonly [name: string, turn: Faults.Turn, text: string]

const changed = (change: (event: string) => string) => stream(paris.map(change))

const answers: ReadonlyArray<Answer> = [
  ["B: an answer", Faults.answer("Paris is the capital."), "Paris is the capital."],
  ["B: an answer after thinking", Faults.answer("Paris", { thinking: "it is so" }), "Paris"],
  ["B: a stop sequence", Faults.answer("Paris", { stopReason: "stop_sequence" }), "Paris"],
  ["B: an unknown stop reason", Faults.answer("Paris", { stopReason: "brand_new" }), "Paris"],
  ["B: a tool", stream(tool(["{\"city\":", "\"Oslo\"}"])), ""],
  ["B: characters cut anywhere", Faults.drip(Faults.answer("Zürich, 東京 🚀"), 1), "Zürich, 東京 🚀"],
  ["B: an answer in one chunk", stream([paris.join("")]), "Paris"],
  ["M: an answer whose connection stays open", Faults.lingers("Paris"), "Paris"],
  ["M: a reset after message_stop", stream(paris, { end: "reset" }), "Paris"],
  [
    "M: early hints",
    raw(`HTTP/1.1 103 Early Hints\r\n\r\n${chunked}${chunk(paris.join(""))}0\r\n\r\n`, "silence"),
    "Paris"
  ],
  ["M: an answer that ends with the connection", raw(`${sse}connection: close\r\n\r\n${paris.join("")}`), "Paris"],
  ["N: CRLF", changed((text) => text.replaceAll("\n", "\r\n")), "Paris"],
  ["N: CR", changed((text) => text.replaceAll("\n", "\r")), "Paris"],
  ["N: CRLF cut anywhere", Faults.drip(changed((text) => text.replaceAll("\n", "\r\n")), 1), "Paris"],
  ["N: comments", changed((text) => `: keep-alive\n\n${text}`), "Paris"],
  ["N: no event lines", changed((text) => text.replace(/^event:.*\n/, "")), "Paris"],
  ["N: other fields", changed((text) => `id: 7\nretry: 10\nfoo: bar\nbaz\n${text}`), "Paris"],
  ["N: data in two lines", changed((text) => text.replace("data: {", "data: {\ndata: ")), "Paris"],
  ["N: a byte order mark", stream([`\uFEFF${start}`, ...paris.slice(1)]), "Paris"],
  ["N: no blank line at the end", stream([...paris.slice(0, -1), messageStop.trimEnd()]), "Paris"],
  ["N: an unknown event", stream([start, event("brand_new", { a: 1 }), ...paris.slice(1)]), "Paris"],
  [
    "N: an unknown delta",
    stream([
      ...begun,
      event("content_block_delta", { index: 0, delta: { type: "brand_new_delta", news: "!" } }),
      ...last
    ]),
    "Paris"
  ],
  [
    "N: an unknown block",
    stream([
      start,
      event("content_block_start", { index: 0, content_block: { type: "brand_new_block" } }),
      event("content_block_stop", { index: 0 }),
      ...paris.slice(1).map((text) => text.replace("\"index\":0", "\"index\":1"))
    ]),
    "Paris"
  ],
  ["N: pings between all events", changed((text) => `${ping}${text}${ping}`), "Paris"],
  ["N: a second message_stop", stream([...paris, messageStop]), "Paris"],
  [
    "N: content after message_stop",
    stream([[...paris, blockStart.replace("\"index\":0", "\"index\":1"), textDelta(" is", 1)].join("")]),
    "Paris"
  ],
  ["N: an error after message_stop", stream([...paris, errorEvent("overloaded_error")]), "Paris"],
  [
    "N: an error after message_stop, later",
    stream([paris.join(""), errorEvent("overloaded_error")], { every: "20 millis" }),
    "Paris"
  ],
  ["N: malformed JSON after message_stop", stream([[...paris, "data: {nope}\n\n"].join("")]), "Paris"],
  ["N: no content type", { ...stream(paris), head: { status: 200, headers: {}, api: true } }, "Paris"],
  ["N: a content type in upper case", stream(paris, { headers: { "content-type": "TEXT/EVENT-STREAM" } }), "Paris"]
]

const check = (error: ClaudeError.ClaudeError, { cause, code, retryAfter, tag, text, ...plain }: Expected) => {
  assert.isTrue(ClaudeError.is(error))
  assert.strictEqual(error._tag, tag, error.message)
  for (const [key, value] of Object.entries({ requestId: undefined, ...plain })) {
    assert.strictEqual(Predicate.hasProperty(error, key) ? error[key] : undefined, value, key)
  }
  const wait = ClaudeError.retryAfter(error)
  assert.strictEqual(wait === undefined ? undefined : Duration.toMillis(wait), retryAfter)
  if (code !== undefined) assert.match(String("code" in error ? error.code : undefined), code)
  if (text !== undefined) {
    assert.strictEqual("text" in error && error.text !== undefined ? Redacted.value(error.text) : undefined, text)
  }
  if (cause !== undefined) assert.strictEqual(ClaudeError.is(error.cause) ? error.cause._tag : undefined, cause)
}

/** In milliseconds: long enough for the slowest case, which waits for the rest of an error body. */
const bound = 3000

const once = Effect.map(received, (requests) => {
  assert.strictEqual(requests.length, 1)
  const [request] = requests
  assert.deepInclude(request?.headers, {
    authorization: "Bearer sk-ant-test",
    "anthropic-version": "2026-10-21",
    "content-type": "application/json",
    "x-stainless-retry-count": "0"
  })
  assert.deepInclude(request, { method: "POST", path: "/v1/messages", refused: false })
  assert.deepInclude(request?.params, { stream: true, model: "claude-sonnet-5-5" })
})

// -----------------------------------------------------------------------------
// Tests
// -----------------------------------------------------------------------------

const unhandled: Array<unknown> = []
const note = (reason: unknown) => void unhandled.push(reason)

let connecting: Promise<void> | undefined

beforeAll(() => {
  connecting = Effect.runPromise(abandoned)
  connecting.catch(() => {})
  process.on("unhandledRejection", note)
})

afterAll(async () => {
  await new Promise((resolve) => setTimeout(resolve, 50))
  process.off("unhandledRejection", note)
  assert.deepStrictEqual(unhandled, [])
})

describe.each(wires)("%s", (_, layerWith) => {
  describe("a failure is reported as the right error", () => {
    it.live.each(failures)("G16: %s", ([, turn, expected, limits]) =>
      Effect.gen(function*() {
        const { took, value } = yield* Claude.text("hi").pipe(Timeout.limits(limits ?? {}), Effect.flip, timed)
        assert.isBelow(took, bound)
        check(value, expected)
        yield* once
      }).pipe(Effect.provide(playing(layerWith, [turn]))))
  })

  it.live("an error body without end is cut off", () =>
    Effect.gen(function*() {
      const { took } = yield* timed(Effect.flip(Claude.text("hi")))
      assert.isBelow(took, 900)
      yield* first(true, 500)
    }).pipe(Effect.provide(playing(layerWith, [endless]))))

  describe("an answer is read to its end", () => {
    it.live.each(answers)("%s", ([, turn, text]) =>
      Effect.gen(function*() {
        const { took, value } = yield* timed(Claude.message("hi"))
        assert.isBelow(took, bound)
        assert.strictEqual(value.text, text)
        yield* once
      }).pipe(Effect.provide(playing(layerWith, [turn]))))

    it.live("with a complete tool call", () =>
      Effect.gen(function*() {
        const { message: { content }, stopReason } = yield* Claude.message("hi")
        assert.strictEqual(stopReason, "tool_use")
        assert.deepInclude(content[0], { type: "tool_use", name: "get_weather", input: { city: "Oslo" } })
      }).pipe(Effect.provide(playing(layerWith, [stream(tool(["{\"city\":", "\"Oslo\"}"]))]))))

    it.live("without waiting for the end of the connection, which is soon closed", () =>
      Effect.gen(function*() {
        const { took } = yield* timed(Claude.text("hi"))
        assert.isBelow(took, 500)
        const { complete } = yield* first(true, 5000)
        assert.isFalse(complete)
      }).pipe(Effect.provide(playing(layerWith, [Faults.lingers("Paris")]))))

    it.live("without losing events after interrupted reads", () =>
      Effect.gen(function*() {
        const claude = yield* Claude.Claude
        const params = {
          model: "claude-sonnet-5-5",
          max_tokens: 99,
          messages: [{ role: "user" as const, content: "hi" }]
        }
        const { isComplete, pull, reply } = yield* claude.open({ params, limits: {} })
        // The first read is interrupted before new bytes arrive.
        const impatient = Effect.andThen(Effect.timeoutOption(pull, "5 millis"), Effect.sleep("25 millis"))
        yield* Effect.ignore(Effect.forever(impatient))
        assert.strictEqual(reply().text, "one two three four")
        assert.isTrue(isComplete())
      }).pipe(
        Effect.scoped,
        Effect.provide(playing(layerWith, [Faults.answer("one two three four", { every: "20 millis" })]))
      ))

    it.live("also if it is the response of countTokens", () =>
      Effect.gen(function*() {
        assert.isAbove(yield* Claude.countTokens("hi"), 0)
        const [request] = yield* received
        assert.deepInclude(request, { path: "/v1/messages/count_tokens", method: "POST" })
        assert.deepInclude(request?.headers, { "x-stainless-retry-count": "0", authorization: "Bearer sk-ant-test" })
      }).pipe(Effect.provide(playing(layerWith, []))))
  })

  describe("connections", () => {
    it.live("are reused after complete answers", () =>
      Effect.gen(function*() {
        for (let i = 0; i < 20; i++) assert.strictEqual(yield* Claude.text("hi"), "Paris")
        const connections = (yield* received).map(({ connection }) => connection)
        assert.strictEqual(connections.length, 20)
        assert.isAtMost(Math.max(...connections), 3)
        // The body ends shortly after the answer.
      }).pipe(Effect.provide(playing(layerWith, Faults.cycle(stream([paris.join(""), ""], { every: "20 millis" }))))))

    it.live("are reused after errors", () =>
      Effect.gen(function*() {
        for (let i = 0; i < 20; i++) yield* Effect.flip(Claude.text("hi"))
        assert.isAtMost(Math.max(...(yield* received).map(({ connection }) => connection)), 3)
      }).pipe(Effect.provide(playing(layerWith, Faults.cycle(Faults.overloaded)))))

    it.live("that are reset when they are reused cause Unreachable, and the next call succeeds", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* Claude.text("hi"), "Paris")
        yield* Effect.sleep("20 millis")
        check(yield* Effect.flip(Claude.text("hi")), { tag: "Unreachable" })
        assert.strictEqual(yield* Claude.text("hi"), "Paris")
        assert.strictEqual((yield* received).length, 3)
      }).pipe(Effect.provide(playing(layerWith, [stream(paris), Faults.reset, stream(paris)]))))

    it.live("to a closed port cause Unreachable", () =>
      Effect.gen(function*() {
        // The port of a server that has stopped.
        const baseUrl = yield* Effect.map(FakeServer.FakeServer, ({ url }) => url).pipe(
          Effect.provide(FakeServer.layer([]))
        )
        const error = yield* Effect.flip(Claude.text("hi")).pipe(
          Effect.provide(Layer.provide(layerWith({ apiKey: "sk-ant-test", baseUrl }), CallLog.layerNoop))
        )
        check(error, { tag: "Unreachable", code: /^ECONNREFUSED$/ })
        assert.isFalse(isPermanent(error))
      }))
  })

  describe("G1: the socket closes", () => {
    const closes = Effect.map(first(true, 500), ({ complete }) => assert.isFalse(complete))

    it.live("when a call is interrupted while it waits for headers", () =>
      Effect.gen(function*() {
        const call = yield* Effect.forkChild(Claude.text("hi"))
        yield* first(false, 2000)
        yield* Fiber.interrupt(call)
        yield* closes
      }).pipe(Effect.provide(playing(layerWith, [Faults.silence]))))

    it.live("when a call is interrupted while it reads an error body", () =>
      Effect.gen(function*() {
        const call = yield* Effect.forkChild(Claude.text("hi"))
        yield* first(false, 2000)
        yield* Effect.sleep("50 millis")
        yield* Fiber.interrupt(call)
        yield* closes
      }).pipe(Effect.provide(playing(layerWith, [respond(529, "{", { end: "silence" })]))))

    it.live("when a stream is interrupted in the middle of an answer", () =>
      Effect.gen(function*() {
        const read = yield* Deferred.make<void>()
        const call = yield* Claude.stream("hi").pipe(
          Stream.tap(() => Deferred.succeed(read, undefined)),
          Stream.runDrain,
          Effect.forkChild
        )
        yield* Deferred.await(read)
        yield* Fiber.interrupt(call)
        yield* closes
      }).pipe(Effect.provide(playing(layerWith, [Faults.breaks("half an", "silence")]))))

    it.live("when a call is interrupted in the middle of an answer", () =>
      Effect.gen(function*() {
        const call = yield* Effect.forkChild(Claude.text("hi"))
        yield* first(false, 2000)
        yield* Effect.sleep("50 millis")
        yield* Fiber.interrupt(call)
        yield* closes
      }).pipe(Effect.provide(playing(layerWith, [Faults.pings("half an", "10 millis")]))))

    it.live("when a reader stops early", () =>
      Effect.gen(function*() {
        const read = yield* Claude.stream("hi").pipe(Stream.take(1), Stream.runCollect)
        assert.deepStrictEqual(read, ["half "])
        yield* closes
      }).pipe(Effect.provide(playing(layerWith, [Faults.breaks("half an", "silence")]))))

    it.live("when an answer is opened and never read", () =>
      Effect.gen(function*() {
        yield* Effect.scoped(Claude.open("hi"))
        yield* closes
      }).pipe(Effect.provide(playing(layerWith, [Faults.breaks("half an", "silence")]))))

    it.live("when a limit expires", () =>
      Effect.gen(function*() {
        yield* Claude.text("hi").pipe(Timeout.idle("100 millis"), Effect.flip)
        yield* closes
      }).pipe(Effect.provide(playing(layerWith, [Faults.breaks("half an", "silence")]))))

    it.live("when an event contradicts the protocol", () =>
      Effect.gen(function*() {
        yield* Effect.flip(Claude.text("hi"))
        yield* closes
      }).pipe(Effect.provide(playing(layerWith, [stream([...begun, otherStart], { end: "silence" })]))))
  })

  describe("credentials and clients:", () => {
    const bearer = Effect.map(received, (requests) => requests.map(({ headers }) => headers.authorization))
    const withClient = (make: (baseURL: string) => Sdk, ...turns: ReadonlyArray<Faults.Turn>) =>
      Effect.provide(playing(layerWith, turns, (url) => ({ client: make(url) })))

    const forced: Array<boolean | undefined> = []
    const tokens: ClientOptions["credentials"] = (options) => {
      forced.push(options?.forceRefresh)
      return Promise.resolve({ token: `token-${forced.length}`, expiresAt: null })
    }
    const tokenClient = (baseURL: string) => {
      forced.length = 0
      return new Sdk({ baseURL, credentials: tokens })
    }

    it.live("a token is refreshed after a 401, and the request is repeated once", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* Claude.text("hi"), "Paris")
        assert.deepStrictEqual(yield* bearer, ["Bearer token-1", "Bearer token-2"])
        assert.deepStrictEqual(forced, [undefined, true])
      }).pipe(withClient(tokenClient, Faults.unauthorized, stream(paris))))

    it.live("a second 401 is AuthenticationFailed", () =>
      Effect.gen(function*() {
        check(yield* Effect.flip(Claude.text("hi")), {
          tag: "AuthenticationFailed",
          status: 401,
          requestId: "req_fake_0002"
        })
        assert.strictEqual((yield* received).length, 2)
      }).pipe(withClient(tokenClient, Faults.unauthorized, Faults.unauthorized, stream(paris))))

    it.live("a fixed key is not tried again after a 401", () =>
      Effect.gen(function*() {
        check(yield* Effect.flip(Claude.text("hi")), api("AuthenticationFailed", 401))
        assert.deepStrictEqual(yield* bearer, ["Bearer sk-ant-test"])
      }).pipe(Effect.provide(playing(layerWith, [Faults.unauthorized, stream(paris)]))))

    it.live("a token is not refreshed after another error", () =>
      Effect.gen(function*() {
        check(yield* Effect.flip(Claude.text("hi")), api("PermissionDenied", 403))
        assert.strictEqual((yield* received).length, 1)
      }).pipe(withClient(tokenClient, Faults.forbidden, stream(paris))))

    it.live.each(
      [
        [
          "without credentials causes AuthenticationFailed",
          new Error("no credential in the vault"),
          "AuthenticationFailed"
        ],
        [
          "that cannot be reached causes Unreachable",
          new TypeError("fetch failed", { cause: Object.assign(new Error("connect"), { code: "ECONNREFUSED" }) }),
          "Unreachable"
        ]
      ] as const
    )("a token provider %s, and nothing is sent", ([, failure, tag]) =>
      Effect.gen(function*() {
        check(yield* Effect.flip(Claude.text("hi")), { tag })
        assert.deepStrictEqual(yield* received, [])
      }).pipe(withClient((baseURL) => new Sdk({ baseURL, credentials: () => Promise.reject(failure) }))))

    it.live("the caller's own client keeps its headers and middleware, but not its retries", () =>
      Effect.gen(function*() {
        check(yield* Effect.flip(Claude.text("hi")), api("Overloaded", 529))
        const requests = yield* received
        assert.strictEqual(requests.length, 1)
        assert.deepInclude(requests[0]?.headers, { "x-mine": "yes", "x-stainless-retry-count": "0" })
        assert.deepStrictEqual(seen, ["{\"type\":\"error\""])
      }).pipe(withClient(
        (baseURL) =>
          new Sdk({
            baseURL,
            apiKey: "sk-ant-mine",
            maxRetries: 5,
            defaultHeaders: { "x-mine": "yes" },
            middleware: [async (request, next) => {
              const response = await next(request)
              seen.push((await response.clone().text()).slice(0, 15))
              return response
            }]
          }),
        Faults.overloaded,
        stream(paris)
      )))
    const seen: Array<string> = []

    it.live("the middleware of the caller's own client sees the status of an error whose body never ends", () =>
      Effect.gen(function*() {
        const { took, value } = yield* timed(Effect.flip(Claude.text("hi")))
        check(value, api("Overloaded", 529))
        assert.isBelow(took, bound)
        assert.deepStrictEqual(passed, [[529, false, true, "{\"type\":\"error\""]])
        yield* first(true, 500)
      }).pipe(withClient(
        (baseURL) =>
          new Sdk({
            baseURL,
            apiKey: "sk-ant-mine",
            middleware: [async (request, next) => {
              const response = await next(request)
              const { ok, status, url } = response
              passed.push([status, ok, url.startsWith(baseURL), (await response.clone().text()).slice(0, 15)])
              return response
            }]
          }),
        Faults.respond(529, `{"type":"error","error":{"type":"overloaded_error","message":"Busy"}}`, { end: "silence" })
      )))
    const passed: Array<unknown> = []

    it.live("the caller's own client is not changed", () =>
      Effect.sync(() => {
        const client = new Sdk({ apiKey: "sk-ant-mine" })
        layerWith({ client })
        assert.deepStrictEqual(client.middleware, [])
      }))

    it.live("the caller's own client sends its key", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* Claude.text("hi"), "Paris")
        assert.deepStrictEqual(yield* bearer, ["Bearer sk-ant-mine"])
      }).pipe(withClient((baseURL) => new Sdk({ baseURL, apiKey: "sk-ant-mine" }), stream(paris))))
  })

  describe("a request is InvalidRequest and is not sent if it has", () => {
    it.live.each([
      ["a header with a newline", { user_profile_id: "a\nb" }],
      ["a circular body", { metadata: circular }],
      ["a circular block with a cache mark", { system: [{ ...marked, circular }] }],
      // Such as the input of a tool that Claude wrote, which the application sends back.
      ["a block with 20,000 levels and a cache mark", { system: [{ ...marked, deep }] }],
      ["a number that JSON does not have", { metadata: { user_id: 1n } }]
    ])("%s", ([, odd]) =>
      Effect.gen(function*() {
        // The types forbid these values, but untyped code can pass them.
        const error = yield* Effect.flip(Claude.text("hi", odd as Claude.Options))
        assert.deepInclude({ ...error }, { _tag: "InvalidRequest", sent: false })
        assert.deepStrictEqual(yield* received, [])
      }).pipe(Effect.provide(playing(layerWith, []))))
  })

  describe("TLS", () => {
    it.live("with an untrusted certificate causes a permanent Unreachable", () =>
      Effect.gen(function*() {
        const port = yield* tls
        const error = yield* Effect.flip(Claude.text("hi")).pipe(
          Effect.provide(
            Layer.provide(
              layerWith({ apiKey: "sk-ant-test", baseUrl: `https://127.0.0.1:${port}` }),
              CallLog.layerNoop
            )
          )
        )
        check(error, { tag: "Unreachable", code: /^DEPTH_ZERO_SELF_SIGNED_CERT$/ })
        assert.isTrue(isPermanent(error))
      }))

    it.live("with a handshake that never ends causes TimedOut", () =>
      Effect.gen(function*() {
        const { port } = yield* mute
        const { took, value } = yield* Claude.text("hi").pipe(
          Timeout.limits({ connect: "150 millis" }),
          Effect.flip,
          timed,
          Effect.provide(
            Layer.provide(
              layerWith({ apiKey: "sk-ant-test", baseUrl: `https://127.0.0.1:${port}` }),
              CallLog.layerNoop
            )
          )
        )
        assert.isBelow(took, bound)
        check(value, { tag: "TimedOut", scope: "connect" })
      }))

    it.live("with a server that does not support it causes Unreachable", () =>
      Effect.gen(function*() {
        check(yield* Effect.flip(Claude.text("hi")), { tag: "Unreachable", code: /SSL|EPROTO|SOCKET|RESET/ })
        assert.deepStrictEqual(yield* received, [])
      }).pipe(Effect.provide(playing(layerWith, [], (url) => ({
        apiKey: "sk-ant-test",
        baseUrl: url.replace("http:", "https:")
      })))))
  })

  it.live("environment variables do not override the options", () =>
    Effect.gen(function*() {
      yield* environment({
        ANTHROPIC_API_KEY: "sk-ant-other",
        ANTHROPIC_AUTH_TOKEN: "other",
        ANTHROPIC_BASE_URL: "http://127.0.0.1:1"
      })
      assert.strictEqual(
        yield* Effect.provide(Effect.tap(Claude.text("hi"), once), playing(layerWith, [stream(paris)])),
        "Paris"
      )
    }))

  describe("the console", () => {
    it.live("stays empty, even with a deprecated model or ANTHROPIC_LOG=debug", () =>
      Effect.gen(function*() {
        yield* environment({ ANTHROPIC_LOG: "debug" })
        const written = yield* spied
        const calls = Effect.gen(function*() {
          yield* Claude.text("hi", { model: "claude-sonnet-4-5" })
          yield* Claude.text("hi", { model: "claude-sonnet-4-5", thinking: { type: "enabled", budget_tokens: 1024 } })
          yield* Effect.flip(Claude.text("hi", { model: "claude-sonnet-4-5" }))
          yield* Effect.flip(Claude.text("hi"))
          yield* Effect.flip(Claude.text("hi"))
          yield* Claude.countTokens("hi", { model: "claude-sonnet-4-5" })
        })
        const turns = [stream(paris), stream(paris), Faults.overloaded, Faults.reset, Faults.breaks("half an")]
        const mine = (baseURL: string) => ({ client: new Sdk({ baseURL, apiKey: "sk-ant-x", logLevel: "debug" }) })
        yield* Effect.provide(calls, playing(layerWith, turns))
        yield* Effect.provide(calls, playing(layerWith, turns, mine))
        assert.deepStrictEqual(written, [])
      }))
  })
})

const environment = (variables: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.sync(() => Object.entries(variables).forEach(([name, value]) => vi.stubEnv(name, value))),
    () => Effect.sync(() => vi.unstubAllEnvs())
  )

/** Records everything that is written to the console or the terminal while the scope is open. */
const spied = Effect.gen(function*() {
  const written: Array<unknown> = []
  const write = (...args: ReadonlyArray<unknown>) => {
    written.push(args)
    return true
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      return [
        ...(["log", "info", "debug", "warn", "error", "trace"] as const).map((method) =>
          vi.spyOn(console, method).mockImplementation(write)
        ),
        vi.spyOn(process.stderr, "write").mockImplementation(write),
        vi.spyOn(process.stdout, "write").mockImplementation(write)
      ]
    }),
    (spies) =>
      Effect.sync(() => {
        for (const spy of spies) spy.mockRestore()
      })
  )
  return written
})

// A function declaration, because it is used above. A server that listens on a port has an address.
function portOf(server: Net.Server): number {
  return (server.address() as Net.AddressInfo).port
}

const circular: { self?: unknown } = {}
circular.self = circular
const marked = { type: "text", text: "hi", cache_control: { type: "ephemeral" } }
const deep: unknown = JSON.parse(`${"[".repeat(20_000)}${"]".repeat(20_000)}`)

/** A server that accepts connections and never sends anything. */
const mute = Effect.gen(function*() {
  const opened = yield* Deferred.make<void>()
  const closed = yield* Deferred.make<void>()
  const server = yield* Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const server = Net.createServer((socket) => {
        Deferred.doneUnsafe(opened, Effect.void)
        socket.on("error", () => {})
        socket.on("close", () => Deferred.doneUnsafe(closed, Effect.void))
        socket.resume()
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  )
  return { port: portOf(server), opened: Deferred.await(opened), closed: Deferred.await(closed) }
})

/** A server with a self-signed certificate that is valid until 2120. Returns its port. */
const tls = Effect.acquireRelease(
  Effect.callback<Https.Server>((resume) => {
    const server = Https.createServer({
      cert: `-----BEGIN CERTIFICATE-----
MIIBbTCCAROgAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNHjQLDS8WkaOgd7
dN17Z1kvOCssEC8C0gVLp1XsIb+8GGBxXYhSVKHznZc7111dCwGFtEN5a5Wtgv5Q
EN5WXOijVDBSMAkGA1UdEwQCMAAwHQYDVR0OBBYEFLCZABCEk1h6wYuKvKaLr0R3
m2YMMCYGA1UdIwQfMB2hGKQWMBQxEjAQBgNVBAMMCWxvY2FsaG9zdIIBATAKBggq
hkjOPQQDAgNIADBFAiALPhzDeM0Hti24Eakelw8D4u/D4z5CQiY3E78BQ+i+BwIh
ALaIdhfmfGZO3bqiSPPd5Xz+cw0fANx5oiVAsyCk/Qjr
-----END CERTIFICATE-----`,
      key: createPrivateKey({
        format: "jwk",
        key: {
          kty: "EC",
          crv: "P-256",
          x: "0eNAsNLxaRo6B3t03XtnWS84KywQLwLSBUunVewhv7w",
          y: "GGBxXYhSVKHznZc7111dCwGFtEN5a5Wtgv5QEN5WXOg",
          d: "bXrMxSqm9md0gf4NNPnFPYVhSiAQ1jk2z0D0K8EgYA4"
        }
      }).export({ format: "pem", type: "pkcs8" })
    })
    server.on("tlsClientError", () => {})
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  }),
  (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
).pipe(Effect.map(portOf))

/** Interrupts a call of NodeAnthropic while it connects, and waits until the connection is closed. */
const abandoned = Effect.gen(function*() {
  const { closed, opened, port } = yield* mute
  yield* Effect.gen(function*() {
    const call = yield* Effect.forkChild(Claude.text("hi"))
    yield* opened
    yield* Fiber.interrupt(call)
    yield* closed
  }).pipe(
    Effect.provide(
      Layer.provide(
        NodeAnthropic.layer({ apiKey: "sk-ant-test", baseUrl: `https://127.0.0.1:${port}` }),
        CallLog.layerNoop
      )
    )
  )
}).pipe(Effect.scoped, Effect.timeout("20 seconds"))

describe("NodeAnthropic", () => {
  // Started with the first test, because undici's connect time-out takes 10 seconds.
  it(
    "an endless TLS handshake is closed by undici's connect time-out, because an interrupt cannot close it",
    () => connecting,
    30_000
  )
})
