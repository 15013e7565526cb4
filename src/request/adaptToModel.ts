/**
 * The same request for another model: one that it takes.
 *
 * Only what is known to be refused is changed, and to what is nearest to it.
 * Made anew from the original for every model, so that what one of them cannot
 * do is not lost to the next. The changes are said in words for a log, without
 * anything of the prompt.
 */
import type { MessageParam, ThinkingConfigParam } from "@anthropic-ai/sdk/resources/messages"
import { isObject, isString } from "effect/Predicate"
import type { ClaudeError } from "../ClaudeError.ts"
import type { Params } from "../Message.ts"
import type { Capabilities, Model } from "../models/catalogue.ts"
import { inSchema, instruct } from "../output/codec.ts"
import { isForced } from "./capabilities.ts"
import { hasFormat, isPrefilled, isStrict } from "./rules/blocks.ts"
import { field } from "./rules/rule.ts"

/** A request, and what is no longer as it was: nothing, if it is the same object. */
export interface Adapted {
  readonly params: Params
  readonly changes: ReadonlyArray<string>
}

/** One row of the table. */
interface Adaptation {
  readonly name: string
  /** Where it is from. */
  readonly source: string
  /** The request as the model takes it, if it does not take it so. `original` is the one before all rows. */
  readonly change: (params: Params, model: Model, original: Params) => Adapted | undefined
}

const leftOut = "left out"

const changed = (params: Params, change: string): Adapted => ({ params, changes: [change] })

// -----------------------------------------------------------------------------
// Numbers
// -----------------------------------------------------------------------------

const maxTokens = (params: Params, { maxOutput }: Model): Adapted | undefined =>
  maxOutput !== undefined && params.max_tokens > maxOutput
    ? changed({ ...params, max_tokens: maxOutput }, `max_tokens ${params.max_tokens} → ${maxOutput}`)
    : undefined

/** A budget that was below max_tokens stays below. With tools it may be above: then it is as it was. */
const budget = (params: Params, _: Model, original: Params): Adapted | undefined => {
  const { max_tokens, thinking } = params
  if (thinking?.type !== "enabled" || original.thinking !== thinking) return undefined
  const { budget_tokens } = thinking
  if (budget_tokens >= original.max_tokens || budget_tokens < max_tokens) return undefined
  const lower = budgetOf(max_tokens)
  return lower === undefined
    ? changed(withThinking(params, undefined), `thinking enabled → ${leftOut}`)
    : changed(withThinking(params, { ...thinking, budget_tokens: lower }), `budget_tokens ${budget_tokens} → ${lower}`)
}

/** The least the API takes. */
const minBudget = 1024

/** Half is for thinking, half for the answer; nothing, if there is no room for both. */
const budgetOf = (maxTokens: number): number | undefined =>
  maxTokens > minBudget ? Math.max(minBudget, Math.floor(maxTokens / 2)) : undefined

// -----------------------------------------------------------------------------
// Thinking and effort
// -----------------------------------------------------------------------------

const thinking = (params: Params, { capabilities }: Model): Adapted | undefined => {
  const type = field(params.thinking, "type")
  const known = capabilities.thinking
  if (!isString(type) || known === undefined || known.includes(type)) return undefined
  const instead = off.has(type) ? idle(known) : busy(params, type, known)
  return changed(withThinking(params, instead), `thinking ${type} → ${instead?.type ?? leftOut}`)
}

/** With both of them the model does not think before it answers. */
const off: ReadonlySet<unknown> = new Set(["disabled", "between_tools"])

/** What is nearest to no thinking. A model that always thinks does so by default. */
const idle = (known: ReadonlyArray<string>): ThinkingConfigParam | undefined =>
  known.includes("disabled")
    ? { type: "disabled" }
    : known.includes("between_tools")
    ? { type: "between_tools" }
    : undefined

const busy = (params: Params, type: string, known: ReadonlyArray<string>): ThinkingConfigParam | undefined => {
  const shown = params.thinking !== undefined && "display" in params.thinking
    ? { display: params.thinking.display ?? null }
    : {}
  if (known.includes("adaptive")) return { type: "adaptive", ...shown }
  const budget_tokens = budgetOf(params.max_tokens)
  return type !== "enabled" && known.includes("enabled") && budget_tokens !== undefined && mayBegin(params)
    ? { type: "enabled", budget_tokens, ...shown }
    : undefined
}

/**
 * Whether thinking can be `enabled` here: then no tool may be forced, and the assistant's turn that goes on, because it
 * used tools or was begun, must have started with thinking.
 */
const mayBegin = ({ messages, tool_choice }: Params): boolean => {
  if (isForced(tool_choice)) return false
  const said = messages.findLast(({ role }) => role === "assistant")
  const goesOn = messages.at(-1) === said && said !== undefined || answersTools(messages)
  return !goesOn || Array.isArray(said?.content) && isThinking(said.content[0])
}

const withThinking = (params: Params, thinking: ThinkingConfigParam | undefined): Params => {
  const { thinking: _, ...rest } = params
  return thinking === undefined ? rest : { ...rest, thinking }
}

/** From the least to the most. */
const levels = ["low", "medium", "high", "xhigh", "max"] as const

const effort = (params: Params, { capabilities }: Model): Adapted | undefined => {
  const asked = params.output_config?.effort
  if (!isString(asked) || capabilities.effort === undefined) return undefined
  // Where the model does not think, what is above high may be refused.
  const known = off.has(params.thinking?.type)
    ? capabilities.effort.filter((level) => level !== "xhigh" && level !== "max")
    : capabilities.effort
  if (known.includes(asked)) return undefined
  const instead = levels.slice(0, levels.indexOf(asked) + 1).findLast((level) => known.includes(level))
  const { effort: _, ...rest } = params.output_config ?? {}
  const config = instead === undefined ? rest : { ...rest, effort: instead }
  return changed(withConfig(params, config), `effort ${asked} → ${instead ?? leftOut}`)
}

