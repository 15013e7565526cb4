import * as Context from "effect/Context"
import { CircuitOpen, type ClaudeError, TimedOut } from "../ClaudeError.ts"

/** Whether another model can be asked after this error. If so, fewer retries and waits are spent on the current model. */
export type HasOther = (error: ClaudeError) => boolean

export const noOther: HasOther = () => false

export const OtherModel = Context.Reference<HasOther>("resilient-claude/OtherModel", { defaultValue: () => noOther })

/** Example errors, to ask `OtherModel` about a failure before it happens. */
export const [circuitOpen, timedOut] = [new CircuitOpen({}), new TimedOut({ scope: "firstToken" })]
