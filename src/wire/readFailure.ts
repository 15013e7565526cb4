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

/** The fields that are read from one object of an error body. */
interface Said {
  readonly type: string | undefined
  readonly errorCode: string | undefined
  /** The status in the body: some gateways send an error with the HTTP status 200. */
  readonly status: number | undefined
  readonly words: string | undefined
}

/**
 * The fields that may contain the message or a nested error, in order of preference. Not from the API: AWS (`Message`), Z.ai
 * (`msg`), OAuth (`error_description`), Cloudflare (`errors`), LiteLLM and FastAPI (`detail`), RFC 9457 (`title`).
 */
const wordKeys = ["message", "Message", "msg", "error_description", "error", "errors", "detail", "title"]

/** OpenRouter puts the error of the provider into `metadata.raw`, as text. */
const rawOf = (place: unknown): unknown => property(property(place, "metadata"), "raw")

/** Maximum lengths in characters: an event of a stream may have 10 MiB, and errors are searched and logged. */
const longest = { code: 200, words: 2000 }

/**
 * A gateway may put the original error into its own error body, so each field is read from the innermost object that has
 * the field.
 */
export const saidBy = (sent: unknown): Said & { readonly body: unknown } => {
  const body = first(sent)
  // The body is added, because `placesOf` returns only objects, and a body may be plain text.
  const said = [...placesOf(body), body].map(read)
  const pick = <K extends keyof Said>(key: K) => said.find((one) => one[key] !== undefined)?.[key]
  return {
    body,
    type: pick("type"),
    errorCode: pick("errorCode")?.slice(0, longest.code),
    status: pick("status"),
    words: pick("words")?.slice(0, longest.words)
  }
}

/** The objects in an error body that may describe the error, innermost first. Some gateways send an object as JSON text. */
const placesOf = (value: unknown, depth = 0): ReadonlyArray<object> => {
  const place = first(isString(value) ? parsed(value) : value)
  return !isObject(place) || depth > 6 ? [] : [
    ...[rawOf(place), ...wordKeys.map((key) => property(place, key))].flatMap((inner) => placesOf(inner, depth + 1)),
    place
  ]
}

const read = (place: unknown): Said => {
  const words = [rawOf(place), ...wordKeys.map((key) => first(property(place, key))), place].map(string)
    .find((words) => words !== undefined && words.trim() !== "")
  const type = string(property(place, "type")) ?? string(property(place, "__type"))
    ?? (words !== undefined && /^\w+Exception$/.test(words) ? words : undefined)
  return {
    type: type === "error" ? undefined : type,
    errorCode: string(property(property(place, "details"), "error_code")) ?? named(property(place, "code")),
    status: statusKeys.map((key) => failed(property(place, key))).find(isNumber),
    words
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

/** The text of an error response that is not JSON. The SDK puts the status before it, and its own words if it is empty. */
export const responseText = (failure: unknown): string | undefined => {
  const words = plain(failure)?.replace(/^\d{3} /, "").trim()
  return words === "" || words === "status code (no body)" ? "the body of the response is empty" : words
}

/** The innermost code in the chain of causes, such as `ECONNRESET`. undici 7 gives a parser error only a name. */
export const codeOf = (failure: unknown, depth = 0): string | undefined =>
  failure === undefined || depth > 8
    ? undefined
    : codeOf(property(failure, "cause"), depth + 1) ?? string(property(failure, "code")) ??
      (property(failure, "name") === "HTTPParserError" ? "HTTPParserError" : undefined)

export const innermost = (failure: unknown, depth = 0): unknown => {
  const cause = property(failure, "cause")
  return cause == null || depth > 8 ? failure : innermost(cause, depth + 1)
}
