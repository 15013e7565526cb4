import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import { Saturated } from "../../ClaudeError.ts"
import * as Current from "../../Current.ts"
import type { Params } from "../../Message.ts"
import type { Content } from "../../request/content.ts"
import type { Estimator } from "../../request/tokenEstimate.ts"
import * as Priority from "../priority.ts"
import type * as Quota from "../quota/Quota.ts"

export interface Priced {
  readonly cost: Quota.Amount
  readonly content: Content
  /** The API's token count, if it was requested. */
  readonly counted?: number | undefined
}

/** When the call was admitted, and the value of `Meter.total` at that time; zero without a quota. */
export interface Taken {
  readonly at: number
  readonly total: Quota.Amount
}

/** A call that waits in the queue or was admitted. Times are of the queue's `steadyClock`. */
export interface Ticket {
  readonly params: Params
  readonly rank: number
  readonly tenant: string
  readonly hasDeadline: boolean
  /** When the call stops waiting. */
  readonly until: number
  /** `undefined` without a quota. */
  priced: Priced | undefined
  /** The estimate that `sizeOf` caches. If `priced` is set, `sizeOf` returns the cost in it and needs no estimate. */
  size: Quota.Amount | undefined
  /** Set when the call is admitted. */
  taken: Taken | undefined
  /** The position in the order of admitted calls; 0 until the call is admitted. */
  number: number
  /** Whether this call tests the end of a pause. */
  looks: boolean
  hasBegun: boolean
}

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

/** `wait`: milliseconds until the call may retry; 0 if unknown. */
export const turnedAway = ({ params: { model } }: Ticket, by: Saturated["by"], wait: number): Saturated =>
  new Saturated({ model, by, retryAfter: wait > 0 ? Duration.millis(Math.ceil(wait)) : undefined })

export const sizeOf = (ticket: Ticket, estimator: Estimator): Quota.Amount => {
  if (ticket.priced !== undefined) return ticket.priced.cost
  if (ticket.size !== undefined) return ticket.size
  const { input, output } = estimator.of(ticket.params)
  return ticket.size = { requests: 1, input, output }
}
