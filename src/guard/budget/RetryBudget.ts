/**
 * Bounds how much load retries may add after failures, for each model.
 *
 * A bucket holds ten attempts: an extra attempt that fails takes one, an answer that begins returns one. While the
 * bucket is empty, one attempt may start after 10 s, then after 20 s, and so on, so that an outage adds little load and
 * its end is noticed. Calls wait for their turn in one line, oldest first, because any success may let them through.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Budget, Charge } from "../../budget.ts"
import { Paid } from "../../budget.ts"
import * as Current from "../../Current.ts"
import type { Request } from "../../Message.ts"
import * as Refuse from "../../options.ts"
import { forgetAfter } from "../forgetAfter.ts"
import * as Guard from "../Guard.ts"
import * as Priority from "../priority.ts"
import * as Bucket from "./bucket.ts"
import { chargeOf, leaseOf, ticketOf } from "./lease.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** How much extra load retries may add. */
export interface Options {
  /** How many extra attempts per model may fail without a success before calls have to wait: 10. */
  readonly size?: number | undefined
}

/** Options with defaults filled in. */
export type Settings = Required<{ readonly [K in keyof Options]: number }>

/**
 * One success pays for one failed extra attempt. If a share `f` of all attempts fails, there are f²/(1-f) failed extra
 * attempts per success: 0.5 at 50 %, which is retried without end, and more than 1 above 62 %, which is an outage. Ten,
 * because an hour of full outage may cost 27 (5 % of 0.15 calls/s), and the paced attempts are 15 of these.
 */
const defaults: Settings = { size: 10 }

/** How long a call without a deadline waits, in milliseconds: as long as the `overall` of `Policy.standard`. */
const longestWait = 300_000

/** The time kept for the attempt itself, in milliseconds: no answer takes less than a second (as in `inTime`). */
const shortestAnswer = 1000

/** Fills in defaults. Throws a `RangeError` if the options are invalid. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("budget", options, defaults)
  const size = Refuse.count("budget: size", options.size ?? defaults.size)
  if (!(size >= 1 && Number.isFinite(size))) {
    Refuse.refuse(`budget: size is ${size}: it must be 1 or more; without a limit, write budget: false`)
  }
  return { size }
}

/** The buckets of models that had an extra attempt: how many failed ones remain, of how many. */
export interface Status {
  readonly [model: string]: { readonly remaining: number; readonly size: number; readonly waiting: number }
}

/** The budget that retry, re-ask, continuation and fallback share. */
export interface RetryBudget extends Budget {
  /** Learns from each request whether its answer began, and whether it broke off later. Never holds a request back. */
  readonly guard: Guard.Guard
  readonly status: Effect.Effect<Status>
  /** Lets no further attempt begin: calls that wait for one end with the error of their last attempt. */
  readonly close: () => void
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/**
 * Creates a budget in memory. The fibers of its lines run in `scope`; after it closes, waiting calls are served all the
 * same.
 */
export const make = ({ size }: Settings, scope: Scope.Scope): RetryBudget => {
  const all: Buckets = { size, scope, byModel: new Map(), isClosed: false }
  return {
    charge: (_, model) => charge(all, model),
    guard: { gate: Guard.open, admit: (request) => admit(all, request) },
    close: () => {
      all.isClosed = true
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
  isClosed: boolean
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
  // One read of the context: yielding each service would cost more.
  const context = yield* Effect.context<never>()
  const rank = Priority.rankOf(Context.get(context, Current.Priority))
  const deadline = Context.get(context, Current.Deadline)
  const now = Context.get(context, Clock.Clock).currentTimeMillisUnsafe()
  const bucket = bucketOf(all, model, now)
  const within = Math.min(longestWait, deadline - now - shortestAnswer)
  const wait = Bucket.waitFor(bucket, now)
  if (all.isClosed || wait !== Infinity && wait > Math.max(0, within)) return undefined
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
