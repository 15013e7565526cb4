/** The rules that need the model catalogue: they find parameters and content that a model does not support. */
import { isNumber, isObject, isString } from "effect/Predicate"
import type { Issue } from "../ClaudeError.ts"
import type { Params } from "../Message.ts"
import type { Model } from "../models/catalogue.ts"
import * as Refuse from "../options.ts"
import { allBlocks, hasFormat, isPrefilled, isStrict, isUnread } from "./rules/blocks.ts"
import { at, both, broken, each, field, type Given, issue, type Issues, none, type Rule, show } from "./rules/rule.ts"

/** For average English text. Code and other languages have more tokens per character. */
const charactersPerToken = 4
/** Bounds the recursion of `charactersIn`, which ignores objects and arrays that are nested deeper. */
const maxDepth = 20

const anyOf = (names: ReadonlyArray<string>): string => Refuse.listed(names.map(show), "or")

const retired = (_: Given, { id, lifecycle, retiresAt }: Model): Issues =>
  lifecycle === "retired"
    ? issue(
      ["model"],
      `${id} ${retiresAt === undefined ? "is retired" : `was retired on ${retiresAt}`}: use a later model`
    )
    : none

const effort = ({ output_config }: Given, { capabilities, id }: Model): Issues => {
  const effort = field(output_config, "effort")
  const known = capabilities.effort
  if (!isString(effort) || known === undefined || known.includes(effort)) return none
  const instead = known.length === 0 ? "effort: remove it" : `the effort ${show(effort)}: use ${anyOf(known)}`
  return issue(["output_config", "effort"], `${id} does not support ${instead}`)
}

const thinking = ({ thinking }: Given, { capabilities, id }: Model): Issues => {
  const type = field(thinking, "type")
  const known = capabilities.thinking
  if (!isString(type) || known === undefined || known.includes(type)) return none
  if (known.length > 0) {
    return issue(["thinking", "type"], `${id} does not support thinking ${show(type)}: use ${anyOf(known)}`)
  }
  return type === "disabled" ? none : issue(["thinking", "type"], `${id} does not support thinking: remove it`)
}

const maxOutput = ({ max_tokens }: Given, { id, maxOutput }: Model): Issues =>
  isNumber(max_tokens) && maxOutput !== undefined && max_tokens > maxOutput
    ? issue(["max_tokens"], `max_tokens is ${max_tokens}: ${id} writes at most ${maxOutput}, so lower it`)
    : none

const prefill = ({ messages }: Given, { capabilities, id }: Model): Issues =>
  capabilities.prefill === false && Array.isArray(messages) && isPrefilled(messages)
    ? issue(
      ["messages", messages.length - 1],
      `the last message is from the assistant, and ${id} cannot continue it: end with a user message`
    )
    : none

const forcedTools = ({ thinking, tool_choice }: Given, { capabilities, id }: Model): Issues => {
  if (!isForced(tool_choice)) return none
  const problem = capabilities.forcedTools === false
    ? `${id} cannot be forced to use a tool`
    : field(thinking, "type") === "enabled"
    ? "a model cannot be forced to use a tool while thinking is \"enabled\""
    : undefined
  return problem === undefined
    ? none
    : issue(["tool_choice", "type"], `${problem}: use "auto", and ask for the tool in the prompt`)
}

export const isForced = (choice: unknown): boolean => forcing.has(field(choice, "type"))

const forcing: ReadonlySet<unknown> = new Set(["any", "tool"])

/**
 * A call logs this issue as a warning, because the type may be newer than this version of the library. The fake server
 * refuses the request.
 */
export const unknownChoice = (choice: unknown): Issues => {
  const type = field(choice, "type")
  return !isString(type) || choices.has(type)
    ? none
    : issue(
      ["tool_choice", "type"],
      `the type of tool_choice is ${show(type)}: it should be ${anyOf([...choices])}`
    )
}

/** Source: SDK 1.12 types, ToolChoice. */
const choices: ReadonlySet<string> = new Set(["auto", "any", "tool", "none"])

