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

/** Waits until the first request has arrived or, if `over`, until its connection is closed. `within` is in milliseconds. */
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
// Responses of the server
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

/** The events message_start, content_block_start, ping, one delta, content_block_stop, message_delta and message_stop. */
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
  /** The expected wait, in milliseconds. */
  readonly retryAfter?: number
  readonly regainsAt?: string
  readonly ramp?: boolean
  /** The error code of the operating system, which differs between platforms. */
  readonly code?: RegExp
  /** The text that arrived before the failure. */
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
/** The expected error of a response with a request id. A number in `more` is the expected status. */
const api = (tag: ClaudeError.Tag, ...more: ReadonlyArray<number | Partial<Expected>>): Expected =>
  Object.assign({ tag, requestId }, ...more.map((one) => typeof one === "number" ? { status: one } : one))

const failures: ReadonlyArray<Case> = [
  // A JSON body instead of a stream.
  ["a message as JSON instead of a stream", respond(200, message({})), odd({ status: 200 })],
  ["a message as JSON that ends with max_tokens", respond(200, message({ stop_reason: "max_tokens" })), odd()],
  ["an error as JSON with status 200", respond(200, Faults.errorBody("api_error", "no")), api("ServerFault", 200)],
  ["a message as JSON without a content type", {
    ...stream([message({})]),
    head: { status: 200, headers: {}, api: true }
  }, odd()],

  // Complete messages that are not a usable answer.
  [
    "an answer with the stop reason max_tokens",
    Faults.maxTokens("The capital is"),
    api("Truncated", { reason: "max_tokens", text: "The capital is" })
  ],
  [
    "an answer with the stop reason pause_turn",
    stream(events("Searching", { stopReason: "pause_turn" })),
    api("Truncated", { reason: "pause_turn", text: "Searching" })
  ],
  [
    "an answer with the stop reason model_context_window_exceeded",
    stream(events("So", { stopReason: "model_context_window_exceeded" })),
    api("ContextWindowExceeded", { text: "So" })
  ],
  ["a refusal", Faults.refusal("I will", "cyber"), api("Refused", { category: "cyber", text: "I will" })],
  ["a refusal without text", Faults.refusal(), api("Refused", { text: "" })],
  ["an empty answer", Faults.emptyAnswer, api("EmptyAnswer")],

  // Error events in the stream.
  ["an error event before message_start", stream([errorEvent("overloaded_error")]), api("Overloaded")],
  ["an overloaded_error event after message_start", stream([start, errorEvent("overloaded_error")]), api("Overloaded")],
  ["an api_error event", stream([start, errorEvent("api_error")]), api("ServerFault")],
  ["a timeout_error event", stream([start, errorEvent("timeout_error")]), api("ServerFault")],
  ["a rate_limit_error event", stream([start, errorEvent("rate_limit_error")]), api("RateLimited")],
  [
    "an error event with an error code",
    stream([errorEvent("rate_limit_error", { error_code: "ramp_limit_exceeded" })]),
    api("RateLimited", { errorCode: "ramp_limit_exceeded", ramp: true })
  ],
  ["an error event of an unknown type", stream([start, errorEvent("brand_new_error")]), api("ServerFault")],
  ["an error event after content", Faults.errorAfter("half an"), partial("half an", { cause: "Overloaded" })],
  [
    "an error event with an error code after content",
    stream([...begun, errorEvent("api_error", { error_code: "cmek_key_unreachable" })]),
    partial("Paris", { cause: "ServerFault", errorCode: "cmek_key_unreachable" })
  ],
  [
    "an error event after the stop reason",
    stream([...begun, blockStop, messageDelta, errorEvent("overloaded_error")]),
    partial("Paris", { cause: "Overloaded" })
  ],
  [
    "an error event whose name is not error",
    stream([
      start,
      "event: oops\ndata: {\"type\":\"error\"," +
      "\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n"
    ]),
    api("Overloaded")
  ],
  ["an error event whose data is not JSON", stream([start, "event: error\ndata: upstream failed\n\n"]), odd()],
  ["an error event without an error object", stream([event("error", {})]), odd()],
  ["an error event whose error is a string", stream([event("error", { error: "boom" })]), odd()],

  // Responses with an error status.
  [
    "a 429 with retry-after",
    Faults.rateLimited("17 seconds"),
    api("RateLimited", 429, { retryAfter: 17_000, ramp: false })
  ],
  ["a 429 without retry-after", Faults.rateLimited(), api("RateLimited", 429)],
  [
    "a 429 for traffic that grew too fast",
    Faults.rateLimited("2500 millis", { ramp: true }),
    api("RateLimited", 429, { errorCode: "ramp_limit_exceeded", retryAfter: 2500, ramp: true })
  ],
  [
    "a 429 for the monthly spend limit",
    Faults.spendLimited,
    api("SpendLimitReached", 429, { errorCode: "enforced_spend_limit_reached", regainsAt: "2026-12-01T00:00:00Z" })
  ],
  [
    "a 400 for a spend limit that the customer has set",
    Faults.ownSpendLimit,
    api("SpendLimitReached", 400, { regainsAt: "2026-12-01T00:00:00Z" })
  ],
  ["a 529", Faults.overloaded, api("Overloaded", 529)],
  [
    "a 529 with retry-after-ms and retry-after",
    fails(529, "overloaded_error", "Overloaded", { headers: { "retry-after-ms": "1500", "retry-after": "9" } }),
    api("Overloaded", 529, { retryAfter: 1500 })
  ],
  ["a 500", Faults.serverError, api("ServerFault", 500)],
  ["a 504", Faults.gatewayTimeout, api("ServerFault", 504)],
  [
    "a 503 with an error code",
    fails(503, "api_error", "no key", { details: { error_code: "cmek_key_unreachable" } }),
    api("ServerFault", 503, { errorCode: "cmek_key_unreachable" })
  ],
  ["a 401", Faults.unauthorized, api("AuthenticationFailed", 401)],
  [
    "a 402 with an error code",
    Faults.billing,
    api("SpendLimitReached", 402, { errorCode: "linked_organization_spend_limit_reached" })
  ],
  ["a 403", Faults.forbidden, api("PermissionDenied", 403)],
  ["a 404", Faults.notFound, api("ResourceNotFound", 404)],
  [
    "a 400 for an image that is too large",
    fails(400, "invalid_request_error", "too large", {
      details: { error_code: "image_dimensions_too_large", max_side_length_pixels: 2000, paths: ["messages.0"] }
    }),
    api("InvalidRequest", 400, { errorCode: "image_dimensions_too_large" })
  ],
  [
    "a 400 for an organization on hold",
    fails(400, "invalid_request_error", "on hold", {
      details: { error_code: "organization_on_hold", appeal_url: "https://example.test/appeal" }
    }),
    api("PermissionDenied", 400, { errorCode: "organization_on_hold" })
  ],
  [
    "a 400 for a grammar whose compilation timed out",
    fails(400, "invalid_request_error", "Grammar compilation timed out."),
    api("ServerFault", 400)
  ],
  ["a 400 for a prompt that is too long", Faults.promptTooLong, api("ContextWindowExceeded", 400)],
  ["a 400 with x-should-retry: true", {
    ...fails(400, "invalid_request_error", "no", { headers: { "x-should-retry": "true" } })
  }, api("InvalidRequest", 400)],

  // Responses of proxies.
  ["a 502 with an HTML page", Faults.html(502), { tag: "ServerFault", status: 502 }],
  ["a 503 with an HTML page", Faults.html(503), { tag: "ServerFault", status: 503 }],
  ["a 524 with an HTML page", Faults.html(524), { tag: "ServerFault", status: 524 }],
  ["a 413 of a proxy", Faults.tooLarge, { tag: "RequestTooLarge", status: 413 }],
  ["a 403 with an HTML page", respond(403, page, { headers: html, api: false }), {
    tag: "PermissionDenied",
    status: 403
  }],
  ["a 503 with Envoy's plain text", {
    ...respond(503, "upstream connect error or disconnect/reset before headers", {
      headers: { "content-type": "text/plain" },
      api: false
    })
  }, { tag: "ServerFault", status: 503 }],
  ["a 200 with an HTML page", ok(html, page), { tag: "UnexpectedResponse", status: 200 }],
  ["a 302 redirect", respond(302, "", { headers: { location: "/v1/messages" }, api: false }), {
    tag: "UnexpectedResponse",
    status: 302
  }],
  ["a 307 redirect", respond(307, "", { headers: { location: "/v1/messages" } }), odd({ status: 307 })],
  ["a 304", respond(304, ""), odd({ status: 304 })],

  // Unusual bodies of error responses.
  ["a 500 without a body", respond(500, "", { headers: { "content-length": "0" } }), api("ServerFault", 500)],
  [
    "a 500 whose body is half of its JSON",
    respond(500, "{\"type\":\"error\",\"error\":{\"type\":\"api_er"),
    api("ServerFault", 500)
  ],
  [
    "a 500 whose connection breaks in the body",
    respond(500, "{\"type\":\"error\"", { end: "cut" }),
    api("ServerFault", 500)
  ],
  ["a 500 whose body is a JSON string", respond(500, "\"upstream connect error\""), api("ServerFault", 500)],
  ["a 500 whose body is null", respond(500, "null"), api("ServerFault", 500)],
  ["a 500 whose body is an array", respond(500, "[1]"), api("ServerFault", 500)],
  [
    "a 400 whose body has another format",
    respond(400, "{\"error\":\"bad thing\",\"message\":\"top\"}"),
    api("InvalidRequest", 400)
  ],
  [
    "a 429 whose body never arrives",
    respond(429, "", { end: "silence", headers: { "retry-after": "3" } }),
    api("RateLimited", 429, { retryAfter: 3000 })
  ],
  ["a 529 whose body never ends", endless, api("Overloaded", 529)],
  ["a 529 whose body arrives slowly and never ends", {
    ...respond(529, "{"),
    end: { forever: { after: 20, bytes: " " } }
  }, api("Overloaded", 529)],

  // Failures of the transport.
  ["a connection that is reset before the headers", Faults.reset, {
    tag: "Unreachable",
    code: /^(ECONNRESET|UND_ERR_SOCKET)$/
  }],
  ["a connection that is closed before the headers", Faults.hangUp, {
    tag: "Unreachable",
    code: /^(ECONNRESET|UND_ERR_SOCKET)$/
  }],
  ["a connection that is reset after one byte", raw("H", "reset"), {
    tag: "Unreachable",
    code: /^(ECONNRESET|UND_ERR_SOCKET|HPE_)/
  }],
  ["a connection that is closed within the headers", raw("HTTP/1.1 200 OK\r\ncontent-ty"), {
    tag: "Unreachable",
    code: /^(ECONNRESET|UND_ERR_SOCKET|HPE_)/
  }],
  ["a response that is not HTTP", Faults.garbage, {
    tag: "Unreachable",
    code: /^(HPE_|HTTPParserError$)/
  }],
  ["headers that are too large", raw(`HTTP/1.1 200 OK\r\nx-large: ${"x".repeat(20_000)}\r\n\r\n`), {
    tag: "Unreachable",
    code: /^UND_ERR_HEADERS_OVERFLOW$/
  }],
  [
    "a switch to another protocol",
    raw("HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n"),
    {
      tag: "Unreachable",
      code: /^UND_ERR_SOCKET$/
    }
  ],
  ["a server that never responds", Faults.silence, { tag: "TimedOut", scope: "connect" }, { connect: "150 millis" }],
  ["a connection that is reset after the headers", stream([], { end: "reset" }), {
    tag: "Unreachable",
    requestId,
    code: /^(ECONNRESET|UND_ERR_SOCKET)$/
  }],
  ["a connection that is reset after message_start", stream([start], { end: "reset" }), api("Unreachable")],
  [
    "a connection that is reset after some content",
    Faults.breaks("half an", "reset"),
    partial("half an", { cause: "Unreachable" })
  ],
  [
    "a connection that is closed after some content",
    Faults.breaks("half an", "cut"),
    partial("half an", { cause: "Unreachable" })
  ],
  [
    "a body that is shorter than its content-length",
    raw(`${sse}content-length: 99999\r\n\r\n${begun.join("")}`),
    partial("Paris", { cause: "Unreachable", requestId: "req_raw" })
  ],
  ["an invalid chunk size", raw(`${chunked}${chunk(start)}zz\r\n`), { tag: "Unreachable", requestId: "req_raw" }],
  [
    "an invalid chunk size after some content",
    raw(`${chunked}${begun.map(chunk).join("")}zz\r\n`),
    partial("Paris", { cause: "Unreachable", requestId: "req_raw" })
  ],
  [
    "a body that is not valid gzip, although its header says gzip",
    stream([new Uint8Array([0x1f, 0x8b, 0xff, 0xff, 0xff, 0xff])], { headers: { "content-encoding": "gzip" } }),
    odd()
  ],
  ["silence after the headers", stream([], { end: "silence" }), api("TimedOut", { scope: "idle" }), {
    idle: "150 millis"
  }],
  [
    "silence after some content",
    Faults.breaks("half an", "silence"),
    api("TimedOut", { scope: "idle", text: "half an" }),
    { idle: "150 millis" }
  ],
  [
    "an answer that arrives too slowly, in single bytes",
    Faults.drip(Faults.answer("Paris"), 1, "20 millis"),
    api("TimedOut", { scope: "firstToken" }),
    { firstToken: "250 millis" }
  ],
  ["endless pings without content", Faults.pings("", "20 millis"), api("TimedOut", { scope: "firstToken" }), {
    firstToken: "250 millis"
  }],
  [
    "endless pings after some content",
    Faults.pings("half an", "20 millis"),
    api("TimedOut", { scope: "contentIdle", text: "half an" }),
    { contentIdle: "250 millis" }
  ],
  [
    "an answer that never ends",
    {
      ...stream(begun),
      end: { forever: { after: 10, bytes: textDelta("!") } }
    },
    api("TimedOut", { scope: "attempt" }),
    { attempt: "250 millis" }
  ],

  // Malformed and incomplete streams.
  ["an empty body", stream([]), odd()],
  ["a 204", respond(204, ""), odd()],
  ["a body with only pings", stream([ping, ping]), odd()],
  ["a stream without message_stop", stream(paris.slice(0, -1)), partial("Paris", { cause: "UnexpectedResponse" })],
  ["a stream without content_block_stop", stream([...begun, messageDelta, messageStop]), partial("Paris")],
  ["a stream without message_delta", stream([...begun, blockStop, messageStop]), partial("Paris")],
  ["a stream without message_start", stream(paris.slice(1)), odd()],
  ["a body that ends within a delta event", stream([...begun, textDelta(" is").slice(0, -10)]), partial("Paris")],
  [
    "a body that ends within message_stop",
    stream([...paris.slice(0, -1), "event: message_stop\ndata: {\"type\":\"mess"]),
    {
      ...partial("Paris")
    }
  ],
  ["malformed JSON in the first event", stream(["event: message_start\ndata: {nope}\n\n"]), odd()],
  ["malformed JSON after some content", stream([...begun, "data: {nope}\n\n", ...last]), {
    ...partial("Paris", { cause: "UnexpectedResponse" })
  }],
  ["an event whose JSON is not an object", stream([start, "data: 7\n\n"]), odd()],
  [
    "[DONE] in place of message_stop, as in OpenAI's API",
    stream([...paris.slice(0, -1), "data: [DONE]\n\n"]),
    partial("Paris")
  ],
  ["a second message_start with another id", stream([start, otherStart, ...paris.slice(1)]), odd()],
  [
    "a second message_start with another id after some content",
    stream([...begun, otherStart, ...last]),
    partial("Paris")
  ],
  ["a delta before the start of its block", stream([start, delta, blockStart, delta, ...last]), odd()],
  [
    "a delta after the end of its block",
    stream([...begun, blockStop, delta, messageDelta, messageStop]),
    partial("Paris")
  ],
  [
    "a gap in the indices of the blocks",
    stream([
      ...begun,
      blockStop,
      event("content_block_start", { index: 2, content_block: { type: "text", text: "" } })
    ]),
    partial("Paris")
  ],
  ["a delta for a block that was never started", stream([...begun, textDelta(" is", 1), ...last]), partial("Paris")],
  ["a block index that is not a number", stream([...begun, textDelta(" is", "length"), ...last]), partial("Paris")],
  ["a block index that is an object", stream([...begun, textDelta(" is", { toString: 1 }), ...last]), partial("Paris")],
  [
    "a text delta whose text is not a string",
    stream([
      ...begun,
      event("content_block_delta", { index: 0, delta: { type: "text_delta", text: 7 } }),
      ...last
    ]),
    partial("Paris")
  ],
  [
    "bytes that are not UTF-8",
    stream([begun.join(""), new Uint8Array([0xff, 0xfe, 0x0a])], { every: "20 millis" }),
    {
      ...partial("Paris", { cause: "UnexpectedResponse" })
    }
  ],
  [
    "a content block that is not an object",
    stream([start, event("content_block_start", { index: 0, content_block: 7 })]),
    odd()
  ],
  ["a text delta in a tool block", stream([...tool(["{}"]).slice(0, 2), delta, ...last]), partial("")],
  [
    "a delta of tool input in a text block",
    stream([
      ...begun,
      event("content_block_delta", { index: 0, delta: { type: "input_json_delta", partial_json: "{}" } }),
      ...last
    ]),
    partial("Paris")
  ],
  ["tool input that is not JSON", stream(tool(["{\"a\": nope "])), api("MalformedOutput")],
  ["tool input that is cut", stream(tool(["{\"city\": \"Os"])), api("MalformedOutput")],
  [
    "tool input that is cut at max_tokens",
    stream(tool(["{\"city\": \"Os"], "max_tokens")),
    api("Truncated", { reason: "max_tokens" })
  ],
  [
    "the stop reason tool_use without a tool call",
    stream(events("Let me see.", { stopReason: "tool_use" })),
    api("EmptyAnswer")
  ]
]

