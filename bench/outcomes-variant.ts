/**
 * Runs one contender through one scenario, as a child process of `outcomes.ts`:
 * `node bench/outcomes-variant.ts <scenario> <contender> <seed> <url>`. The rivals are the real packages, with the
 * options that `lab/rivals.ts` assumes.
 */
import { Duration } from "effect"
import { setPriority } from "node:os"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { setTimeout as sleep } from "node:timers/promises"
import { guarded, without } from "../lab/contenders.ts"
import { type Column, type Entry, scenarios } from "../lab/scenarios.ts"
import type { Simulator } from "../src/testing/index.ts"
import { trafficOf } from "../src/testing/simulator/scenario.ts"
import { askOf, due, patienceOf, type Traffic } from "../src/testing/simulator/traffic.ts"
import { now } from "./measure.ts"

/** The results of the calls. */
export interface Outcome {
  readonly calls: number
  readonly answered: number
  /** The number of failed calls, by error. */
  readonly errors: Readonly<Record<string, number>>
  /** The 99th percentile of the delay of the process's event loop, in milliseconds. */
  readonly late: number
}

/** The message that starts the scenario. `at`: milliseconds since the epoch. */
export interface Start {
  readonly at: number
}

/** Makes one call. The signal aborts it. */
type Call = (signal: AbortSignal) => Promise<unknown>

/** Prepares the calls of one kind of traffic. */
type Contender = (traffic: Traffic) => Call

const [name, column = "", seed = "", baseUrl = ""] = process.argv.slice(2)
const apiKey = "sk-ant-bench"

const found = scenarios.find((entry) => entry.name === name)
if (found === undefined) throw new RangeError(`there is no scenario ${name}`)
const scenario: Entry = found

// -----------------------------------------------------------------------------
// Ours
// -----------------------------------------------------------------------------

const ours = async ({ guards, policy }: Simulator.Library): Promise<Contender> => {
  const [{ Effect, Layer, ManagedRuntime }, { CallLog, Claude, Guards, Policy }, NodeAnthropic] = await Promise.all([
    import("effect"),
    import("../src/index.ts"),
    import("../src/NodeAnthropic.ts")
  ])
  const claude = NodeAnthropic.layer({ apiKey, baseUrl })
  const guarded = guards === undefined
    ? claude
    : Guards.apply(typeof guards === "function" ? guards(scenario) : guards)(claude)
  const silent = Layer.succeed(CallLog.CallLog, { emit: () => Effect.void })
  const runtime = ManagedRuntime.make(Layer.provideMerge(guarded, silent))
  await runtime.context()
  return (traffic) => {
    const chosen = typeof policy === "function" ? policy(scenario, traffic) : policy ?? Policy.none
    const call = Policy.apply(chosen)(Claude.message(askOf(traffic)))
    return (signal) => runtime.runPromise(call, { signal })
  }
}

// -----------------------------------------------------------------------------
// On the SDK
// -----------------------------------------------------------------------------

/** A call of the SDK that reads the text. With an HTML page instead of a message, reading it throws a `TypeError`. */
const sdk = async (maxRetries: number) => {
  const { Anthropic } = await import("@anthropic-ai/sdk")
  const client = new Anthropic({ apiKey, baseURL: baseUrl, maxRetries })
  return (traffic: Traffic): Call => {
    const { max_tokens, messages, model } = askOf(traffic)
    return async (signal) => {
      const { content: [block] } = await client.messages.create({ model, max_tokens, messages }, { signal })
      if (block?.type !== "text") throw new Error("there is no text")
      return block.text
    }
  }
}

// Types of the rivals, as far as they are used here. Written by hand, because the packages are installed in this folder
// only.

interface PRetry {
  readonly default: (call: () => Promise<unknown>, options: object) => Promise<unknown>
}
interface Cockatiel {
  readonly handleAll: object
  readonly handleWhen: (isHandled: (error: Error) => boolean) => object
  readonly retry: (on: object, options: object) => object
  readonly circuitBreaker: (on: object, options: object) => object
  readonly timeout: (millis: number, strategy: string) => object
  readonly bulkhead: (limit: number, queue: number) => object
  readonly wrap: (...policies: ReadonlyArray<object>) => {
    readonly execute: (call: (context: { readonly signal: AbortSignal }) => unknown, signal: AbortSignal) => Promise<
      unknown
    >
  }
  readonly ExponentialBackoff: new(options: object) => object
  readonly ConsecutiveBreaker: new(threshold: number) => object
  readonly BulkheadRejectedError: new() => Error
}

const installed = <Package>(name: string): Promise<Package> =>
  import(name).catch(() => {
    throw new Error(`${name} is not installed: run npm install --prefix bench`)
  })

const pRetry = async (): Promise<Contender> => {
  const [create, { default: pRetry }] = await Promise.all([sdk(0), installed<PRetry>("p-retry")])
  return (traffic) => {
    const call = create(traffic)
    return (signal) =>
      pRetry(() => call(signal), { retries: 4, minTimeout: 1000, maxTimeout: 8000, randomize: true, signal })
  }
}

