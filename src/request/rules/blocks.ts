import { isObject, isString } from "effect/Predicate"
import { at, both, each, field, type Given, type Issues, none } from "./rule.ts"

/** If no message has blocks, the rules about blocks can return early. */
export const hasBlocks = ({ messages }: Given): boolean => Array.isArray(messages) && messages.some(isOfBlocks)

const isOfBlocks = (message: unknown): boolean => Array.isArray(field(message, "content"))

/** Checks the top-level blocks of the messages. */
export const blocks = (given: Given, check: (block: Given) => Issues): Issues =>
  !hasBlocks(given) ? none : at(
    "messages",
    each(given.messages, (message) =>
      at("content", each(field(message, "content"), (block) => isObject(block) ? check(block) : none)))
  )

/** Checks all blocks, also those inside tool results and documents. */
export const allBlocks = (given: Given, check: (block: Given) => Issues): Issues =>
  !hasBlocks(given) ? none : blocks(given, (block) => nested(block, check, 0))

/** Two levels are enough: a tool result can contain a document, and a document can contain an image. */
const nested = (block: Given, check: (block: Given) => Issues, depth: number): Issues => {
  const inside = (content: unknown) =>
    at("content", each(content, (block) => isObject(block) ? nested(block, check, depth + 1) : none))
  const issues = check(block)
  if (depth === 2) return issues
  if (block.type === "tool_result") return both(issues, inside(block.content))
  if (block.type !== "document") return issues
  return both(issues, at("source", inside(field(block.source, "content"))))
}

/** Whether the last message is a prefill. An assistant message with a tool use is a paused turn, not a prefill. */
export const isPrefilled = (messages: ReadonlyArray<unknown>): boolean => {
  const last = messages.at(-1)
  const content = field(last, "content")
  return field(last, "role") === "assistant"
    && (!Array.isArray(content) || content.every((block) => field(block, "type") === "text" || isThinking(block)))
}

export const hasFormat = (given: Given): boolean => isObject(field(given.output_config, "format"))

export const isStrict = (tool: unknown): boolean => field(tool, "strict") === true

export const isThinking = (block: unknown): boolean => thoughts.has(field(block, "type"))

const thoughts: ReadonlySet<unknown> = new Set(["thinking", "redacted_thinking"])

/** Base64 data and the thinking of earlier turns cost no tokens as text. */
export const isUnread = (value: unknown): boolean => isThinking(value) || field(value, "type") === "base64"

/** Whether each message has content of a valid type. The validation reports messages that do not. */
export const areMessages = (messages: unknown): boolean =>
  Array.isArray(messages) && messages.every((message) => {
    const content = field(message, "content")
    // A beta has system messages without content.
    return isString(content) || Array.isArray(content) || field(message, "role") === "system"
  })
