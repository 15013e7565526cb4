/**
 * Removes all thinking blocks of a request if the API refuses one of them, for example because it comes from another model
 * or another conversation.
 */
import type { MessageParam, ThinkingConfigParam } from "@anthropic-ai/sdk/resources/messages"
import type { ClaudeError } from "../ClaudeError.ts"
import type { Params } from "../Message.ts"
import { areMessages, isThinking } from "./rules/blocks.ts"
import { field } from "./rules/rule.ts"

/**
 * Removes all thinking blocks, and messages that have only thinking. Undefined if there are no thinking blocks. Also
 * removes the parameter `thinking` of type `enabled` if the last user message has tool results, because the API then
 * requires the thinking before the tool use.
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

export const answersTools = (messages: Params["messages"]): boolean => {
  const last = messages.findLast(({ role }) => role === "user")
  return Array.isArray(last?.content) && last.content.some((block) => field(block, "type") === "tool_result")
}

export const withThinking = (params: Params, thinking: ThinkingConfigParam | undefined): Params => {
  const { thinking: _, ...rest } = params
  return thinking === undefined ? rest : { ...rest, thinking }
}

/**
 * The API's error messages for thinking blocks that have an invalid signature or were modified. Sources:
 * github.com/vybestack/llxprt-code/issues/2335, github.com/openclaw/openclaw/issues/107221,
 * platform.claude.com/docs/en/build-with-claude/preserved-thinking/fix-bound-to-a-different-conversation
 */
const signatures = [
  /invalid\W+(signature|data)\W+in\W+(redacted_)?thinking\W+block/i,
  /thinking\W+blocks\b.*\bcannot be modified/is
]

/** Whether the API refused thinking blocks in the messages. */
export const isSignatureError = (error: ClaudeError): boolean =>
  error._tag === "InvalidRequest" && error.sent !== false &&
  signatures.some((pattern) => pattern.test(error.detail ?? ""))
