import Anthropic from "@anthropic-ai/sdk"
import type * as Beta from "@anthropic-ai/sdk/resources/beta/messages"
import type * as Sdk from "@anthropic-ai/sdk/resources/messages"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { FakeServer, Faults } from "../../src/testing/index.ts"

interface Request {
  readonly method?: string
  readonly path?: string
  /** An undefined header is not sent. */
  readonly headers?: Readonly<Record<string, string | undefined>>
  /**
   * Changes to a well-formed body, or the text that is sent instead of it. A parameter that is undefined is left out.
   */
  readonly body?: object | string
}

const hello: Sdk.MessageCreateParamsBase = {
  model: "claude-opus-5-5",
  max_tokens: 100,
  messages: [{ role: "user", content: "Hello" }]
}

const send = ({ body = {}, headers, method = "POST", path = "/v1/messages" }: Request) =>
  Effect.gen(function*() {
    const { url } = yield* FakeServer.FakeServer
    const all = Object.entries({
      authorization: "Bearer sk-ant-test",
      "anthropic-version": "2026-10-21",
      "content-type": "application/json",
      ...headers
    })
    const text = typeof body === "string" ? body : JSON.stringify({ ...hello, ...body })
    const response = yield* Effect.promise((signal) =>
      fetch(url + path, {
        method,
        headers: all.flatMap(([name, value]) => value === undefined ? [] : [[name, value] as [string, string]]),
        // Bytes, because fetch adds a content type to text.
        body: method === "GET" ? null : new TextEncoder().encode(text),
        signal
      })
    )
    return { response, text: yield* Effect.promise(() => response.text()) }
  })

const first = hello.messages[0]
const user = (...content: ReadonlyArray<unknown>) => ({ role: "user", content })
const assistant = (...content: ReadonlyArray<unknown>) => ({ role: "assistant", content })
const says = (...content: ReadonlyArray<unknown>) => ({ messages: [user(...content)] })
const call = (id: string) => ({ type: "tool_use", id, name: "get_weather", input: {} })
const result = (id: string) => ({ type: "tool_result", tool_use_id: id, content: "rain" })
const closed = { type: "object", additionalProperties: false }
const tool = { name: "get_weather", input_schema: closed }
const tools = (change: object) => ({ tools: [{ ...tool, ...change }] })
const image = (media_type: string, data = "aGk=") => ({ type: "image", source: { type: "base64", media_type, data } })
const count = "/v1/messages/count_tokens"
/** A model that accepts prefill, and thinking that is `enabled`. */
const older = { model: "claude-opus-4-5" }
const begun = (content: unknown) => ({ messages: [first, { role: "assistant", content }] })
const enabled = { type: "enabled", budget_tokens: 1024 }
const format = { type: "json_schema" as const, schema: closed }
const beta = (name: string) => ({ "anthropic-beta": name })

// -----------------------------------------------------------------------------
// Refused
// -----------------------------------------------------------------------------

/** Refusals other than 400 `invalid_request_error`. */
const others: ReadonlyArray<readonly [title: string, number, type: string, message: string, Request]> = [
  ["an unknown path", 404, "not_found_error", "Not Found", { path: "/v1/complete" }],
  ["a path below a known one", 404, "not_found_error", "Not Found", { path: "/v1/messages/batches" }],
  ["a method other than POST", 405, "invalid_request_error", "Method Not Allowed", { method: "GET" }],
  ["a body of more than 32 MB", 413, "request_too_large", "exceeds the maximum size", {
    body: " ".repeat(32 * 2 ** 20 + 1)
  }],
  ["missing credentials", 401, "authentication_error", "x-api-key header is required", {
    headers: { authorization: undefined }
  }],
  ["an empty key", 401, "authentication_error", "header is required", {
    headers: { authorization: undefined, "x-api-key": "" }
  }],
  ["an authorization scheme other than Bearer", 401, "authentication_error", "Invalid bearer token", {
    headers: { authorization: "Basic eDp5" }
  }],
  ["an empty Bearer token", 401, "authentication_error", "Invalid bearer token", {
    headers: { authorization: "Bearer" }
  }],
  ["a missing content type", 415, "invalid_request_error", "application/json", {
    headers: { "content-type": undefined }
  }],
  ["a content type other than JSON", 415, "invalid_request_error", "application/json", {
    headers: { "content-type": "text/plain" }
  }]
]

