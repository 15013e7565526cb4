/**
 * Adapts the concurrency limit, independent of latency: one cut per congestion event, then +1 per round of answers.
 *
 * Sources: TCP (RFC 5681) for one cut per event, slow start, and linear growth after it; Netflix concurrency-limits for
 * the factor. Lab scenario `jobs` measures the result: 1,000 jobs at a provider that runs 50 at once.
 */

export interface Range {
  readonly min: number
  readonly max: number
  readonly initial: number
}

const cutFactor = 0.9

/** Requests are numbered in the order in which they are sent. */
export class Limit {
  readonly range: Range
  size: number
  /** Slow start: below the threshold the limit grows by 1 per answer, above it by 1 per round of answers. */
  threshold = Infinity
  /**
   * The number of the last request sent before the last cut. The loss of this or an earlier request belongs to the same
   * congestion event.
   */
  cutAfter = 0
  /** The number of answers that have begun but not ended. */
  underWay = 0

  constructor(range: Range) {
    this.range = range
    this.size = range.initial
  }

  get most(): number {
    return Math.floor(this.size)
  }

  /** Call when an answer begins while `running` calls run. */
  begun(running: number): void {
    this.underWay++
    // With less than half of the limit in use, a success does not show that more could run.
    if (2 * running < this.size) return
    this.size = Math.min(this.range.max, this.size + (this.size < this.threshold ? 1 : 1 / this.size))
  }

  /** Call when an answer that had begun ends. */
  ended(): void {
    this.underWay--
  }

  /**
   * Call when request number `request` was lost. `sent` is the number of requests sent so far. The limit never falls
   * below the number of answers under way. If no answer is under way, the loss means an outage, not congestion, so the
   * limit may grow back in slow start.
   */
  lost(request: number, sent: number): void {
    if (request <= this.cutAfter) return
    this.cutAfter = sent
    this.size = Math.min(this.size, Math.max(this.range.min, this.underWay, this.size * cutFactor))
    if (this.underWay > 0) this.threshold = this.size
  }
}
