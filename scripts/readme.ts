/** Writes what the README shows of the program: its output, and the table of errors (`npm run readme`). */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { ClaudeError, Fallback, Policy, Retry } from "../src/index.ts"

const root = path.resolve(import.meta.dirname, "..")

/** What each kind is, in the words of its documentation. */
const meaning = (tag: string): string => {
  const source = fs.readFileSync(path.join(root, "src/ClaudeError.ts"), "utf8")
  const before = source.slice(0, source.indexOf(`\nexport class ${tag} `))
  return before.slice(before.lastIndexOf("/** ") + 4, before.lastIndexOf(" */"))
}

/** What happens to each kind of error by default, as Markdown. */
export const errorTable = (): string => {
  const waits = new Map(
    Policy.describe({ retry: Retry.standard }).split("\n").flatMap((line) => {
      const [, tags = "", what = ""] = /^ +([A-Z][\w, ]+): (.*)$/.exec(line) ?? []
      return tags.split(", ").map((tag) => [tag, what] as const)
    })
  )
  const rows = ClaudeError.ClaudeError.members.map((member) => {
    const error = new (member as new(fields: object) => ClaudeError.ClaudeError)({ scope: "idle" })
    const another = Fallback.isWorthAnotherModel(error) ? "yes" : "no"
    return `| \`${error._tag}\` | ${meaning(error._tag)} | ${waits.get(error._tag) ?? "never"} | ${another} |`
  })
  return ["| error | what happened | retried | another model asked |", "|---|---|---|---|", ...rows].join("\n")
}

if (import.meta.main) {
  const file = path.join(root, "README.md")
  const { ANTHROPIC_API_KEY: _, ...env } = process.env
  const output = execFileSync(process.execPath, [path.join(root, "examples/incident.ts")], {
    env: { ...env, NO_COLOR: "1" },
    encoding: "utf8"
  }).trimEnd().replaceAll(/ +$/gm, "")
  const readme = fs.readFileSync(file, "utf8")
    .replace(/(?<=<!-- output of npm start -->\n```text\n)[^]*?(?=\n```)/, () => output)
    .replace(/(?<=<!-- table of errors -->\n)[^]*?(?=\n\n)/, () => errorTable())
  fs.writeFileSync(file, readme)
}
