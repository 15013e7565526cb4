/**
 * Adapts a request to a fallback model.
 *
 * Changes only parameters and content that the model refuses, to the closest alternative that the model accepts. The
 * request for each fallback model is made from the original request, so that the changes for one model do not affect the
 * next.
 */
import { isObject } from "effect/Predicate"
import type { Params } from "../Message.ts"
import type { Capabilities, Model } from "../models/catalogue.ts"
import { inSchema, instruct } from "../output/codec.ts"
import { type Adaptation, type Adapted, changed, leftOut, withConfig } from "./adaptation.ts"
import { budget, effort, thinking } from "./adaptThinking.ts"
import { isForced } from "./capabilities.ts"
import { areMessages, hasFormat, isPrefilled, isStrict } from "./rules/blocks.ts"

const maxTokens = (params: Params, { maxOutput }: Model): Adapted | undefined =>
  maxOutput !== undefined && params.max_tokens > maxOutput
    ? changed({ ...params, max_tokens: maxOutput }, `max_tokens ${params.max_tokens} → ${maxOutput}`)
    : undefined

const forcedTools = (params: Params, { capabilities }: Model): Adapted | undefined => {
  const { thinking, tool_choice: choice } = params
  if (choice === undefined || !isForced(choice) || !refusesForced(thinking, capabilities)) return undefined
  const alone = "disable_parallel_tool_use" in choice && choice.disable_parallel_tool_use !== undefined
    ? { disable_parallel_tool_use: choice.disable_parallel_tool_use }
    : {}
  return changed({ ...params, tool_choice: { type: "auto", ...alone } }, `tool_choice ${choice.type} → auto`)
}

/** Many models refuse forced tools only while they think. */
const refusesForced = (thinking: Params["thinking"], { forcedTools, thinking: known = [] }: Capabilities): boolean =>
  forcedTools === false || thinking?.type === "enabled" ||
  forcedTools !== true && known.includes("adaptive") && (thinking?.type === "adaptive" || !known.includes("disabled"))

const format = (params: Params, { capabilities }: Model): Adapted | undefined => {
  if (capabilities.structuredOutputs !== false || !hasFormat({ ...params })) return undefined
  const { format, ...rest } = params.output_config ?? {}
  const asked = withConfig(params, rest)
  return changed(
    isObject(format?.schema) ? instruct(asked, inSchema(format.schema)) : asked,
    "format → instruction in the prompt"
  )
}

const strictTools = (params: Params, { capabilities }: Model): Adapted | undefined => {
  if (capabilities.structuredOutputs !== false || !Array.isArray(params.tools)) return undefined
  const tools = params.tools.map((tool) => {
    if (!isStrict(tool) || !("strict" in tool)) return tool
    const { strict: _, ...rest } = tool
    return rest
  })
  return tools.every((tool, i) => tool === params.tools?.[i])
    ? undefined
    : changed({ ...params, tools }, "strict tools → tools without strict")
}

/** Replaces a prefill, for models that refuse one. */
const goOn = "Your last message was cut off. Go on exactly where it ends, and repeat nothing of it: " +
  "answer only with what follows."

const prefill = (params: Params, { capabilities }: Model): Adapted | undefined => {
  const { messages } = params
  if (capabilities.prefill !== false || !isPrefilled(messages)) return undefined
  // Drop empty assistant messages at the end: the API accepts an empty message only as a prefill.
  const said = messages.slice(
    0,
    1 + messages.findLastIndex((one) => one.role !== "assistant" || one.content.length > 0)
  )
  if (said.length === 0) return undefined
  return isPrefilled(said)
    ? changed({ ...params, messages: [...said, { role: "user", content: goOn }] }, "prefill → user message")
    : changed({ ...params, messages: said }, `empty prefill → ${leftOut}`)
}

const speed = (params: Params, { capabilities }: Model): Adapted | undefined => {
  const { speed: asked, ...rest } = params
  return capabilities.fast === false && asked === "fast" ? changed(rest, `speed fast → ${leftOut}`) : undefined
}

// -----------------------------------------------------------------------------
// The table
// -----------------------------------------------------------------------------

/** Applied in this order. For example, `budget_tokens` needs the lowered `max_tokens`. */
export const adaptations: ReadonlyArray<Adaptation> = [
  { name: "max_tokens", source: "Models API: max_tokens", change: maxTokens },
  { name: "thinking", source: "Models API: capabilities.thinking", change: thinking },
  { name: "budget_tokens", source: "SDK 1.12 types: ThinkingConfigEnabled.budget_tokens", change: budget },
  {
    name: "effort",
    source: "Models API: capabilities.effort; SDK 1.12 types: ThinkingTypes.disabled, .between_tools; "
      + "platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5#thinking-cant-be-disabled",
    change: effort
  },
  {
    name: "forced tools",
    source: "platform.claude.com/docs/build-with-claude/thinking-tool-workflows, "
      + "github.com/langchain-ai/langchain-aws/pull/1151",
    change: forcedTools
  },
  { name: "format", source: "Models API: capabilities.structured_outputs", change: format },
  { name: "strict tools", source: "Models API: capabilities.structured_outputs", change: strictTools },
  { name: "prefill", source: "platform.claude.com/docs/en/api/errors#prefill-not-supported", change: prefill },
  { name: "speed", source: "platform.claude.com/docs/en/build-with-claude/fast-mode", change: speed }
]

export const adapt = (params: Params, model: Model | undefined): Adapted => {
  if (model === undefined || !areMessages(params.messages)) return { params, changes: [] }
  let adapted = params
  const changes: Array<string> = []
  for (const { change } of adaptations) {
    const next = change(adapted, model, params)
    if (next === undefined) continue
    adapted = next.params
    changes.push(...next.changes)
  }
  return { params: adapted, changes }
}
