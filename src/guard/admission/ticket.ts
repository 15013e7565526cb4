/** A call that wants to be let in, and one that was. */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import { Saturated } from "../../ClaudeError.ts"
import * as Current from "../../Current.ts"
import type { Params } from "../../Message.ts"
import type { Content } from "../../request/content.ts"
import type { Estimator } from "../../request/tokenEstimate.ts"
import * as Priority from "../priority.ts"
import type * as Quota from "../quota/Quota.ts"

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
  /** Whether its answer has begun. */
  hasBegun: boolean
}

/** The call that runs in a context, and stops waiting at a time. */
export const make = (
  context: Context.Context<never>,
  params: Params,
  priced: Priced | undefined,
  until: number
): Ticket => ({
  params,
  priced,
  rank: Priority.rankOf(Context.get(context, Current.Priority)),
  tenant: Context.get(context, Current.Tenant) ?? "",
  hasDeadline: Context.get(context, Current.Deadline) < Infinity,
  until,
  size: undefined,
  taken: undefined,
  number: 0,
  looks: false,
  hasBegun: false
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
