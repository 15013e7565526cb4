/**
 * The wire of `@anthropic-ai/sdk` on `undici.request`, for Node.
 *
 * It costs half of what the global `fetch` does, and has none of its ceilings
 * of 300 seconds for headers and body: the limits of `Current.Limits` are the
 * only ones. Needs `undici`, an optional peer.
 */
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Readable } from "node:stream"
import { Agent, type Dispatcher, fetch as undiciFetch, request } from "undici"
import * as Anthropic from "./Anthropic.ts"
import type * as Claude from "./Claude.ts"
import * as Refuse from "./internal/refuse.ts"

/** How to connect. */
export interface AgentOptions {
  /** The most sockets to the API: 256. Calls above that wait for one. */
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

/** As much of `fetch` as the SDK and our reading ask for. */
const fetchOn = (dispatcher: Dispatcher): Fetch => async (url, init) => {
  const { body, headers, statusCode } = await request(String(url), {
    dispatcher,
    // The SDK calls it with a method, a string, its own headers and a signal; `fetch` would allow more.
    method: (init?.method ?? "GET") as Dispatcher.HttpMethod,
    body: (init?.body ?? null) as string | null,
    headers: new Headers(init?.headers),
    signal: init?.signal ?? null
  })
  return {
    ok: statusCode >= 200 && statusCode < 300,
    status: statusCode,
    url: String(url),
    headers: {
      get: (name: string) => headers[name.toLowerCase()]?.toString() ?? null,
      entries: () => Object.entries(headers).values()
    },
    body: { getReader: () => readerOf(body), cancel: () => Promise.resolve(void body.destroy()) },
    text: () => body.text(),
    json: () => body.json()
  } as object as Response
}

interface Waiting {
  readonly resolve: (next: { readonly done: boolean; readonly value: Uint8Array | undefined }) => void
  readonly reject: (failure: unknown) => void
}

/** A reader that gives what has arrived, in one piece: a web stream would cost more than the rest of the request. */
const readerOf = (body: Readable) => {
  let waiting: Waiting | undefined
  let failure: unknown
  let over = false

  const settle = () => {
    if (waiting === undefined) return
    const { reject, resolve } = waiting
    const chunk: Uint8Array | null = failure === undefined ? body.read() : null
    if (chunk === null && !over && failure === undefined) return
    waiting = undefined
    if (failure !== undefined) reject(failure)
    else resolve({ done: chunk === null, value: chunk ?? undefined })
  }
  body.on("readable", settle)
  body.on("end", () => {
    over = true
    settle()
  })
  body.on("error", (error) => {
    failure = error
    settle()
  })
  body.on("close", () => {
    if (!over) failure ??= new Error("the connection was closed")
    settle()
  })
  return {
    read: () =>
      new Promise((resolve, reject) => {
        waiting = { resolve, reject }
        settle()
      }),
    cancel: () => Promise.resolve(void body.destroy())
  }
}
