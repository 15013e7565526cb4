/**
 * A clock that never goes back, in milliseconds. If the system clock is set back (NTP, a virtual machine that resumes),
 * this clock continues from the last time that it returned. Only queues use it. Circuits, which processes may share,
 * and the retry budget correct their stored times instead.
 */
export type Steady = (now: number) => number

export const make = (): Steady => {
  let behind = 0
  let last = -Infinity
  return (now) => {
    if (now + behind < last) behind = last - now
    last = now + behind
    return last
  }
}
