/**
 * Runs this library and its rivals through all scenarios: `npm run lab`, or `npm run lab a b35` for some of them.
 *
 * `--seeds N` runs each scenario with N seeds (default: 1) and prints the medians; `--json` prints each result as a line
 * of JSON; `--markdown` prints the table of the README.
 */
import * as Os from "node:os"
import { parseArgs } from "node:util"
import { Worker } from "node:worker_threads"
import type { Simulator } from "../src/testing/index.ts"
import { scenarios } from "./scenarios.ts"
import { details, header, markdown, markdownHeader, row } from "./table.ts"

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    seeds: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
    markdown: { type: "boolean", default: false }
  }
})

const unknown = positionals.filter((name) => !scenarios.some((entry) => entry.name === name))
if (unknown.length > 0) {
  console.error(
    `No scenario is named ${unknown.join(", ")}. The scenarios are: ${scenarios.map(({ name }) => name).join(", ")}`
  )
  process.exit(1)
}
const chosen = scenarios.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
const seeds = Array.from({ length: Math.max(1, Number(values.seeds) || 1) }, (_, index) => index + 1)

/** A worker sends one message for each scenario. */
type Message = { readonly name: string; readonly results: ReadonlyArray<Simulator.Result> }

const results = new Map<string, ReadonlyArray<Simulator.Result>>()
let next = 0
let printed = 0

/** Prints the results that have arrived, in the order of the scenarios: a result waits for all earlier scenarios. */
const print = () => {
  for (let entry = chosen[printed]; entry !== undefined; entry = chosen[++printed]) {
    const found = results.get(entry.name)
    if (found === undefined) return
    if (values.json) { for (const result of found) console.log(JSON.stringify(result)) }
    else if (values.markdown) console.log(markdown(entry, found))
    else console.log(positionals.length > 0 ? details(entry, found) : row(entry, found))
  }
}

const progress = (text: string) => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
}

const give = (worker: Worker) => {
  const entry = chosen[next++]
  if (entry === undefined) void worker.terminate()
  else worker.postMessage({ name: entry.name, seeds })
}

if (!values.json) console.log(values.markdown ? markdownHeader : header)
const count = Math.min(chosen.length, Os.availableParallelism())
const workers = Array.from({ length: count }, () => new Worker(new URL("./worker.ts", import.meta.url)))
for (const worker of workers) {
  worker.on("message", ({ name, results: found }: Message) => {
    results.set(name, found)
    progress("")
    print()
    progress(`${results.size} of ${chosen.length} scenarios`)
    if (results.size === chosen.length) progress("")
    give(worker)
  })
  worker.on("error", (error) => {
    console.error(error)
    process.exit(1)
  })
  give(worker)
}
