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
import type * as Arr from "effect/Array"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { ClaudeError, Tag } from "./ClaudeError.ts"
import type * as Current from "./Current.ts"

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

/** The same fields, all optional. One that is there and `undefined` counts as left out. */
type Optional<A> = { readonly [K in keyof A]?: A[K] | undefined }

/**
 * Any parameter of the API besides the messages, by the API's own name. `max_tokens` is 4,096 and `model` is `Current.Model`
 * where neither the options nor the prompt has them. An option replaces that parameter of the prompt.
 */
export interface Options extends Optional<Omit<Params, "messages">> {}

/** The parameters of the SDK, of which `model` and `max_tokens` may be left out. */
export interface PromptParams extends Options {
  readonly messages: Params["messages"]
}

/** What every call takes first: a text, a list of messages, or the parameters of the SDK. */
export type Prompt = string | ReadonlyArray<MessageParam> | PromptParams

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
export interface Cost {
  readonly dollars: number
  readonly atLeast: boolean
}

/** One bucket of the account, as the API last described it. `reset` (an RFC 3339 date) is when it will be full again, at the latest. */
export interface RateLimit {
  readonly limit: number | undefined
  readonly remaining: number | undefined
  readonly reset: string | undefined
}

/** The buckets of the account. Those that the API did not mention are missing. */
export interface RateLimits {
  readonly requests?: RateLimit
  readonly tokens?: RateLimit
  readonly inputTokens?: RateLimit
  readonly outputTokens?: RateLimit
}

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

// -----------------------------------------------------------------------------
// Answers
// -----------------------------------------------------------------------------

/** An answer whose first content is here, as a `Claude` service gives it. It belongs to the scope in which it was opened. */
export interface Opened {
  readonly requestId: string | undefined
  readonly rateLimits: RateLimits
  /** The next events, those that were read before it was opened included; done after the last. A failure stays. */
  readonly pull: Pull.Pull<Arr.NonEmptyReadonlyArray<WireEvent>, ClaudeError>
  /** What has been read so far. */
  readonly reply: () => Reply
  /** What it has used so far, as far as the API said. */
  readonly usage: () => Usage
  /** Whether its end, `message_stop`, was read. */
  readonly isComplete: () => boolean
}

/**
 * An answer that has begun. `events`, `text` and `reply` are one reading of it: one of the streams can be run, once. It
 * ends at `message_stop`, and fails if the answer breaks off, or is none (`Refused`, `Truncated` …).
 */
export interface Answer {
  readonly requestId: string | undefined
  readonly rateLimits: RateLimits
  /** From the first event on. */
  readonly events: Stream.Stream<Event, ClaudeError>
  /** The pieces of its text. Text cannot say that it begins anew, so that `onBreak: "restart"` is `"fail"` here. */
  readonly text: Stream.Stream<string, ClaudeError>
  /**
   * The complete reply. Reads the answer, if nobody does, else waits until the stream that is run has ended, and fails as
   * that did; with `PartialAnswer`, if its reader has left before the end. Not for the reader itself, which would wait for
   * its own end. The input of tools is as Claude wrote it.
   */
  readonly reply: Effect.Effect<Reply, ClaudeError>
}

/** How a value is asked for: by a schema the API holds the model to, or in words, or not at all, and then why. */
export type Form = { readonly form: "schema" } | { readonly form: "prompt" | "unsupported"; readonly because: string }

// -----------------------------------------------------------------------------
// Wires
// -----------------------------------------------------------------------------

/** What one read of the wire brought: how many bytes (pings included), and the events they completed. */
export interface WireItem {
  readonly bytes: number
  readonly events: ReadonlyArray<WireEvent>
}

/** A response whose headers are here. */
export interface Connection {
  readonly requestId: string | undefined
  readonly rateLimits: RateLimits
  /** Whether the message may end with its stop reason, and without a `message_stop`. */
  readonly mayEndEarly?: boolean
  /** The next socket read; done at the end of the body. */
  readonly read: Pull.Pull<WireItem, ClaudeError>
}

/** Sends a request: succeeds when the headers are there. Closing the scope closes the socket. */
export type Connect = (request: Request) => Effect.Effect<Connection, ClaudeError, Scope.Scope>
