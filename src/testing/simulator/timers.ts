export interface Timer {
  /** In milliseconds. */
  readonly at: number
  /** Timers with the same time fire in the order of their ids. */
  readonly id: number
  /** Set to undefined to cancel the timer. */
  fire: (() => void) | undefined
}

const isBefore = (a: Timer, b: Timer) => a.at < b.at || a.at === b.at && a.id < b.id

/** A binary heap. */
export class Timers {
  readonly heap: Array<Timer> = []

  add(timer: Timer): void {
    const { heap } = this
    let at = heap.length
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || !isBefore(timer, parent)) break
      heap[at] = parent
      at = above
    }
    heap[at] = timer
  }

  /** Removes and returns the earliest timer, even if it was cancelled. */
  next(): Timer | undefined {
    const { heap } = this
    const first = heap[0]
    const last = heap.pop()
    if (first === last || last === undefined) return first
    let at = 0
    for (;;) {
      const left = heap[2 * at + 1]
      const right = heap[2 * at + 2]
      if (left === undefined) break
      const isRight = right !== undefined && isBefore(right, left)
      const child = isRight ? right : left
      if (!isBefore(child, last)) break
      heap[at] = child
      at = 2 * at + (isRight ? 2 : 1)
    }
    heap[at] = last
    return first
  }
}
