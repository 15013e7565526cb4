import type { ThinkingConfigParam } from "@anthropic-ai/sdk/resources/messages"
import { isString } from "effect/Predicate"
import type { Params } from "../Message.ts"
import type { Model } from "../models/catalogue.ts"
import { type Adapted, changed, leftOut, withConfig } from "./adaptation.ts"
import { isForced } from "./capabilities.ts"
import { answersTools, withThinking } from "./otherThinking.ts"
import { isThinking } from "./rules/blocks.ts"
import { field } from "./rules/rule.ts"

export const thinking = (params: Params, { capabilities }: Model): Adapted | undefined => {
  const type = field(params.thinking, "type")
  const known = capabilities.thinking
  if (!isString(type) || known === undefined || known.includes(type)) return undefined
  const instead = off.has(type) ? idle(known) : busy(params, type, known)
  return changed(withThinking(params, instead), `thinking ${type} → ${instead?.type ?? leftOut}`)
}

/** With these types of `thinking`, the model does not think before the answer. */
const off: ReadonlySet<unknown> = new Set(["disabled", "between_tools"])

/** The supported type closest to no thinking. Undefined, for the default of the model, if no such type is supported. */
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
 * Whether the API accepts thinking `enabled`: no tool may be forced, and if the answer continues an assistant's turn
 * (after tool results or a prefill), that turn must have begun with thinking.
 */
const mayBegin = ({ messages, tool_choice }: Params): boolean => {
  if (isForced(tool_choice)) return false
  const said = messages.findLast(({ role }) => role === "assistant")
  const goesOn = messages.at(-1) === said && said !== undefined || answersTools(messages)
  return !goesOn || Array.isArray(said?.content) && isThinking(said.content[0])
}

/** In ascending order. */
const levels = ["low", "medium", "high", "xhigh", "max"] as const

export const effort = (params: Params, { capabilities }: Model): Adapted | undefined => {
  const asked = params.output_config?.effort
  if (!isString(asked) || capabilities.effort === undefined) return undefined
  // Without thinking, the API may refuse levels above high.
  const known = off.has(params.thinking?.type)
    ? capabilities.effort.filter((level) => level !== "xhigh" && level !== "max")
    : capabilities.effort
  if (known.includes(asked)) return undefined
  const instead = levels.slice(0, levels.indexOf(asked) + 1).findLast((level) => known.includes(level))
  const { effort: _, ...rest } = params.output_config ?? {}
  const config = instead === undefined ? rest : { ...rest, effort: instead }
  return changed(withConfig(params, config), `effort ${asked} → ${instead ?? leftOut}`)
}

/**
 * Lowers a thinking budget that was below the original `max_tokens` but is not below the new one. Removes `thinking` if
 * the new `max_tokens` leaves no room for a budget. A budget that was not below the original `max_tokens` is unchanged,
 * because the API allows this with tools.
 */
export const budget = (params: Params, _: Model, original: Params): Adapted | undefined => {
  const { max_tokens, thinking } = params
  if (thinking?.type !== "enabled" || original.thinking !== thinking) return undefined
  const { budget_tokens } = thinking
  if (budget_tokens >= original.max_tokens || budget_tokens < max_tokens) return undefined
  const lower = budgetOf(max_tokens)
  return lower === undefined
    ? changed(withThinking(params, undefined), `thinking enabled → ${leftOut}`)
    : changed(withThinking(params, { ...thinking, budget_tokens: lower }), `budget_tokens ${budget_tokens} → ${lower}`)
}

/** Source: SDK 1.12 types, ThinkingConfigEnabled. */
const minBudget = 1024

/** Half of `max_tokens`, or the minimum if that is more. Undefined if no token would be left for the answer. */
const budgetOf = (maxTokens: number): number | undefined =>
  maxTokens > minBudget ? Math.max(minBudget, Math.floor(maxTokens / 2)) : undefined
