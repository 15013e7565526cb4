/** Reads fields, messages, headers and causes of a failure that may be any value. */
import { hasProperty, isNumber, isObject, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import type { HeaderOf } from "./headers.ts"

/** Returns a property, or `undefined` if it is missing or its getter throws. */
export const property = (value: unknown, key: string): unknown =>
  Result.getOrUndefined(Result.try(() => hasProperty(value, key) ? value[key] : undefined))

export const string = (value: unknown): string | undefined => isString(value) ? value : undefined
export const number = (value: unknown): number | undefined => isNumber(value) ? value : undefined

/** The message of a failure, cut to 200 characters for the log: a proxy may send a whole page. */
export const plain = (failure: unknown): string | undefined =>
  string(property(failure, "message"))?.replaceAll(/\s+/g, " ").slice(0, 200)

export const headersOf = (failure: unknown): HeaderOf => {
  const headers = property(failure, "headers")
  const get = property(headers, "get")
  return typeof get === "function"
    ? (name) => string(Result.getOrUndefined(Result.try((): unknown => get.call(headers, name))))
    : () => undefined
}

/**
 * Reads type, code and message from an error body: `{ error: { type, message } }`, the same without the outer `error`, the
 * first item of a list of these, or the fields of a gateway: `detail` (LiteLLM), `errors` (Cloudflare), `Message` (AWS),
 * `metadata.raw` (OpenRouter: the provider's error as text).
 */
export const saidBy = (sent: unknown) => {
  const body = first(sent)
  const inner = first(property(body, "error") ?? property(body, "errors") ?? property(body, "detail"))
  const fields = isObject(inner) ? inner : body
  const type = string(property(fields, "type"))
  const raw = string(property(property(fields, "metadata"), "raw"))
  const words = string(property(fields, "message")) ?? string(property(fields, "Message")) ?? string(inner)
    ?? string(property(fields, "error")) ?? string(body)
  return {
    body,
    type: type === "error" ? undefined : type,
    errorCode: string(property(property(fields, "details"), "error_code")) ?? named(property(fields, "code")),
    words: raw === undefined ? words : saidInside(raw) ?? words
  }
}

const first = (value: unknown): unknown => Array.isArray(value) ? value[0] : value

/** The message inside an error that was embedded in another one as text. */
const saidInside = (raw: string): string | undefined => {
  const inner = Result.try((): unknown => JSON.parse(raw))
  const error = Result.isSuccess(inner) ? first(property(first(inner.success), "error")) : undefined
  return string(property(error, "message")) ?? (Result.isFailure(inner) ? raw : undefined)
}

/** Accepts only a code that is a word: some gateways put the status there, or "None". */
const named = (code: unknown): string | undefined =>
  isString(code) && !/^(\d*|none|null)$/i.test(code) ? code : undefined

/** Removes the status that the SDK puts before a message that is not JSON. */
export const unnumbered = (words: string | undefined): string | undefined => words?.replace(/^\d{3} /, "")

/** The innermost code in the chain of causes, such as `ECONNRESET`. */
export const codeOf = (failure: unknown, depth = 0): string | undefined =>
  failure === undefined || depth > 8
    ? undefined
    : codeOf(property(failure, "cause"), depth + 1) ?? string(property(failure, "code"))

/** The last error in the chain of causes. */
export const innermost = (failure: unknown, depth = 0): unknown => {
  const cause = property(failure, "cause")
  return cause == null || depth > 8 ? failure : innermost(cause, depth + 1)
}
