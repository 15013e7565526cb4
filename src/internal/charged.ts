/** What a budget pays for. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Charge, Claude } from "../Claude.ts"
import type { ClaudeError, Table } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
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

/** What the attempt that runs was paid for with: nothing, for the first one of a call. Guards read it. */
export const Paid = Context.Reference<Charge | undefined>("resilient-claude/Paid", { defaultValue: () => undefined })

/** An attempt that is paid for. */
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
}

/** Who is billed. */
export interface Payer {
  /** For the attempt that was paid for last. */
  bill: Bill | undefined
}

/** An extra attempt. */
export interface Extra {
  /** The failure after which it is made. */
  readonly because: ClaudeError
  readonly model: string
  /** Whether it waits until it may start. If another model is left to ask, that is better. */
  readonly waits: boolean
}

/** Pays for an extra attempt; does the other thing if it cannot be. */
export const pay = <A, E, R>(
  { budget }: Claude["Service"],
  { because, model, waits }: Extra,
  attempt: Effect.Effect<A, E, R>,
  refused: Effect.Effect<A, E, R>,
  payer?: Payer
): Effect.Effect<A, E, R> => {
  const charge = budget.charge(because, model)
  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      // No time is left to wait in.
      waits ? charge : Effect.provideService(charge, Current.Deadline, -Infinity),
      (charge) => charge === undefined ? refused : billed(charge, restore(attempt), payer)
    )
  )
}

const billed = <A, E, R>(
  charge: Charge,
  attempt: Effect.Effect<A, E, R>,
  payer: Payer | undefined
): Effect.Effect<A, E, R> => {
  const bill = new Bill(charge)
  if (payer !== undefined) payer.bill = bill
  return Effect.onExitPrimitive(
    Effect.provideService(attempt, Paid, charge),
    (exit) => Eager.left(bill.settle(exit))
  )
}
