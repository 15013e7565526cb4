/**
 * How fast calls may begin after an incident: a rate in time.
 *
 * A number of calls that may run at once would let nothing begin while long
 * answers from before still run.
 */

/** Times in milliseconds, rates in calls per second. Each with the scenario of the simulator that set it. */
const defaults = {
  /** When the rate is twice the one from before: the outage must not be followed by a burst. A shorter time fails a4, whose API refuses more than that. */
  full: 5000,
  /** How long it is at most that: by then a backlog of two minutes is served (alarm-outage). After that, it grows on. */
  capped: 120_000,
  /** The least rate from before, for programs that ask more rarely: they would wait for minutes else. */
  least: 1,
  /** The time over which the rate from before is measured, and the window of the circuit. */
  memory: 60_000
}

/** Measures how many calls begin in a second: an exponential average, exact from the first call on. */
export class RecentRate {
  calls = 0
  /** Until when that was measured, and from when. */
  at = 0
  from = 0

  /** A call begins. */
  count(now: number): void {
    if (this.calls === 0) this.from = now
    else this.calls *= Math.exp(-this.since(now) / defaults.memory)
    this.calls++
    this.at = now
  }

  /** The time since the last call is left out: nothing may have been sent in it. */
  skip(now: number): void {
    this.from += this.since(now)
    this.at = now
  }

  rate(): number {
    // As after a second at least: two calls at once are no rate of thousands.
    const age = Math.max(1000, this.at - this.from)
    return this.calls / (defaults.memory / 1000 * (1 - Math.exp(-age / defaults.memory)))
  }

  since(now: number): number {
    return Math.max(0, now - this.at)
  }
}

/**
 * A rate that grows to twice the one from before the incident in 5 seconds, stays there until 2 minutes have passed, and then
 * grows on at the same slope.
 *
 * After an outage the line of a circuit ramps if the circuit was open, the queue ramps after the pause of a 429, and the
 * retry budget spaces the calls that waited for it (`bucket`). They can act together: the slowest decides.
 */
export class Ramp {
  readonly before: number
  readonly top: number
  /** By how much the rate grows in a second. */
  readonly slope: number
  readonly start: number
  rate = 0
  /** How many calls may begin now: the first at once. */
  credit = 1
  at: number
  cutAt = -Infinity

  /** `before` is the rate before the incident, `from` with which share of it this one starts. */
  constructor(before: number, now: number, from = 0) {
    this.before = Math.max(defaults.least, before)
    this.top = 2 * this.before
    this.rate = from * this.before
    this.slope = this.top / (defaults.full / 1000)
    this.start = now
    this.at = now
  }

  /** In how many milliseconds so many calls may have begun: 0 if they may now. */
  waitFor(calls: number, now: number): number {
    this.advance(now)
    const { credit, rate, slope, top } = this
    const more = calls - credit
    // Sums of fractions are a little less than what they stand for.
    if (more < 1e-9) return 0
    const growth = Math.max(0, (top - rate) / slope)
    const until = growth * (rate + top) / 2
    const seconds = more <= until
      ? (Math.sqrt(rate * rate + 2 * slope * more) - rate) / slope
      : growth + (more - until) / Math.max(top, rate)
    return Math.max(1, Math.ceil(seconds * 1000))
  }

  /** A call begins. */
  take(): void {
    this.credit--
  }

  /**
   * A call that began at `start` was lost: halves the rate, but not below the one from before once that was reached, which
   * would make a limit of a steady 10 % of failures. Calls that had begun before the last time say nothing new.
   */
  lose(start: number, now: number): void {
    if (start < this.cutAt) return
    this.advance(now)
    this.rate = this.rate < this.before ? this.rate / 2 : this.before
    this.cutAt = now
  }

  /** Whether it has reached its top: then it is over when nobody waits. */
  isFull(now: number): boolean {
    this.advance(now)
    return this.rate >= this.top
  }

  advance(now: number): void {
    const seconds = Math.max(0, now - this.at) / 1000
    const top = now - this.start < defaults.capped ? this.top : Infinity
    const grown = Math.max(this.rate, Math.min(top, this.rate + this.slope * seconds))
    // What nobody took in more than a hundredth of a second is not kept for later, where it would be a burst.
    this.credit = Math.min(this.credit + seconds * (this.rate + grown) / 2, Math.max(1, grown / 100))
    this.rate = grown
    this.at = now
  }
}
