/**
 * A clock that never goes back. If the system clock is set back (NTP, a virtual machine that resumes), it continues
 * from the last time. Only queues use it. Circuits (which processes may share) and the retry budget correct their
 * stored times instead.
 */
export type Steady = (now: number) => number

/** Starts at the first time it receives. Times in milliseconds. */
export const make = (): Steady => {
  let behind = 0
  let last = -Infinity
  return (now) => {
    if (now + behind < last) behind = last - now
    last = now + behind
    return last
  }
}
