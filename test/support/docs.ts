/** The pages below docs/: every block of TypeScript on them is code of test/docs/ or examples/, which runs in the tests. */
import { assert } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "../..")
const read = (file: string) => fs.readFileSync(path.join(root, file), "utf8")

/** Code without its layout. */
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

/** Fails with the first block of a page that is in no file that runs. */
export const assertAlive = (page: string): void => {
  const files = code()
  const dead = blocksOf(page).find((block) => !files.some((file) => file.includes(flat(block))))
  assert.isUndefined(dead, `${page}: not found in examples/ or test/docs/:\n${dead}`)
}
