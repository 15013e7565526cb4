import type * as Sdk from "@anthropic-ai/sdk/resources/messages"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Layer, Ref, Schema } from "effect"
import { CallLog, Claude, Policy, Validate } from "../../../src/index.ts"
import type { Params } from "../../../src/Message.ts"
import * as NodeAnthropic from "../../../src/NodeAnthropic.ts"
import { beyond, limitRules, shape, shapeRules } from "../../../src/request/rules/rules.ts"
import { FakeClaude, FakeServer, Faults } from "../../../src/testing/index.ts"
import { runs } from "../../support/effort.ts"
import { pathOf, places, put } from "../../support/places.ts"

const hello: Params = { model: "claude-opus-5-5", max_tokens: 2000, messages: [{ role: "user", content: "Hello" }] }

/** A valid request with these changes, which may make it invalid. */
const request = (more: object): Params => ({ ...hello, ...more })
/** A valid request with these messages. */
const said = (...messages: ReadonlyArray<unknown>) => request({ messages })
/** A valid request with this content in the last user message. */
const asking = (...content: ReadonlyArray<unknown>) => said({ role: "user", content })

const user = (...content: ReadonlyArray<unknown>) => ({ role: "user", content })
const assistant = (...content: ReadonlyArray<unknown>) => ({ role: "assistant", content })
const text = { type: "text", text: "Hello" }
const use = (id: unknown) => ({ type: "tool_use", id, name: "get_weather", input: {} })
const result = (tool_use_id: unknown) => ({ type: "tool_result", tool_use_id, content: "sunny" })
const tool = { name: "get_weather", input_schema: { type: "object" } }
const image = (source: unknown) => ({ type: "image", source })
const png = (data: unknown) => image({ type: "base64", media_type: "image/png", data })
const document = (source: unknown) => ({ type: "document", source })
const cached = { ...text, cache_control: { type: "ephemeral" } }
const times = <A>(count: number, make: (i: number) => A) => Array.from({ length: count }, (_, i) => make(i))

const closed = { type: "object", additionalProperties: false }
const format = (schema: unknown, more: object = {}) =>
  request({ ...more, output_config: { format: { type: "json_schema", schema } } })
const strict = (input_schema: object, name = "get_weather") => ({ name, input_schema, strict: true })
const inFormat = "output_config.format.schema"
const inTool = "tools.0.input_schema"

const mebibyte = 2 ** 20
/** Exactly 10 MB. */
const image10 = "A".repeat(10 * mebibyte)

const cyclic: { [key: string]: unknown } = { type: "object", additionalProperties: false }
cyclic["properties"] = { self: cyclic }

