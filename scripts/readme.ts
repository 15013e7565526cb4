/** Updates the generated parts of the README and of docs/: the output of `npm start`, and the tables (`npm run readme`). */
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { ClaudeError, Fallback, Policy, Retry } from "../src/index.ts"
import { decisions } from "../src/policy/decisions.ts"

const root = path.resolve(import.meta.dirname, "..")

/** The meaning of a kind of error: the doc comment of its class. */
const meaning = (tag: string): string => {
  const source = fs.readFileSync(path.join(root, "src/errorKinds.ts"), "utf8")
  const before = source.slice(0, source.indexOf(`\nexport class ${tag} `))
  return before.slice(before.lastIndexOf("/** ") + 4, before.lastIndexOf(" */"))
}

/** An error of each kind. */
const errors = ClaudeError.ClaudeError.members.map((member) =>
  new (member as new(fields: object) => ClaudeError.ClaudeError)({ scope: "idle" })
)

/** The fallbacks after each kind of error, and the text of its notice, as a Markdown table. */
export const decisionTable = (): string => {
  const say = (decision: (typeof decisions)[ClaudeError.Tag]["otherModel" | "otherAccount"]) =>
    decision === true
      ? "yes"
      : decision === false
      ? "no"
      : decision === "larger"
      ? "a larger one"
      : "only after a fallback"
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

/** The retries and waits of `Retry.standard` by kind of error. A kind that is never retried has no entry. */
const waits = (): ReadonlyMap<string, string> =>
  new Map(
    Policy.describe({ retry: Retry.standard }).split("\n").flatMap((line) => {
      const [, tags = "", what = ""] = /^ +([A-Z][\w, ]+): (.*)$/.exec(line) ?? []
      return tags.split(", ").map((tag) => [tag, what] as const)
    })
  )

/** What the person on call does about each kind of error. */
const advice: ClaudeError.Table<string> = {
  InvalidRequest: "Read `detail` and `issues`, and correct the request. If it began with a release, roll back.",
  AuthenticationFailed: "Check the key: is it set here, was it rotated or revoked?",
  PermissionDenied: "Check the rights of the key and of its workspace. An account on hold is a case for support.",
  ResourceNotFound: "Check the model id in `model`. Replace a retired model.",
  RequestTooLarge: "Send fewer or smaller images and files.",
  ContextWindowExceeded: "Shorten the conversation, or add a model with a larger window to `models`.",
  SpendLimitReached:
    "Raise the limit or add credit. `regainsAt` says when the limit ends or the circuit sends its next probe. Until then, use another account.",
  RateLimited: "Compare the traffic with `limits`. Set `quota` in the guards, or ask for a higher limit.",
  Overloaded: "Wait: the incident is at the API. Read its status page. Another model may have capacity.",
  ServerFault: "Wait: the incident is at the API. Give support the `requestId`.",
  Unreachable: "Read `code`: DNS, firewall, proxy or certificate?",
  PartialAnswer: "Read `because`. If only long answers break, look for a proxy that closes long connections.",
  UnexpectedResponse: "Read `detail`. Often a proxy or a login page answers in place of the API: check the base URL.",
  Refused: "No outage. Look at the prompt and at `category`. The `refused` models of a policy may answer.",
  Truncated: "Raise `max_tokens`, or set `truncated` in the policy.",
  EmptyAnswer: "Look at the end of the prompt. Set `empty` in the policy.",
  MalformedOutput: "Read `issues`. Set `reask` in the policy, or simplify the schema.",
  TimedOut: "Read `scope`. Raise that limit if such answers are slow by nature; else wait, as for `Overloaded`.",
  DeadlineExceeded:
    "Read `history`: which attempts and waits took the time? Raise `overall`, or lower the limits of an attempt.",
  CircuitOpen: "A consequence. `why` names the failures that opened the circuit: look at those.",
  Saturated:
    "Read `by`. `concurrency`, `quota`: raise it, or shed load. `pause`, `ramp`: as for `RateLimited`. `drain`: ask another process."
}

/** The meaning, the default retries and the remedy of each kind of error, as a Markdown table. */
export const adviceTable = (): string => {
  const retried = waits()
  const rows = errors.map(({ _tag: tag }) =>
    `| \`${tag}\` | ${meaning(tag)} | ${retried.get(tag) ?? "never"} | ${advice[tag]} |`
  )
  return ["| error | what happened | `Retry.standard` retries it | what to do at 2 AM |", "|---|---|---|---|", ...rows]
    .join("\n")
}

/** Replaces the parts of a page that the expressions match. */
const write = (page: string, parts: ReadonlyArray<readonly [marked: RegExp, text: string]>): void => {
  const file = path.join(root, page)
  const written = parts.reduce(
    (text, [marked, part]) => text.replace(marked, () => part),
    fs.readFileSync(file, "utf8")
  )
  fs.writeFileSync(file, written)
}

if (import.meta.main) {
  const { ANTHROPIC_API_KEY: _, ...env } = process.env
  const output = execFileSync(process.execPath, [
    "--conditions=resilient-claude-source",
    path.join(root, "examples/incident.ts")
  ], {
    env: { ...env, NO_COLOR: "1" },
    encoding: "utf8"
  }).trimEnd().replaceAll(/ +$/gm, "")
  write("README.md", [[/(?<=<!-- output of npm start -->\n```text\n)[^]*?(?=\n```)/, output]])
  write("docs/errors.md", [[/(?<=<!-- table of errors -->\n)[^]*?(?=\n\n)/, adviceTable()]])
  write("docs/fallbacks.md", [[/(?<=<!-- table of decisions -->\n)[^]*?(?=\n\n)/, decisionTable()]])
}
