/** Whether another model is left. */
import * as Context from "effect/Context"
import type { ClaudeError } from "../ClaudeError.ts"

/** Whether another model is left that may answer after a failure: then the current one is waited for less. */
export const OtherModel = Context.Reference<(error: ClaudeError) => boolean>("resilient-claude/OtherModel", {
  defaultValue: () => () => false
})
