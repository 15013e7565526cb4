/**
 * What we send and what comes back.
 *
 * The shapes are the SDK's own, imported as types only: nothing here runs SDK
 * code, and no field of the API is missing because we forgot it.
 */
import type {
  Message,
  MessageCountTokensParams,
  MessageCreateParamsBase,
  MessageParam,
  RawMessageStreamEvent
} from "@anthropic-ai/sdk/resources/messages"
import type * as Duration from "effect/Duration"
import type { Tag } from "./ClaudeError.ts"
import type * as Current from "./Current.ts"
import type * as fields from "./errorFields.ts"
import type * as Models from "./models/catalogue.ts"

// -----------------------------------------------------------------------------
// Requests
// -----------------------------------------------------------------------------

/** What the API is asked for: every parameter of the SDK, except `stream`, which is always on. */
export type Params = Omit<MessageCreateParamsBase, "stream">

/** What tokens are counted of. */
export type CountParams = MessageCountTokensParams

/** One attempt: what to ask, and how long to wait for it. */
export interface Request {
  readonly params: Params
  readonly limits: Current.Limits
}

/** A question, or a whole conversation. */
export type Prompt = string | ReadonlyArray<MessageParam>

// -----------------------------------------------------------------------------
// Events
// -----------------------------------------------------------------------------

/** The answer broke off and is asked for again: what has been read of it is void. */
export interface Restarted {
  readonly type: "restarted"
  /** The attempt that follows. */
  readonly attempt: number
  readonly because: Tag
}

/** The answer broke off and goes on: what has been read of it stays, except for blocks after `index`, which were not whole. */
export interface Resumed {
  readonly type: "resumed"
  /** The attempt that follows. */
  readonly attempt: number
  readonly because: Tag
  /** The block of text that goes on. */
  readonly index: number
}

/** One event of the wire, as the API sends it. Unknown kinds are passed on as they are. */
export type WireEvent = RawMessageStreamEvent

/** One event of a streamed answer. */
export type Event = WireEvent | Restarted | Resumed

/** Whether an event is a sign of an answer, and not only of a request being received. */
export const isContent = (event: WireEvent): boolean =>
  event.type === "content_block_start" || event.type === "content_block_delta"

// -----------------------------------------------------------------------------
// Replies
// -----------------------------------------------------------------------------

/** What an answer cost, in tokens. */
export type Usage = Message["usage"]

/** What an answer cost in US dollars, by the catalogue, or at least cost. */
export type Cost = Models.Cost

/** One bucket of the account, as the API last described it. `reset` (an RFC 3339 date) is when it will be full again, at the latest. */
export interface RateLimit extends fields.RateLimit {}

/** The buckets of the account. Those that the API did not mention are missing. */
export interface RateLimits extends fields.RateLimits {}

/** A tool that Claude wants to be used. The input is decoded, if the tool was made with a schema. */
export interface ToolUse {
  readonly id: string
  readonly name: string
  readonly input: unknown
}

/** A tool of the API's own that failed, in an answer that did not. */
export interface ServerToolError {
  /** The kind of its result: `web_search_tool_result` … */
  readonly type: string
  readonly toolUseId: string
  readonly errorCode: string
}

/** An answer, complete or so far. */
export interface Reply {
  /** The message as the API would have sent it in one piece. */
  readonly message: Message
  /** The text blocks, joined. */
  readonly text: string
  /** The tools to be used, whose input is whole. */
  readonly toolUses: ReadonlyArray<ToolUse>
  readonly serverToolErrors: ReadonlyArray<ServerToolError>
  /** Null until Claude has stopped. */
  readonly stopReason: Message["stop_reason"]
  readonly usage: Usage
  /** What it cost; missing, where the catalogue has no price for the model. */
  readonly cost: Cost | undefined
  readonly model: string
  readonly requestId: string | undefined
  readonly rateLimits: RateLimits
  /** From the start of the attempt to its first content. */
  readonly timeToFirstToken: Duration.Duration | undefined
  /** From the start of the attempt until now, or until the end of the answer. */
  readonly duration: Duration.Duration
  /** Which attempt of the call this was, from 1. */
  readonly attempt: number
}
