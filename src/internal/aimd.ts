/**
 * How many calls may run: one cut for each congestion event, one more for each round, never by latency.
 *
 * Sources: TCP (RFC 5681) for one cut an event and for one more a round; Netflix concurrency-limits for the factor. An
 * event lasts until an answer begins that was asked for after the cut: an outage, in which none does, costs one cut.
 */

/** Where it begins, and how far it goes. */
export interface Range {
  readonly min: number
  readonly max: number
  readonly initial: number
}

/** What is left after a cut. */
const factor = 0.9

/** How many may run, counted in requests, which are numbered as they are sent. */
export class Limit {
  readonly range: Range
  size: number
  /** One more for each answer until the first loss, then one more for each round of answers. */
  hasLost = false
  /** The last request that was sent before the last cut. */
  cutAfter = 0
  /** Losses of requests up to this are a part of an event that was cut for. */
  known = 0

  constructor(range: Range) {
    this.range = range
    this.size = range.initial
  }

  /** How many may run. */
  get most(): number {
    return Math.floor(this.size)
  }

  /** The answer to a request begins, while so many run, and so many were sent. */
  begun(request: number, running: number, sent: number): void {
    if (request > this.cutAfter && this.known === Infinity) this.known = sent
    // Fewer than half of them at work say nothing about more.
    if (2 * running < this.size) return
    this.size = Math.min(this.range.max, this.size + (this.hasLost ? 1 / this.size : 1))
  }

  /** A request was lost, when so many were sent. */
  lost(request: number, sent: number): void {
    if (request <= this.known) return
    this.size = Math.max(this.range.min, this.size * factor)
    this.hasLost = true
    this.cutAfter = sent
    this.known = Infinity
  }
}
