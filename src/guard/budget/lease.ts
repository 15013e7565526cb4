import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { hasProperty } from "effect/Predicate"
import { atNow } from "../../atNow.ts"
import type { Charge } from "../../budget.ts"
import * as Current from "../../Current.ts"
import type * as Guard from "../Guard.ts"
import { outcomeOf } from "../outcomes.ts"
import { type Bucket, fail, type Gift, release, succeeded, takeBack, type Ticket } from "./bucket.ts"

// -----------------------------------------------------------------------------
// Extra attempts
// -----------------------------------------------------------------------------

/**
 * The property of a charge that holds its ticket. An attempt carries the charge to the guard, which reads the ticket.
 */
const paidWith: unique symbol = Symbol("resilient-claude/RetryBudget/ticket")

interface Paid extends Charge {
  readonly [paidWith]: Ticket
}

export const chargeOf = (ticket: Ticket): Paid => ({
  [paidWith]: ticket,
  settle: (exit) => settleTicket(ticket, exit)
})

/** `undefined` for a first attempt, and for the charge of another kind of budget. */
export const ticketOf = (charge: Charge | undefined): Ticket | undefined =>
  isOurs(charge) ? charge[paidWith] : undefined

const isOurs = (charge: unknown): charge is Paid => hasProperty(charge, paidWith)

const settleTicket = (ticket: Ticket, exit: Guard.Ending): Effect.Effect<void> =>
  Effect.flatMap(Current.Deadline, (deadline) =>
    atNow((now) => {
      if (isWasted(exit, now, deadline)) fail(ticket, now)
      else release(ticket)
      return Effect.void
    }))

// -----------------------------------------------------------------------------
// Requests
// -----------------------------------------------------------------------------

interface Held {
  readonly bucket: Bucket
  /** `undefined` for a first attempt. */
  readonly ticket: Ticket | undefined
  readonly deadline: number
  /** The credit that the answer of a first attempt earned. The credit of an extra attempt is in `ticket` instead. */
  gift: Gift | undefined
}

export const leaseOf = (bucket: Bucket, ticket: Ticket | undefined, deadline: number): Guard.Lease => {
  const held: Held = { bucket, ticket, deadline, gift: undefined }
  return { opened: () => opened(held), settle: (exit) => settle(held, exit) }
}

const opened = (held: Held): Effect.Effect<void> =>
  atNow((now) => {
    const attempt = held.ticket ?? held
    attempt.gift = succeeded(held.bucket, now)
    return Effect.void
  })

const settle = ({ bucket, deadline, gift, ticket }: Held, exit: Guard.Ending): Effect.Effect<void> =>
  atNow((now) => {
    if (isWasted(exit, now, deadline)) {
      if (gift !== undefined) takeBack(bucket, gift)
      if (ticket !== undefined) fail(ticket, now)
    }
    return Effect.void
  })

/** An attempt that the deadline of its call interrupted is a loss too: the model may be too slow. */
const isWasted = (exit: Guard.Ending, now: number, deadline: number): boolean =>
  outcomeOf(exit).budget === "loss"
  || now >= deadline && Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)
