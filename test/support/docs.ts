/** Checks that every TypeScript block in docs/ is in test/docs/ or examples/, which the tests run. */
import { assert } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "../..")
const read = (file: string) => fs.readFileSync(path.join(root, file), "utf8")

/** Removes whitespace, so that code compares equal in any format. */
const flat = (code: string) => code.replaceAll(/\s+/g, "")

const code = () =>
  ["examples", "test/docs"].flatMap((folder) =>
    fs.readdirSync(path.join(root, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => flat(read(`${folder}/${file}`)))
  )

/** The TypeScript blocks of a page. */
export const blocksOf = (page: string): ReadonlyArray<string> =>
  [...read(page).matchAll(/```ts\n([^]*?)```/g)].map(([, block = ""]) => block)

/** Fails with the first block of a page that is in no test or example. */
export const assertAlive = (page: string): void => {
  const files = code()
  const dead = blocksOf(page).find((block) => !files.some((file) => file.includes(flat(block))))
  assert.isUndefined(dead, `${page}: not found in examples/ or test/docs/:\n${dead}`)
}
