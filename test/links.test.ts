/** Links in documents lead to existing files and headings, and named tests exist. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")
const docs = path.join(root, "docs")
const pages = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...(fs.existsSync(docs) ? fs.readdirSync(docs) : []).map((file) => `docs/${file}`)
]
const read = (file: string) => fs.readFileSync(path.join(root, file), "utf8")

/** Markdown without code. */
const prose = (text: string) => text.replaceAll(/```[^]*?```/g, "").replaceAll(/`[^`\n]*`/g, "")

/** The anchors of the headings of a page, by GitHub's rules. */
const anchorsOf = (file: string): ReadonlySet<string> =>
  new Set(
    [...read(file).replaceAll(/```[^]*?```/g, "").matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
      heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
    )
  )

describe.each(pages)("%s", (page) => {
  const links = [...prose(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link)
    .filter((link) => !/^https?:/.test(link))

  it.each(links.length === 0 ? ["#"] : links)("has a working link to %s", (link) => {
    if (link === "#") return
    const [file = "", anchor] = link.split("#")
    const target = file === "" ? page : path.posix.join(path.posix.dirname(page), file)
    assert.isTrue(fs.existsSync(path.join(root, target)), `there is no ${target}`)
    if (anchor !== undefined) assert.include([...anchorsOf(target)], anchor)
  })

  it("names only tests and files that exist", () => {
    const named = [...read(page).matchAll(/<!--([^]*?)-->/g)].flatMap(([, comment = ""]) =>
      [...comment.matchAll(/\b(?:test|bench|lab|examples|scripts)\/[\w./-]*\w/g)].map(([file]) => file)
    )
    assert.deepStrictEqual(named.filter((file) => !fs.existsSync(path.join(root, file))), [])
  })
})
