import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import type { Params } from "../../src/Message.ts"
import type { Capabilities, Model } from "../../src/models/catalogue.ts"
import { bounds as certain, boundsRules, estimate } from "../../src/request/capabilities.ts"
import { runs } from "../support/effort.ts"
import { pathOf } from "../support/places.ts"

/** Everything that is said of a request for a model. */
const bounds = (params: Params, model: Model | undefined) => [
  ...certain(params, model),
  ...typeof params === "object" && params !== null ? estimate(params, model) : []
]

const hello: Params = { model: "claude-test-1", max_tokens: 2000, messages: [{ role: "user", content: "Hello" }] }
const request = (more: object): Params => ({ ...hello, ...more })
const asking = (...content: ReadonlyArray<unknown>) => request({ messages: [{ role: "user", content }] })
const answering = (content: unknown) => request({ messages: [...hello.messages, { role: "assistant", content }] })

/** A model of which only this is known. */
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
    /^the model catalogue does not know "claude-test-1": a typing slip, or newer than this version$/
  ],
  ["no model", request({ model: undefined, max_tokens: 1e9 }), undefined, "model", /does not know missing/],
  ["a retired model", hello, model({ lifecycle: "retired" }), "model", /^claude-test-1 is retired: use a later model$/],
  [
    "a model that was retired",
    hello,
    model({ lifecycle: "retired", retiresAt: "2026-08-05" }),
    "model",
    /^claude-test-1 was retired on 2026-08-05: use a later model$/
  ],
  [
    "more effort than there is",
    request({ output_config: { effort: "max" } }),
    able({ effort: ["low", "high"] }),
    "output_config.effort",
    /^claude-test-1 does not know the effort "max": use low, high$/
  ],
  [
    "effort where there is none",
    request({ output_config: { effort: "low" } }),
    able({ effort: [] }),
    "output_config.effort",
    /^claude-test-1 does not know any effort: remove it$/
  ],
  [
    "thinking of another type",
    request({ thinking: { type: "enabled", budget_tokens: 1024 } }),
    able({ thinking: ["adaptive", "disabled"] }),
    "thinking.type",
    /^claude-test-1 does not know thinking "enabled": use adaptive, disabled$/
  ],
  [
    "thinking where there is none",
    request({ thinking: { type: "adaptive" } }),
    able({ thinking: [] }),
    "thinking.type",
    /^claude-test-1 does not think: remove it$/
  ],
  [
    "more output than there is",
    hello,
    model({ maxOutput: 1999 }),
    "max_tokens",
    /^max_tokens is 2000: claude-test-1 writes at most 1999$/
  ],
  [
    "an answer that is begun",
    answering("The answer is ("),
    able({ prefill: false }),
    "messages.1",
    /^the last message is the assistant's, and claude-test-1 cannot go on from it: end with a user message$/
  ],
  [
    "an answer that is begun in blocks",
    answering([{ type: "thinking", thinking: "So", signature: "c2ln" }, text]),
    able({ prefill: false }),
    "messages.1",
    /cannot go on from it/
  ],
  [
    "any tool that must be used",
    request({ tools: [{ ...strict, strict: false }], tool_choice: { type: "any" } }),
    able({ forcedTools: false }),
    "tool_choice.type",
    /^claude-test-1 cannot be forced to use a tool: use "auto", and ask for it in words$/
  ],
  [
    "one tool that must be used",
    request({ tools: [{ ...strict, strict: false }], tool_choice: { type: "tool", name: "a" } }),
    able({ forcedTools: false }),
    "tool_choice.type",
    /cannot be forced/
  ],
  [
    "a tool that must be used while it thinks",
    request({ thinking: { type: "enabled", budget_tokens: 1024 }, tool_choice: { type: "any" } }),
    able({ forcedTools: true }),
    "tool_choice.type",
    /^no model that thinks by a budget can be forced to use a tool: use "auto", and ask for it in words$/
  ],
  [
    "structured output",
    request(format),
    able({ structuredOutputs: false }),
    "output_config.format",
    /^claude-test-1 has no structured outputs: remove the format, and ask for it in words$/
  ],
  [
    "a strict tool",
    request({ tools: [{ ...strict, strict: false }, strict] }),
    able({ structuredOutputs: false }),
    "tools.1.strict",
    /^claude-test-1 has no structured outputs: remove strict, and check the input$/
  ],
  [
    "an image",
    asking(text, image),
    able({ images: false }),
    "messages.0.content.1",
    /^claude-test-1 cannot see images: describe it, or use another model$/
  ],
  [
    "an image in a result",
    asking({ type: "tool_result", tool_use_id: "a", content: [image] }),
    able({ images: false }),
    "messages.0.content.0.content.0",
    /cannot see images/
  ],
  [
    "a PDF",
    asking(pdf),
    able({ pdfs: false }),
    "messages.0.content.0",
    /^claude-test-1 cannot read PDFs: send the text, or use another model$/
  ],
  [
    "a PDF elsewhere",
    asking({ type: "document", source: { type: "url", url: "https://example.com/a.pdf" } }),
    able({ pdfs: false }),
    "messages.0.content.0",
    /cannot read PDFs/
  ],
  [
    "a long prompt",
    asking({ ...text, text: "a".repeat(4100) }),
    model({ contextWindow: 1000 }),
    "",
    /^the prompt seems to have more than the 1000 tokens .* \(an estimate, of 4 characters each\): shorten it$/
  ],
  [
    "a long prompt in parts",
    request({
      system: "a".repeat(1000),
      tools: [{ ...strict, description: "a".repeat(1500) }],
      messages: [{ role: "user", content: "a".repeat(1500) }]
    }),
    model({ contextWindow: 1000 }),
    "",
    /an estimate/
  ]
]

