import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { ClaudeError } from "../../src/index.ts"
import type { Params } from "../../src/Message.ts"
import type { Capabilities, Model } from "../../src/models/catalogue.ts"
import { known } from "../../src/models/known.ts"
import { adapt, adaptations } from "../../src/request/adaptToModel.ts"
import { bounds } from "../../src/request/capabilities.ts"
import { isSignatureError, withoutThinking } from "../../src/request/otherThinking.ts"
import { shape } from "../../src/request/rules/rules.ts"
import { classify } from "../../src/wire/classify.ts"
import { runs } from "../support/effort.ts"

const question = { role: "user", content: "Hello" } as const
const hello: Params = { model: "claude-opus-5-5", max_tokens: 8000, messages: [question] }
/** A request with these parameters, valid or not. */
const request = (more: object): Params => ({ ...hello, ...more })

const model = (id: string): Model => {
  const found = known.find((one) => one.id === id)
  assert(found !== undefined, `${id} is not in the catalogue`)
  return found
}
/** A model of which only these capabilities are known. */
const able = (capabilities: Capabilities): Model => ({
  id: "claude-test-1",
  lifecycle: "active",
  capabilities,
  source: "a test",
  asOf: "2026-11-23"
})

const text = { type: "text", text: "Hello" }
const thought = { type: "thinking", thinking: "So", signature: "c2ln" }
const secret = { type: "redacted_thinking", data: "c2Vj" }
const use = { type: "tool_use", id: "toolu_1", name: "a", input: {} }
const result = { type: "tool_result", tool_use_id: "toolu_1", content: "b" }
const user = (...content: ReadonlyArray<unknown>) => ({ role: "user", content })
const assistant = (...content: ReadonlyArray<unknown>) => ({ role: "assistant", content })
const begun = { role: "assistant", content: "The answer is ( " }
const goOn = {
  role: "user",
  content:
    "Your last message was cut off. Go on exactly where it ends, and repeat nothing of it: answer only with what follows."
}

const tool = { name: "a", input_schema: { type: "object", properties: {}, additionalProperties: false } }
const schema = { type: "object", properties: {}, additionalProperties: false }
const format = { type: "json_schema", schema }
const inWords = `Answer with one JSON value that matches this JSON Schema, and nothing else:\n${JSON.stringify(schema)}`

const enabled = (budget_tokens: number) => ({ thinking: { type: "enabled", budget_tokens } })
const adaptive = { thinking: { type: "adaptive" } }
const disabled = { thinking: { type: "disabled" } }
const betweenTools = { thinking: { type: "between_tools" } }
const effort = (level: string) => ({ output_config: { effort: level } })
const any = { tools: [tool], tool_choice: { type: "any" } }
const one = { tools: [tool], tool_choice: { type: "tool", name: "a", disable_parallel_tool_use: true } }
const auto = { tools: [tool], tool_choice: { type: "auto" } }

const [haiku45, opus46, opus5, opus55, sonnet55] = [
  "claude-haiku-4-5",
  "claude-opus-4-6",
  "claude-opus-5",
  "claude-opus-5-5",
  "claude-sonnet-5-5"
] as const

const cases: ReadonlyArray<
  readonly [name: string, given: object, model: string | Model, expected: object, changes: ReadonlyArray<string>]
