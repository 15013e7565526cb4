/**
 * Breaks the code on purpose and checks that a test fails (`npm run mutate`).
 *
 * First applies each mutant of `mutants.ts` in a copy of the project, and runs the test file that the mutant names. If
 * that file still passes, the mutant survived: its guarantee is not tested. Then Stryker makes small changes of all kinds
 * in the pure modules; the tests must notice a minimum share of them (`stryker.config.json`).
 *
 *   npm run mutate             all mutants, then Stryker: about half an hour
 *   npm run mutate -- G1 seam  the mutants of G1, and all mutants with "seam" in their names; no Stryker
 */
import { spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { mutants } from "./mutants.ts"

const root = path.resolve(import.meta.dirname, "..")
const words = process.argv.slice(2)
const has = (name: string, word: string) => /^G\d+$/.test(word) ? name.startsWith(`${word}:`) : name.includes(word)
const chosen = mutants.filter(({ name }) => words.length === 0 || words.some((word) => has(name, word)))

const copy = fs.mkdtempSync(path.join(os.tmpdir(), "mutate-"))
const tracked = spawnSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8"
})
for (const file of tracked.stdout.trimEnd().split("\n")) {
  fs.mkdirSync(path.dirname(path.join(copy, file)), { recursive: true })
  fs.copyFileSync(path.join(root, file), path.join(copy, file))
}
process.once("exit", () => fs.rmSync(copy, { recursive: true, force: true }))
process.once("SIGINT", () => process.exit(130))
fs.symlinkSync(path.join(root, "node_modules"), path.join(copy, "node_modules"))

/** The result of a test run. `status` is null if the run was killed at its limit. */
interface Run {
  readonly status: number | null
  readonly output: string
}

/** Stops a run at the first failure, and a test that hangs after 10 seconds, so that a mutant takes seconds. */
const quick = ["--bail", "1", "--testTimeout", "10000", "--hookTimeout", "10000", "--teardownTimeout", "2000"]

/**
 * Runs test files. Kills the run after `limit` milliseconds, because Vitest cannot end a mutant that loops without a
 * pause. Kills the whole process group, because the workers of Vitest must end too.
 */
const vitest = (tests: ReadonlyArray<string>, limit: number, options: ReadonlyArray<string> = []) =>
  new Promise<Run>((resolve) => {
    const child = spawn(
      process.execPath,
      [path.join(root, "node_modules/vitest/vitest.mjs"), "run", ...options, ...tests],
      {
        cwd: copy,
        detached: true,
        env: { ...process.env, CI: "true", NO_COLOR: "1" },
        stdio: ["ignore", "pipe", "pipe"]
      }
    )
    let output = ""
    child.stdout.on("data", (chunk) => output += chunk)
    child.stderr.on("data", (chunk) => output += chunk)
    const end = () => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL")
    }
    const timer = setTimeout(end, limit)
    process.once("exit", end)
    child.on("close", (status) => {
      clearTimeout(timer)
      process.off("exit", end)
      resolve({ status, output })
    })
  })

for (const { file, find, name } of chosen) {
  const places = fs.readFileSync(path.join(copy, file), "utf8").split(find).length - 1
  if (places !== 1) throw new Error(`${name}: ${file} has ${places} places with\n${find}\nbring the mutant up to date`)
}

const survivors: Array<string> = []
const started = performance.now()
const secondsSince = (start: number) => ((performance.now() - start) / 1000).toFixed(0)

// A test that fails without any mutant proves nothing about a mutant.
const before = await vitest([...new Set(chosen.map(({ test }) => test))], 600_000)
if (before.status !== 0) throw new Error(`the tests fail without any mutation:\n${before.output}`)

for (const { file, find, name, replace, test } of chosen) {
  const target = path.join(copy, file)
  const original = fs.readFileSync(target, "utf8")
  fs.writeFileSync(target, original.replace(find, () => replace))
  const begun = performance.now()
  const { output, status } = await vitest([test], 60_000, quick)
  fs.writeFileSync(target, original)
  const [red] = [...output.matchAll(/^\s*(?:FAIL|×)\s+(.*?)(?:\s+\d+ms)?$/gm)].map(([, title]) => title?.trim())
  const killed = status !== null && status !== 0 && red !== undefined
  if (!killed) survivors.push(name)
  const verdict = killed ? "killed  " : status === null ? "HUNG    " : "SURVIVED"
  console.log(`${verdict} ${secondsSince(begun).padStart(3)} s  ${name}${killed ? `  <- ${red}` : ""}`)
}
console.log(`\n${chosen.length - survivors.length} of ${chosen.length} mutants killed in ${secondsSince(started)} s`)
if (survivors.length > 0) {
  console.log(`not killed: ${survivors.join(", ")}`)
  process.exitCode = 1
}

if (words.length === 0) {
  const { status } = spawnSync(
    process.execPath,
    [path.join(root, "node_modules/@stryker-mutator/core/bin/stryker.js"), "run"],
    { cwd: root, stdio: "inherit" }
  )
  if (status !== 0) process.exitCode = 1
}
