/** Where the blocks of a conversation are. */
import { isObject, isString } from "effect/Predicate"
import { at, both, each, field, type Given, type Issues, none } from "./rule.ts"

/** Whether a message has blocks, and not only a text: if none has, the rules about blocks need not look. */
export const hasBlocks = ({ messages }: Given): boolean => Array.isArray(messages) && messages.some(isOfBlocks)

const isOfBlocks = (message: unknown): boolean => Array.isArray(field(message, "content"))

/** What is wrong with the blocks of the messages. */
export const blocks = (given: Given, check: (block: Given) => Issues): Issues =>
  !hasBlocks(given) ? none : at(
    "messages",
    each(given.messages, (message) =>
      at("content", each(field(message, "content"), (block) => isObject(block) ? check(block) : none)))
  )

/** The same, with the blocks inside results and documents. */
export const allBlocks = (given: Given, check: (block: Given) => Issues): Issues =>
  !hasBlocks(given) ? none : blocks(given, (block) => nested(block, check, 0))

/** A result can hold a document, and that an image: what is deeper is no block. */
const nested = (block: Given, check: (block: Given) => Issues, depth: number): Issues => {
  const inside = (content: unknown) =>
    at("content", each(content, (block) => isObject(block) ? nested(block, check, depth + 1) : none))
  const issues = check(block)
  if (depth === 2) return issues
  if (block.type === "tool_result") return both(issues, inside(block.content))
  if (block.type !== "document") return issues
  return both(issues, at("source", inside(field(block.source, "content"))))
}

/** Whether the answer has been begun for the model. An assistant's turn that used a tool was paused, not begun. */
export const isPrefilled = (messages: ReadonlyArray<unknown>): boolean => {
  const last = messages.at(-1)
  const content = field(last, "content")
  return field(last, "role") === "assistant"
    && (!Array.isArray(content) || content.every((block) => field(block, "type") === "text" || isThinking(block)))
}

/** Whether the answer is to follow a schema. */
export const hasFormat = (given: Given): boolean => isObject(field(given.output_config, "format"))

/** Whether this tool is to be called by its schema only. */
export const isStrict = (tool: unknown): boolean => field(tool, "strict") === true

/** Thinking is of the request it came with. */
export const isThinking = (block: unknown): boolean => thoughts.has(field(block, "type"))

const thoughts: ReadonlySet<unknown> = new Set(["thinking", "redacted_thinking"])

/** What is no text of the prompt: data in base64, and thinking of earlier turns. */
export const isUnread = (value: unknown): boolean => isThinking(value) || field(value, "type") === "base64"

/** What is wrong with the shape of a request is for other rules. */
export const areMessages = (messages: unknown): boolean =>
  Array.isArray(messages) && messages.every((message) => {
    const content = field(message, "content")
    // A beta has messages of the system that only set something.
    return isString(content) || Array.isArray(content) || field(message, "role") === "system"
  })
