/**
 * The input tokens that the simulated API counts. They include input that an estimate from characters misses: a document
 * sent as a `file_id`, an image, the results of a web search.
 */
import { hasProperty, isString } from "effect/Predicate"

/** How the simulated API counts tokens. */
export interface Counting {
  /** Tokens per character of text. Default: 0.25. */
  readonly perCharacter?: number | undefined
  /** Tokens of an image. Default: 1,600. */
  readonly image?: number | undefined
  /** Tokens of a document. Default: 80,000. */
  readonly document?: number | undefined
  /** Tokens of the results of a web search, if the request allows one. Default: 15,000. */
  readonly webSearch?: number | undefined
  /** Whether prefixes are cached before the first request. Default: false, the first request writes them. */
  readonly warm?: boolean | undefined
}

/**
 * The input tokens of a request: read from the cache, written to the cache, and all others. Tokens read from the cache do
 * not count against the rate limit.
 */
export interface Input {
  readonly read: number
  readonly written: number
  readonly fresh: number
}

/** The lifetime of a cached prefix after its last use, in milliseconds. */
const cacheLife = 300_000

/** The counter recognizes a cached prefix by the length and the first 64 characters of its last text. */
export const make = (counting: Counting = {}) => {
  const { document = 80_000, image = 1600, perCharacter = 0.25, warm = false, webSearch = 15_000 } = counting
  const usedAt = new Map<string, number>()
  return (now: number, params: unknown): Input => {
    let tokens = 0
    let prefix: { readonly tokens: number; readonly key: string } | undefined
    let key = ""
    const visit = (value: unknown): void => {
      if (isString(value)) {
        tokens += value.length * perCharacter
        key = `${value.length}${value.slice(0, 64)}`
      } else if (Array.isArray(value)) {
        value.forEach(visit)
      } else if (hasProperty(value, "type") && value.type === "image") {
        tokens += image
      } else if (hasProperty(value, "type") && value.type === "document") {
        tokens += document
      } else if (hasProperty(value, "type") && String(value.type).startsWith("web_search_2")) {
        tokens += webSearch
      } else if (hasProperty(value, "text") || hasProperty(value, "content")) {
        if (hasProperty(value, "text")) visit(value.text)
        if (hasProperty(value, "content")) visit(value.content)
      }
      if (hasProperty(value, "cache_control")) prefix = { tokens, key }
    }
    for (const part of ["tools", "system", "messages"]) if (hasProperty(params, part)) visit(params[part])
    const total = Math.max(1, Math.ceil(tokens))
    if (prefix === undefined) return { read: 0, written: 0, fresh: total }
    const cached = Math.floor(prefix.tokens)
    const isRead = now - (usedAt.get(prefix.key) ?? (warm ? now : -Infinity)) <= cacheLife
    usedAt.set(prefix.key, now)
    return { read: isRead ? cached : 0, written: isRead ? 0 : cached, fresh: total - cached }
  }
}
