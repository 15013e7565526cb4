/** Whether another model is left. */
import * as Context from "effect/Context"
import type { ClaudeError } from "../ClaudeError.ts"

/** Whether another model is left that may succeed after a failure: then little waits for this one. */
export const OtherModel = Context.Reference<(error: ClaudeError) => boolean>("resilient-claude/OtherModel", {
  defaultValue: () => () => false
})
