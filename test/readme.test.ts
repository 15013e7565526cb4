/** Checks the README: its code is in an example or a test, and its tables and its output match the program. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { outage, policy } from "../examples/incident.ts"
import { adviceTable, decisionTable } from "../scripts/readme.ts"
import { ClaudeError, Policy, Retry } from "../src/index.ts"

const root = path.resolve(import.meta.dirname, "..")
const read = (file: string) => fs.readFileSync(path.join(root, file), "utf8")
const folder = (name: string) =>
  fs.readdirSync(path.join(root, name), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => read(`${name}/${file}`))

/** Code without its layout, and with the module names that a user imports. */
const flat = (code: string) =>
  code
    .replaceAll(`"../src/index.ts"`, `"resilient-claude"`)
    .replaceAll(`"../src/NodeAnthropic.ts"`, `"resilient-claude/node"`)
    .replaceAll(`"../src/testing/index.ts"`, `"resilient-claude/testing"`)
    .replaceAll(/\s+/g, " ")

const alive = [...folder("examples"), ...folder("test")].map(flat)
const fences = (text: string) => [...text.matchAll(/```ts\n([^]*?)```/g)].map(([, fence = ""]) => fence)

const comments = fs.readdirSync(path.join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .flatMap((file) =>
    [...read(`src/${file}`).matchAll(/\/\*\*[^]*?\*\//g)].map(([comment]) =>
      [file, comment.replaceAll(/^ *\* ?/gm, "")] as const
    )
  )

describe("the code in README and doc comments", () => {
  for (const [file, text] of [["README.md", read("README.md")] as const, ...comments]) {
    for (const fence of fences(text)) {
      it(`is in an example or a test: ${file}: ${fence.split("\n").find((line) => !line.startsWith("import"))}`, () => {
        const code = flat(fence).trim()
        assert.isTrue(alive.some((file) => file.includes(code)), `not found in examples/ or test/:\n${fence}`)
      })
    }
  }
})

describe("the documents", () => {
  it.each([
    ["docs/errors.md", "errors", adviceTable],
    ["docs/fallbacks.md", "decisions", decisionTable]
  ])("show in %s the current table of %s", (page, name, table) => {
    const [, written = ""] = new RegExp(`<!-- table of ${name} -->\\n([^]*?)\\n\\n`).exec(read(page)) ?? []
    assert.strictEqual(written, table())
  })

  it("name each kind of error once in the table of README.md, and say \"no\" only for kinds that Retry.standard never retries", () => {
    const [, table = ""] = /## What can go wrong\n\n([^]*?)\n\n/.exec(read("README.md")) ?? []
    const rows = table.split("\n").slice(2).map((row) => row.split("|"))
    const named = rows.flatMap(([, , tags = "", retried = ""]) =>
      [...tags.matchAll(/`(\w+)`/g)].map(([, tag = ""]) => [tag, retried.trim() !== "no"] as const)
    )
    assert.sameMembers(named.map(([tag]) => tag), ClaudeError.ClaudeError.members.map(({ identifier }) => identifier))
    const never = named.filter(([, isRetried]) => !isRetried).map(([tag]) => tag)
    for (const tag of never) assert.strictEqual(Retry.standard[tag as ClaudeError.Tag], Retry.never, tag)
  })

  it("keep README.md below 250 lines", () => {
    assert.isAtMost(read("README.md").split("\n").length, 250)
  })

  it("show, as the output of npm start in README.md, the current policy of examples/incident.ts and the failures of its outage", () => {
    const [, written = ""] = /<!-- output of npm start -->\n```text\n([^]*?)```/.exec(read("README.md")) ?? []
    assert.include(written, Policy.describe(policy).split("\n").map((line) => `  ${line}`).join("\n"))
    for (const failure of ["Overloaded", "RateLimited", "Unreachable", "PartialAnswer"]) {
      assert.include(written, failure)
    }
    assert.match(written, /asking again[^]*attempt 5 answered[^]*waits +4/)
    assert.isFunction(outage)
  })
})