const structured = (given: Given, { capabilities, id }: Model): Issues => {
  if (capabilities.structuredOutputs !== false) return none
  const lacks = `${id} has no structured outputs: remove`
  return both(
    hasFormat(given) ? issue(["output_config", "format"], `${lacks} the format, and describe it in the prompt`) : none,
    at(
      "tools",
      each(given.tools, (tool) => isStrict(tool) ? issue(["strict"], `${lacks} strict, and check the input`) : none)
    )
  )
}

const images = (given: Given, { capabilities, id }: Model): Issues => {
  if (capabilities.images !== false) return none
  return allBlocks(
    given,
    ({ type }) =>
      type === "image" ? issue([], `${id} cannot see images: describe the image, or use another model`) : none
  )
}

const pdfs = (given: Given, { capabilities, id }: Model): Issues => {
  if (capabilities.pdfs !== false) return none
  return allBlocks(given, ({ source, type }) =>
    type === "document" && pdfSources.has(field(source, "type"))
      ? issue([], `${id} cannot read PDFs: send the text, or use another model`)
      : none)
}

/** Without `file`: a file may be a text instead of a PDF. */
const pdfSources: ReadonlySet<unknown> = new Set(["base64", "url"])

/** Only a warning, because the tokens are estimated from the characters. */
export const estimate = (params: Params, model: Model | undefined): Issues => {
  if (model?.contextWindow === undefined) return none
  const { contextWindow, id } = model
  const room = contextWindow * charactersPerToken
  if (charactersIn(params, room) <= room) return none
  return issue(
    [],
    `the prompt seems to have more than the ${contextWindow} tokens that ${id} reads (estimated at `
      + `${charactersPerToken} characters each): shorten it`
  )
}

/** Approximate. Stops counting above `enough`. */
export const charactersIn = (
  { messages, system, tools }: Params,
  enough = Infinity
): number => textIn([system, tools, messages], enough, 0)

/**
 * Counts the characters of texts, plus one for each array and object. Base64 data, thinking of earlier turns and encrypted
 * text do not count.
 */
const textIn = (value: unknown, enough: number, depth: number): number => {
  if (isString(value)) return value.length
  if (depth > maxDepth || value === null || typeof value !== "object") return 0
  let sum = 1
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length && sum <= enough; i++) sum += textIn(value[i], enough - sum, depth + 1)
    return sum
  }
  if (!isObject(value) || isUnread(value)) return sum
  for (const key in value) {
    if (sum > enough) return sum
    if (!key.startsWith("encrypted_")) sum += textIn(value[key], enough - sum, depth + 1)
  }
  return sum
}

export const boundsRules: ReadonlyArray<Rule<[Model]>> = [
  { name: "not retired", source: "Models API: lifecycle", check: retired },
  { name: "effort", source: "Models API: capabilities.effort", check: effort },
  { name: "thinking", source: "Models API: capabilities.thinking", check: thinking },
  { name: "max_tokens", source: "Models API: max_tokens", check: maxOutput },
  { name: "prefill", source: "platform.claude.com/docs/en/api/errors#prefill-not-supported", check: prefill },
  {
    name: "forced tools",
    source: "platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5#forced-tool-use-is-not-supported",
    check: forcedTools
  },
  { name: "structured outputs", source: "Models API: capabilities.structured_outputs", check: structured },
  { name: "images", source: "Models API: capabilities.image_input", check: images },
  { name: "PDFs", source: "Models API: capabilities.pdf_input", check: pdfs }
]

/** If the catalogue does not have the model, that is the only issue. */
export const bounds = (params: Params, model: Model | undefined): ReadonlyArray<Issue> => {
  const given: unknown = params
  if (!isObject(given)) return none
  return model === undefined
    ? issue(
      ["model"],
      `the model catalogue does not have ${show(given.model)}: correct the name, or add the model with Models.refresh`
    )
    : broken(boundsRules, given, model)
}
