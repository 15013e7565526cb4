/**
 * The wire of `@anthropic-ai/sdk` on undici, for Node.
 *
 * It costs less than the global `fetch` (`npm run bench`), and has none of its
 * ceilings of 300 seconds for headers and body: the limits of `Current.Limits` are the
 * only ones. Needs `undici`, an optional peer.
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { IncomingHttpHeaders } from "node:http"
import { Agent, type Dispatcher, fetch as undiciFetch } from "undici"
import * as Anthropic from "./Anthropic.ts"
import type * as Claude from "./Claude.ts"
import * as Refuse from "./internal/refuse.ts"
import { takesPlain } from "./internal/sdk.ts"

/** How to connect. */
export interface AgentOptions {
  /** The most sockets to the API: 256. A call above that waits for one, which counts as its `connect`. */
  readonly connections?: number | undefined
}

/** Configured by `ANTHROPIC_API_KEY`, and `ANTHROPIC_BASE_URL` if it is set. */
export const layer: Layer.Layer<Claude.Claude, Config.ConfigError> = Layer.unwrap(
  Effect.map(agent({}), (agent) => Anthropic.layerFetch(fetchOn(agent)))
)

/** `Claude` by way of the SDK and undici. Throws a `RangeError` with a sentence if the options cannot be meant. */
export const layerWith = (options: Omit<Anthropic.Options, "fetch"> & AgentOptions): Layer.Layer<Claude.Claude> => {
  const { connections = 1 } = options
  if (!Number.isInteger(connections) || connections < 1) {
    Refuse.refuse(`NodeAnthropic: connections is ${connections}: it must be a whole number, 1 or more`)
  }
  // Built once before there is an agent, to be refused here and not where the layer is built.
  Anthropic.layerWith(options)
  // The middleware and the credentials of a client may do anything with a response.
  const fetch = options.client === undefined ? fetchOn : allOfFetchOn
  return Layer.unwrap(Effect.map(agent(options), (agent) => Anthropic.layerWith({ ...options, fetch: fetch(agent) })))
}

/**
 * Sockets of our own, closed with the layer. Zero is no limit: first token and idle are limited above. Connecting has a
 * limit of its own, undici's default of 10 seconds: a call that is given up does not end the connecting it began.
 */
function agent({ connections = 256 }: AgentOptions) {
  return Effect.acquireRelease(
    Effect.sync(() => new Agent({ connections, headersTimeout: 0, bodyTimeout: 0, keepAliveTimeout: 30_000 })),
    (agent) => Effect.promise(() => agent.destroy())
  )
}

type Fetch = NonNullable<Anthropic.Options["fetch"]>

/** The `fetch` of undici, which is typed apart from the global one. */
const allOfFetchOn = (dispatcher: Dispatcher): Fetch => (url, init) =>
  (undiciFetch as object as Fetch)(url, { ...init, dispatcher } as RequestInit)

/**
 * As much of `fetch` as the SDK and our reading ask for. It hears undici's own events: a Node stream and a web stream
 * in between would cost as much as the request.
 */
const fetchOn = (dispatcher: Dispatcher): Fetch =>
  takesPlain((url, init) =>
    new Promise((resolve, reject) => {
      const { origin, pathname, search } = new URL(String(url))
      // It is called with a method, a string, headers and a signal; `fetch` would allow more.
      const request: Dispatcher.DispatchOptions = {
        origin,
        path: pathname + search,
        method: (init?.method ?? "GET") as Dispatcher.HttpMethod,
        body: (init?.body ?? null) as string | null,
        headers: (init?.headers ?? {}) as Headers
      }
      dispatcher.dispatch(request, new Exchange(String(url), init?.signal ?? undefined, resolve, reject))
    })
  )

/** One chunk of a body, or its end. */
type Next = { readonly done: boolean; readonly value: Uint8Array | undefined }

/** How much of a body waits for a slow reader, in bytes, before the socket is paused. */
const highWaterMark = 65_536

/** One request and its response: what undici tells, and what is asked of a response and of the reader of its body. */
class Exchange implements Dispatcher.DispatchHandler {
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
      body: { getReader: () => this, cancel: () => this.cancel() },
      text: () => this.text(),
      json: async (): Promise<unknown> => JSON.parse(await this.text())
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

  async text(): Promise<string> {
    const decoder = new TextDecoder()
    let text = ""
    for (let next = await this.read(); !next.done; next = await this.read()) {
      text += decoder.decode(next.value, { stream: true })
    }
    return text + decoder.decode()
  }

  cancel(): Promise<void> {
    this.abort()
    return Promise.resolve()
  }
}