> = [
  [
    "more max_tokens than the model can write",
    { max_tokens: 128_000 },
    haiku45,
    { max_tokens: 64_000 },
    ["max_tokens 128000 → 64000"]
  ],
  [
    "a thinking budget above the largest max_tokens of the model",
    { max_tokens: 128_000, ...enabled(100_000) },
    haiku45,
    { max_tokens: 64_000, ...enabled(32_000) },
    ["max_tokens 128000 → 64000", "budget_tokens 100000 → 32000"]
  ],
  [
    "a thinking budget that fits, and too many max_tokens",
    { max_tokens: 128_000, ...enabled(63_999) },
    haiku45,
    { max_tokens: 64_000, ...enabled(63_999) },
    ["max_tokens 128000 → 64000"]
  ],
  [
    "a thinking budget above its max_tokens, and too many max_tokens",
    { max_tokens: 70_000, ...enabled(100_000), ...auto },
    haiku45,
    { max_tokens: 64_000, ...enabled(100_000), ...auto },
    ["max_tokens 70000 → 64000"]
  ],
  [
    "a thinking budget that leaves no room for an answer",
    { max_tokens: 8000, ...enabled(2000) },
    { ...able({}), maxOutput: 1024 },
    { max_tokens: 1024 },
    ["max_tokens 8000 → 1024", "thinking enabled → left out"]
  ],

  ["enabled thinking for a model with adaptive thinking", enabled(2000), opus55, adaptive, [
    "thinking enabled → adaptive"
  ]],
  [
    "enabled thinking with a display option",
    { thinking: { type: "enabled", budget_tokens: 2000, display: "summarized" } },
    opus5,
    { thinking: { type: "adaptive", display: "summarized" } },
    ["thinking enabled → adaptive"]
  ],
  ["enabled thinking for a model that cannot think", enabled(2000), able({ thinking: ["disabled"] }), {}, [
    "thinking enabled → left out"
  ]],
  ["adaptive thinking for a model with enabled thinking", adaptive, haiku45, enabled(4000), [
    "thinking adaptive → enabled"
  ]],
  [
    "adaptive thinking with a display option",
    { thinking: { type: "adaptive", display: "omitted" } },
    "claude-sonnet-4-5",
    { thinking: { type: "enabled", budget_tokens: 4000, display: "omitted" } },
    ["thinking adaptive → enabled"]
  ],
  [
    "adaptive thinking, and max_tokens of which half is less than the smallest budget",
    { max_tokens: 1025, ...adaptive },
    haiku45,
    { max_tokens: 1025, ...enabled(1024) },
    ["thinking adaptive → enabled"]
  ],
  [
    "adaptive thinking, and max_tokens too small for a budget",
    { max_tokens: 1024, ...adaptive },
    haiku45,
    { max_tokens: 1024 },
    ["thinking adaptive → left out"]
  ],
  [
    "adaptive thinking and too many max_tokens",
    { max_tokens: 128_000, ...adaptive },
    haiku45,
    { max_tokens: 64_000, ...enabled(32_000) },
    ["max_tokens 128000 → 64000", "thinking adaptive → enabled"]
  ],
  [
    "adaptive thinking in the middle of a turn that began without thinking",
    { ...adaptive, messages: [question, assistant(use), user(result)] },
    haiku45,
    { messages: [question, assistant(use), user(result)] },
    ["thinking adaptive → left out"]
  ],
  [
    "adaptive thinking in the middle of a turn that began with thinking",
    { ...adaptive, messages: [question, assistant(thought, use), user(result)] },
    haiku45,
    { ...enabled(4000), messages: [question, assistant(thought, use), user(result)] },
    ["thinking adaptive → enabled"]
  ],
  [
    "adaptive thinking and a prefill",
    { ...adaptive, messages: [question, begun] },
    haiku45,
    { messages: [question, begun] },
    ["thinking adaptive → left out"]
  ],
  [
    "adaptive thinking after an answer without thinking",
    { ...adaptive, messages: [question, assistant(text), question] },
    haiku45,
    { ...enabled(4000), messages: [question, assistant(text), question] },
    ["thinking adaptive → enabled"]
  ],
  ["thinking for a model that cannot think", adaptive, able({ thinking: [] }), {}, ["thinking adaptive → left out"]],
  ["disabled thinking for a model that always thinks", disabled, "claude-fable-5-2", {}, [
    "thinking disabled → left out"
  ]],
  ["disabled thinking for a model with between_tools", disabled, sonnet55, betweenTools, [
    "thinking disabled → between_tools"
  ]],
  ["between_tools for a model with disabled thinking", betweenTools, haiku45, disabled, [
    "thinking between_tools → disabled"
  ]],
  ["between_tools for a model that always thinks", betweenTools, opus55, {}, ["thinking between_tools → left out"]],

  ["an effort above the levels of the model", effort("xhigh"), opus46, effort("high"), ["effort xhigh → high"]],
  ["the highest effort, for a model without that level", effort("max"), "claude-opus-4-5", effort("high"), [
    "effort max → high"
  ]],
  ["an effort for a model without effort levels", effort("low"), haiku45, {}, ["effort low → left out"]],
  ["an effort below the levels of the model", effort("low"), able({ effort: ["high"] }), {}, ["effort low → left out"]],
  ["an unknown effort", effort("ultra"), opus55, {}, ["effort ultra → left out"]],
  [
    "an unsupported effort beside another field of output_config",
    { output_config: { effort: "low", format } },
    haiku45,
    { output_config: { format } },
    ["effort low → left out"]
  ],
  [
    "a high effort and disabled thinking",
    { ...disabled, ...effort("max") },
    sonnet55,
    { ...betweenTools, ...effort("high") },
    ["thinking disabled → between_tools", "effort max → high"]
  ],
  [
    "a high effort and disabled thinking, for a model that always thinks",
    { ...disabled, ...effort("max") },
    opus55,
    effort("max"),
    ["thinking disabled → left out"]
  ],

  ["tool_choice any, for a model that refuses forced tools", any, opus55, auto, ["tool_choice any → auto"]],
  [
    "a forced tool with disable_parallel_tool_use",
    one,
    sonnet55,
    { tools: [tool], tool_choice: { type: "auto", disable_parallel_tool_use: true } },
    ["tool_choice tool → auto"]
  ],
  ["a forced tool with enabled thinking", { ...any, ...enabled(2000) }, haiku45, { ...auto, ...enabled(2000) }, [
    "tool_choice any → auto"
  ]],
  [
    "a forced tool with adaptive thinking, for a model not known to allow both",
    { ...any, ...adaptive },
    opus46,
    { ...auto, ...adaptive },
    ["tool_choice any → auto"]
  ],
  ["a forced tool for a model that always thinks", any, "claude-mythos-preview", auto, ["tool_choice any → auto"]],
  [
    "a forced tool and adaptive thinking, for a model without adaptive thinking",
    { ...any, ...adaptive },
    haiku45,
    any,
    [
      "thinking adaptive → left out"
    ]
  ],
  [
    "a forced tool and enabled thinking, for a model that allows forced tools with adaptive thinking",
    { ...any, ...enabled(2000) },
    opus5,
    { ...any, ...adaptive },
    ["thinking enabled → adaptive"]
  ],

  [
    "a prefill, for a model that refuses prefill",
    { messages: [question, begun] },
    opus55,
    { messages: [question, begun, goOn] },
    ["prefill → user message"]
  ],
  [
    "a prefill after a system message without content",
    { messages: [question, { role: "system" }, begun] },
    opus55,
    { messages: [question, { role: "system" }, begun, goOn] },
    ["prefill → user message"]
  ],
  [
    "a prefill in blocks",
    { messages: [question, assistant(thought, text)] },
    "claude-sonnet-4-6",
    { messages: [question, assistant(thought, text), goOn] },
    ["prefill → user message"]
  ],
  [
    "an empty prefill",
    { messages: [question, { role: "assistant", content: "" }] },
    opus55,
    { messages: [question] },
    ["empty prefill → left out"]
  ],
  [
    "a prefill before an empty message",
    { messages: [question, begun, assistant()] },
    opus55,
    { messages: [question, begun, goOn] },
    ["prefill → user message"]
  ],

  [
    "an output schema, for a model without structured outputs",
    { output_config: { format } },
    able({ structuredOutputs: false }),
    { messages: [user(text, { type: "text", text: inWords })] },
    ["format → instruction in the prompt"]
  ],
  [
    "an output schema and a prefill, for a model that refuses both",
    { output_config: { format, effort: "low" }, messages: [question, begun] },
    able({ structuredOutputs: false, prefill: false }),
    { output_config: { effort: "low" }, messages: [user(text, { type: "text", text: inWords }), begun, goOn] },
    ["format → instruction in the prompt", "prefill → user message"]
  ],
  [
    "a strict tool, for a model without structured outputs",
    { tools: [{ ...tool, strict: true }, { ...tool, name: "b", strict: false }] },
    able({ structuredOutputs: false }),
    { tools: [tool, { ...tool, name: "b", strict: false }] },
    ["strict tools → tools without strict"]
  ],

  ["speed fast, for a model without it", { speed: "fast" }, able({ fast: false }), {}, ["speed fast → left out"]],

  [
    "many parameters that the model refuses",
    {
      max_tokens: 200_000,
      ...enabled(150_000),
      ...effort("max"),
      ...one,
      messages: [question, begun]
    },
    { ...able({ thinking: ["adaptive"], effort: ["low"], prefill: false, forcedTools: false }), maxOutput: 1000 },
    {
      max_tokens: 1000,
      ...adaptive,
      ...effort("low"),
      tools: [tool],
      tool_choice: { type: "auto", disable_parallel_tool_use: true },
      messages: [question, begun, goOn]
    },
    [
      "max_tokens 200000 → 1000",
      "thinking enabled → adaptive",
      "effort max → low",
      "tool_choice tool → auto",
      "prefill → user message"
    ]
  ]
]