const cockatiel = async (): Promise<Contender> => {
  const [create, cockatiel] = await Promise.all([sdk(0), installed<Cockatiel>("cockatiel")])
  const { BulkheadRejectedError, bulkhead, circuitBreaker, ConsecutiveBreaker } = cockatiel
  const { ExponentialBackoff, handleAll, handleWhen, retry, timeout, wrap } = cockatiel
  /** Whether an error counts for the breaker: a full bulkhead and a 4xx say nothing about the health of the API. */
  const isUnwell = (error: Error) => !(error instanceof BulkheadRejectedError) && !(statusOf(error) < 500)
  const policy = wrap(
    retry(handleAll, { maxAttempts: 4, backoff: new ExponentialBackoff({ initialDelay: 1000, maxDelay: 8000 }) }),
    circuitBreaker(handleWhen(isUnwell), { halfOpenAfter: 10_000, breaker: new ConsecutiveBreaker(5) }),
    bulkhead(64, 200),
    timeout(
      Duration.toMillis(Duration.fromInputUnsafe(scenario.timeout ?? scenario.silence ?? "8 seconds")),
      "aggressive"
    )
  )
  return (traffic) => {
    const call = create(traffic)
    return (signal) => policy.execute(({ signal }) => call(signal), signal)
  }
}

const statusOf = (error: Error): number => "status" in error ? Number(error.status) : NaN

// -----------------------------------------------------------------------------
// Effect's HttpClient
// -----------------------------------------------------------------------------

const effect = async (): Promise<Contender> => {
  const [{ Effect, ManagedRuntime }, { FetchHttpClient, HttpClient, HttpClientRequest }, { resilient }] = await Promise
    .all([import("effect"), import("effect/http"), import("../lab/rivals/effect.ts")])
  const runtime = ManagedRuntime.make(FetchHttpClient.layer)
  const execute = resilient(await runtime.runPromise(HttpClient.HttpClient), scenario)
  return (traffic) => {
    const request = HttpClientRequest.post(`${baseUrl}/v1/messages`).pipe(
      HttpClientRequest.setHeaders({ "x-api-key": apiKey, "anthropic-version": "2023-06-01" }),
      HttpClientRequest.bodyJsonUnsafe(askOf(traffic))
    )
    const call = Effect.flatMap(execute(request), (response) => response.json)
    return (signal) => runtime.runPromise(call, { signal })
  }
}

// -----------------------------------------------------------------------------
// Run
// -----------------------------------------------------------------------------

const contenders: { readonly [C in Column]: () => Promise<Contender> } = {
  guarded: () => ours(guarded(scenario)),
  without: () => ours(without),
  sdk: () => sdk(2),
  "p-retry": pRetry,
  cockatiel,
  effect
}

const isColumn = (name: string): name is Column => name in contenders

/** Makes a call. Returns the name of its error, or undefined if it was answered before its caller left. */
const called = async (call: Call, patience: number): Promise<string | undefined> => {
  const controller = new AbortController()
  const left = new Promise<string>((resolve) => {
    const timer = setTimeout(() => {
      resolve("left")
      controller.abort()
    }, patience)
    controller.signal.addEventListener("abort", () => clearTimeout(timer))
  })
  const ended = call(controller.signal).then(() => undefined, (error: unknown) => nameOf(error))
  const outcome = await Promise.race([ended, left])
  controller.abort()
  return outcome
}

const nameOf = (error: unknown): string => {
  if (!(error instanceof Error)) return "error"
  if ("_tag" in error) return String(error._tag)
  return "status" in error && error.status !== undefined ? String(error.status) : error.constructor.name
}

const run = async (contender: Contender, { at: start }: Start): Promise<Outcome> => {
  const kinds = trafficOf(scenario).map((traffic) => ({ call: contender(traffic), patience: patienceOf(traffic) + 1 }))
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  const outcomes = await Promise.all(
    due(trafficOf(scenario), seed).map(async ({ at, traffic }) => {
      const kind = kinds[traffic]
      if (kind === undefined) throw new RangeError(`there is no traffic ${traffic}`)
      await sleep(Math.max(0, start + at - now()))
      return called(kind.call, kind.patience)
    })
  )
  const errors: Record<string, number> = {}
  for (const error of outcomes) if (error !== undefined) errors[error] = (errors[error] ?? 0) + 1
  const answered = outcomes.filter((error) => error === undefined).length
  return { calls: outcomes.length, answered, errors, late: Math.round(delay.percentile(99) / 1e6) }
}

if (!isColumn(column)) throw new RangeError(`there is no contender ${column}: ${Object.keys(contenders).join(", ")}`)
// Warms up, because code that runs for the first time is slow enough to change which calls are answered. A second
// instance of the contender does that, so that the measured one has no state yet.
const [warm, contender] = [await contenders[column](), await contenders[column]()]
for (const traffic of trafficOf(scenario)) {
  const call = warm(traffic)
  for (let round = 0; round < 3; round++) {
    await Promise.all(Array.from({ length: 4 }, () => called(call, 30_000)))
  }
}
// Raises the priority of the process, if the user may do so.
try {
  setPriority(-10)
} catch {}
process.on("message", (start: Start) => void run(contender, start).then((outcome) => process.send?.(outcome)))
process.on("disconnect", () => process.exit())
process.send?.({})
