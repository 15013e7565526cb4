/**
 * One queue for slot and quota together.
 *
 * Two queues would hold a slot while waiting for tokens, or tokens while waiting
 * for a slot; here a call takes both at once, or neither. How many calls may run
 * follows losses alone (429, 529, time-outs), never latency: the length of an
 * answer says nothing about the load, and limits that follow it were measured to
 * collapse to single digits.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Opened } from "../Claude.ts"
import type { ClaudeError, Saturated } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { type Sign, signs } from "../internal/admissionEnds.ts"
import { type Settings, usualMaxWait } from "../internal/admissionSettings.ts"
import { Limit } from "../internal/aimd.ts"
import * as Amounts from "../internal/amounts.ts"
import { Estimator } from "../internal/estimate.ts"
import * as Meter from "../internal/meter.ts"
import { Pace } from "../internal/pace.ts"
import { Pause } from "../internal/pause.ts"
import { Ramp, RecentRate } from "../internal/ramp.ts"
import * as Steady from "../internal/steady.ts"
import * as Ticket from "../internal/ticket.ts"
import * as Turnstile from "../internal/turnstile.ts"
import * as Guard from "./Guard.ts"
import type * as Quota from "./Quota.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

export { type Concurrency, type Settings, settings } from "../internal/admissionSettings.ts"

/** What is going on, for health endpoints and tests. */
export interface Status {
  readonly running: number
  readonly waiting: number
  /** How many may run. */
  readonly limit: number
  /** What is left of the quota, if there is one. */
  readonly left: Quota.Amount | undefined
}

// -----------------------------------------------------------------------------
// Guard
// -----------------------------------------------------------------------------

/** The queue of one class of models. */
export interface Admission extends Guard.Guard {
  readonly direct: Guard.Direct
  readonly status: Effect.Effect<Status>
  /** How much the quota holds when it is full, if there is one. */
  readonly capacity: () => Quota.Amount | undefined
  /** Whether nobody has asked for so many milliseconds, runs or waits. */
  readonly isIdle: (length: number, now: number) => boolean
}

/** What a queue needs of the place where it is built. */
export interface Place extends Omit<Meter.Place, "quota"> {
  readonly concurrency: Settings
  readonly quota: Meter.Place["quota"] | undefined
  /** What the fibers of the queue belong to: when it is closed, those who still wait are served all the same. */
  readonly scope: Scope.Scope
}

