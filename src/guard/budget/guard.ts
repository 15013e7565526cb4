import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Budget, Charge } from "../../budget.ts"
import { Paid } from "../../budget.ts"
import * as Current from "../../Current.ts"
import type { Request } from "../../Message.ts"
import { forgetAfter } from "../forgetAfter.ts"
import * as Guard from "../Guard.ts"
import * as Priority from "../priority.ts"
import * as Bucket from "./bucket.ts"
import { chargeOf, leaseOf, ticketOf } from "./lease.ts"
import type { Status } from "./RetryBudget.ts"
import type { Settings } from "./settings.ts"

/** The longest wait for credit for one extra attempt, in milliseconds: as long as the `overall` of `Policy.standard`. */
const longestWait = 300_000

/** The time reserved for the attempt itself, in milliseconds: few answers take less than a second. */
const shortestAnswer = 1000

/** The budget that retry, re-ask, continuation and fallback share. */
export interface RetryBudget extends Budget {
  /** Learns from each request whether its answer began, and whether it broke off later. Never holds a request back. */
  readonly guard: Guard.Guard
  readonly status: Effect.Effect<Status>
}

/** Fibers in `scope` serve the waiting calls. After `scope` closes, detached fibers serve them until no call waits. */
export const make = ({ size }: Settings, scope: Scope.Scope): RetryBudget => {
  const all: Buckets = { size, scope, byModel: new Map() }
  return {
    charge: (_, model) => charge(all, model),
    guard: { gate: Guard.open, admit: (request) => admit(all, request) },
    sweep: () => {
      for (const { line } of all.byModel.values()) line.sweep(() => false)
    },
    status: Effect.sync(() => status(all))
  }
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

interface Buckets {
  readonly size: number
  readonly scope: Scope.Scope
  readonly byModel: Map<string, Bucket.Bucket>
}

const bucketOf = ({ byModel, scope, size }: Buckets, model: string, now: number): Bucket.Bucket => {
  const known = byModel.get(model)
  if (known !== undefined) return known
  for (const [name, other] of byModel) if (Bucket.isIdle(other, forgetAfter, now)) byModel.delete(name)
  const made = Bucket.make(size, scope)
  byModel.set(model, made)
  return made
}

const charge = Effect.fnUntraced(function*(all: Buckets, model: string): Effect.fn.Return<Charge | undefined> {
  // Reads the context once: yielding each service separately would be slower.
  const context = yield* Effect.context<never>()
  const rank = Priority.rankOf(Context.get(context, Current.Priority))
  const deadline = Context.get(context, Current.Deadline)
  const now = Context.get(context, Clock.Clock).currentTimeMillisUnsafe()
  const bucket = bucketOf(all, model, now)
  const within = Math.min(longestWait, deadline - now - shortestAnswer)
  const wait = Bucket.waitFor(bucket, now)
  if (wait !== Infinity && wait > Math.max(0, within)) return undefined
  const ticket = Bucket.ticket(bucket, rank)
  return (yield* bucket.line.pass(ticket, within, now)) ? chargeOf(ticket) : undefined
})

const admit = (all: Buckets, { params: { model } }: Request): Effect.Effect<Guard.Lease> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const ticket = ticketOf(Context.get(context, Paid))
    const now = Context.get(context, Clock.Clock).currentTimeMillisUnsafe()
    const bucket = bucketOf(all, model, now)
    if (ticket === undefined) bucket.offered.count(now)
    return Effect.succeed(leaseOf(bucket, ticket, Context.get(context, Current.Deadline)))
  })

const status = ({ byModel }: Buckets): Status => {
  const shown = [...byModel].filter(([, { isUsed, line }]) => isUsed || line.size() > 0)
  return Object.fromEntries(
    shown.map(([model, { left, line, size }]) => [model, { remaining: Math.max(0, left), size, waiting: line.size() }])
  )
}