const kept: ReadonlyArray<readonly [name: string, given: object, model: string | Model | undefined]> = [
  [
    "many parameters, for an unknown model",
    { max_tokens: 1e9, ...enabled(2000), ...any, messages: [question, begun] },
    undefined
  ],
  [
    "many parameters, for a model with unknown capabilities",
    { max_tokens: 1e9, ...adaptive, ...effort("max"), ...any, output_config: { format }, messages: [question, begun] },
    able({})
  ],
  ["only a question", {}, haiku45],
  ["enabled thinking that the model supports", { ...enabled(2000), ...auto }, opus46],
  ["thinking and effort that the model supports", { ...adaptive, ...effort("max") }, opus55],
  ["disabled thinking that the model supports", { ...disabled, ...effort("high") }, opus5],
  ["a prefill that the model supports", { messages: [question, begun] }, haiku45],
  ["speed fast that the model supports", { speed: "fast" }, opus5],
  ["a paused tool use at its end", { messages: [question, assistant(use)] }, opus55],
  ["an empty prefill without a question", { messages: [{ role: "assistant", content: "" }] }, opus55],
  ["a forced tool that the model supports", any, haiku45],
  ["a forced tool for a model with optional thinking", any, opus46],
  ["a forced tool with adaptive thinking that the model supports", { ...one, ...adaptive }, opus5],
  ["a forced tool for a model that thinks by default", any, "claude-sonnet-5"],
  ["an optional tool", auto, opus55],
  ["an output schema and a strict tool that the model supports", {
    output_config: { format },
    tools: [{ ...tool, strict: true }]
  }, "claude-opus-4-5"],
  ["a message that is null", { messages: [null] }, opus55]
]

