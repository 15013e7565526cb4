/** What a budget pays for. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Charge, Claude } from "../Claude.ts"
import type { ClaudeError, Table } from "../ClaudeError.ts"
import * as Eager from "./eager.ts"

/** Whether an attempt after this failure is extra load. Where nothing was sent, it is none. */
const charged: Table<boolean> = {
  InvalidRequest: true,
  Unauthorized: true,
  Forbidden: true,
  NotFound: true,
  RequestTooLarge: true,
  ContextWindowExceeded: true,
  SpendLimitReached: true,
  RateLimited: true,
  Overloaded: true,
  ServerFault: true,
  Unreachable: true,
  PartialAnswer: true,
  UnexpectedResponse: true,
  Refused: true,
  Truncated: true,
  EmptyAnswer: true,
  MalformedOutput: true,
  TimedOut: true,
  DeadlineExceeded: true,
  CircuitOpen: false,
  Saturated: false
}

/** Whether something was sent before this failure. */
export const wasSent = (error: ClaudeError): boolean => charged[error._tag]

/** Whether the call that runs was counted already, by somebody outside of it. */
export const Counted = Context.Reference<boolean>("resilient-claude/Counted", { defaultValue: () => false })

/** An attempt that is counted or paid for. */
export class Bill {
  readonly charge: Charge
  isSettled = false

  constructor(charge: Charge) {
    this.charge = charge
  }

  /** Says how the attempt ended: the first time counts. */
  settle(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    if (this.isSettled) return Exit.void
    this.isSettled = true
    return this.charge.settle(exit)
  }

  /** Says how an answer ended that was opened in the attempt, to be read. */
  ended(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    return this.charge.ended?.(exit) ?? Exit.void
  }
}

/** Who is billed. */
export interface Payer {
  /** For the attempt that was counted or paid for last. */
  bill: Bill | undefined
}

/** Pays for an attempt that follows a failure after which something was sent; does the other thing if it cannot be. */
export const pay = <A, E, R>(
  { budget }: Claude["Service"],
  because: ClaudeError,
  attempt: Effect.Effect<A, E, R>,
  refused: Effect.Effect<A, E, R>,
  payer?: Payer
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      budget.charge(because),
      (charge) => charge === undefined ? refused : billed(charge, restore(attempt), payer)
    )
  )

/** Counts a call by its first attempt, now, where calls are counted. */
export const counted = <A, E, R>(
  claude: Claude["Service"] | undefined,
  now: number,
  attempt: Effect.Effect<A, E, R>,
  payer?: Payer
): Effect.Effect<A, E, R> => {
  const charge = claude?.budget.first?.(now)
  return charge === undefined ? attempt : Effect.flatMapEager(charge, (charge) => billed(charge, attempt, payer))
}

const billed = <A, E, R>(
  charge: Charge,
  attempt: Effect.Effect<A, E, R>,
  payer: Payer | undefined
): Effect.Effect<A, E, R> => {
  const bill = new Bill(charge)
  if (payer !== undefined) payer.bill = bill
  return Effect.onExitPrimitive(attempt, (exit) => Eager.left(bill.settle(exit)))
}
