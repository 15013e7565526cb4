/**
 * Bounds how much load failures may add, for all calls of a `Claude` together.
 *
 * Two gates, and both must let an attempt through: a quota that failed extra
 * attempts use up and successes fill (it makes an outage cost nothing), and a
 * share of the calls of the last minute (it holds at any rate of failure). One
 * that may not start yet waits its turn instead of failing: after a burst of
 * failures the first few that work let the rest through.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Budget, Charge } from "../Claude.ts"
import { retryAfter, type Table } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import * as Refuse from "../internal/refuse.ts"
import * as Turnstile from "../internal/turnstile.ts"
import * as Guard from "./Guard.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** How much extra load there may be. */
export interface Options {
  /** What failed extra attempts use up, and answers give back, 1 each: 140. */
  readonly quota?: number | undefined
  /** What an extra attempt takes, until it succeeds: 14. */
  readonly cost?: number | undefined
  /** The same after a rate limit that said when to come back: 5. */
  readonly costRateLimited?: number | undefined
  /** For which share of the calls of the last minute there may be a failed extra attempt: 0.25. */
  readonly ratio?: number | undefined
  /** How many more there may be: 3. */
  readonly burst?: number | undefined
  /** How many may wait: 256. */
  readonly queue?: number | undefined
}

/** The settings that were meant. */
export type Settings = Required<{ readonly [K in keyof Options]: number }>

/** Sources: the AWS SDK of 2026 (500 and 14, 5 where it is throttled), scaled down; Finagle's ratio, without its floor. */
const defaults: Settings = { quota: 140, cost: 14, costRateLimited: 5, ratio: 0.25, burst: 3, queue: 256 }

/** What the ratio looks back on, in milliseconds, and in how many slices. */
const [window, slices] = [60_000, 12]

/** Below half of the quota, how long after the last failure one goes, alone; doubled with each failure. In milliseconds. */
const pace = 1000

/** How long a call without a deadline waits, in milliseconds. */
const longestWait = 300_000

/** What is meant by the options. Throws a `RangeError` with a sentence if they contradict themselves. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("budget", options, defaults)
  const given: Settings = {
    ...defaults,
    ...Object.fromEntries(Object.entries(options).filter(([, n]) => n !== undefined))
  }
  for (const [name, value] of Object.entries(given)) {
    if (!(value >= 0 && Number.isFinite(value))) {
      Refuse.refuse(`budget: ${name} is ${value}: it must be a number, 0 or more`)
    }
  }
  for (const name of ["cost", "costRateLimited"] as const) {
    if (given[name] > given.quota) {
      Refuse.refuse(
        `budget: ${name} (${
          given[name]
        }) is more than quota (${given.quota}), so that nothing is ever tried again: raise `
          + `quota or lower ${name}`
      )
    }
  }
  if (given.cost === 0) {
    Refuse.refuse("budget: cost is 0, so that the quota limits nothing: leave the budget out, or raise cost")
  }
  if (given.ratio === 0 && given.burst < 1) {
    Refuse.refuse(
      `budget: ratio is 0 and burst (${given.burst}) is below 1, so that nothing is ever tried again: raise one of them`
    )
  }
  Refuse.count("budget: queue", given.queue)
  return given
}

/** What is going on. Calls and failed or unfinished extra attempts are those of the last minute. */
export interface Status {
  readonly left: number
  readonly waiting: number
  readonly calls: number
  readonly extra: number
}

/** The budget that retry, re-ask, continuation and fallback share. */
export interface RetryBudget extends Budget {
  readonly first: NonNullable<Budget["first"]>
  readonly status: Effect.Effect<Status>
}

// -----------------------------------------------------------------------------
// Constructors
// -----------------------------------------------------------------------------

interface Slice {
  index: number
  calls: number
  /** Extra attempts that failed or have not ended yet, by when they began. */
  extra: number
}

interface Ticket {
  readonly cost: number
  slice: Slice | undefined
}

