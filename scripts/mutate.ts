/**
 * Breaks the code on purpose, one guarantee at a time, and looks whether a test goes red (`npm run mutate`).
 *
 * Each mutant of `mutants.ts` is applied in a copy of the project, and the test that it names is run there. One that
 * nobody notices is a survivor: a guarantee that is not tested.
 *
 *   npm run mutate             all of them
 *   npm run mutate -- G1 seam  those of G1, and those whose name has the word
 */
import { spawnSync } from "node:child_process"
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
fs.symlinkSync(path.join(root, "node_modules"), path.join(copy, "node_modules"))

const vitest = (tests: ReadonlyArray<string>) =>
  spawnSync(process.execPath, [path.join(root, "node_modules/vitest/vitest.mjs"), "run", ...tests], {
    cwd: copy,
    encoding: "utf8",
    env: { ...process.env, CI: "true", NO_COLOR: "1" },
    timeout: 300_000
  })

for (const { file, find, name } of chosen) {
  const places = fs.readFileSync(path.join(copy, file), "utf8").split(find).length - 1
  if (places !== 1) throw new Error(`${name}: ${file} has ${places} places with\n${find}\nbring the mutant up to date`)
}

const survivors: Array<string> = []
const started = performance.now()
try {
  // A test that is red already proves nothing.
  const before = vitest([...new Set(chosen.map(({ test }) => test))])
  if (before.status !== 0) throw new Error(`the tests fail without any mutation:\n${before.stdout}${before.stderr}`)

  for (const { file, find, name, replace, test } of chosen) {
    const target = path.join(copy, file)
    const original = fs.readFileSync(target, "utf8")
    fs.writeFileSync(target, original.replace(find, () => replace))
    const { status, stdout } = vitest([test])
    fs.writeFileSync(target, original)
    const red = [...stdout.matchAll(/^\s*(?:FAIL|×)\s+(.*)$/gm)].map(([, title]) => title?.trim())
    const killed = status !== 0 && red.length > 0
    if (!killed) survivors.push(name)
    console.log(`${killed ? "killed  " : "SURVIVED"}  ${name}${killed ? `  <- ${red[0]}` : ""}`)
  }
} finally {
  fs.rmSync(copy, { recursive: true, force: true })
}
const seconds = ((performance.now() - started) / 1000).toFixed(0)
console.log(`\n${chosen.length - survivors.length} of ${chosen.length} mutants killed in ${seconds} s`)
if (survivors.length > 0) {
  console.log(`survivors: ${survivors.join(", ")}`)
  process.exitCode = 1
}
