/** A call that wants to be let in, and one that was. */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Opened } from "../Claude.ts"
import { Saturated } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import type * as Guard from "../guard/Guard.ts"
import type * as Quota from "../guard/Quota.ts"
import type { Params, Usage } from "../Message.ts"
import type { Content } from "./content.ts"
import type { Estimator } from "./estimate.ts"
import { rankOf } from "./priority.ts"

/** What a request costs, and what is in it. */
export interface Priced {
  readonly cost: Quota.Amount
  readonly content: Content
  /** What the API counted, if it was asked. */
  readonly counted?: number | undefined
}

/** When a request was let in, and what had been taken in all, then. */
export interface Taken {
  readonly at: number
  readonly total: Quota.Amount
}

/** A call that wants to be let in. Times do not go back. */
export interface Ticket {
  readonly params: Params
  readonly rank: number
  readonly tenant: string
  /** Whether its caller waits only so long. */
  readonly hasDeadline: boolean
  /** When it stops waiting. */
  readonly until: number
  /** What it is to take of the quota, if there is one. */
  priced: Priced | undefined
  /** What it is estimated to use, where there is no quota and somebody wants to know. */
  size: Quota.Amount | undefined
  /** When it was let in. */
  taken: Taken | undefined
  /** Which one it was that was let in. */
  number: number
  /** Whether it looks if a pause is over. */
  looks: boolean
}

/** A call of a fiber, which stops waiting at a time. */
export const make = (
  params: Params,
  priced: Priced | undefined,
  fiber: Fiber.Fiber<unknown, unknown>,
  until: number
): Ticket => ({
  params,
  priced,
  rank: rankOf(fiber),
  tenant: fiber.getRef(Current.Tenant) ?? "",
  hasDeadline: fiber.getRef(Current.Deadline) < Infinity,
  until,
  size: undefined,
  taken: undefined,
  number: 0,
  looks: false
})

/** What a call is told that is not let in. It may come back in so many milliseconds, if that is known. */
export const turnedAway = ({ params: { model } }: Ticket, by: Saturated["by"], wait: number): Saturated =>
  new Saturated({ model, by, retryAfter: wait > 0 ? Duration.millis(Math.ceil(wait)) : undefined })

/** What it is estimated to use. */
export const sizeOf = (ticket: Ticket, estimator: Estimator): Quota.Amount => {
  if (ticket.priced !== undefined) return ticket.priced.cost
  if (ticket.size !== undefined) return ticket.size
  const { input, output } = estimator.of(ticket.params)
  return ticket.size = { requests: 1, input, output }
}

/** Who is told of a call that was let in. */
export interface Door {
  readonly began: (held: Held, answer: Opened) => Effect.Effect<void>
  readonly release: (
    held: Held,
    exit: Guard.Ending,
    usage: Usage | undefined,
    clock: number
  ) => Effect.Effect<void>
}

/** A slot, and what was taken of the quota for it. */
export class Held implements Guard.Held {
  readonly ticket: Ticket
  readonly door: Door
  hasBegun = false

  constructor(ticket: Ticket, door: Door) {
    this.ticket = ticket
    this.door = door
  }

  opened(answer: Opened): Effect.Effect<void> {
    return this.door.began(this, answer)
  }

  end(exit: Guard.Ending, usage: Usage | undefined, { now }: Guard.Place): Effect.Effect<void> {
    return this.door.release(this, exit, usage, now)
  }
}
