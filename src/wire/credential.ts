/**
 * The key or token of a request.
 *
 * Nothing here shows one: an error that was thrown while it was read may quote
 * it (that of a JSON parser does), so that only the name of the error is told.
 */
import * as Effect from "effect/Effect"
import { isString } from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { AuthenticationFailed } from "../ClaudeError.ts"
import { nameOf } from "../errorOf.ts"
import { leavable } from "../storePatience.ts"

/** A key or a token, or how to read it. An effect is run for each attempt, inside its limits, so that keys can rotate. */
export type Credential = Fixed | Effect.Effect<Fixed, unknown>

/** One that stays the same. */
type Fixed = string | Redacted.Redacted<string>

/** Whether a header can carry it. */
export const isKey = (key: string): boolean => /^[\x21-\x7e]+$/.test(key)

/** The text of a key that a header can carry, or nothing. */
export const textOf = (credential: unknown): string | undefined => {
  const key: unknown = Redacted.isRedacted(credential) ? Redacted.value(credential) : credential
  return isString(key) && isKey(key) ? key : undefined
}

/**
 * Reads the key of one attempt. Fails with `AuthenticationFailed` if there is none to send. The limits of the attempt hold
 * also where it cannot be interrupted: while a connection to a vault is opened, for one.
 */
export const read = (
  credential: Effect.Effect<Fixed, unknown>,
  model: string | undefined
): Effect.Effect<string, AuthenticationFailed> => {
  const failed = (detail: string) => Effect.fail(new AuthenticationFailed({ model, detail }))
  return Effect.matchCauseEffect(leavable(credential), {
    onFailure: (cause) => failed(`the key could not be read: ${nameOf(cause)}`),
    onSuccess: (given) => {
      const key = textOf(given)
      return key === undefined
        ? failed("the key that was read is empty, or has characters that a header cannot carry")
        : Effect.succeed(key)
    }
  })
}
