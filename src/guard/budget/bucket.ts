import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { RecentRate } from "../ramp.ts"
import * as Turnstile from "../waitQueue.ts"

/**
 * The first and the longest wait, in milliseconds. While the bucket is empty, one extra attempt may start when the wait
 * after the last failure is over, and doubles the wait if it fails. That makes 15 attempts in an hour of outage.
 */
export const [firstPace, longestPace] = [10_000, 300_000]

/**
 * With this many waiting calls or more, they leave one by one: all of them at once would be a burst (simulated with an
 * outage and with a brown-out). A few random failures leave fewer calls waiting.
 */
const backlog = 20

/**
 * How many waiting calls leave for each first attempt. After an outage, the load at most doubles, including the retries
 * of calls that fail again. In a brown-out, where only a part of the calls fails, the number is enough to retry all
 * failures if 60 % of the attempts fail. Both numbers are from the simulator.
 */
const [afterOutage, inBrownOut] = [0.9, 2]

/**
 * The minimum rate, in calls per second, at which a backlog leaves once the model answers again. With little traffic,
 * the backlog would otherwise take minutes.
 */
const leastRate = 1

/**
 * The bucket of one model. A running extra attempt counts as failed until the model answers any call. So at most
 * `size` extra attempts run at once in an outage; while answers arrive, their number is not limited.
 */
export interface Bucket {
  readonly size: number
  /**
   * The remaining credit: how many extra attempts may fail. Below zero if an answer breaks off after the credit that it
   * earned was spent.
   */
  left: number
  /** The running extra attempts that started since the last success: the credit that they hold, and their number. */
  held: number
  running: number
  /** The number of successes so far, and the time of the last success. */
  round: number
  succeededAt: number
  /** Start of the current wait: when an extra attempt last failed, or last started while the bucket was empty. */
  pacedFrom: number
  pace: number
  /** The rate of first attempts. */
  readonly offered: RecentRate
  /** Whether waiting calls leave one by one, at a limited rate. */
  isPaced: boolean
  /** How many waiting calls leave for each first attempt. */
  share: number
  /** When the next waiting call may leave. */
  nextAt: number
  /** Whether there was ever an extra attempt. Unused buckets are left out of the status. */
  isUsed: boolean
  readonly line: Turnstile.Turnstile<Ticket>
}

export const make = (size: number, scope: Scope.Scope): Bucket => {
  const bucket: Bucket = {
    size,
    left: size,
    held: 0,
    running: 0,
    round: 0,
    succeededAt: -Infinity,
    pacedFrom: -Infinity,
    pace: firstPace,
    offered: new RecentRate(),
    isPaced: false,
    share: 1,
    nextAt: -Infinity,
    isUsed: false,
    line: Turnstile.make<Ticket>({
      rank: ({ rank }) => rank,
      room: Infinity,
      take: (ticket, now) =>
        Effect.sync(() => {
          const millis = waitFor(bucket, now)
          if (millis === 0) start(ticket, now)
          return millis
        }),
      putBack: (ticket) => Effect.sync(() => release(ticket))
    }, scope)
  }
  return bucket
}

/** Milliseconds until an extra attempt may start; `Infinity` if a running attempt must end first. */
export const waitFor = (bucket: Bucket, now: number): number => {
  // Caps the wait until `nextAt`, in case the clock was set back.
  bucket.nextAt = Math.min(bucket.nextAt, now + 1000 / leastRate)
  if (bucket.left >= 1) return bucket.isPaced ? Math.max(0, bucket.nextAt - now) : 0
  if (bucket.running > 0) return Infinity
  // Corrects the start of the wait, in case the clock was set back.
  bucket.pacedFrom = Math.min(bucket.pacedFrom, now)
  return Math.max(0, bucket.pacedFrom + bucket.pace - now)
}

/**
 * Whether the bucket can be dropped: it is full, no extra attempt waits or runs, and no first attempt came for `length`
 * ms.
 */
