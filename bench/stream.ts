/**
 * Compares how fast streams are read over real HTTP: `node bench/stream.ts`.
 *
 * The variants are `Claude.events` with its time-outs on, the SDK's iterator and the SDK's helper. The answer has 1,000
 * pieces, sent in bulk or in as many small chunks. Each variant has its own process, and they take turns in short
 * slices, as in `call.ts`. Ends with exit code 1 if the library misses `goal` in bulk. Chunks have no goal, because the
 * operating system's work for each chunk costs several times as much as any reader's.
 *
 * Rates are events per second of the client's CPU time.
 */
import { parseArgs } from "node:util"
import { count, lowerQuartile, pin, shuffled, startChild, startServing, table, whole } from "./measure.ts"
import type { Sample, Slice } from "./stream-variant.ts"

/** The minimum rate of `Claude.events` in bulk, as a multiple of the SDK's iterator. */
const goal = 1

const { values: flags } = parseArgs({
  options: {
    "no-goal": { type: "boolean", default: false },
    "no-pin": { type: "boolean", default: false },
    rounds: { type: "string", default: "21" },
    slice: { type: "string", default: "200" },
    events: { type: "string", default: "1000" },
    only: { type: "string" }
  }
})
const rounds = count("rounds", flags.rounds)
const slice = count("slice", flags.slice)
const events = count("events", flags.events)

const names = {
  raw: "bare SDK, create({ stream: true }), for await",
  helper: "bare SDK, messages.stream(), for await",
  ours: "ours, Claude.events, runForEachArray",
  "ours-each": "ours, Claude.events, runForEach"
} as const

const { server, url } = await startServing("stream-server.ts", events)
const pinned = !flags["no-pin"] && pin(server.pid, 1)

const start = async (key: string, name: string) => {
  const { ask, child } = await startChild("stream-variant.ts", [key, url, String(events)])
  if (pinned) pin(child.pid, 0)
  const sample = (slice: Slice): Promise<Sample> => ask(slice)
  return { key, name, sample, kill: () => child.kill() }
}
const variants: Array<Awaited<ReturnType<typeof start>>> = []

/** Measures all variants. Returns the rate of `Claude.events` as a multiple of the SDK's iterator; `NaN` unless both were measured. */
const measure = async (mode: Slice["mode"]): Promise<number> => {
  const samples = new Map(variants.map((variant) => [variant, [] as Array<Sample>]))
  for (let round = 0; round < rounds; round++) {
    for (const variant of shuffled(variants)) {
      samples.get(variant)?.push(await variant.sample({ mode, millis: slice }))
    }
  }
  const costs = new Map([...samples].map(([{ key }, taken]) => [key, lowerQuartile(taken.map(({ cpu }) => cpu))]))
  const raw = costs.get("raw") ?? NaN
  const rows = [...samples].map(([{ key, name }, taken]) => {
    const cost = costs.get(key) ?? NaN
    return [
      name,
      whole(1e6 / cost),
      Number.isNaN(raw) ? "" : (raw / cost).toFixed(2),
      whole(1e6 / lowerQuartile(taken.map(({ wall }) => wall))),
      whole(lowerQuartile(taken.map(({ first }) => first))),
      whole(taken.reduce((sum, { streams }) => sum + streams, 0))
    ]
  })
  console.log(
    `\n${table([mode, "events/s of CPU", "x raw", "events/s", "first event us", "streams"], rows)}`
  )
  return raw / (costs.get("ours") ?? NaN)
}

try {
  const wanted = flags.only?.split(",")
  for (const [key, name] of Object.entries(names)) {
    if (wanted?.includes(key) ?? true) variants.push(await start(key, name))
  }
  console.log(
    `${rounds} slices of ${slice} ms per variant, lower quartiles; ${events} pieces of text in a stream; ${
      pinned ? "clients on one processor, the server on another" : "not pinned"
    }`
  )
  // Warms up, so that compiling the code is not measured.
  for (const mode of ["bulk", "chunks"] as const) {
    for (const { sample } of variants) await sample({ mode, millis: 1500 })
  }
  const ratio = await measure("bulk")
  await measure("chunks")
  if (!flags["no-goal"] && !Number.isNaN(ratio)) {
    if (ratio < goal) {
      console.error(
        `\nGoal missed: ${
          ratio.toFixed(2)
        } times as many events in bulk as the iterator, but the goal is at least ${goal}.`
      )
      process.exitCode = 1
    } else {
      console.log(`\nGoal met: ${ratio.toFixed(2)} times as many events in bulk as the iterator, at least ${goal}.`)
    }
  }
} finally {
  for (const { kill } of variants) kill()
  server.kill()
}
