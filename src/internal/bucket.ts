/** The bucket of failed extra attempts of one model, and who draws on it. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { Charge } from "../Claude.ts"
import type { Table } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import * as Guard from "../guard/Guard.ts"
import { RecentRate } from "./ramp.ts"
import * as Turnstile from "./turnstile.ts"

/**
 * How long after the last failure one attempt may start while the bucket is empty, in milliseconds: doubled by each of
 * these that fails. In an hour of outage these are 15.
 */
export const [firstPace, longestPace] = [10_000, 300_000]

/** How many calls wait where they would be a burst if all went at once (a brown-out, a). Few random failures make so many wait. */
const backlog = 20

/**
 * How many calls of a backlog leave for each new one. After an outage, in which as many new calls came and none was answered,
 * so few that the load is at most doubled, with those that fail and come once more (a). In a brown-out as many as 60 % failures
 * need (three-models).
 */
const [afterOutage, inBrownOut] = [0.9, 2]

/** How many calls of a backlog leave in a second at least: in programs that ask more rarely they would wait for minutes. */
const leastRate = 1

/**
 * The bucket of one model. An extra attempt that runs counts as failed until the model answers anything: in an outage no
 * more than ten run at once, and while answers come, any number.
 */
export class Bucket {
  readonly size: number
  /** Below zero if an answer breaks off after others were asked on its account. */
  left: number
  /** What is taken for extra attempts that run since the last success, and how many these are. */
  held = 0
  running = 0
  /** How many successes there were, and when the last was. */
  round = 0
  succeededAt = -Infinity
  /** From when the pace counts: the last failure of an extra attempt, or the start of one while the bucket was empty. */
  pacedFrom = -Infinity
  pace = firstPace
  /** How many calls begin in a second. */
  readonly offered = new RecentRate()
  /** Whether the calls of a backlog leave one by one. */
  isPaced = false
  /** How many of them leave for each new call. */
  share = 1
  /** When the next of them may leave. */
  nextAt = -Infinity
  /** Whether there was an extra attempt: only such buckets are shown. */
  isUsed = false
  readonly line: Turnstile.Turnstile<Ticket>

  constructor(size: number, scope: Scope.Scope) {
    this.size = size
    this.left = size
    this.line = Turnstile.make<Ticket>({
      rank: ({ rank }) => rank,
      room: Infinity,
      take: (ticket, now) => {
        const millis = this.wait(now)
        if (millis === 0) ticket.start(now)
        return Exit.succeed(millis)
      },
      putBack: (ticket) => Effect.sync(() => ticket.release())
    }, scope)
  }

  /** Milliseconds until an extra attempt may start; `Infinity` until something ends. */
  wait(now: number): number {
    // No gap is longer than that, also where the clock was set back.
    this.nextAt = Math.min(this.nextAt, now + 1000 / leastRate)
    if (this.left >= 1) return this.isPaced ? Math.max(0, this.nextAt - now) : 0
    if (this.running > 0) return Infinity
    // Also where the clock was set back since then.
    this.pacedFrom = Math.min(this.pacedFrom, now)
    return Math.max(0, this.pacedFrom + this.pace - now)
  }

  /** Whether it is full, nobody waits, and no new call came for so long: then a new one is the same. */
  isIdle(length: number, now: number): boolean {
    return this.line.size() === 0 && this.running === 0 && this.left >= this.size && now - this.offered.at >= length
  }

  /** An answer begins. The calls of a backlog leave in step with new ones, and not in one burst. */
  succeeded(now: number): Gift {
    if (this.line.size() >= backlog) {
      const missed = this.offered.rate() * (now - this.succeededAt) / 1000
      if (!this.isPaced) this.share = missed >= backlog ? afterOutage : inBrownOut
      this.isPaced = true
    }
    this.succeededAt = now
    const before = this.left + this.held
    const gift = { amount: Math.min(1, this.size - before), pace: this.pace }
    this.left = before + gift.amount
    this.held = 0
    this.running = 0
    this.round++
    if (this.left >= 1) this.pace = firstPace
    this.line.wake()
    return gift
  }

