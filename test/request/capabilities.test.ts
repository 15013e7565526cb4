import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import type { Params } from "../../src/Message.ts"
import type { Capabilities, Model } from "../../src/models/catalogue.ts"
import { bounds as certain, boundsRules, estimate } from "../../src/request/capabilities.ts"
import { runs } from "../support/effort.ts"
import { pathOf } from "../support/places.ts"

/** The issues of a request for a model, including the issue of the estimated size. */
const bounds = (params: Params, model: Model | undefined) => [
  ...certain(params, model),
  ...typeof params === "object" && params !== null ? estimate(params, model) : []
]

const hello: Params = { model: "claude-test-1", max_tokens: 2000, messages: [{ role: "user", content: "Hello" }] }
const request = (more: object): Params => ({ ...hello, ...more })
const asking = (...content: ReadonlyArray<unknown>) => request({ messages: [{ role: "user", content }] })
const answering = (content: unknown) => request({ messages: [...hello.messages, { role: "assistant", content }] })

/** A model with only these fields. */
const model = (more: Partial<Model> = {}): Model => ({
  id: "claude-test-1",
  lifecycle: "active",
  capabilities: {},
  source: "a test",
  asOf: "2026-11-23",
  ...more
})
const able = (capabilities: Capabilities) => model({ capabilities })

const text = { type: "text", text: "Hello" }
const image = { type: "image", source: { type: "url", url: "https://example.com/a.png" } }
const pdf = { type: "document", source: { type: "base64", media_type: "application/pdf", data: "A".repeat(10_000) } }
const strict = { name: "a", input_schema: { type: "object", additionalProperties: false }, strict: true }
const format = { output_config: { format: { type: "json_schema", schema: { type: "string" } } } }

