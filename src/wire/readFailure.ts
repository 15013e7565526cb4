/** Reading a failure that may be anything: what it says, where it is an error of the API, and what is under it. */
import { hasProperty, isNumber, isObject, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import type { HeaderOf } from "./headers.ts"

/** What is under a key, or nothing; also if the value throws when it is asked. */
export const property = (value: unknown, key: string): unknown =>
  Result.getOrUndefined(Result.try(() => hasProperty(value, key) ? value[key] : undefined))

export const string = (value: unknown): string | undefined => isString(value) ? value : undefined
export const number = (value: unknown): number | undefined => isNumber(value) ? value : undefined

/** What a failure says, short enough for a log: a proxy may send a whole page. */
export const plain = (failure: unknown): string | undefined =>
  string(property(failure, "message"))?.replaceAll(/\s+/g, " ").slice(0, 200)

/** Reads the headers of a failure, if it has any. */
export const headersOf = (failure: unknown): HeaderOf => {
  const headers = property(failure, "headers")
  const get = property(headers, "get")
  return typeof get === "function"
    ? (name) => string(Result.getOrUndefined(Result.try((): unknown => get.call(headers, name))))
    : () => undefined
}

/**
 * What the body of an error says: `{ error: { type, message } }`, the same without its wrapping, as the first of a list, or
 * under the names of a gateway: `detail` (LiteLLM), `errors` (Cloudflare), `Message` (AWS), `metadata.raw` (OpenRouter: what
 * the provider said).
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

/** The words of an error that another one carries as text. */
const saidInside = (raw: string): string | undefined => {
  const inner = Result.try((): unknown => JSON.parse(raw))
  const error = Result.isSuccess(inner) ? first(property(first(inner.success), "error")) : undefined
  return string(property(error, "message")) ?? (Result.isFailure(inner) ? raw : undefined)
}

/** A code that is a word: gateways also repeat the status there, or say "None". */
const named = (code: unknown): string | undefined =>
  isString(code) && !/^(\d*|none|null)$/i.test(code) ? code : undefined

/** The SDK puts the status before words that are no JSON. */
export const unnumbered = (words: string | undefined): string | undefined => words?.replace(/^\d{3} /, "")

/** The innermost code in the chain of causes: `ECONNRESET` and its like. */
export const codeOf = (failure: unknown, depth = 0): string | undefined =>
  failure === undefined || depth > 8
    ? undefined
    : codeOf(property(failure, "cause"), depth + 1) ?? string(property(failure, "code"))

/** The last in the chain of causes. */
export const innermost = (failure: unknown, depth = 0): unknown => {
  const cause = property(failure, "cause")
  return cause == null || depth > 8 ? failure : innermost(cause, depth + 1)
}