/** Invalid requests, and the path and message of their only issue. */
const invalid: ReadonlyArray<readonly [name: string, params: unknown, path: string, sentence: RegExp]> = [
  ["a request that is null", null, "", /^the request is null: it must be an object/],
  ["a request that is a list", [hello], "", /^the request is a list/],
  ["a missing model", request({ model: undefined }), "model", /^the model is missing: name one$/],
  ["a blank model", request({ model: " \n" }), "model", /^the model is empty: name one$/],
  ["a model that is a number", request({ model: 5 }), "model", /^the model is 5: name one$/],
  [
    "missing max_tokens",
    request({ max_tokens: undefined }),
    "max_tokens",
    /^max_tokens is missing: it must be an integer/
  ],
  ["max_tokens of 0", request({ max_tokens: 0 }), "max_tokens", /only fills the cache/],
  ["negative max_tokens", request({ max_tokens: -1 }), "max_tokens", /^max_tokens is -1: it must be an integer from 1/],
  ["fractional max_tokens", request({ max_tokens: 0.5 }), "max_tokens", /^max_tokens is 0.5/],
  ["max_tokens that are NaN", request({ max_tokens: NaN }), "max_tokens", /^max_tokens is NaN/],
  ["max_tokens that are a text", request({ max_tokens: "100" }), "max_tokens", /^max_tokens is a text/],
  ["a stream parameter", request({ stream: false }), "stream", /^stream is always on: remove it/],
  ["stop_sequences that are a text", request({ stop_sequences: "END" }), "stop_sequences", /^stop_sequences is a text/],
  ["a stop sequence that is a number", request({ stop_sequences: ["END", 1] }), "stop_sequences.1", /sequence is 1/],
  ["a blank stop sequence", request({ stop_sequences: ["\n"] }), "stop_sequences.0", /is blank: add text to stop at/],
  ["thinking that is a boolean", request({ thinking: true }), "thinking", /^thinking is true: it must be an object/],
  ["thinking without a type", request({ thinking: {} }), "thinking.type", /^the type of thinking is missing/],
  [
    "a missing thinking budget",
    request({ thinking: { type: "enabled" } }),
    "thinking.budget_tokens",
    /^budget_tokens is missing/
  ],
  ["missing messages", request({ messages: undefined }), "messages", /^messages is missing: it must be a list/],
  ["messages that are an object", request({ messages: hello.messages[0] }), "messages", /^messages is an object/],
  ["an empty list of messages", said(), "messages", /^messages is empty: give at least one message$/],
  ["a message that is a text", said("Hello"), "messages.0", /^a message is a text: it must be/],
  ["a message without a role", said({ content: "Hi" }), "messages.0.role", /^the role is missing/],
  ["missing content", said({ role: "user" }), "messages.0.content", /^the content is missing/],
  ["empty content", asking(), "messages.0.content", /^the content is empty/],
  [
    "an empty turn of the assistant in the middle",
    said(user(text), assistant(), user(text)),
    "messages.1.content",
    /^the content is empty/
  ],
  ["a block that is a text", asking("Hello"), "messages.0.content.0", /^a block is a text: it must be an object/],
  ["a block without a type", asking({ text: "Hi" }), "messages.0.content.0.type", /^the type of a block is missing/],
  ["a text block without text", asking(text, { type: "text" }), "messages.0.content.1.text", /block is missing/],
  ["a blank message", said({ role: "user", content: " " }), "messages.0.content", /is blank/],
  ["a blank text", asking(text, { type: "text", text: "\n\t" }), "messages.0.content.1.text", /is blank/],
  [
    "a blank prefill",
    said(user(text), { role: "assistant", content: " " }),
    "messages.1.content",
    /is blank/
  ],
  [
    "a prefill that ends with whitespace",
    said(user(text), { role: "assistant", content: "The best answer is " }),
    "messages.1.content",
    /^the last message is a prefill that ends with whitespace: remove the whitespace$/
  ],
  [
    "a prefill in blocks that ends with whitespace",
    said(user(text), assistant(text, { type: "text", text: "Yes:\n" })),
    "messages.1.content",
    /ends with whitespace/
  ],
  ["a system prompt that is a number", request({ system: 1 }), "system", /^system is 1: it must be a text or a list/],
  ["a system block that is a text", request({ system: ["Be kind"] }), "system.0", /^a block is a text/],
  [
    "a blank system text",
    request({ system: [text, { type: "text", text: "" }] }),
    "system.1.text",
    /^the text of a block is blank/
  ],
  [
    "a tool_use in the last message",
    said(user(text), assistant(text, use("toolu_1"))),
    "messages.1.content.1",
    /^the tool_use "toolu_1" has no tool_result: answer it in the next user message$/
  ],
  [
    "a tool_use without a tool_result in the next message",
    said(user(text), assistant(use("a"), use("b")), user(result("b")), assistant(text), user(text)),
    "messages.1.content.0",
    /^the tool_use "a" has no tool_result/
  ],
  [
    "a tool_use answered with text",
    said(user(text), assistant(use("a")), { role: "user", content: "sunny" }),
    "messages.1.content.0",
    /^the tool_use "a" has no tool_result/
  ],
  [
    "a tool_result without a tool_use",
    asking(result("toolu_9")),
    "messages.0.content.0.tool_use_id",
    /^the tool_use_id "toolu_9" matches no tool_use in the previous assistant turn/
  ],
  [
    "a tool_result that comes a turn too late",
    said(user(text), assistant(use("a")), user(result("a")), assistant(text), user(result("a"))),
    "messages.4.content.0.tool_use_id",
    /matches no tool_use in the previous assistant turn/
  ],
  [
    "a second tool_result for one tool_use",
    said(user(text), assistant(use("a")), user(result("a")), user(result("a"))),
    "messages.3.content.0.tool_use_id",
    /^the tool_use_id "a" has a tool_result already: remove one/
  ],
  [
    "a tool_result for a server_tool_use",
    request({
      messages: [user(text), assistant({ type: "server_tool_use", id: "srvtoolu_1" }), user(result("srvtoolu_1"))]
    }),
    "messages.2.content.0.tool_use_id",
    /"srvtoolu_1" belongs to a server_tool_use, which the API answers itself/
  ],
  [
    "a tool_result in an assistant message",
    said(user(text), assistant(result("a")), user(text)),
    "messages.1.content.0",
    /^a tool_result is in an assistant message: move it to the next user message$/
  ],
  [
    "a tool_use without an id",
    said(user(text), assistant(use(undefined)), user(text)),
    "messages.1.content.0.id",
    /^the id of a tool_use is missing/
  ],
  [
    "two tool_use blocks with one id",
    said(user(text), assistant(use("a"), use("a")), user(result("a"))),
    "messages.1.content.1.id",
    /^two tool_use blocks have the id "a": remove one/
  ],
  ["a tool_result with a number as id", asking(result(7)), "messages.0.content.0.tool_use_id", /^the tool_use_id is 7/],
  ["an image without a source", asking(image(undefined)), "messages.0.content.0.source", /^the source is missing/],
  [
    "an image source without a type",
    asking(image({ data: "AAAA" })),
    "messages.0.content.0.source.type",
    /^the type of the source is missing/
  ],
  ["missing image data", asking(png(undefined)), "messages.0.content.0.source.data", /^the data is missing/],
  ["empty image data", asking(png("")), "messages.0.content.0.source.data", /^the data is empty: read the file/],
  [
    "a data URL that is not base64",
    asking(png("data:image/svg+xml,%3Csvg%3E")),
    "messages.0.content.0.source.data",
    /^the data is a data URL: give only base64, without the prefix$/
  ],
  [
    "an image URL that is a path",
    asking(image({ type: "url", url: "file:///home/me/secret.png" })),
    "messages.0.content.0.source.url",
    /^the url is not an http or https URL: (?!.*secret)/
  ],
  [
    "an invalid image in a document",
    asking(document({ type: "content", content: [png("")] })),
    "messages.0.content.0.source.content.0.source.data",
    /^the data is empty/
  ],
  ["tools that are an object", request({ tools: tool }), "tools", /^tools is an object: it must be a list of tools$/],
  ["a tool that is a text", request({ tools: ["get_weather"] }), "tools.0", /^a tool is a text: it must be an object$/],
  [
    "two tools with one name",
    request({ tools: [tool, { type: "bash_20250124", name: "bash" }, tool] }),
    "tools.2.name",
    /^two tools have the name "get_weather": rename one$/
  ],
  [
    "a missing input_schema",
    request({ tools: [{ type: "custom", name: "a" }] }),
    "tools.0.input_schema",
    /^the input_schema is missing: it must be a JSON schema of type "object"$/
  ],
  [
    "an input_schema of type string",
    request({ tools: [{ name: "a", input_schema: { type: "string" } }] }),
    "tools.0.input_schema.type",
    /^the type of an input_schema is "string": it must be "object"$/
  ],
  [
    "a tool_choice that is a text",
    request({ tool_choice: "auto" }),
    "tool_choice",
    /^tool_choice is a text: it must be/
  ],
  [
    "a tool_choice without a type",
    request({ tool_choice: {} }),
    "tool_choice.type",
    /^the type of tool_choice is missing/
  ],
  ["a tool_choice without tools", request({ tool_choice: { type: "any" } }), "tool_choice", /but there are no tools/],
  [
    "a forced tool without tools",
    request({ tools: [], tool_choice: { type: "tool", name: "get_weather" } }),
    "tool_choice",
    /^tool_choice asks for a tool, but there are no tools: add tools, or remove tool_choice$/
  ],
  [
    "a forced tool that is not in the list of tools",
    request({ tools: [tool], tool_choice: { type: "tool", name: "get_wether" } }),
    "tool_choice.name",
    /^tool_choice names "get_wether", but no tool has that name/
  ],
  [
    "a forced tool without a name",
    request({ tools: [tool], tool_choice: { type: "tool" } }),
    "tool_choice.name",
    /^the name in tool_choice is missing/
  ],
  ["a format without a schema", format(undefined), inFormat, /^the schema is missing: it must be a JSON schema$/],
  ["data that contains itself", request({ metadata: cyclic }), "", /^the request cannot be written as JSON/],
  ["a bigint", request({ metadata: { user_id: 1n } }), "", /^the request cannot be written as JSON/]
]

