/**
 * Bounds how much load failures may add, for each model.
 *
 * A bucket holds ten attempts: an extra attempt that fails takes one, an answer that begins gives one. While the bucket
 * is empty, one attempt may start after 10 s, after 20 s, and so on, so that an outage costs next to nothing and its end
 * is noticed. Calls wait for their turn in one line, oldest first, because any success may let them through.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Budget } from "../Claude.ts"
import * as Current from "../Current.ts"
import { Bucket, Lease, Ticket } from "../internal/bucket.ts"
import { Paid } from "../internal/charged.ts"
import { forgetAfter } from "../internal/forgetAfter.ts"
import { rankOf } from "../internal/priority.ts"
import * as Refuse from "../internal/refuse.ts"
import * as Guard from "./Guard.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** How much extra load there may be. */
export interface Options {
  /** How many extra attempts of a model may fail, without a success, before calls wait: 10. */
  readonly size?: number | undefined
}

/** The settings that were meant. */
export type Settings = Required<{ readonly [K in keyof Options]: number }>

/**
 * One success pays for one failed extra attempt. If a share `f` of all attempts fails, there are f²/(1-f) failed extra
 * attempts for each success: 0.5 at 50 %, which is retried without end, and more than 1 above 62 %, which is an outage.
 * Ten, because an hour of full outage may cost 27 (5 % of 0.15 calls/s), and the paced attempts are 15 of these.
 */
const defaults: Settings = { size: 10 }

/** How long a call without a deadline waits, in milliseconds: as long as the `overall` of `Policy.standard`. */
const longestWait = 300_000

/** The time kept for the attempt itself, in milliseconds: no answer takes less than a second (as `inTime`). */
const shortestAnswer = 1000

/** What is meant by the options. Throws a `RangeError` with a sentence if they contradict themselves. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("budget", options, defaults)
  const size = Refuse.count("budget: size", options.size ?? defaults.size)
  if (!(size >= 1 && Number.isFinite(size))) {
    Refuse.refuse(`budget: size is ${size}: it must be 1 or more; without a limit, write budget: false`)
  }
  return { size }
}

/** The buckets of the models that had an extra attempt: how many failed extra attempts are left of how many. */
export interface Status {
  readonly [model: string]: { readonly left: number; readonly size: number; readonly waiting: number }
}

/** The budget that retry, re-ask, continuation and fallback share. */
export interface RetryBudget extends Budget {
  /** Learns from every request whether its answer began, and whether it broke off later. Holds nobody back. */
  readonly guard: Guard.Guard
  readonly status: Effect.Effect<Status>
  /** Lets no further attempt begin: calls that wait for one end with what they failed with. */
  readonly close: () => void
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

/** Opens a budget, in memory. The fibers of its lines belong to the scope, and when that is closed, to those who still wait. */
export const make = ({ size }: Settings, scope: Scope.Scope): RetryBudget => {
  const buckets = new Map<string, Bucket>()
  let isClosed = false
  const bucketOf = (model: string, now: number): Bucket => {
    const known = buckets.get(model)
    if (known !== undefined) return known
    for (const [name, other] of buckets) if (other.isIdle(forgetAfter, now)) buckets.delete(name)
    const made = new Bucket(size, scope)
    buckets.set(model, made)
    return made
  }
  return {
    charge: (_, model) =>
      Effect.withFiber((fiber) => {
        const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
        const bucket = bucketOf(model, now)
        const deadline = fiber.getRef(Current.Deadline)
        const within = Math.min(longestWait, deadline - now - shortestAnswer)
        const wait = bucket.wait(now)
        if (isClosed || wait !== Infinity && wait > Math.max(0, within)) return Exit.succeed(undefined)
        const ticket = new Ticket(bucket, rankOf(fiber))
        return Effect.mapEager(bucket.line.pass(ticket, within, now), (passed) => passed ? ticket : undefined)
      }),
    guard: Guard.make({
      gate: Guard.open,
      admit: ({ params: { model } }, { fiber, now }) => {
        const paid = fiber.getRef(Paid)
        const ticket = paid instanceof Ticket ? paid : undefined
        const bucket = bucketOf(model, now)
        if (ticket === undefined) bucket.offered.count(now)
        return Exit.succeed(new Lease(bucket, ticket, fiber.getRef(Current.Deadline)))
      }
    }),
    close: () => {
      isClosed = true
      for (const { line } of buckets.values()) line.sweep(() => false)
    },
    status: Effect.sync(() =>
      Object.fromEntries(
        Array.from(buckets).flatMap(([model, { isUsed, left, line, size }]) =>
          isUsed || line.size() > 0
            ? [[model, { left: Math.max(0, left), size, waiting: line.size() }] as const]
            : []
        )
      )
    )
  }
}