/** The checks of the server, and one request for each kind of validation rule. */
const invalid: ReadonlyArray<readonly [title: string, message: string, Request]> = [
  ["a missing version", "anthropic-version: header is required", { headers: { "anthropic-version": undefined } }],
  ["an unknown version", `anthropic-version: "2024-10-22" is not a valid version`, {
    headers: { "anthropic-version": "2024-10-22" }
  }],
  ["a body that is not JSON", "The request body is not valid JSON", { body: "{\"model\":" }],
  ["a missing body", "The request body is not valid JSON", { body: "" }],
  ["a body that is a list", "Input should be a valid dictionary", { body: "[]" }],
  ["a body that is null", "Input should be a valid dictionary", { body: "null" }],
  ["a missing model", "model: Field required", { body: { model: undefined } }],
  ["missing max_tokens", "max_tokens: Field required", { body: { max_tokens: undefined } }],
  ["missing messages", "messages: Field required", { body: { messages: undefined } }],
  ["an unknown parameter", "foo: Extra inputs are not permitted", { body: { foo: 1 } }],
  ["a parameter with the name of a method", "constructor: Extra inputs are not permitted", {
    body: { constructor: 1 }
  }],
  ["a parameter of a beta without its header", "context_management: Extra inputs are not permitted", {
    body: { context_management: {} }
  }],
  ["max_tokens in a token count", "max_tokens: Extra inputs are not permitted", { path: count }],
  ["stream in a token count", "stream: Extra inputs", {
    path: count,
    body: { max_tokens: undefined, stream: true }
  }],
  ["stream as a string", "stream: Input should be a valid boolean", { body: { stream: "true" } }],
  ["more tokens than a beta allows", "max_tokens: max_tokens is 300001: claude-opus-4-5 writes at most 300000", {
    headers: beta("output-300k-2026-03-24"),
    body: { ...older, max_tokens: 300_001 }
  }],

  ["a removed parameter", "temperature: temperature is no longer accepted by the API", { body: { temperature: 1 } }],
  ["an invalid role", "messages.0.role: the role is \"tool\"", {
    body: { messages: [{ role: "tool", content: "Hello" }] }
  }],
  ["a blank message in a token count", "messages.0.content: the text of a message is blank", {
    path: count,
    body: { max_tokens: undefined, messages: [{ role: "user", content: " " }] }
  }],
  [
    "a prefill that ends with whitespace",
    "messages.1.content: the last message is a prefill that ends with whitespace",
    {
      body: { ...older, ...begun("The best answer is ") }
    }
  ],
  ["a tool_use without a tool_result", "messages.1.content.0: the tool_use \"a\" has no tool_result", {
    body: { messages: [first, assistant(call("a"))] }
  }],
  ["an image with an invalid media type", "messages.0.content.0.source.media_type: the media type is \"image/bmp\"", {
    body: says(image("image/bmp"))
  }],
  ["an image over 10 MB", "messages.0.content.0.source.data: the image has 10485764 bytes", {
    body: says(image("image/png", "A".repeat(10 * 2 ** 20 + 4)))
  }],
  ["an invalid tool name", "tools.0.name: the name of a tool is \"get weather\"", {
    body: tools({ name: "get weather" })
  }],
  ["an invalid strict schema", "tools.0.input_schema.additionalProperties: additionalProperties must be false", {
    body: tools({ strict: true, input_schema: { type: "object" } })
  }],
  ["an unknown type of tool_choice", "tool_choice.type: the type of tool_choice is \"required\"", {
    body: { model: "claude-next", tools: [tool], tool_choice: { type: "required" } }
  }],
  [
    "a prefill for a model that does not support prefill",
    "messages.1: the last message is from the assistant, and claude-opus-5-5 cannot continue it",
    {
      body: begun("The best answer is (")
    }
  ],
  ["an unsupported type of thinking", "thinking.type: claude-opus-5-5 does not support thinking \"enabled\"", {
    body: { max_tokens: 2000, thinking: enabled }
  }],
  ["a forced tool with enabled thinking", "tool_choice.type: a model cannot be forced to use a tool", {
    body: { ...older, max_tokens: 2000, thinking: enabled, tools: [tool], tool_choice: { type: "any" } }
  }]
]

