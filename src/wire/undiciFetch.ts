/**
 * The part of `fetch` that the SDK and this library use, on undici's dispatcher.
 *
 * It avoids a Node stream and a web stream per response, which would cost as much
 * as the request itself (`bench/call.ts`). Like `fetch`, it decompresses bodies
 * and uses the program's dispatcher (a proxy, a CA).
 */
import type { IncomingHttpHeaders } from "node:http"
import type { Dispatcher } from "undici"
import * as ContentEncoding from "./contentEncoding.ts"
import { type Fetch, type PlainFetch, takesPlain } from "./sdkClient.ts"

/**
 * Makes a `fetch` that calls `dispatcher` for each request. undici's time-outs of 300 seconds for headers and body are
 * off: only the limits of `Current.Limits` apply.
 */
export const make = (dispatcher: () => Dispatcher): PlainFetch =>
  Object.assign(send(dispatcher), { [takesPlain]: true as const })

const send = (dispatcher: () => Dispatcher): Fetch => (url, init) =>
  new Promise((resolve, reject) => {
    const { origin, pathname, search } = new URL(String(url))
    // Safe casts: the callers pass a string as body and a plain record as headers.
    const request: Dispatcher.DispatchOptions = {
      origin,
      path: pathname + search,
      method: (init?.method ?? "GET") as Dispatcher.HttpMethod,
      body: (init?.body ?? null) as string | null,
      headers: (init?.headers ?? {}) as Headers,
      headersTimeout: 0,
      bodyTimeout: 0
    }
    dispatcher().dispatch(request, new Exchange(String(url), init?.signal ?? undefined, resolve, reject))
  })

type Next = { readonly done: boolean; readonly value: Uint8Array | undefined }

/** The functions of a body's reader that this library uses. */
interface Body {
  readonly read: () => Promise<Next>
  readonly cancel: () => Promise<void>
}

/** How many bytes are buffered for a slow reader before the socket is paused. */
const highWaterMark = 65_536

/** One request and its response: handles undici's events, and is the reader of the response body. */
class Exchange implements Dispatcher.DispatchHandler, Body {
  readonly url: string
  readonly signal: AbortSignal | undefined
  readonly resolve: (response: Response) => void
  readonly reject: (failure: unknown) => void
  controller: Dispatcher.DispatchController | undefined
  chunks: Array<Uint8Array> = []
  size = 0
  over = false
  failure: unknown
  waiting: { readonly resolve: (next: Next) => void; readonly reject: (failure: unknown) => void } | undefined

  constructor(
    url: string,
    signal: AbortSignal | undefined,
    resolve: (response: Response) => void,
    reject: (failure: unknown) => void
  ) {
    this.url = url
    this.signal = signal
    this.resolve = resolve
    this.reject = reject
    if (signal?.aborted) this.abort()
    signal?.addEventListener("abort", this.abort)
  }

  readonly abort = (): void => {
    const reason = new Error("the request was aborted")
    if (this.controller === undefined) this.end(reason)
    else this.controller.abort(reason)
  }

  end(failure: unknown): void {
    if (this.over) return
    this.over = true
    this.failure = failure
    this.signal?.removeEventListener("abort", this.abort)
    this.settle()
  }

  settle(): void {
    if (this.waiting === undefined || this.size === 0 && !this.over) return
    const { reject, resolve } = this.waiting
    this.waiting = undefined
    if (this.size > 0) resolve({ done: false, value: this.take() })
    else if (this.failure !== undefined) reject(this.failure)
    else resolve({ done: true, value: undefined })
  }

  take(): Uint8Array {
    const [first = new Uint8Array(), ...rest] = this.chunks
    const value = rest.length === 0 ? first : Buffer.concat(this.chunks)
    this.chunks = []
    this.size = 0
    if (this.controller?.paused) this.controller.resume()
    return value
  }

  // ---------------------------------------------------------------------------
  // Events of undici
  // ---------------------------------------------------------------------------

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.controller = controller
    if (this.over) controller.abort(new Error("the request was aborted"))
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return
    const body = decoded(this, headers["content-encoding"]?.toString())
    const text = () => textOf(body)
    const response = {
      ok: status < 300,
      status,
      url: this.url,
      headers: {
        get: (name: string) => headers[name]?.toString() ?? headers[name.toLowerCase()]?.toString() ?? null,
        // The SDK reads only these two headers, for its log.
        entries: () =>
          ["request-id", "anthropic-workspace-id"].flatMap((name) => name in headers ? [[name, headers[name]]] : [])
      },
      body: { getReader: () => body, cancel: () => this.cancel() },
      text,
      json: async (): Promise<unknown> => JSON.parse(await text())
    }
    this.resolve(response as object as Response)
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Uint8Array): void {
    // One socket read may bring several chunks: a microtask collects them, so that the reader gets them all at once.
    if (this.size === 0 && this.waiting !== undefined) queueMicrotask(() => this.settle())
    this.chunks.push(chunk)
    this.size += chunk.length
    if (this.size > highWaterMark) controller.pause()
  }

  onResponseEnd(): void {
    this.end(undefined)
  }

  onResponseError(_: Dispatcher.DispatchController, failure: unknown): void {
    this.end(failure)
    this.reject(failure)
  }

  // ---------------------------------------------------------------------------
  // Reader of the body
  // ---------------------------------------------------------------------------

  read(): Promise<Next> {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject }
      this.settle()
    })
  }

  cancel(): Promise<void> {
    this.abort()
    return Promise.resolve()
  }
}

const decoded = (exchange: Exchange, contentEncoding: string | undefined): Body => {
  const decode = ContentEncoding.decoderOf(contentEncoding)
  if (decode === undefined) return exchange
  const chunks = decode(chunksOf(exchange))[Symbol.asyncIterator]()
  return {
    read: async () => {
      const { done = false, value } = await chunks.next()
      return { done, value }
    },
    cancel: () => exchange.cancel()
  }
}

const chunksOf = async function*(body: Body) {
  for (let next = await body.read(); next.value !== undefined; next = await body.read()) yield next.value
}

const textOf = async (body: Body): Promise<string> => {
  const decoder = new TextDecoder()
  let text = ""
  for await (const chunk of chunksOf(body)) text += decoder.decode(chunk, { stream: true })
  return text + decoder.decode()
}
