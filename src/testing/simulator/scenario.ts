import * as Duration from "effect/Duration"
import type { Provider } from "./provider.ts"
import type { Traffic } from "./traffic.ts"

/** A simulated Claude and its traffic. */
export interface Scenario {
  readonly name: string
  readonly provider: Provider
  readonly traffic: Traffic | ReadonlyArray<Traffic>
  /** The number of processes. They take the calls in turn, and each has separate guards. Default: 1. */
  readonly processes?: number | undefined
  /**
   * The longest silence in a good answer. The simulator does not read it: contenders can take their time limits
   * (`firstToken`, `idle`) from it.
   */
  readonly silence?: Duration.Input | undefined
}

export const trafficOf = ({ traffic }: Scenario): ReadonlyArray<Traffic> => "arrivals" in traffic ? [traffic] : traffic

/**
 * Calls at a steady rate. From minute 1 on, for `length`, every request fails with a 529. Calls stop one minute after the
 * end of this outage.
 */
export const outage = (length: Duration.Input, options: {
  /** Calls per second. Default: 1. */
  readonly perSecond?: number | undefined
  /** How long a caller waits for the answer. Default: 2 minutes. */
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
