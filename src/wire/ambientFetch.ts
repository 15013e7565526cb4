/**
 * The `fetch` that goes where the network set-up of the program leads.
 *
 * Several copies of undici may be in one process (Node's own, ours, the
 * program's), and they do not all read the global dispatcher of each other.
 */
import { Agent, type Dispatcher, EnvHttpProxyAgent, getGlobalDispatcher } from "undici"
import { type Fetch, type PlainFetch, takesPlain } from "./sdkClient.ts"
import * as UndiciFetch from "./undiciFetch.ts"

const nodesFetch = globalThis.fetch

/** Whether a `fetch` is the one that Node has by itself. */
export const isNodes = (fetch: unknown): boolean => fetch === nodesFetch

/** Through undici's global dispatcher, or Node's `fetch` where only that knows the dispatcher of the program. */
export const fetch: PlainFetch = Object.assign<Fetch, Pick<PlainFetch, typeof takesPlain>>(
  (url, init) => isOfAnother() ? globalThis.fetch(url as string, init) : ours(url, init),
  { [takesPlain]: true }
)

const ours = UndiciFetch.make(() => {
  const dispatcher = getGlobalDispatcher()
  return usesEnvironment && dispatcher.constructor === Agent ? (environment ??= new EnvHttpProxyAgent()) : dispatcher
})

/** Node 22 tells its proxy only to its own undici, and loading ours takes that away. */
const usesEnvironment = process.env["NODE_USE_ENV_PROXY"] === "1" || process.execArgv.includes("--use-env-proxy")
let environment: Dispatcher | undefined

/** Where undici before 7.11 keeps its global dispatcher. Newer versions put a wrapper of their own there. */
const legacy = Symbol.for("undici.globalDispatcher.1")

/** Whether an older undici has set the global dispatcher: Node's `fetch` heeds it, and ours does not know its protocol. */
const isOfAnother = (): boolean => {
  const set: object | undefined = (globalThis as { [legacy]?: object })[legacy]
  return set !== undefined && set !== getGlobalDispatcher() && set.constructor.name !== "Dispatcher1Wrapper"
}
