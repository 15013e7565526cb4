import * as Refuse from "../../options.ts"
import { longestPause } from "../admission/pause.ts"
import type * as Admission from "../admission/settings.ts"
import { usualMaxWait } from "../admission/settings.ts"
import { firstPace, longestPace } from "../budget/bucket.ts"
import type * as RetryBudget from "../budget/settings.ts"
import type * as Circuit from "../circuit/settings.ts"
import type { Guards } from "../Guards.ts"
import type * as Monitor from "../monitor/settings.ts"
import type * as Quota from "../quota/Quota.ts"
import * as QuotaSettings from "../quota/settings.ts"
import { compile } from "./record.ts"

/** Describes the guards as text, for logs and tests. Throws a `RangeError` if the options are invalid. */
export const describe = (guards: Guards): string => {
  const { account, admits, budget, circuit, concurrency, extra, monitor, quota } = compile(guards)
  return [
    ...guards.account === undefined ? [] : [row("account", account)],
    row("monitor", monitor === undefined ? "off" : watch(monitor)),
    row("budget", budget === undefined ? "no limit on extra attempts" : bound(budget)),
    row("queue", admits ? waits(concurrency) : "off: no limit on running calls"),
    ...admits
      ? [
        row(
          "",
          `after a 429 with a retry-after, its class of models pauses for that time, at most ${
            Refuse.show(longestPause)
          }; then one call tests the limit`
        )
      ]
      : [],
    ...quota === undefined ? [] : amounts(quota, guards.quota ?? {}),
    row("circuit", circuit === undefined ? "off" : opens(circuit)),
    ...circuit === undefined
      ? []
      : [
        row(
          "",
          "then sends one probe at a time; once the answer to a probe begins, waiting calls are sent at a rate that grows in 5s "
            + "to twice the rate before the outage"
        ),
        row(
          "",
          "while it is open, calls that may wait for the probe do so in one line, by priority and then oldest first"
        ),
        row(
          "",
          "after the account reached its spend limit, calls fail immediately, and nothing is sent until the next probe"
        )
      ],
    ...extra.length === 0 ? [] : [row("extra", `custom guards: ${extra.length}, asked last`)]
  ].join("\n")
}

const row = (name: string, what: string): string => `${name.padEnd(10)}${what}`

const many = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`

const percent = (share: number): string => `${Math.round(share * 1000) / 10}%`

const watch = ({ below, minimumCalls, window }: Monitor.Settings): string =>
  `alerts when a circuit opens, or when fewer than ${percent(below)} of at least ${
    many(minimumCalls, "call")
  } in the last ${Refuse.show(window)} succeed`

const bound = ({ size }: RetryBudget.Settings): string =>
  `per model, ${
    many(size, "extra attempt")
  } may fail; each answer that begins allows one more, up to ${size} again; when none is left, one extra attempt after a wait of ${
    Refuse.show(firstPace)
  }, which doubles with each failure up to ${Refuse.show(longestPace)}`

const waits = ({ max, maxWait, min, queue }: Admission.Settings): string =>
  [
    `per class of models, ${
      min === Infinity
        ? "any number may run"
        : min < max
        ? `${
          max === Infinity ? `${min} or more` : `${min} to ${max}`
        } run, fewer after rate limits, overload and time-outs`
        : `at most ${max} run`
    }`,
    queue === 0
      ? "no call may wait"
      : `${queue === Infinity ? "any number" : `at most ${queue}`} may wait${
        maxWait === undefined
          ? `, until their deadline, or ${Refuse.show(usualMaxWait)} without one`
          : maxWait === Infinity
          ? ", until their deadline"
          : ` for ${Refuse.show(maxWait)} at most`
      }; interactive before default before background, tenants in turn`
  ].join("; ")

const amounts = (
  { estimate, own, per, told }: QuotaSettings.Settings,
  options: Quota.Options
): ReadonlyArray<string> => {
  const limits = ({ inputTokens, outputTokens, requests }: Quota.Limits): string =>
    Refuse.listed(
      ([[requests, "request"], [inputTokens, "input token"], [outputTokens, "output token"]] as const)
        .flatMap(([limit, name]) => limit === undefined ? [] : [many(limit, name)]),
      "and"
    )
  const usual = limits(options)
  return [
    row(
      "quota",
      `per class of models, uses ${percent(own.headroom)} of ${usual === "" ? "the limits below" : usual} per ${
        Refuse.period(per)
      }${
        told.headroom === own.headroom ? "" : ` (${percent(told.headroom)} while answers report the remaining quota)`
      }, ${
        options.burst === undefined
          ? "in one burst if needed"
          : `at most ${percent(own.burst)} of each limit in one burst`
      }; input tokens ${estimate === "count" ? "counted by the API" : "estimated from characters"}`
    ),
    ...Object.entries(options.classes ?? {}).map(([name, own]) =>
      row("", `${name}: ${limits(QuotaSettings.limitsOf(own, options))}`)
    )
  ]
}

const opens = (
  { failureRate, maxOpenFor, minimumCalls, openFor, slowAfter, slowRate, window }: Circuit.Settings
): string =>
  `opens when ${percent(failureRate)} of at least ${many(minimumCalls, "call")} in the last ${
    Refuse.show(window)
  } fail${
    slowAfter === Infinity ? "" : `, or ${percent(slowRate)} are answered only after ${Refuse.show(slowAfter)}`
  }; stays open for ${Refuse.show(openFor)} or a quarter of the outage so far, whichever is longer, at most ${
    Refuse.show(maxOpenFor)
  }`
