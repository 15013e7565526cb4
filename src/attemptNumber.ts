/** Which attempt of its call this is. */
import * as Context from "effect/Context"

/** From 1: several may run at once, so the call itself knows only which one began last. */
export const AttemptNumber = Context.Reference<number | undefined>("resilient-claude/AttemptNumber", {
  defaultValue: () => undefined
})
