/**
 * Compares the import of the package and its peer dependencies with the import of the peers alone:
 * `node bench/import.ts`.
 *
 * Fresh processes import one or the other in turn. Ends with exit code 1 if the package and its peers take more than
 * `goal` times the CPU time of the peers. The printed wall-clock times depend on what else the machine does.
 */
import { spawnSync } from "node:child_process"
import { mkdirSync, rmSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { count, lowerDecile, pin, shuffled, table } from "./measure.ts"

/** The maximum CPU time to import the package and its peers, as a multiple of the peers alone. */
const goal = 1.15

const { values: flags } = parseArgs({
  options: { "no-goal": { type: "boolean", default: false }, runs: { type: "string", default: "31" } }
})
const runs = count("runs", flags.runs)

// Builds inside the repository, so that imports find the peers in its `node_modules`.
const here = fileURLToPath(new URL(".", import.meta.url))
const temporary = `${here}.tmp`
const built = `${temporary}/import`

const peers = ["effect", "@anthropic-ai/sdk"]
const variants = [
  { key: "nothing", name: "nothing", modules: [] },
  { key: "peers", name: "effect + SDK", modules: peers },
  { key: "package", name: "effect + SDK + package", modules: [...peers, `${built}/index.js`] },
  {
    key: "wire",
    name: "effect + SDK + package + Anthropic",
    modules: [...peers, `${built}/index.js`, `${built}/Anthropic.js`]
  },
  {
    key: "alone",
    name: "package + Anthropic, without barrels",
    modules: [`${built}/index.js`, `${built}/Anthropic.js`]
  },
  { key: "undici", name: "effect + SDK + undici", modules: [...peers, "undici"] },
  {
    key: "node",
    name: "effect + SDK + undici + package + NodeAnthropic",
    modules: [...peers, "undici", `${built}/index.js`, `${built}/NodeAnthropic.js`]
  }
]

interface Sample {
  readonly cpu: number
  readonly wall: number
}

/** Milliseconds that a fresh process takes for the imports. */
const timed = (modules: ReadonlyArray<string>): Sample => {
  const imports = modules.map((name) => `await import(${JSON.stringify(name)});`).join("")
  const { NODE_COMPILE_CACHE: _, ...env } = process.env
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    ["--input-type=module", "-e", `${before}${imports}${after}`],
    { cwd: here, encoding: "utf8", env }
  )
  if (status !== 0) throw new Error(stderr)
  const [cpu = NaN, wall = NaN] = stdout.split(" ").map(Number)
  return { cpu, wall }
}

const before = "const start=performance.now(),used=process.cpuUsage();"
const after = "const {user,system}=process.cpuUsage(used);console.log((user+system)/1000+' '+(performance.now()-start))"

pin(process.pid, 1)
try {
  mkdirSync(built, { recursive: true })
  const build = spawnSync(process.execPath, [fileURLToPath(new URL("../scripts/build.ts", import.meta.url)), built], {
    encoding: "utf8"
  })
  if (build.status !== 0) throw new Error(`the package does not build\n${build.stdout}`)

  const samples = new Map(variants.map((variant) => [variant, [] as Array<Sample>]))
  for (const { modules } of variants) timed(modules)
  for (let run = 0; run < runs; run++) {
    for (const variant of shuffled(variants)) samples.get(variant)?.push(timed(variant.modules))
  }
  const deciles = (key: string): Sample => {
    const taken = [...samples].find(([variant]) => variant.key === key)?.[1] ?? []
    return { cpu: lowerDecile(taken.map(({ cpu }) => cpu)), wall: lowerDecile(taken.map(({ wall }) => wall)) }
  }
  const base = deciles("peers")
  console.log(`${runs} fresh processes each, in turns, lower deciles\n`)
  console.log(table(
    ["imports", "cpu ms", "x peers", "wall ms", "x peers"],
    variants.map(({ key, name }) => {
      const { cpu, wall } = deciles(key)
      return [name, cpu.toFixed(0), (cpu / base.cpu).toFixed(2), wall.toFixed(0), (wall / base.wall).toFixed(2)]
    })
  ))
  const ratio = deciles("package").cpu / base.cpu
  if (!flags["no-goal"]) {
    const verdict = `importing the package and its peers takes ${
      ratio.toFixed(3)
    } times the CPU time of the peers alone; the goal is at most ${goal}`
    if (ratio <= goal) console.log(`\nGoal met: ${verdict}.`)
    else {
      console.error(`\nGoal missed: ${verdict}.`)
      process.exitCode = 1
    }
  }
} finally {
  rmSync(temporary, { recursive: true, force: true })
}
