/** Bodies of errors, which may be large, or without an end. */
import type { ClientOptions, Middleware } from "@anthropic-ai/sdk"

type Fetch = NonNullable<ClientOptions["fetch"]>

/** How much of the body of an error is read, in characters, and for how long, in milliseconds: its status is known. */
const errorLimit = { length: 65_536, time: 1000 }

/** A `fetch` whose error bodies end. */
export const careful = (fetch: Fetch): Fetch => async (url, init) => {
  const response = await fetch(url, init)
  const text = await bodyOf(response)
  if (text === undefined) return response
  const { headers, status, url: from } = response
  // No more is asked of a response that becomes an error.
  return { ok: false, status, headers, url: from, body: null, text: () => Promise.resolve(text) } as Response
}

/** The same, for a client of one's own, whose middleware may ask anything of a response. */
export const bounding: Middleware = async (request, next) => {
  const response = await next(request)
  const text = await bodyOf(response)
  if (text === undefined) return response
  const { headers, status, statusText, url } = response
  // A server may send a status that no `Response` is made with.
  const whole = new Response(text, { headers: [...headers.entries()], status: Math.min(status, 599), statusText })
  return Object.defineProperties(whole, { status: { value: status }, url: { value: url } })
}

/** The body of an error, as much of it as is read. The SDK asks for it outside of any fiber, so that its time is real. */
const bodyOf = async (response: Response): Promise<string | undefined> => {
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
    // What came of it has to do.
  } finally {
    clearTimeout(enough)
  }
  return text
}
