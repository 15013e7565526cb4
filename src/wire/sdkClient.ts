/**
 * Sends requests with `@anthropic-ai/sdk`, which only authenticates and builds them.
 *
 * Its retries, stream reader, logs and traces are not used. Requests go through
 * its generic `post`, because `messages.create` writes console warnings for some
 * models. With a key and a `fetch` of this library, the SDK builds URL and headers
 * of message requests only once (`direct`).
 */
import {
  Anthropic as Client,
  APIConnectionError,
  APIError,
  APIUserAbortError,
  type BaseAnthropic,
  type ClientOptions
} from "@anthropic-ai/sdk"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { CountParams, Params } from "../Message.ts"
import * as Refuse from "../options.ts"
import { type Credential, flawOf, textOf } from "./credential.ts"
import { bounding, careful } from "./errorBody.ts"
import * as Mask from "./mask.ts"

export { VERSION as version } from "@anthropic-ai/sdk/version"

/** How to reach the API. */
export interface Options {
  /**
   * The API key, or an effect that reads it for each attempt, inside the limits of the attempt. If the effect fails, or its
   * key has characters that are not allowed in a header, the attempt fails with `AuthenticationFailed`. After a 401 the
   * effect runs once more, and the request is sent again.
   */
  readonly apiKey?: Credential | undefined
  /** A bearer token instead of the key. `layer` requires one of the two, unless `client` is set. */
  readonly authToken?: Credential | undefined
  /** The address of the API. Default: `https://api.anthropic.com`. Slashes and white space at its end are removed. */
  readonly baseUrl?: string | undefined
  /**
   * Your own client, or one from the SDK's packages for Bedrock, Vertex or Foundry. It keeps its credentials, address,
   * `fetch`, headers and middleware; its retries, logs and spans are turned off. With a client, the options `apiKey`,
   * `authToken`, `baseUrl` and `fetch` must not be set.
   */
  readonly client?: BaseAnthropic | undefined
  /** The function that sends the requests. Default: the global `fetch`. */
  readonly fetch?: Fetch | undefined
  /**
   * Whether an answer must end with `message_stop`. Default: `required`. Use `optional` for a gateway that omits this
   * event: an answer is then complete if it has a stop reason and all its blocks are complete.
   */
  readonly messageStop?: "required" | "optional" | undefined
}

/** The names of the options, to refuse a misspelled one. */
export const fields: { readonly [K in keyof Required<Options>]: true } = {
  apiKey: true,
  authToken: true,
  baseUrl: true,
  client: true,
  fetch: true,
  messageStop: true
}

export type Fetch = NonNullable<ClientOptions["fetch"]>

/** Marks a `fetch` of this library: it takes headers as a plain record, and never changes them. */
export const takesPlain = Symbol("resilient-claude/fetch/takesPlain")

export type PlainFetch = Fetch & { readonly [takesPlain]: true }

/**
 * Sends each request once. Rejects with an error that has a `status` if there was a response, or a `cause` if the network
 * failed. `key` is the key that was read for this attempt; `undefined` if the key is fixed.
 */
export interface Sender {
  /** Resolves with a successful response once its headers have arrived. */
  readonly message: (params: Params, signal: AbortSignal, key?: string) => Promise<Response>
  readonly count: (params: CountParams, signal: AbortSignal, key?: string) => PromiseLike<unknown>
  /** Resolves with the first page of the model list, or with the page that follows the model `after`. */
  readonly models: (after: string | undefined, signal: AbortSignal, key?: string) => PromiseLike<unknown>
  /** The caller's effect that reads the key or token of each attempt. `undefined` if the key is fixed. */
  readonly credential: Extract<Credential, Effect.Effect<unknown, unknown>> | undefined
  /** Whether a fresh key or token is available after a 401. */
  readonly renews: boolean
  /** Masks the keys that this sender has sent, in an error and its causes. */
  readonly mask: Mask.Keys["mask"]
}