const named = (model: string | Model | undefined) => typeof model === "string" ? modelOf(model) : model
const modelOf = model

describe("a request for another model", () => {
  it.each(cases)("is adapted if it has %s", (_, given, model, expected, changes) => {
    const adapted = adapt(request(given), named(model))
    assert.deepStrictEqual(adapted.params, request(expected))
    assert.deepStrictEqual(adapted.changes, changes)
  })

  it.each(kept)("stays the same object if it has %s", (_, given, model) => {
    const params = request(given)
    const adapted = adapt(params, named(model))
    assert.strictEqual(adapted.params, params)
    assert.deepStrictEqual(adapted.changes, [])
  })

  it("is adapted by rules that have a unique name and a source each", () => {
    assert.strictEqual(new Set(adaptations.map(({ name }) => name)).size, adaptations.length)
    for (const { source } of adaptations) assert.match(source, /Models API|SDK|platform\.claude\.com/)
  })
})

// -----------------------------------------------------------------------------
// Properties
// -----------------------------------------------------------------------------

const often = { arbitrary: { runs: runs(500), seed: process.env["SEED"] ?? "resilient-claude" }, timeout: 30_000 }
const json = Arbitrary.schema(Schema.Json)
const oneOf = (...choices: ReadonlyArray<object>) =>
  Arbitrary.map(
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: choices.length - 1 }))),
    (i) => choices[i] ?? {}
  )
const text2 = { role: "user", content: [text, text] }

