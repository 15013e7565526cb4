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
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { type ClaudeError, Saturated } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { type Sign, signs } from "../internal/admissionEnds.ts"
import * as Meter from "../internal/meter.ts"
import * as Refuse from "../internal/refuse.ts"
import * as Turnstile from "../internal/turnstile.ts"
import type { Usage } from "../Message.ts"
import * as Guard from "./Guard.ts"
import type * as Quota from "./Quota.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** How many calls may run, and how many may wait, for each class of models. */
export interface Concurrency {
  /** How many may run at most: as many as come. */
  readonly max?: number | undefined
  /** How many may run at least. If it is given, their number follows losses: x0.9 after one, +1 after a success. */
  readonly min?: number | undefined
  /** Where that begins: at 20. */
  readonly initial?: number | undefined
  /** How many of the same or a higher priority may wait before one more is turned away, when it comes: 200. */
  readonly queue?: number | undefined
  /** How long one may wait: 1 minute. Never beyond its deadline. */
  readonly maxWait?: Duration.Input | undefined
}

/** The settings that were meant. Times in milliseconds. */
export interface Settings {
  readonly max: number
  readonly min: number
  readonly initial: number
  readonly queue: number
  readonly maxWait: number
}

const fields = { max: true, min: true, initial: true, queue: true, maxWait: true }

/** What is meant by the options. Throws a `RangeError` with a sentence if they contradict themselves. */
export const settings = (options: Concurrency): Settings => {
  Refuse.unknown("concurrency", options, fields)
  const max = options.max === undefined ? Infinity : Refuse.whole("concurrency: max", options.max)
  const min = options.min === undefined ? max : Refuse.whole("concurrency: min", options.min)
  if (min > max) Refuse.refuse(`concurrency: min (${min}) is more than max (${max}): raise max or lower min`)
  if (options.initial !== undefined && options.min === undefined) {
    Refuse.refuse(
      "concurrency: initial is where an adaptive number begins, and this one is fixed: add min, or remove it"
    )
  }
  const initial = options.min === undefined
    ? max
    : Refuse.whole("concurrency: initial", options.initial ?? Math.min(max, Math.max(min, usualInitial)))
  if (initial < min || initial > max) {
    Refuse.refuse(`concurrency: initial (${initial}) is not between min (${min}) and max (${max}): move it there`)
  }
  const queue = Refuse.count("concurrency: queue", options.queue ?? 200)
  if (queue === 0 && options.maxWait !== undefined) {
    Refuse.refuse("concurrency: nobody may wait (queue is 0), so maxWait does nothing: remove it or raise queue")
  }
  return { max, min, initial, queue, maxWait: Refuse.millis("concurrency: maxWait", options.maxWait ?? "1 minute") }
}

/** Source: Netflix concurrency-limits, as the factors of AIMD below. */
const usualInitial = 20

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
  /** Begins with one call, and lets in one more with each answer that begins. */
  readonly slowStart: () => void
  readonly status: Effect.Effect<Status>
}

/** What a queue needs of the place where it is built. */
export interface Place extends Omit<Meter.Place, "quota"> {
  readonly concurrency: Settings
  readonly quota: Meter.Place["quota"] | undefined
  /** What the fibers of the queue belong to: when it is closed, those who still wait are served all the same. */
  readonly scope: Scope.Scope
}

/** Who waits, and for what. */
interface Ticket {
  readonly rank: number
  priced: Meter.Priced
}

/** AIMD (Netflix concurrency-limits, `AIMDLimit`): x0.9 on a loss, +1 on a success while at least half is in use. */
export const adapt = (limit: number, sign: Sign, running: number, { max, min }: Settings): number => {
  switch (sign) {
    case "loss":
      return Math.max(min, Math.floor(limit * 0.9))
    case "success":
      return 2 * running >= limit ? Math.min(max, limit + 1) : limit
    case "none":
      return limit
  }
}

