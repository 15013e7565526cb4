/** The interface of a retry budget. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { ClaudeError } from "./ClaudeError.ts"

/** Limits the extra attempts: every attempt of a call after its first. */
export interface Budget {
  /**
   * Waits until an extra attempt of a model may start, at most until `Current.Deadline`, and charges the budget for
   * it; undefined if the attempt may not start. Runs uninterruptibly, so that no charge is lost: make only the wait
   * `Effect.interruptible`. The charge is settled once, with the exit of the attempt.
   */
  readonly charge: (because: ClaudeError, model: string) => Effect.Effect<Charge | undefined>
}

/** The charge for one extra attempt. */
export interface Charge {
  /** Called once, with the exit of the attempt. */
  readonly settle: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
}

/** The charge of the current attempt; undefined for the first one of a call. */
export const Paid = Context.Reference<Charge | undefined>("resilient-claude/Paid", { defaultValue: () => undefined })
