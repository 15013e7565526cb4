/** What a budget pays for. */
import * as Effect from "effect/Effect"
import { type Charge, Paid } from "../budget.ts"
import type { Claude } from "../Claude.ts"
import type { ClaudeError } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import * as Runtime from "../runtime.ts"
import { decisions } from "./decisions.ts"

/** Whether something was sent before this failure, so that an attempt after it is extra load. */
export const wasSent = (error: ClaudeError): boolean => decisions[error._tag].sent

/** An extra attempt. */
interface Extra {
  /** The failure after which it is made. */
  readonly because: ClaudeError
  readonly model: string
  /** Whether it waits until it may start. If another model is left to ask, that is better. */
  readonly waits: boolean
}

/** Pays for an extra attempt; runs `refused` instead if it cannot be paid for. */
export const charged = <A, E, R>(
  claude: Claude["Service"],
  { because, model, waits }: Extra,
  attempt: Effect.Effect<A, E, R>,
  refused: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  const charge = Runtime.of(claude).budget.charge(because, model)
  // Before a deadline that has passed, nothing is waited for.
  const granted = waits ? charge : Effect.provideService(charge, Current.Deadline, -Infinity)
  return Effect.acquireUseRelease(
    Effect.map(granted, (charge) => charge && settledOnce(charge)),
    (charge) => charge === undefined ? refused : Effect.provideService(attempt, Paid, charge),
    (charge, exit) => charge === undefined ? Effect.void : charge.settle(exit)
  )
}

/** The same charge, of which the first settlement counts: an answer that stopped half-way is settled before its attempt ends. */
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
