/** The error of ours in an exit. */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { type ClaudeError, is } from "./ClaudeError.ts"

/** What something failed with, if that is an error of ours: nothing after a success, a defect or an interrupt. */
export const errorOf = (exit: Exit.Exit<unknown, unknown>): ClaudeError | undefined => {
  const found = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : undefined
  return found?._tag === "Some" && is(found.value) ? found.value : undefined
}
