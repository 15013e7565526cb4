/**
 * What is left to `@anthropic-ai/sdk`: how to authenticate, and what to send.
 *
 * It neither retries, nor reads a stream, nor logs, nor traces. Its generic
 * `post` is used, because `messages.create` writes to the console on behalf of
 * some models; and with a key and a `fetch` of ours not even that, because what
 * it sends then is the same for every request but for the body.
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
import { type Credential, textOf } from "./credential.ts"
import { bounding, careful } from "./errorBody.ts"

export { VERSION as version } from "@anthropic-ai/sdk/version"

/** How to reach the API. */
export interface Options {
  /**
   * The key, or an effect that reads it for each attempt, inside the limits of the attempt: what it fails with, or a key
   * that no header can carry, is an `AuthenticationFailed`. After a 401 it is run once more, and the request sent again.
   */
  readonly apiKey?: Credential | undefined
  /** A bearer token in place of the key. One of the two is needed, unless there is a `client`. */
  readonly authToken?: Credential | undefined
  /** Where the API is: `https://api.anthropic.com`. */
  readonly baseUrl?: string | undefined
  /**
   * A client of your own, also one of the SDK's packages for Bedrock, Vertex or Foundry, with its credentials, address,
   * `fetch`, headers and middleware. Its retries, logs and spans are turned off. No key, address or `fetch` can be given
   * beside it.
   */
  readonly client?: BaseAnthropic | undefined
  /** What sends the requests: the global `fetch`. */
  readonly fetch?: Fetch | undefined
  /**
   * Whether an answer must end with `message_stop`: yes. Where a gateway leaves it out, `optional` takes an answer for
   * whole that has a stop reason, and no block that is not whole.
   */
  readonly messageStop?: "required" | "optional" | undefined
}

/** The SDK's type of `fetch`. */
export type Fetch = NonNullable<ClientOptions["fetch"]>

/** Where a `fetch` of ours says that it takes its headers as a plain record, and never changes them. */
export const takesPlain = Symbol("resilient-claude/fetch/takesPlain")

/** A `fetch` of ours. */
export type PlainFetch = Fetch & { readonly [takesPlain]: true }

/**
 * Sends once. What it throws has a status if there was a response, and a cause if the network failed. Each takes the key
 * that was read for it.
 */
export interface Sender {
  /** Gives the response when its headers are there, if they are those of a success. */
  readonly message: (params: Params, signal: AbortSignal, key?: string) => Promise<Response>
  readonly count: (params: CountParams, signal: AbortSignal, key?: string) => PromiseLike<unknown>
  /** Gives a page of the list of models: the first, or the one after a model. */
  readonly models: (after: string | undefined, signal: AbortSignal, key?: string) => PromiseLike<unknown>
  /** Reads a key, where each request needs its own. */
  readonly credential: Extract<Credential, Effect.Effect<unknown, unknown>> | undefined
  /** Whether a key or a token that was refused is followed by a fresh one. */
  readonly renews: boolean
}

/** A sender by these options. Throws a `RangeError` with a sentence if they cannot be meant. */
export const make = ({ apiKey, authToken, baseUrl, client, fetch, messageStop }: Options): Sender => {
  if (messageStop !== undefined && messageStop !== "required" && messageStop !== "optional") {
    Refuse.refuse(`Anthropic: messageStop is ${String(messageStop)}: it must be "required" or "optional"`)
  }
  if (baseUrl !== undefined && !isUrl(baseUrl)) {
    // It may hold a password.
    const shown = baseUrl.replace(/\/\/[^/]*@/, "//…@")
    Refuse.refuse(`Anthropic: baseUrl is ${JSON.stringify(shown)}: it must be an http or https URL, without a user`)
  }
  if (client !== undefined) {
    for (const [name, given] of Object.entries({ apiKey, authToken, baseUrl, fetch })) {
      if (given !== undefined) {
        Refuse.refuse(`Anthropic: ${name} and client are both given: a client has its own, so remove one of them`)
      }
    }
  }
  const options = {
    maxRetries: 0,
    logLevel: "off",
    logger: silent,
    openTelemetry: false,
    ...(baseUrl && { baseURL: baseUrl })
  } as const
  if (client !== undefined) {
    // A copy: the client itself stays as it is. What is last is next to its `fetch`.
    const middleware = [...client.middleware, bounding]
    return through(client.withOptions({ ...options, middleware }))
  }
  if (apiKey !== undefined && authToken !== undefined) {
    Refuse.refuse("Anthropic: apiKey and authToken are both given: a request has one of them, so remove the other")
  }
  const given = apiKey ?? authToken
  const credential = Effect.isEffect(given) ? given : undefined
  const key = credential === undefined ? textOf(given) : "each request has its own"
  if (key === undefined) {
    return Refuse.refuse(
      `Anthropic: ${
        authToken === undefined ? "apiKey" : "authToken"
      } is missing, empty, or has characters a header cannot carry: pass the key, or a client`
    )
  }
  const bounded = careful(fetch ?? globalThis.fetch)
  const own = new Client({
    baseURL: "https://api.anthropic.com",
    ...options,
    ...(authToken === undefined ? { apiKey: key } : { authToken: key }),
    fetch: bounded,
    // A redirect is somebody's login page, and would be followed with the key.
    fetchOptions: { redirect: "manual" }
  })
  const sender = fetch !== undefined && takesPlain in fetch ? direct(own, bounded) : through(own)
  return credential === undefined ? sender : { ...sender, credential, renews: true }
}

/** Whether it can be sent to. A `fetch` refuses a URL with a user. */
export const isUrl = (url: string): boolean => {
  const parsed = URL.parse(url)
  return parsed !== null && /^https?:$/.test(parsed.protocol) && parsed.username === "" && parsed.password === ""
}

// -----------------------------------------------------------------------------
// Senders
// -----------------------------------------------------------------------------

/** Nothing of the SDK's own: no retries, and a time-out so long (the longest a timer can be) that ours come first. */
const once = { maxRetries: 0, timeout: 2 ** 31 - 1 } as const

const path = "/v1/messages"

/** Whatever the client is: its credentials, its middleware and its own `fetch` see every request. */
const through = (client: BaseAnthropic): Sender => ({
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

/** The header of a key that was read for one request, as the SDK writes that of its own. */
const bearer = (key: string | undefined) => key === undefined ? undefined : { authorization: `Bearer ${key}` }

/**
 * A client on a `fetch` of ours, whose headers stay the same but for a key that was read for the request. To build its URL
 * and headers for every request would cost as much as all of ours.
 */
const direct = (client: BaseAnthropic, fetch: Fetch): Sender => {
  const any = through(client)
  let head: { readonly url: string; readonly headers: Record<string, string> } | undefined
  const build = async () => {
    const { req: { headers }, url } = await client.buildRequest({
      ...once,
      method: "post",
      path,
      body: {},
      stream: true
    })
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

/** Two parameters are headers. */
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
