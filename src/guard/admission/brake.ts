/** Slows down one class of models after a 429: first the pause that the 429 asks for, then a ramp. */
import type { Amount } from "../quota/Quota.ts"
import { Ramp, RecentRate } from "../ramp.ts"
import { Pause } from "./pause.ts"

export interface Brake {
  readonly pause: Pause
  readonly recent: RecentRate
  /** Limits the rate of calls after a pause, and after a 429 that says that traffic grew too fast. */
  ramp: Ramp | undefined
}

export const make = (): Brake => ({ pause: new Pause(), recent: new RecentRate(), ramp: undefined })

/** Milliseconds until the last of `calls` requests may be sent; `size` is the estimated size of that request. */
export const waitFor = ({ pause, ramp }: Brake, size: () => Amount, calls: number, now: number): number =>
  Math.max(pause.wait(size, now), ramp?.waitFor(calls, now) ?? 0)

/**
 * Call when a request is sent. `looks`: whether the request tests the end of the pause. `isLast`: whether no other call
 * waits. The ramp ends when it is at its top and no other call waits.
 */
export const sent = (brake: Brake, looks: boolean, isLast: boolean, now: number): void => {
  const { ramp, recent } = brake
  // The pause held calls back: the time since the last request must not lower the recent rate.
  if (looks) recent.skip(now)
  recent.count(now)
  ramp?.take()
  if (isLast && ramp?.isFull(now) === true) brake.ramp = undefined
}

/** Starts the ramp after a pause: calls leave the queue first at the rate before the pause, then at a growing rate. */
export const released = (brake: Brake, now: number): void => {
  brake.ramp ??= new Ramp(brake.recent.rate(), now, 1)
}

/**
 * Call after a 429 that says that traffic grew too fast. The first such 429 starts a ramp at half the recent rate; each
 * later 429 of this kind cuts the ramp (`Ramp.lose`).
 */
export const grewTooFast = (brake: Brake, began: number, now: number): void => {
  if (brake.ramp === undefined) brake.ramp = new Ramp(brake.recent.rate(), now, 0.5)
  else brake.ramp.lose(began, now)
}
