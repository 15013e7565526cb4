/** Drops idle queues, and waits for all queues to become empty. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Admission } from "./admission/guard.ts"
import { forgetAfter } from "./forgetAfter.ts"

/** How often a drain checks whether all calls ended. */
const lookEvery = "50 millis"

/** Waits up to `limit` ms until no call runs or waits. Returns whether that happened. */
export const emptied = (isEmpty: Effect.Effect<boolean>, limit: number): Effect.Effect<boolean> =>
  isEmpty.pipe(
    Effect.repeat({ until: (isEmpty) => isEmpty, schedule: Schedule.spaced(lookEvery) }),
    Effect.timeoutOrElse({ duration: limit, orElse: () => isEmpty })
  )

/** Drops the queues that have been idle for an hour. Called when a new queue is created. */
export const forget = (all: ReadonlyArray<Map<string, Admission>>, now: number): void => {
  for (const queues of all) {
    for (const [name, { isIdle }] of queues) if (isIdle(forgetAfter, now)) queues.delete(name)
  }
}
