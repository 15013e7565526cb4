/** Runs an example by its number: `npm run example 02`. Without a number, lists the examples. */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"

const folder = path.resolve(import.meta.dirname, "../examples")
const files = fs.readdirSync(folder).filter((file) => file.endsWith(".ts")).toSorted()
const [name, ...args] = process.argv.slice(2)
const file = name === undefined ? undefined : files.find((file) => file.startsWith(name))
if (file === undefined) {
  const first = (file: string) =>
    fs.readFileSync(path.join(folder, file), "utf8").match(/\/\*\*\s*(?:\* )?(.*?)(?: ?\*\/)?\n/)?.[1]
  if (name !== undefined) console.error(`No example begins with ${name}. The examples are:`)
  console.log(files.map((file) => `${file.padEnd(26)}${first(file) ?? ""}`).join("\n"))
  process.exitCode = name === undefined ? 0 : 1
} else {
  const conditions = "--conditions=resilient-claude-source"
  process.exitCode =
    spawnSync(process.execPath, [conditions, path.join(folder, file), ...args], { stdio: "inherit" }).status ?? 1
}
