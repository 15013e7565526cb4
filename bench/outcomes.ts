/**
 * Checks the simulator against reality: `node bench/outcomes.ts`, or `node bench/outcomes.ts a c4` for some scenarios.
 *
 * The library and the installed rivals run over real sockets in real time, each in its own process with its own server.
 * The server uses the simulator's state machine and seed, so that both runs meet the same faults; only the random waits of
 * the contenders differ. Compares counts of answered calls and requests, no times.
 *
 * A count agrees if it is in the range that the simulator gives for this seed and five seeds, widened by `noise`. Ends
 * with exit code 1 if a count does not agree, or if a process failed.
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

/** The tolerance of a count, as a share of the calls or of the requests. */
const noise = 0.04

/** A cell runs once more if the 99th percentile of its event-loop delay is above this, in milliseconds. */
const tooLate = 50

/** How many seeds the simulator runs, to show how much the seed matters. */
const rangeSeeds = 5

/** The scenarios that end within two minutes of real time. */
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
    `there is no ${unknown.join(", ")}: the scenarios are ${names.join(", ")}; the contenders are ours, ${
      columns.join(", ")
    }`
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

/** Simulates the chosen scenarios in worker threads of the lab, so that the results are those of `npm run lab`. */
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

/** The result of a cell over sockets, or why there is none. */
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

/** Waits for the next message of a child. Fails if the child ends, or sends nothing in time. */
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

/** Sets the priority of this process, if the user may do so. */
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
  // One start at a time per processor: a start keeps a processor busy, and all at once would exceed `grace.start`.
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
        // Cast: the variant sends only outcomes.
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

/** Whether a process failed, or was so late that the result shows the machine rather than the contender. */
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
      // A disturbed cell runs once more after all others. The run with the smaller delay counts.
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

/** Whether a measured count agrees with the simulator. `noise` is a share of `unit`. */
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
/** The longest first, so that cells that run together end at about the same time. */
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
  console.error(
    `\n${differ} of ${cells.length} results are more than ${
      noise * 100
    } % outside the range that the simulator gives for five seeds.`
  )
  process.exitCode = 1
}
