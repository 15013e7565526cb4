/** Limits how much of an error body is read: a body may be huge, or never end. */
import type { ClientOptions, Middleware } from "@anthropic-ai/sdk"
import { isObjectOrArray, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import type { Keys } from "./mask.ts"
import { property, saidBy } from "./readFailure.ts"

type Fetch = NonNullable<ClientOptions["fetch"]>

/**
 * An error body is cut after the chunk that reaches `length` characters, or after `time` milliseconds. The status alone is
 * enough to classify an error.
 */
const errorLimit = { length: 65_536, time: 1000 }

/** Wraps a `fetch` so that it limits error bodies, and masks keys in them, because some gateways echo the key. */
export const careful = (fetch: Fetch, keys: Keys): Fetch => async (url, init) => {
  keys.learn(init?.headers)
  const response = await fetch(url, init)
  const text = await bodyOf(response, keys)
  if (text === undefined) return response
  const { headers, status, url: from } = response
  // The SDK reads only these fields of a failed response.
  return { ok: false, status, headers, url: from, body: null, text: () => Promise.resolve(text) } as Response
}

/** For the caller's client. Makes a real `Response`, because the middleware of this client may use any field. */
export const bounding = (keys: Keys): Middleware => async (request, next) => {
  keys.learn(request.headers)
  const response = await next(request)
  const text = await bodyOf(response, keys)
  if (text === undefined) return response
  const { headers, status, statusText, url } = response
  // A server may send a status above 599, which the constructor of `Response` rejects.
  const whole = new Response(text, { headers: [...headers.entries()], status: Math.min(status, 599), statusText })
  return Object.defineProperties(whole, { status: { value: status }, url: { value: url } })
}

/** The SDK calls this outside of any fiber, so the time limit is a `setTimeout`. */
const bodyOf = async (response: Response, keys: Keys): Promise<string | undefined> => {
  if (response.ok || response.body === null) return undefined
  const reader = response.body.getReader()
  const decoder = new TextDecoder()
  let text = ""
  const enough = setTimeout(() => void reader.cancel().catch(() => {}), errorLimit.time)
  try {
    for (let next = await reader.read(); !next.done && text.length < errorLimit.length; next = await reader.read()) {
      text += decoder.decode(next.value, { stream: true })
    }
    void reader.cancel().catch(() => {})
  } catch {
    // The text that arrived before the failure is enough.
  } finally {
    clearTimeout(enough)
  }
  // Masked here, because a key may not be recognized after the text is cut to the length of a message.
  return keys.hide(shallow(text))
}

/** The maximum depth of a body that is passed on unchanged. The SDK cannot serialize a very deep body. */
const maxDepth = 100

/** Reduces a body that is nested too deeply to its type, message, code and request id. */
const shallow = (text: string): string => {
  const parsed = Result.try((): unknown => JSON.parse(text))
  if (Result.isFailure(parsed) || !isDeeper(parsed.success, maxDepth)) return text
  const { body, errorCode, type, words } = saidBy(parsed.success)
  const requestId = property(body, "request_id")
  return JSON.stringify({
    error: { type, message: words, details: { error_code: errorCode } },
    ...(isString(requestId) && { request_id: requestId })
  })
}

const isDeeper = (value: unknown, levels: number): boolean =>
  isObjectOrArray(value) && (levels === 0 || Object.values(value).some((part) => isDeeper(part, levels - 1)))
