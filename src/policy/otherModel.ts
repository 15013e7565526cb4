/** Whether another model is left. */
import * as Context from "effect/Context"
import { CircuitOpen, type ClaudeError, TimedOut } from "../ClaudeError.ts"

/** Whether another model is left that may answer after a failure: then the current one is waited for less. */
export type HasOther = (error: ClaudeError) => boolean

export const noOther: HasOther = () => false

export const OtherModel = Context.Reference<HasOther>("resilient-claude/OtherModel", { defaultValue: () => noOther })

/** Failures that are asked about before they happen. */
export const [circuitOpen, timedOut] = [new CircuitOpen({}), new TimedOut({ scope: "firstToken" })]
