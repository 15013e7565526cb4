import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { atNow } from "../../atNow.ts"
import type { Opened } from "../../Claude.ts"
import type { ClaudeError, Saturated } from "../../ClaudeError.ts"
import * as Current from "../../Current.ts"
import type { Request, Usage } from "../../Message.ts"
import type { Estimator } from "../../request/tokenEstimate.ts"
import * as Guard from "../Guard.ts"
import { type Outcome, outcomeOf } from "../outcomes.ts"
import * as Amounts from "../quota/amounts.ts"
import type * as Meter from "../quota/meter.ts"
import type * as Quota from "../quota/Quota.ts"
import type * as Steady from "../steadyClock.ts"
import type * as Turnstile from "../waitQueue.ts"
import type { Limit } from "./aimd.ts"
import * as Brake from "./brake.ts"
import type { Pace } from "./pace.ts"
import type { Settings } from "./settings.ts"
import { usualMaxWait } from "./settings.ts"
import * as Ticket from "./ticket.ts"

export interface Queue {
  readonly concurrency: Settings
  readonly steady: Steady.Steady
  readonly estimator: Estimator
  readonly meter: Meter.Meter | undefined
  readonly limit: Limit
  readonly brake: Brake.Brake
  readonly pace: Pace
  readonly turnstile: Turnstile.Turnstile<Ticket.Ticket>
  running: number
  /** The number of requests sent so far, which is also the number of the last request. */
  sent: number
  askedAt: number
}

// -----------------------------------------------------------------------------
// Waiting
// -----------------------------------------------------------------------------

export const timeIn = ({ steady }: Queue): Effect.Effect<number> => atNow((clock) => Effect.succeed(steady(clock)))

const sizeOf = ({ estimator }: Queue, ticket: Ticket.Ticket) => () => Ticket.sizeOf(ticket, estimator)

/**
 * Waits for a slot and quota. Fails with `Saturated` if the call may not wait or waited too long, and with
 * `InvalidRequest` if the request is larger than the quota.
 */
export const admit = Effect.fnUntraced(function*(
  queue: Queue,
  { params }: Request
): Effect.fn.Return<Guard.Lease, ClaudeError> {
  const { concurrency, meter, pace, steady, turnstile } = queue
  // Reads the context once: yielding each service separately would be slower.
  const context = yield* Effect.context<never>()
  const time = Context.get(context, Clock.Clock)
  const priced = meter && (yield* meter.price(params, steady(time.currentTimeMillisUnsafe())))
  // Reads the time again, because counting tokens at the API takes time.
  const clock = time.currentTimeMillisUnsafe()
  const left = Context.get(context, Current.Deadline) - clock
  const maxWait = concurrency.maxWait ?? (left < Infinity ? Infinity : usualMaxWait)
  const within = Math.min(maxWait, left - pace.kept(left))
  const at = queue.askedAt = steady(clock)
  const ticket = Ticket.make(context, params, priced, at + within)
  const hasPassed = yield* turnstile.pass(ticket, within, clock)
  return hasPassed
    ? { opened: (answer) => began(queue, ticket, answer), settle: (exit, usage) => settle(queue, ticket, exit, usage) }
    : yield* saturated(queue, ticket, at)
})

/** A call that the pause holds because of its size lets smaller calls pass. */
export const rank = (queue: Queue, ticket: Ticket.Ticket): number => {
  const { pause } = queue.brake
  return ticket.rank + (pause.least !== undefined && pause.holds(sizeOf(queue, ticket)) ? heldOffset : 0)
}

/**
 * Rank offset for calls that the pause holds because of their size. Larger than any priority rank, so that these calls
 * leave after all other calls.
 */
const heldOffset = 10

/** Minimum milliseconds until quota, pause and ramp let a call pass, after earlier calls that take `ahead`. */
export const turn = (queue: Queue, ticket: Ticket.Ticket, ahead: Quota.Amount, now: number): Effect.Effect<number> =>
  Effect.map(hold(queue, ticket, ahead, now), ({ wait }) => wait)

/** Like `turn`, with what the call waits for. */
const hold = Effect.fnUntraced(function*(queue: Queue, ticket: Ticket.Ticket, ahead: Quota.Amount, now: number) {
  const { brake, meter } = queue
  const size = sizeOf(queue, ticket)
  const wait = Brake.waitFor(brake, size, ahead.requests + 1, now)
  const by: Saturated["by"] = wait === 0 ? "concurrency" : brake.pause.wait(size, now) > 0 ? "pause" : "ramp"
  if (meter === undefined || ticket.priced === undefined) return { wait, by }
  const filled = yield* meter.waitFor(Amounts.plus(ahead, meter.least(ticket.priced)), now)
  return filled > wait ? { wait: filled, by: "quota" as const } : { wait, by }
})

/**
 * Fails with the error of a rejected call. Its `by` is `concurrency` if no slot is free, unless quota, pause or ramp hold
 * the call for longer than it may wait. `retryAfter` is the rest of the pause if the call has waited, otherwise the
 * estimated time until its turn or until a place in the queue.
 */
