/** What went wrong: the error of ours in an exit, or no more than a name. */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { hasProperty, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import { type ClaudeError, is } from "./ClaudeError.ts"

/** What something failed with, if that is an error of ours: nothing after a success, a defect or an interrupt. */
export const errorOf = (exit: Exit.Exit<unknown, unknown>): ClaudeError | undefined => {
  const found = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : undefined
  return found?._tag === "Some" && is(found.value) ? found.value : undefined
}

/** The name of what went wrong in code that is not ours, whose words may quote a secret: a tag, a class or a type. */
export const nameOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  // A property of an odd value may throw when it is read.
  const said = Result.try(() =>
    hasProperty(error, "_tag") && isString(error._tag) ? error._tag : error instanceof Error ? error.name : typeof error
  )
  return Result.getOrElse(said, () => typeof error).slice(0, 100)
}