const invalid: ReadonlyArray<readonly [name: string, Params, Model | undefined, path: string, RegExp]> = [
  [
    "an unknown model",
    hello,
    undefined,
    "model",
    /^the model catalogue does not have "claude-test-1": correct the name, or add the model with Models.refresh$/
  ],
  ["a missing model", request({ model: undefined, max_tokens: 1e9 }), undefined, "model", /does not have missing/],
  ["a retired model", hello, model({ lifecycle: "retired" }), "model", /^claude-test-1 is retired: use a later model$/],
  [
    "a retired model, with its retirement date",
    hello,
    model({ lifecycle: "retired", retiresAt: "2026-08-05" }),
    "model",
    /^claude-test-1 was retired on 2026-08-05: use a later model$/
  ],
  [
    "an unsupported effort",
    request({ output_config: { effort: "max" } }),
    able({ effort: ["low", "high"] }),
    "output_config.effort",
    /^claude-test-1 does not support the effort "max": use "low" or "high"$/
  ],
  [
    "effort for a model without effort levels",
    request({ output_config: { effort: "low" } }),
    able({ effort: [] }),
    "output_config.effort",
    /^claude-test-1 does not support effort: remove it$/
  ],
  [
    "an unsupported type of thinking",
    request({ thinking: { type: "enabled", budget_tokens: 1024 } }),
    able({ thinking: ["adaptive", "disabled"] }),
    "thinking.type",
    /^claude-test-1 does not support thinking "enabled": use "adaptive" or "disabled"$/
  ],
  [
    "thinking for a model that cannot think",
    request({ thinking: { type: "adaptive" } }),
    able({ thinking: [] }),
    "thinking.type",
    /^claude-test-1 does not support thinking: remove it$/
  ],
  [
    "max_tokens above the limit of the model",
    hello,
    model({ maxOutput: 1999 }),
    "max_tokens",
    /^max_tokens is 2000: claude-test-1 writes at most 1999, so lower it$/
  ],
  [
    "a prefill for a model that refuses prefill",
    answering("The answer is ("),
    able({ prefill: false }),
    "messages.1",
    /^the last message is from the assistant, and claude-test-1 cannot continue it: end with a user message$/
  ],
  [
    "a prefill in blocks for a model that refuses prefill",
    answering([{ type: "thinking", thinking: "So", signature: "c2ln" }, text]),
    able({ prefill: false }),
    "messages.1",
    /cannot continue it/
  ],
  [
    "tool_choice any for a model that refuses forced tools",
    request({ tools: [{ ...strict, strict: false }], tool_choice: { type: "any" } }),
    able({ forcedTools: false }),
    "tool_choice.type",
    /^claude-test-1 cannot be forced to use a tool: use "auto", and ask for the tool in the prompt$/
  ],
  [
    "one forced tool for a model that refuses forced tools",
    request({ tools: [{ ...strict, strict: false }], tool_choice: { type: "tool", name: "a" } }),
    able({ forcedTools: false }),
    "tool_choice.type",
    /cannot be forced/
  ],
  [
    "a forced tool with enabled thinking",
    request({ thinking: { type: "enabled", budget_tokens: 1024 }, tool_choice: { type: "any" } }),
    able({ forcedTools: true }),
    "tool_choice.type",
    /^a model cannot be forced to use a tool while thinking is "enabled": use "auto", and ask for the tool in the prompt$/
  ],
  [
    "structured output for a model without it",
    request(format),
    able({ structuredOutputs: false }),
    "output_config.format",
    /^claude-test-1 has no structured outputs: remove the format, and describe it in the prompt$/
  ],
  [
    "a strict tool for a model without structured outputs",
    request({ tools: [{ ...strict, strict: false }, strict] }),
    able({ structuredOutputs: false }),
    "tools.1.strict",
    /^claude-test-1 has no structured outputs: remove strict, and check the input$/
  ],
  [
    "an image for a model that cannot see",
    asking(text, image),
    able({ images: false }),
    "messages.0.content.1",
    /^claude-test-1 cannot see images: describe the image, or use another model$/
  ],
  [
    "an image in a tool result for a model that cannot see",
    asking({ type: "tool_result", tool_use_id: "a", content: [image] }),
    able({ images: false }),
    "messages.0.content.0.content.0",
    /cannot see images/
  ],
  [
    "a PDF for a model that cannot read PDFs",
    asking(pdf),
    able({ pdfs: false }),
    "messages.0.content.0",
    /^claude-test-1 cannot read PDFs: send the text, or use another model$/
  ],
  [
    "a PDF by URL for a model that cannot read PDFs",
    asking({ type: "document", source: { type: "url", url: "https://example.com/a.pdf" } }),
    able({ pdfs: false }),
    "messages.0.content.0",
    /cannot read PDFs/
  ],
  [
    "a prompt longer than the context window",
    asking({ ...text, text: "a".repeat(4100) }),
    model({ contextWindow: 1000 }),
    "",
    /^the prompt seems to have more than the 1000 tokens .* \(estimated at 4 characters each\): shorten it$/
  ],
  [
    "a prompt whose parts together are longer than the context window",
    request({
      system: "a".repeat(1000),
      tools: [{ ...strict, description: "a".repeat(1500) }],
      messages: [{ role: "user", content: "a".repeat(1500) }]
    }),
    model({ contextWindow: 1000 }),
    "",
    /estimated at 4 characters/
  ]
]

const valid: ReadonlyArray<readonly [name: string, Params, Model]> = [
  [
    "a model with unknown capabilities",
    request({ ...answering([image, pdf]), ...format, thinking: { type: "adaptive" } }),
    model()
  ],
  ["a deprecated model", hello, model({ lifecycle: "deprecated", retiresAt: "2020-01-01" })],
  ["a supported effort", request({ output_config: { effort: "max" } }), able({ effort: ["max"] })],
  ["effort that is null", request({ output_config: { effort: null } }), able({ effort: [] })],
  ["a supported type of thinking", request({ thinking: { type: "adaptive" } }), able({ thinking: ["adaptive"] })],
  [
    "disabled thinking for a model that cannot think",
    request({ thinking: { type: "disabled" } }),
    able({ thinking: [] })
  ],
  ["max_tokens at the limit of the model", hello, model({ maxOutput: 2000 })],
  ["a prefill for a model that supports it", answering("("), able({ prefill: true })],
  [
    "a paused answer",
    answering([{ type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: {} }, text]),
    able({ prefill: false })
  ],
  [
    "a forced tool for a model that supports it",
    request({ tool_choice: { type: "any" } }),
    able({ forcedTools: true })
  ],
  ["an optional tool", request({ tool_choice: { type: "auto" } }), able({ forcedTools: false })],
  ["tool_choice none", request({ tool_choice: { type: "none" } }), able({ forcedTools: false })],
  ["tools that are not strict", request({ tools: [{ ...strict, strict: false }] }), able({ structuredOutputs: false })],
  ["a format that is null", request({ output_config: { format: null } }), able({ structuredOutputs: false })],
  [
    "documents that are not PDFs",
    asking(
      { type: "document", source: { type: "text", media_type: "text/plain", data: "words" } },
      { type: "document", source: { type: "file", file_id: "file_1" } }
    ),
    able({ pdfs: false, images: false })
  ],
  ["a PDF for a model with a small context window", asking(pdf), model({ contextWindow: 1000 })],
  [
    "thinking and encrypted text of earlier turns for a model with a small context window",
    request({
      messages: [
        ...hello.messages,
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "a".repeat(9000), signature: "c2ln" },
            { type: "web_search_result", encrypted_content: "a".repeat(9000) }
          ]
        }
      ]
    }),
    model({ contextWindow: 1000 })
  ],
  ["a prompt that just fits", asking({ ...text, text: "a".repeat(3900) }), model({ contextWindow: 1000 })]
]

