/**
 * Settings that a call takes from its context.
 *
 * Each is a `Context.Reference` with a default, which a combinator can change
 * for everything inside it. So the same program can run on another model, and a
 * limit set at the call site applies where the request is sent, below every
 * queue and circuit. `Call` is read-only.
 */
import type { Model as KnownModel } from "@anthropic-ai/sdk/resources/messages"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as CallContext from "./callContext.ts"

// -----------------------------------------------------------------------------
// Model and tenant
// -----------------------------------------------------------------------------

/** A model id. Editors complete the known ids; any string is accepted. */
export type ModelId = KnownModel

/** The model of calls that do not name one. */
export const Model = Context.Reference<ModelId>("resilient-claude/Current/Model", {
  defaultValue: () => "claude-sonnet-5-5"
})

/**
 * The tenant of the call, in a program that serves several: `Fallback.lastGood` never shares answers between tenants.
 */
export const Tenant = Context.Reference<string | undefined>("resilient-claude/Current/Tenant", {
  defaultValue: () => undefined
})

// -----------------------------------------------------------------------------
// Limits and priority
// -----------------------------------------------------------------------------

/**
 * Time limits of one attempt. The defaults are below. In a call that can retry, they are at most a third of the time
 * until its deadline (in a stream, only `connect` and `firstToken` are), but at least 5 seconds, and never shorter than
 * a long prompt, thinking or tools need. `attempt` has no default.
 *
 * While the model thinks, writes the input of a tool, or waits for a tool that the API runs, `contentIdle` is at least
 * 180 seconds and at least 10 seconds for each 1,000 of `max_tokens`, and `idle` at least 45 seconds. With a tool,
 * `idle` too is at least 10 seconds for each 1,000 of `max_tokens`. A limit that you set is never raised.
 */
export interface Limits {
  /** Until the response headers: 10 seconds; for a long prompt, 5 seconds plus one for each 3,000 tokens. */
  readonly connect?: Duration.Input | undefined
  /** From the start of the attempt until first content: 30 seconds; 120 with thinking or tools; at least `connect`. */
  readonly firstToken?: Duration.Input | undefined
  /** Between two reads of bytes, pings included: 30 seconds; 45 with thinking or tools; see above. */
  readonly idle?: Duration.Input | undefined
  /** Between two pieces of content: 60 seconds; 180 with thinking or tools; see above. */
  readonly contentIdle?: Duration.Input | undefined
  /** For the whole attempt, excluding the time in which the reader was not reading. */
  readonly attempt?: Duration.Input | undefined
}

/** The time limits of each attempt; `Timeout.limits` sets them. */
export const Limits = Context.Reference<Limits>("resilient-claude/Current/Limits", { defaultValue: () => ({}) })

/** When the caller stops waiting, in milliseconds since the epoch. */
export const Deadline = Context.Reference<number>("resilient-claude/Current/Deadline", { defaultValue: () => Infinity })

/** The priority of the call in our own queues. */
export const Priority = Context.Reference<"interactive" | "default" | "background">(
  "resilient-claude/Current/Priority",
  { defaultValue: () => "default" }
)

// -----------------------------------------------------------------------------
// The call
// -----------------------------------------------------------------------------

/** A call that a policy runs. */
export interface Call {
  /** Unique to the call; log events have it as `call`. */
  readonly id: string
  /** The number of the attempt, from 1, counted over all models; 0 before the first attempt. */
  readonly attempt: number
}

/** The current call, to correlate your own logs and spans; `undefined` outside of a policy. */
export const Call: Effect.Effect<Call | undefined> = Effect.contextWith((context: Context.Context<never>) => {
  const call = Context.get(context, CallContext.Call)
  return Effect.succeed(
    call && { id: call.id, attempt: Context.get(context, CallContext.AttemptNumber) ?? call.attempt }
  )
})
