import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { hasProperty, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import { type ClaudeError, is } from "./ClaudeError.ts"

/** Undefined after a success, a defect, an interrupt or an error of the application. */
export const errorOf = (exit: Exit.Exit<unknown, unknown>): ClaudeError | undefined => {
  const found = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : undefined
  return found?._tag === "Some" && is(found.value) ? found.value : undefined
}

/**
 * The tag, class or type of an error from code outside this library. Its message is left out, because it may quote a
 * secret.
 */
export const nameOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  // A property may be a getter that throws.
  const said = Result.try(() =>
    hasProperty(error, "_tag") && isString(error._tag) ? error._tag : error instanceof Error ? error.name : typeof error
  )
  return Result.getOrElse(said, () => typeof error).slice(0, 100)
}
