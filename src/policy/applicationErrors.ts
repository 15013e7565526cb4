/** Whether an error of the application is retried. */
import * as Context from "effect/Context"

/**
 * Set for a schedule that is asked about an error that is not ours. `Retry.byTag` sets `joins` if it retries the error as
 * one of its application classes; no other schedule retries such an error. A reference, because it reaches `Retry.byTag`
 * inside every combination of schedules.
 */
export const Joins = Context.Reference<{ joins: boolean } | undefined>("resilient-claude/Joins", {
  defaultValue: () => undefined
})
