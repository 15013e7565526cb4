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
}

/** The charge for one extra attempt. */
export interface Charge {
  /**
   * Called once, with the exit of the attempt. If the call asks for the rest of an answer or for a corrected answer, called
   * before that request, with a failure.
   */
  readonly settle: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
}

/** The charge of the current attempt; undefined for an attempt that is free, such as the first of a call. */
export const Paid = Context.Reference<Charge | undefined>("resilient-claude/Paid", { defaultValue: () => undefined })