/** Opens the queue. */
export const make = ({ concurrency, quota, scope, ...place }: Place): Admission => {
  const steady = Steady.make()
  const estimator = new Estimator()
  const meter = quota && new Meter.Meter({ ...place, quota }, estimator)
  const limit = new Limit(concurrency)
  const pause = new Pause()
  const pace = new Pace()
  const recent = new RecentRate()
  /** How fast calls may begin, after a pause and after a 429 for growing too fast. */
  let ramp: Ramp | undefined
  let running = 0
  let sent = 0
  let askedAt = -Infinity
  const most = () => limit.most
  const atNow = <A, E>(f: (now: number) => Effect.Effect<A, E>) =>
    Effect.flatMap(Clock.currentTimeMillis, (clock) => f(steady(clock)))
  const sizeOf = (ticket: Ticket.Ticket) => () => Ticket.sizeOf(ticket, estimator)

  const turnstile = Turnstile.make<Ticket.Ticket>({
    // One that is held for its size lets others pass.
    rank: (ticket) => ticket.rank + (pause.least !== undefined && pause.holds(sizeOf(ticket)) ? heldOffset : 0),
    tenant: ({ tenant }) => tenant,
    load: ({ priced }) => priced === undefined ? Amounts.none : meter?.least(priced) ?? Amounts.none,
    room: concurrency.queue,
    turn: (ticket, ahead, clock) => turn(ticket, ahead, steady(clock)),
    take: (ticket, clock) => {
      const now = steady(clock)
      if (running >= most()) return never
      const wait = Math.max(pause.wait(sizeOf(ticket), now), ramp?.waitFor(1, now) ?? 0)
      if (wait > 0) return Exit.succeed(wait)
      running++
      ticket.looks = pause.isOn && pause.looks(sizeOf(ticket), now)
      if (ticket.priced !== undefined) ticket.priced = meter?.fit(ticket.priced, now)
      return Effect.mapEager(ticket.priced && meter ? meter.take(ticket.priced.cost, now) : atOnce, (wait) => {
        if (wait > 0) unsent(ticket, now)
        else {
          ticket.number = ++sent
          sending(ticket, now)
          ticket.taken = { at: now, total: meter?.total ?? Amounts.none }
        }
        return wait
      })
    },
    putBack: (ticket, clock) => {
      const now = steady(clock)
      return Effect.mapEager(
        ticket.priced && meter ? meter.add(ticket.priced.cost, now) : Exit.void,
        () => unsent(ticket, now)
      )
    }
  }, scope)
  /** One is sent: the ramp is over when it is up and nobody else waits. */
  const sending = ({ looks }: Ticket.Ticket, now: number) => {
    // Nothing was sent in the pause.
    if (looks) recent.skip(now)
    recent.count(now)
    ramp?.take()
    if (turnstile.size() <= 1 && ramp?.isFull(now) === true) ramp = undefined
  }
  const unsent = (ticket: Ticket.Ticket, now: number) => {
    running--
    if (ticket.looks) pause.again(now)
    ticket.looks = false
  }

  /** In how many milliseconds it may go by quota and pause, after others that take so much. */
  const turn = (ticket: Ticket.Ticket, ahead: Quota.Amount, now: number): Effect.Effect<number> => {
    const held = Math.max(pause.wait(sizeOf(ticket), now), ramp?.waitFor(ahead.requests + 1, now) ?? 0)
    return meter === undefined || ticket.priced === undefined
      ? Exit.succeed(held)
      : Effect.mapEager(
        meter.waitFor(Amounts.plus(ahead, meter.least(ticket.priced)), now),
        (wait) => Math.max(held, wait)
      )
  }

  /**
   * Why a call is turned away. `by`: `quota` if it would have to wait for quota or a pause too long, or if slots are free, else
   * `concurrency`. `retryAfter`: after waiting, what is left of a pause; else its turn, or a place in the queue.
   */
  const saturated = (ticket: Ticket.Ticket, at: number): Effect.Effect<never, Saturated> =>
    atNow((now) =>
      Effect.flatMap(turn(ticket, turnstile.ahead(ticket), now), (wait) => {
        const isLate = wait > ticket.until - now
        const hint = now > at
          ? pause.wait(sizeOf(ticket), now)
          : isLate || !ticket.hasDeadline
          ? wait
          : pace.place(now + wait) - now
        const by = wait > 0 && (isLate || running < most()) ? "quota" : "concurrency"
        return Effect.fail(Ticket.turnedAway(ticket, by, hint))
      })
    )

  /** That an answer begins is enough: its length says nothing about the load. */
  const began = (held: Ticket.Held, { rateLimits, usage }: Opened): Effect.Effect<void> => {
    if (held.hasBegun) return Exit.void
    held.hasBegun = true
    limit.begun(running)
    const { ticket } = held
    return atNow((now) => {
      paused(pause.begun(ticket), now)
      turnstile.wake()
      const { priced, taken } = ticket
      if (meter === undefined || priced === undefined || taken === undefined) return Exit.void
      return Effect.map(meter.begun(priced, usage(), rateLimits, taken, now), (priced) => {
        ticket.priced = priced
        turnstile.wake()
      })
    })
  }
  const release: Ticket.Door["release"] = (held, exit, usage, clock) => {
    const now = steady(clock)
    const { ticket } = held
    const { priced, taken } = ticket
    const sign = Guard.judge<Sign>(exit, { success: "success", neutral: "none", failure: signs })
    const error = Guard.errorOf(exit)
    adjust(sign, error, held, now)
    running--
    if (sign === "success" && taken !== undefined) pace.answered(now - taken.at, running + 1)
    paused(pause.ended(ticket, exit, sizeOf(ticket), now), now)
    return Effect.mapEager(
      priced === undefined || taken === undefined
        ? Exit.void
        : meter?.settle(priced, exit, error, usage, sign === "success", taken, now) ?? Exit.void,
      turnstile.wake
    )
  }
  const adjust = (sign: Sign, error: ClaudeError | undefined, { hasBegun, ticket }: Ticket.Held, now: number): void => {
    if (sign === "success" && !hasBegun) limit.begun(running)
    if (sign === "success" || hasBegun) limit.ended()
    if (sign === "loss") limit.lost(ticket.number, sent)
    if (error?._tag === "RateLimited" && error.ramp === true) {
      // A 429 for growing too fast: half the recent rate at first, and half of that with each further one.
      if (ramp === undefined) ramp = new Ramp(recent.rate(), now, 0.5)
      else ramp.lose(ticket.taken?.at ?? now, now)
    }
  }

  /** A 429 may begin a pause: whoever would wait for nothing is told at once. After it, the others follow one that looked. */
  const paused = (news: ReturnType<Pause["ended"]>, now: number): void => {
    if (news === "over") {
      if (turnstile.size() > 0) ramp ??= new Ramp(recent.rate(), now, 1)
      turnstile.sweep(() => true)
    } else if (news === "longer") {
      turnstile.sweep((other) => pause.wait(sizeOf(other), now) <= other.until - now)
    }
  }

  const door: Ticket.Door = { began, release }
  return {
    ...Guard.make({
      gate: Guard.open,
      admit: (request, place) => {
        const { fiber } = place
        return Effect.flatMapEager(meter?.price(request, steady(place.now)) ?? Meter.free, (priced) => {
          // To have it counted takes time.
          const { now: clock } = quota?.estimate === "count" ? Guard.placeOf(fiber) : place
          const left = fiber.getRef(Current.Deadline) - clock
          const maxWait = concurrency.maxWait ?? (left < Infinity ? Infinity : usualMaxWait)
          const within = Math.min(maxWait, left - pace.kept(left))
          const at = askedAt = steady(clock)
          const ticket = Ticket.make(request.params, priced, fiber, at + within)
          return Effect.flatMapEager(
            turnstile.pass(ticket, within, clock),
            (passed): Effect.Effect<Guard.Held, Saturated> =>
              passed ? Exit.succeed(new Ticket.Held(ticket, door)) : saturated(ticket, at)
          )
        })
      }
    }),
    capacity: () => meter?.limits.buckets.capacity,
    isIdle: (length, clock) => running + turnstile.size() === 0 && steady(clock) - askedAt >= length,
    status: atNow((now) =>
      Effect.map(
        meter?.left(now) ?? Effect.undefined,
        (left) => ({ running, waiting: turnstile.size(), limit: most(), left })
      )
    )
  }
}

const atOnce = Exit.succeed(0)
const never = Exit.succeed(Infinity)
/** The offset in rank of calls that a pause holds for their size: they go after all others. */
const heldOffset = 10