/** Opens a budget, in memory. The fibers of its queue belong to the scope, and when that is closed, to those who still wait. */
export const make = (
  { burst, cost, costRateLimited, queue, quota, ratio }: Settings,
  scope: Scope.Scope
): RetryBudget => {
  const width = window / slices
  let left = quota
  let inFlight = 0
  let failedAt = -Infinity
  const recent: Array<Slice> = []

  const current = (now: number): Slice => {
    const index = Math.floor(now / width)
    const last = recent.at(-1)
    if (last?.index === index) return last
    if (last !== undefined && last.index > index) {
      // Where the clock was set back, no time has passed.
      const back = last.index - index
      for (const slice of recent) slice.index -= back
      return last
    }
    while (recent[0] !== undefined && recent[0].index < index - slices) recent.shift()
    const slice = { index, calls: 0, extra: 0 }
    recent.push(slice)
    return slice
  }

  /** The oldest slice is only partly in the window: its calls do not count, its extra attempts do. */
  const totals = (now: number) => {
    const oldest = current(now).index - slices
    let [calls, extra] = [0, 0]
    for (const slice of recent) {
      if (slice.index > oldest) calls += slice.calls
      extra += slice.extra
    }
    return { calls, extra }
  }

  /** Milliseconds until an extra attempt may start; `Infinity` until something ends. */
  const wait = (price: number, now: number): number => {
    if (left < price) return Infinity
    const { calls, extra } = totals(now)
    if (extra + 1 > ratio * calls + burst) return Math.max(1, Math.ceil((Math.floor(now / width) + 1) * width - now))
    const short = quota / 2 - (left - price)
    if (short <= 0) return 0
    if (inFlight > 0) return Infinity
    // Also where the clock was set back since then.
    failedAt = Math.min(failedAt, now)
    return Math.max(0, Math.ceil(failedAt + pace * 2 ** (short / cost) - now))
  }

  const refund = (ticket: Ticket) => {
    inFlight--
    left = Math.min(quota, left + ticket.cost)
    if (ticket.slice !== undefined) ticket.slice.extra--
  }

  const turnstile = Turnstile.make<Ticket>({
    rank: () => 0,
    room: queue,
    take: (ticket, now) => {
      const millis = wait(ticket.cost, now)
      if (millis === 0) {
        left -= ticket.cost
        inFlight++
        ticket.slice = current(now)
        ticket.slice.extra++
      }
      return Exit.succeed(millis)
    },
    putBack: (ticket) => Effect.sync(() => refund(ticket))
  }, scope)

  const purse: Purse = {
    give: () => {
      const given = Math.min(1, quota - left)
      left += given
      turnstile.wake()
      return given
    },
    take: (amount) => {
      left = Math.max(0, left - amount)
    }
  }
  const charge = (ticket: Ticket): Charge => {
    let given: number | undefined
    return {
      settle: (exit) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          if (isWasted(exit)) {
            inFlight--
            failedAt = now
          } else {
            refund(ticket)
            given = Exit.isSuccess(exit) ? purse.give() : 0
          }
          turnstile.wake()
        }),
      ended: (exit) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          if (given === undefined || !isWasted(exit)) return
          purse.take(ticket.cost + given)
          given = undefined
          failedAt = now
          if (ticket.slice !== undefined) ticket.slice.extra++
        })
    }
  }

  return {
    first: (now) => {
      current(now).calls++
      return Exit.succeed(new First(purse))
    },
    charge: (because) =>
      Effect.withFiber((fiber) => {
        const told = because._tag === "RateLimited" && retryAfter(because) !== undefined
        const ticket: Ticket = { cost: told ? costRateLimited : cost, slice: undefined }
        const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
        // Just before the deadline, so that the call can still say what it failed with.
        const within = Math.min(longestWait, fiber.getRef(Current.Deadline) - now - 1)
        return Effect.map(turnstile.pass(ticket, within, now), (passed) => passed ? charge(ticket) : undefined)
      }),
    status: Effect.map(Clock.currentTimeMillis, (now) => ({
      left,
      waiting: turnstile.waiting().length,
      ...totals(now)
    }))
  }
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

interface Purse {
  /** What succeeds gives back 1, also after a failure: where all who ask wait here, nobody else succeeds. */
  readonly give: () => number
  readonly take: (amount: number) => void
}

/** The first attempt of a call. What it gives back is there at once; an answer that then breaks off takes it again. */
class First implements Charge {
  readonly purse: Purse
  given = 0

  constructor(purse: Purse) {
    this.purse = purse
  }

  settle(exit: Guard.Ending): Effect.Effect<void> {
    if (Exit.isSuccess(exit)) this.given = this.purse.give()
    return Exit.void
  }

  ended(exit: Guard.Ending): Effect.Effect<void> {
    if (isWasted(exit)) {
      this.purse.take(this.given)
      this.given = 0
    }
    return Exit.void
  }
}

const isWasted = (exit: Guard.Ending): boolean => Guard.judge(exit, { success: false, neutral: false, failure: wasted })

/** Whether an extra attempt that ended so was load for nothing. A piece of an answer is not, nor what was never sent. */
const wasted: Table<boolean> = {
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
  Truncated: false,
  EmptyAnswer: true,
  MalformedOutput: true,
  TimedOut: true,
  DeadlineExceeded: true,
  CircuitOpen: false,
  Saturated: false
}
