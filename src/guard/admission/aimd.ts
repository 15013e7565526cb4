/**
 * How many calls may run: one cut for each congestion event, one more for each round, never by latency.
 *
 * Sources: TCP (RFC 5681) for one cut an event, the quick start, and one more a round after it; Netflix
 * concurrency-limits for the factor. Scenario: 1,000 jobs where 50 may run.
 */

/** Where it begins, and how far it goes. */
export interface Range {
  readonly min: number
  readonly max: number
  readonly initial: number
}

/** What is left after a cut. */
const factor = 0.9

/** How many may run. Requests are numbered as they are sent. */
export class Limit {
  readonly range: Range
  size: number
  /** Up to here it grows by one for each answer that begins, above it by one for each round of them. */
  threshold = Infinity
  /** The last request that was sent before the last cut: its loss is a part of the same event. */
  cutAfter = 0
  /** How many answers are under way. */
  underWay = 0

  constructor(range: Range) {
    this.range = range
    this.size = range.initial
  }

  /** How many may run. */
  get most(): number {
    return Math.floor(this.size)
  }

  /** An answer begins, while so many run. */
  begun(running: number): void {
    this.underWay++
    // Fewer than half of them at work say nothing about more.
    if (2 * running < this.size) return
    this.size = Math.min(this.range.max, this.size + (this.size < this.threshold ? 1 : 1 / this.size))
  }

  /** An answer that had begun is over. */
  ended(): void {
    this.underWay--
  }

  /**
   * A request was lost, when so many were sent. As many as are answered just now may run. Where none is, it is an outage,
   * and no sign of how many may run: the number comes back as fast as it grew at first.
   */
  lost(request: number, sent: number): void {
    if (request <= this.cutAfter) return
    this.cutAfter = sent
    this.size = Math.min(this.size, Math.max(this.range.min, this.underWay, this.size * factor))
    if (this.underWay > 0) this.threshold = this.size
  }
}
