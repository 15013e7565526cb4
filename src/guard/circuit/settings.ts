/** Checks the options of a circuit, and fills in their defaults. */
import * as Refuse from "../../options.ts"
import type { Options } from "./Circuit.ts"
import type * as Machine from "./state.ts"

/** Options with defaults filled in; times in milliseconds. */
export interface Settings extends Machine.Settings {
  readonly probeLease: number
  readonly slowAfter: number
}

/** The defaults, each with the simulation or the calculation behind it. */
const defaults = {
  // An outage at one call per second opens the circuit within 60 seconds.
  window: "60 seconds",
  // 12 calls per minute with 30 % errors are too few to judge an outage: retries handle them.
  minimumCalls: 20,
  // Calculated: at 20 calls per minute, half of which fail, chance opens the circuit once in 65 hours (at 0.8: two hours).
  failureRate: 0.9,
  // Simulated: after an outage of 20 seconds, the first answer comes within 6 seconds.
  openFor: "5 seconds",
  // Simulated: after an outage of an hour, the first answer comes within 31 seconds, and at most 130 probes were sent.
  maxOpenFor: "30 seconds",
  // Above the 120 seconds that a model may think before its first content.
  probeLease: "150 seconds"
} as const

/**
 * Bounds of each time, in milliseconds. A shorter time has no effect; a longer time would leave a recovery unnoticed.
 */
const [least, most] = [1000, 86_400_000]

/** Fills in defaults. Throws a `RangeError` if the options are invalid or contradict each other. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("circuit", options, { ...defaults, slow: true })
  if (options.slow !== undefined) Refuse.unknown("circuit: slow", options.slow, { after: true, rate: true })
  const millis = (name: "window" | "openFor" | "maxOpenFor" | "probeLease") => {
    const length = Refuse.finite(`circuit: ${name}`, options[name] ?? defaults[name])
    return length >= least && length <= most
      ? length
      : Refuse.refuse(`circuit: ${name} is ${Refuse.show(length)}: it must be from 1 second to 1 day`)
  }
  const openFor = millis("openFor")
  const maxOpenFor = options.maxOpenFor === undefined ? Math.max(openFor, millis("maxOpenFor")) : millis("maxOpenFor")
  if (openFor > maxOpenFor) {
    Refuse.refuse(
      `circuit: openFor (${Refuse.show(openFor)}) is longer than maxOpenFor (${
        Refuse.show(maxOpenFor)
      }): raise maxOpenFor or lower openFor`
    )
  }
  return {
    window: millis("window"),
    minimumCalls: Refuse.whole("circuit: minimumCalls", options.minimumCalls ?? defaults.minimumCalls),
    failureRate: Refuse.share("circuit: failureRate", options.failureRate ?? defaults.failureRate),
    slowAfter: options.slow === undefined ? Infinity : Refuse.finite("circuit: slow.after", options.slow.after),
    slowRate: options.slow === undefined ? Infinity : Refuse.share("circuit: slow.rate", options.slow.rate),
    openFor,
    maxOpenFor,
    recheck: 1000,
    probeLease: millis("probeLease")
  }
}
