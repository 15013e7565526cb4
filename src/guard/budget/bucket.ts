/** The bucket of failed extra attempts of one model, and the tickets of those who draw on it. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { RecentRate } from "../ramp.ts"
import * as Turnstile from "../waitQueue.ts"

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
export interface Bucket {
  readonly size: number
  /** Below zero if an answer breaks off after others were asked on its account. */
  left: number
  /** What is taken for extra attempts that run since the last success, and how many these are. */
  held: number
  running: number
  /** How many successes there were, and when the last was. */
  round: number
  succeededAt: number
  /** From when the pace counts: the last failure of an extra attempt, or the start of one while the bucket was empty. */
  pacedFrom: number
  pace: number
  /** How many calls begin in a second. */
  readonly offered: RecentRate
  /** Whether the calls of a backlog leave one by one. */
  isPaced: boolean
  /** How many of them leave for each new call. */
  share: number
  /** When the next of them may leave. */
  nextAt: number
  /** Whether there was an extra attempt: only such buckets are shown. */
  isUsed: boolean
  readonly line: Turnstile.Turnstile<Ticket>
}

/** A full bucket. */
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

/** Milliseconds until an extra attempt may start; `Infinity` until something ends. */
export const waitFor = (bucket: Bucket, now: number): number => {
  // No gap is longer than that, also where the clock was set back.
  bucket.nextAt = Math.min(bucket.nextAt, now + 1000 / leastRate)
  if (bucket.left >= 1) return bucket.isPaced ? Math.max(0, bucket.nextAt - now) : 0
  if (bucket.running > 0) return Infinity
  // Also where the clock was set back since then.
  bucket.pacedFrom = Math.min(bucket.pacedFrom, now)
  return Math.max(0, bucket.pacedFrom + bucket.pace - now)
}

/** Whether it is full, nobody waits, and no new call came for so long: then a new one is the same. */
export const isIdle = ({ left, line, offered, running, size }: Bucket, length: number, now: number): boolean =>
  line.size() === 0 && running === 0 && left >= size && now - offered.at >= length

/** An answer begins. The calls of a backlog leave in step with new ones, and not in one burst. */
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

/** That answer breaks off. */
export const takeBack = (bucket: Bucket, { amount, pace }: Gift): void => {
  bucket.left -= amount
  bucket.pace = Math.max(bucket.pace, pace)
}

/** What an answer gave when it began, and the pace before that. */
export interface Gift {
  readonly amount: number
  readonly pace: number
}

// -----------------------------------------------------------------------------
// Extra attempts
// -----------------------------------------------------------------------------

/** An extra attempt. */
export interface Ticket {
  readonly bucket: Bucket
  readonly rank: number
  /** What it took: nothing, if the bucket was empty and its time had come. */
  price: number
  /** In which round it holds that; none, if it holds nothing. */
  round: number
  /** What its last answer gave. */
  gift: Gift | undefined
  hasFailed: boolean
}

/** One that has not started. */
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

/** Holds nothing any more, and says what it held. */
const letGo = (ticket: Ticket): number => {
  const { bucket, price, round } = ticket
  ticket.round = -1
  if (round !== bucket.round) return 0
  bucket.running--
  bucket.held -= price
  return price
}

/** It ended, and was no load for nothing. */
export const release = (ticket: Ticket): void => {
  ticket.bucket.left += letGo(ticket)
  ticket.bucket.line.wake()
}

/** It was load for nothing: the first time counts. */
export const fail = (ticket: Ticket, now: number): void => {
  if (ticket.hasFailed) return
  ticket.hasFailed = true
  const { bucket, gift, price } = ticket
  if (gift !== undefined) takeBack(bucket, gift)
  // What it holds stays taken.
  bucket.left -= price - letGo(ticket)
  bucket.pacedFrom = now
  if (price === 0) bucket.pace = Math.min(longestPace, 2 * bucket.pace)
  bucket.line.wake()
}
