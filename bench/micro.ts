/** Measures cases that need no network, in interleaved batches in one process. */
import { Cause, Effect, type ManagedRuntime } from "effect"
import { parseArgs } from "node:util"
import type { Claude } from "../src/index.ts"
import { count, lowerQuartile, shuffled, table, whole } from "./measure.ts"
import { events, shortest } from "./reply.ts"

// -----------------------------------------------------------------------------
// A wire in memory
// -----------------------------------------------------------------------------

/** An item of a wire that holds all events of an answer. */
const itemOf = (answer: ReadonlyArray<string>): Claude.WireItem => ({
  bytes: answer.join("").length,
  events: answer.map((event) => JSON.parse(event.slice(event.indexOf("data: ") + 6)))
})

/** The usual answer. */
export const item = itemOf(events)

export const short = itemOf(shortest)

/** Waits for one microtask. */
export const turn = Effect.callback<void>((resume) => {
  queueMicrotask(() => resume(Effect.void))
})

const unasked = { countTokens: () => Effect.succeed(0), models: Effect.succeed([]) }

const connected = Effect.succeed<Claude.Connection>({
  requestId: "req_bench",
  rateLimits: {},
  read: Effect.succeed(short)
})

/** A wire that returns the shortest answer at once. */
export const idle: Claude.Wire = { open: () => connected, ...unasked }

/** A wire that returns one item after its headers. */
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

/** A case. `run` makes a number of calls. */
export interface Case {
  readonly name: string
  readonly run: (calls: number) => Promise<void>
}

type Runtime<R> = ManagedRuntime.ManagedRuntime<R, never>

/** Makes one promise per call, as an application without Effect does. */
export const promised =
  <R>(runtime: Runtime<R>, ask: () => Effect.Effect<unknown, unknown, R>) => async (calls: number) => {
    for (let i = 0; i < calls; i++) await runtime.runPromise(ask())
  }

/** Makes all calls in one fiber, as an application with Effect does. */
export const inFiber = <R>(runtime: Runtime<R>, ask: () => Effect.Effect<unknown, unknown, R>) => (calls: number) => {
  let i = 0
  return runtime.runPromise(Effect.whileLoop({ while: () => i++ < calls, body: ask, step: () => {} }))
}

// -----------------------------------------------------------------------------
// Measuring
// -----------------------------------------------------------------------------

/** Measures and prints the cases, and returns the nanoseconds per call of each. */
export const compare = async (cases: ReadonlyArray<Case>): Promise<ReadonlyMap<string, number>> => {
  const { values: flags } = parseArgs({
    options: {
      rounds: { type: "string", default: "25" },
      only: { type: "string" }
    }
  })
  const wanted = cases.filter(({ name }) => flags.only === undefined || name === flags.only)
  const samples = new Map<Case, Array<number>>(wanted.map((one) => [one, []]))
  const batches = new Map<Case, number>()
  for (const one of wanted) batches.set(one, await batchOf(one))
  const rounds = count("rounds", flags.rounds)
  for (let round = 0; round < rounds; round++) {
    for (const one of shuffled(wanted)) samples.get(one)?.push(await timed(one.run, batches.get(one) ?? 1))
  }
  const costs = new Map([...samples].map(([{ name }, taken]) => [name, lowerQuartile(taken)]))
  console.log(`${rounds} interleaved batches of about 30 ms, lower quartiles\n`)
  console.log(table(["case", "ns/call"], [...costs].map(([name, nanos]) => [name, whole(nanos)])))
  return costs
}

const timed = async (run: Case["run"], calls: number): Promise<number> => {
  const start = performance.now()
  await run(calls)
  return (performance.now() - start) * 1e6 / calls
}

/** The number of calls that take about 30 ms. */
const batchOf = async ({ run }: Case): Promise<number> => {
  await run(2000)
  return Math.max(10, Math.round(30e6 / await timed(run, 1000)))
}
