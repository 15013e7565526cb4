/** Deviations of gateways and proxies, from public bug reports, over real sockets on every wire. */
import { Anthropic as Sdk, BaseAnthropic } from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Stream } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import type { Duplex } from "node:stream"
import { ProxyAgent } from "undici"
import { Anthropic, CallLog, Claude, type ClaudeError, Models, Policy, Retry, Timeout } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { FakeServer, Faults } from "../../src/testing/index.ts"
import { added, framed, started, stopped as closed } from "../support/streams.ts"

type More = Pick<Anthropic.Options, "messageStop">

const apiKey = "sk-ant-test"
const wires: ReadonlyArray<readonly [name: string, layer: (url: string, more?: More) => Layer.Layer<Claude.Claude>]> = [
  ["NodeAnthropic", (baseUrl, more) => NodeAnthropic.layer({ apiKey, baseUrl, ...more })],
  ["Anthropic", (baseUrl, more) => Anthropic.layer({ apiKey, baseUrl, ...more })],
  ["an SDK client", (baseURL, more) => Anthropic.layer({ client: new Sdk({ apiKey, baseURL }), ...more })]
]

const { event, stream } = Faults

/** An SSE event with any data, with or without a name. */
const frame = (name: string | undefined, data: unknown): string =>
  `${name === undefined ? "" : `event: ${name}\n`}data: ${JSON.stringify(data)}\n\n`

/** The events message_start, content_block_start, ping, one delta, content_block_stop, message_delta and message_stop. */
const paris = Faults.events("Paris")
const begun = paris.slice(0, 4)
const last = paris.slice(4)
const untilStop = paris.slice(0, -1)

const received = Effect.flatMap(FakeServer.FakeServer, (server) => server.received)

/** `Policy.standard` with a deadline of 10 seconds. */
const standard = Policy.apply({ ...Policy.standard, overall: "10 seconds" })

