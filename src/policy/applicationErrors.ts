import * as Context from "effect/Context"

/**
 * Provided while the schedule of a policy decides about an application error. `Retry.byTag` sets `joins` if the error is of
 * a class passed to it; the policy retries only then. A context reference reaches `Retry.byTag` inside any combination of
 * schedules.
 */
export const Joins = Context.Reference<{ joins: boolean } | undefined>("resilient-claude/Joins", {
  defaultValue: () => undefined
})
