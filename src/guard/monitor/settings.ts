/** Checks the options of the monitor, and fills in their defaults. */
import * as Refuse from "../../options.ts"
import type { Options } from "./Monitor.ts"

/** Options with defaults filled in; times in milliseconds. */
export interface Settings {
  readonly below: number
  readonly window: number
  readonly minimumCalls: number
}

/** The defaults: users notice one failed call in twenty, and the success rate of fewer than 20 calls means little. */
const defaults = { below: 0.95, window: "5 minutes", minimumCalls: 20 } as const

/** Fills in defaults. Throws a `RangeError` if an option is invalid. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("monitor", options, defaults)
  return {
    below: Refuse.share("monitor: below", options.below ?? defaults.below),
    window: Refuse.finite("monitor: window", options.window ?? defaults.window),
    minimumCalls: Refuse.whole("monitor: minimumCalls", options.minimumCalls ?? defaults.minimumCalls)
  }
}
