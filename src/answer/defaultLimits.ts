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

/** The default limits if the call has no deadline. Source: the time-outs of other clients and gateways. */
export const usual: Lengths = {
  connect: 10_000,
  firstToken: 30_000,
  idle: 30_000,
  contentIdle: 60_000,
  attempt: Infinity
}

/** Minimum limits for a request with thinking: content takes longer, and pings arrive as usual. Source: as for `usual`. */
const thinkingNeeds = { firstToken: 120_000, idle: usual.idle, contentIdle: 180_000 }

/** No default limit is shorter than this, in milliseconds, even if the deadline is near. */
export const shortest = 5000

/**
 * Prompt tokens that the API reads per second. Example: without a cache, a prompt of 90,000 tokens delays the
 * headers by 15 seconds or more.
 */
const tokensPerSecond = 3000

/**
 * Milliseconds per token of a tool's input. The API sends the input in one piece, without a ping while the model writes it.
 * Source: github.com/github/copilot-cli/issues/4286 (329 s for 35,899 tokens, 78 s for 8,000: 9.2 to 9.8 ms per token).
 */
const perTokenOfInput = 10

/**
 * Returns the default limits of an attempt. If the call can retry, `third` is a third of the time until its deadline, in
 * milliseconds, so that a stalled attempt leaves time for a retry. A long prompt, thinking and tools raise the limits. For
 * a stream, `third` does not shorten `idle` and `contentIdle`, because the deadline applies only to opening the stream.
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

/** This estimator keeps its initial ratios, because it never learns from answers. */
const prompt = new Estimator()

/** In untyped code `thinking` may be null, which the API accepts. */
const thinks = ({ thinking }: Params): boolean => isNotNullish(thinking) && thinking.type !== "disabled"

const writesInput = ({ max_tokens, tools }: Params): boolean =>
  isNotNullish(tools) && tools.length > 0 && max_tokens > 0