const parts = {
  tokens: oneOf({ max_tokens: 1 }, { max_tokens: 1024 }, { max_tokens: 1025 }, { max_tokens: 64_001 }, {
    max_tokens: 900_000
  }),
  thinking: oneOf(
    {},
    adaptive,
    { thinking: { type: "adaptive", display: "summarized" } },
    disabled,
    betweenTools,
    enabled(1024),
    enabled(64_000),
    enabled(899_999),
    { thinking: { type: "enabled", budget_tokens: 2000, display: "omitted" } }
  ),
  config: oneOf(
    {},
    ...["low", "medium", "high", "xhigh", "max", "ultra"].map(effort),
    { output_config: { format } },
    { output_config: { format, effort: "max" } },
    { output_config: {} }
  ),
  tools: oneOf({}, any, one, auto, { ...any, tools: [{ ...tool, strict: true }, { ...tool, name: "b" }] }, {
    tool_choice: { type: "none" }
  }),
  messages: oneOf(
    {},
    { messages: [text2] },
    { messages: [question, begun] },
    { messages: [question, { role: "assistant", content: "" }] },
    { messages: [question, begun, { role: "assistant", content: [] }] },
    { messages: [question, assistant(thought, text)] },
    { messages: [question, assistant(use), user(result)] },
    { messages: [question, assistant(thought, use), user(result, text)] },
    { messages: [question, assistant(secret, use), user(result), begun] },
    { messages: [question, assistant(text), question] }
  )
}
const params = Arbitrary.map(
  Arbitrary.all(parts),
  ({ config, messages, thinking, tokens, tools }) =>
    freeze(request({ ...tokens, ...thinking, ...config, ...tools, ...messages }))
)

const freeze = <A>(value: A): A => {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(freeze)
  return value
}

/** The built-in models that are not retired, and two models with few capabilities. */
const all: ReadonlyArray<Model> = [
  ...known.filter(({ lifecycle }) => lifecycle !== "retired"),
  {
    ...able({ structuredOutputs: false, prefill: false, forcedTools: false, effort: ["medium"], thinking: [] }),
    maxOutput: 1000
  },
  { ...able({ structuredOutputs: false, effort: [], thinking: ["enabled"] }), maxOutput: 2000 }
]

describe("a random request, adapted to each model of the catalogue", () => {
  it.prop("breaks no rule of the catalogue", { params }, ({ params }) => {
    for (const model of all) {
      assert.deepStrictEqual(bounds(adapt(params, model).params, model), [], model.id)
    }
  }, often)

  it.prop("has a valid shape if it had a valid shape before", { params }, ({ params }) => {
    if (shape(params).length > 0) return
    for (const model of all) assert.deepStrictEqual(shape(adapt(params, model).params), [], model.id)
  }, often)

  it.prop("does not change if adapted again", { params }, ({ params }) => {
    for (const model of all) {
      const once = adapt(params, model).params
      assert.strictEqual(adapt(once, model).params, once, model.id)
    }
  }, often)

  it.prop("leaves the original request unchanged", { params }, ({ params }) => {
    const before = JSON.stringify(params)
    const first = all.map((model) => adapt(params, model))
    const second = all.toReversed().map((model) => adapt(params, model)).toReversed()
    assert.deepStrictEqual(second, first)
    assert.strictEqual(JSON.stringify(params), before)
  }, often)

  it.prop("has a short description of each change, and no description if nothing changed", { params }, ({ params }) => {
    for (const model of all) {
      const adapted = adapt(params, model)
      assert.strictEqual(adapted.changes.length === 0, adapted.params === params)
      assert.strictEqual(adapted.changes.length === 0, JSON.stringify(adapted.params) === JSON.stringify(params))
      for (const change of adapted.changes) assert.match(change, /^[\w ]+ → [\w ]+$/)
    }
  }, often)

  it.prop("forces no tool while thinking is enabled", { params }, ({ params }) => {
    for (const model of all) {
      const { thinking, tool_choice } = adapt(params, model).params
      assert.isFalse(thinking?.type === "enabled" && (tool_choice?.type === "any" || tool_choice?.type === "tool"))
    }
  }, often)

  it.prop(
    "causes no exception, even if its parameters are random JSON values",
    { messages: json, tools: json, thinking: json, output_config: json, tool_choice: json, max_tokens: json },
    (more) => {
      for (const model of all) adapt(request(more), model)
      withoutThinking(request(more))
    },
    often
  )
})

