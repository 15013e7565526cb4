/** What pays for the attempts that follow a failure. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { ClaudeError } from "./ClaudeError.ts"

/** Bounds the attempts that are made on top of the first ones. */
export interface Budget {
  /**
   * Waits until an extra attempt of a model may start, at most until `Current.Deadline`, and charges it; nothing if it
   * may not. Runs uninterruptibly, so that what is charged is never lost: put `Effect.interruptible` on the wait, and
   * nowhere else. What it gives is settled once, with how the attempt ended.
   */
  readonly charge: (because: ClaudeError, model: string) => Effect.Effect<Charge | undefined>
}

/** An attempt that was paid for. */
export interface Charge {
  /** Told once how the attempt ended. */
  readonly settle: (exit: Exit.Exit<unknown, unknown>) => Effect.Effect<void>
}

/** What the attempt that runs was paid for with: nothing, for the first one of a call. */
export const Paid = Context.Reference<Charge | undefined>("resilient-claude/Paid", { defaultValue: () => undefined })
