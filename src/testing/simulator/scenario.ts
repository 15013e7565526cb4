/** What is simulated, as data. */
import * as Duration from "effect/Duration"
import type { Provider } from "./provider.ts"
import type { Traffic } from "./traffic.ts"

/** An imagined Claude and those who ask it. */
export interface Scenario {
  readonly name: string
  readonly provider: Provider
  readonly traffic: Traffic | ReadonlyArray<Traffic>
  /** How many processes share the traffic in turn, with guards of their own: 1. */
  readonly processes?: number | undefined
  /** How long a good answer may be silent: what contenders should set their limits to, if they have any. */
  readonly silence?: Duration.Input | undefined
}

/** The traffic of a scenario, as a list. */
export const trafficOf = ({ traffic }: Scenario): ReadonlyArray<Traffic> => "arrivals" in traffic ? [traffic] : traffic

/** Calls at a steady rate while every request fails with a 529, for so long, from the first minute on. */
export const outage = (length: Duration.Input, options: {
  /** Calls per second: 1. */
  readonly perSecond?: number | undefined
  /** How long a caller waits: 2 minutes. */
  readonly patience?: Duration.Input | undefined
} = {}): Scenario => {
  const from = 60_000
  const to = from + Duration.toMillis(Duration.fromInputUnsafe(length))
  return {
    name: `an outage of ${Duration.format(Duration.millis(to - from))}`,
    provider: { incidents: [{ from, to, fault: "overloaded" }] },
    traffic: {
      arrivals: { perSecond: options.perSecond ?? 1 },
      to: to + from,
      patience: options.patience ?? "2 minutes"
    }
  }
}