describe.each(wires)("%s", (_, wire) => {
  /** The result of a call to a server that plays these turns, and its number of requests. */
  const called = <A>(
    turns: Faults.Playable,
    call: Effect.Effect<A, ClaudeError.ClaudeError, Claude.Claude>,
    more?: More
  ) =>
    Effect.gen(function*() {
      const { url } = yield* FakeServer.FakeServer
      const result = yield* Effect.result(Effect.provide(call, wire(url, more)))
      return {
        value: result._tag === "Success" ? result.success : undefined,
        error: result._tag === "Failure" ? result.failure : undefined,
        requests: (yield* received).length
      }
    }).pipe(Effect.provide([FakeServer.layer(turns), CallLog.layerNoop]))

  const answers = (turn: Faults.Turn, more?: More) =>
    Effect.gen(function*() {
      const { error, requests, value } = yield* called([turn], standard(Claude.text("hi")), more)
      assert.deepStrictEqual([value, requests], ["Paris", 1], String(error))
    })

  // ---------------------------------------------------------------------------
  // Frames without content: github.com/decolua/9router/issues/3409
  // ---------------------------------------------------------------------------

  const frames: ReadonlyArray<readonly [name: string, frame: string]> = [
    ["a ping with an empty object", "event: ping\ndata: {}\n\n"],
    ["a ping without data", "event: ping\ndata: \n\n"],
    ["a ping that is not JSON", "event: ping\ndata: keep-alive\n\n"],
    ["an empty object without a name", "data: {}\n\n"],
    ["an empty list", "data: []\n\n"],
    ["null", "data: null\n\n"],
    ["a number", "data: 7\n\n"],
    ["an unknown event without JSON", "event: heartbeat\ndata: 12:00:01\n\n"],
    ["a comment", ": keep-alive\n\n"],
    ["an event with a name but no data", "event: content_block_delta\ndata: \n\n"],
    ["a ping with incomplete JSON", "event: ping\ndata: {\n\n"],
    ["an event whose type is null", frame(undefined, { type: null })],
    ["a named delta with an empty object", "event: content_block_delta\ndata: {}\n\n"],
    ["a delta that is null", event("content_block_delta", { index: 0, delta: null })],
    // github.com/BerriAI/litellm/pull/33315
    ["an empty delta", event("content_block_delta", { index: 0, delta: {} })],
    [
      "a text delta whose text is null",
      event("content_block_delta", { index: 0, delta: { type: "text_delta", text: null } })
    ],
    // github.com/agentgateway/agentgateway/issues/2147
    ["a text delta without text", event("content_block_delta", { index: 0, delta: { type: "text_delta", text: "" } })],
    [
      "a thinking delta without text",
      event("content_block_delta", { index: 0, delta: { type: "thinking_delta", thinking: "" } })
    ]
  ]

  it.live.each(frames)(
    "%s between the events of an answer is ignored",
    ([, frame]) => answers(stream([frame, ...begun, frame, ...last.flatMap((one) => [frame, one])]))
  )

  it.live("a content_block_stop that is sent twice reaches the reader once: github.com/BerriAI/litellm/issues/37273, github.com/maximhq/bifrost/issues/2293", () =>
    Effect.gen(function*() {
      const [blockStop = ""] = last
      const turn = stream([...begun, blockStop, ...last])
      yield* answers(turn)
      const { error, value } = yield* called([turn], Stream.runCollect(Claude.events("hi")))
      const stops = value?.filter(({ type }) => type === "content_block_stop")
      assert.strictEqual(stops?.length, 1, String(error))
    }))

  // ---------------------------------------------------------------------------
  // [DONE] in place of message_stop: github.com/huggingface/tau/issues/692
  // ---------------------------------------------------------------------------

  const done = "data: [DONE]\n\n"
  const endings: ReadonlyArray<readonly [name: string, turn: Faults.Turn]> = [
    ["and then the end of the body", stream([...untilStop, done])],
    ["and then silence", stream([...untilStop, done], { end: "silence" })],
    ["and then a reset", stream([...untilStop, done], { end: "reset", every: "5 millis" })],
    ["without a blank line after it", stream([...untilStop, done.trimEnd()])],
    ["before the stop reason", stream([...begun, done, ...untilStop.slice(4)], { every: "5 millis" })],
    ["before all events", stream([done, ...untilStop, done], { every: "5 millis", end: "silence" })],
    ["after message_stop", stream([...paris, done])]
  ]

  it.live.each(endings)(
    "with messageStop: optional, an answer with [DONE] %s is complete",
    ([, turn]) => answers(turn, { messageStop: "optional" })
  )

  it.live("with messageStop: optional, [DONE] does not complete an answer without a stop reason", () =>
    Effect.gen(function*() {
      const { error } = yield* called([stream([...begun, done])], Claude.text("hi"), { messageStop: "optional" })
      assert.strictEqual(error?._tag, "PartialAnswer")
    }))

  it.live("by default, events after [DONE] are still read", () =>
    answers(stream([...untilStop, done, ...paris.slice(-1)])))

  // ---------------------------------------------------------------------------
  // Errors with status 200: github.com/BerriAI/litellm/issues/41826
  // ---------------------------------------------------------------------------

  const error = { type: "overloaded_error", message: "No capacity in eu-west" }
  const json = { headers: { "content-type": "application/json" }, api: false }
  const overloads: ReadonlyArray<readonly [name: string, turn: Faults.Turn]> = [
    ["an event without a type", stream([event("error", { error })])],
    ["an event with LiteLLM's body", stream([frame("error", { error })])],
    ["an event without the outer error object", stream([frame("error", error)])],
    ["an event whose data is a list", stream([frame("error", [{ error }])])],
    ["an event without a name", stream([frame(undefined, { error })])],
    ["an event without a name whose data is a list", stream([frame(undefined, [{ error }])])],
    ["an event without a name and without the outer error object", stream([frame(undefined, error)])],
    ["a JSON body", Faults.respond(200, JSON.stringify({ type: "error", error }), json)],
    ["a JSON body without a type", Faults.respond(200, JSON.stringify({ error }), json)],
    ["a JSON body without the outer error object", Faults.respond(200, JSON.stringify(error), json)],
    ["Vertex's JSON list", Faults.respond(200, JSON.stringify([{ error }]), json)],
    ["a JSON body that never ends", Faults.respond(200, JSON.stringify({ error }), { ...json, end: "silence" })],
    ["a JSON body with the content type of an event stream", stream([JSON.stringify({ type: "error", error })])],
    ["a JSON body of many lines in small chunks", Faults.drip(stream([JSON.stringify({ error }, null, 2)]), 5)]
  ]

  it.live.each(overloads)(
    "an overload that is sent as %s causes Overloaded with its message",
    ([, turn]) =>
      Effect.gen(function*() {
        const { error } = yield* called([turn], Claude.text("hi"))
        assert.strictEqual(error?._tag, "Overloaded", String(error))
        assert.include(error?.message, "No capacity in eu-west")
      })
  )

  const told: ReadonlyArray<readonly [name: string, turn: Faults.Turn, tag: ClaudeError.Tag]> = [
    ["plain text", stream(["event: error\ndata: No capacity in eu-west\n\n"]), "UnexpectedResponse"],
    ["a JSON string", stream([frame("error", "No capacity in eu-west")]), "UnexpectedResponse"],
    ["a top-level message", stream([frame("error", { message: "No capacity in eu-west" })]), "UnexpectedResponse"],
    [
      "a string in the field error",
      stream([frame("error", { error: "No capacity in eu-west" })]),
      "UnexpectedResponse"
    ],
    [
      "a JSON body with only a message",
      Faults.respond(200, `{"message":"No capacity in eu-west"}`, json),
      "UnexpectedResponse"
    ]
  ]

  it.live.each(told)("an error that is sent as %s keeps its message", ([, turn, tag]) =>
    Effect.gen(function*() {
      const { error } = yield* called([turn], Claude.text("hi"))
      assert.strictEqual(error?._tag, tag)
      assert.include(error?.message, "No capacity in eu-west")
    }))

  const words = "No capacity in eu-west"
  const titled = `<!DOCTYPE html>\n${
    "<!--[if lt IE 7]> x <![endif]-->\n".repeat(20)
  }<head><title>${words}</title></head>`
  const inBody: ReadonlyArray<readonly [name: string, body: string, tag: ClaudeError.Tag]> = [
    // github.com/BYK/loreai/pull/900, github.com/UKGovernmentBEIS/inspect_ai/pull/3188
    ["OpenRouter's error with a status", JSON.stringify({ error: { message: words, code: 504 } }), "ServerFault"],
    [
      "OpenRouter's error with the message in metadata.raw",
      JSON.stringify({ error: { code: 402, metadata: { raw: words } } }),
      "SpendLimitReached"
    ],
    [
      "LiteLLM's error with a status as text",
      JSON.stringify({ error: { message: words, type: "None", code: "429" } }),
      "RateLimited"
    ],
    // github.com/cline/cline/issues/651
    [
      "Vertex's error in a list",
      JSON.stringify([{ error: { code: 429, message: words, status: "RESOURCE_EXHAUSTED" } }]),
      "RateLimited"
    ],
    ["Z.ai's error", JSON.stringify({ code: 500, msg: words, success: false }), "ServerFault"],
    [
      "OpenAI's error with a code",
      JSON.stringify({ error: { message: words, type: "requests", code: "rate_limit_exceeded" } }),
      "RateLimited"
    ],
    [
      "OpenAI's error for an invalid request",
      JSON.stringify({ error: { message: words, type: "invalid_request_error" } }),
      "InvalidRequest"
    ],
    ["an error in the field error of another error", JSON.stringify({ error: { error } }), "Overloaded"],
    [
      "an error as text in the message of another error",
      JSON.stringify({ error: { type: "api_error", message: JSON.stringify({ error }) } }),
      "Overloaded"
    ],
    ["a message beside a status", JSON.stringify({ error: { code: 500 }, message: words }), "ServerFault"],
    ["a detail beside a status", JSON.stringify({ error: { status: 429 }, detail: [{ msg: words }] }), "RateLimited"],
    ["an error after a byte order mark", `\uFEFF${JSON.stringify({ error })}`, "Overloaded"]
  ]

  it.live.each(inBody)(
    "%s keeps its kind and message, although the HTTP status is 200",
    ([, body, tag]) =>
      Effect.gen(function*() {
        const line = `data: ${body.replace("\uFEFF", "")}\n\n`
        for (const turn of [Faults.respond(200, body, json), stream([`event: error\n${line}`])]) {
          const { error } = yield* called([turn], Claude.text("hi"))
          assert.strictEqual(error?._tag, tag, String(error))
          assert.include(error?.message, words)
        }
      })
  )

  const exceptions: ReadonlyArray<readonly [name: string, data: unknown, tag: ClaudeError.Tag]> = [
    ["ThrottlingException", "ThrottlingException", "RateLimited"],
    ["InternalServerException", "InternalServerException", "ServerFault"],
    ["throttlingException", { type: "error", error: { type: "throttlingException", message: "Wait" } }, "RateLimited"],
    [
      "validationException",
      { type: "error", error: { type: "validationException", message: "Wait" } },
      "InvalidRequest"
    ]
  ]

  it.live.each(exceptions)(
    "Bedrock's %s in a stream is classified by its name",
    ([, data, tag]) =>
      Effect.gen(function*() {
        const body = typeof data === "string" ? data : JSON.stringify(data)
        const { error } = yield* called([stream([`event: error\ndata: ${body}\n\n`])], Claude.text("hi"))
        assert.strictEqual(error?._tag, tag, String(error))
      })
  )

  const said: ReadonlyArray<readonly [name: string, status: number, body: unknown, tag: ClaudeError.Tag]> = [
    ["FastAPI's list of details", 422, { detail: [{ type: "missing", loc: ["body"], msg: words }] }, "InvalidRequest"],
    ["the title of a problem (RFC 9457)", 503, { type: "about:blank", title: words, status: 503 }, "ServerFault"],
    ["OAuth's error_description", 401, { error: "invalid_client", error_description: words }, "AuthenticationFailed"],
    // github.com/BerriAI/litellm/pull/36598
    ["LiteLLM's message object", 400, { error: { type: "x", message: { error: words } } }, "InvalidRequest"],
    // github.com/vercel/ai/pull/19318
    [
      "an error that is JSON as text",
      400,
      { type: "error", error: JSON.stringify({ message: words }) },
      "InvalidRequest"
    ],
    ["AWS's exception", 400, { __type: "com.amazon#ThrottlingException", message: words }, "RateLimited"],
    ["Bedrock's error for a failed model", 424, { message: words, originalStatusCode: 500 }, "ServerFault"],
    [
      "Azure's error for a full context window",
      400,
      { error: { code: "context_length_exceeded", message: words } },
      "ContextWindowExceeded"
    ],
    [
      "a detail beside an empty list",
      400,
      { errors: [], detail: `prompt is too long, ${words}` },
      "ContextWindowExceeded"
    ],
    ["a detail beside an empty error", 400, { error: {}, detail: words }, "InvalidRequest"],
    ["a message beside an error without one", 400, { error: { code: 500 }, message: words }, "InvalidRequest"],
    ["a message beside an error of null", 429, { error: null, message: words }, "RateLimited"],
    ["a message beside a blank one", 400, { error: { message: " " }, message: words }, "InvalidRequest"],
    ["a list of texts", 400, { errors: [words, "and more"] }, "InvalidRequest"],
    ["an error in JSON whose type is outside", 400, {
      error: { type: "overloaded_error", message: JSON.stringify({ detail: words }) }
    }, "Overloaded"],
    ["the title of an HTML page", 502, titled, "ServerFault"],
    ["the title of an HTML page with status 200", 200, titled, "UnexpectedResponse"]
  ]

  it.live.each(said)("the message of an error is read from %s", ([, status, body, tag]) =>
    Effect.gen(function*() {
      const turn = Faults.respond(status, typeof body === "string" ? body : JSON.stringify(body), json)
      const { error } = yield* called([turn], Claude.text("hi"))
      assert.strictEqual(error?._tag, tag, String(error))
      assert.include(error?.message, words)
      assert.notInclude(error?.message, "{")
    }))

  it.live.each([
    ["words", { type: "api_error", message: "no such words, ".repeat(600_000) }],
    ["words in JSON", { type: "api_error", message: JSON.stringify({ message: "no such words, ".repeat(600_000) }) }],
    ["a code", { type: "api_error", message: "no such words", code: "c".repeat(9_000_000) }]
  ])("an event of 9 MB with %s gives a short error", ([, error]) =>
    Effect.gen(function*() {
      const { error: failure } = yield* called([stream([frame("error", { error })])], Claude.text("hi"))
      assert.strictEqual(failure?._tag, "ServerFault")
      assert.match(failure?.detail ?? "", /^no such words/)
      assert.isBelow(JSON.stringify(failure).length, 5000)
    }), 4000)

  it.live("an error event that has no type and follows content causes PartialAnswer with the event's message", () =>
    Effect.gen(function*() {
      const { error: broken } = yield* called([stream([...begun, frame("error", { error })])], Claude.text("hi"))
      assert.deepInclude({ ...broken }, { _tag: "PartialAnswer", because: "Overloaded" })
      assert.include(broken?.message, "No capacity in eu-west")
    }))

  // ---------------------------------------------------------------------------
  // Later events with less information: github.com/use-agent-os/agent-os/issues/1724
  // ---------------------------------------------------------------------------

  const change = (delta: unknown, usage?: unknown) => frame("message_delta", { type: "message_delta", delta, usage })
  const stopped = change({ stop_reason: "end_turn", stop_sequence: "END" }, { input_tokens: 14, output_tokens: 9 })
  const zeros = {
    input_tokens: 0,
    output_tokens: 0,
    cache_creation: { ephemeral_5m_input_tokens: 0 },
    server_tool_use: { web_search_requests: 0 }
  }
  const later: ReadonlyArray<readonly [name: string, event: string]> = [
    ["an empty delta", change({})],
    ["a delta that is null", change(null)],
    ["no delta field", change(undefined)],
    ["a stop reason of null", change({ stop_reason: null, stop_sequence: null, model: null })],
    ["an empty stop reason", change({ stop_reason: "", stop_sequence: "", model: "" })],
    ["usage of null", change({}, null)],
    ["usage fields of null", change({}, { input_tokens: null, output_tokens: null, server_tool_use: null })],
    ["usage fields of zero", change({}, zeros)]
  ]

  it.live.each(later)(
    "a message_delta with %s before or after the stop reason changes neither the stop reason, the model nor the usage",
    ([, event]) =>
      Effect.gen(function*() {
        const [start = "", ...rest] = begun
        const known = start.replace(
          `"input_tokens":14,`,
          `"input_tokens":14,"cache_creation":{"ephemeral_5m_input_tokens":3},"server_tool_use":{"web_search_requests":2},`
        )
        const [blockStop = "", , messageStop = ""] = last
        for (const events of [[stopped, event], [event, stopped], [stopped, event, event]]) {
          const turn = stream([known, ...rest, blockStop, ...events, messageStop])
          const { error, value } = yield* called([turn], Claude.message("hi"))
          assert.strictEqual(value?.stopReason, "end_turn", String(error))
          assert.strictEqual(value?.message.stop_sequence, "END")
          assert.strictEqual(value?.model, "claude-sonnet-5-5")
          assert.deepInclude({ ...value?.usage } as object, {
            input_tokens: 14,
            output_tokens: 9,
            cache_creation: { ephemeral_5m_input_tokens: 3 },
            server_tool_use: { web_search_requests: 2 }
          })
        }
      })
  )

  // ---------------------------------------------------------------------------
  // Content types
  // ---------------------------------------------------------------------------

  it.live.each(["", " ", "text/plain", "text/html; charset=utf-8", "application/json", "application/octet-stream"])(
    "an answer whose content type is %j is read",
    (type) =>
      Effect.gen(function*() {
        const headers = { "content-type": type }
        for (const first of ["", "\n\n", ": hello\n\n", "\uFEFF", "id: 1\n"]) {
          yield* answers(stream([first, ...paris].filter((bytes) => bytes !== ""), { headers }))
        }
        yield* answers(Faults.drip(stream(paris, { headers }), 7))
      })
  )

  const page = "<html><title>Welcome to the hotel</title></html>"
  const others: ReadonlyArray<readonly [type: string, body: string]> = [
    ["text/html", page],
    ["text/plain", "Service unavailable"],
    ["text/plain", ""],
    ["text/event-stream", page]
  ]

  it.live.each(others)(
    "a body with the content type %s that is not an event stream causes UnexpectedResponse: %j",
    ([type, body]) =>
      Effect.gen(function*() {
        const turn = Faults.respond(200, body, { headers: { "content-type": type } })
        const { error } = yield* called([turn], Claude.text("hi"))
        assert.strictEqual(error?._tag, "UnexpectedResponse")
        if (type !== "text/event-stream") {
          assert.include(error?.message, `its content type is ${type}, not an event stream`)
        }
      })
  )

  // ---------------------------------------------------------------------------
  // A message_start that is repeated
  // ---------------------------------------------------------------------------

  const start = paris.slice(0, 1)
  const repeats: ReadonlyArray<readonly [name: string, events: ReadonlyArray<string>]> = [
    ["directly after the first one", [...start, ...paris]],
    ["after some content", [...begun, ...start, ...last]],
    ["twice before message_stop", [...untilStop, ...start, ...start, ...paris.slice(-1)]]
  ]

  it.live.each(repeats)(
    "a repeated message_start with the same id is accepted if it arrives %s",
    ([, events]) => answers(stream(events))
  )

  it.live("a repeated message_start adds fields that the first one lacks, and removes none: github.com/maximhq/bifrost/issues/4556", () =>
    Effect.gen(function*() {
      const [full = ""] = start
      const less = full.replace(`"service_tier":"standard"`, `"service_tier":null`)
      assert.notStrictEqual(less, full)
      for (const starts of [[less, full], [full, less]]) {
        const { error, value } = yield* called([stream([...starts, ...paris.slice(1)])], Claude.message("hi"))
        assert.strictEqual(value?.text, "Paris", String(error))
        assert.deepInclude({ ...value?.usage } as object, { input_tokens: 14, service_tier: "standard" })
      }
    }))

  // ---------------------------------------------------------------------------
  // Requests for token counts and model lists
  // ---------------------------------------------------------------------------

  const simple: ReadonlyArray<
    readonly [name: string, call: Effect.Effect<unknown, ClaudeError.ClaudeError, Claude.Claude>]
  > = [
    ["countTokens", Claude.countTokens("hi")],
    ["Models.refresh", Models.refresh]
  ]

  const bodies: ReadonlyArray<string | undefined> = [undefined, "{"]

  it.live.each(simple)(
    "%s against a silent server fails with TimedOut at the limit of Timeout.attempt, and at the attempt limit of a policy",
    ([, call]) =>
      Effect.gen(function*() {
        for (const limited of [Timeout.attempt("100 millis")(call), Policy.apply({ attempt: "100 millis" })(call)]) {
          for (const body of bodies) {
            const { url } = yield* silent(body)
            const error = yield* Effect.flip(Effect.provide(limited, wire(url))).pipe(Effect.timeout("5 seconds"))
            assert.deepInclude({ ...error }, { _tag: "TimedOut", scope: "attempt", limit: Duration.millis(100) })
          }
        }
      }).pipe(Effect.scoped, Effect.provide(CallLog.layerNoop))
  )

  it.live.each(simple)(
    "%s against a silent server is retried after it reaches the attempt limit of a policy with a retry schedule",
    ([, call]) =>
      Effect.gen(function*() {
        const { asked, url } = yield* silent(undefined)
        const retry = Retry.backoff({ times: 1, base: "1 milli" })
        const error = yield* call.pipe(
          Policy.apply({ attempt: "100 millis", retry }),
          Effect.flip,
          Effect.provide(wire(url))
        )
        assert.deepStrictEqual([error._tag, asked()], ["TimedOut", 2])
      }).pipe(Effect.scoped, Effect.provide(CallLog.layerNoop))
  )

  // ---------------------------------------------------------------------------
  // Answers without content
  // ---------------------------------------------------------------------------

  it.live.each(["compaction", "stop_sequence", "end_turn", "tool_use", "brand_new"])(
    "an answer without content and with the stop reason %s causes EmptyAnswer",
    (stopReason) =>
      Effect.gen(function*() {
        // Some gateways start a text block before they know whether there is any text.
        for (const text of [undefined, "", " "]) {
          const turn = text === undefined
            ? Faults.answer("", { stopReason })
            : stream(
              framed(
                [started(0, { type: "text", text: "" }), added(0, { type: "text_delta", text }), closed(0)],
                stopReason
              )
            )
          for (const call of [Claude.text("hi"), Claude.message("hi"), Stream.runDrain(Claude.stream("hi"))]) {
            const { error } = yield* called<unknown>([turn], call)
            assert.strictEqual(error?._tag, "EmptyAnswer")
          }
        }
      })
  )

  // ---------------------------------------------------------------------------
  // Addresses and proxies
  // ---------------------------------------------------------------------------

  const flaws: ReadonlyArray<readonly [url: string, words: RegExp]> = [
    ["http://127.0.0.1:1/v1", /ends in \/v1, .*remove this ending/],
    ["http://127.0.0.1:1/v1/", /ends in \/v1\/, .*remove this ending/],
    ["http://127.0.0.1:1/anthropic/v1/messages", /ends in \/v1\/messages, .*remove this ending/],
    ["http://127.0.0.1:1/V1", /ends in \/V1, .*remove this ending/],
    ["http://127.0.0.1:1/v1/messages/count_tokens", /ends in \/v1\/messages\/count_tokens, .*remove this ending/],
    ["http://127.0.0.1:1/api/v1/chat/completions", /ends in \/v1\/chat\/completions, .*remove this ending/],
    ["http://127.0.0.1:1/?key=secret", /no query/],
    ["http://127.0.0.1:1?key=secret", /no query/],
    ["http://127.0.0.1:1/#secret", /no fragment/]
  ]

  it.each(flaws)("the address %s is refused with a message that says why and shows no secret", (url, words) => {
    assert.throws(() => wire(url), RangeError, words)
    assert.throws(() => wire(url), RangeError, /^(?!.*secret)/)
  })

  it.each(["http://127.0.0.1:1/v1/account/gateway/anthropic", "http://127.0.0.1:1/v12", "http://127.0.0.1:1/"])(
    "the address %s is accepted",
    (url) => assert.doesNotThrow(() => wire(url))
  )

  it("the address of a client for a cloud may end in /v1, because the client builds its own paths", () =>
    assert.doesNotThrow(() =>
      Anthropic.layer({ client: new BaseAnthropic({ apiKey, baseURL: "https://aiplatform.googleapis.com/v1" }) })
    ))

  it.live("a 407 of a proxy is not retried, and its error says what to do", () =>
    Effect.gen(function*() {
      const { error, requests } = yield* called(
        [Faults.respond(407, "", { headers: { "proxy-authenticate": "Basic" } })],
        standard(Claude.text("hi"))
      )
      assert.deepInclude({ ...error }, { _tag: "Unreachable", code: "PROXY_407", gaveUp: "NotRetried" })
      assert.include(error?.message, "http://user:password@")
      assert.strictEqual(requests, 1)
    }))
})

