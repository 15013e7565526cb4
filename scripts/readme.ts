/** Writes what the README shows of the program: its output, and its tables (`npm run readme`). */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { ClaudeError, Fallback, Policy, Retry } from "../src/index.ts"
import { decisions } from "../src/policy/decisions.ts"

const root = path.resolve(import.meta.dirname, "..")

/** What each kind is, in the words of its documentation. */
const meaning = (tag: string): string => {
  const source = fs.readFileSync(path.join(root, "src/errorKinds.ts"), "utf8")
  const before = source.slice(0, source.indexOf(`\nexport class ${tag} `))
  return before.slice(before.lastIndexOf("/** ") + 4, before.lastIndexOf(" */"))
}

/** An error of each kind. */
const errors = ClaudeError.ClaudeError.members.map((member) =>
  new (member as new(fields: object) => ClaudeError.ClaudeError)({ scope: "idle" })
)

/** Where else an answer is looked for after each kind of error, and what a person is told, as Markdown. */
export const decisionTable = (): string => {
  const say = (decision: boolean | string) =>
    decision === true ? "yes" : decision === false ? "no" : `a ${decision} one`
  const rows = errors.map((error) => {
    const { _tag: tag } = error
    const { lastGood, otherAccount, otherModel } = decisions[tag]
    return `| \`${tag}\` | ${
      [say(otherModel), say(otherAccount), say(lastGood), Fallback.toNotice(error).text].join(" | ")
    } |`
  })
  return [
    "| after | another model | another account | the last good answer | what `notice` says |",
    "|---|---|---|---|---|",
    ...rows
  ].join("\n")
}

/** What happens to each kind of error by default, as Markdown. */
export const errorTable = (): string => {
  const waits = new Map(
    Policy.describe({ retry: Retry.standard }).split("\n").flatMap((line) => {
      const [, tags = "", what = ""] = /^ +([A-Z][\w, ]+): (.*)$/.exec(line) ?? []
      return tags.split(", ").map((tag) => [tag, what] as const)
    })
  )
  const rows = errors.map(({ _tag: tag }) => `| \`${tag}\` | ${meaning(tag)} | ${waits.get(tag) ?? "never"} |`)
  return ["| error | what happened | retried |", "|---|---|---|", ...rows].join("\n")
}

if (import.meta.main) {
  const file = path.join(root, "README.md")
  const { ANTHROPIC_API_KEY: _, ...env } = process.env
  const output = execFileSync(process.execPath, [
    "--conditions=resilient-claude-source",
    path.join(root, "examples/incident.ts")
  ], {
    env: { ...env, NO_COLOR: "1" },
    encoding: "utf8"
  }).trimEnd().replaceAll(/ +$/gm, "")
  const readme = fs.readFileSync(file, "utf8")
    .replace(/(?<=<!-- output of npm start -->\n```text\n)[^]*?(?=\n```)/, () => output)
    .replace(/(?<=<!-- table of errors -->\n)[^]*?(?=\n\n)/, () => errorTable())
    .replace(/(?<=<!-- table of decisions -->\n)[^]*?(?=\n\n)/, () => decisionTable())
  fs.writeFileSync(file, readme)
}