const refused = [
  ...others,
  ...invalid.map(([title, message, request]) => [title, 400, "invalid_request_error", message, request] as const)
]

describe("FakeServer", () => {
  for (const [title, status, type, message, request] of refused) {
    it.live(`refuses ${title}: ${status} ${type}`, () =>
      Effect.gen(function*() {
        const refusal = yield* send(request)
        assert.strictEqual(refusal.response.status, status, refusal.text)
        assert.strictEqual(refusal.response.headers.get("content-type"), "application/json")
        assert.match(refusal.response.headers.get("request-id") ?? "", /^req_/)
        const body = JSON.parse(refusal.text)
        assert.strictEqual(body.type, "error")
        assert.strictEqual(body.error.type, type)
        assert.include(body.error.message, message)
        assert.notMatch(body.error.message, /\{\w+\}/)

        const next = yield* send({})
        assert.include(next.text, "first", "the refusal has used up the turn")
        const received = yield* (yield* FakeServer.FakeServer).received
        assert.deepStrictEqual(received.map(({ refused }) => refused), [true, false])
      }).pipe(Effect.provide(FakeServer.layer([Faults.answer("first"), Faults.answer("second")]))))
  }
})

// -----------------------------------------------------------------------------
// Accepted
// -----------------------------------------------------------------------------

/** Every parameter of a request: a missing parameter is a type error. */
const every: Required<Sdk.MessageCreateParamsBase> = {
  ...hello,
  model: "claude-opus-5",
  cache_control: { type: "ephemeral" },
  container: { id: "container_1", skills: [{ type: "anthropic", skill_id: "pptx" }] },
  diagnostics: { previous_message_id: "msg_1" },
  inference_geo: "eu",
  metadata: { user_id: "u1" },
  output_config: { effort: "high", format },
  service_tier: "auto",
  speed: "fast",
  stop_sequences: ["END"],
  stream: false,
  system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
  thinking: { type: "adaptive", display: "omitted" },
  tool_choice: { type: "tool", name: "get_weather", disable_parallel_tool_use: true },
  tools: [{ name: "get_weather", input_schema: { type: "object" } }],
  user_profile_id: "up_1",
  workspace_id: "wrkspc_1"
}

const countable: Required<Sdk.MessageCountTokensParams> = {
  model: every.model,
  messages: every.messages,
  cache_control: every.cache_control,
  output_config: every.output_config,
  speed: every.speed,
  system: every.system,
  thinking: every.thinking,
  tool_choice: every.tool_choice,
  tools: [{ name: "get_weather", input_schema: { type: "object" } }],
  user_profile_id: every.user_profile_id,
  workspace_id: every.workspace_id
}

type BetaOnly<Params> = Required<Omit<Params, keyof Sdk.MessageCreateParamsBase | "betas">>

const betaCountable: BetaOnly<Beta.MessageCountTokensParams> = {
  billing_policy: null,
  compaction: null,
  context_management: { edits: [{ type: "clear_tool_uses_20250919" }] },
  mcp_servers: [{ type: "url", name: "docs", url: "https://docs.test" }],
  output_format: null
}

const everyBeta: BetaOnly<Beta.MessageCreateParamsNonStreaming> = {
  ...betaCountable,
  fallback_credit_token: "token",
  fallbacks: null,
  thread: null
}

