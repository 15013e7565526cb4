/**
 * Compares the cost of a call through this library with a call through the bare SDK, over real HTTP:
 * `node bench/call.ts`.
 *
 * The library streams its answers and applies time-outs, retries, logging and error classification, with and without
 * guards. The bare call is `messages.create` on Node's own `fetch`. Each variant has its own process, because in one
 * process they would affect each other's compiled code and garbage collection. They take turns in short slices; the
 * server has its own process too. Ends with exit code 1 if a variant of the library costs more than its entry in
 * `goals`.
 */
import { parseArgs } from "node:util"
import { count, lowerQuartile, pin, shuffled, startChild, startServer, table, whole } from "./measure.ts"
import type { Sample, Slice } from "./variant.ts"

/** The maximum CPU time of a call, as a share of a bare one: with a policy, and with a policy and guards. */
const goals = { ours: 0.6, "ours-guarded": 0.75 } as const

const { values: flags } = parseArgs({
  options: {
    "no-goal": { type: "boolean", default: false },
    "no-pin": { type: "boolean", default: false },
    rounds: { type: "string", default: "21" },
    slice: { type: "string", default: "500" },
    writes: { type: "string", default: "1" },
    concurrency: { type: "string", default: "1,16,128" },
    only: { type: "string", default: "bare,ours,ours-guarded" }
  }
})
const rounds = count("rounds", flags.rounds)
const slice = count("slice", flags.slice)
const writes = count("writes", flags.writes)
const levels = flags.concurrency.split(",").map((level) => count("concurrency", level))

const names = {
  bare: "bare SDK, create",
  ours: "ours, Policy.standard, NodeAnthropic",
  "ours-guarded": "the same, behind guards",
  "bare-stream": "bare SDK, stream: true, iterated",
  "ours-plain": "ours, no policy, NodeAnthropic",
  "ours-fetch": "ours, Policy.standard, Anthropic (fetch)",
  floor: "undici.request, streamed, bytes only"
} as const

/** The CPU time of a variant at one concurrency level, as a share of the bare SDK's. */
interface Share {
  readonly name: string
  readonly share: number
  readonly goal: number
}

interface Variant {
  readonly key: string
  readonly name: string
  readonly sample: (slice: Slice) => Promise<Sample>
  readonly kill: () => void
}

const start = async (key: string, name: string): Promise<Variant> => {
  const { ask, child } = await startChild("variant.ts", [key, url])
  if (pinned) pin(child.pid, 0)
  return { key, name, sample: ask, kill: () => child.kill() }
}

// -----------------------------------------------------------------------------
// Measuring
// -----------------------------------------------------------------------------

/** Measures all variants at one concurrency level. Returns the share of each variant that has a goal, if the bare SDK was measured too. */
const measure = async (concurrency: number): Promise<ReadonlyArray<Share>> => {
  const samples = new Map(variants.map((variant) => [variant, [] as Array<Sample>]))
  for (const { sample } of variants) await sample({ concurrency, millis: 500 })
  for (let round = 0; round < rounds; round++) {
    for (const variant of shuffled(variants)) {
      samples.get(variant)?.push(await variant.sample({ concurrency, millis: slice }))
    }
  }
  const costs = new Map(
    [...samples].map(([{ key }, taken]) => [key, lowerQuartile(taken.map((sample) => sample.cpu))])
  )
  const bare = costs.get("bare") ?? NaN
  const rows = [...samples].map(([{ key, name }, taken]) => {
    const cost = costs.get(key) ?? NaN
    return [
      name,
      whole(cost),
      Number.isNaN(bare) ? "" : (cost / bare).toFixed(2),
      whole(lowerQuartile(taken.map(({ p50 }) => p50))),
      whole(taken.reduce((sum, { calls }) => sum + calls, 0))
    ]
  })
  console.log(`\n${table([`concurrency ${concurrency}`, "cpu us/call", "x bare", "p50 us", "calls"], rows)}`)
  return Object.entries(goals).flatMap(([key, goal]) => {
    const share = (costs.get(key) ?? NaN) / bare
    return Number.isNaN(share) ? [] : [{ name: `${key} at ${concurrency}`, share, goal }]
  })
}

// -----------------------------------------------------------------------------
// Run
// -----------------------------------------------------------------------------

const { server, url } = await startServer(writes)
const pinned = !flags["no-pin"] && pin(server.pid, 1)
const variants: Array<Variant> = []
try {
  const wanted = flags.only === "all" ? undefined : flags.only.split(",")
  for (const [key, name] of Object.entries(names)) {
    if (wanted?.includes(key) ?? true) variants.push(await start(key, name))
  }
  console.log(
    `${rounds} slices of ${slice} ms per variant, lower quartiles; events in ${writes} ${
      writes === 1 ? "write" : "writes"
    }; ${pinned ? "clients on one processor, the server on another" : "not pinned"}`
  )

  // Warms up: in a process that has just started, code that is not yet compiled makes a call cost twice as much.
  for (const { sample } of variants) await sample({ concurrency: 16, millis: 4000 })

  const shares: Array<Share> = []
  for (const level of levels) shares.push(...await measure(level))

  const missed = shares.filter(({ goal, share }) => share > goal)
  if (!flags["no-goal"] && shares.length > 0) {
    const list = (some: ReadonlyArray<Share>) =>
      some.map(({ goal, name, share }) => `${name} ${share.toFixed(2)} of at most ${goal}`).join(", ")
    if (missed.length > 0) {
      console.error(`\nA call costs more CPU time than the goal allows, as a share of a bare call: ${list(missed)}.`)
      process.exitCode = 1
    } else {
      console.log(`\nGoals met: ${list(shares)}.`)
    }
  }
} finally {
  for (const { kill } of variants) kill()
  server.kill()
}