/** Requests beyond the known limits of the API, and the path and message of their only warning. */
const limited: ReadonlyArray<readonly [name: string, params: unknown, path: string, sentence: RegExp]> = [
  [
    "max_tokens that no model can write",
    request({ max_tokens: 1_000_001 }),
    "max_tokens",
    /^max_tokens is 1000001, and no model writes more than 1000000: lower it$/
  ],
  ["temperature", request({ temperature: 0 }), "temperature", /^temperature is no longer accepted .*: remove it$/],
  ["top_p", request({ top_p: 1 }), "top_p", /^top_p is no longer accepted .*: remove it$/],
  ["top_k", request({ top_k: 5 }), "top_k", /^top_k is no longer accepted .*: remove it$/],
  [
    "a thinking budget below the minimum",
    request({ thinking: { type: "enabled", budget_tokens: 1023 } }),
    "thinking.budget_tokens",
    /^budget_tokens is 1023: it must be an integer of at least 1024$/
  ],
  [
    "a thinking budget that leaves no room for an answer",
    request({ thinking: { type: "enabled", budget_tokens: 2000 } }),
    "thinking.budget_tokens",
    /^budget_tokens is 2000: it must be less than max_tokens, which is 2000$/
  ],
  [
    "too many messages",
    request({ messages: times(100_001, () => hello.messages[0]) }),
    "messages",
    /^there are 100001 messages: keep at most 100000$/
  ],
  [
    "an unknown role",
    said({ role: "developer", content: "Hi" }),
    "messages.0.role",
    /^the role is "developer": it must be "user", "assistant" or "system"$/
  ],
  [
    "a prefill in structured output",
    format(closed, { messages: [user(text), { role: "assistant", content: "{" }] }),
    "messages.1",
    /^a prefill cannot be combined with output_config.format/
  ],
  [
    "a fifth cached block",
    request({
      tools: [{ ...tool, cache_control: {} }],
      system: [cached],
      messages: [user(cached, cached, text, cached)]
    }),
    "messages.0.content.3.cache_control",
    /at most 4 blocks can have cache_control, and this is one more: remove one$/
  ],
  [
    "citations in structured output",
    format(closed, {
      messages: [user({ ...document({ type: "file", file_id: "file_1" }), citations: { enabled: true } })]
    }),
    "messages.0.content.0.citations",
    /^citations cannot be combined with output_config.format/
  ],
  [
    "a document with a media type of an image",
    asking(text, image({ type: "base64", media_type: "image/tiff", data: "AAAA" })),
    "messages.0.content.1.source.media_type",
    /^the media type is "image\/tiff": it must be image\/jpeg, image\/png, image\/gif, image\/webp$/
  ],
  [
    "an image over 10 MB",
    asking(png(`AAAA${image10}`)),
    "messages.0.content.0.source.data",
    /^the image has 10485764 bytes as base64: shrink it to at most 10485760$/
  ],
  [
    "an invalid image in a tool result",
    request({
      messages: [
        user(text),
        assistant(use("a")),
        user({ ...result("a"), content: [text, image({ type: "base64", media_type: "image/bmp", data: "AAAA" })] })
      ]
    }),
    "messages.2.content.0.content.1.source.media_type",
    /^the media type is "image\/bmp"/
  ],
  [
    "an office document",
    asking(document({ type: "base64", media_type: "application/msword", data: "AAAA" })),
    "messages.0.content.0.source.media_type",
    /^the media type is "application\/msword": it must be application\/pdf$/
  ],
  [
    "a text document with another media type",
    asking(document({ type: "text", media_type: "text/html", data: "<p>" })),
    "messages.0.content.0.source.media_type",
    /^the media type is "text\/html": it must be text\/plain$/
  ],
  [
    "a tool name with a space",
    request({ tools: [{ ...tool, name: "get weather" }] }),
    "tools.0.name",
    /^the name of a tool is "get weather": use 1 to 128 letters/
  ],
  ["a long tool name", request({ tools: [{ ...tool, name: "a".repeat(129) }] }), "tools.0.name", /is "a{40}": use/],
  [
    "too many strict tools",
    request({ tools: times(21, (i) => strict(closed, `tool_${i}`)) }),
    "tools",
    /^21 tools are strict, but at most 20 may be/
  ],
  [
    "a strict object that allows other properties",
    format({ ...closed, properties: { a: { type: "object" } }, required: ["a"] }),
    `${inFormat}.properties.a.additionalProperties`,
    /^additionalProperties must be false in every object of a strict schema: set it$/
  ],
  [
    "a strict schema of a record",
    request({ tools: [strict({ type: "object", additionalProperties: { type: "string" } })] }),
    `${inTool}.additionalProperties`,
    /^additionalProperties must be false/
  ],
  ...["minimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "maxItems"].map((key) =>
    [
      `a schema with ${key}`,
      format({ type: "array", items: { anyOf: [{ type: "null" }, { type: "string", [key]: 1 }] } }),
      `${inFormat}.items.anyOf.1.${key}`,
      new RegExp(`^the API does not enforce ${key} in a strict schema: say it in the description too$`)
    ] as const
  ),
  [
    "a strict schema with minItems 2",
    format({ type: "array", minItems: 2 }),
    `${inFormat}.minItems`,
    /^minItems is 2: .* 0 or 1$/
  ],
  [
    "a strict schema with an enum of objects",
    format({ enum: ["a", { b: 1 }] }),
    `${inFormat}.enum`,
    /^the enum of a strict schema can only/
  ],
  [
    "a strict schema with an external $ref",
    format({ $ref: "https://example.com/schema.json" }),
    `${inFormat}.$ref`,
    /^the \$ref "https:\/\/example.com\/schema.json" points outside/
  ],
  [
    "a recursive strict schema",
    request({
      tools: [
        strict({
          ...closed,
          properties: { root: { $ref: "#/$defs/Node" } },
          required: ["root"],
          $defs: {
            Node: {
              ...closed,
              properties: { children: { type: "array", items: { $ref: "#/$defs/Node" } } },
              required: ["children"]
            }
          }
        })
      ]
    }),
    `${inTool}.$defs.Node.properties.children.items.$ref`,
    /^a strict schema cannot be recursive/
  ],
  [
    "an invalid part that a strict schema uses twice",
    format({
      ...closed,
      properties: { from: { $ref: "#/$defs/Day" }, to: { $ref: "#/$defs/Day" } },
      required: ["from", "to"],
      $defs: { Day: { type: "integer", minimum: 1 } }
    }),
    `${inFormat}.$defs.Day.minimum`,
    /^the API does not enforce minimum/
  ],
  [
    "a schema object that contains itself",
    format({ ...closed, properties: { self: { $ref: "#" } }, required: ["self"] }),
    `${inFormat}.properties.self.$ref`,
    /^a strict schema cannot be recursive/
  ],
  [
    "too many optional properties",
    format(
      { ...closed, properties: Object.fromEntries(times(20, (i) => [`a${i}`, { type: "string" }])) },
      { tools: [strict({ ...closed, properties: Object.fromEntries(times(5, (i) => [`b${i}`, { type: "string" }])) })] }
    ),
    inFormat,
    /^the strict schemas have 25 optional properties: make all but 24 required$/
  ],
  [
    "too many unions",
    request({
      tools: [
        strict({
          ...closed,
          properties: Object.fromEntries(
            times(17, (i) => [`a${i}`, i % 2 ? { type: ["string", "null"] } : { anyOf: [{ type: "string" }] }])
          ),
          required: times(17, (i) => `a${i}`)
        })
      ]
    }),
    "tools",
    /^the strict schemas have 17 properties with a choice of types .*: keep at most 16$/
  ],
  ...["anyOf", "oneOf", "allOf"].map((key) =>
    [
      `a tool with ${key} at the root of its schema`,
      request({ tools: [{ name: "t", input_schema: { type: "object", [key]: [{ required: ["a"] }] } }] }),
      `tools.0.input_schema.${key}`,
      new RegExp(`^the root of an input_schema has ${key}: move it into a property$`)
    ] as const
  ),
  [
    "a tool with a property of an odd name",
    request({ tools: [{ name: "t", input_schema: { type: "object", properties: { a: {}, "filter[id]": {} } } }] }),
    "tools.0.input_schema.properties",
    /^a property of an input_schema is "filter\[id\]": use 1 to 64 letters, digits, "_", "\." and "-"$/
  ],
  [
    "more than 32 MB",
    asking({ ...text, text: "a".repeat(33 * mebibyte) }),
    "",
    /^the request has 346\d{5} bytes, but the API takes at most 33554432: send less, or send files by their id$/
  ],
  [
    "more than 32 MB of text with three bytes per character",
    asking({ ...text, text: "東".repeat(11.5 * mebibyte) }),
    "",
    /^the request has 361\d{5} bytes/
  ]
]

