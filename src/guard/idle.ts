import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Admission } from "./admission/guard.ts"
import { forgetAfter } from "./forgetAfter.ts"

const drainCheckEvery = "50 millis"

/** Waits up to `limit` ms until no call runs or waits. Returns whether that happened. */
export const emptied = (isEmpty: Effect.Effect<boolean>, limit: number): Effect.Effect<boolean> =>
  isEmpty.pipe(
    Effect.repeat({ until: (isEmpty) => isEmpty, schedule: Schedule.spaced(drainCheckEvery) }),
    Effect.timeoutOrElse({ duration: limit, orElse: () => isEmpty })
  )

/** Called when a new queue is created. */
export const forget = (all: ReadonlyArray<Map<string, Admission>>, now: number): void => {
  for (const queues of all) {
    for (const [name, { isIdle }] of queues) if (isIdle(forgetAfter, now)) queues.delete(name)
  }
}
