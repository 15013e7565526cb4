/**
 * A clock that never goes back. If the system clock is set back (NTP, a virtual machine that resumes), it continues
 * from the last time. Queues use it. Circuits, which processes may share, and the retry budget correct their own times.
 */
export type Steady = (now: number) => number

/** Starts with the first time it gets, in milliseconds. */
export const make = (): Steady => {
  let behind = 0
  let last = -Infinity
  return (now) => {
    if (now + behind < last) behind = last - now
    last = now + behind
    return last
  }
}
