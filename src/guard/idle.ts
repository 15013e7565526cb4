/** Queues that nobody needs any more, and a process that waits until that is true of all. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Admission } from "./admission/Admission.ts"
import { forgetAfter } from "./forgetAfter.ts"

/** How often a drain looks whether all are done. */
const lookEvery = "50 millis"

/** Whether all are done, as soon as they are, or after so long. */
export const emptied = (isEmpty: Effect.Effect<boolean>, limit: number): Effect.Effect<boolean> =>
  isEmpty.pipe(
    Effect.repeat({ until: (isEmpty) => isEmpty, schedule: Schedule.spaced(lookEvery) }),
    Effect.timeoutOrElse({ duration: limit, orElse: () => isEmpty })
  )

/** Forgets queues that nobody uses, when another one is asked for. */
export const forget = (all: ReadonlyArray<Map<string, Admission>>, now: number): void => {
  for (const queues of all) {
    for (const [name, { isIdle }] of queues) if (isIdle(forgetAfter, now)) queues.delete(name)
  }
}
