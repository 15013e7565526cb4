/** Measures how long answers take, to estimate when a queued call gets its turn. */

/** Weight of a new sample in the moving average: about the last ten answers count. */
const weight = 0.1

/**
 * Estimated milliseconds until the next slot becomes free, before any answer was measured: as with ten running calls of
 * 5 seconds each.
 */
const first = 500

/**
 * Safety factor on the average duration, because answers vary. Source: the simulator, with three times the load that
 * the rate limit allows. Without this factor, 6 of 129 calls were sent too late to be answered.
 */
const spread = 2

/** At most this share of the time to the deadline is reserved for the answer; the rest may pass in the queue. */
const most = 0.5

/** Moving averages of answer times, in milliseconds. */
export class Pace {
  took = 0
  /** Average time until the next slot becomes free. */
  each: number | undefined
  /** The time at which the last rejected call may retry. */
  next = -Infinity

  /** Adds an answer that took `took` ms. `running`: the calls that ran at its end, with the call of this answer. */
  answered(took: number, running: number): void {
    const each = took / Math.max(1, running)
    this.took = this.each === undefined ? took : this.took + weight * (took - this.took)
    this.each = this.each === undefined ? each : this.each + weight * (each - this.each)
  }

  /** Milliseconds to reserve for the answer, out of `left`, the time to the deadline. */
  kept(left: number): number {
    return left === Infinity ? 0 : Math.min(spread * this.took, most * left)
  }

  /**
   * The time at which a rejected call may retry, not before `from`. Each rejected call gets a later time than the
   * previous rejected call, at the rate at which the queue empties, so that rejected calls do not all retry at once.
   */
  place(from: number): number {
    return this.next = Math.max(this.next, from) + (this.each ?? first)
  }
}
