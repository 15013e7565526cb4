/** Links in documents lead to existing files and headings, named tests exist, and each claim is followed by its test. */
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

  it("names only existing files in its comments", () => {
    const named = [...read(page).matchAll(/<!--([^]*?)-->/g)].flatMap(([, comment = ""]) =>
      [...comment.matchAll(/\b(?:test|bench|lab|examples|scripts)\/[\w./-]*\w/g)].map(([file]) => file)
    )
    assert.deepStrictEqual(named.filter((file) => !fs.existsSync(path.join(root, file))), [])
  })
})

// -----------------------------------------------------------------------------
// Claims
// -----------------------------------------------------------------------------

const scripts: ReadonlyArray<string> = Object.keys(JSON.parse(read("package.json")).scripts)

/** Whether a comment names an existing file of the tests, benchmarks or lab, or an existing npm script. */
const names = (comment: string): boolean =>
  [...comment.matchAll(/\b(?:test|bench|lab)\/[\w./-]+\.ts/g)].some(([file]) => fs.existsSync(path.join(root, file))) ||
  [...comment.matchAll(/\bnpm run ([\w:]+)/g)].some(([, script = ""]) => scripts.includes(script))

/** Whether a paragraph makes no claim: it only links to other pages, or names the licence. */
const onlyLeads = (paragraph: string): boolean =>
  /^(More|Next|See also): /.test(paragraph) || /^See \[[^.]+\]\([^)]+\)\.$/.test(paragraph) || paragraph === "MIT"

/** The paragraphs, lists and tables after the last comment of their section that names a test. */
const unheld = (page: string): ReadonlyArray<string> =>
  read(page).replaceAll(/^```[^]*?^```$/gm, "").split(/^(?=#+ )/m).flatMap((section) => {
    const comments = [...section.matchAll(/<!--([^]*?)-->/g)].filter(([, comment = ""]) => names(comment))
    const [last] = comments.slice(-1)
    const rest = last === undefined ? section.replace(/^#.*/, "") : section.slice(last.index + last[0].length)
    return rest.replaceAll(/<!--[^]*?-->/g, "").split(/\n\s*\n/).map((paragraph) => paragraph.trim()).filter((
      paragraph
    ) => paragraph !== "" && !onlyLeads(paragraph))
  })

describe.each(pages.filter((page) => page === "README.md" || page.startsWith("docs/")))("%s", (page) => {
  it("names a test or a command after each claim", () => {
    assert.deepStrictEqual(unheld(page), [])
  })
})
