/**
 * The context of a call, private to this library. Users see only `Current.Call`.
 */
import type { MessageCountTokensParams, MessageCreateParamsBase } from "@anthropic-ai/sdk/resources/messages"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { ClaudeError, DeadlineExceeded, MalformedOutput, Tried } from "./ClaudeError.ts"
import type { Runtime } from "./runtime.ts"

// -----------------------------------------------------------------------------
// The call
// -----------------------------------------------------------------------------

/** The model in the events of a call that asks no model, such as `Models.refresh`. */
export const noModel = "*"

/** The mutable state of a call under a policy. */
export interface Call {
  readonly id: string
  /** The number of the last attempt, over all models; 0 before the first. */
  attempt: number
  /** The model of the last attempt; `noModel` if the call asks no model. */
  model: string | undefined
  /** The last attempt that a deadline interrupted. */
  interrupted: Interrupted | undefined
  readonly history: ReadonlyArray<Tried>
  /** The malformed answers that the next attempt must correct, oldest first. */
  corrections: ReadonlyArray<MalformedOutput>
  readonly spent: Tally
  /**
   * Returns the effect to run before a request is sent; `undefined`, the usual case, if there is nothing to report or
   * to count. `isRest`: the request asks for the rest of an answer.
   */
  readonly validate:
    | ((
      params: Omit<MessageCreateParamsBase, "stream">,
      isRest: boolean,
      asked: Asked
    ) => Effect.Effect<void, ClaudeError> | undefined)
    | undefined
  /** Logs the same warning at most once per call. */
  readonly warn: (model: string, code: string, message: string) => Effect.Effect<void>
  readonly onBreak: "fail" | "restart" | "resume"
  /** Requests a broken answer again, with the retries and limits of the policy; undefined if the break is final. */
  readonly reopen:
    | (<A, R>(broken: ClaudeError, open: Effect.Effect<A, ClaudeError, R>) => Effect.Effect<A, ClaudeError, R>)
    | undefined
}

export interface Asked {
  readonly countTokens: (params: MessageCountTokensParams) => Effect.Effect<number, ClaudeError>
  readonly runtime: Runtime
}

export interface Interrupted {
  readonly attempt: number
  readonly about: Pick<DeadlineExceeded, "model" | "requestId" | "limits" | "text" | "blocks" | "usage">
}

/** Records what happens under one deadline, for the `DeadlineExceeded` of that deadline. */
export interface DeadlineState {
  readonly outer: DeadlineState | undefined
  isReached: boolean
  interrupted: Interrupted | undefined
  /** The last call that began under this deadline. */
  call: Call | undefined
}

/** The innermost deadline. */
export const DeadlineState = Context.Reference<DeadlineState | undefined>("resilient-claude/DeadlineState", {
  defaultValue: () => undefined
})

/** The current call; undefined without a policy. */
export const Call = Context.Reference<Call | undefined>("resilient-claude/Call", { defaultValue: () => undefined })

/** From 1. Not `Call.attempt`, which is the number of the last attempt: a call may run several attempts at once. */
export const AttemptNumber = Context.Reference<number | undefined>("resilient-claude/AttemptNumber", {
  defaultValue: () => undefined
})

// -----------------------------------------------------------------------------
// Model, circuit and usage
// -----------------------------------------------------------------------------

/**
 * The fallback model, which replaces the model that the request names. Set by `Fallback.models` and by the `models` of a
 * policy.
 */
export const Substitute = Context.Reference<string | undefined>("resilient-claude/Substitute", {
  defaultValue: () => undefined
})

/**
 * Whether a call waits at an open circuit for the next probe, if the probe can come before the `Deadline` of the call;
 * otherwise the call fails at once with `CircuitOpen`. A policy sets this when no other model is left. A call without a
 * deadline does not wait.
 */
export const WaitForCircuit = Context.Reference<boolean>("resilient-claude/WaitForCircuit", {
  defaultValue: () => false
})

/** A mutable sum, to which each attempt adds its usage when it ends. */
export interface Tally {
  /** Tokens, including those written to the cache and read from it. */
  input: number
  output: number
  /** US dollars, at the prices of the catalogue. */
  dollars: number
  /** True if the real usage may be higher: an attempt broke off, or a part of its cost is unknown. */
  atLeast: boolean
}

/**
 * The tally of the innermost `Policy.outcome`; `undefined` outside one. An attempt adds its usage to this tally, and to the
 * `spent` of each policy call around it.
 */
export const Tally = Context.Reference<Tally | undefined>("resilient-claude/Tally", { defaultValue: () => undefined })