const withConfig = (params: Params, config: NonNullable<Params["output_config"]>): Params => {
  const { output_config: _, ...rest } = params
  return Object.keys(config).length === 0 ? rest : { ...rest, output_config: config }
}

// -----------------------------------------------------------------------------
// Tools and answers
// -----------------------------------------------------------------------------

const forcedTools = (params: Params, { capabilities }: Model): Adapted | undefined => {
  const { thinking, tool_choice: choice } = params
  if (choice === undefined || !isForced(choice) || !isFree(thinking, capabilities)) return undefined
  const alone = "disable_parallel_tool_use" in choice && choice.disable_parallel_tool_use !== undefined
    ? { disable_parallel_tool_use: choice.disable_parallel_tool_use }
    : {}
  return changed({ ...params, tool_choice: { type: "auto", ...alone } }, `tool_choice ${choice.type} → auto`)
}

/** Whether the model must be free to use a tool or not: many must, while they think. */
const isFree = (thinking: Params["thinking"], { forcedTools, thinking: known = [] }: Capabilities): boolean =>
  forcedTools === false || thinking?.type === "enabled" ||
  forcedTools !== true && known.includes("adaptive") && (thinking?.type === "adaptive" || !known.includes("disabled"))

const format = (params: Params, { capabilities }: Model): Adapted | undefined => {
  if (capabilities.structuredOutputs !== false || !hasFormat({ ...params })) return undefined
  const { format, ...rest } = params.output_config ?? {}
  const asked = withConfig(params, rest)
  return changed(isObject(format?.schema) ? instruct(asked, inSchema(format.schema)) : asked, "format → words")
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
    : changed({ ...params, tools }, "strict tools → tools")
}

/** Asks for what would follow a text that was begun, as the answer. */
const goOn = "Your last message was cut off. Go on exactly where it ends, and repeat nothing of it: " +
  "answer only with what follows."

const prefill = (params: Params, { capabilities }: Model): Adapted | undefined => {
  const { messages } = params
  if (capabilities.prefill !== false || !isPrefilled(messages)) return undefined
  // A last message may be empty, one before it not.
  const said = messages.slice(
    0,
    1 + messages.findLastIndex((one) => one.role !== "assistant" || one.content.length > 0)
  )
  if (said.length === 0) return undefined
  return isPrefilled(said)
    ? changed({ ...params, messages: [...said, { role: "user", content: goOn }] }, "prefill → user message")
    : changed({ ...params, messages: said }, `empty prefill → ${leftOut}`)
}

// -----------------------------------------------------------------------------
// The table
// -----------------------------------------------------------------------------

/** In the order they are applied: what follows may depend on what is before it. */
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
  { name: "prefill", source: "platform.claude.com/docs/en/api/errors#prefill-not-supported", change: prefill }
]

/** The request as this model takes it. What is not known of the model is not changed for it. */
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

/** What is wrong with the shape of a request is for other rules. */
const areMessages = (messages: unknown): boolean =>
  Array.isArray(messages) && messages.every((message) => {
    const content = field(message, "content")
    // A beta has messages of the system that only set something.
    return isString(content) || Array.isArray(content) || field(message, "role") === "system"
  })

// -----------------------------------------------------------------------------
// Thinking of another model
// -----------------------------------------------------------------------------

/**
 * The request without any thinking in its messages, or nothing, if there is none. Thinking that is `enabled` goes too,
 * where the API would want to see the thinking before a use of tools.
 */
export const withoutThinking = (params: Params): Params | undefined => {
  if (!areMessages(params.messages) || !params.messages.some(hasThinking)) return undefined
  const messages = params.messages.flatMap((message): ReadonlyArray<MessageParam> => {
    if (message.role !== "assistant" || !Array.isArray(message.content) || !hasThinking(message)) return [message]
    const content = message.content.filter((block) => !isThinking(block))
    return content.length === 0 ? [] : [{ ...message, content }]
  })
  const rest = { ...params, messages }
  return params.thinking?.type === "enabled" && answersTools(messages) ? withThinking(rest, undefined) : rest
}

const hasThinking = ({ content, role }: MessageParam): boolean =>
  role === "assistant" && Array.isArray(content) && content.some(isThinking)

const isThinking = (block: unknown): boolean => {
  const type = field(block, "type")
  return type === "thinking" || type === "redacted_thinking"
}

/** Whether the user's last message answers what the assistant's turn before it asked of tools. */
const answersTools = (messages: Params["messages"]): boolean => {
  const last = messages.findLast(({ role }) => role === "user")
  return Array.isArray(last?.content) && last.content.some((block) => field(block, "type") === "tool_result")
}

/**
 * The words of the API for thinking that it cannot check, or that is not as it was. Sources:
 * github.com/vybestack/llxprt-code/issues/2335, github.com/openclaw/openclaw/issues/107221,
 * platform.claude.com/docs/en/build-with-claude/preserved-thinking/fix-bound-to-a-different-conversation
 */
const signatures = [
  /invalid\W+(signature|data)\W+in\W+(redacted_)?thinking\W+block/i,
  /thinking\W+blocks\b.*\bcannot be modified/is
]

/** Whether thinking in the messages was refused: of another model, or of a conversation that was another then. */
export const isSignatureError = (error: ClaudeError): boolean =>
  error._tag === "InvalidRequest" && error.sent !== false &&
  signatures.some((pattern) => pattern.test(error.detail ?? ""))
