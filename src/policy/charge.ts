import * as Effect from "effect/Effect"
import { type Charge, Paid } from "../budget.ts"
import type { Claude } from "../Claude.ts"
import type { ClaudeError } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import * as Runtime from "../runtime.ts"
import { decisions } from "./decisions.ts"

/** Whether a request was sent before this failure, judged by its kind. If so, an attempt after the failure is extra load. */
export const wasSent = (error: ClaudeError): boolean => decisions[error._tag].sent

/** An attempt that follows a failed request for the same answer. */
interface Extra {
  /** The last failure of a request that was sent, judged by the kind of error (`wasSent`). */
  readonly because: ClaudeError
  readonly model: string
  /** Whether the attempt may wait for the budget. `false` if another model can be asked instead. */
  readonly waits: boolean
}

/** Pays for an extra attempt and runs it; runs `refused` if the budget refuses it. */
export const charged = <A, E, R>(
  claude: Claude["Service"],
  { because, model, waits }: Extra,
  attempt: Effect.Effect<A, E, R>,
  refused: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  const charge = Runtime.of(claude).budget.charge(because, model)
  // A deadline in the past makes the budget answer without a wait.
  const granted = waits ? charge : Effect.provideService(charge, Current.Deadline, -Infinity)
  return Effect.acquireUseRelease(
    Effect.map(granted, (charge) => charge && settledOnce(charge)),
    (charge) => charge === undefined ? refused : Effect.provideService(attempt, Paid, charge),
    (charge, exit) => charge === undefined ? Effect.void : charge.settle(exit)
  )
}

/** Ignores a second settlement: an unfinished answer settles its charge early, as failed, and again at its end. */
const settledOnce = (charge: Charge): Charge => {
  let isSettled = false
  return {
    ...charge,
    settle: (exit) =>
      Effect.suspend(() => {
        if (isSettled) return Effect.void
        isSettled = true
        return charge.settle(exit)
      })
  }
}
