/**
 * Masks API keys in errors.
 *
 * A gateway may echo the key of a request in any form, and an error of a `fetch` may quote its headers. So a wire learns
 * the keys that it sends, and masks them in every error that it returns.
 */
import { isObject, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import type { ClaudeError } from "../ClaudeError.ts"
import * as History from "../history.ts"
import { property, string } from "./readFailure.ts"

const mask = "***"

/** Masks what looks like a key, tokens after `Bearer` or `Basic`, and header values that `fetch` refuses and quotes. */
const withoutKeys = (words: string): string =>
  words.replaceAll(/\bsk-(?:ant-[\w-]{4,}|[\w-]{16,})/gi, mask)
    .replaceAll(/\b(Bearer|Basic)((?:\s|%20|\+){1,3})(?=[^\s"',;<>]{0,99}\d)[^\s"'\\,;<>]{8,}/gi, `$1$2${mask}`)
    .replaceAll(/"[^"]*"(?= is an invalid header value)/g, `"${mask}"`)
    // The SDK quotes the error of a function that reads the key, which may quote the key.
    .replace(/(?<=The `apiKey` function failed: )[^]*/, mask)

/** The keys that a wire has sent. */
export interface Keys {
  /** Remembers the keys in the headers of a request. */
  readonly learn: (headers: RequestInit["headers"]) => void
  /** Masks the keys in a text. */
  readonly hide: (words: string) => string
  /** Masks the keys in an error and in its causes. */
  readonly mask: (error: ClaudeError) => ClaudeError
}

/** The maximum number of remembered keys. An application may send a key for each user, so older keys are forgotten. */
const most = 64

/** The names of headers that contain secrets, including the headers of gateways. */
const secret = /^(?!idempotency).*(auth|key|token|secret|cookie)/i

/** The minimum length of a remembered key, in characters: a shorter value may be a common word. */
const shortest = 8

export const make = (): Keys => {
  const keys = new Map<string, Form>()
  const learn: Keys["learn"] = (headers = {}) => {
    for (const [name, value] of Symbol.iterator in headers ? headers : Object.entries(headers)) {
      if (name === undefined || !secret.test(name) || !isString(value)) continue
      const key = value.replace(/^\S+ (?=\S+$)/, "")
      if (key.length < shortest) continue
      const form = keys.get(key) ?? inAnyForm(key)
      // Moves the key to the end of the map, so that the first key is the oldest.
      keys.delete(key)
      keys.set(key, form)
      if (keys.size > most) {
        const [oldest = key] = keys.keys()
        keys.delete(oldest)
      }
    }
  }
  const hide = (words: string): string => {
    let text = words
    const lower = text.toLowerCase()
    for (const { form, same } of keys.values()) if (lower.includes(same)) text = text.replaceAll(form, mask)
    for (const key of keys.keys()) text = withoutStart(text, key)
    return withoutKeys(text)
  }
  return { learn, hide, mask: (error) => masked(error, hide) }
}

interface Form {
  /** Matches a key in upper or lower case, and with characters escaped for a URL, JSON (also twice) or HTML. */
  readonly form: RegExp
  /** The longest part that no escaping changes, in lower case. To look for it first is much faster. */
  readonly same: string
}

const inAnyForm = (key: string): Form => {
  const forms = key.replaceAll(/[^A-Za-z0-9]/g, (char) => {
    const code = char.charCodeAt(0)
    const hex = code.toString(16)
    const html = names.get(char) ?? `#${code}`
    return `(?:\\\\{0,3}\\x${hex}|%(?:25)?${hex}|\\\\{1,3}u00${hex}|&#x0*${hex};|&#0*${code};|&${html};)`
  })
  const same = key.split(/[^A-Za-z0-9]/).reduce((longest, part) => part.length > longest.length ? part : longest)
  return { form: new RegExp(forms, "gi"), same: same.toLowerCase() }
}

const names: ReadonlyMap<string, string> = new Map([["&", "amp"], ["<", "lt"], [">", "gt"], ["\"", "quot"], [
  "'",
  "apos"
]])

/** Masks a key of which only the beginning remains, because the text was cut. */
const withoutStart = (words: string, key: string): string => {
  const start = key.slice(0, 12)
  if (start.length < 12 || !words.includes(start)) return words
  return words.split(start).map((rest, i) => {
    if (i === 0) return rest
    let same = 0
    while (same < rest.length && rest[same] === key[12 + same]) same++
    return rest.slice(same)
  }).join(mask)
}

// -----------------------------------------------------------------------------
// Errors
// -----------------------------------------------------------------------------

const masked = (error: ClaudeError, hide: Keys["hide"]): ClaudeError => {
  const hidden = (words: unknown) => isString(words) ? hide(words) : undefined
  const detail = hidden(error.detail)
  const errorCode = hidden(error.errorCode)
  const requestId = hidden(error.requestId)
  const tells = error.cause !== undefined && says(error.cause, hide)
  if (detail === error.detail && errorCode === error.errorCode && requestId === error.requestId && !tells) return error
  return History.copy(error, { detail, errorCode, requestId, ...(tells && { cause: plainCopy(error.cause, hide) }) })
}

/** Whether a value contains a key anywhere. Assumes that it does if the value is too large, or throws when it is read. */
const says = (value: unknown, hide: Keys["hide"]): boolean => {
  const seen = new Set<unknown>()
  const visit = (value: unknown): boolean => {
    if (isString(value)) return hide(value) !== value
    if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || seen.has(value)) return false
    if (seen.size === 2000) return true
    seen.add(value)
    const { cause, message, stack } = value as Partial<Error>
    const pairs = value instanceof Headers || value instanceof Map ? [...value] : []
    return [message, stack, cause, ...Object.values(value), ...pairs].some(visit)
  }
  return Result.getOrElse(Result.try(() => visit(value)), () => true)
}

/** Copies only names, messages, codes and stacks of a chain of causes, because other fields may contain the key. */
const plainCopy = (value: unknown, hide: Keys["hide"], depth = 0): unknown => {
  if (isString(value)) return hide(value)
  if (!isObject(value) || depth > 8) return undefined
  const cause = plainCopy(property(value, "cause"), hide, depth + 1)
  const copy = new Error(hide(string(property(value, "message")) ?? ""), cause === undefined ? undefined : { cause })
  for (const name of ["name", "code", "stack"]) {
    const text = string(property(value, name))
    if (text !== undefined) Object.defineProperty(copy, name, { value: hide(text), configurable: true, writable: true })
  }
  return copy
}
