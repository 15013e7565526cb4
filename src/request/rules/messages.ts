import { isNullish, isObject, isString } from "effect/Predicate"
import { allBlocks, blocks, hasBlocks, hasFormat, isPrefilled } from "./blocks.ts"
import { at, both, each, field, type Given, isBlank, issue, type Issues, kind, none, type Rule, show } from "./rule.ts"

const maxMessages = 100_000
const maxMarked = 4

const roles: ReadonlySet<unknown> = new Set(["user", "assistant", "system"])

const messages = ({ messages }: Given): Issues => {
  if (!Array.isArray(messages)) return issue([], `messages is ${kind(messages)}: it must be a list of messages`)
  if (messages.length === 0) return issue([], "messages is empty: give at least one message")
  return each(messages, messageOf)
}

const most = ({ messages }: Given): Issues =>
  Array.isArray(messages) && messages.length > maxMessages
    ? issue([], `there are ${messages.length} messages: keep at most ${maxMessages}`)
    : none

const knownRoles = ({ messages }: Given): Issues =>
  each(messages, (message) => {
    const role = field(message, "role")
    return !isString(role) || roles.has(role)
      ? none
      : issue(["role"], `the role is ${show(role)}: it must be "user", "assistant" or "system"`)
  })

const messageOf = (message: unknown, i: number, messages: ReadonlyArray<unknown>): Issues => {
  if (!isObject(message)) {
    return issue([], `a message is ${kind(message)}: it must be an object with a role and content`)
  }
  const { content, role } = message
  return both(
    isString(role) ? none : issue(["role"], `the role is ${kind(role)}: it must be "user", "assistant" or "system"`),
    isString(content) || role === "system" && isNullish(content) // A beta has system messages without content.
      ? none
      : at("content", blocksOf(content, isPrefill(messages, i)))
  )
}

/** A prefill is a last message from the assistant. The API accepts it even if it is empty. */
const isPrefill = (messages: ReadonlyArray<unknown>, i: number): boolean =>
  i === messages.length - 1 && field(messages[i], "role") === "assistant"

const blocksOf = (content: unknown, canBeEmpty: boolean): Issues =>
  !Array.isArray(content)
    ? issue([], `the content is ${kind(content)}: it must be a text or a list of blocks`)
    : content.length === 0 && !canBeEmpty
    ? issue([], "the content is empty: give at least one block, or remove the message")
    : each(content, blockOf)

const blockOf = (block: unknown): Issues =>
  !isObject(block)
    ? issue([], `a block is ${kind(block)}: it must be an object with a type`)
    : !isString(block.type)
    ? issue(["type"], `the type of a block is ${kind(block.type)}: name it, for example "text"`)
    : block.type === "text" && !isString(block.text)
    ? issue(["text"], `the text of a block is ${kind(block.text)}: it must be a text`)
    : none

const notBlank = ({ messages }: Given): Issues =>
  each(messages, (message, i, messages) => {
    const content = field(message, "content")
    if (!isString(content)) {
      const blank = at("content", each(content, textOf))
      return blank.length > 0 && isTurnOfClaude(message) ? none : blank
    }
    return !isBlank(content) || content === "" && isPrefill(messages, i)
      ? none
      : issue(["content"], "the text of a message is blank: add text, or remove the message")
  })

const textOf = (block: unknown): Issues => {
  const text = field(block, "type") === "text" ? field(block, "text") : undefined
  return isString(text) && isBlank(text)
    ? issue(["text"], "the text of a block is blank: add text, or remove the block")
    : none
}

/**
 * Claude sometimes writes an empty text next to a tool use. Such a message is not reported, because the API may accept it
 * when a caller sends it back.
 */
const isTurnOfClaude = (message: unknown): boolean => {
  const content = field(message, "content")
  return field(message, "role") === "assistant" && Array.isArray(content)
    && content.some((block) => field(block, "type") !== "text")
}

const begun = ({ messages }: Given): Issues => {
  if (!Array.isArray(messages) || !isPrefilled(messages)) return none
  const content = field(messages.at(-1), "content")
  const text = Array.isArray(content) ? field(content.at(-1), "text") : content
  return isString(text) && !isBlank(text) && /\s$/.test(text)
    ? issue(
      [messages.length - 1, "content"],
      "the last message is a prefill that ends with whitespace: remove the whitespace"
    )
    : none
}

