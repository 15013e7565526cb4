/** Computes the default time limits of an attempt, from its request and the time until the deadline. */
import * as Context from "effect/Context"
import { hasProperty, isNotNullish } from "effect/Predicate"
import type { Params } from "../Message.ts"
import { Estimator } from "../request/tokenEstimate.ts"

/** The longest pauses in an answer, in milliseconds: `idle` without bytes, and `contentIdle` without content. */
export interface Pauses {
  readonly idle: number
  readonly contentIdle: number
}

/** The limits of an attempt, in milliseconds. */
export interface Lengths extends Pauses {
  readonly connect: number
  readonly firstToken: number
  readonly attempt: number
}

/** Pauses may be longer while `Draft.quietWork` returns `thinking` or `tool`. */
export interface Defaults extends Lengths {
  /** While a block is open that is neither text nor the input of a tool, for example thinking. */
  readonly thinking: Pauses
  /** While the model writes the input of a tool, and between two blocks, where the API may run a tool. */
  readonly tool: Pauses
}

/**
 * The default limits, before a deadline lowers them or the request raises them. Source: the time-outs of other clients and
 * gateways.
 */
export const usual: Lengths = {
  connect: 10_000,
  firstToken: 30_000,
  idle: 30_000,
  contentIdle: 60_000,
  attempt: Infinity
}

/**
 * Minimum limits for a request with thinking or tools, in milliseconds. While the model thinks or writes the input of a
 * tool, the API may send only pings, about every 30 seconds. Source: github.com/BerriAI/litellm/pull/36024,
 * github.com/frontman-ai/frontman/issues/731 (30.01 s between two pings),
 * github.com/anthropics/claude-code/issues/90235 (80 s of pings before the input of a tool).
 */
export const quietNeeds = { firstToken: 120_000, idle: 45_000, contentIdle: 180_000 }

/** No default limit is shorter than this, in milliseconds, even if the deadline is near. */
export const shortest = 5000

/**
 * A low estimate of the prompt tokens that the API reads per second. At this rate, 90,000 tokens take 30 seconds. Without a
 * cache, such a prompt delays the headers by 15 seconds or more.
 */
const tokensPerSecond = 3000

/**
 * Milliseconds per token that the model writes. The input of a tool may arrive in one piece, without a ping before it, and
 * thinking that is not displayed arrives as one signature, after pings. Source: github.com/github/copilot-cli/issues/4286
 * (329 s for 35,899 tokens, 78 s for 8,000: 9.2 to 9.8 ms per token).
 */
const perToken = 10

/**
 * `third` lowers the limits. It is a third of the time until the deadline, in milliseconds, so that a stalled attempt
 * leaves time for another attempt. It is `Infinity` if there is no deadline or no other attempt can follow. For a stream,
 * `third` does not lower `idle` and `contentIdle`, because the deadline applies only to opening the stream. A long prompt
 * raises `connect` and `firstToken`. Thinking and tools raise `firstToken`, `idle` and `contentIdle`.
 */
export const limitsOf = (params: Params, third: number, isStreamed: boolean): Defaults => {
  const headers = shortest + Math.ceil(prompt.of(params).input * 1000 / tokensPerSecond)
  const needs = thinks(params) || hasTools(params) ? quietNeeds : none
  const pause = Math.max(shortest, isStreamed ? Infinity : third)
  const idle = Math.max(Math.min(usual.idle, pause), needs.idle)
  const contentIdle = Math.max(Math.min(usual.contentIdle, pause), needs.contentIdle)
  // An invalid `max_tokens` counts as 0 here, and the API refuses the request.
  const written = params.max_tokens > 0 ? params.max_tokens * perToken : 0
  const longest = Math.max(contentIdle, quietNeeds.contentIdle, written)
  return {
    connect: Math.max(Math.min(usual.connect, third), headers),
    firstToken: Math.max(Math.min(usual.firstToken, third), headers, needs.firstToken),
    idle,
    contentIdle,
    attempt: usual.attempt,
    thinking: { idle: Math.max(idle, quietNeeds.idle), contentIdle: longest },
    tool: hasTools(params) ? { idle: Math.max(idle, written), contentIdle: longest } : { idle, contentIdle }
  }
}

/** Whether the answer is read as a stream, after the policy of its call has finished. */
export const Streamed = Context.Reference<boolean>("resilient-claude/Streamed", { defaultValue: () => false })

const none = { firstToken: 0, idle: 0, contentIdle: 0 }

/** Its ratios stay the initial ones, because this estimator does not learn from answers. */
const prompt = new Estimator()
// The length of a PDF is unknown before the API reads it. This assumes a hundred pages with 1,000 tokens each.
prompt.perDocument = 100_000

/** In untyped code `thinking` may be null, which the API accepts. */
const thinks = ({ thinking }: Params): boolean => isNotNullish(thinking) && thinking.type !== "disabled"

/** With the beta for MCP servers, the tools of a server need no entry in `tools`. */
const hasTools = (params: Params): boolean =>
  isFilled(params.tools) || hasProperty(params, "mcp_servers") && isFilled(params.mcp_servers)

const isFilled = (list: unknown): boolean => Array.isArray(list) && list.length > 0
