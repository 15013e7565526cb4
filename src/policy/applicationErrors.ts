/** Whether `Retry.byTag` retries an application error. */
import * as Context from "effect/Context"

/**
 * Provided while a schedule decides about an application error. `Retry.byTag` sets `joins` if it retries the error as one
 * of its application classes; no other schedule can retry an application error. As a context reference, it reaches
 * `Retry.byTag` inside any combination of schedules.
 */
export const Joins = Context.Reference<{ joins: boolean } | undefined>("resilient-claude/Joins", {
  defaultValue: () => undefined
})
