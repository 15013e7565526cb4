/**
 * Plans of schedules, to inspect a schedule without running it.
 *
 * A `Schedule` is opaque, so the schedules of `Retry` carry a plan under a symbol. A schedule without a plan is custom or
 * combined. It counts as one that retries every error, except in `wouldRetry` of `retryState.ts`, which runs it.
 */
import * as Schedule from "effect/Schedule"
import * as Refuse from "../options.ts"
import { decisions } from "./decisions.ts"

export type AnySchedule = Schedule.Schedule<unknown, never>

/** `times`: the maximum number of retries. `entries`: the schedules by kind of error. */
export type Plan =
  | { readonly kind: "waits"; readonly times: number }
  | { readonly kind: "byTag"; readonly entries: ReadonlyMap<string, AnySchedule> }

const key = Symbol("resilient-claude/Plan")

/** Adds a plan to a schedule in place, so use it only for a schedule that no other code has yet. */
export const note = <S extends object>(schedule: S, plan: Plan): S => Object.assign(schedule, { [key]: plan })

export const of = (schedule: AnySchedule): Plan | undefined => (schedule as { readonly [key]?: Plan })[key]

/** The schedule for a kind of error: an entry of `Retry.byTag`, or the schedule itself. */
const asked = (schedule: AnySchedule, tag: string): AnySchedule | undefined => {
  const plan = of(schedule)
  if (plan?.kind !== "byTag") return schedule
  const entry = plan.entries.get(tag)
  return entry && asked(entry, tag)
}

/** Whether a schedule may retry an error with this tag; `true` if the schedule, or its entry for the tag, has no plan. */
export const takes = (schedule: AnySchedule, tag: string): boolean => {
  const entry = asked(schedule, tag)
  if (entry === undefined) return false
  const plan = of(entry)
  return plan?.kind !== "waits" || plan.times > 0
}

/**
 * Reads a record of schedules by kind of error. Throws a `RangeError` for a value that is not a schedule and, unless
 * `isOpen`, for an unknown kind.
 */
export const entries = (where: string, record: object, isOpen = false): ReadonlyMap<string, AnySchedule> => {
  const found = new Map<string, AnySchedule>()
  for (const [tag, schedule] of Object.entries(record)) {
    if (!isOpen && !Object.hasOwn(decisions, tag)) {
      Refuse.refuse(
        `${where}: ${tag} is not a kind of error of this library: correct it or, for an error of your own, write Retry.byTag({ ${tag}: … }, TheClassOfTheError)`
      )
    }
    if (schedule === undefined) continue
    if (!Schedule.isSchedule(schedule)) {
      Refuse.refuse(
        `${where}: ${tag} is ${Refuse.shown(schedule)}: it must be a Schedule, like Retry.backoff({ times: 3 })`
      )
    }
    found.set(tag, schedule as AnySchedule)
  }
  return found
}