/** Valid requests, even if they are odd. */
const valid: ReadonlyArray<readonly [name: string, params: unknown]> = [
  ["only a question", hello],
  ["unknown parameters", request({ verbosity: "low", service_tier: "auto", metadata: { user_id: null } })],
  [
    "parameters that are undefined or null",
    request({ temperature: undefined, stream: undefined, thinking: null, tools: null })
  ],
  ["consecutive user messages", said(user(text), user(text), { role: "user", content: "Hi" })],
  ["a conversation that begins with the assistant", request({ messages: [assistant(text), user(text)] })],
  ["system messages", request({ messages: [user(text), { role: "system", content: "Be brief" }] })],
  ["a prefill", request({ messages: [user(text), { role: "assistant", content: "{" }] })],
  ["an empty prefill", request({ messages: [user(text), { role: "assistant", content: "" }] })],
  ["a prefill without blocks", request({ messages: [user(text), assistant()] })],
  ["a question that ends with whitespace", request({ messages: [{ role: "user", content: "Why? " }] })],
  ["whitespace at the end of an earlier answer", said(user(text), { role: "assistant", content: "Yes. " }, user(text))],
  ["an empty system prompt", request({ system: "" })],
  [
    "tool results in several messages",
    said(user(text), assistant(use("a"), use("b")), user(result("b")), user(result("a"), text))
  ],
  [
    "tool uses in several messages",
    said(user(text), assistant(use("a")), assistant(use("b")), user(result("a"), result("b")))
  ],
  [
    "a system message between a tool_use and its tool_result",
    said(user(text), assistant(use("a")), { role: "system", content: "Hm" }, user(result("a")))
  ],
  [
    "an id that repeats in a later turn",
    request({ messages: times(2, () => [user(text), assistant(use("a")), user(result("a"))]).flat() })
  ],
  [
    "a tool_result without content, and a tool_result that is an error",
    request({
      messages: [
        user(text),
        assistant(use("a"), use("b")),
        user({ type: "tool_result", tool_use_id: "a" }, { ...result("b"), content: "", is_error: true })
      ]
    })
  ],
  ["a tool_result in a thread", request({ thread: { type: "continue", id: "t" }, messages: [user(result("a"))] })],
  [
    "an empty text beside a tool_use",
    said(user(text), assistant({ type: "text", text: "" }, use("a")), user(result("a")))
  ],
  [
    "thinking of earlier turns",
    request({
      messages: [
        user(text),
        assistant(
          { type: "thinking", thinking: "", signature: "c2ln" },
          { type: "redacted_thinking", data: "x" },
          text
        ),
        user(text)
      ]
    })
  ],
  [
    "a paused server tool",
    request({
      messages: [
        user(text),
        assistant(text, { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: {} })
      ]
    })
  ],
  [
    "a server tool and its result",
    request({
      messages: [
        user(text),
        assistant(
          { type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: {} },
          { type: "web_search_tool_result", tool_use_id: "srvtoolu_1", content: [] },
          text
        ),
        user(text)
      ]
    })
  ],
  [
    "documents in base64, as text, by URL, by file id and as content",
    asking(
      { ...document({ type: "base64", media_type: "application/pdf", data: "AAAA" }), citations: { enabled: true } },
      document({ type: "text", media_type: "text/plain", data: "" }),
      document({ type: "url", url: "HTTPS://example.com/a.pdf" }),
      document({ type: "file", file_id: "file_1" }),
      document({ type: "content", content: "words" }),
      document({ type: "content", content: [text, png("AAAA")] })
    )
  ],
  [
    "images in base64, by URL, by file id and of an unknown type",
    asking(
      png("AAAA"),
      image({ type: "url", url: "http://example.com/a" }),
      image({ type: "file", file_id: "file_1" }),
      image({ type: "hologram" })
    )
  ],
  ["an image of 10 MB", asking(png(image10))],
  ["unknown blocks", asking({ type: "smell", text: "" }, { type: "container_upload", file_id: "file_1" })],
  [
    "a search result in a tool result",
    request({
      messages: [
        user(text),
        assistant(use("a")),
        user({ ...result("a"), content: [{ type: "search_result", source: "", title: "", content: [text] }] })
      ]
    })
  ],
  [
    "four cached blocks, and a block that is not cached",
    asking(cached, cached, cached, cached, { ...text, cache_control: null })
  ],
  ["adaptive thinking", request({ thinking: { type: "adaptive" } })],
  ["an unknown type of thinking", request({ thinking: { type: "dreaming" } })],
  ["the smallest thinking budget", request({ thinking: { type: "enabled", budget_tokens: 1024 } })],
  [
    "a thinking budget above max_tokens, with tools",
    request({ tools: [tool], thinking: { type: "enabled", budget_tokens: 50_000 } })
  ],
  ["the highest max_tokens", request({ max_tokens: 1_000_000, stop_sequences: ["\nHuman:"] })],
  [
    "server tools and unknown tools",
    request({
      tools: [{ type: "bash_20250124", name: "bash" }, { type: "teleport_20300101" }, { ...tool, type: null }]
    })
  ],
  [
    "a forced tool of a toolset",
    request({ tools: [{ type: "browser_toolset_20260801" }], tool_choice: { type: "tool", name: "navigate" } })
  ],
  [
    "a forced tool that a message adds",
    request({
      messages: [user(text), { role: "system", content: [{ type: "tool_addition", tool }] }, { role: "system" }],
      tool_choice: { type: "tool", name: "get_weather" }
    })
  ],
  ["tool_choice auto without tools", request({ tool_choice: { type: "auto" } })],
  ["an unknown type of tool_choice", request({ tool_choice: { type: "best" } })],
  [
    "a tool that is not strict, with a schema that the API does not enforce",
    request({ tools: [{ name: "a", input_schema: { type: "object", properties: { n: { minimum: 1, $ref: "#" } } } }] })
  ],
  ["twenty strict tools", request({ tools: times(20, (i) => strict(closed, `tool_${i}`)) })],
  [
    "a strict schema with many allowed keywords",
    format({
      ...closed,
      properties: {
        minimum: { type: "integer", description: "at least 1" },
        $ref: { enum: ["a", 1, true, null] },
        list: { type: "array", minItems: 1, items: { $ref: "#/$defs/A~1B" } },
        twice: { $ref: "#/$defs/A~1B" },
        maybe: { anyOf: [{ type: "null" }, { $ref: "#/definitions/missing" }] },
        date: { type: ["string", "null"], format: "date-time", pattern: "^2" },
        fixed: { const: "a" }
      },
      required: ["minimum"],
      $defs: { "A/B": { ...closed, properties: {} }, unused: { type: "object" } }
    })
  ],
  ["an unknown format", request({ output_config: { format: { type: "grammar" }, effort: "extreme" } })],
  [
    "citations that are disabled",
    format(closed, { messages: [user({ ...document({ type: "file" }), citations: { enabled: false } })] })
  ],
  ["deeply nested input", request({ metadata: times(150, (i) => i).reduce<unknown>((inner) => [inner], 1) })],
  ["24 MB of images", asking(...times(8, () => png("A".repeat(3 * mebibyte))))]
]

