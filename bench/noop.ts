/**
 * What a successful call costs without a network: `node bench/noop.ts`.
 *
 * The wire is in memory and gives one prepared item with all events of an answer. What is left is ours: the request,
 * the limits, the accumulation, the log and the policy. Nanoseconds come from interleaved batches in one process;
 * bytes from a process for each case, with a young generation so large that nothing is collected while it is measured.
 */
import { Cause, Effect, ManagedRuntime } from "effect"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { Claude, Policy, Retry } from "../src/index.ts"
import * as Sse from "../src/internal/sse.ts"
import { count, lowerQuartile, median, shuffled, table, whole } from "./measure.ts"
import { events } from "./reply.ts"

const { values: flags } = parseArgs({
  options: {
    rounds: { type: "string", default: "25" },
    only: { type: "string" },
    /** Prints the bytes of one case: what the process for that case is called with. */
    bytes: { type: "string" }
  }
})

// -----------------------------------------------------------------------------
// Wires
// -----------------------------------------------------------------------------

const bytes = new TextEncoder().encode(events.join(""))
const item: Claude.WireItem = { bytes: bytes.length, events: Sse.make().push(bytes) }

const wire = (first: Effect.Effect<Claude.WireItem>, headers: Effect.Effect<void>): Claude.Wire => {
  const connection = Effect.sync((): Claude.Connection => {
    let over = false
    return {
      requestId: "req_bench",
      rateLimits: {},
      read: Effect.suspend(() => {
        if (over) return Cause.done()
        over = true
        return first
      })
    }
  })
  return {
    open: () => Effect.andThen(headers, connection),
    countTokens: () => Effect.succeed(0),
    models: Effect.succeed([])
  }
}

const turn = Effect.callback<void>((resume) => {
  queueMicrotask(() => resume(Effect.void))
})

/** Everything is there when it is asked for. */
const ready = ManagedRuntime.make(Claude.layer(wire(Effect.succeed(item), Effect.void)))

/** Headers and body each come a microtask later, as over a network: what waits is watched. */
const waiting = ManagedRuntime.make(Claude.layer(wire(Effect.as(turn, item), turn)))

// -----------------------------------------------------------------------------
// Cases
// -----------------------------------------------------------------------------

interface Case {
  readonly name: string
  readonly run: (calls: number) => Promise<void>
}

type Ask = Effect.Effect<unknown, unknown, Claude.Claude>

/** One promise per call, as an application without Effect would do. */
const promised = (runtime: typeof ready, ask: () => Ask) => async (calls: number) => {
  for (let i = 0; i < calls; i++) await runtime.runPromise(ask())
}

/** All calls in one fiber, as an application with Effect would do. */
const inFiber = (runtime: typeof ready, ask: () => Ask) => (calls: number) => {
  let i = 0
  return runtime.runPromise(Effect.whileLoop({ while: () => i++ < calls, body: ask, step: () => {} }))
}

const text = () => Claude.text("What does a circuit breaker do?")
const under = (policy: Policy.Policy) => {
  const applied = Policy.apply(policy)
  return () => applied(text())
}
const standard = under(Policy.standard)

const cases: ReadonlyArray<Case> = [
  { name: "Effect.runPromise alone", run: promised(ready, () => Effect.void) },
  { name: "text", run: promised(ready, text) },
  { name: "text, Policy.none", run: promised(ready, under(Policy.none)) },
  { name: "text, retry only", run: promised(ready, under({ retry: Retry.standard })) },
  { name: "text, overall only", run: promised(ready, under({ overall: "5 minutes" })) },
  { name: "text, Policy.standard", run: promised(ready, standard) },
  { name: "text, Policy.standard, in one fiber", run: inFiber(ready, standard) },
  { name: "text, wire waits", run: promised(waiting, text) },
  { name: "text, Policy.standard, wire waits", run: promised(waiting, standard) },
  { name: "text, Policy.standard, wire waits, in one fiber", run: inFiber(waiting, standard) }
]

// -----------------------------------------------------------------------------
// Measuring
// -----------------------------------------------------------------------------

const timed = async (run: Case["run"], calls: number): Promise<number> => {
  const start = performance.now()
  await run(calls)
  return (performance.now() - start) * 1e6 / calls
}

/** About 30 ms. */
const batchOf = async ({ run }: Case): Promise<number> => {
  await run(2000)
  return Math.max(10, Math.round(30e6 / await timed(run, 1000)))
}

const collect = () => {
  if (globalThis.gc === undefined) throw new Error("--bytes needs --expose-gc")
  globalThis.gc()
}

const bytesHere = async ({ run }: Case): Promise<number> => {
  const calls = 2000
  const samples: Array<number> = []
  await run(5000)
  for (let i = 0; i < 5; i++) {
    collect()
    const before = process.memoryUsage().heapUsed
    await run(calls)
    samples.push((process.memoryUsage().heapUsed - before) / calls)
  }
  return median(samples)
}

const bytesOf = ({ name }: Case): number => {
  const young = ["--min-semi-space-size=512", "--max-semi-space-size=512"]
  const child = spawnSync(
    process.execPath,
    ["--expose-gc", ...young, fileURLToPath(import.meta.url), `--bytes=${name}`],
    { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }
  )
  return Number(child.stdout)
}

// -----------------------------------------------------------------------------
// Run
// -----------------------------------------------------------------------------

const chosen = cases.find(({ name }) => name === flags.bytes)
if (flags.bytes !== undefined) {
  if (chosen === undefined) throw new RangeError(`there is no case ${flags.bytes}`)
  console.log(await bytesHere(chosen))
} else {
  const wanted = cases.filter(({ name }) => flags.only === undefined || name === flags.only)
  const samples = new Map<Case, Array<number>>(wanted.map((one) => [one, []]))
  const batches = new Map<Case, number>()
  for (const one of wanted) batches.set(one, await batchOf(one))
  const rounds = count("rounds", flags.rounds)
  for (let round = 0; round < rounds; round++) {
    for (const one of shuffled(wanted)) samples.get(one)?.push(await timed(one.run, batches.get(one) ?? 1))
  }
  const rows = [...samples].map(([one, taken]) => [one.name, whole(lowerQuartile(taken)), whole(bytesOf(one))])
  console.log(`${rounds} interleaved batches of about 30 ms, lower quartiles\n`)
  console.log(table(["case", "ns/call", "bytes/call"], rows))
}
await ready.dispose()
await waiting.dispose()
