/** What a policy will do, as text. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { Rules as Unfinished } from "../answer/continuation.ts"
import { shortest, usual } from "../answer/defaultLimits.ts"
import { type ClaudeError, ClaudeError as AnyError } from "../ClaudeError.ts"
import * as Refuse from "../options.ts"
import { isPermanent } from "../permanence.ts"
import { wasSent } from "./charge.ts"
import { compile, type Compiled } from "./compile.ts"
import * as Plan from "./plan.ts"
import type { Policy } from "./record.ts"
import { mostBeforeAnother, type Rules } from "./retryState.ts"
import type { How } from "./validateCall.ts"

/** Order, limits, and the waits each kind of error would see. */
export const describe = (policy: Policy): string => {
  const compiled = compile(policy)
  const { onBreak, overall, streamOverall, unfinished, validate } = compiled
  return [
    row("validate", validate === undefined ? "no" : validation(validate)),
    row("overall", overall === undefined ? "no limit" : `at most ${Refuse.show(overall)} for everything below`),
    ...streamOverall === undefined
      ? []
      : [row("", `a stream at most ${Refuse.show(streamOverall)}, until it is read`)],
    ...chain(policy, compiled),
    ...retries(policy, compiled.retries),
    row("attempt", limits(policy, compiled)),
    row("half-way", halfWay(unfinished)),
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

const validation = ({ count, strict }: How): string =>
  [
    "shape fails",
    strict ? "the model catalogue fails" : "the model catalogue warns",
    count ? "the prompt is counted" : "the prompt is estimated"
  ].join(", ")

const chain = ({ models = [], refused }: Policy, { chain, overall }: Compiled): ReadonlyArray<string> => [
  row("models", models.length === 0 ? "only the one asked for" : `when retrying is over, ${models.join(", then ")}`),
  ...refused === undefined
    ? []
    : [row("", refused === "fail" ? "none after a refusal" : `after a refusal, ${refused.join(", then ")}`)],
  ...models.length === 0 || chain === undefined || overall === undefined
    ? []
    : [row("", `each of them keeps ${Refuse.show(chain.reserve)} of the time, or a fair share of less`)]
]

const halfWay = ({ empty, paused, truncated }: Unfinished): string =>
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
const limits = (
  { attempt, connect, contentIdle, firstToken, idle, models = [] }: Policy,
  { overall, retriesTimeOuts }: Compiled
): string => {
  // A stall leaves time for another attempt, if there can be one.
  const canFollow = models.length > 0 || retriesTimeOuts
  const third = overall === undefined || !canFollow ? Infinity : overall / 3
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

/** One row for each kind of error, kinds that are treated alike together. */
const retries = ({ models = [] }: Policy, { maxRetries, reask, schedule }: Rules): ReadonlyArray<string> => {
  const reasked = reask === 0 ? [] : [row("reask", `a malformed answer ${times(reask)} at once, with what was wrong`)]
  if (schedule === undefined) return [row("retry", never), ...reasked]
  const most = maxRetries === undefined
    ? ""
    : models.length === 0
    ? `, at most ${maxRetries} in all`
    : `, at most ${maxRetries} on each model, ${Math.min(mostBeforeAnother, maxRetries)} while another may be asked`
  const entries = entriesOf(schedule)
  if (entries === undefined) return [row("retry", `${waits(schedule, "Overloaded", maxRetries)}${most}`), ...reasked]
  const rows = new Map<string, Array<string>>()
  for (const [tag, entry] of entries) {
    const what = waits(entry, tag, maxRetries)
    rows.set(what, [...rows.get(what) ?? [], tag])
  }
  return [
    row("retry", `by kind of error${most}`),
    ...[...rows].filter(([what]) => what !== never).map(([what, tags]) => row("", `${tags.join(", ")}: ${what}`)),
    row("", "all others: never"),
    row("", "never sooner than the server asks, and no wait that cannot end in time"),
    ...reasked
  ]
}

const never = "never"

const entriesOf = (schedule: Plan.AnySchedule) => {
  const plan = Plan.of(schedule)
  return plan?.kind === "byTag" ? plan.entries : undefined
}

/** How often a kind of error is retried, and the first waits, from the shortest to the longest. */
const waits = (schedule: Plan.AnySchedule, tag: string, maxRetries = Infinity): string => {
  const plan = Plan.of(schedule)
  if (plan === undefined) return "custom"
  if (plan.kind === "byTag") {
    const entry = plan.entries.get(tag)
    return entry === undefined ? never : waits(entry, tag, maxRetries)
  }
  const error = sample(tag)
  const count = Math.min(plan.times, error !== undefined && !wasSent(error) ? Infinity : maxRetries)
  const shortest = firstWaits(schedule, error, count, 0)
  const longest = firstWaits(schedule, error, count, 1)
  if (shortest.length === 0) return never
  const shown = shortest.map((from, i) => from === longest[i] ? `${from}s` : `${from}-${longest[i]}s`)
  return `${times(count)}, after ${shown.join(", ")}${count > shown.length ? " …" : ""}`
}

/** The first waits of one of our schedules after the same error again and again, in seconds. `share` is what chance says. */
const firstWaits = (schedule: Plan.AnySchedule, error: ClaudeError | undefined, count: number, share: number) =>
  Effect.runSync(Effect.provideService(stepped(schedule, error, count), Random.Random, {
    nextDoubleUnsafe: () => share,
    nextIntUnsafe: () => 0
  }))

const stepped = Effect.fnUntraced(function*(
  schedule: Plan.AnySchedule,
  error: ClaudeError | undefined,
  count: number
) {
  // Ours take any error.
  const step = yield* Schedule.toStep(schedule as Schedule.Schedule<unknown, unknown>)
  const found: Array<number> = []
  while (found.length < Math.min(count, 5)) {
    const wait = yield* Pull.catchDone(Effect.map(step(0, error), ([, wait]) => wait), () => Effect.undefined)
    if (wait === undefined) break
    found.push(Duration.toMillis(wait) / 1000)
  }
  return found
})

/** An error of a kind, if it is one of ours. One that is only retried with a hint when has one. */
const sample = (tag: string): ClaudeError | undefined => {
  const member = AnyError.members.find(({ identifier }) => identifier === tag)
  if (member === undefined) return undefined
  const make = (hint: object) =>
    // No kind needs more than these.
    new (member as new(fields: object) => ClaudeError)({ scope: "idle", ...hint })
  const error = make({})
  return isPermanent(error) ? make({ retryAfter: Duration.zero }) : error
}

const times = (n: number): string => n === 1 ? "once" : n === Infinity ? "without end" : `${n} times`