/** Opens the queue. */
export const make = ({ concurrency, quota, scope, ...place }: Place): Admission => {
  const meter = quota && new Meter.Meter({ ...place, quota })
  let limit = concurrency.initial
  /** How many a slow start lets in. */
  let slow = Infinity
  let running = 0
  const most = () => Math.min(limit, slow)

  const turnstile = Turnstile.make<Ticket>({
    rank: (ticket) => ticket.rank,
    firm: true,
    room: concurrency.queue,
    take: (ticket, now) => {
      if (running >= most()) return never
      running++
      if (meter === undefined) return atOnce
      ticket.priced = meter.fit(ticket.priced)
      return Effect.mapEager(meter.take(ticket.priced.cost, now), (wait) => {
        if (wait > 0) running--
        return wait
      })
    },
    putBack: ({ priced: { cost } }, now) =>
      Effect.mapEager(meter?.add(cost, now) ?? Exit.void, () => {
        running--
      })
  }, scope)

  /** Why it was turned away: if for the quota, with when there may be enough for it. */
  const saturated = ({ priced }: Ticket, model: string): Effect.Effect<never, Saturated> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      running >= most() || meter === undefined
        ? Effect.fail(new Saturated({ model, by: "concurrency" }))
        : Effect.flatMap(meter.waitFor(meter.fit(priced).cost, now), (wait) =>
          Effect.fail(new Saturated({ model, by: "quota", retryAfter: Duration.millis(wait) }))))

  /** That an answer begins is enough: its length says nothing about the load. */
  const began: Began = (held) => {
    if (slow === Infinity || held.grew) return
    held.grew = true
    slow++
    turnstile.wake()
  }
  const release = ({ grew, priced }: Held, exit: Guard.Ending, usage: Usage | undefined, now: number) => {
    const sign = Guard.judge<Sign>(exit, { success: "success", neutral: "none", failure: signs })
    const error = Guard.errorOf(exit)
    adjust(sign, error, grew)
    running--
    return Effect.mapEager(
      meter?.settle(priced, exit, error, usage, sign === "success", now) ?? Exit.void,
      turnstile.wake
    )
  }
  const adjust = (sign: Sign, error: ClaudeError | undefined, grew: boolean): void => {
    limit = adapt(limit, sign, running, concurrency)
    if (error?._tag === "RateLimited" && error.ramp === true) {
      slow = Math.max(1, Math.floor(Math.min(running, most()) / 2))
    }
    if (slow === Infinity) return
    if (sign === "success" && !grew) slow++
    if (sign !== "success" && grew) slow = Math.max(1, slow - 1)
    // There is nothing left to hold back.
    if (slow >= limit || turnstile.waiting().length === 0 && 2 * running < slow) slow = Infinity
  }

  return {
    ...Guard.make({
      gate: Guard.open,
      admit: (request, place) =>
        Effect.flatMapEager(meter?.price(request) ?? Meter.free, (priced) => {
          const { fiber } = place
          // To have it counted takes time.
          const { now } = quota?.estimate === "count" ? Guard.placeOf(fiber) : place
          const ticket: Ticket = { priced, rank: ranks[fiber.getRef(Current.Priority)] ?? ranks.default }
          const within = Math.min(concurrency.maxWait, fiber.getRef(Current.Deadline) - now)
          return Effect.flatMapEager(
            turnstile.pass(ticket, within, now),
            (passed): Effect.Effect<Guard.Held, Saturated> =>
              passed
                ? Exit.succeed(new Held(ticket.priced, release, meter, slow < Infinity ? began : undefined))
                : saturated(ticket, request.params.model)
          )
        })
    }),
    slowStart: () => {
      slow = 1
    },
    status: Effect.flatMap(
      Clock.currentTimeMillis,
      (now) =>
        Effect.map(
          meter?.left(now) ?? Effect.undefined,
          (left) => ({ running, waiting: turnstile.waiting().length, limit: most(), left })
        )
    )
  }
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

/** A slot, and what was taken of the quota for it. */
class Held implements Guard.Held {
  readonly priced: Meter.Priced
  readonly release: Release
  readonly opened: Guard.Held["opened"]
  /** Whether one more was let in because its answer began. */
  grew = false

  constructor(priced: Meter.Priced, release: Release, meter: Meter.Meter | undefined, began: Began | undefined) {
    this.priced = priced
    this.release = release
    // Usually nobody wants to know.
    this.opened = meter || began ? heard(this, meter, began) : undefined
  }

  end(exit: Guard.Ending, usage: Usage | undefined, { now }: Guard.Place): Effect.Effect<void> {
    return this.release(this, exit, usage, now)
  }
}

const heard =
  (held: Held, meter: Meter.Meter | undefined, began: Began | undefined): Guard.Held["opened"] => ({ rateLimits }) => {
    began?.(held)
    return meter === undefined
      ? Exit.void
      : Effect.flatMap(Clock.currentTimeMillis, (now) => meter.sync(rateLimits, undefined, now))
  }

type Began = (held: Held) => void
type Release = (held: Held, exit: Guard.Ending, usage: Usage | undefined, now: number) => Effect.Effect<void>

const atOnce = Exit.succeed(0)
const never = Exit.succeed(Infinity)

const ranks: { readonly [P in typeof Current.Priority.Service]: number } = { interactive: 0, default: 1, background: 2 }
