/** Whether and how more is asked for of an answer that stopped half-way. */
import type * as Effect from "effect/Effect"
import { isNotNullish } from "effect/Predicate"
import type * as CallContext from "../callContext.ts"
import type { ClaudeError } from "../ClaudeError.ts"
import type { Params, Reply } from "../Message.ts"
import type { Model } from "../models/catalogue.ts"
import type { Rest } from "../request/rest.ts"
import type { Ending } from "./ending.ts"

/** What a policy does about them. */
export interface Rules {
  readonly truncated: "fail" | { readonly raiseTo: number } | { readonly continue: number }
  readonly paused: { readonly continue: number }
  readonly empty: "fail" | { readonly nudge: 1 }
}

/** Source: the example of the API docs (handling stop reasons). */
export const defaultPaused = { continue: 5 } as const

/** An answer that stopped half-way, or may have. */
export interface Stopped {
  /** What was asked for all of it. */
  readonly params: Params
  readonly model: Model | undefined
  /** All that is there of it. */
  readonly reply: Reply
  /** Whether what came last fits to what was there before it. */
  readonly fits: boolean
  readonly rest: Rest
}

/** How more of an answer is asked for. */
export interface Next {
  readonly how: "raise" | "continue" | "resume" | "nudge"
  readonly rest: Rest
}

/** A question, of which the rest can be asked for. */
export interface Question<A, R> {
  readonly ask: (rest: Rest) => Effect.Effect<A, ClaudeError, R>
  /** What there is of the answer that was asked for last, if it stopped half-way. */
  readonly stopped: () => Stopped | undefined
}

/** Who decides about the answers of a call: its policy. */
export interface Finisher {
  /** The whole of an answer that failed, by asking for its rest; or the failure, if that is all that can be had. */
  readonly continueAnswer: <A, R>(error: ClaudeError, question: Question<A, R>) => Effect.Effect<A, ClaudeError, R>
  /** How the call ends with what it opens. */
  readonly ending: Ending
  /** How long an attempt may be silent where its limits are not set, so that there is time to ask again: in milliseconds. */
  readonly silence: number
  /** The call that it is an attempt of, if it is. */
  readonly outer: PolicyCall | undefined
}

/** The current call, with what its policy decides: a call that somebody else has put there has none of that. */
export type PolicyCall = CallContext.Call & Partial<Finisher>

/** What the attempts of a call have used is used by the calls that it is an attempt of, too. */
export const spentBy = (call: PolicyCall | undefined): ReadonlyArray<CallContext.Tally> =>
  call === undefined ? [] : [call.spent, ...spentBy(call.outer)]

/** Whether more is to be asked for, and how; or a sentence, if more is wanted and cannot be had. */
export const next = (stopped: Stopped, rules: Rules): Next | string | undefined => {
  const { reply, rest } = stopped
  const { empty, paused, truncated } = rules
  switch (reply.stopReason) {
    case "pause_turn":
      return rest.resumed < paused.continue
        ? { how: "resume", rest: { ...rest, before: reply, resumed: rest.resumed + 1 } }
        : `it was resumed as often as the policy says (${paused.continue})`
    case "max_tokens":
      if (truncated === "fail") return undefined
      return "raiseTo" in truncated ? raised(stopped, truncated.raiseTo) : continued(stopped, truncated.continue)
    case "end_turn":
      // A nudge is for a turn that has not begun.
      return empty === "fail" || rest.nudged || rest.before !== undefined
        ? undefined
        : { how: "nudge", rest: { ...rest, nudged: true } }
    default:
      return undefined
  }
}

/** Only a limit that is higher is another request. */
const raised = ({ model, params, rest }: Stopped, raiseTo: number): Next | string => {
  const asked = rest.maxTokens ?? params.max_tokens
  const maxTokens = Math.min(raiseTo, model?.maxOutput ?? raiseTo)
  return maxTokens > asked
    ? { how: "raise", rest: { ...rest, maxTokens } }
    : maxTokens < raiseTo
    ? `it had ${asked} tokens, and ${params.model} writes at most ${maxTokens}`
    : `it had ${asked} tokens, and truncated raises them to ${raiseTo}`
}

const continued = ({ fits, params, reply, rest }: Stopped, most: number): Next | string => {
  const { content } = reply.message
  const last = content.at(-1)
  return isNotNullish(params.output_config?.format)
    ? "what is held to a schema cannot be continued: use truncated: { raiseTo }"
    : content.some(({ type }) => type === "tool_use")
    ? "a tool was to be used before it was cut, so it cannot be continued"
    : last?.type !== "text" || last.text.trim() === ""
    ? "it was not cut in a text, so it cannot be continued"
    : rest.continued < most
    ? { how: "continue", rest: { ...rest, before: reply, continued: rest.continued + 1 } }
    : !fits
    ? "the continuation does not begin where the answer ended"
    : `it was continued as often as the policy says (${most})`
}
