/**
 * An error that is thrown while a key is read may quote the key, as the errors of a
 * JSON parser do, so only the name of this error is reported.
 */
import * as Effect from "effect/Effect"
import { isString } from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { AuthenticationFailed } from "../ClaudeError.ts"
import { nameOf } from "../errorOf.ts"
import { leavable } from "../storePatience.ts"

/** A key or token, or an effect that reads it. The effect runs in each attempt, so that keys can rotate. */
export type Credential = Fixed | Effect.Effect<Fixed, unknown>

type Fixed = string | Redacted.Redacted<string>

export const isKey = (key: string): boolean => /^[\x21-\x7e]+$/.test(key)

/** Returns the key as text, or `undefined` if it is empty or has characters that are not allowed in a header. */
export const textOf = (credential: unknown): string | undefined => {
  const key: unknown = Redacted.isRedacted(credential) ? Redacted.value(credential) : credential
  return isString(key) && isKey(key) ? key : undefined
}

/** Says why `textOf` returns `undefined`, without the key. */
export const flawOf = (credential: unknown): string => {
  const key: unknown = Redacted.isRedacted(credential) ? Redacted.value(credential) : credential
  if (key === undefined || key === null) return "is missing"
  if (!isString(key)) return "is not a text"
  return key === "" ? "is empty" : "has characters that are not allowed in a header, such as a space or a line break"
}

/**
 * Reads the key of one attempt. Fails with `AuthenticationFailed` if the effect fails or the key is invalid. The limits of
 * the attempt apply even if the effect cannot be interrupted, for example while it connects to a vault.
 */
export const read = (
  credential: Effect.Effect<Fixed, unknown>,
  model: string | undefined
): Effect.Effect<string, AuthenticationFailed> => {
  const failed = (detail: string) => Effect.fail(new AuthenticationFailed({ model, detail }))
  return Effect.matchCauseEffect(leavable(credential), {
    onFailure: (cause) =>
      failed(
        `the effect that reads the key failed with ${nameOf(cause)} (its text may contain the key, and is left out)`
      ),
    onSuccess: (given) => {
      const key = textOf(given)
      return key === undefined
        ? failed(`the key ${flawOf(given)}`)
        : Effect.succeed(key)
    }
  })
}