const system = ({ system }: Given): Issues =>
  isNullish(system) || isString(system)
    ? none
    : !Array.isArray(system)
    ? issue([], `system is ${kind(system)}: it must be a text or a list of text blocks`)
    : both(each(system, blockOf), each(system, textOf))

const marks = (given: Given): Issues =>
  isNullish(given.tools) && isNullish(given.system) && !hasBlocks(given) ? none : marksIn(given)

const marksIn = (given: Given): Issues => {
  let marked = 0
  const mark = (block: unknown): Issues =>
    isNullish(field(block, "cache_control")) || ++marked !== maxMarked + 1
      ? none
      : issue(["cache_control"], `at most ${maxMarked} blocks can have cache_control, and this is one more: remove one`)
  const tools = at("tools", each(given.tools, mark))
  const system = at("system", each(given.system, mark))
  return both(both(tools, system), blocks(given, mark))
}

/** The API reads tools, system and messages in this order. A top-level `cache_control` comes last. */
const lifetimes = (given: Given): Issues => {
  let isShort = false
  const mark = (block: unknown): Issues => {
    const control = field(block, "cache_control")
    if (isNullish(control)) return none
    if (field(control, "ttl") === "1h") return isShort ? late : none
    isShort = true
    return none
  }
  const tools = at("tools", each(given.tools, mark))
  const system = at("system", each(given.system, mark))
  return both(both(tools, system), both(allBlocks(given, mark), mark(given)))
}

const late = issue(
  ["cache_control", "ttl"],
  "a cache_control of 1 hour comes after one of 5 minutes, in the order tools, system, messages: "
    + "use 5 minutes here, or 1 hour in all of them"
)

const citations = (given: Given): Issues =>
  !hasFormat(given) ? none : blocks(given, ({ citations }) =>
    field(citations, "enabled") === true
      ? issue(["citations"], "citations cannot be combined with output_config.format: remove one of them")
      : none)

const begunFormat = (given: Given): Issues =>
  hasFormat(given) && Array.isArray(given.messages) && isPrefilled(given.messages)
    ? issue(
      ["messages", given.messages.length - 1],
      "a prefill cannot be combined with output_config.format: end with a user message"
    )
    : none

export const messageRules: ReadonlyArray<Rule> = [
  {
    name: "messages",
    source: "SDK 1.12 types: MessageCreateParamsBase.messages",
    check: (given) => at("messages", messages(given))
  },
  {
    name: "text is not blank",
    source: "API: `messages: text content blocks must be non-empty`, `… must contain non-whitespace text`",
    check: (given) => at("messages", notBlank(given))
  },
  {
    name: "a begun answer does not end with a blank",
    source: "API: `messages: final assistant content cannot end with trailing whitespace`",
    check: (given) => at("messages", begun(given))
  },
  {
    name: "system",
    source: "SDK 1.12 types: MessageCreateParamsBase.system",
    check: (given) => at("system", system(given))
  }
]

export const messageLimits: ReadonlyArray<Rule> = [
  {
    name: "at most 100,000 messages",
    source: "SDK 1.12 types: MessageCreateParamsBase.messages",
    check: (given) => at("messages", most(given))
  },
  {
    name: "known roles",
    source: "SDK 1.12 types: MessageParam.role",
    check: (given) => at("messages", knownRoles(given))
  },
  {
    name: "at most 4 blocks are cached",
    source:
      "API: `A maximum of 4 blocks with cache_control may be provided`, github.com/tghamm/Anthropic.SDK/issues/50",
    check: marks
  },
  {
    name: "no long cache mark after a short one",
    source: "API: `a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block`, "
      + "github.com/headroomlabs-ai/headroom/issues/2939",
    check: lifetimes
  },
  {
    name: "no citations in structured output",
    source: "platform.claude.com/docs/en/build-with-claude/structured-outputs",
    check: citations
  },
  {
    name: "no begun answer in structured output",
    source: "platform.claude.com/docs/en/build-with-claude/structured-outputs",
    check: begunFormat
  }
]