describe("the rules of the catalogue", () => {
  it.each(invalid)("report %s", (_, params, model, path, sentence) => {
    const issues = bounds(params, model)
    assert.deepStrictEqual(issues.map((issue) => issue.path), [pathOf(path)])
    assert.match(issues[0]?.message ?? "", sentence)
  })

  it("report all issues at once", () => {
    const issues = bounds(
      request({ ...asking(image, pdf), ...format, thinking: { type: "adaptive" }, tool_choice: { type: "any" } }),
      model({
        lifecycle: "retired",
        maxOutput: 1,
        contextWindow: 1,
        capabilities: { structuredOutputs: false, images: false, pdfs: false, thinking: [], forcedTools: false }
      })
    )
    assert.deepStrictEqual(issues.map(({ path }) => path.join(".")), [
      "model",
      "thinking.type",
      "max_tokens",
      "tool_choice.type",
      "output_config.format",
      "messages.0.content.0",
      "messages.0.content.1",
      ""
    ])
  })
})

describe("the rules of the catalogue, for a valid request,", () => {
  it.each(valid)("accept %s", (_, params, model) => {
    assert.deepStrictEqual(bounds(params, model), [])
  })
})

describe("the table of the rules", () => {
  it("has unique names, and a source for each rule", () => {
    assert.strictEqual(new Set(boundsRules.map(({ name }) => name)).size, boundsRules.length)
    for (const { source } of boundsRules) assert.match(source, /^(Models API|platform\.claude\.com)/)
  })
})

describe("any request", () => {
  const often = { arbitrary: { runs: runs(500), seed: process.env["SEED"] ?? "resilient-claude" }, timeout: 30_000 }
  const json = Arbitrary.schema(Schema.Json)
  const incapable = model({
    lifecycle: "retired",
    maxOutput: 1,
    contextWindow: 1,
    capabilities: {
      structuredOutputs: false,
      prefill: false,
      images: false,
      pdfs: false,
      effort: ["low"],
      thinking: [],
      forcedTools: false
    }
  })
  const isSound = (params: unknown) =>
    [incapable, undefined].every((model) => bounds(params as Params, model).every(({ message }) => message !== ""))

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
      thinking: json,
      output_config: json,
      tool_choice: json,
      max_tokens: json
    },
    (params) => assert.isTrue(isSound(params)),
    often
  )

  it.prop("gets no issue that quotes the prompt", { messages: json, system: json }, ({ messages, system }) => {
    const said = { role: "assistant", content: [{ type: "text", text: "SECRET", more: messages }, image, pdf] }
    const issues = bounds(request({ system: ["SECRET", system], messages: [said] }), incapable)
    assert.isAbove(issues.length, 0)
    assert.notInclude(JSON.stringify(issues), "SECRET")
  }, often)

  it("is checked in finite time if it contains itself", () => {
    const list: Array<unknown> = []
    list.push(list, list, list)
    for (const key of ["messages", "system", "tools"]) {
      assert.isTrue(isSound(request({ [key]: list })))
      assert.isArray(bounds(request({ [key]: list }), model({ contextWindow: 100_000 })))
    }
  })
})
