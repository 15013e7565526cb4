/** How long answers take, and so how soon there is a place in a queue. */

/** How much each answer says: about the last ten count. */
const weight = 0.1

/** Before the first answer, in milliseconds: a short one. */
const firstTook = 5000

/** The share of the time until a deadline that is kept for the answer at most: a queue may take the other half. */
const most = 0.5

/** What answers took. */
export class Pace {
  took: number | undefined
  /** When there is a place for the one that was refused last. */
  next = -Infinity

  answered(took: number): void {
    this.took = this.took === undefined ? took : this.took + weight * (took - this.took)
  }

  /** What is kept for the answer of what is left until a deadline. */
  kept(left: number): number {
    return left === Infinity ? 0 : Math.min(this.took ?? 0, most * left)
  }

  /**
   * In how many milliseconds there is a place, where so many run and nobody more may wait. Each that is told so is told a
   * later time than the one before, as the queue empties, so that they do not all come back at once.
   */
  place(running: number, now: number): number {
    this.next = Math.max(this.next, now) + (this.took ?? firstTook) / Math.max(1, running)
    return Math.ceil(this.next - now)
  }
}