it.live.each(wires.slice(0, 2))(
  "%s removes slashes and white space after an address: github.com/FerroxLabs/wayland/issues/1217",
  ([, wire]) =>
    Effect.gen(function*() {
      const server = yield* FakeServer.FakeServer
      // The server answers every other path with 404.
      for (const after of ["/", "//", " ", "\n", "/\r\n"]) {
        assert.strictEqual(yield* Effect.provide(Claude.text("hi"), wire(server.url + after)), "Paris")
      }
    }).pipe(Effect.provide([FakeServer.layer(Faults.cycle(Faults.answer("Paris"))), CallLog.layerNoop]))
)

interface Serving {
  readonly url: string
  readonly asked: () => number
  readonly close: () => void
}

/** A server that counts its requests, including `CONNECT` requests for a tunnel. */
const serving = (onRequest: (response: Http.ServerResponse) => void, onTunnel: (socket: Duplex) => void) =>
  Effect.acquireRelease(
    Effect.callback<Serving>((resume) => {
      let asked = 0
      const server = Http.createServer((_, response) => {
        asked++
        onRequest(response)
      })
      server.on("connect", (_, socket) => {
        asked++
        onTunnel(socket)
      })
      server.listen(0, "127.0.0.1", () => {
        const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
        const close = () => {
          server.close()
          server.closeAllConnections()
        }
        resume(Effect.succeed({ url, asked: () => asked, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

/** A server that never responds or, if `body` is given, sends it as the beginning of a body that never ends. */
const silent = (body: string | undefined) =>
  serving((response) => {
    if (body !== undefined) response.writeHead(200, { "content-type": "application/json" }).write(body)
  }, (socket) => socket.end())

/** A proxy that refuses every tunnel with `status`. */
const refusing = (status: number) =>
  serving(
    (response) => response.end(),
    (socket) => socket.end(`HTTP/1.1 ${status} No\r\ncontent-length: 0\r\n\r\n`)
  )

describe("a proxy that refuses a tunnel", () => {
  const cases: ReadonlyArray<readonly [status: number, asked: number]> = [[407, 1], [403, 1], [502, 3]]
  for (const ofClient of [false, true]) {
    it.live.each(cases)(
      `with status %i gets %i request(s) from ${ofClient ? "an SDK client" : "NodeAnthropic"}`,
      ([status, times]) =>
        Effect.gen(function*() {
          const { asked, url } = yield* refusing(status)
          const dispatcher = new ProxyAgent(url)
          const baseURL = "https://api.example.test"
          const options: NodeAnthropic.Options = ofClient
            // Node declares an older type of `RequestInit`.
            ? { client: new Sdk({ apiKey, baseURL, fetchOptions: { dispatcher } as object }) }
            : { apiKey, baseUrl: baseURL, dispatcher }
          const error = yield* Claude.text("hi").pipe(
            Policy.apply({ retry: Retry.backoff({ times: 2, base: "1 milli" }) }),
            Effect.flip,
            Effect.provide(Layer.provideMerge(NodeAnthropic.layer(options), CallLog.layerNoop))
          )
          assert.deepInclude({ ...error }, { _tag: "Unreachable", code: `PROXY_${status}` })
          assert.strictEqual(asked(), times)
          if (status === 407) assert.include(error.message, "http://user:password@")
        }).pipe(Effect.scoped)
    )
  }
})