/** The errors and the warnings of a request. */
const all = (params: Params) => [...shape(params), ...beyond(params)]

describe("a request beyond the known limits of the API", () => {
  it.each(limited)("gets a warning, and no error, for %s", (_, params, path, sentence) => {
    const issues = beyond(params as Params)
    assert.deepStrictEqual(issues.map((issue) => issue.path), [pathOf(path)])
    assert.match(issues[0]?.message ?? "", sentence)
    assert.deepStrictEqual(shape(params as Params), [])
  })

  it("has errors only under `strict`", () => {
    for (const [name, params, path] of limited) {
      const usual = Validate.check(params as Params)
      assert.deepStrictEqual([usual.errors.length, usual.warnings.length], [0, 1], name)
      const strict = Validate.check(params as Params, { strict: true })
      assert.deepStrictEqual(strict.errors.map((issue) => issue.path), [pathOf(path)], name)
    }
  })
})

describe("an invalid request", () => {
  it.each(invalid)("gets an issue for %s", (_, params, path, sentence) => {
    const issues = shape(params as Params)
    assert.deepStrictEqual(issues.map((issue) => issue.path), [pathOf(path)])
    assert.match(issues[0]?.message ?? "", sentence)
  })

  it("gets all its issues at once", () => {
    const issues = all(request({
      model: "",
      temperature: 1,
      system: [{ type: "text", text: " " }],
      messages: [{ role: "robot", content: [{ type: "text", text: "" }, png(""), {}] }, 5],
      tools: [{ name: "a b" }, tool, tool],
      tool_choice: { type: "tool", name: "b" }
    }))
    assert.deepStrictEqual(issues.map(({ path }) => path.join(".")).toSorted(), [
      "messages.0.content.0.text",
      "messages.0.content.1.source.data",
      "messages.0.content.2.type",
      "messages.0.role",
      "messages.1",
      "model",
      "system.0.text",
      "temperature",
      "tool_choice.name",
      "tools.0.input_schema",
      "tools.0.name",
      "tools.2.name"
    ])
  })
})

