import Anthropic from "@anthropic-ai/sdk"
import type * as Beta from "@anthropic-ai/sdk/resources/beta/messages"
import type * as Sdk from "@anthropic-ai/sdk/resources/messages"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { FakeServer, Faults } from "../../src/testing/index.ts"

interface Request {
  readonly method?: string
  readonly path?: string
  /** A header that is undefined is left out. */
  readonly headers?: Readonly<Record<string, string | undefined>>
  /** Changes to a well-formed body, or the text that is sent instead of it. A parameter that is undefined is left out. */
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
        // Bytes, because text has a content type by itself.
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
const tool = { name: "get_weather", input_schema: { type: "object" } }
const tools = (change: object) => ({ tools: [{ ...tool, ...change }] })
const image = (media_type: string, data = "aGk=") => ({ type: "image", source: { type: "base64", media_type, data } })
const count = "/v1/messages/count_tokens"
/** It takes a beginning of the answer, and thinking that is `enabled`. */
const older = { model: "claude-opus-4-5" }
const begun = (content: unknown) => ({ messages: [first, { role: "assistant", content }] })
const enabled = { type: "enabled", budget_tokens: 1024 }
const format = { type: "json_schema", schema: { type: "object" } }
const beta = (name: string) => ({ "anthropic-beta": name })

// -----------------------------------------------------------------------------
// Refused
// -----------------------------------------------------------------------------

/** Those that are not 400 `invalid_request_error`. */
const others: ReadonlyArray<readonly [title: string, number, type: string, message: string, Request]> = [
  ["an unknown path", 404, "not_found_error", "Not Found", { path: "/v1/complete" }],
  ["a path below a known one", 404, "not_found_error", "Not Found", { path: "/v1/messages/batches" }],
  ["another method", 405, "invalid_request_error", "Method Not Allowed", { method: "GET" }],
  ["more than 32 MB", 413, "request_too_large", "exceeds the maximum size", { body: " ".repeat(32 * 2 ** 20 + 1) }],
  ["no credentials", 401, "authentication_error", "x-api-key header is required", {
    headers: { authorization: undefined }
  }],
  ["an empty key", 401, "authentication_error", "header is required", {
    headers: { authorization: undefined, "x-api-key": "" }
  }],
  ["no bearer", 401, "authentication_error", "Invalid bearer token", { headers: { authorization: "Basic eDp5" } }],
  ["a bearer of nothing", 401, "authentication_error", "Invalid bearer token", {
    headers: { authorization: "Bearer" }
  }],
  ["no type", 415, "invalid_request_error", "application/json", { headers: { "content-type": undefined } }],
  ["another type than JSON", 415, "invalid_request_error", "application/json", {
    headers: { "content-type": "text/plain" }
  }]
]

const invalid: ReadonlyArray<readonly [title: string, message: string, Request]> = [
  ["no version", "anthropic-version: header is required", { headers: { "anthropic-version": undefined } }],
  ["an unknown version", `anthropic-version: "2024-10-22" is not a valid version`, {
    headers: { "anthropic-version": "2024-10-22" }
  }],
  ["a body that is not JSON", "The request body is not valid JSON", { body: "{\"model\":" }],
  ["no body", "The request body is not valid JSON", { body: "" }],
  ["a body that is a list", "Input should be a valid dictionary", { body: "[]" }],
  ["a body that is null", "Input should be a valid dictionary", { body: "null" }],

  ["no model", "model: Field required", { body: { model: undefined } }],
  ["a model that is a number", "model: Input should be a valid string", { body: { model: 5 } }],
  ["an empty model", "model: String should have at least 1 character", { body: { model: "" } }],
  ["no max_tokens", "max_tokens: Field required", { body: { max_tokens: undefined } }],
  ["max_tokens as text", "max_tokens: Input should be a valid integer", { body: { max_tokens: "100" } }],
  ["half a token", "max_tokens: Input should be a valid integer", { body: { max_tokens: 1.5 } }],
  ["negative max_tokens", "max_tokens: Input should be greater than or equal to 0", { body: { max_tokens: -1 } }],
  [
    "more tokens than any model has",
    "max_tokens: 128001 > 128000, which is the maximum allowed number of output tokens for claude-opus-5-5",
    {
      body: { max_tokens: 128_001 }
    }
  ],
  ["more tokens than this model has", "64001 > 64000, which is the maximum allowed number of output tokens", {
    body: { ...older, max_tokens: 64_001 }
  }],
  ["more tokens than a beta allows", "300001 > 300000, which is the maximum", {
    headers: beta("output-300k-2026-03-24"),
    body: { ...older, max_tokens: 300_001 }
  }],
  ["temperature", "`temperature` is deprecated for this model.", { body: { temperature: 1 } }],
  ["top_p", "`top_p` is deprecated for this model.", { body: { top_p: 0.9 } }],
  ["top_k", "`top_k` is deprecated for this model.", { body: { top_k: 40 } }],
  ["an unknown parameter", "foo: Extra inputs are not permitted", { body: { foo: 1 } }],
  ["a parameter with the name of a method", "constructor: Extra inputs are not permitted", {
    body: { constructor: 1 }
  }],
  ["a parameter of a beta without its header", "context_management: Extra inputs are not permitted", {
    body: { context_management: {} }
  }],
  ["max_tokens where tokens are counted", "max_tokens: Extra inputs are not permitted", { path: count }],
  ["stream where tokens are counted", "stream: Extra inputs", {
    path: count,
    body: { max_tokens: undefined, stream: true }
  }],
  ["stream as text", "stream: Input should be a valid boolean", { body: { stream: "true" } }],
  ["one stop sequence", "stop_sequences: Input should be a valid list", { body: { stop_sequences: "END" } }],
  ["stop sequences that are no text", "stop_sequences.1: Input should be a valid string", {
    body: { stop_sequences: ["END", 1] }
  }],
  ["a system prompt that is an object", "system: Input should be a valid list", { body: { system: {} } }],
  ["an empty system block", "system: text content blocks must be non-empty", {
    body: { system: [{ type: "text", text: "" }] }
  }],

  ["no messages", "messages: Field required", { body: { messages: undefined } }],
  ["messages that are no list", "messages: Input should be a valid list", { body: { messages: "Hello" } }],
  ["an empty list of messages", "messages: at least one message is required", { body: { messages: [] } }],
  ["a message that is text", "messages.0: Input should be a valid dictionary", { body: { messages: ["Hello"] } }],
  ["no role", "messages.0.role: Field required", { body: { messages: [{ content: "Hello" }] } }],
  ["an unknown role", "messages: Unexpected role \"tool\"", {
    body: { messages: [{ role: "tool", content: "Hello" }] }
  }],
  ["no content", "messages.0.content: Field required", { body: { messages: [{ role: "user" }] } }],
  ["content that is an object", "messages.0.content: Input should be a valid list", {
    body: { messages: [{ role: "user", content: {} }] }
  }],
  ["empty content", "messages.0: all messages must have non-empty content", { body: says() }],
  ["an empty answer that is not the last message", "messages.1: all messages must have", {
    body: { messages: [first, assistant(), first] }
  }],
  ["blank content", "messages: text content blocks must contain non-whitespace text", {
    body: { messages: [{ role: "user", content: " \n" }] }
  }],
  ["an empty text block", "messages: text content blocks must be non-empty", {
    body: says({ type: "text", text: "" })
  }],
  ["a blank text block", "messages: text content blocks must contain non-whitespace text", {
    body: says({ type: "text", text: " " })
  }],
  ["a text block without text", "messages.0.content.0.text.text: Field required", { body: says({ type: "text" }) }],
  ["a text block of a number", "messages.0.content.0.text.text: Input should be a valid string", {
    body: says({ type: "text", text: 1 })
  }],
  ["a block that is text", "messages.0.content.0: Input should be a valid dictionary", { body: says("Hello") }],
  ["a block without a type", "messages.0.content.1.type: Field required", {
    body: says({ type: "text", text: "a" }, { text: "b" })
  }],
  ["an image of an unknown type", "messages.0.content.0.image.source.base64.media_type: Input should be 'image/jpeg'", {
    body: says(image("image/bmp"))
  }],
  ["an image over 5 MB", "image exceeds 5 MB maximum", { body: says(image("image/png", "A".repeat(7_000_000))) }],
  [
    "an image of an unknown type in a tool result",
    "messages.2.content.0.tool_result.content.0.image.source.base64.media_type: Input should be",
    { body: { messages: [first, assistant(call("a")), user({ ...result("a"), content: [image("image/tiff")] })] } }
  ],

  ["thinking that is on", "thinking: Input should be a valid dictionary", { body: { thinking: true } }],
  ["thinking of an unknown type", "thinking: Input tag 'on' found using 'type' does not match", {
    body: { thinking: { type: "on" } }
  }],
  ["thinking without a type", "thinking.type: Field required", { body: { thinking: {} } }],
  ["thinking without a budget", "thinking.enabled.budget_tokens: Field required", {
    body: { thinking: { type: "enabled" } }
  }],
  ["half a token of thinking", "thinking.enabled.budget_tokens: Input should be a valid integer", {
    body: { max_tokens: 2000, thinking: { type: "enabled", budget_tokens: 1024.5 } }
  }],
  ["too little thinking", "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024", {
    body: { max_tokens: 2000, thinking: { type: "enabled", budget_tokens: 1023 } }
  }],
  ["more thinking than tokens", "`max_tokens` must be greater than `thinking.budget_tokens`", {
    body: { max_tokens: 1024, thinking: { type: "enabled", budget_tokens: 1024 } }
  }],

  ["tools that are no list", "tools: Input should be a valid list", { body: { tools: tool } }],
  ["a tool that is text", "tools.0: Input should be a valid dictionary", { body: { tools: ["get_weather"] } }],
  ["a tool without a name", "tools.0.custom.name: Field required", { body: tools({ name: undefined }) }],
  ["a tool with a bad name", "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'", {
    body: tools({ name: "get weather" })
  }],
  ["a tool with a long name", "tools.0.custom.name: String should match pattern", {
    body: tools({ name: "a".repeat(129), type: "custom" })
  }],
  ["two tools of one name", "tools: Tool names must be unique.", { body: { tools: [tool, tool] } }],
  ["a tool without a schema", "tools.0.custom.input_schema: Field required", {
    body: tools({ input_schema: undefined })
  }],
  ["a tool with a schema of text", "tools.0.custom.input_schema.type: Input should be 'object'", {
    body: tools({ input_schema: { type: "string" } })
  }],
  ["a choice that is text", "tool_choice: Input should be a valid dictionary", {
    body: { tools: [tool], tool_choice: "auto" }
  }],
  ["an unknown choice", "tool_choice: Input tag 'required' found", {
    body: { tools: [tool], tool_choice: { type: "required" } }
  }],
  ["a choice of an unknown tool", "Tool 'get_time' not found in provided tools", {
    body: { tools: [tool], tool_choice: { type: "tool", name: "get_time" } }
  }],
  ["a choice among no tools", "Tool 'get_time' not found in provided tools", {
    body: { tool_choice: { type: "tool", name: "get_time" } }
  }],
  [
    "a call without a result",
    "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: a.",
    { body: { messages: [first, assistant(call("a")), user({ type: "text", text: "?" })] } }
  ],
  ["a call at the end", "messages.1: `tool_use` ids were found without", {
    body: { messages: [first, assistant(call("a"))] }
  }],
  ["one result for two calls", "immediately after: b.", {
    body: { messages: [first, assistant(call("a"), call("b")), user(result("a"))] }
  }],
  ["a result that is too late", "messages.1: `tool_use` ids were found without", {
    body: { messages: [first, assistant(call("a")), first, { role: "assistant", content: "Yes" }, user(result("a"))] }
  }],
  ["a result without a call", "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a.", {
    body: says(result("a"))
  }],

  ["a beginning of the answer that ends with a blank", "final assistant content cannot end with trailing whitespace", {
    body: { ...older, ...begun("The best answer is ") }
  }],
  ["a beginning that ends with a new line in a block, for any model", "cannot end with trailing whitespace", {
    body: {
      model: "claude-next",
      ...begun([{ type: "thinking", thinking: "", signature: "s" }, { type: "text", text: "Yes:\n" }])
    }
  }],
  [
    "a beginning of the answer",
    "This model does not support assistant message prefill. The conversation must end with a user message.",
    { body: begun("The best answer is (") }
  ],
  ["a beginning in blocks", "does not support assistant message prefill", {
    body: begun([{ type: "thinking", thinking: "", signature: "s" }, { type: "text", text: "Yes." }])
  }],
  ["an empty beginning", "does not support assistant message prefill", { body: begun("") }],
  ["a format and a beginning", "output_config.format: structured outputs cannot be used with", {
    body: { ...older, ...begun("{"), output_config: { format } }
  }],
  [
    "thinking that is enabled",
    "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\"",
    {
      body: { max_tokens: 2000, thinking: enabled }
    }
  ],
  ["thinking that is adaptive", "adaptive thinking is not supported on this model", {
    body: { ...older, thinking: { type: "adaptive" } }
  }],
  ["no thinking", "\"thinking.type.disabled\" is not supported for this model.", {
    body: { thinking: { type: "disabled" } }
  }],
  ["thinking between tools", "\"thinking.type.between_tools\" is not supported for this model.", {
    body: { thinking: { type: "between_tools" } }
  }],
  ["an effort of a model without any", "This model does not support the effort parameter.", {
    body: { model: "claude-haiku-4-5", output_config: { effort: "low" } }
  }],
  ["another effort", "does not support effort level 'max'. Supported levels: low, medium, high.", {
    body: { ...older, output_config: { effort: "max" } }
  }],
  ["a tool that is forced", "tool_choice: type \"tool\" and \"any\" are not supported for this model.", {
    body: { tools: [tool], tool_choice: { type: "tool", name: "get_weather" } }
  }],
  ["any tool that is forced", "tool_choice: type \"tool\" and \"any\" are not supported for this model.", {
    body: { tools: [tool], tool_choice: { type: "any" } }
  }],
  ["a tool that is forced while it thinks", "Thinking may not be enabled when tool_choice forces tool use.", {
    body: { ...older, max_tokens: 2000, thinking: enabled, tools: [tool], tool_choice: { type: "any" } }
  }]
]

const refused = [
  ...others,
  ...invalid.map(([title, message, request]) => [title, 400, "invalid_request_error", message, request] as const)
]

describe("refused", () => {
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

/** Every parameter of an answer: the types see to it that none is missing. */
const every: Required<Sdk.MessageCreateParamsBase> = {
  ...hello,
  model: "claude-opus-5",
  cache_control: { type: "ephemeral" },
  container: { id: "container_1", skills: [{ type: "anthropic", skill_id: "pptx" }] },
  diagnostics: { previous_message_id: "msg_1" },
  inference_geo: "eu",
  metadata: { user_id: "u1" },
  output_config: { effort: "high", format: { type: "json_schema", schema: { type: "object" } } },
  service_tier: "auto",
  speed: "fast",
  stop_sequences: ["END", " "],
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
  ["every parameter tokens are counted of", { path: count, body: { ...countable, max_tokens: undefined } }],
  ["every parameter of the betas", { headers: beta("message-threads-2026-08-12"), body: everyBeta }],
  [
    "every parameter of the betas tokens are counted of",
    { path: count, headers: beta("mcp-client-2025-11-20"), body: { ...betaCountable, max_tokens: undefined } }
  ],
  ["parameters that are null", { body: nothing }],
  ["no tokens, to fill the cache", { body: { max_tokens: 0 } }],
  ["as many tokens as there are", { body: { max_tokens: 128_000 } }],
  ["more of them with a beta", { headers: beta("output-300k-2026-03-24"), body: { max_tokens: 300_000 } }],
  ["a model nobody knows", { body: { model: "claude-next" } }],
  ["several messages of one role", {
    body: { messages: [first, first, { role: "assistant", content: "Hi" }, first, first] }
  }],
  ["the beginning of the answer", { body: { ...older, ...begun("The best answer is (") } }],
  ["the beginning of the answer in blocks", {
    body: { ...older, ...begun([{ type: "text", text: "Well," }, { type: "text", text: "The best" }]) }
  }],
  ["an empty answer at the end", { body: { ...older, ...begun("") } }],
  ["an answer that was paused", {
    body: begun([
      { type: "text", text: "Let me look. " },
      { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: {} }
    ])
  }],
  ["a question that ends with a blank", { body: { messages: [{ role: "user", content: "Why? " }] } }],
  ["a blank at the end of another message", { body: { messages: [...begun("Yes. ").messages, first] } }],
  ["as many tokens as this model has", { body: { ...older, max_tokens: 64_000 } }],
  ["more of them with a beta from a smaller one", {
    headers: beta("output-300k-2026-03-24"),
    body: { ...older, max_tokens: 300_000 }
  }],
  ["everything, from a model nobody knows", {
    body: {
      model: "claude-next",
      ...begun("{"),
      max_tokens: 128_000,
      output_config: { effort: "utmost", format },
      thinking: enabled,
      tools: [tool],
      tool_choice: { type: "any" }
    }
  }],
  ["what a model cannot do, counted", {
    path: count,
    body: { max_tokens: undefined, ...begun("Yes "), output_config: { effort: "utmost" }, thinking: enabled }
  }],
  ["an effort that the model knows", { body: { ...older, output_config: { effort: "high" } } }],
  ["an effort of nothing", { body: { ...older, output_config: { effort: null } } }],
  ["a format without a beginning", { body: { ...older, output_config: { format } } }],
  ["a choice while it thinks", {
    body: { ...older, max_tokens: 2000, thinking: enabled, tools: [tool], tool_choice: { type: "auto" } }
  }],
  ["a tool that is forced where it may be", { body: { ...older, tools: [tool], tool_choice: { type: "any" } } }],
  ["a conversation that begins with an answer", { body: { messages: [{ role: "assistant", content: "Hi" }, first] } }],
  ["a system message in between", { body: { messages: [first, { role: "system", content: "Be brief." }, first] } }],
  ["blocks of many kinds", { body: { messages: [user(...kinds), assistant(...answered), first] } }],
  ["blocks of a kind nobody knows", { body: says({ type: "hologram" }) }],
  ["an image of nearly 5 MB", { body: says(image("image/png", "A".repeat(6_990_000))) }],
  ["a call and its result", { body: { messages: [first, assistant(call("a")), user(result("a"))] } }],
  [
    "two calls with results in two messages",
    { body: { messages: [first, assistant(call("a")), assistant(call("b")), user(result("b")), user(result("a"))] } }
  ],
  [
    "a system message between a call and its result",
    { body: { messages: [first, assistant(call("a")), { role: "system", content: "Now." }, user(result("a"))] } }
  ],
  [
    "an id that is used again",
    { body: { messages: [first, assistant(call("a")), user(result("a")), assistant(call("a")), user(result("a"))] } }
  ],
  ["a result of nothing", {
    body: { messages: [first, assistant(call("a")), user({ ...result("a"), content: undefined })] }
  }],
  ["a result of empty text", {
    body: { messages: [first, assistant(call("a")), user({ ...result("a"), content: "" })] }
  }],
  [
    "a result of a call in a thread",
    { headers: beta("message-threads-2026-08-12"), body: { thread: { type: "create" }, ...says(result("a")) } }
  ],
  ["tools of the server and toolsets", {
    body: {
      tools: [
        tool,
        { type: "web_search_20250305", name: "web_search" },
        { type: "browser_toolset_20260801" },
        { type: "computer_toolset_20260801" }
      ]
    }
  }],
  ["a custom tool that says so", { body: tools({ type: "custom", name: "A-z_9" }) }],
  ["a tool whose type is null", { body: tools({ type: null, strict: true }) }],
  ["a choice of a server tool", {
    body: {
      ...older,
      tools: [{ type: "web_search_20250305", name: "web_search" }],
      tool_choice: { type: "tool", name: "web_search" }
    }
  }],
  ["a choice of a tool in a toolset", {
    body: { ...older, tools: [{ type: "browser_toolset_20260801" }], tool_choice: { type: "tool", name: "left_click" } }
  }],
  ["a choice of a tool in a message", {
    headers: beta("inline-tools-2026-09-15"),
    body: { ...older, tool_choice: { type: "tool", name: "get_time" } }
  }],
  ["no tool", { body: { tool_choice: { type: "none" } } }],
  ["thinking between tools", { body: { model: "claude-sonnet-5-5", thinking: { type: "between_tools" } } }],
  ["no thinking", { body: { ...older, thinking: { type: "disabled" } } }],
  ["as much thinking as there is room", {
    body: { ...older, max_tokens: 1025, thinking: { type: "enabled", budget_tokens: 1024 } }
  }],
  ["thinking between tools beyond that", {
    headers: beta("interleaved-thinking-2025-05-14"),
    body: { ...older, thinking: { type: "enabled", budget_tokens: 20_000 } }
  }],
  ["thinking, counted", {
    path: count,
    body: { max_tokens: undefined, thinking: { type: "enabled", budget_tokens: 1024 } }
  }],
  ["a key of the older kind", { headers: { authorization: undefined, "x-api-key": "sk-ant-test" } }],
  ["an older version", { headers: { "anthropic-version": "2023-06-01" } }],
  ["a character set", { headers: { "content-type": "Application/JSON; charset=utf-8" } }],
  ["a query", { path: "/v1/messages?beta=true" }],
  ["32 MB", { body: JSON.stringify(hello).padEnd(32 * 2 ** 20) }]
]

describe("accepted", () => {
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

  it.live("accepts what the SDK sends", () =>
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
