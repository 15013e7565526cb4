import * as Refuse from "../../options.ts"
import type { Options } from "./RetryBudget.ts"

export type Settings = Required<{ readonly [K in keyof Options]: number }>

/**
 * One success pays for one failed extra attempt. If a share `f` of all attempts fails, there are f²/(1-f) failed extra
 * attempts per success: at 50 % failures this is 0.5, so the budget hardly ever runs out; above 62 % it is more than 1,
 * so the budget runs out, as in an outage. With a size of ten, an hour of full outage costs about 25 extra attempts:
 * ten that empty the bucket, and 15 that start one by one while it is empty, each after a wait of up to 5 minutes. At
 * 0.15 calls per second, the hour has 540 calls, and 25 is less than 5 % of them.
 */
const defaults: Settings = { size: 10 }

/** Throws a `RangeError` if the options are invalid. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("Guards: budget", options, defaults)
  const size = options.size ?? defaults.size
  if (!(Number.isInteger(size) && size >= 1)) {
    Refuse.refuse(
      `Guards: budget: size is ${
        Refuse.shown(size)
      }: it must be a whole number, 1 or more; for no limit, write budget: false`
    )
  }
  return { size }
}
