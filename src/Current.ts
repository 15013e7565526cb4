/**
 * What the current call carries, when nobody passes it explicitly.
 *
 * These are `Context.Reference`s: they have a default, and a combinator can
 * change them for everything inside it. So the same program can be re-run on
 * another model, and a limit set at the call site is enforced where the
 * request is sent, below every queue and circuit.
 */
import type { MessageCreateParamsBase, Model as KnownModel } from "@anthropic-ai/sdk/resources/messages"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { ClaudeError, MalformedOutput } from "./ClaudeError.ts"
import * as Models from "./models/catalogue.ts"
import { known } from "./models/known.ts"

// -----------------------------------------------------------------------------
// What to ask
// -----------------------------------------------------------------------------

/** A model id. The known ones complete in the editor, any other string is accepted. */
export type ModelId = KnownModel

/** The model to ask where the call names none. */
export const Model = Context.Reference<ModelId>("resilient-claude/Current/Model", {
  defaultValue: () => "claude-sonnet-5-5"
})

/** What is known of the models: by default one catalogue for the process. `Models` has what reads and changes it. */
export const Catalogue = Context.Reference<Models.Catalogue>("resilient-claude/Current/Catalogue", {
  defaultValue: () => Models.make(known)
})

/** The model that stands in for whatever the call names. Set by `Fallback.models`, and by the `models` of a policy. */
export const Substitute = Context.Reference<ModelId | undefined>("resilient-claude/Current/Substitute", {
  defaultValue: () => undefined
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

/**
 * Whether a call waits at an open circuit for the next probe, if that can come before its `Deadline`, instead of failing
 * with `CircuitOpen` at once. A policy sets it where no other model is left to ask. Without a deadline nothing waits.
 */
export const WaitForCircuit = Context.Reference<boolean>("resilient-claude/Current/WaitForCircuit", {
  defaultValue: () => false
})

// -----------------------------------------------------------------------------
// Which call this is
// -----------------------------------------------------------------------------

/** What a policy knows about the call it is running. One mutable record per call, which the library writes to. */
export interface Call {
  readonly id: string
  /** Which attempt this is, from 1, over all models. */
  attempt: number
  /** The model that was asked last. */
  model: string | undefined
  /** The answers that the next attempt must correct, oldest first. */
  corrections: ReadonlyArray<MalformedOutput>
  /** What the attempts have used so far. */
  readonly spent: Tally
  /** Looks at what is about to be sent: nothing if there is nothing to say, else what there is to do or to fail with. */
  readonly validate:
    | ((
      params: Omit<MessageCreateParamsBase, "stream">,
      isRest: boolean
    ) => Effect.Effect<void, ClaudeError> | undefined)
    | undefined
  /** Tells the log, once in a call. */
  readonly warn: (model: string, code: string, message: string) => Effect.Effect<void>
  /** What to do when an answer breaks off while it is read. */
  readonly onBreak: "fail" | "restart" | "resume"
  /** Opens an answer that broke off once more, by the rules of the policy; if there is none, the break is final. */
  readonly reopen:
    | (<A, R>(broken: ClaudeError, open: Effect.Effect<A, ClaudeError, R>) => Effect.Effect<A, ClaudeError, R>)
    | undefined
}

/** The current call, if a policy runs it. */
export const Call = Context.Reference<Call | undefined>("resilient-claude/Current/Call", {
  defaultValue: () => undefined
})

/** What attempts have used: one mutable record, added to by every attempt that says what it used. */
export interface Tally {
  input: number
  output: number
  /** US dollars, by the catalogue. */
  dollars: number
  /** Whether it is more, because an attempt broke off or has no known price. */
  atLeast: boolean
}

/** Where the attempts inside count what they use, if anybody asks. */
export const Tally = Context.Reference<Tally | undefined>("resilient-claude/Current/Tally", {
  defaultValue: () => undefined
})
