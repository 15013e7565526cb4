/** How long answers take, and so how soon there is a place in a queue. */

/** How much each answer says: about the last ten count. */
const weight = 0.1

/** Before the first answer, in milliseconds: a short one, where ten run. */
const first = 500

/** Longer than most: answers differ. Scenario c, where 6 of 129 were sent too late to be answered. */
const spread = 2

/** The share of the time until a deadline that is kept for the answer at most: a queue may take the other half. */
const most = 0.5

/** What answers took. */
export class Pace {
  took = 0
  /** How long it takes until one of those who run is done. */
  each: number | undefined
  /** When there is a place for the one that was refused last. */
  next = -Infinity

  /** An answer took so long, beside as many others. */
  answered(took: number, running: number): void {
    const each = took / Math.max(1, running)
    this.took = this.each === undefined ? took : this.took + weight * (took - this.took)
    this.each = this.each === undefined ? each : this.each + weight * (each - this.each)
  }

  /** What is kept for the answer of what is left until a deadline. */
  kept(left: number): number {
    return left === Infinity ? 0 : Math.min(spread * this.took, most * left)
  }

  /**
   * When there is a place for one that finds none, from some time on. Each that asks is told a later time than the one
   * before, as the queue empties, so that they do not all come back at once.
   */
  place(from: number): number {
    return this.next = Math.max(this.next, from) + (this.each ?? first)
  }
}
