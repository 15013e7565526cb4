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
    onFailure: (cause) => failed(`the key could not be read: ${nameOf(cause)}`),
    onSuccess: (given) => {
      const key = textOf(given)
      return key === undefined
        ? failed(
          "the key is empty, or has characters that are not allowed in a header, such as a space or a line break"
        )
        : Effect.succeed(key)
    }
  })
}
