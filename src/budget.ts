import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { ClaudeError } from "./ClaudeError.ts"

/** Limits extra attempts: attempts that follow a failed request of the same call, also on another model. */
export interface Budget {
  /**
   * Waits, at most until `Current.Deadline`, until an extra attempt on `model` may start, and charges the budget for it.
   * Returns undefined if the attempt may not start. Runs uninterruptibly, so that no charge is lost: make only the wait
   * `Effect.interruptible`.
   */
  readonly charge: (because: ClaudeError, model: string) => Effect.Effect<Charge | undefined>
  /** Call when the process drains: calls that wait for the budget end with the error of their last attempt. */
  readonly sweep?: (() => void) | undefined
}

/** The charge for one extra attempt. */
export interface Charge {
  /**
   * Called once. If the call continues an unfinished answer or asks again with a changed request, called before that
   * request, with a failure. Otherwise called with the exit of the attempt.
   */
  readonly settle: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
}

/** The charge of the current attempt; undefined for an attempt that is free, such as the first of a call. */
export const Paid = Context.Reference<Charge | undefined>("resilient-claude/Paid", { defaultValue: () => undefined })
