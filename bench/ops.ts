/**
 * Counts the work of one call: `node bench/ops.ts`.
 *
 * Makes calls over real HTTP and counts, with V8's precise coverage, how often each function of the library and of
 * Effect is entered. The counts do not depend on the speed of the machine, so they show changes that are too small to
 * time. They leave out the SDK and undici, so a lower count is only a hint, and `call.ts` decides. `--top=40` lists the
 * functions entered most.
 */
import { ManagedRuntime } from "effect"
import { readFileSync } from "node:fs"
import { Session } from "node:inspector/promises"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"
import { Claude, Guards, Policy } from "../src/index.ts"
import * as NodeAnthropic from "../src/NodeAnthropic.ts"
import { count, startServer, table } from "./measure.ts"

const { values: flags } = parseArgs({
  options: { top: { type: "string" }, writes: { type: "string", default: "1" } }
})
const calls = 100

interface Entered {
  readonly name: string
  readonly file: string
  readonly line: number
  readonly perCall: number
}

const counted = async (session: Session, call: () => Promise<unknown>): Promise<ReadonlyArray<Entered>> => {
  for (let i = 0; i < 20; i++) await call()
  await sleep(20)
  await session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: false })
  for (let i = 0; i < calls; i++) await call()
  // Work that the calls left for later counts too.
  await sleep(20)
  const { result } = await session.post("Profiler.takePreciseCoverage")
  await session.post("Profiler.stopPreciseCoverage")
  return result
    .filter(({ url }) => /node_modules\/effect\/|\/src\//.test(url) && url.startsWith("file:"))
    .flatMap(({ functions, url }) => {
      const source = readFileSync(new URL(url), "utf8")
      return functions.flatMap(({ functionName, ranges: [range] }) =>
        range === undefined || range.count < calls / 4 ? [] : [{
          name: functionName === "" ? "(anonymous)" : functionName,
          file: url.replace(/.*\/(node_modules\/effect\/dist|src)\//, (_, root) => root === "src" ? "src/" : "effect/"),
          line: source.slice(0, range.startOffset).split("\n").length,
          perCall: range.count / calls
        }]
      )
    })
}

const { server, url } = await startServer(count("writes", flags.writes))
const runtime = ManagedRuntime.make(NodeAnthropic.layer({ apiKey: "sk-ant-bench", baseUrl: url }))
const guards = Guards.apply({
  ...Guards.standard,
  concurrency: { max: 256, queue: 256 },
  quota: { requests: 1e9, inputTokens: 1e12, outputTokens: 1e12, per: "1 minute" }
})
const guarded = ManagedRuntime.make(guards(NodeAnthropic.layer({ apiKey: "sk-ant-bench", baseUrl: url })))
const session = new Session()
session.connect()
try {
  await session.post("Profiler.enable")
  const standard = Policy.apply(Policy.standard)
  const cases = [
    { name: "text, no policy", call: () => runtime.runPromise(Claude.text("hi")) },
    { name: "text, Policy.standard", call: () => runtime.runPromise(standard(Claude.text("hi"))) },
    { name: "the same, behind guards", call: () => guarded.runPromise(standard(Claude.text("hi"))) }
  ]
  const rows: Array<ReadonlyArray<string>> = []
  let last: ReadonlyArray<Entered> = []
  for (const { call, name } of cases) {
    last = await counted(session, call)
    const sum = (match: (entered: Entered) => boolean) =>
      last.filter(match).reduce((all, { perCall }) => all + perCall, 0).toFixed(0)
    rows.push([
      name,
      sum(() => true),
      sum(({ file }) => file.startsWith("src/")),
      sum(({ name }) => name === "shouldYield"),
      sum(({ name }) => name === "FiberImpl")
    ])
  }
  console.log(table(["per call", "functions entered", "of them ours", "effects run", "fibers"], rows))
  if (flags.top !== undefined) {
    const listed = last.toSorted((a, b) => b.perCall - a.perCall).slice(0, count("top", flags.top))
    console.log(`\n${
      table(
        ["last case", "line", "per call"],
        listed.map(({ file, line, name, perCall }) => [`${file} ${name}`, String(line), perCall.toFixed(1)])
      )
    }`)
  }
} finally {
  session.disconnect()
  await runtime.dispose()
  await guarded.dispose()
  server.kill()
}
