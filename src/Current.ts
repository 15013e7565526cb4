/**
 * What the current call carries, when nobody passes it explicitly.
 *
 * These are `Context.Reference`s: they have a default, and a combinator can
 * change them for everything inside it. So the same program can be re-run on
 * another model, and a limit set at the call site is enforced where the
 * request is sent, below every queue and circuit. `Call` can only be read.
 */
import type { Model as KnownModel } from "@anthropic-ai/sdk/resources/messages"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as CallContext from "./callContext.ts"

// -----------------------------------------------------------------------------
// What to ask
// -----------------------------------------------------------------------------

/** A model id. The known ones complete in the editor, any other string is accepted. */
export type ModelId = KnownModel

/** The model to ask where the call names none. */
export const Model = Context.Reference<ModelId>("resilient-claude/Current/Model", {
  defaultValue: () => "claude-sonnet-5-5"
})

/** Whose call it is, in a program that serves many: what is remembered for one tenant is never given to another. */
export const Tenant = Context.Reference<string | undefined>("resilient-claude/Current/Tenant", {
  defaultValue: () => undefined
})

// -----------------------------------------------------------------------------
// How long to wait
// -----------------------------------------------------------------------------

/**
 * How long one attempt may wait, and for what. A limit that is not given is as below, but at most a third of the time of a
 * call that would ask again, and never less than a long prompt, thinking or the input of a tool need; `attempt` has none.
 */
export interface Limits {
  /** For the headers of the response: 10 seconds; for a long prompt 5, and one for each 3,000 tokens. */
  readonly connect?: Duration.Input | undefined
  /** For the first content, from the start of the attempt: 30 seconds, 120 when thinking is on. */
  readonly firstToken?: Duration.Input | undefined
  /** For any byte, pings included: 30 seconds; with tools, 10 for each 1,000 of `max_tokens`. */
  readonly idle?: Duration.Input | undefined
  /** For any content: 60 seconds, 180 when thinking is on; with tools as above. */
  readonly contentIdle?: Duration.Input | undefined
  /** For the whole attempt, not counting the time in which the reader did not read. */
  readonly attempt?: Duration.Input | undefined
}

/** The limits of each attempt. */
export const Limits = Context.Reference<Limits>("resilient-claude/Current/Limits", { defaultValue: () => ({}) })

/** When the caller stops waiting, in milliseconds since the epoch. */
export const Deadline = Context.Reference<number>("resilient-claude/Current/Deadline", { defaultValue: () => Infinity })

/** Who goes first in our queues. */
export const Priority = Context.Reference<"interactive" | "default" | "background">(
  "resilient-claude/Current/Priority",
  { defaultValue: () => "default" }
)

// -----------------------------------------------------------------------------
// Which call this is
// -----------------------------------------------------------------------------

/** A call that a policy runs. */
export interface Call {
  /** Unique to the call: the log tells it as `call`. */
  readonly id: string
  /** The number of the attempt, from 1, over all models. */
  readonly attempt: number
}

/** The call that this runs in; `undefined` if no policy runs it. For correlation in your own logs and spans. */
export const Call: Effect.Effect<Call | undefined> = Effect.contextWith((context: Context.Context<never>) => {
  const call = Context.get(context, CallContext.Call)
  return Effect.succeed(
    call && { id: call.id, attempt: Context.get(context, CallContext.AttemptNumber) ?? call.attempt }
  )
})
