/** Decides whether and how to ask for the rest of an answer that stopped early. */
import type * as Effect from "effect/Effect"
import { isNotNullish } from "effect/Predicate"
import type * as CallContext from "../callContext.ts"
import type { ClaudeError } from "../ClaudeError.ts"
import type { Params, Reply } from "../Message.ts"
import type { Model } from "../models/catalogue.ts"
import type { Rest } from "../request/rest.ts"
import type { Ending } from "./ending.ts"

/** What a policy does about answers that were cut, paused or empty. */
export interface Rules {
  readonly truncated: "fail" | { readonly raiseTo: number } | { readonly continue: number }
  readonly paused: { readonly continue: number }
  readonly empty: "fail" | { readonly nudge: 1 }
}

/** Source: the example for `pause_turn` in the API docs on handling stop reasons. */
export const defaultPaused = { continue: 5 } as const

/** An answer that `failureOf` rejected: it was cut, paused or refused, or it is empty. */
export interface Stopped {
  /** The parameters of the original request, without the changes that ask for the rest of the answer. */
  readonly params: Params
  readonly model: Model | undefined
  /** The latest reply, joined to the part of the answer that it continues. */
  readonly reply: Reply
  /** Whether `reply` contains the latest continuation. `true` without a continuation. */
  readonly fits: boolean
  readonly rest: Rest
}

export interface Next {
  readonly how: "raise" | "continue" | "resume" | "nudge"
  readonly rest: Rest
}

export interface Question<A, R> {
  readonly ask: (rest: Rest) => Effect.Effect<A, ClaudeError, R>
  /** The answer of the latest request if it stopped early; `undefined` if the request failed before its message was complete. */
  readonly stopped: () => Stopped | undefined
}

/** The part of a call that its policy provides. */
export interface Finisher {
  /** Completes an answer that stopped early. Fails if the policy allows no further request. */
  readonly continueAnswer: <A, R>(error: ClaudeError, question: Question<A, R>) => Effect.Effect<A, ClaudeError, R>
  /** Runs `ask` at once after `error`. If `ask` fails, it is retried with the retries that the call has left. */
  readonly askAgain: <A, R>(
    error: ClaudeError,
    ask: Effect.Effect<A, ClaudeError, R>
  ) => Effect.Effect<A, ClaudeError, R>
  readonly ending: Ending
  /**
   * The limit to which the default limits of an attempt are lowered, in milliseconds: a third of the time until the
   * deadline, so that a retry has time. If no retry can follow, the limit of the outer call, or `Infinity`.
   */
  readonly silence: number
  /** The call in whose attempt this call runs, if any. */
  readonly outer: PolicyCall | undefined
}

/** The current call, to which its policy adds the parts of `Finisher`. */
export type PolicyCall = CallContext.Call & Partial<Finisher>

/** The tallies to which an attempt of `call` adds its usage: one for `call`, and one for each call around it. */
export const spentBy = (call: PolicyCall | undefined): ReadonlyArray<CallContext.Tally> =>
  call === undefined ? [] : [call.spent, ...spentBy(call.outer)]

/** The next request, or a sentence why it is impossible, or `undefined` if the policy wants no next request. */
export const next = (stopped: Stopped, rules: Rules): Next | string | undefined => {
  const { reply, rest } = stopped
  const { empty, paused, truncated } = rules
  switch (reply.stopReason) {
    case "pause_turn":
      return rest.resumed < paused.continue
        ? { how: "resume", rest: { ...rest, before: reply, resumed: rest.resumed + 1 } }
        : `the limit of continuations is reached: raise paused.continue, which is ${paused.continue}`
    case "max_tokens":
      if (truncated === "fail") return undefined
      return "raiseTo" in truncated ? raised(stopped, truncated.raiseTo) : continued(stopped, truncated.continue)
    case "end_turn":
      // A continuation is not nudged, because the answer already has content.
      return empty === "fail" || rest.nudged || rest.before !== undefined
        ? undefined
        : { how: "nudge", rest: { ...rest, nudged: true } }
    default:
      return undefined
  }
}

const raised = ({ model, params, rest }: Stopped, raiseTo: number): Next | string => {
  const asked = rest.maxTokens ?? params.max_tokens
  const maxTokens = Math.min(raiseTo, model?.maxOutput ?? raiseTo)
  return maxTokens > asked
    ? { how: "raise", rest: { ...rest, maxTokens } }
    : maxTokens < raiseTo
    ? `max_tokens was ${asked}, and ${params.model} writes at most ${maxTokens}: use truncated: { continue }`
    : `max_tokens was ${asked}, and the policy raises it only to ${raiseTo}: raise raiseTo`
}

const continued = ({ fits, params, reply, rest }: Stopped, most: number): Next | string => {
  const { content } = reply.message
  const last = content.at(-1)
  return isNotNullish(params.output_config?.format)
    ? "an answer with an output schema cannot be continued: use truncated: { raiseTo }"
    : content.some(({ type }) => type === "tool_use")
    ? "the answer contains a tool call, so it cannot be continued"
    : last?.type !== "text" || last.text.trim() === ""
    ? "the answer does not end with text, so it cannot be continued"
    : rest.continued < most
    ? { how: "continue", rest: { ...rest, before: reply, continued: rest.continued + 1 } }
    : !fits
    ? "the continuation is empty or does not repeat the last words of the answer, so it was discarded"
    : `the limit of continuations is reached: raise truncated.continue, which is ${most}`
}
