/**
 * `Claude` on `@anthropic-ai/sdk` and undici, for Node.
 *
 * A request costs less than with the global `fetch` (`npm run bench`), and has no
 * time-outs of 300 seconds for headers and body. Like `fetch`, this layer uses the
 * global dispatcher of the program, so that a proxy (`NODE_USE_ENV_PROXY=1`,
 * `setGlobalDispatcher`) or a CA set there applies. Needs `undici`, an optional peer
 * dependency.
 */
import type { BaseAnthropic as Client } from "@anthropic-ai/sdk"
import type * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { hasProperty } from "effect/Predicate"
import { Agent, type Dispatcher, fetch as undiciFetch } from "undici"
import * as Anthropic from "./Anthropic.ts"
import type * as Claude from "./Claude.ts"
import * as Refuse from "./options.ts"
import * as Ambient from "./wire/ambientFetch.ts"
import * as Configured from "./wire/configured.ts"
import * as Sdk from "./wire/sdkClient.ts"
import * as UndiciFetch from "./wire/undiciFetch.ts"

/** How to connect without the global dispatcher. */
export interface ConnectOptions {
  /**
   * The undici dispatcher for all requests, such as a proxy or an agent with your own CA. The layer does not close it.
   */
  readonly dispatcher?: Dispatcher | undefined
  /**
   * The maximum number of sockets to the API. The layer opens its own pool, without a proxy, and closes the pool with
   * its scope. A call waits if all sockets are in use, and the wait counts toward its `connect` limit.
   */
  readonly connections?: number | undefined
}

/** undici sends the requests, so there is no `fetch` to choose. */
export interface Options extends Omit<Anthropic.Options, "fetch">, ConnectOptions {}

/** `Options`, where each field may also be a `Config`, which is read once, when the layer is built. */
export type ConfigOptions = Configured.Configurable<Options>

const { fetch: _, ...shared } = Sdk.fields
const fields: { readonly [K in keyof Required<Options>]: true } = { ...shared, connections: true, dispatcher: true }

/**
 * Provides `Claude` over the SDK and undici. Throws a `RangeError` that explains which option is invalid.
 *
 * A `client` keeps its own dispatcher (`new Anthropic({ fetchOptions: { dispatcher } })`) and its own `fetch`; but if it
 * has a dispatcher and Node's `fetch`, undici's `fetch` replaces Node's. Both have time-outs of 300 seconds for headers
 * and body, unless the dispatcher sets others.
 */
export const layer = (options: Options): Layer.Layer<Claude.Claude> => {
  Refuse.unknown("NodeAnthropic", options, fields, "like { apiKey }")
  const { connections, dispatcher, ...sdk } = options
  const { client } = sdk
  if (connections !== undefined && !(Number.isInteger(connections) && connections >= 1)) {
    Refuse.refuse(`NodeAnthropic: connections is ${Refuse.shown(connections)}: it must be a whole number, 1 or more`)
  }
  if (connections !== undefined && dispatcher !== undefined) {
    Refuse.refuse(
      "NodeAnthropic: connections and dispatcher are both set: a dispatcher has its own pool, so remove one of them"
    )
  }
  if (dispatcher !== undefined && typeof Object(dispatcher).dispatch !== "function") {
    Refuse.refuse(
      "NodeAnthropic: dispatcher has no dispatch method: pass an Agent, a ProxyAgent or another dispatcher of undici"
    )
  }
  if (client !== undefined) {
    if (connections !== undefined || dispatcher !== undefined) {
      Refuse.refuse(
        `NodeAnthropic: ${
          connections === undefined ? "dispatcher" : "connections"
        } and client are both set: a client has its own connections, which new Anthropic({ fetchOptions: { dispatcher } }) sets: remove one of them`
      )
    }
    return Anthropic.layer({ ...sdk, client: onUndici(client) })
  }
  const sendingBy = (fetch: Sdk.Fetch) => Anthropic.layer({ ...sdk, fetch })
  // Built even if `connections` is set, so that invalid options throw here and not when the layer is provided.
  const shared = sendingBy(dispatcher === undefined ? Ambient.fetch : UndiciFetch.make(() => dispatcher))
  return connections === undefined
    ? shared
    : Layer.unwrap(Effect.map(pool(connections), (agent) => sendingBy(UndiciFetch.make(() => agent))))
}

/** Like `layer`, but reads missing options from the configuration, as `Anthropic.layerConfig` does. */
export const layerConfig = (config: ConfigOptions = {}): Layer.Layer<Claude.Claude, Config.ConfigError> =>
  Configured.layer("NodeAnthropic", fields, config, layer)

/**
 * Replaces Node's `fetch` in a client that has a dispatcher: Node's `fetch` contains its own version of undici, which may
 * reject a dispatcher of the installed version.
 */
const onUndici = (client: Client): Client =>
  hasProperty(client.fetchOptions, "dispatcher") && Ambient.isNodes(client["fetch"])
    // Cast: undici declares its own `fetch` type.
    ? client.withOptions({ fetch: undiciFetch as object as Sdk.Fetch })
    : client

/**
 * Idle sockets stay open for 30 seconds, because pauses in a chat are longer than undici's default of 4 seconds.
 */
const pool = (connections: number) =>
  Effect.acquireRelease(
    Effect.sync(() => new Agent({ connections, keepAliveTimeout: 30_000 })),
    (agent) => Effect.promise(() => agent.destroy())
  )
