/** Checks what docs/architecture.md says. Its code blocks are in this file. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { Claude } from "resilient-claude"
import { assertAlive } from "../support/docs.ts"
import * as First from "./programs/architecture.ts"

const root = path.resolve(import.meta.dirname, "../..")
const page = fs.readFileSync(path.join(root, "docs/architecture.md"), "utf8")
const text = (file: string) => fs.readFileSync(path.join(root, file), "utf8")

/** Each guarantee in the page's table, with the test files in its row. */
const guarantees = [...page.matchAll(/^\| (G\d+) \|.*\|(.*)\|$/gm)].map(([, name = "", tests = ""]) =>
  [name, [...tests.matchAll(/`(test\/[^`]+)`/g)].map(([, file = ""]) => file)] as const
)

/** All files and folders of `src/`, without the ending `.ts`. */
const names = new Set(
  fs.readdirSync(path.join(root, "src"), { recursive: true, encoding: "utf8" })
    .map((file) => file.replaceAll(path.sep, "/").replace(/\.ts$/, ""))
)

describe("docs/architecture.md", () => {
  it("contains only code that is in a test or an example", () => assertAlive("docs/architecture.md"))

  it.effect("the first program gets its answer from the wire that it defines", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* First.program, "Paris.")
      assert.isFunction((yield* Claude.Claude).open)
    }).pipe(Effect.provide(First.ClaudeLive)))

  it("lists all guarantees, each with tests that name it", () => {
    assert.deepStrictEqual(guarantees.map(([name]) => name), Array.from({ length: 17 }, (_, i) => `G${i + 1}`))
    for (const [name, files] of guarantees) {
      assert.isNotEmpty(files, name)
      for (const file of files) assert.match(text(file), new RegExp(`\\b${name}\\b`), `${file} does not name ${name}`)
    }
  })

  it("names only files that exist", () => {
    const mentioned = [...page.matchAll(/`((?:models|output|request|wire|answer|policy|guard|testing)\/[\w/]+?)\/?`/g)]
    assert.isAtLeast(mentioned.length, 15)
    for (const [, name = ""] of mentioned) assert.isTrue(names.has(name), `src/${name}.ts does not exist`)
  })
})
