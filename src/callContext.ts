/**
 * The library's private context of a call. Users see its id and its attempt, as `Current.Call`.
 */
import type { MessageCountTokensParams, MessageCreateParamsBase } from "@anthropic-ai/sdk/resources/messages"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { ClaudeError, DeadlineExceeded, MalformedOutput, Tried } from "./ClaudeError.ts"
import type { Runtime } from "./runtime.ts"

// -----------------------------------------------------------------------------
// The call
// -----------------------------------------------------------------------------

/** The model of events about a call that concerns all models, such as `Models.refresh`. */
export const noModel = "*"

/** The state of a call under a policy: one mutable record per call. */
export interface Call {
  readonly id: string
  /** The number of the last attempt, over all models; 0 before the first. */
  attempt: number
  /** The model of the last attempt. */
  model: string | undefined
  /** The last attempt that a deadline interrupted, with the part of its answer that had arrived. */
  interrupted: Interrupted | undefined
  /** The failed attempts so far. */
  readonly history: ReadonlyArray<Tried>
  /** The malformed answers that the next attempt must correct, oldest first. */
  corrections: ReadonlyArray<MalformedOutput>
  /** The usage of all attempts so far. */
  readonly spent: Tally
  /** Validates a request before it is sent. Returns undefined if there are no findings, which saves an effect. */
  readonly validate:
    | ((
      params: Omit<MessageCreateParamsBase, "stream">,
      isRest: boolean,
      asked: Asked
    ) => Effect.Effect<void, ClaudeError> | undefined)
    | undefined
  /** Logs a warning, at most once per call. */
  readonly warn: (model: string, code: string, message: string) => Effect.Effect<void>
  /** What to do if the answer breaks off while it is read. */
  readonly onBreak: "fail" | "restart" | "resume"
  /** Reopens an answer that broke off, under the limits of the policy; if undefined, the break is final. */
  readonly reopen:
    | (<A, R>(broken: ClaudeError, open: Effect.Effect<A, ClaudeError, R>) => Effect.Effect<A, ClaudeError, R>)
    | undefined
}

/** The parts of a `Claude` that are needed to build and validate a request. */
export interface Asked {
  readonly countTokens: (params: MessageCountTokensParams) => Effect.Effect<number, ClaudeError>
  readonly runtime: Runtime
}

/** An attempt that was interrupted. `about` has its model, its request id, and what had arrived of its answer. */
export interface Interrupted {
  readonly attempt: number
  readonly about: Pick<DeadlineExceeded, "model" | "requestId" | "limits" | "text" | "blocks" | "usage">
}

/** The state of one deadline, for the error if the deadline is reached. */
export interface DeadlineState {
  /** The enclosing deadline. */
  readonly outer: DeadlineState | undefined
  isReached: boolean
  /** The last attempt that this deadline interrupted. */
  interrupted: Interrupted | undefined
  /** The last call that began under this deadline. */
  call: Call | undefined
}

/** The state of the innermost deadline. */
export const DeadlineState = Context.Reference<DeadlineState | undefined>("resilient-claude/DeadlineState", {
  defaultValue: () => undefined
})

/** The current call, if a policy runs it. */
export const Call = Context.Reference<Call | undefined>("resilient-claude/Call", { defaultValue: () => undefined })

/** The number of this attempt, from 1. Several attempts may run at once, and `Call.attempt` is only the last. */
export const AttemptNumber = Context.Reference<number | undefined>("resilient-claude/AttemptNumber", {
  defaultValue: () => undefined
})

// -----------------------------------------------------------------------------
// Model, circuit and usage
// -----------------------------------------------------------------------------

/**
 * The fallback model, which replaces the model that the call names. Set by `Fallback.models` and the `models` of a
 * policy.
 */
export const Substitute = Context.Reference<string | undefined>("resilient-claude/Substitute", {
  defaultValue: () => undefined
})

/**
 * Whether a call waits at an open circuit for the next probe, if that can come before its `Deadline`, instead of
 * failing with `CircuitOpen` at once. A policy sets it when no other model is left. A call without a deadline never
 * waits.
 */
export const WaitForCircuit = Context.Reference<boolean>("resilient-claude/WaitForCircuit", {
  defaultValue: () => false
})

/** A mutable sum of usage, to which every attempt with a known usage adds. */
export interface Tally {
  input: number
  output: number
  /** US dollars, at the prices of the catalogue. */
  dollars: number
  /** True if the real cost may be higher: an attempt broke off, or a part of it has no known price. */
  atLeast: boolean
}

/** The sum to which the attempts in this context add their usage. */
export const Tally = Context.Reference<Tally | undefined>("resilient-claude/Tally", { defaultValue: () => undefined })
