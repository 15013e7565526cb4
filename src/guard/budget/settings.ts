/** Checks the options of the budget, and fills in their defaults. */
import * as Refuse from "../../options.ts"
import type { Options } from "./RetryBudget.ts"

/** Options with defaults filled in. */
export type Settings = Required<{ readonly [K in keyof Options]: number }>

/**
 * One success pays for one failed extra attempt. If a share `f` of all attempts fails, there are f²/(1-f) failed extra
 * attempts per success: at 50 % failures this is 0.5, so the budget never runs out; above 62 % it is more than 1, which
 * counts as an outage. The size is ten because an hour of full outage may cost 27 extra attempts (5 % of 0.15 calls per
 * second), and 15 of these are paced attempts.
 */
const defaults: Settings = { size: 10 }

/** Fills in defaults. Throws a `RangeError` if the options are invalid. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("budget", options, defaults)
  const size = Refuse.count("budget: size", options.size ?? defaults.size)
  if (!(size >= 1 && Number.isFinite(size))) {
    Refuse.refuse(`budget: size is ${size}: it must be a whole number, 1 or more; for no limit, write budget: false`)
  }
  return { size }
}