const nothing = Object.fromEntries(
  ["cache_control", "container", "diagnostics", "inference_geo", "speed", "stop_sequences", "stream", "system"]
    .concat("thinking", "tool_choice", "tools").map((name) => [name, null])
)

const kinds: ReadonlyArray<Sdk.ContentBlockParam> = [
  { type: "image", source: { type: "url", url: "https://images.test/a.bmp" } },
  { type: "image", source: { type: "file", file_id: "file_1" } },
  { type: "image", source: { type: "base64", media_type: "image/webp", data: "aGk=" } },
  { type: "document", source: { type: "base64", media_type: "application/pdf", data: "aGk=" } },
  { type: "document", source: { type: "text", media_type: "text/plain", data: "" }, title: null },
  { type: "search_result", source: "s", title: "t", content: [{ type: "text", text: "found" }] },
  { type: "container_upload", file_id: "file_1" },
  { type: "text", text: "\u0000 ünï 🎉 {value} $& `x`" }
]

const answered: ReadonlyArray<Sdk.ContentBlockParam> = [
  { type: "thinking", thinking: "", signature: "s" },
  { type: "redacted_thinking", data: "d" },
  { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: {} },
  { type: "web_search_tool_result", tool_use_id: "srvtoolu_1", content: [] },
  { type: "text", text: "Yes." }
]

const accepted: ReadonlyArray<readonly [title: string, Request]> = [
  ["every parameter", { body: every }],
  ["every parameter of a token count", { path: count, body: { ...countable, max_tokens: undefined } }],
  ["every parameter of the betas", { headers: beta("message-threads-2026-08-12"), body: everyBeta }],
  [
    "every parameter of the betas in a token count",
    { path: count, headers: beta("mcp-client-2025-11-20"), body: { ...betaCountable, max_tokens: undefined } }
  ],
  ["parameters that are null", { body: nothing }],
  ["max_tokens of 0, to fill the cache", { body: { max_tokens: 0 } }],
  ["the highest max_tokens", { body: { max_tokens: 128_000 } }],
  ["a higher max_tokens with a beta", { headers: beta("output-300k-2026-03-24"), body: { max_tokens: 300_000 } }],
  ["an unknown model", { body: { model: "claude-next" } }],
  ["a prefill", { body: { ...older, ...begun("The best answer is (") } }],
  ["a prefill in blocks", {
    body: { ...older, ...begun([{ type: "text", text: "Well," }, { type: "text", text: "The best" }]) }
  }],
  ["an empty prefill", { body: { ...older, ...begun("") } }],
  ["a paused answer", {
    body: begun([
      { type: "text", text: "Let me look. " },
      { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: {} }
    ])
  }],
  ["a retired model", { body: { model: "claude-sonnet-4-5" } }],
  ["the highest max_tokens of a smaller model", { body: { ...older, max_tokens: 64_000 } }],
  ["a higher max_tokens of a smaller model with a beta", {
    headers: beta("output-300k-2026-03-24"),
    body: { ...older, max_tokens: 300_000 }
  }],
  ["any parameter for an unknown model", {
    body: {
      model: "claude-next",
      ...begun("{"),
      max_tokens: 1_000_000,
      output_config: { effort: "utmost" },
      thinking: enabled,
      tools: [tool],
      tool_choice: { type: "any" }
    }
  }],
  ["unsupported parameters in a token count", {
    path: count,
    body: { max_tokens: undefined, ...begun("Yes"), output_config: { effort: "utmost" }, thinking: enabled }
  }],
  ["a supported effort", { body: { ...older, output_config: { effort: "high" } } }],
  ["an effort that is null", { body: { ...older, output_config: { effort: null } } }],
  ["a format without a prefill", { body: { ...older, output_config: { format } } }],
  ["tool_choice auto with thinking", {
    body: { ...older, max_tokens: 2000, thinking: enabled, tools: [tool], tool_choice: { type: "auto" } }
  }],
  ["a forced tool for a model that supports it", { body: { ...older, tools: [tool], tool_choice: { type: "any" } } }],
  ["blocks of many kinds", { body: { messages: [user(...kinds), assistant(...answered), first] } }],
  [
    "a tool_result in a thread",
    { headers: beta("message-threads-2026-08-12"), body: { thread: { type: "create" }, ...says(result("a")) } }
  ],
  ["server tools and toolsets", {
    body: {
      tools: [
        tool,
        { type: "web_search_20250305", name: "web_search" },
        { type: "browser_toolset_20260801" },
        { type: "computer_toolset_20260801" }
      ]
    }
  }],
  ["a forced server tool", {
    body: {
      ...older,
      tools: [{ type: "web_search_20250305", name: "web_search" }],
      tool_choice: { type: "tool", name: "web_search" }
    }
  }],
  ["thinking between tools", { body: { model: "claude-sonnet-5-5", thinking: { type: "between_tools" } } }],
  ["disabled thinking", { body: { ...older, thinking: { type: "disabled" } } }],
  ["a thinking budget above max_tokens, with tools", {
    body: { ...older, thinking: { type: "enabled", budget_tokens: 20_000 }, tools: [tool] }
  }],
  ["thinking in a token count", {
    path: count,
    body: { max_tokens: undefined, thinking: { type: "enabled", budget_tokens: 1024 } }
  }],
  ["an x-api-key header", { headers: { authorization: undefined, "x-api-key": "sk-ant-test" } }],
  ["an older version", { headers: { "anthropic-version": "2023-06-01" } }],
  ["a content type with a character set", { headers: { "content-type": "Application/JSON; charset=utf-8" } }],
  ["a query string", { path: "/v1/messages?beta=true" }],
  ["a body of 32 MB", { body: JSON.stringify(hello).padEnd(32 * 2 ** 20) }]
]

