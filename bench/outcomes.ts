/**
 * What becomes of calls, counted over real sockets beside the simulator: `node bench/outcomes.ts`, or
 * `node bench/outcomes.ts a c4` for some scenarios.
 *
 * The simulator is worth what it predicts. Here the library and the rivals run as they are installed, each in a process of
 * its own, against a server of its own, in real time. The server decides by the state machine and the seed of the simulator,
 * so that both meet the same faults; only the random waits of the contenders differ. Counts, not timings.
 *
 * A count agrees if it is within `noise` of what the simulator gives for the seed, or in the range that the simulator gives
 * for five seeds, widened by the same. Ends with exit code 1 if one does not, or if a process failed.
 */
import { type ChildProcess, fork } from "node:child_process"
import { once } from "node:events"
import { availableParallelism, setPriority } from "node:os"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { Worker } from "node:worker_threads"
import { type Column, columns, type Entry, scenarios } from "../lab/scenarios.ts"
import type { Simulator } from "../src/testing/index.ts"
import { trafficOf } from "../src/testing/simulator/scenario.ts"
import { due, patienceOf } from "../src/testing/simulator/traffic.ts"
import { count, now, table } from "./measure.ts"
import { serve, type Served } from "./outcomes-server.ts"
import type { Outcome, Start } from "./outcomes-variant.ts"

/** Counts may differ by this share of the calls, or of the requests. */
const noise = 0.04

/** A cell whose process is later than this, in milliseconds, is run once more: the 99th percentile of its event loop. */
const tooLate = 50

/** So many seeds show how much a seed changes. */
const rangeSeeds = 5

/** Scenarios that end within two minutes of real time. */
const names = ["a", "a4", "b35", "b50", "m1", "c", "c4", "i"]

const titles: { readonly [C in Column]: string } = {
  guarded: "ours, guarded",
  without: "ours, no guards",
  sdk: "SDK alone",
  "p-retry": "SDK + p-retry",
  cockatiel: "SDK + cockatiel",
  effect: "Effect HttpClient"
}

const { positionals, values: flags } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string" },
    seeds: { type: "string", default: "1" },
    "at-once": { type: "string", default: "24" },
    json: { type: "boolean", default: false }
  }
})
const wanted = flags.only?.split(",").map((name) => name === "ours" ? "guarded" : name)
const unknown = [
  ...positionals.filter((name) => !names.includes(name)),
  ...(wanted ?? []).filter((name) => !columns.some((column) => column === name))
]
if (unknown.length > 0) {
  throw new RangeError(
    `there is no ${unknown.join(", ")}: scenarios are ${names.join(", ")}; contenders ours, ${columns.join(", ")}`
  )
}
const seeds = Array.from({ length: count("seeds", flags.seeds) }, (_, index) => index + 1)
const atOnce = count("at-once", flags["at-once"])
const chosen = scenarios.filter(({ name }) => (positionals.length === 0 ? names : positionals).includes(name))
const contenders = columns.filter((column) => wanted?.includes(column) ?? true)

const progress = (text: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
  else if (text !== "") process.stderr.write(`${text}\n`)
}

// -----------------------------------------------------------------------------
// The simulator
// -----------------------------------------------------------------------------

/** All results of a scenario. Threads of the lab run it, so that both print the same. */
const simulate = async (): Promise<ReadonlyArray<Simulator.Result>> => {
  const all = Array.from({ length: Math.max(rangeSeeds, seeds.length) }, (_, index) => index + 1)
  const results: Array<Simulator.Result> = []
  const left = [...chosen]
  const work = async () => {
    const worker = new Worker(new URL("../lab/worker.ts", import.meta.url))
    try {
      for (let entry = left.shift(); entry !== undefined; entry = left.shift()) {
        progress(`simulator: ${entry.name}`)
        worker.postMessage({ name: entry.name, seeds: all })
        // An error of the worker rejects this promise.
        const [message] = await once(worker, "message")
        results.push(...message.results)
      }
    } finally {
      await worker.terminate()
    }
  }
  await Promise.all(Array.from({ length: Math.min(left.length, availableParallelism()) }, work))
  return results
}

