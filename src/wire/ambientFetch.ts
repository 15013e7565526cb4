/**
 * A `fetch` that uses the global dispatcher of the program.
 *
 * One process may contain several copies of undici (Node's own, ours, the
 * program's), and some of them ignore the global dispatcher that another has set.
 */
import { Agent, type Dispatcher, EnvHttpProxyAgent, getGlobalDispatcher } from "undici"
import { type Fetch, type PlainFetch, takesPlain } from "./sdkClient.ts"
import * as UndiciFetch from "./undiciFetch.ts"

const nodesFetch = globalThis.fetch

/** Whether a `fetch` is the built-in one of Node. */
export const isNodes = (fetch: unknown): boolean => fetch === nodesFetch

/** Sends through undici's global dispatcher, or through Node's `fetch` if only that can use the dispatcher that was set. */
export const fetch: PlainFetch = Object.assign<Fetch, Pick<PlainFetch, typeof takesPlain>>(
  (url, init) => isOfAnother() ? globalThis.fetch(url as string, init) : ours(url, init),
  { [takesPlain]: true }
)

const ours = UndiciFetch.make(() => {
  const dispatcher = getGlobalDispatcher()
  return usesEnvironment && dispatcher.constructor === Agent ? (environment ??= new EnvHttpProxyAgent()) : dispatcher
})

/** Whether the environment sets the proxy. Node 22 applies that only to its own undici, and loading ours overrides it. */
const usesEnvironment = process.env["NODE_USE_ENV_PROXY"] === "1" || process.execArgv.includes("--use-env-proxy")
let environment: Dispatcher | undefined

/** Where undici before 7.11 keeps its global dispatcher. Newer versions put a wrapper there. */
const legacy = Symbol.for("undici.globalDispatcher.1")

/** Whether an older undici has set the global dispatcher. Node's `fetch` can use it, but our undici cannot. */
const isOfAnother = (): boolean => {
  const set: object | undefined = (globalThis as { [legacy]?: object })[legacy]
  return set !== undefined && set !== getGlobalDispatcher() && set.constructor.name !== "Dispatcher1Wrapper"
}
