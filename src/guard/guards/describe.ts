/** What guards will do, as text. */
import * as Refuse from "../../options.ts"
import type * as Admission from "../admission/Admission.ts"
import { longestPause } from "../admission/pause.ts"
import { usualMaxWait } from "../admission/settings.ts"
import { firstPace, longestPace } from "../budget/bucket.ts"
import type * as RetryBudget from "../budget/RetryBudget.ts"
import type * as Circuit from "../circuit/Circuit.ts"
import type { Guards } from "../Guards.ts"
import type * as Monitor from "../monitor/Monitor.ts"
import type * as Quota from "../quota/Quota.ts"
import { compile } from "./record.ts"

/** What guards will do, from the outside in. Throws a `RangeError` with a sentence if they contradict themselves. */
export const describe = (guards: Guards): string => {
  const { account, admits, budget, circuit, concurrency, extra, monitor, quota } = compile(guards)
  return [
    ...guards.account === undefined ? [] : [row("account", account)],
    row("monitor", monitor === undefined ? "no" : watch(monitor)),
    row("budget", budget === undefined ? "no limit on extra attempts" : bound(budget)),
    row(
      "gate",
      circuit === undefined
        ? "no"
        : "fails at once when the account has spent its money; at an open circuit, who may wait stands in one line, oldest first"
    ),
    row("queue", admits ? waits(concurrency) : "no"),
    ...admits
      ? [
        row(
          "",
          `after a 429 with a retry-after, its class of models waits as long, ${
            Refuse.show(longestPause)
          } at most; then one call looks`
        )
      ]
      : [],
    ...quota === undefined ? [] : amounts(quota, guards.quota ?? {}),
    row("circuit", circuit === undefined ? "no" : opens(circuit)),
    ...circuit === undefined
      ? []
      : [
        row(
          "",
          "then one probe at a time; when its answer begins, calls leave the line at a rate that grows in 5s to twice the one "
            + "from before"
        )
      ],
    ...extra.length === 0 ? [] : [row("extra", `${extra.length} of your own, asked last`)]
  ].join("\n")
}

const row = (name: string, what: string): string => `${name.padEnd(10)}${what}`

const percent = (share: number): string => `${Math.round(share * 1000) / 10}%`

const watch = ({ below, minimumCalls, window }: Monitor.Settings): string =>
  `tells when a circuit opens, and when fewer than ${percent(below)} of the calls of the last ${
    Refuse.show(window)
  } succeed, of at least ${minimumCalls}`

const bound = ({ size }: RetryBudget.Settings): string =>
  `for each model, ${size} failed extra attempts, and one more for each answer that begins; then one after ${
    Refuse.show(firstPace)
  }, doubled by each that fails up to ${Refuse.show(longestPace)}`

const waits = ({ max, maxWait, min, queue }: Admission.Settings): string =>
  [
    max === Infinity ? "any number may run" : min < max ? `${min} to ${max} run, fewer after losses` : `${max} run`,
    queue === 0
      ? "none wait"
      : `${queue === Infinity ? "any number" : queue} wait${
        maxWait === undefined
          ? `, until their deadline, or ${Refuse.show(usualMaxWait)} without one`
          : maxWait === Infinity
          ? ", until their deadline"
          : ` for ${Refuse.show(maxWait)} at most`
      }`,
    "interactive before default before background, tenants in turns, by class of models"
  ].join("; ")

const amounts = ({ estimate, own, per, told }: Quota.Settings, options: Quota.Options): ReadonlyArray<string> => {
  const limits = ({ inputTokens, outputTokens, requests }: Quota.Limits): string =>
    [[requests, "requests"], [inputTokens, "input tokens"], [outputTokens, "output tokens"]]
      .flatMap(([limit, name]) => limit === undefined ? [] : [`${limit} ${name}`])
      .join(", ")
  const usual = limits(options)
  return [
    row(
      "quota",
      `${percent(own.headroom)} of ${usual === "" ? "" : `${usual} `}per ${Refuse.show(per)}${
        told.headroom === own.headroom ? "" : ` (${percent(told.headroom)} while answers say what is left)`
      }, ${percent(own.burst)} at once; input by ${estimate === "count" ? "the API's count" : "its characters"}`
    ),
    ...Object.entries(options.classes ?? {}).map(([name, own]) => row("", `${name}: ${limits(own)}`))
  ]
}

const opens = (
  { failureRate, maxOpenFor, minimumCalls, openFor, slowAfter, slowRate, window }: Circuit.Settings
): string =>
  [
    `opens when ${percent(failureRate)} of the calls of the last ${
      Refuse.show(window)
    } fail, of at least ${minimumCalls}`,
    ...slowAfter === Infinity ? [] : [`or ${percent(slowRate)} begin after more than ${Refuse.show(slowAfter)}`],
    `for ${Refuse.show(openFor)} or a quarter of the outage so far, up to ${Refuse.show(maxOpenFor)}`
  ].join(", ")
