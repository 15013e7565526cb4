/** Checks the options of the monitor, and fills in their defaults. */
import * as Refuse from "../../options.ts"
import type { Options } from "./Monitor.ts"

/** The settings that were meant. */
export interface Settings {
  readonly below: number
  readonly window: number
  readonly minimumCalls: number
}

/** One call in twenty is what users notice; fewer than 20 calls say nothing. */
const defaults = { below: 0.95, window: "5 minutes", minimumCalls: 20 } as const

/** What is meant by the options. Throws a `RangeError` with a sentence if they cannot be meant. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("monitor", options, defaults)
  return {
    below: Refuse.share("monitor: below", options.below ?? defaults.below),
    window: Refuse.finite("monitor: window", options.window ?? defaults.window),
    minimumCalls: Refuse.whole("monitor: minimumCalls", options.minimumCalls ?? defaults.minimumCalls)
  }
}
