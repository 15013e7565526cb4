/**
 * What a schedule will do, for those who read it.
 *
 * A `Schedule` is opaque, so the ones made by `Retry` leave a note here. A
 * schedule without a note is somebody's own: it is shown as `custom`, and
 * never run to find out.
 */
import type * as Schedule from "effect/Schedule"

/** The jitter of a wait: what is random in it. */
export type Jitter = "none" | "full" | "additive" | "proportional"

/** A schedule as data. Times in milliseconds. */
export type Plan =
  | { readonly kind: "never" }
  | {
    readonly kind: "waits"
    readonly times: number
    readonly jitter: Jitter
    readonly base: number
    readonly cap: number
    /** The wait before the n-th retry, from 1, before jitter. */
    readonly wait: (n: number) => number
  }
  | { readonly kind: "reask"; readonly times: number }
  | { readonly kind: "byTag"; readonly entries: ReadonlyMap<string, Schedule.Schedule<unknown, never>> }
  | { readonly kind: "atMost"; readonly times: number; readonly of: Schedule.Schedule<unknown, never> }

const plans = new WeakMap<object, Plan>()

/** Leaves the note. */
export const note = <S extends object>(schedule: S, plan: Plan): S => {
  plans.set(schedule, plan)
  return schedule
}

/** Reads the note. */
export const of = (schedule: object): Plan | undefined => plans.get(schedule)
