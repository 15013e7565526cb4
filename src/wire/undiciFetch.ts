/**
 * As much of `fetch` as the SDK and our reading ask for, on undici's own events.
 *
 * A Node stream and a web stream in between would cost as much as the request
 * (`bench/call.ts`). What users rely on in `fetch` is kept: it decompresses what
 * `fetch` does, and goes where the program's dispatcher (a proxy, a CA) leads.
 */
import type { IncomingHttpHeaders } from "node:http"
import type { Dispatcher } from "undici"
import * as ContentEncoding from "./contentEncoding.ts"
import { type Fetch, type PlainFetch, takesPlain } from "./sdkClient.ts"

/**
 * A `fetch` on what `dispatcher` gives, which is asked for each request. Undici's ceilings of 300 seconds for headers and
 * body are off: the limits of `Current.Limits` are the only ones.
 */
export const make = (dispatcher: () => Dispatcher): PlainFetch =>
  Object.assign(send(dispatcher), { [takesPlain]: true as const })

const send = (dispatcher: () => Dispatcher): Fetch => (url, init) =>
  new Promise((resolve, reject) => {
    const { origin, pathname, search } = new URL(String(url))
    // It is called with a method, a string, headers and a signal; `fetch` would allow more.
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

/** One chunk of a body, or its end. */
type Next = { readonly done: boolean; readonly value: Uint8Array | undefined }

/** The body of a response, as its reader sees it. */
interface Body {
  readonly read: () => Promise<Next>
  readonly cancel: () => Promise<void>
}

/** How much of a body waits for a slow reader, in bytes, before the socket is paused. */
const highWaterMark = 65_536

/** One request and its response: what undici tells, and what is asked of a response and of the reader of its body. */
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

  /** Nothing more comes; the first word counts. */
  end(failure: unknown): void {
    if (this.over) return
    this.over = true
    this.failure = failure
    this.signal?.removeEventListener("abort", this.abort)
    this.settle()
  }

  /** Gives the reader that waits, if there is one, what there is, if there is anything. */
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
  // What undici tells
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
        // For its own log, the SDK looks for these two.
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
    // One read of the socket may bring many chunks, one after the other: the reader is given all of them at once.
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
  // What the reader of the body asks
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

/** The body as it was before it was compressed. */
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
