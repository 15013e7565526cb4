/** Default limits of an attempt. */
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

/** Limits without a deadline. Source: the time-outs of other clients and gateways. */
export const usual: Lengths = {
  connect: 10_000,
  firstToken: 30_000,
  idle: 30_000,
  contentIdle: 60_000,
  attempt: Infinity
}

/** Minimum limits with thinking: content takes longer, but pings do not. Source: as above. */
const thinkingNeeds = { firstToken: 120_000, idle: usual.idle, contentIdle: 180_000 }

/** The minimum of each limit, in milliseconds, even if a third of a short deadline is less. */
export const shortest = 5000

/** Prompt tokens that the API reads per second. Scenario: with a cold prompt of 90,000 tokens, headers take 15 s and more. */
const tokensPerSecond = 3000

/**
 * Milliseconds per token of a tool's input. The API sends the input in one piece, without a ping while the model writes it.
 * Source: github.com/github/copilot-cli/issues/4286 (329 s for 35,899 tokens, 78 s for 8,000: 9.2 to 9.8 each).
 */
const perTokenOfInput = 10

/**
 * Returns the default limits of an attempt. `third` is a third of the deadline of a call that can retry, in milliseconds,
 * so that a stalled attempt leaves time for a retry. No limit is shorter than the prompt, thinking and the input of a tool
 * need. `third` does not shorten the pauses of a stream, because the deadline applies only to opening it.
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

/** Whether the answer is read as a stream, after the policy of its call has finished. */
export const Streamed = Context.Reference<boolean>("resilient-claude/Streamed", { defaultValue: () => false })

const none = { firstToken: 0, idle: 0, contentIdle: 0 }

/** Estimates with its initial ratios, because it never learns from answers. */
const prompt = new Estimator()

/** In untyped code `thinking` may be null, which the API accepts. */
const thinks = ({ thinking }: Params): boolean => isNotNullish(thinking) && thinking.type !== "disabled"

const writesInput = ({ max_tokens, tools }: Params): boolean =>
  isNotNullish(tools) && tools.length > 0 && max_tokens > 0