// -----------------------------------------------------------------------------
// Sockets
// -----------------------------------------------------------------------------

/** One contender in one scenario with one seed. */
interface Cell {
  readonly entry: Entry
  readonly column: Column
  readonly seed: number
}

/** What came of it over sockets, or why there is nothing. */
type Measured = Outcome & { readonly requests: number } | { readonly failure: string }

/** When the last caller has left, in milliseconds after the start. */
const lengthOf = (entry: Entry, seed: number): number => {
  const traffic = trafficOf(entry)
  return Math.max(
    ...due(traffic, seed).map(({ at, traffic: index }) => {
      const kind = traffic[index]
      return at + (kind === undefined ? 0 : patienceOf(kind))
    })
  )
}

/** How long a process may take to start, and to end after the last caller has left. */
const grace = { start: 60_000, end: 15_000 }

/** The next message of a child, unless it ends or is late: then it is killed. */
const next = async (child: ChildProcess, millis: number): Promise<unknown> => {
  const controller = new AbortController()
  const { signal } = controller
  try {
    return await Promise.race([
      once(child, "message", { signal }).then(([message]): unknown => message),
      once(child, "exit", { signal }).then(([code]) => {
        throw new Error(`the process ended with ${code}`)
      }),
      sleep(millis, undefined, { signal }).then(() => {
        throw new Error(`nothing came within ${Math.round(millis / 1000)} s`)
      })
    ])
  } finally {
    controller.abort()
  }
}

/** Real time, on a machine that does other work. Few may ask for it; others go without. */
const prioritize = (priority: number) => {
  try {
    setPriority(priority)
  } catch {}
}

interface Started {
  readonly cell: Cell
  readonly server: Served
  readonly child: ChildProcess
  readonly failure: string | undefined
}

const startCell = async (cell: Cell): Promise<Started> => {
  const server = await serve(cell.entry, cell.seed)
  const args = [cell.entry.name, cell.column, String(cell.seed), server.url]
  const child = fork(new URL("outcomes-variant.ts", import.meta.url), args, { execArgv: [] })
  return { cell, server, child, failure: await next(child, grace.start).then(() => undefined, String) }
}

/** Runs cells side by side: all begin at the same time, when all processes have started. */
const runTogether = async (cells: ReadonlyArray<Cell>): Promise<ReadonlyMap<Cell, Measured>> => {
  const started: Array<Started> = []
  const waiting = [...cells]
  // Starting costs most of the time of a processor: all at once would be late.
  await Promise.all(Array.from({ length: availableParallelism() }, async () => {
    for (let cell = waiting.shift(); cell !== undefined; cell = waiting.shift()) started.push(await startCell(cell))
  }))
  prioritize(-10)
  const start = Math.ceil(now()) + 2000
  for (const { server } of started) server.begin(start)
  try {
    const measured = await Promise.all(started.map(async ({ cell, child, failure, server }) => {
      if (failure !== undefined) return [cell, { failure }] as const
      const message: Start = { at: start }
      child.send(message)
      const limit = lengthOf(cell.entry, cell.seed) + grace.end
      const outcome = await next(child, limit).then(
        // The variant sends nothing else.
        (outcome) => ({ ...(outcome as Outcome), requests: server.requests() }),
        (error) => ({ failure: String(error) })
      )
      child.kill()
      return [cell, outcome] as const
    }))
    return new Map<Cell, Measured>(measured)
  } finally {
    prioritize(0)
    for (const { child, server } of started) {
      child.kill("SIGKILL")
      server.close()
    }
  }
}

/** Whether a process failed, or was so late that the machine was measured and not the contender. */
const isDisturbed = (outcome: Measured) => latenessOf(outcome) > tooLate

const latenessOf = (outcome: Measured | undefined) =>
  outcome === undefined || "failure" in outcome ? Infinity : outcome.late

