/** Checks that each mutant applies to the current code. `npm run mutate` checks that the tests kill it. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { mutants } from "../scripts/mutants.ts"

const at = (file: string) => path.join(import.meta.dirname, "..", file)

describe("the mutants", () => {
  it.each(mutants)("apply at one place and name an existing test file: $name", ({ file, find, replace, test }) => {
    assert.lengthOf(fs.readFileSync(at(file), "utf8").split(find), 2, `${file} has this once:\n${find}`)
    assert.notStrictEqual(find, replace)
    assert.isTrue(fs.existsSync(at(test)), test)
  })

  it("have unique names, at least two for each of G1 to G17", () => {
    assert.strictEqual(new Set(mutants.map(({ name }) => name)).size, mutants.length)
    for (let i = 1; i <= 17; i++) {
      assert.isAtLeast(mutants.filter(({ name }) => name.startsWith(`G${i}: `)).length, 2, `G${i}`)
    }
  })
})
