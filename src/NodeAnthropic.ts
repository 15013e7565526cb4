/**
 * The wire of `@anthropic-ai/sdk` on undici, for Node.
 *
 * It costs less than the global `fetch` (`npm run bench`), has none of its
 * ceilings of 300 seconds for headers and body, and goes where that would:
 * through the global dispatcher of the program, so that a proxy
 * (`NODE_USE_ENV_PROXY=1`, `setGlobalDispatcher`) or a CA set there holds. Needs
 * `undici`, an optional peer.
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
import type { Fetch } from "./wire/sdkClient.ts"
import * as UndiciFetch from "./wire/undiciFetch.ts"

/** How to connect, where that is not up to the global dispatcher. */
export interface ConnectOptions {
  /** What sends the requests: a proxy, an agent with a CA of your own, a pool. It is yours, and stays open. */
  readonly dispatcher?: Dispatcher | undefined
  /**
   * The most sockets to the API, in a pool of the layer that is closed with it. A call above that waits for one, which
   * counts as its `connect`. No proxy is asked.
   */
  readonly connections?: number | undefined
}

/** How to reach the API. */
export interface Options extends Omit<Anthropic.Options, "fetch">, ConnectOptions {}

/** The same, each of which may be a `Config`, which is read once. */
export type ConfigOptions = Configured.Configurable<Options>

/**
 * `Claude` by way of the SDK and undici. Throws a `RangeError` with a sentence if the options cannot be meant. A `client`
 * sends with its own `fetch` (Node's has ceilings of 300 seconds for headers and body) and its own dispatcher
 * (`new Anthropic({ fetchOptions: { dispatcher } })`).
 */
export const layer = (options: Options): Layer.Layer<Claude.Claude> => {
  const { client, connections, dispatcher } = options
  if (connections !== undefined && !(Number.isInteger(connections) && connections >= 1)) {
    Refuse.refuse(`NodeAnthropic: connections is ${connections}: it must be a whole number, 1 or more`)
  }
  if (connections !== undefined && dispatcher !== undefined) {
    Refuse.refuse("NodeAnthropic: connections and dispatcher are both given: a dispatcher has its own pool, remove one")
  }
  if (dispatcher !== undefined && typeof Object(dispatcher).dispatch !== "function") {
    Refuse.refuse("NodeAnthropic: dispatcher has no dispatch: pass an Agent, a ProxyAgent or another one of undici")
  }
  if (client !== undefined) {
    if (connections !== undefined || dispatcher !== undefined) {
      Refuse.refuse(
        "NodeAnthropic: a client connects by itself: give it the dispatcher, new Anthropic({ fetchOptions: { dispatcher } })"
      )
    }
    return Anthropic.layer({ ...options, client: onUndici(client) })
  }
  const sendingBy = (fetch: Fetch) => Anthropic.layer({ ...options, fetch })
  const shared = sendingBy(dispatcher === undefined ? Ambient.fetch : UndiciFetch.make(() => dispatcher))
  // What is wrong with the options was refused just now, and not where the layer is provided.
  return connections === undefined
    ? shared
    : Layer.unwrap(Effect.map(pool(connections), (agent) => sendingBy(UndiciFetch.make(() => agent))))
}

/** The same, with what is not given read from the configuration, as `Anthropic.layerConfig` does. */
export const layerConfig = (config: ConfigOptions = {}): Layer.Layer<Claude.Claude, Config.ConfigError> =>
  Configured.layer("NodeAnthropic", config, layer)

/** Node's own `fetch` is of another version of undici, and refuses the dispatchers of this one. */
const onUndici = (client: Client): Client =>
  hasProperty(client.fetchOptions, "dispatcher") && Ambient.isNodes(client["fetch"])
    // The `fetch` of undici is typed apart from the global one.
    ? client.withOptions({ fetch: undiciFetch as object as Fetch })
    : client

/** Sockets of our own. They stay open for 30 seconds without a request: undici's 4 are less than a chat pauses. */
const pool = (connections: number) =>
  Effect.acquireRelease(
    Effect.sync(() => new Agent({ connections, keepAliveTimeout: 30_000 })),
    (agent) => Effect.promise(() => agent.destroy())
  )