type Answer = readonly [name: string, turn: Faults.Turn, text: string]

const changed = (change: (event: string) => string) => stream(paris.map(change))

const answers: ReadonlyArray<Answer> = [
  ["a stream with text", Faults.answer("Paris is the capital."), "Paris is the capital."],
  ["a stream with thinking before the text", Faults.answer("Paris", { thinking: "it is so" }), "Paris"],
  ["a stream that ends with a stop sequence", Faults.answer("Paris", { stopReason: "stop_sequence" }), "Paris"],
  ["a stream with an unknown stop reason", Faults.answer("Paris", { stopReason: "brand_new" }), "Paris"],
  ["a stream with a tool call", stream(tool(["{\"city\":", "\"Oslo\"}"])), ""],
  [
    "a stream of single bytes, which splits characters",
    Faults.drip(Faults.answer("Zürich, 東京 🚀"), 1),
    "Zürich, 東京 🚀"
  ],
  ["a stream in one chunk", stream([paris.join("")]), "Paris"],
  ["a stream whose connection stays open", Faults.lingers("Paris"), "Paris"],
  ["a stream whose connection is reset after message_stop", stream(paris, { end: "reset" }), "Paris"],
  [
    "a stream after early hints (103)",
    raw(`HTTP/1.1 103 Early Hints\r\n\r\n${chunked}${chunk(paris.join(""))}0\r\n\r\n`, "silence"),
    "Paris"
  ],
  ["a stream that ends when the connection closes", raw(`${sse}connection: close\r\n\r\n${paris.join("")}`), "Paris"],
  ["a stream with CRLF line ends", changed((text) => text.replaceAll("\n", "\r\n")), "Paris"],
  ["a stream with CR line ends", changed((text) => text.replaceAll("\n", "\r")), "Paris"],
  [
    "a stream of single bytes with CRLF line ends",
    Faults.drip(changed((text) => text.replaceAll("\n", "\r\n")), 1),
    "Paris"
  ],
  ["a stream with comments", changed((text) => `: keep-alive\n\n${text}`), "Paris"],
  ["a stream without event names", changed((text) => text.replace(/^event:.*\n/, "")), "Paris"],
  ["a stream with other SSE fields", changed((text) => `id: 7\nretry: 10\nfoo: bar\nbaz\n${text}`), "Paris"],
  ["a stream with data in two lines", changed((text) => text.replace("data: {", "data: {\ndata: ")), "Paris"],
  ["a stream that begins with a byte order mark", stream([`\uFEFF${start}`, ...paris.slice(1)]), "Paris"],
  ["a stream without a blank line at its end", stream([...paris.slice(0, -1), messageStop.trimEnd()]), "Paris"],
  ["a stream with an unknown event", stream([start, event("brand_new", { a: 1 }), ...paris.slice(1)]), "Paris"],
  [
    "a stream with an unknown delta",
    stream([
      ...begun,
      event("content_block_delta", { index: 0, delta: { type: "brand_new_delta", news: "!" } }),
      ...last
    ]),
    "Paris"
  ],
  [
    "a stream with an unknown content block",
    stream([
      start,
      event("content_block_start", { index: 0, content_block: { type: "brand_new_block" } }),
      event("content_block_stop", { index: 0 }),
      ...paris.slice(1).map((text) => text.replace("\"index\":0", "\"index\":1"))
    ]),
    "Paris"
  ],
  ["a stream with pings between all events", changed((text) => `${ping}${text}${ping}`), "Paris"],
  ["a stream with a second message_stop", stream([...paris, messageStop]), "Paris"],
  [
    "a stream with content after message_stop",
    stream([[...paris, blockStart.replace("\"index\":0", "\"index\":1"), textDelta(" is", 1)].join("")]),
    "Paris"
  ],
  ["a stream with an error event after message_stop", stream([...paris, errorEvent("overloaded_error")]), "Paris"],
  [
    "a stream with an error event in a later chunk than message_stop",
    stream([paris.join(""), errorEvent("overloaded_error")], { every: "20 millis" }),
    "Paris"
  ],
  ["a stream with malformed JSON after message_stop", stream([[...paris, "data: {nope}\n\n"].join("")]), "Paris"],
  ["a stream without a content type", { ...stream(paris), head: { status: 200, headers: {}, api: true } }, "Paris"],
  [
    "a stream whose content type is in upper case",
    stream(paris, { headers: { "content-type": "TEXT/EVENT-STREAM" } }),
    "Paris"
  ]
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

/** The maximum duration of a call, in milliseconds. The slowest calls wait one second for the rest of an error body. */
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
  describe("reports the expected error after one request for", () => {
    it.live.each(failures)("G16: %s", ([, turn, expected, limits]) =>
      Effect.gen(function*() {
        const { took, value } = yield* Claude.text("hi").pipe(Timeout.limits(limits ?? {}), Effect.flip, timed)
        assert.isBelow(took, bound)
        check(value, expected)
        yield* once
      }).pipe(Effect.provide(playing(layerWith, [turn]))))
  })

  it.live("stops reading an error body that never ends", () =>
    Effect.gen(function*() {
      const { took } = yield* timed(Effect.flip(Claude.text("hi")))
      assert.isBelow(took, 900)
      yield* first(true, 500)
    }).pipe(Effect.provide(playing(layerWith, [endless]))))

  describe("a complete answer", () => {
    it.live.each(answers)("is read from %s", ([, turn, text]) =>
      Effect.gen(function*() {
        const { took, value } = yield* timed(Claude.message("hi"))
        assert.isBelow(took, bound)
        assert.strictEqual(value.text, text)
        yield* once
      }).pipe(Effect.provide(playing(layerWith, [turn]))))

    it.live("contains a tool call with its whole input", () =>
      Effect.gen(function*() {
        const { message: { content }, stopReason } = yield* Claude.message("hi")
        assert.strictEqual(stopReason, "tool_use")
        assert.deepInclude(content[0], { type: "tool_use", name: "get_weather", input: { city: "Oslo" } })
      }).pipe(Effect.provide(playing(layerWith, [stream(tool(["{\"city\":", "\"Oslo\"}"]))]))))

    it.live("is returned while the connection is open, and then the client closes the connection", () =>
      Effect.gen(function*() {
        const { took } = yield* timed(Claude.text("hi"))
        assert.isBelow(took, 500)
        const { complete } = yield* first(true, 5000)
        assert.isFalse(complete)
      }).pipe(Effect.provide(playing(layerWith, [Faults.lingers("Paris")]))))

    it.live("has its whole text even if reads are interrupted", () =>
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

    it.live("of countTokens is returned as a number of tokens", () =>
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
        // The server has stopped, so its port is closed.
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

    it.live("when the idle time limit expires", () =>
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

    it.live("a second 401 causes AuthenticationFailed", () =>
      Effect.gen(function*() {
        check(yield* Effect.flip(Claude.text("hi")), {
          tag: "AuthenticationFailed",
          status: 401,
          requestId: "req_fake_0002"
        })
        assert.strictEqual((yield* received).length, 2)
      }).pipe(withClient(tokenClient, Faults.unauthorized, Faults.unauthorized, stream(paris))))

    it.live("a fixed key is not sent again after a 401", () =>
      Effect.gen(function*() {
        check(yield* Effect.flip(Claude.text("hi")), api("AuthenticationFailed", 401))
        assert.deepStrictEqual(yield* bearer, ["Bearer sk-ant-test"])
      }).pipe(Effect.provide(playing(layerWith, [Faults.unauthorized, stream(paris)]))))

    it.live("a request with a token is not repeated after a 403", () =>
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

    it.live("the caller's client keeps its headers and middleware, but not its retries", () =>
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

    it.live("the middleware of the caller's client sees the status of an error whose body never ends", () =>
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

    it.live("a layer adds no middleware to the caller's client", () =>
      Effect.sync(() => {
        const client = new Sdk({ apiKey: "sk-ant-mine" })
        layerWith({ client })
        assert.deepStrictEqual(client.middleware, [])
      }))

    it.live("the caller's client sends its own key", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* Claude.text("hi"), "Paris")
        assert.deepStrictEqual(yield* bearer, ["Bearer sk-ant-mine"])
      }).pipe(withClient((baseURL) => new Sdk({ baseURL, apiKey: "sk-ant-mine" }), stream(paris))))
  })

  describe("a request causes InvalidRequest and is not sent if it has", () => {
    it.live.each([
      ["a header with a newline", { user_profile_id: "a\nb" }],
      ["a circular body", { metadata: circular }],
      ["a circular block with a cache mark", { system: [{ ...marked, circular }] }],
      // For example, the input of a tool call, which the application sends back to Claude.
      ["a block with 20,000 levels of nesting and a cache mark", { system: [{ ...marked, deep }] }],
      ["a BigInt, which JSON does not support", { metadata: { user_id: 1n } }]
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

    it.live("with a server that does not support TLS causes Unreachable", () =>
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

// The cast is safe: a server that listens on a port has an address with a port.
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
  // `beforeAll` starts this call, because undici's connect time-out takes 10 seconds.
  it(
    "an endless TLS handshake is closed by undici's connect time-out, because an interrupt cannot close it",
    () => connecting,
    30_000
  )
})
