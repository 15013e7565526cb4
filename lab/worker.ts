/** A worker thread that runs one scenario with all contenders for each message. */
import { Effect } from "effect"
import { parentPort } from "node:worker_threads"
import { Simulator } from "../src/testing/index.ts"
import { guarded, without } from "./contenders.ts"
import { rivals } from "./rivals.ts"
import { scenarios } from "./scenarios.ts"

parentPort?.on("message", ({ name, seeds }: { readonly name: string; readonly seeds: ReadonlyArray<number> }) => {
  const entry = scenarios.find((entry) => entry.name === name)
  if (entry === undefined) throw new Error(`no scenario is named ${name}`)
  const results = Effect.runSync(Simulator.compare([entry], [guarded(entry), without, ...rivals(entry)], { seeds }))
  parentPort?.postMessage({ name, results })
})
