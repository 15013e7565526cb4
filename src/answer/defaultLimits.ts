/** How long an attempt may be silent if its limits are not set. */
import * as Context from "effect/Context"
import { isNotNullish } from "effect/Predicate"
import type { Params } from "../Message.ts"
import { Estimator } from "../request/tokenEstimate.ts"

/** The limits of an attempt, in milliseconds. */
export interface Lengths {
  readonly connect: number
  readonly firstToken: number
  readonly idle: number
  readonly contentIdle: number
  readonly attempt: number
}

/** Where no deadline asks for less. Source: the time-outs of other clients and gateways. */
export const usual: Lengths = {
  connect: 10_000,
  firstToken: 30_000,
  idle: 30_000,
  contentIdle: 60_000,
  attempt: Infinity
}

/** A thinking model may be silent for longer, but for pings. Source: as above; pings are as rare as without thinking. */
const thinkingNeeds = { firstToken: 120_000, idle: usual.idle, contentIdle: 180_000 }

/** Headers, the first token and pauses of a short prompt, in milliseconds. A third of a short deadline may be less. */
export const shortest = 5000

/** Tokens of a prompt that are read in a second. Scenario: the headers of a cold prompt of 90,000 take 15 s and more. */
const tokensPerSecond = 3000

/**
 * Milliseconds for each token of a tool's input, which the API sends as a whole, with no byte and no ping before it.
 * Source: github.com/github/copilot-cli/issues/4286 (329 s for 35,899 tokens, 78 s for 8,000: 9.2 to 9.8 each).
 */
const perTokenOfInput = 10

/**
 * The limits of an attempt that are not set. `third` is a third of the time of a call that would ask again, in
 * milliseconds: a stall leaves time for that. But no limit is less than the prompt, thinking and the input of a tool need,
 * and an answer that is read while it comes may pause as usual: the time of the call was for its opening.
 */
export const limitsOf = (params: Params, third: number, isStreamed: boolean): Lengths => {
  const headers = shortest + Math.ceil(prompt.of(params).input * 1000 / tokensPerSecond)
  const silence = Math.max(shortest, writesInput(params) ? params.max_tokens * perTokenOfInput : 0)
  const thinking = thinks(params) ? thinkingNeeds : none
  const pause = isStreamed ? Infinity : third
  return {
    connect: Math.max(Math.min(usual.connect, third), headers),
    firstToken: Math.max(Math.min(usual.firstToken, third), headers, thinking.firstToken),
    idle: Math.max(Math.min(usual.idle, pause), silence, thinking.idle),
    contentIdle: Math.max(Math.min(usual.contentIdle, pause), silence, thinking.contentIdle),
    attempt: usual.attempt
  }
}

/** Whether the answer is read while it comes, after the policy of its call is done. */
export const Streamed = Context.Reference<boolean>("resilient-claude/Streamed", { defaultValue: () => false })

const none = { firstToken: 0, idle: 0, contentIdle: 0 }

/** It never learns: nothing is known of this model yet. */
const prompt = new Estimator()

/** From untyped code, it may be null, which the API takes. */
const thinks = ({ thinking }: Params): boolean => isNotNullish(thinking) && thinking.type !== "disabled"

const writesInput = ({ max_tokens, tools }: Params): boolean =>
  isNotNullish(tools) && tools.length > 0 && max_tokens > 0
