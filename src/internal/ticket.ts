/** A call that wants to be let in, and one that was. */
import type * as Effect from "effect/Effect"
import type { Opened } from "../Claude.ts"
import type * as Guard from "../guard/Guard.ts"
import type * as Quota from "../guard/Quota.ts"
import type { Params, Usage } from "../Message.ts"
import type { Estimator } from "./estimate.ts"
import type { Priced, Taken } from "./meter.ts"

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
  /** Whether one more was let in because its answer began. */
  grew = false

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