/** Makes a sender. Throws a `RangeError` that explains which option is invalid. */
export const make = ({ apiKey, authToken, baseUrl, client, fetch, messageStop }: Options): Sender => {
  if (messageStop !== undefined && messageStop !== "required" && messageStop !== "optional") {
    Refuse.refuse(`Anthropic: messageStop is ${Refuse.shown(messageStop)}: it must be "required" or "optional"`)
  }
  const flaw = baseUrl === undefined ? undefined : flawOfUrl(baseUrl)
  // The URL may contain a password, or a key in its query.
  const shown = JSON.stringify(baseUrl?.replace(/\/\/[^/]*@/, "//…@").replace(/[?#].*/s, "?…"))
  if (flaw !== undefined) Refuse.refuse(`Anthropic: baseUrl is ${shown}: it ${flaw}`)
  if (client !== undefined) {
    for (const [name, given] of Object.entries({ apiKey, authToken, baseUrl, fetch })) {
      if (given !== undefined) {
        Refuse.refuse(`Anthropic: ${name} and client are both set: a client has its own ${name}, so remove one of them`)
      }
    }
  }
  const keys = Mask.make()
  const options = {
    maxRetries: 0,
    logLevel: "off",
    logger: silent,
    openTelemetry: false,
    ...(baseUrl && { baseURL: baseUrl.trim().replace(/\/+$/, "") })
  } as const
  if (client !== undefined) {
    // Clients for a cloud are not checked, because they build other paths: Vertex's address ends in /v1.
    const odd = client instanceof Client && flawOfUrl(client.baseURL)
    if (odd) Refuse.refuse(`Anthropic: the baseURL of the client ${odd}`)
    // A copy, so that the caller's client is unchanged. The last middleware runs next to `fetch`.
    const middleware = [...client.middleware, bounding(keys)]
    return through(client.withOptions({ ...options, middleware }), keys)
  }
  if (apiKey !== undefined && authToken !== undefined) {
    Refuse.refuse("Anthropic: apiKey and authToken are both set: a request can have only one of them, so remove one")
  }
  const given = apiKey ?? authToken
  const credential = Effect.isEffect(given) ? given : undefined
  const key = credential === undefined ? textOf(given) : "each request has its own"
  if (key === undefined) {
    return Refuse.refuse(
      `Anthropic: ${authToken === undefined ? "apiKey" : "authToken"} ${flawOf(given)}: pass the key, or a client`
    )
  }
  const bounded = careful(fetch ?? globalThis.fetch, keys)
  const own = new Client({
    baseURL: "https://api.anthropic.com",
    ...options,
    ...(authToken === undefined ? { apiKey: key } : { authToken: key }),
    fetch: bounded,
    // A redirect is usually a login page of a proxy, and following it would send the key there.
    fetchOptions: { redirect: "manual" }
  })
  const sender = fetch !== undefined && takesPlain in fetch ? direct(own, bounded, keys) : through(own, keys)
  return credential === undefined ? sender : { ...sender, credential, renews: true }
}

/** Says why requests cannot be sent to a URL. `fetch` rejects a URL with a user or password, and the SDK appends a path. */
export const flawOfUrl = (url: string): string | undefined => {
  const parsed = URL.parse(url)
  if (parsed === null || !/^https?:$/.test(parsed.protocol) || parsed.username !== "" || parsed.password !== "") {
    return "must be an http or https URL without user and password"
  }
  if (/[?#]/.test(url)) return "must have no query and no fragment: the path of each request is appended to it"
  const [ending] = /\/v1(\/(messages|models|complete|chat\/completions)(\/.*)?)?\/*$/i.exec(parsed.pathname) ?? []
  return ending === undefined ? undefined : `ends in ${ending}, which each request appends: remove this ending`
}

// -----------------------------------------------------------------------------
// Senders
// -----------------------------------------------------------------------------

/** Turns off the SDK's retries and, with the longest time that a timer supports, its time-out. */
const once = { maxRetries: 0, timeout: 2 ** 31 - 1 } as const

const path = "/v1/messages"

/** Sends through any client, so that its credentials, middleware and `fetch` apply to every request. */
const through = (client: BaseAnthropic, { mask }: Mask.Keys): Sender => ({
  mask,
  credential: undefined,
  renews: client.credentials !== null,
  message: (params, signal, key) => {
    const { body, headers } = split(params, key)
    return client.post(path, { ...once, body: { ...body, stream: true }, headers, stream: true, signal }).asResponse()
  },
  count: (params, signal, key) => {
    const { body, headers } = split(params, key)
    return client.post(`${path}/count_tokens`, { ...once, body, headers, signal })
  },
  models: (after_id, signal, key) =>
    client.get("/v1/models", {
      ...once,
      signal,
      headers: bearer(key),
      query: {
        limit: 1000,
        lifecycle: ["active", "deprecated", "retired"],
        ...(after_id !== undefined && { after_id })
      }
    })
})

const bearer = (key: string | undefined) => key === undefined ? undefined : { authorization: `Bearer ${key}` }

/**
 * Sends message requests by calling `fetch` directly. The SDK builds URL and headers once, and later requests reuse them
 * with their own key: building them each time would cost as much as all other work of this library for a request. `fetch`
 * must not change the headers, because several requests share them. Requests with a `user_profile_id` or a `workspace_id`,
 * token counts and model lists go through the client.
 */
const direct = (client: BaseAnthropic, fetch: Fetch, keys: Mask.Keys): Sender => {
  const any = through(client, keys)
  let head: { readonly url: string; readonly headers: Record<string, string> } | undefined
  const build = async () => {
    const request = { ...once, method: "post", path, body: {}, stream: true } as const
    const { req: { headers }, url } = await client.buildRequest(request)
    return { url, headers: Object.fromEntries(headers) }
  }
  return {
    ...any,
    message: async (params, signal, key) => {
      if (namesOwner(params)) return any.message(params, signal, key)
      head ??= await build()
      if (signal.aborted) throw new APIUserAbortError()
      const body = JSON.stringify({ ...params, stream: true })
      const headers = key === undefined ? head.headers : { ...head.headers, ...bearer(key) }
      const response = await fetch(head.url, { method: "POST", headers, body, signal }).catch(
        (cause: Error) => {
          throw new APIConnectionError({ cause })
        }
      )
      if (response.ok) return response
      const text = await response.text()
      throw APIError.generate(response.status, json(text), text, response.headers)
    }
  }
}

const silent = { error: () => {}, warn: () => {}, info: () => {}, debug: () => {} }

/** Splits the body from the two parameters that are sent as headers. */
const split = <P extends Partial<Pick<Params, "user_profile_id" | "workspace_id">>>(
  params: P,
  key: string | undefined
) => {
  const { user_profile_id, workspace_id, ...body } = params
  return {
    body,
    headers: {
      ...bearer(key),
      ...(user_profile_id === undefined ? undefined : { "anthropic-user-profile-id": user_profile_id }),
      ...(workspace_id === undefined ? undefined : { "anthropic-workspace-id": workspace_id })
    }
  }
}

const namesOwner = (params: Params): boolean => "user_profile_id" in params || "workspace_id" in params

const json = (text: string) => Result.getOrUndefined(Result.try((): object => JSON.parse(text)))