const valid: ReadonlyArray<readonly [name: string, Params, Model]> = [
  [
    "a model of which nothing is known",
    request({ ...answering([image, pdf]), ...format, thinking: { type: "adaptive" } }),
    model()
  ],
  ["a deprecated model: that is a warning", hello, model({ lifecycle: "deprecated", retiresAt: "2020-01-01" })],
  ["effort that it knows", request({ output_config: { effort: "max" } }), able({ effort: ["max"] })],
  ["effort that is left out", request({ output_config: { effort: null } }), able({ effort: [] })],
  ["thinking that it knows", request({ thinking: { type: "adaptive" } }), able({ thinking: ["adaptive"] })],
  ["no thinking where there is none", request({ thinking: { type: "disabled" } }), able({ thinking: [] })],
  ["all the output there is", hello, model({ maxOutput: 2000 })],
  ["an answer that is begun", answering("("), able({ prefill: true })],
  [
    "an answer that was paused",
    answering([{ type: "server_tool_use", id: "srvtoolu_1", name: "web_search", input: {} }, text]),
    able({ prefill: false })
  ],
  ["a tool that must be used", request({ tool_choice: { type: "any" } }), able({ forcedTools: true })],
  ["a tool that may be used", request({ tool_choice: { type: "auto" } }), able({ forcedTools: false })],
  ["no tool", request({ tool_choice: { type: "none" } }), able({ forcedTools: false })],
  ["tools that are not strict", request({ tools: [{ ...strict, strict: false }] }), able({ structuredOutputs: false })],
  ["a format that is null", request({ output_config: { format: null } }), able({ structuredOutputs: false })],
  [
    "documents that are no PDFs",
    asking(
      { type: "document", source: { type: "text", media_type: "text/plain", data: "words" } },
      { type: "document", source: { type: "file", file_id: "file_1" } }
    ),
    able({ pdfs: false, images: false })
  ],
  ["what is no text in a small window", asking(pdf), model({ contextWindow: 1000 })],
  [
    "thinking and secrets of earlier turns in a small window",
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
  ["a prompt that may just fit", asking({ ...text, text: "a".repeat(3900) }), model({ contextWindow: 1000 })]
]

describe("what the model cannot do", () => {
  it.each(invalid)("is told of %s", (_, params, model, path, sentence) => {
    const issues = bounds(params, model)
    assert.deepStrictEqual(issues.map((issue) => issue.path), [pathOf(path)])
    assert.match(issues[0]?.message ?? "", sentence)
  })

  it("is told of all at once", () => {
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

describe("what the model can do, or nobody knows", () => {
  it.each(valid)("is %s", (_, params, model) => {
    assert.deepStrictEqual(bounds(params, model), [])
  })
})

describe("the rules", () => {
  it("have names of their own, and say where they are from", () => {
    assert.strictEqual(new Set(boundsRules.map(({ name }) => name)).size, boundsRules.length)
    for (const { source } of boundsRules) assert.match(source, /^(Models API|platform\.claude\.com)/)
  })
})

describe("whatever it is given", () => {
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

  it.prop("never throws, of JSON", { params: json }, ({ params }) => assert.isTrue(isSound(params)), often)

  it.prop(
    "never throws, of parameters",
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

  it.prop("never says what the prompt says", { messages: json, system: json }, ({ messages, system }) => {
    const said = { role: "assistant", content: [{ type: "text", text: "SECRET", more: messages }, image, pdf] }
    const issues = bounds(request({ system: ["SECRET", system], messages: [said] }), incapable)
    assert.isAbove(issues.length, 0)
    assert.notInclude(JSON.stringify(issues), "SECRET")
  }, often)

  it("ends, of data that contains itself", () => {
    const list: Array<unknown> = []
    list.push(list, list, list)
    for (const key of ["messages", "system", "tools"]) {
      assert.isTrue(isSound(request({ [key]: list })))
      assert.isArray(bounds(request({ [key]: list }), model({ contextWindow: 100_000 })))
    }
  })
})
