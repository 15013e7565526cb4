/** Reads fields, messages, headers and causes of a failure that may be any value. */
import { hasProperty, isNumber, isObject, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import type { HeaderOf } from "./headers.ts"

/** Returns a property, or `undefined` if it is missing or its getter throws. */
export const property = (value: unknown, key: string): unknown =>
  Result.getOrUndefined(Result.try(() => hasProperty(value, key) ? value[key] : undefined))

export const string = (value: unknown): string | undefined => isString(value) ? value : undefined
export const number = (value: unknown): number | undefined => isNumber(value) ? value : undefined

/** The message of a failure, cut to 200 characters for the log: a proxy may send a whole HTML page. */
export const plain = (failure: unknown): string | undefined => {
  const words = string(property(failure, "message"))
  return words && (titleOf(words) ?? words).replaceAll(/\s+/g, " ").slice(0, 200)
}

/** The title of an HTML page, which usually says what went wrong. */
export const titleOf = (page: string): string | undefined => /<title[^<>]*>\s*([^<]+)/i.exec(page)?.[1]?.trim()

export const headersOf = (failure: unknown): HeaderOf => {
  const headers = property(failure, "headers")
  const get = property(headers, "get")
  return typeof get === "function"
    ? (name) => string(Result.getOrUndefined(Result.try((): unknown => get.call(headers, name))))
    : () => undefined
}

/** The fields that are read from an error body. */
interface Said {
  readonly body: unknown
  readonly type: string | undefined
  readonly errorCode: string | undefined
  /** The status in the body: some gateways send an error with the HTTP status 200. */
  readonly status: number | undefined
  readonly words: string | undefined
}

/**
 * Reads type, code and message from an error body: `{ error: { type, message } }`, the same without the outer `error`, the
 * first item of a list of these, or the fields of a gateway: `detail` (LiteLLM, FastAPI), `errors` (Cloudflare), `Message`
 * and `__type` (AWS), `msg` (Z.ai), `title` (RFC 9457), `metadata.raw` (OpenRouter: the provider's error as text). An error
 * that is nested in the error, as an object or as text, is the original error and is read instead.
 */
export const saidBy = (sent: unknown, depth = 0): Said => {
  const body = first(sent)
  const inner = first(property(body, "error") ?? property(body, "errors") ?? property(body, "detail"))
  const fields = isObject(inner) ? inner : body
  const words = [
    ...["message", "Message", "msg", "error_description"].map((key) => property(fields, key)),
    inner,
    property(fields, "error"),
    property(fields, "title"),
    body
  ].map(string).find((words) => words !== undefined && words.trim() !== "")
  const type = string(property(fields, "type")) ?? string(property(fields, "__type"))
    ?? (words !== undefined && /^\w+Exception$/.test(words) ? words : undefined)
  const said: Said = {
    body,
    type: type === "error" ? undefined : type,
    errorCode: string(property(property(fields, "details"), "error_code")) ?? named(property(fields, "code")),
    status: [fields, body].flatMap((from) => statusKeys.map((key) => property(from, key))).map(failed).find(isNumber),
    words
  }
  const raw = property(property(fields, "metadata"), "raw")
  const embedded = [raw, fields === body ? undefined : property(fields, "error"), property(fields, "message"), words]
    .map((value) => isString(value) ? parsed(value) : value).find(isObject)
  const origin = embedded === undefined || depth === 3 ? undefined : saidBy(embedded, depth + 1)
  return origin?.words === undefined
    ? { ...said, words: string(raw) ?? words }
    : {
      ...said,
      type: origin.type ?? said.type,
      errorCode: origin.errorCode ?? said.errorCode,
      status: origin.status ?? said.status,
      words: origin.words
    }
}

const first = (value: unknown): unknown => Array.isArray(value) ? value[0] : value

const statusKeys = ["status", "code", "status_code", "statusCode"]

/** Returns a 4xx or 5xx status, and ignores all other numbers, which are the gateway's own codes. */
const failed = (status: unknown): number | undefined =>
  /^[45]\d\d$/.test(`${isString(status) || isNumber(status) ? status : ""}`) ? Number(status) : undefined

const parsed = (text: string): unknown => Result.getOrUndefined(Result.try((): unknown => JSON.parse(text)))

/** Accepts only a code that is a word: some gateways put the status or "None" into this field. */
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
