/** Whether a message that is complete is an answer. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as CallContext from "../callContext.ts"
import type * as CallLog from "../CallLog.ts"
import * as ClaudeError from "../ClaudeError.ts"
import { emit, warning } from "../emit.ts"
import type { Reply } from "../Message.ts"

/** What was asked for. */
export type Wanted = "text" | "content"

/** Gives the reply, or the failure its stop reason announces: a refusal or a cut-off answer is no success to be inspected. */
export const accept = (
  reply: Reply,
  wanted: Wanted,
  log: CallLog.CallLog
): Effect.Effect<Reply, ClaudeError.ClaudeError> => {
  const failure = failureOf(reply, wanted)
  return failure === undefined ? Effect.as(warnOfUnknown(reply, log), reply) : Effect.fail(failure)
}

/** A stop reason that is newer than we are ends no call, but somebody should know. */
export const warnOfUnknown = ({ model, stopReason }: Reply, log: CallLog.CallLog): Effect.Effect<void> =>
  stopReason !== null && known.has(stopReason)
    ? Effect.void
    : Effect.flatMap(CallContext.Call, (call) => emit({ log, call: call?.id, model }, unknownStopReason(stopReason)))

const unknownStopReason = (stopReason: string | null) =>
  warning("UnknownStopReason", `Claude stopped for a reason this version does not know: ${stopReason}`)

/** Why it is no answer, if it is none. What an error says is put together only for one. */
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
        return new ClaudeError.EmptyAnswer({ ...common(reply), detail: "it asks for a tool and names none" })
      }
      return wanted === "text" && isBlank(reply)
        ? new ClaudeError.EmptyAnswer({ ...common(reply), detail: "it asks for a tool: ask with Claude.message" })
        : undefined
    case "end_turn":
      return (wanted === "text" ? isBlank(reply) : content.length === 0)
        ? new ClaudeError.EmptyAnswer(common(reply))
        : undefined
    default:
      return undefined
  }
}

const common = ({ model, requestId, usage }: Reply) => ({ model, requestId, usage })

const arrived = (reply: Reply) => ({
  ...common(reply),
  text: ClaudeError.redact(reply.text),
  blocks: Redacted.make(reply.message.content)
})

const isBlank = ({ text }: Reply): boolean => text.trim() === ""

/** Why a turn that was paused is no answer, if nothing came of it. */
export const fruitless = (
  paused: Reply,
  { message: { content }, model, requestId, stopReason, usage }: Reply
): ClaudeError.EmptyAnswer | undefined =>
  paused.stopReason === "pause_turn" && stopReason === "end_turn" && content.length === 0
    ? new ClaudeError.EmptyAnswer({ model, requestId, usage, detail: "nothing came of what was paused" })
    : undefined

const known: ReadonlySet<string> = new Set(["end_turn", "stop_sequence", "tool_use"])