describe("a call", () => {
  const ask = (params: unknown) => Claude.message(params as Params).pipe(Policy.apply(Policy.none))
  const playing = (turns: ReadonlyArray<Faults.Turn>) =>
    Layer.unwrap(
      Effect.map(FakeServer.FakeServer, ({ url }) => NodeAnthropic.layer({ apiKey: "sk-ant-test", baseUrl: url }))
    ).pipe(Layer.provideMerge(FakeServer.layer(turns)), Layer.provide(CallLog.layerNoop))
  const received = Effect.flatMap(FakeServer.FakeServer, (server) => server.received)

  it.live("is not sent if its request is invalid", () =>
    Effect.gen(function*() {
      // An undefined parameter counts as missing, and gets its default.
      const unsaid = ["a missing model", "missing max_tokens"]
      for (const [name, params, path] of invalid.filter(([name]) => !unsaid.includes(name))) {
        const error = yield* Effect.flip(ask(params))
        assert.deepInclude({ ...error }, { _tag: "InvalidRequest", sent: false }, name)
        const paths = error._tag === "InvalidRequest" ? error.issues?.map(({ path }) => path.join(".")) : undefined
        // A prompt that is null or a list is not read as parameters, and gets other issues.
        if (path !== "") assert.deepStrictEqual(paths, [path], name)
      }
      assert.deepStrictEqual(yield* received, [])
    }).pipe(Effect.provide(playing([]))))

  it.effect("is sent with a warning if its request is beyond the known limits", () =>
    Effect.gen(function*() {
      for (const [name, params] of limited) {
        yield* Effect.gen(function*() {
          assert.strictEqual((yield* ask(params)).text, "hello", name)
          const events = yield* Effect.flatMap(CallLog.Memory, Ref.get)
          assert.isTrue(events.some(({ _tag }) => _tag === "Warning"), name)
        }).pipe(
          Effect.provide(
            FakeClaude.layer([Faults.answer("hello")]).pipe(Layer.provideMerge(Layer.fresh(CallLog.layerMemory)))
          )
        )
      }
    }))

  it.live("is sent unchanged if its request is valid", () =>
    Effect.gen(function*() {
      for (const [, params] of valid) yield* Effect.exit(ask(params))
      const sent = (yield* received).map(({ params }) => params)
      assert.deepStrictEqual(
        sent,
        valid.map(([, params]) => JSON.parse(JSON.stringify({ ...params as Params, stream: true })))
      )
    }).pipe(Effect.provide(playing(valid.map(() => Faults.answer("hello"))))))
})