// -----------------------------------------------------------------------------
// Thinking of another model
// -----------------------------------------------------------------------------

const thoughts: ReadonlyArray<readonly [name: string, given: object, expected: object | undefined]> = [
  ["nothing if there is no thinking", { messages: [question, assistant(text), question] }, undefined],
  ["nothing if messages is a number", { messages: 5 }, undefined],
  [
    "the thinking of every turn",
    {
      ...adaptive,
      messages: [question, assistant(thought, text), question, assistant(secret, thought, use), user(result)]
    },
    { ...adaptive, messages: [question, assistant(text), question, assistant(use), user(result)] }
  ],
  [
    "a message that has only thinking",
    { messages: [question, assistant(thought), question] },
    { messages: [question, question] }
  ],
  [
    "thinking and the thinking parameter if the messages end with tool results",
    { ...enabled(2000), messages: [question, assistant(thought, use), user(result)] },
    { messages: [question, assistant(use), user(result)] }
  ],
  [
    "only thinking blocks if the messages end with a question",
    {
      ...enabled(2000),
      messages: [question, assistant(thought, use), user(result), assistant(thought, text), question]
    },
    { ...enabled(2000), messages: [question, assistant(use), user(result), assistant(text), question] }
  ]
]

describe("withoutThinking", () => {
  it.each(thoughts)("removes %s", (_, given, expected) => {
    const params = freeze(request(given))
    assert.deepStrictEqual(withoutThinking(params), expected && request(expected))
  })

  it.prop("removes every thinking block, and keeps the shape of the request valid", { params }, ({ params }) => {
    const without = withoutThinking(params)
    assert.strictEqual(without === undefined, !JSON.stringify(params.messages).includes("thinking\""))
    if (without === undefined) return
    assert.notInclude(JSON.stringify(without.messages), "thinking\"")
    assert.isUndefined(withoutThinking(without))
    if (shape(params).length === 0) assert.deepStrictEqual(shape(without), [])
  }, often)
})

/** The error of a 400 response with this message. */
const rejected = (message: string) =>
  classify({ status: 400, error: { error: { type: "invalid_request_error", message } } }, { now: 0, sent: true })

/** Messages of the API that users reported. */
const ofSignatures = [
  "messages.1.content.0: Invalid `signature` in `thinking` block",
  "messages.1.content.0: Invalid signature in thinking block",
  "***.***.content.0: Invalid `signature` in `thinking` block (request id: 2026)",
  "messages.1.content.0: Invalid `data` in `redacted_thinking` block",
  "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different conversation. "
  + "Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to \"drop_block\".",
  "messages.25.content.31: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. "
  + "These blocks must remain as they were in the original response."
]
const ofOthers = [
  "\"thinking.type.enabled\" is not supported for this model.",
  "Thinking may not be enabled when tool_choice forces tool use.",
  "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`.",
  "messages.0.content.0: Invalid `signature` in `compaction` block",
  "prompt is too long"
]

describe("isSignatureError", () => {
  it.each(ofSignatures)(
    "is true for an error with the message: %s",
    (message) => assert.isTrue(isSignatureError(rejected(message)))
  )
  it.each(ofOthers)(
    "is false for an error with the message: %s",
    (message) => assert.isFalse(isSignatureError(rejected(message)))
  )

  it("is false for errors of our validation, of other kinds, and without detail", () => {
    const [detail = ""] = ofSignatures
    assert.isFalse(isSignatureError(new ClaudeError.InvalidRequest({ sent: false, detail })))
    assert.isFalse(isSignatureError(new ClaudeError.ServerFault({ detail })))
    assert.isFalse(isSignatureError(new ClaudeError.InvalidRequest({ sent: true })))
    assert.isTrue(isSignatureError(new ClaudeError.InvalidRequest({ detail })))
  })
})
