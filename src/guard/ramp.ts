/**
 * Limits how fast calls may begin after an incident, as a rate.
 *
 * A concurrency limit would not work: long answers from before the incident would hold its slots, so no call could
 * begin.
 */

/** Times in milliseconds, rates in calls per second. */
const defaults = {
  /**
   * The time in which the rate grows from 0 to twice the rate before the incident. With a shorter time, calls fail in
   * lab scenario a4, where the API rejects more than twice that rate after its outage.
   */
  full: 5000,
  /**
   * How long the rate is capped at twice the rate before the incident: long enough to serve the calls that arrived
   * during an outage of two minutes (lab scenario alarm-outage). Then the rate grows again.
   */
  capped: 120_000,
  /**
   * Lower bound for the rate before the incident. Programs with little traffic would otherwise make calls wait for
   * minutes.
   */
  least: 1,
  /** The time over which `RecentRate` averages: as long as the default window of a circuit. */
  memory: 60_000
}

/** Calls per second as an exponential average, corrected so that it is not too low after the first calls. */
export class RecentRate {
  calls = 0
  /** The measured time ends at `at`, the last call, and starts at `from`. */
  at = 0
  from = 0

  count(now: number): void {
    if (this.calls === 0) this.from = now
    else this.calls *= Math.exp(-this.since(now) / defaults.memory)
    this.calls++
    this.at = now
  }

  /** Leaves the time since the last call out of the average, because calls were held back during that time. */
  skip(now: number): void {
    this.from += this.since(now)
    this.at = now
  }

  rate(): number {
    // Assumes at least one second: two calls at once are not thousands per second.
    const age = Math.max(1000, this.at - this.from)
    return this.calls / (defaults.memory / 1000 * (1 - Math.exp(-age / defaults.memory)))
  }

  since(now: number): number {
    return Math.max(0, now - this.at)
  }
}

/**
 * A rate that grows to twice the rate before the incident, stays there until 2 minutes after the start, and then keeps
 * growing at the same slope. The growth to twice the rate takes at most 5 seconds, unless `lose` cuts the rate.
 *
 * The wait line of a circuit uses a ramp after an outage, and the queue uses a ramp after the pause of a 429. The retry
 * budget spaces its waiting calls in a different way (`budget/bucket.ts`).
 */
export class Ramp {
  readonly before: number
  readonly top: number
  /** Growth of the rate per second. */
  readonly slope: number
  readonly start: number
  rate = 0
  /** How many calls may begin now. The first call may begin at once. */
  credit = 1
  at: number
  cutAt = -Infinity

  /** `before` is the rate before the incident in calls per second; `from` is the share of that rate to start with. */
  constructor(before: number, now: number, from = 0) {
    this.before = Math.max(defaults.least, before)
    this.top = 2 * this.before
    this.rate = from * this.before
    this.slope = this.top / (defaults.full / 1000)
    this.start = now
    this.at = now
  }

  /** Milliseconds until the last of `calls` more calls may begin; 0 if it may begin now. */
  waitFor(calls: number, now: number): number {
    this.advance(now)
    const { credit, rate, slope, top } = this
    const more = calls - credit
    // Tolerance: a sum of fractions can be slightly too small.
    if (more < 1e-9) return 0
    const growth = Math.max(0, (top - rate) / slope)
    const until = growth * (rate + top) / 2
    const seconds = more <= until
      ? (Math.sqrt(rate * rate + 2 * slope * more) - rate) / slope
      : growth + (more - until) / Math.max(top, rate)
    return Math.max(1, Math.ceil(seconds * 1000))
  }

  take(): void {
    this.credit--
  }

  /**
   * Call when a call that began at `start` was lost. Halves a rate below `before`. A higher rate is lowered only to
   * `before`: if it were halved, a steady 10 % of failures would hold the rate down forever. The loss of a call that
   * began before the last cut is ignored.
   */
  lose(start: number, now: number): void {
    if (start < this.cutAt) return
    this.advance(now)
    this.rate = this.rate < this.before ? this.rate / 2 : this.before
    this.cutAt = now
  }

  /** If true, the ramp may end as soon as no call waits. */
  isFull(now: number): boolean {
    this.advance(now)
    return this.rate >= this.top
  }

  advance(now: number): void {
    const seconds = Math.max(0, now - this.at) / 1000
    const top = now - this.start < defaults.capped ? this.top : Infinity
    const grown = Math.max(this.rate, Math.min(top, this.rate + this.slope * seconds))
    // Unused credit is capped at one call, or 10 ms worth of calls if that is more, so that it cannot become a burst.
    this.credit = Math.min(this.credit + seconds * (this.rate + grown) / 2, Math.max(1, grown / 100))
    this.rate = grown
    this.at = now
  }
}