describe("a valid request", () => {
  it.each(valid)("has no issue if it has %s", (_, params) => {
    assert.deepStrictEqual(all(params as Params), [])
  })

  it("may have the type of the SDK's parameters", () => {
    const params: Sdk.MessageCreateParamsBase = {
      ...hello,
      tools: [{ type: "web_search_20250305", name: "web_search" }, { name: "a", input_schema: { type: "object" } }],
      tool_choice: { type: "any", disable_parallel_tool_use: true },
      output_config: { effort: "max" }
    }
    assert.deepStrictEqual(shape(params), [])
  })
})

describe("the rules", () => {
  it("have a unique name and a source each", () => {
    const rules = [...shapeRules, ...limitRules]
    assert.strictEqual(new Set(rules.map(({ name }) => name)).size, rules.length)
    for (const { source } of rules) {
      assert.match(source, /^(SDK 1\.12 types|API|platform\.claude\.com|this library)/)
    }
  })
})

// -----------------------------------------------------------------------------
// Properties
// -----------------------------------------------------------------------------

const often = { arbitrary: { runs: runs(500), seed: process.env["SEED"] ?? "resilient-claude" }, timeout: 30_000 }
const json = Arbitrary.schema(Schema.Json)
const int = (maximum: number) => Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum })))

const isLong = (value: unknown): boolean =>
  typeof value === "string"
    ? value.length > 1000
    : typeof value === "object" && value !== null && Object.values(value).some(isLong)

