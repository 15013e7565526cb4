/** Thinking of another model, or of another conversation, in the messages: only who wrote it can read it. */
import type { MessageParam, ThinkingConfigParam } from "@anthropic-ai/sdk/resources/messages"
import type { ClaudeError } from "../ClaudeError.ts"
import type { Params } from "../Message.ts"
import { areMessages, isThinking } from "./rules/blocks.ts"
import { field } from "./rules/rule.ts"

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

/** Whether the user's last message answers what the assistant's turn before it asked of tools. */
export const answersTools = (messages: Params["messages"]): boolean => {
  const last = messages.findLast(({ role }) => role === "user")
  return Array.isArray(last?.content) && last.content.some((block) => field(block, "type") === "tool_result")
}

/** The request with this in the place of its thinking, or without any. */
export const withThinking = (params: Params, thinking: ThinkingConfigParam | undefined): Params => {
  const { thinking: _, ...rest } = params
  return thinking === undefined ? rest : { ...rest, thinking }
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