export const isIdle = ({ left, line, offered, running, size }: Bucket, length: number, now: number): boolean =>
  line.size() === 0 && running === 0 && left >= size && now - offered.at >= length

/** An answer began. A backlog of waiting calls then leaves in step with first attempts, not in one burst. */
export const succeeded = (bucket: Bucket, now: number): Gift => {
  if (bucket.line.size() >= backlog) {
    const missed = bucket.offered.rate() * (now - bucket.succeededAt) / 1000
    if (!bucket.isPaced) bucket.share = missed >= backlog ? afterOutage : inBrownOut
    bucket.isPaced = true
  }
  bucket.succeededAt = now
  const before = bucket.left + bucket.held
  const gift = { amount: Math.min(1, bucket.size - before), pace: bucket.pace }
  bucket.left = before + gift.amount
  bucket.held = 0
  bucket.running = 0
  bucket.round++
  if (bucket.left >= 1) bucket.pace = firstPace
  bucket.line.wake()
  return gift
}

/** An answer broke off after it began: takes its credit back. */
export const takeBack = (bucket: Bucket, { amount, pace }: Gift): void => {
  bucket.left -= amount
  bucket.pace = Math.max(bucket.pace, pace)
}

/**
 * Lets `takeBack` undo a success: the credit that the answer earned when it began, and the `pace` of the bucket before
 * that, a wait in milliseconds.
 */
export interface Gift {
  readonly amount: number
  readonly pace: number
}

// -----------------------------------------------------------------------------
// Extra attempts
// -----------------------------------------------------------------------------

export interface Ticket {
  readonly bucket: Bucket
  readonly rank: number
  /** The credit that the attempt took; 0 if the bucket was empty and the attempt started after the wait. */
  price: number
  /** The value of `bucket.round` when the attempt started; -1 before the attempt starts and after it ends. */
  round: number
  /** The credit that the attempt earned when its most recent answer began; undefined before the first answer. */
  gift: Gift | undefined
  hasFailed: boolean
}

export const ticket = (bucket: Bucket, rank: number): Ticket => ({
  bucket,
  rank,
  price: 0,
  round: -1,
  gift: undefined,
  hasFailed: false
})

const start = (ticket: Ticket, now: number): void => {
  const { bucket } = ticket
  bucket.isUsed = true
  if (bucket.isPaced) {
    bucket.isPaced = bucket.line.size() > 1
    bucket.nextAt = now + 1000 / Math.max(leastRate, bucket.share * bucket.offered.rate())
  }
  ticket.price = bucket.left >= 1 ? 1 : 0
  if (ticket.price === 0) bucket.pacedFrom = now
  ticket.round = bucket.round
  bucket.left -= ticket.price
  bucket.held += ticket.price
  bucket.running++
}

/** Releases the credit that the attempt holds, and returns the amount; 0 if a success has ended the round. */
const letGo = (ticket: Ticket): number => {
  const { bucket, price, round } = ticket
  ticket.round = -1
  if (round !== bucket.round) return 0
  bucket.running--
  bucket.held -= price
  return price
}

/** Returns the credit of an attempt that did not fail. */
export const release = (ticket: Ticket): void => {
  ticket.bucket.left += letGo(ticket)
  ticket.bucket.line.wake()
}

/** The attempt failed: its credit stays taken. Counts once, even if reported several times. */
export const fail = (ticket: Ticket, now: number): void => {
  if (ticket.hasFailed) return
  ticket.hasFailed = true
  const { bucket, gift, price } = ticket
  if (gift !== undefined) takeBack(bucket, gift)
  // If a success or `release` has already returned the credit of the attempt, takes the credit again.
  bucket.left -= price - letGo(ticket)
  bucket.pacedFrom = now
  if (price === 0) bucket.pace = Math.min(longestPace, 2 * bucket.pace)
  bucket.line.wake()
}
