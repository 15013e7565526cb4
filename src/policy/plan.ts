/**
 * What a schedule will do, for those who read it.
 *
 * A `Schedule` is opaque, so the ones made by `Retry` carry their plan under a
 * symbol. A schedule without a plan is a user's own, or a combination: it is
 * shown as `custom`, and never run to find out.
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

const key = Symbol("resilient-claude/Plan")

/** The same schedule, now with its plan: only for a schedule that was made just now. */
export const note = <S extends object>(schedule: S, plan: Plan): S => Object.assign(schedule, { [key]: plan })

/** The plan of a schedule, if it carries one. */
export const of = (schedule: object): Plan | undefined =>
  // The symbol is not a part of the type of a schedule.
  (schedule as { readonly [key]?: Plan })[key]
