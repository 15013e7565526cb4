import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { Rules as Unfinished } from "../answer/continuation.ts"
import { quietNeeds, shortest, usual } from "../answer/defaultLimits.ts"
import { type ClaudeError, ClaudeError as AnyError } from "../ClaudeError.ts"
import * as Refuse from "../options.ts"
import { isPermanent } from "../permanence.ts"
import { wasSent } from "./charge.ts"
import { compile, type Compiled } from "./compile.ts"
import { shareOf } from "./modelFallback.ts"
import * as Plan from "./plan.ts"
import type { Policy } from "./Policy.ts"
import { mostBeforeAnother, type Rules } from "./retryState.ts"
import type { How } from "./validateCall.ts"

export const describe = (policy: Policy): string => {
  const compiled = compile(policy)
  const { onBreak, overall, streamOverall, unfinished, validate } = compiled
  return [
    row("validate", validate === undefined ? "off" : validation(validate)),
    row(
      "overall",
      overall === undefined || overall === Infinity
        ? "no limit"
        : `at most ${Refuse.show(overall)} for everything below`
    ),
    ...streamOverall === undefined
      ? []
      : [
        row(
          "",
          streamOverall === Infinity
            ? "no time limit for a stream"
            : `a stream at most ${Refuse.show(streamOverall)}, including the time of its reader`
        )
      ],
    ...chain(policy, compiled),
    ...retries(policy, compiled.retries),
    row("attempt", limits(policy, compiled)),
    row("answer", unfinishedAnswers(unfinished)),
    row(
      "on break",
      onBreak === "restart"
        ? "ask again, and emit a restarted event"
        : onBreak === "resume"
        ? "ask for the rest, and emit a resumed event"
        : "fail, with the text so far in the error"
    )
  ].join("\n")
}

const validation = ({ count, strict }: How): string =>
  [
    "a malformed request fails",
    `what the model does not support ${strict ? "fails" : "logs a warning"}`,
    `the tokens of the prompt are ${count ? "counted" : "estimated"}`
  ].join(", ")

const chain = ({ models = [], refused }: Policy, { chain, overall }: Compiled): ReadonlyArray<string> => [
  row("models", models.length === 0 ? "only the model of the request" : `when retries end, ${models.join(", then ")}`),
  ...refused === undefined
    ? []
    : [row("", refused === "fail" ? "no other model after a refusal" : `after a refusal, ${refused.join(", then ")}`)],
  ...models.length === 0 || chain === undefined || overall === undefined
    ? []
    : [
      row(
        "",
        `${Refuse.show(chain.reserve)} reserved for each model that is left, or an equal share if less time is left`
      )
    ]
]

const unfinishedAnswers = ({ empty, paused, truncated }: Unfinished): string =>
  [
    `paused: ${paused.continue === 0 ? "fail" : `continued ${times(paused.continue)}`}`,
    `truncated: ${
      truncated === "fail"
        ? truncated
        : "raiseTo" in truncated
        ? `asked again once with max_tokens up to ${truncated.raiseTo}`
        : `continued ${times(truncated.continue)}`
    }`,
    `empty: ${empty === "fail" ? empty : "asked once to continue"}`
  ].join(", ")

const row = (name: string, what: string): string => `${name.padEnd(10)}${what}`

const length = (input: Parameters<typeof Refuse.millis>[1]): string => Refuse.show(Refuse.millis("policy", input))

/** For a limit that is not set, shows the default that applies on the first model to a short prompt without tools. */
const limits = (
  { attempt, connect, contentIdle, firstToken, idle, models = [] }: Policy,
  { chain, overall = Infinity, retriesTimeOuts }: Compiled
): string => {
  // If another attempt can follow, a stalled attempt may take a third of the time that the model has.
  const canFollow = models.length > 0 || retriesTimeOuts
  const share = chain === undefined ? overall : Math.min(overall, shareOf(chain, overall, 0))
  const third = canFollow ? share / 3 : Infinity
  const unset = (name: "connect" | keyof typeof quietNeeds): string => {
    const seconds = Math.round(Math.min(usual[name], Math.max(shortest, third)) / 100) / 10
    return name === "connect" ? `${seconds}s` : `${seconds}s (${quietNeeds[name] / 1000}s thinking)`
  }
  const total = attempt === undefined ? Infinity : Refuse.millis("policy", attempt)
  return [
    `headers in ${connect === undefined ? unset("connect") : length(connect)}`,
    `first token in ${firstToken === undefined ? unset("firstToken") : length(firstToken)}`,
    `silence up to ${idle === undefined ? unset("idle") : length(idle)}`,
    `no content up to ${contentIdle === undefined ? unset("contentIdle") : length(contentIdle)}`,
    total === Infinity ? "no limit in total" : `${Refuse.show(total)} in total`
  ].join(", ")
}