const runAll = async (cells: ReadonlyArray<Cell>): Promise<ReadonlyMap<Cell, Measured>> => {
  const measured = new Map<Cell, Measured>()
  const left = [...cells]
  while (left.length > 0) {
    const some = left.splice(0, atOnce)
    const seconds = Math.round(Math.max(...some.map(({ entry, seed }) => lengthOf(entry, seed))) / 1000)
    progress(`sockets: ${measured.size} of ${cells.length} cells measured; ${some.length} run for about ${seconds} s`)
    for (const [cell, outcome] of await runTogether(some)) {
      // Once more, when all others are done. The quieter run counts.
      const before = measured.get(cell)
      if (before === undefined && isDisturbed(outcome)) left.push(cell)
      if (latenessOf(outcome) <= latenessOf(before)) measured.set(cell, outcome)
    }
  }
  progress("")
  return measured
}

// -----------------------------------------------------------------------------
// Comparing
// -----------------------------------------------------------------------------

/** Whether a count is what the simulator says, within the noise: `unit` is what `noise` is a share of. */
const agrees = (value: number, simulated: number, range: ReadonlyArray<number>, unit: number): boolean => {
  const all = [...range, simulated]
  const width = noise * unit
  return value >= Math.min(...all) - width && value <= Math.max(...all) + width
}

const rangeOf = (values: ReadonlyArray<number>): string => {
  const [low, high] = [Math.min(...values), Math.max(...values)]
  return low === high ? `${low}` : `${low}–${high}`
}

const simulated = await simulate()
/** The longest first, so that what runs together ends together. */
const cells = chosen
  .flatMap((entry) => seeds.flatMap((seed) => contenders.map((column): Cell => ({ entry, column, seed }))))
  .toSorted((a, b) => lengthOf(b.entry, b.seed) - lengthOf(a.entry, a.seed))
const outcomes = await runAll(cells)

let differ = 0
const rows: Array<ReadonlyArray<string>> = []
for (const entry of chosen) {
  for (const seed of seeds) {
    const calls = due(trafficOf(entry), seed).length
    rows.push([`${entry.name}, ${calls} calls${seeds.length > 1 ? `, seed ${seed}` : ""}`])
    for (const column of contenders) {
      const cell = cells.find((cell) => cell.entry === entry && cell.seed === seed && cell.column === column)
      const outcome = cell && outcomes.get(cell)
      const all = simulated.filter(({ contender, scenario }) => contender === column && scenario === entry.name)
      const same = all.find((result) => result.seed === seed)
      if (outcome === undefined || same === undefined) continue
      const isMeasured = !("failure" in outcome)
      const range = {
        answered: all.slice(0, rangeSeeds).map(({ answered }) => answered),
        requests: all.slice(0, rangeSeeds).map(({ requests }) => requests)
      }
      const isAnswered = isMeasured && agrees(outcome.answered, same.answered, range.answered, calls)
      const isSent = isMeasured && agrees(outcome.requests, same.requests, range.requests, same.requests)
      if (!isAnswered || !isSent) differ++
      if (flags.json) {
        const { answered, errors, requests } = same
        console.log(JSON.stringify({
          scenario: entry.name,
          contender: column,
          seed,
          calls,
          sockets: outcome,
          simulator: { answered, requests, errors },
          range,
          agrees: isAnswered && isSent
        }))
      }
      rows.push([
        `  ${titles[column]}`,
        isMeasured ? `${outcome.answered} (${outcome.requests})` : "–",
        `${same.answered} (${same.requests})`,
        `${rangeOf(range.answered)} (${rangeOf(range.requests)})`,
        isMeasured
          ? [
            ...(isAnswered ? [] : ["answers"]),
            ...(isSent ? [] : ["requests"]),
            ...(outcome.late > tooLate ? [`late by ${outcome.late} ms`] : [])
          ].join(", ")
          : outcome.failure
      ])
    }
  }
}
if (!flags.json) {
  console.log("Calls answered (requests sent)\n")
  console.log(table(["scenario", "sockets", "simulator", "five seeds", "differs"], rows))
}
if (differ > 0) {
  console.error(`\n${differ} of ${cells.length} differ by more than the noise: ${noise * 100} % around five seeds.`)
  process.exitCode = 1
}