describe("FakeServer", () => {
  for (const [title, request] of accepted) {
    it.live(`accepts ${title}`, () =>
      Effect.gen(function*() {
        const { response, text } = yield* send(request)
        assert.strictEqual(response.status, 200, text)
        assert.include(text, request.path === count ? "input_tokens" : "first")
        const received = yield* (yield* FakeServer.FakeServer).received
        assert.deepStrictEqual(received.map(({ refused }) => refused), [false])
      }).pipe(Effect.provide(FakeServer.layer([Faults.answer("first")]))))
  }

  it.live("accepts the SDK's requests for messages and for token counts", () =>
    Effect.gen(function*() {
      const { received, url } = yield* FakeServer.FakeServer
      const client = new Anthropic({ apiKey: "sk-ant-test", baseURL: url, maxRetries: 0, logLevel: "off" })
      const text = yield* Effect.promise(() => client.messages.stream({ ...every, stream: true }).finalText())
      assert.strictEqual(text, "first")
      const counted = yield* Effect.promise(() => client.messages.countTokens(countable))
      assert.isAbove(counted.input_tokens, 0)
      const betas = ["message-threads-2026-08-12"]
      const last = yield* Effect.promise(() =>
        client.beta.messages.stream({ ...hello, ...everyBeta, betas }).finalText()
      )
      assert.strictEqual(last, "second")
      assert.deepStrictEqual((yield* received).map(({ refused }) => refused), [false, false, false])
    }).pipe(Effect.provide(FakeServer.layer([Faults.answer("first"), Faults.answer("second")]))))
})

it.live("FakeServer responds with 200 or 400, and has no defect, if a field of the request has a value of the wrong type", () =>
  Effect.gen(function*() {
    const junk = [{ toString: 1, valueOf: 1 }, true, -1, "x", [null], [{ type: "tool_use" }]]
    for (const name of Object.keys(every)) {
      for (const by of junk) {
        const { response, text } = yield* send({ body: { ...every, [name]: by } })
        assert.include([200, 400], response.status, text)
      }
    }
  }).pipe(Effect.provide(FakeServer.layer(Faults.cycle(Faults.answer("a"))))))
