/**
 * A `fetch` that uses the global dispatcher of the program.
 *
 * One process may contain several copies of undici (Node's own, ours, the
 * program's), and some copies ignore the global dispatcher that another copy has set.
 */
import { Agent, type Dispatcher, EnvHttpProxyAgent, getGlobalDispatcher } from "undici"
import { type Fetch, type PlainFetch, takesPlain } from "./sdkClient.ts"
import * as UndiciFetch from "./undiciFetch.ts"

const nodesFetch = globalThis.fetch

/** Whether a function is the `fetch` that was global when this module was loaded, which is usually Node's. */
export const isNodes = (fetch: unknown): boolean => fetch === nodesFetch

/** Sends through undici's global dispatcher, or with the global `fetch` if only Node's undici can use that dispatcher. */
export const fetch: PlainFetch = Object.assign<Fetch, Pick<PlainFetch, typeof takesPlain>>(
  (url, init) =>
    // Our own `fetch` follows no redirect; the global one would, with the key.
    isOfAnother() ? globalThis.fetch(url as string, { ...init, redirect: "manual" }) : ours(url, init),
  { [takesPlain]: true }
)

const ours = UndiciFetch.make(() => {
  const dispatcher = getGlobalDispatcher()
  return usesEnvironment && dispatcher.constructor === Agent ? (environment ??= new EnvHttpProxyAgent()) : dispatcher
})

/**
 * Whether Node was told to read the proxy from the environment. If so, `ours` uses this proxy in place of a plain
 * `Agent`: Node 22 sets the proxy only in its own undici, and importing the package undici replaces Node's dispatcher.
 */
const usesEnvironment = process.env["NODE_USE_ENV_PROXY"] === "1" || process.execArgv.includes("--use-env-proxy")
let environment: Dispatcher | undefined

/** The global property in which undici before 7.11 keeps its dispatcher. Newer versions put a wrapper there. */
const legacy = Symbol.for("undici.globalDispatcher.1")

/** Whether an older undici has set the global dispatcher. Node's `fetch` can use it, but our undici cannot. */
const isOfAnother = (): boolean => {
  const set: object | undefined = (globalThis as { [legacy]?: object })[legacy]
  return set !== undefined && set !== getGlobalDispatcher() && set.constructor.name !== "Dispatcher1Wrapper"
}
