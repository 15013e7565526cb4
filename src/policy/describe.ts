/** What a policy will do, as text. */
import type * as Schedule from "effect/Schedule"
import { defaultPaused } from "../answer/continuation.ts"
import { shortest, usual } from "../answer/defaultLimits.ts"
import * as Refuse from "../options.ts"
import { defaultReserve } from "./modelFallback.ts"
import * as Plan from "./plan.ts"
import type { Policy } from "./record.ts"

/** Order, limits, and the waits each kind of error would see. */
export const describe = (policy: Policy): string => {
  const { onBreak = "fail", overall, precheck, retry, streamOverall, strict = false, validate = true } = policy
  return [
    row("validate", validate ? validation(strict, precheck === "count") : "no"),
    row("overall", overall === undefined ? "no limit" : `at most ${length(overall)} for everything below`),
    ...streamOverall === undefined ? [] : [row("", `a stream at most ${length(streamOverall)}, until it is read`)],
    ...chain(policy),
    ...(retry === undefined ? [row("retry", "never")] : retries(retry)),
    row("attempt", limits(policy)),
    row("half-way", halfWay(policy)),
    row(
      "on break",
      onBreak === "restart"
        ? "ask again, and tell the reader to begin anew"
        : onBreak === "resume"
        ? "ask for the rest, and go on where the text ends"
        : "fail, with what had arrived"
    )
  ].join("\n")
}

const validation = (strict: boolean, counts: boolean): string =>
  [
    "shape fails",
    strict ? "the model catalogue fails" : "the model catalogue warns",
    counts ? "the prompt is counted" : "the prompt is estimated"
  ].join(", ")

const chain = ({ models = [], overall, refused, reserve }: Policy): ReadonlyArray<string> => [
  row("models", models.length === 0 ? "only the one asked for" : `when retrying is over, ${models.join(", then ")}`),
  ...refused === undefined
    ? []
    : [row("", refused === "fail" ? "none after a refusal" : `after a refusal, ${refused.join(", then ")}`)],
  ...models.length === 0 || overall === undefined
    ? []
    : [row("", `each of them keeps ${length(reserve ?? defaultReserve)} of the time, or a fair share of less`)]
]

const halfWay = ({ empty = "fail", paused = defaultPaused, truncated = "fail" }: Policy): string =>
  [
    `paused: ${paused.continue === 0 ? "fail" : `goes on ${times(paused.continue)}`}`,
    `cut off: ${
      truncated === "fail"
        ? truncated
        : "raiseTo" in truncated
        ? `asked once more with up to ${truncated.raiseTo} tokens`
        : `continued ${times(truncated.continue)}`
    }`,
    `empty: ${empty === "fail" ? empty : "asked once to go on"}`
  ].join(", ")

const row = (name: string, what: string): string => `${name.padEnd(10)}${what}`

const length = (input: Parameters<typeof Refuse.millis>[1]): string => Refuse.show(Refuse.millis("policy", input))

/** What is not set is shown for a short prompt without tools. */
const limits = ({ attempt, connect, contentIdle, firstToken, idle, overall, retry }: Policy): string => {
  const third = overall === undefined || retry === undefined ? Infinity : Refuse.millis("policy", overall) / 3
  const unset = (name: "connect" | "firstToken" | "idle" | "contentIdle", thinking = ""): string =>
    `${Math.round(Math.min(usual[name], Math.max(shortest, third)) / 100) / 10}s${thinking}`
  return [
    `headers in ${connect === undefined ? unset("connect") : length(connect)}`,
    `first token in ${firstToken === undefined ? unset("firstToken", " (120s thinking)") : length(firstToken)}`,
    `silence ${idle === undefined ? unset("idle") : length(idle)}`,
    `no content ${contentIdle === undefined ? unset("contentIdle", " (180s thinking)") : length(contentIdle)}`,
    attempt === undefined ? "no limit in all" : `${length(attempt)} in all`
  ].join(", ")
}

type AnySchedule = Schedule.Schedule<unknown, never>

/** One row for each kind of error, kinds that are treated alike together. */
const retries = (schedule: AnySchedule, most = ""): ReadonlyArray<string> => {
  const plan = Plan.of(schedule)
  if (plan?.kind === "atMost") return retries(plan.of, `, at most ${plan.times} in all`)
  if (plan?.kind !== "byTag") return [row("retry", `${waits(schedule)}${most}`)]
  const rows = new Map<string, Array<string>>()
  for (const [tag, entry] of plan.entries) {
    const what = waits(entry)
    rows.set(what, [...rows.get(what) ?? [], tag])
  }
  return [
    row("retry", `by kind of error${most}`),
    ...[...rows].filter(([what]) => what !== never).map(([what, tags]) => row("", `${tags.join(", ")}: ${what}`)),
    row("", "all others: never"),
    row("", "never sooner than the server asks, and no wait that cannot end in time")
  ]
}

const never = "never"

const waits = (schedule: AnySchedule): string => {
  const plan = Plan.of(schedule)
  switch (plan?.kind) {
    case undefined:
      return "custom"
    case "never":
      return never
    case "reask":
      return `${times(plan.times)} at once, with what was wrong`
    case "waits": {
      if (plan.times === 0) return never
      const shown = Array.from({ length: Math.min(plan.times, 5) }, (_, i) => spread(plan, plan.wait(i + 1)))
      return `${times(plan.times)}, after ${shown.join(", ")}${plan.times > 5 ? " …" : ""}`
    }
    case "atMost":
      return `${waits(plan.of)}, at most ${times(plan.times)}`
    case "byTag":
      return "by kind of error"
  }
}

const times = (n: number): string => n === 1 ? "once" : n === Infinity ? "without end" : `${n} times`

/** From the shortest to the longest wait. */
const spread = ({ base, cap, jitter }: Extract<Plan.Plan, { readonly kind: "waits" }>, wait: number): string => {
  const [from, to] = {
    none: [wait, wait],
    full: [0, wait],
    additive: [wait, wait + base],
    proportional: [0.8 * wait, 1.2 * wait]
  }[jitter]
  const [a = 0, b = 0] = [from, to].map((ms) => Math.min(cap, ms ?? 0) / 1000)
  return a === b ? `${b}s` : `${a}-${b}s`
}
