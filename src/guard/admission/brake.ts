/** What slows the calls of a class of models down after a 429: the pause that it asks for, and the ramp after it. */
import type { Amount } from "../quota/Quota.ts"
import { Ramp, RecentRate } from "../ramp.ts"
import { Pause } from "./pause.ts"

export interface Brake {
  readonly pause: Pause
  readonly recent: RecentRate
  /** How fast calls may begin, after a pause and after a 429 for growing too fast. */
  ramp: Ramp | undefined
}

/** A brake that holds nobody. */
export const make = (): Brake => ({ pause: new Pause(), recent: new RecentRate(), ramp: undefined })

/** In how many milliseconds a request of a size may be sent, as the last one of so many. */
export const waitFor = ({ pause, ramp }: Brake, size: () => Amount, calls: number, now: number): number =>
  Math.max(pause.wait(size, now), ramp?.waitFor(calls, now) ?? 0)

/** One is sent, and may look whether a pause is over. The ramp is over when it is up and nobody else waits. */
export const sent = (brake: Brake, looks: boolean, isLast: boolean, now: number): void => {
  const { ramp, recent } = brake
  // Nothing was sent in the pause.
  if (looks) recent.skip(now)
  recent.count(now)
  ramp?.take()
  if (isLast && ramp?.isFull(now) === true) brake.ramp = undefined
}

/** Those who waited for the end of a pause follow at the rate from before it, and then faster. */
export const released = (brake: Brake, now: number): void => {
  brake.ramp ??= new Ramp(brake.recent.rate(), now, 1)
}

/** A 429 for growing too fast, of a call that began then: half the recent rate at first, and half of that with each further one. */
export const grewTooFast = (brake: Brake, began: number, now: number): void => {
  if (brake.ramp === undefined) brake.ramp = new Ramp(brake.recent.rate(), now, 0.5)
  else brake.ramp.lose(began, now)
}
