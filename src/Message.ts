/**
 * Requests, events and replies.
 *
 * Parameters, wire events and messages have the SDK's types, so that no field of
 * the API is missing. Only types are imported: nothing here runs SDK code.
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

/** The parameters of a request: the SDK's parameters without `stream`, which is always on. */
export type Params = Omit<MessageCreateParamsBase, "stream">

/** Unlike `Params`, without `max_tokens` and the parameters that the API refuses in a token count. */
export type CountParams = MessageCountTokensParams

/** The request of one attempt, and its time limits. */
export interface Request {
  readonly params: Params
  readonly limits: Current.Limits
}

/** A field that is `undefined` counts as missing. */
type Optional<A> = { readonly [K in keyof A]?: A[K] | undefined }

/**
 * Parameters of the API, except the messages. Defaults: `max_tokens` is 4,096, and `model` is `Current.Model`. An option
 * replaces the same parameter of the prompt.
 */
export interface Options extends Optional<Omit<Params, "messages">> {}

/** The parameters of the SDK; `model` and `max_tokens` are optional. */
export interface PromptParams extends Options {
  readonly messages: Params["messages"]
}

/** The first argument of every call: a text, a list of messages, or the parameters of the SDK. */
export type Prompt = string | ReadonlyArray<MessageParam> | PromptParams

// -----------------------------------------------------------------------------
// Events
// -----------------------------------------------------------------------------

/** The answer broke off and was requested again from its beginning: discard the events read so far. */
export interface Restarted {
  readonly type: "restarted"
  /** The number of the attempt that follows. */
  readonly attempt: number
  readonly because: Tag
}

/** The answer broke off and continues. Keep the text read so far, but discard every block after `index`. */
export interface Resumed {
  readonly type: "resumed"
  /** The number of the attempt that follows. */
  readonly attempt: number
  readonly because: Tag
  /** The index of the text block that continues. */
  readonly index: number
}

/**
 * One event as the API sends it. Unknown types are passed through. In the events of an answer, text, citations and
 * thinking always come in deltas, even if a gateway sends them in `content_block_start`.
 */
export type WireEvent = RawMessageStreamEvent

/** One event of a streamed answer. */
export type Event = WireEvent | Restarted | Resumed

/** Whether an event has content of the answer: a ping or `message_start` has none. */
export const isContent = (event: WireEvent): boolean =>
  event.type === "content_block_start" || event.type === "content_block_delta"

// -----------------------------------------------------------------------------
// Replies
// -----------------------------------------------------------------------------

/** The tokens that an answer used. */
export type Usage = Message["usage"]

/** The cost of an answer in US dollars, at the prices of the catalogue; a lower bound if `atLeast` is set. */
export interface Cost {
  readonly dollars: number
  readonly atLeast: boolean
}

/**
 * One rate limit of the account, from the response headers. By `reset` (an RFC 3339 date), all of `limit` is available
 * again.
 */
export interface RateLimit {
  readonly limit: number | undefined
  readonly remaining: number | undefined
  readonly reset: string | undefined
}

/** The rate limits of the account. A limit without a header is missing. */
export interface RateLimits {
  readonly requests?: RateLimit
  readonly tokens?: RateLimit
  readonly inputTokens?: RateLimit
  readonly outputTokens?: RateLimit
}

/** A tool use that Claude requests. `Claude.message` decodes the input of a tool that was made with `Tool.make`. */
export interface ToolUse {
  readonly id: string
  readonly name: string
  readonly input: unknown
  /**
   * The text of the input as Claude wrote it, with all digits of its numbers. Missing if the input came without deltas.
   */
  readonly json?: string
}

/** A server tool that failed within an answer that succeeded. */
export interface ServerToolError {
  /** The type of the result block: `web_search_tool_result` … */
  readonly type: string
  readonly toolUseId: string
  readonly errorCode: string
}

/**
 * A complete answer, or the part of it that was read so far. If several requests were needed for the answer, `usage`, `cost`
 * and `duration` are sums.
 */
export interface Reply {
  /** The message as the API would have sent it in one piece. */
  readonly message: Message
  /** The text blocks, joined without a separator. */
  readonly text: string
  /** The tool uses whose input is complete. */
  readonly toolUses: ReadonlyArray<ToolUse>
  readonly serverToolErrors: ReadonlyArray<ServerToolError>
  /** Null until Claude has stopped. */
  readonly stopReason: Message["stop_reason"]
  readonly usage: Usage
  /** Undefined if the catalogue has no price for the model. */
  readonly cost: Cost | undefined
  readonly model: string
  readonly requestId: string | undefined
  readonly rateLimits: RateLimits
  /** From the start of the attempt to its first content; undefined before the first content. */
  readonly timeToFirstToken: Duration.Duration | undefined
  /** From the start of the attempt until now, or until the end of the answer. */
  readonly duration: Duration.Duration
  /** The number of the attempt in its call, from 1. */
  readonly attempt: number
}

// -----------------------------------------------------------------------------
// Answers
// -----------------------------------------------------------------------------

/** An answer whose first content has arrived, as returned by the `Claude` service. Valid until its scope closes. */
export interface Opened {
  readonly requestId: string | undefined
  readonly rateLimits: RateLimits
  /**
   * Pulls the next events, from the first event of the answer on; done after the last event. After a failure, every
   * pull fails with the same error.
   */
  readonly pull: Pull.Pull<Arr.NonEmptyReadonlyArray<WireEvent>, ClaudeError>
  /** The reply so far. Tool input is not decoded. */
  readonly reply: () => Reply
  /** The tokens that the API has reported so far. */
  readonly usage: () => Usage
  /** Whether `message_stop` was read. */
  readonly isComplete: () => boolean
}

/**
 * An answer that has begun. Run either `events` or `text`, and only once, because both read the same answer. The stream
 * ends when the answer is complete, and fails if the answer breaks off or is unusable (`Refused`, `Truncated` …).
 */
export interface Answer {
  readonly requestId: string | undefined
  readonly rateLimits: RateLimits
  /** All events, from the first. */
  readonly events: Stream.Stream<Event, ClaudeError>
  /** The text, in chunks. Fails after a break even with `onBreak: "restart"`, because text cannot signal a restart. */
  readonly text: Stream.Stream<string, ClaudeError>
  /**
   * The complete reply. If `events` or `text` was run, waits for the end of that stream, and fails with its error, or
   * with `PartialAnswer` if its reader stopped early. Otherwise reads the answer. Inside the running stream it waits
   * forever. Tool input is not decoded.
   */
  readonly reply: Effect.Effect<Reply, ClaudeError>
}

/** Whether the API enforces the schema of a value; if not, `because` says why not. See `Claude.formOf`. */
export type Form = { readonly form: "schema" } | { readonly form: "prompt" | "unsupported"; readonly because: string }

// -----------------------------------------------------------------------------
// Wires
// -----------------------------------------------------------------------------

/** The result of one read: the number of bytes (pings included), and the events that these bytes completed. */
export interface WireItem {
  readonly bytes: number
  readonly events: ReadonlyArray<WireEvent>
}

/** A response whose headers have arrived. */
export interface Connection {
  readonly requestId: string | undefined
  readonly rateLimits: RateLimits
  /** Whether the stream may end after its stop reason, without `message_stop`. */
  readonly mayEndEarly?: boolean
  /** Pulls the next socket read; done at the end of the body. */
  readonly read: Pull.Pull<WireItem, ClaudeError>
}

/** Sends a request; succeeds when the headers have arrived. Closing the scope closes the socket. */
export type Connect = (request: Request) => Effect.Effect<Connection, ClaudeError, Scope.Scope>
