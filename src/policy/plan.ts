/**
 * What is known of a schedule without running it.
 *
 * A `Schedule` is opaque, so the ones made by `Retry` carry a plan under a symbol. A schedule without a plan is a user's
 * own, or a combination: it may retry everything, and is never run to find out.
 */
import * as Schedule from "effect/Schedule"
import * as Refuse from "../options.ts"
import { decisions } from "./decisions.ts"

/** A schedule, whatever the errors that it takes. */
export type AnySchedule = Schedule.Schedule<unknown, never>

/** How often it retries at most, or which schedule is asked about which kind of error. */
export type Plan =
  | { readonly kind: "waits"; readonly times: number }
  | { readonly kind: "byTag"; readonly entries: ReadonlyMap<string, AnySchedule> }

const key = Symbol("resilient-claude/Plan")

/** The same schedule, now with its plan: only for a schedule that was made just now. */
export const note = <S extends object>(schedule: S, plan: Plan): S => Object.assign(schedule, { [key]: plan })

/** The plan of a schedule, if it carries one. */
export const of = (schedule: AnySchedule): Plan | undefined =>
  // The symbol is not a part of the type of a schedule.
  (schedule as { readonly [key]?: Plan })[key]

/** The schedule that is asked about a kind of error: an entry of `Retry.byTag`, or the schedule itself. */
const asked = (schedule: AnySchedule, tag: string): AnySchedule | undefined => {
  const plan = of(schedule)
  if (plan?.kind !== "byTag") return schedule
  const entry = plan.entries.get(tag)
  return entry && asked(entry, tag)
}

/** Whether a schedule retries a kind of error. One that is not ours may. */
export const takes = (schedule: AnySchedule, tag: string): boolean => {
  const entry = asked(schedule, tag)
  if (entry === undefined) return false
  const plan = of(entry)
  return plan?.kind !== "waits" || plan.times > 0
}

/** The schedules of a record by kind of error; refuses what is none. `isOpen`: it may have kinds that are not ours. */
export const entries = (where: string, record: object, isOpen = false): ReadonlyMap<string, AnySchedule> => {
  const found = new Map<string, AnySchedule>()
  for (const [tag, schedule] of Object.entries(record)) {
    if (!isOpen && !Object.hasOwn(decisions, tag)) {
      Refuse.refuse(
        `${where}: ${tag} is none of our kinds of error: correct it, or name its class after the record of Retry.byTag`
      )
    }
    if (schedule === undefined) continue
    if (!Schedule.isSchedule(schedule)) {
      Refuse.refuse(`${where}: ${tag} is ${String(schedule)}: it must be a Schedule, like Retry.backoff({ times: 3 })`)
    }
    found.set(tag, schedule as AnySchedule)
  }
  return found
}