const saturated = Effect.fnUntraced(function*(queue: Queue, ticket: Ticket.Ticket, at: number) {
  const { brake, limit, pace, turnstile } = queue
  const now = yield* timeIn(queue)
  const { by, wait } = yield* hold(queue, ticket, turnstile.ahead(ticket), now)
  const isLate = wait > ticket.until - now
  const hint = now > at
    ? brake.pause.wait(sizeOf(queue, ticket), now)
    : isLate || !ticket.hasDeadline
    ? wait
    : pace.place(now + wait) - now
  const isFull = !isLate && queue.running >= limit.most
  return yield* Effect.fail(Ticket.turnedAway(ticket, isFull ? "concurrency" : by, hint))
})

// -----------------------------------------------------------------------------
// Taking
// -----------------------------------------------------------------------------

/**
 * Takes a slot and quota and returns 0, or takes neither and returns the milliseconds until another `take` is worthwhile
 * (`Infinity`: not before the queue wakes its waiting calls).
 */
export const take = (queue: Queue, ticket: Ticket.Ticket, now: number): Effect.Effect<number> =>
  Effect.suspend(() => {
    const { brake, limit, meter } = queue
    if (queue.running >= limit.most) return Effect.succeed(Infinity)
    const size = sizeOf(queue, ticket)
    const held = Brake.waitFor(brake, size, 1, now)
    if (held > 0) return Effect.succeed(held)
    queue.running++
    ticket.looks = brake.pause.isOn && brake.pause.looks(size, now)
    if (meter === undefined || ticket.priced === undefined) {
      sent(queue, ticket, now)
      return Effect.succeed(0)
    }
    ticket.priced = meter.fit(ticket.priced, now)
    return Effect.map(meter.take(ticket.priced.cost, now), (wait) => {
      if (wait > 0) unsent(queue, ticket, now)
      else sent(queue, ticket, now)
      return wait
    })
  })

const sent = (queue: Queue, ticket: Ticket.Ticket, now: number): void => {
  const { brake, meter, turnstile } = queue
  ticket.number = ++queue.sent
  Brake.sent(brake, ticket.looks, turnstile.size() <= 1, now)
  ticket.taken = { at: now, total: meter?.total ?? Amounts.zero }
}

export const putBack = Effect.fnUntraced(function*(queue: Queue, ticket: Ticket.Ticket, now: number) {
  if (queue.meter !== undefined && ticket.priced !== undefined) yield* queue.meter.add(ticket.priced.cost, now)
  unsent(queue, ticket, now)
})

const unsent = (queue: Queue, ticket: Ticket.Ticket, now: number): void => {
  queue.running--
  if (ticket.looks) queue.brake.pause.again(now)
  ticket.looks = false
}

// -----------------------------------------------------------------------------
// Settling
// -----------------------------------------------------------------------------

/** Counts an answer as a success as soon as it begins: its length says nothing about the load. */
const began = (queue: Queue, ticket: Ticket.Ticket, { rateLimits, usage }: Opened): Effect.Effect<void> =>
  atNow((clock) => {
    if (ticket.hasBegun) return Effect.void
    const { brake, limit, meter, running, steady, turnstile } = queue
    const now = steady(clock)
    ticket.hasBegun = true
    limit.begun(running)
    paused(queue, brake.pause.begun(ticket), now)
    turnstile.wake()
    const { priced, taken } = ticket
    if (meter === undefined || priced === undefined || taken === undefined) return Effect.void
    return Effect.map(meter.begun(priced, usage(), rateLimits, taken, now), (priced) => {
      ticket.priced = priced
      turnstile.wake()
    })
  })

const settle = (
  queue: Queue,
  ticket: Ticket.Ticket,
  exit: Guard.Ending,
  usage: Usage | undefined
): Effect.Effect<void> =>
  atNow((clock) => {
    const { brake, meter, pace, steady, turnstile } = queue
    const now = steady(clock)
    const { priced, taken } = ticket
    const sign = outcomeOf(exit).concurrency
    const error = Guard.errorOf(exit)
    adjust(queue, ticket, sign, error, now)
    queue.running--
    if (sign === "success" && taken !== undefined) pace.answered(now - taken.at, queue.running + 1)
    paused(queue, brake.pause.ended(ticket, exit, sizeOf(queue, ticket), now), now)
    const paid = meter === undefined || priced === undefined || taken === undefined
      ? Effect.void
      : meter.settle(priced, exit, error, usage, sign === "success", taken, now)
    return Effect.map(paid, turnstile.wake)
  })

const adjust = (
  { brake, limit, running, sent }: Queue,
  { hasBegun, number, taken }: Ticket.Ticket,
  sign: Outcome["concurrency"],
  error: ClaudeError | undefined,
  now: number
): void => {
  if (sign === "success" && !hasBegun) limit.begun(running)
  if (sign === "success" || hasBegun) limit.ended()
  if (sign === "loss") limit.lost(number, sent)
  if (error?._tag === "RateLimited" && error.ramp === true) Brake.grewTooFast(brake, taken?.at ?? now, now)
}

/**
 * If the pause got longer, waiting calls that may not wait so long are rejected at once. If the pause is over, the
 * waiting calls follow at the rate of a ramp.
 */
const paused = (queue: Queue, news: "over" | "longer" | undefined, now: number): void => {
  const { brake, turnstile } = queue
  if (news === "over") {
    if (turnstile.size() > 0) Brake.released(brake, now)
    turnstile.sweep(() => true)
  } else if (news === "longer") {
    turnstile.sweep((other) => brake.pause.wait(sizeOf(queue, other), now) <= other.until - now)
  }
}
