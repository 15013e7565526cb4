/**
 * Settings that a call takes from its context.
 *
 * All but `Call` are `Context.Reference`s with a default. A combinator around a
 * program changes a setting for all calls in the program. `Limits` apply where the
 * request is sent, so the time in queues does not count; `Deadline` includes it.
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
 * The tenant of the call, in a program that serves several tenants: `Fallback.lastGood` does not share answers between
 * them, and a queue of the guards serves them in turn.
 */
export const Tenant = Context.Reference<string | undefined>("resilient-claude/Current/Tenant", {
  defaultValue: () => undefined
})

// -----------------------------------------------------------------------------
// Limits and priority
// -----------------------------------------------------------------------------

/**
 * Time limits of one attempt. In a call that can retry, a default is at most a third of the time until the deadline, so
 * that a retry has time; in a stream, this applies only to `connect` and `firstToken`. A default is at least 5 seconds,
 * and is raised for a long prompt, thinking and tools. A limit that you set is not changed, with one exception: a token
 * count that precedes an answer takes at most a third of the time until the deadline.
 *
 * While the model thinks, writes the input of a tool, or waits for a tool that the API runs, the default of `contentIdle`
 * is at least 180 seconds and at least 10 seconds for each 1,000 of `max_tokens`. The default of `idle` is then at least
 * 45 seconds; for a tool, also at least 10 seconds for each 1,000 of `max_tokens`.
 */
export interface Limits {
  /** Until the response headers: 10 seconds, or for a long prompt 5 seconds plus one second for each 3,000 tokens. */
  readonly connect?: Duration.Input | undefined
  /** From the start of the attempt until the first content: 30 seconds; 120 with thinking or tools. */
  readonly firstToken?: Duration.Input | undefined
  /** Between two reads of bytes, pings included: 30 seconds; 45 with thinking or tools; see above. */
  readonly idle?: Duration.Input | undefined
  /** Between two pieces of content: 60 seconds; 180 with thinking or tools; see above. */
  readonly contentIdle?: Duration.Input | undefined
  /**
   * For the complete attempt, without the time in which the reader of a stream did not read. No default. For a token count
   * or a list of models, which have only this limit, 30 seconds.
   */
  readonly attempt?: Duration.Input | undefined
}

/** The time limits of each attempt; `Timeout.limits` sets them. */
export const Limits = Context.Reference<Limits>("resilient-claude/Current/Limits", { defaultValue: () => ({}) })

/** When the caller stops waiting, in milliseconds since the epoch. Set by `Timeout.overall` and by policies. */
export const Deadline = Context.Reference<number>("resilient-claude/Current/Deadline", { defaultValue: () => Infinity })

/** The priority of the call in the queues of the guards. */
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
