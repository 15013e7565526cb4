/**
 * What the library itself passes down to the inside of a call.
 *
 * Private, because all of it may change: users see the id and the attempt of the call, as `Current.Call`.
 */
import type { MessageCountTokensParams, MessageCreateParamsBase } from "@anthropic-ai/sdk/resources/messages"
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { ClaudeError, MalformedOutput } from "./ClaudeError.ts"
import type { Runtime } from "./runtime.ts"

// -----------------------------------------------------------------------------
// The call
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
  /** Looks at a request before it is sent: `undefined` if there is nothing to do, else an effect that may fail. */
  readonly validate:
    | ((
      params: Omit<MessageCreateParamsBase, "stream">,
      isRest: boolean,
      asked: Asked
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

/** The `Claude` that is asked, as far as requests and their validation need it. */
export interface Asked {
  readonly countTokens: (params: MessageCountTokensParams) => Effect.Effect<number, ClaudeError>
  readonly runtime: Runtime
}

/** The current call, if a policy runs it. */
export const Call = Context.Reference<Call | undefined>("resilient-claude/Call", { defaultValue: () => undefined })

/** The number of the attempt, from 1: several may run at once, and the call itself knows only which one began last. */
export const AttemptNumber = Context.Reference<number | undefined>("resilient-claude/AttemptNumber", {
  defaultValue: () => undefined
})

// -----------------------------------------------------------------------------
// What it asks, and what that uses
// -----------------------------------------------------------------------------

/** The model that stands in for whatever the call names. Set by `Fallback.models`, and by the `models` of a policy. */
export const Substitute = Context.Reference<string | undefined>("resilient-claude/Substitute", {
  defaultValue: () => undefined
})

/**
 * Whether a call waits at an open circuit for the next probe, if that can come before its `Deadline`, instead of failing
 * with `CircuitOpen` at once. A policy sets it where no other model is left to ask. Without a deadline nothing waits.
 */
export const WaitForCircuit = Context.Reference<boolean>("resilient-claude/WaitForCircuit", {
  defaultValue: () => false
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
export const Tally = Context.Reference<Tally | undefined>("resilient-claude/Tally", { defaultValue: () => undefined })