/** The smaller requests of the tables above, valid and invalid. */
const samples = [...valid, ...invalid, ...limited].map(([, params]) => params).filter((params) => {
  const all = places(params, 12)
  return all.length < 200 && all.every((path) => path.length <= 12) && !isLong(params)
})
const mutant = Arbitrary.flatMap(int(samples.length - 1), (i) => {
  const all = places(samples[i], 12)
  return Arbitrary.map(
    Arbitrary.all([int(all.length - 1), json]),
    ([at, other]) => put(samples[i], all[at] ?? [], other)
  )
})

const isSound = (params: unknown) =>
  all(params as Params).every(({ message, path }) =>
    message !== "" && path.every((key) => typeof key === "string" || Number.isInteger(key))
  )

describe("any request", () => {
  it.prop(
    "makes no rule throw if it is a random JSON value",
    { params: json },
    ({ params }) => assert.isTrue(isSound(params)),
    often
  )

  it.prop(
    "makes no rule throw if its parameters are random JSON values",
    {
      messages: json,
      system: json,
      tools: json,
      tool_choice: json,
      thinking: json,
      output_config: json
    },
    (params) => assert.isTrue(isSound({ ...hello, ...params })),
    often
  )

  it.prop(
    "makes no rule throw if it is a sample with one value replaced by a random value",
    { mutant },
    ({ mutant }) => {
      assert.isTrue(isSound(mutant))
    },
    often
  )

  it("makes no rule throw if it contains itself or odd values", () => {
    const list: Array<unknown> = []
    list.push(list, list, list)
    for (const odd of [cyclic, list, new Map(), () => 0, Symbol("a"), 1n, new Proxy([], {})]) {
      for (const key of ["messages", "system", "tools", "tool_choice", "thinking", "stop_sequences", "output_config"]) {
        assert.isTrue(isSound(request({ [key]: odd })), key)
        assert.isTrue(isSound(request({ [key]: [odd] })), key)
      }
      assert.isTrue(isSound(asking(odd, { type: "tool_result", content: odd }, { type: "document", source: odd })))
      assert.isTrue(isSound(request({ tools: [{ name: odd, input_schema: odd, strict: true }] })))
      assert.isTrue(isSound(format(odd)))
    }
  })

  /** The fields of a request that hold text of the prompt. */
  const secrets = new Set(["text", "data", "content", "thinking", "input", "url", "title", "context", "stop_sequences"])
  const marked = (value: unknown, isSecret: boolean): unknown =>
    typeof value === "string"
      ? isSecret ? `${value}SECRET` : value
      : Array.isArray(value)
      ? value.map((inner) => marked(inner, isSecret))
      : typeof value === "object" && value !== null
      ? Object.fromEntries(
        Object.entries(value).map(([key, inner]) => [key, marked(inner, secrets.has(key))])
      )
      : value

  it.prop("gets no issue that quotes the prompt", { mutant }, ({ mutant }) => {
    assert.notInclude(JSON.stringify(all(marked(mutant, false) as Params)), "SECRET")
  }, often)
})
