/**
 * Time that never goes back. Where the system clock is set back (NTP, a virtual machine that resumes), it goes on from
 * where it was. Guards measure all their waits with it, so that none of them has to think of it.
 */
export type Steady = (now: number) => number

/** Starts with the first time that it is given, in milliseconds. */
export const make = (): Steady => {
  let behind = 0
  let last = -Infinity
  return (now) => {
    if (now + behind < last) behind = last - now
    last = now + behind
    return last
  }
}
