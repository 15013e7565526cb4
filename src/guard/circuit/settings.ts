import * as Refuse from "../../options.ts"
import type { Options } from "./Circuit.ts"
import type * as Machine from "./state.ts"

/** Times in milliseconds. */
export interface Settings extends Machine.Settings {
  readonly probeLease: number
  readonly slowAfter: number
}

const defaults = {
  // With one call per second, an outage opens the circuit within 60 seconds.
  window: "60 seconds",
  // With fewer calls in the window, the circuit stays closed, and the calls rely on retries. Simulated: it does not open at
  // 12 calls per minute of which 30 % fail.
  minimumCalls: 20,
  // Simulated: with 20 calls per minute at random times, half of them failing, chance opens the circuit once in 50 hours;
  // with a `failureRate` of 0.8, once in 2 hours.
  failureRate: 0.9,
  // Simulated: the first answer comes at most 6 seconds after the end of an outage of 20 seconds.
  openFor: "5 seconds",
  // Simulated with an outage of an hour: the first answer comes at most 31 seconds after its end; at most 130 probes.
  maxOpenFor: "30 seconds",
  // Above the 120 seconds that a model may think before its first content.
  probeLease: "150 seconds"
} as const

/**
 * The bounds of the durations that `millis` reads, in milliseconds. With a `maxOpenFor` of more than a day, a recovery
 * could stay unnoticed for more than a day.
 */
const [shortest, longest] = [1000, 86_400_000]

/** Throws a `RangeError` if the options are invalid or contradict each other. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("Guards: circuit", options, { ...defaults, slow: true })
  if (options.slow !== undefined) {
    Refuse.unknown(
      "Guards: circuit: slow",
      options.slow,
      { after: true, rate: true },
      `like { after: "10 seconds", rate: 0.5 }`
    )
  }
  const millis = (name: "window" | "openFor" | "maxOpenFor" | "probeLease") => {
    const length = Refuse.finite(`Guards: circuit: ${name}`, options[name] ?? defaults[name])
    return length >= shortest && length <= longest
      ? length
      : Refuse.refuse(`Guards: circuit: ${name} is ${Refuse.show(length)}: it must be from 1 second to 1 day`)
  }
  const openFor = millis("openFor")
  const maxOpenFor = options.maxOpenFor === undefined ? Math.max(openFor, millis("maxOpenFor")) : millis("maxOpenFor")
  if (openFor > maxOpenFor) {
    Refuse.refuse(
      `Guards: circuit: openFor (${Refuse.show(openFor)}) is longer than maxOpenFor (${
        Refuse.show(maxOpenFor)
      }): raise maxOpenFor or lower openFor`
    )
  }
  return {
    window: millis("window"),
    minimumCalls: Refuse.whole("Guards: circuit: minimumCalls", options.minimumCalls ?? defaults.minimumCalls),
    failureRate: Refuse.share("Guards: circuit: failureRate", options.failureRate ?? defaults.failureRate),
    slowAfter: options.slow === undefined ? Infinity : Refuse.finite("Guards: circuit: slow.after", options.slow.after),
    slowRate: options.slow === undefined ? Infinity : Refuse.share("Guards: circuit: slow.rate", options.slow.rate),
    openFor,
    maxOpenFor,
    recheck: 1000,
    probeLease: millis("probeLease")
  }
}
