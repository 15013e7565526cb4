/** Whether a message that is complete is an answer. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as CallLog from "../CallLog.ts"
import * as ClaudeError from "../ClaudeError.ts"
import * as Current from "../Current.ts"
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
  return failure === undefined ? accepted(reply, log) : Effect.fail(failure)
}

/** Gives a reply that is an answer. */
export const accepted = (reply: Reply, log: CallLog.CallLog): Effect.Effect<Reply> =>
  reply.stopReason !== null && known.has(reply.stopReason) ? Effect.succeed(reply) : Effect.as(warn(reply, log), reply)

/** Why it is no answer, if it is none. */
export const failureOf = (reply: Reply, wanted: Wanted): ClaudeError.ClaudeError | undefined => {
  const { message, model, requestId, stopReason, text, usage } = reply
  const common = { model, requestId, usage }
  const arrived = () => ({ ...common, text: ClaudeError.redact(text), blocks: Redacted.make(message.content) })
  switch (stopReason) {
    case "refusal":
      return new ClaudeError.Refused({ ...arrived(), category: message.stop_details?.category ?? undefined })
    case "max_tokens":
    case "pause_turn":
      return new ClaudeError.Truncated({ ...arrived(), reason: stopReason })
    case "model_context_window_exceeded":
      return new ClaudeError.ContextWindowExceeded(arrived())
  }
  const tools = message.content.filter((block) => block.type === "tool_use")
  if (stopReason === "tool_use" && tools.length === 0) {
    return new ClaudeError.EmptyAnswer({ ...common, detail: "it asks for a tool and names none" })
  }
  if (stopReason === "tool_use" && wanted === "text" && text.trim() === "") {
    return new ClaudeError.EmptyAnswer({ ...common, detail: "it asks for a tool: ask with Claude.message" })
  }
  if (stopReason === "end_turn" && (wanted === "text" ? text.trim() === "" : message.content.length === 0)) {
    return new ClaudeError.EmptyAnswer(common)
  }
  return undefined
}

/** Why a turn that was paused is no answer, if nothing came of it. */
export const fruitless = (
  paused: Reply,
  { message: { content }, model, requestId, stopReason, usage }: Reply
): ClaudeError.EmptyAnswer | undefined =>
  paused.stopReason === "pause_turn" && stopReason === "end_turn" && content.length === 0
    ? new ClaudeError.EmptyAnswer({ model, requestId, usage, detail: "nothing came of what was paused" })
    : undefined

const known: ReadonlySet<string> = new Set(["end_turn", "stop_sequence", "tool_use"])

/** A stop reason that is newer than we are ends no call, but somebody should know. */
const warn = ({ model, stopReason }: Reply, log: CallLog.CallLog) =>
  Effect.flatMap(Current.Call, (call) =>
    Effect.flatMap(Clock.currentTimeMillis, (at) =>
      log.emit({
        _tag: "Warning",
        at,
        call: call?.id,
        model,
        code: "UnknownStopReason",
        message: `Claude stopped for a reason this version does not know: ${stopReason}`
      })))