/** One row for each set of kinds that share the same waits. */
const retries = ({ models = [] }: Policy, { maxRetries, reask, schedule }: Rules): ReadonlyArray<string> => {
  const reasked = reask === 0
    ? []
    : [row("reask", `${times(reask)} after a malformed answer, without a wait, with a list of its mistakes`)]
  if (schedule === undefined) return [row("retry", never), ...reasked]
  const most = maxRetries === undefined
    ? ""
    : models.length === 0
    ? `, at most ${maxRetries} in total`
    : maxRetries <= mostBeforeAnother
    ? `, at most ${maxRetries} on each model`
    : `, at most ${maxRetries} on each model, ${mostBeforeAnother} if another model is left`
  const entries = entriesOf(schedule)
  if (entries === undefined) return [row("retry", `${waits(schedule, "Overloaded", maxRetries)}${most}`), ...reasked]
  const rows = new Map<string, Array<string>>()
  for (const [tag, entry] of entries) {
    const what = waits(entry, tag, maxRetries)
    rows.set(what, [...rows.get(what) ?? [], tag])
  }
  rows.delete(never)
  if (rows.size === 0) return [row("retry", never), ...reasked]
  return [
    row("retry", `by kind of error${most}`),
    ...[...rows].map(([what, tags]) => row("", `${tags.join(", ")}: ${what}`)),
    row("", "all other kinds of error: never"),
    row("", "each wait is at least retry-after, and ends before the deadline"),
    ...reasked
  ]
}

const never = "never"

const entriesOf = (schedule: Plan.AnySchedule) => {
  const plan = Plan.of(schedule)
  return plan?.kind === "byTag" ? plan.entries : undefined
}

/** How many times a kind of error is retried, and the range of each of the first waits. */
const waits = (schedule: Plan.AnySchedule, tag: string, maxRetries = Infinity): string => {
  const plan = Plan.of(schedule)
  if (plan === undefined) return "by a custom schedule"
  if (plan.kind === "byTag") {
    const entry = plan.entries.get(tag)
    return entry === undefined ? never : waits(entry, tag, maxRetries)
  }
  const error = sample(tag)
  const count = Math.min(plan.times, error !== undefined && !wasSent(error) ? Infinity : maxRetries)
  const shortest = firstWaits(schedule, error, count, 0)
  const longest = firstWaits(schedule, error, count, 1)
  if (shortest.length === 0) return never
  const all = shortest.map((from, i) => from === longest[i] ? `${from}s` : `${from}-${longest[i]}s`)
  const [shown, last] = [all.slice(0, 5), all.at(-1)]
  const isLast = last !== shown.at(-1) && (count === all.length || last === all.at(-2))
  return `${times(count)}, after ${shown.join(", ")}${count <= shown.length ? "" : isLast ? ` … ${last}` : " …"}`
}

/** Enough waits to see where a growing wait ends. */
const mostWaits = 100

/** The first waits of a schedule of `Retry` if the same error repeats, in seconds. `share` replaces the random number. */
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
  // Safe cast: the schedules of `Retry` take any error.
  const step = yield* Schedule.toStep(schedule as Schedule.Schedule<unknown, unknown>)
  const found: Array<number> = []
  while (found.length < Math.min(count, mostWaits)) {
    const wait = yield* Pull.catchDone(Effect.map(step(0, error), ([, wait]) => wait), () => Effect.undefined)
    if (wait === undefined) break
    found.push(Duration.toMillis(wait) / 1000)
  }
  return found
})

/** An example error; `undefined` for an application error. Has a `retryAfter` if the kind is retried only with one. */
const sample = (tag: string): ClaudeError | undefined => {
  const member = AnyError.members.find(({ identifier }) => identifier === tag)
  if (member === undefined) return undefined
  const make = (hint: object) =>
    // Safe cast: no kind of error requires further fields.
    new (member as new(fields: object) => ClaudeError)({ scope: "idle", ...hint })
  const error = make({})
  return isPermanent(error) ? make({ retryAfter: Duration.zero }) : error
}

const times = (n: number): string => n === 1 ? "once" : n === Infinity ? "without limit" : `${n} times`
