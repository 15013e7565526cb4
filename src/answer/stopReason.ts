/** Decides whether a complete message is a usable answer, from its stop reason and its content. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as CallContext from "../callContext.ts"
import type * as CallLog from "../CallLog.ts"
import * as ClaudeError from "../ClaudeError.ts"
import { emit, warning } from "../emit.ts"
import type { Reply } from "../Message.ts"

/** `text`: the reply must have text that is not blank. `content`: a block of another type is also enough. */
export type Wanted = "text" | "content"

export const accept = (
  reply: Reply,
  wanted: Wanted,
  log: CallLog.CallLog
): Effect.Effect<Reply, ClaudeError.ClaudeError> => {
  const failure = failureOf(reply, wanted)
  return failure === undefined ? Effect.as(warnOfUnknown(reply, log), reply) : Effect.fail(failure)
}

/**
 * Logs a stop reason that this version does not know. The call still succeeds. To be used only after `failureOf`: `known`
 * lacks the stop reasons that `failureOf` always rejects.
 */
export const warnOfUnknown = ({ model, stopReason }: Reply, log: CallLog.CallLog): Effect.Effect<void> =>
  stopReason !== null && known.has(stopReason)
    ? Effect.void
    : Effect.flatMap(CallContext.Call, (call) => emit({ log, call: call?.id, model }, unknownStopReason(stopReason)))

const unknownStopReason = (stopReason: string | null) =>
  warning(
    "UnknownStopReason",
    `Claude stopped for a reason that this version of resilient-claude does not know: ${stopReason}`
  )

export const failureOf = (reply: Reply, wanted: Wanted): ClaudeError.ClaudeError | undefined => {
  const { message: { content }, stopReason } = reply
  switch (stopReason) {
    case "refusal":
      return new ClaudeError.Refused({
        ...arrived(reply),
        category: reply.message.stop_details?.category ?? undefined
      })
    case "max_tokens":
    case "pause_turn":
      return new ClaudeError.Truncated({ ...arrived(reply), reason: stopReason })
    case "model_context_window_exceeded":
      return new ClaudeError.ContextWindowExceeded(arrived(reply))
    case "tool_use":
      if (content.every((block) => block.type !== "tool_use")) {
        return new ClaudeError.EmptyAnswer({
          ...common(reply),
          detail: "the stop reason is tool_use, but the answer contains no tool call"
        })
      }
      return wanted === "text" && isBlank(reply)
        ? new ClaudeError.EmptyAnswer({
          ...common(reply),
          detail: "it called a tool instead of writing text: use Claude.message to read the tool call"
        })
        : undefined
    default:
      return isBlank(reply) && (wanted === "text" || content.every(({ type }) => type === "text"))
        ? new ClaudeError.EmptyAnswer({
          ...common(reply),
          ...(stopReason !== "end_turn" && { detail: `the stop reason is ${stopReason}` })
        })
        : undefined
  }
}

const common = ({ model, requestId, usage }: Reply) => ({ model, requestId, usage })

const arrived = (reply: Reply) => ({
  ...common(reply),
  text: ClaudeError.redact(reply.text),
  blocks: Redacted.make(reply.message.content)
})

const isBlank = ({ text }: Reply): boolean => text.trim() === ""

/**
 * The error of a resumed answer that adds no content. `failureOf` may accept this answer, because the joined reply contains
 * the text from before the pause.
 */
export const fruitless = (
  paused: Reply,
  { message: { content }, model, requestId, stopReason, usage }: Reply
): ClaudeError.EmptyAnswer | undefined =>
  paused.stopReason === "pause_turn" && stopReason === "end_turn" && content.length === 0
    ? new ClaudeError.EmptyAnswer({ model, requestId, usage, detail: "the paused turn ended without further content" })
    : undefined

const known: ReadonlySet<string> = new Set(["end_turn", "stop_sequence", "tool_use"])