  /** That answer breaks off. */
  takeBack({ amount, pace }: Gift): void {
    this.left -= amount
    this.pace = Math.max(this.pace, pace)
  }
}

/** What an answer gave when it began, and the pace before that. */
interface Gift {
  readonly amount: number
  readonly pace: number
}

/** An extra attempt. */
export class Ticket implements Charge {
  readonly bucket: Bucket
  readonly rank: number
  /** What it took: nothing, if the bucket was empty and its time had come. */
  price = 0
  /** In which round it holds that; none, if it holds nothing. */
  round = -1
  /** What its last answer gave. */
  gift: Gift | undefined
  hasFailed = false

  constructor(bucket: Bucket, rank: number) {
    this.bucket = bucket
    this.rank = rank
  }

  start(now: number): void {
    const { bucket } = this
    bucket.isUsed = true
    if (bucket.isPaced) {
      bucket.isPaced = bucket.line.size() > 1
      bucket.nextAt = now + 1000 / Math.max(leastRate, bucket.share * bucket.offered.rate())
    }
    this.price = bucket.left >= 1 ? 1 : 0
    if (this.price === 0) bucket.pacedFrom = now
    this.round = bucket.round
    bucket.left -= this.price
    bucket.held += this.price
    bucket.running++
  }

  /** Holds nothing any more, and says what it held. */
  letGo(): number {
    const { bucket, price, round } = this
    this.round = -1
    if (round !== bucket.round) return 0
    bucket.running--
    bucket.held -= price
    return price
  }

  release(): void {
    this.bucket.left += this.letGo()
    this.bucket.line.wake()
  }

  fail(now: number): void {
    if (this.hasFailed) return
    this.hasFailed = true
    const { bucket, gift, price } = this
    if (gift !== undefined) bucket.takeBack(gift)
    // What it holds stays taken.
    bucket.left -= price - this.letGo()
    bucket.pacedFrom = now
    if (price === 0) bucket.pace = Math.min(longestPace, 2 * bucket.pace)
    bucket.line.wake()
  }

  /** No method: whoever holds a charge may take it apart. */
  readonly settle = (exit: Guard.Ending): Effect.Effect<void> =>
    Effect.withFiber((fiber) => {
      const { now } = Guard.placeOf(fiber)
      if (isWasted(exit, now, fiber.getRef(Current.Deadline))) this.fail(now)
      else this.release()
      return Exit.void
    })
}

/** One request of a first or an extra attempt. */
export class Lease implements Guard.Held {
  readonly bucket: Bucket
  readonly ticket: Ticket | undefined
  readonly deadline: number
  gift: Gift | undefined

  constructor(bucket: Bucket, ticket: Ticket | undefined, deadline: number) {
    this.bucket = bucket
    this.ticket = ticket
    this.deadline = deadline
  }

  opened(_: unknown, { now }: Guard.Place): Effect.Effect<void> {
    const gift = this.bucket.succeeded(now)
    if (this.ticket === undefined) this.gift = gift
    else this.ticket.gift = gift
    return Exit.void
  }

  end(exit: Guard.Ending, _: unknown, { now }: Guard.Place): Effect.Effect<void> {
    if (!isWasted(exit, now, this.deadline)) return Exit.void
    if (this.gift !== undefined) this.bucket.takeBack(this.gift)
    this.ticket?.fail(now)
    return Exit.void
  }
}

/** Whether an attempt was load for nothing: also if the deadline of its call has cut it, as a model may be too slow. */
const isWasted = (exit: Guard.Ending, now: number, deadline: number): boolean =>
  Guard.judge(exit, { success: false, neutral: false, failure: wasted })
  || now >= deadline && Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)

/** Whether an attempt that failed so was load for nothing. A piece of an answer is not, nor what was never sent. */
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
