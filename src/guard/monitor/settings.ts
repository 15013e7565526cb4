import * as Refuse from "../../options.ts"
import type { Options } from "./Monitor.ts"

export interface Settings {
  readonly below: number
  /** In milliseconds. */
  readonly window: number
  readonly minimumCalls: number
}

/** Users notice one failed call in twenty. The success rate of fewer than 20 calls means little. */
const defaults = { below: 0.95, window: "5 minutes", minimumCalls: 20 } as const

/** Throws a `RangeError` if an option is invalid. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("Guards: monitor", options, defaults)
  return {
    below: Refuse.share("Guards: monitor: below", options.below ?? defaults.below),
    window: Refuse.finite("Guards: monitor: window", options.window ?? defaults.window),
    minimumCalls: Refuse.whole("Guards: monitor: minimumCalls", options.minimumCalls ?? defaults.minimumCalls)
  }
}
