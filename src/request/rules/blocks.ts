/** Where the blocks of a conversation are. */
import { isObject } from "effect/Predicate"
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
    && (!Array.isArray(content) || content.every((block) => spoken.has(field(block, "type"))))
}

const spoken: ReadonlySet<unknown> = new Set(["text", "thinking", "redacted_thinking"])

/** Whether the answer is to follow a schema. */
export const hasFormat = (given: Given): boolean => isObject(field(given.output_config, "format"))

/** Whether this tool is to be called by its schema only. */
export const isStrict = (tool: unknown): boolean => field(tool, "strict") === true
