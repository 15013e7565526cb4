/**
 * Cases that need no network: their time by interleaved batches in one process, and their bytes in a process each, with a
 * young generation so large that nothing is collected while they are measured.
 */
import { Cause, Effect, type ManagedRuntime } from "effect"
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import type { Claude } from "../src/index.ts"
import * as Sse from "../src/internal/sse.ts"
import { count, lowerQuartile, median, shuffled, table, whole } from "./measure.ts"
import { events, shortest } from "./reply.ts"

// -----------------------------------------------------------------------------
// A wire in memory
// -----------------------------------------------------------------------------

/** Events, in one prepared item. */
const itemOf = (answer: ReadonlyArray<string>): Claude.WireItem => {
  const bytes = new TextEncoder().encode(answer.join(""))
  return { bytes: bytes.length, events: Sse.make().push(bytes) }
}

/** All events of an answer. */
export const item = itemOf(events)

/** All events of the shortest answer. */
export const short = itemOf(shortest)

/** A turn of the microtasks. */
export const turn = Effect.callback<void>((resume) => {
  queueMicrotask(() => resume(Effect.void))
})

const unasked = { countTokens: () => Effect.succeed(0), models: Effect.succeed([]) }

const connected = Effect.succeed<Claude.Connection>({
  requestId: "req_bench",
  rateLimits: {},
  read: Effect.succeed(short)
})

/** A wire that does nothing: the shortest answer is there, and always the same. */
export const idle: Claude.Wire = { open: () => connected, ...unasked }

/** A wire that gives one item after its headers. */
export const wire = (
  first: Effect.Effect<Claude.WireItem> = Effect.succeed(item),
  headers: Effect.Effect<void> = Effect.void
): Claude.Wire => {
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
    ...unasked
  }
}

// -----------------------------------------------------------------------------
// Cases
// -----------------------------------------------------------------------------

/** Something that is done so many times. */
export interface Case {
  readonly name: string
  readonly run: (calls: number) => Promise<void>
}

type Runtime<R> = ManagedRuntime.ManagedRuntime<R, never>

/** One promise per call, as an application without Effect would do. */
export const promised =
  <R>(runtime: Runtime<R>, ask: () => Effect.Effect<unknown, unknown, R>) => async (calls: number) => {
    for (let i = 0; i < calls; i++) await runtime.runPromise(ask())
  }

/** All calls in one fiber, as an application with Effect would do. */
export const inFiber = <R>(runtime: Runtime<R>, ask: () => Effect.Effect<unknown, unknown, R>) => (calls: number) => {
  let i = 0
  return runtime.runPromise(Effect.whileLoop({ while: () => i++ < calls, body: ask, step: () => {} }))
}

// -----------------------------------------------------------------------------
// Measuring
// -----------------------------------------------------------------------------

/** What a call costs. */
export interface Cost {
  readonly nanos: number
  readonly bytes: number
}

/** Measures the cases of a program, prints them, and gives them; nothing, in the process for the bytes of one. */
export const compare = async (
  program: string,
  cases: ReadonlyArray<Case>
): Promise<ReadonlyMap<string, Cost> | undefined> => {
  const { values: flags } = parseArgs({
    strict: false,
    options: {
      rounds: { type: "string", default: "25" },
      only: { type: "string" },
      /** Prints the bytes of one case: what the process for that case is called with. */
      bytes: { type: "string" }
    }
  })
  if (typeof flags.bytes === "string") {
    const chosen = cases.find(({ name }) => name === flags.bytes)
    if (chosen === undefined) throw new RangeError(`there is no case ${flags.bytes}`)
    console.log(await bytesHere(chosen))
    return undefined
  }
  const wanted = cases.filter(({ name }) => flags.only === undefined || name === flags.only)
  const samples = new Map<Case, Array<number>>(wanted.map((one) => [one, []]))
  const batches = new Map<Case, number>()
  for (const one of wanted) batches.set(one, await batchOf(one))
  const rounds = count("rounds", String(flags.rounds))
  for (let round = 0; round < rounds; round++) {
    for (const one of shuffled(wanted)) samples.get(one)?.push(await timed(one.run, batches.get(one) ?? 1))
  }
  const costs = new Map(
    [...samples].map(([one, taken]) =>
      [one.name, { nanos: lowerQuartile(taken), bytes: bytesOf(program, one) }] as const
    )
  )
  console.log(`${rounds} interleaved batches of about 30 ms, lower quartiles\n`)
  const rows = [...costs].map(([name, { bytes, nanos }]) => [name, whole(nanos), whole(bytes)])
  console.log(table(["case", "ns/call", "bytes/call"], rows))
  return costs
}

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
  // Until all is compiled: what an object costs depends on whether it is made at all.
  await run(50_000)
  for (let i = 0; i < 5; i++) {
    collect()
    const before = process.memoryUsage().heapUsed
    await run(calls)
    samples.push((process.memoryUsage().heapUsed - before) / calls)
  }
  return median(samples)
}

/** The median of processes: how much is compiled away differs from one to the next, by a tenth. */
const bytesOf = (program: string, one: Case): number =>
  median(Array.from({ length: 7 }, () => bytesThere(program, one)))

const bytesThere = (program: string, { name }: Case): number => {
  const young = ["--min-semi-space-size=512", "--max-semi-space-size=512"]
  const child = spawnSync(
    process.execPath,
    ["--expose-gc", ...young, fileURLToPath(program), `--bytes=${name}`],
    { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }
  )
  const bytes = Number.parseFloat(child.stdout)
  if (child.status !== 0 || Number.isNaN(bytes)) throw new Error(`the process for the bytes of ${name} failed`)
  return bytes
}
