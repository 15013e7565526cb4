/**
 * Tells when calls begin to fail, and when they are well again.
 *
 * It counts what calls come to, not attempts: one that a retry has saved is no
 * trouble of anybody's. It looks only when a call ends, so that a program that
 * starts, or is idle, raises nothing.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as CallLog from "../CallLog.ts"
import type { ClaudeError, GaveUp, Table, Tag } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { isToldRoutine, type Log, routine, wentWell } from "../internal/listening.ts"
import { isLocal } from "../internal/local.ts"
import * as Refuse from "../internal/refuse.ts"
import * as Guard from "./Guard.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** When to say that too many calls fail. */
export interface Options {
  /** Below which share of calls that succeed: 0.95. */
  readonly below?: number | undefined
  /** Over which time: 5 minutes. */
  readonly window?: Duration.Input | undefined
  /** With how many calls in it, at least: 20. */
  readonly minimumCalls?: number | undefined
}

/** The settings that were meant. */
export interface Settings {
  readonly below: number
  readonly window: number
  readonly minimumCalls: number
}

const defaults = { below: 0.95, window: "5 minutes", minimumCalls: 20 } as const

/** What is meant by the options. Throws a `RangeError` with a sentence if they cannot be meant. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("monitor", options, defaults)
  return {
    below: Refuse.share("monitor: below", options.below ?? defaults.below),
    window: Refuse.finite("monitor: window", options.window ?? defaults.window),
    minimumCalls: Refuse.whole("monitor: minimumCalls", options.minimumCalls ?? defaults.minimumCalls)
  }
}

/** What somebody should know now. */
export type Alert = Extract<CallLog.Event, { readonly _tag: "SuccessRateLow" | "SuccessRateRecovered" }>

/** The rate now, and whether it was said to be low. `rate` is 1 where there are no calls. */
export interface Status extends CallLog.SuccessRate {
  readonly low: boolean
}

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/** Who is told besides the log: a pager, a chat, a health check. What it dies of is reported, and fails no call. */
export interface Alerts {
  /** It runs in a fiber of its own: no call waits for it, and none that ends takes it along. */
  readonly raise: (alert: Alert) => Effect.Effect<void>
}

/** Who is told: nobody, where nothing is said. Captured when the guarded `Claude` is built. */
export const Alerts = Context.Reference<Alerts>("resilient-claude/Monitor/Alerts", {
  defaultValue: () => ({ raise: () => Effect.void })
})

/** A log that is listened to, and a guard for the calls that no policy runs, which end without a word. */
export interface Monitor extends Guard.Guard {
  readonly log: CallLog.CallLog
  readonly status: (now: number) => Status
}

/** Into how many slices the window is cut: a tenth of a minute, of five. */
const slices = 50

interface Slice {
  readonly index: number
  calls: number
  readonly failures: Array<Tag>
}

/** Listens to the ends of calls on their way to the log, and tells both the log and `alerts`. */
export const make = (
  { below, minimumCalls, window }: Settings,
  log: CallLog.CallLog,
  alerts: Alerts
): Monitor => {
  const width = window / slices
  const recent: Array<Slice> = []
  let [calls, failures] = [0, 0]
  let low = false

  const rate = () => calls === 0 ? 1 : (calls - failures) / calls
  const forget = (now: number) => {
    const oldest = Math.floor(now / width) - slices
    while (recent[0] !== undefined && recent[0].index <= oldest) {
      calls -= recent[0].calls
      failures -= recent[0].failures.length
      recent.shift()
    }
  }
  const state = (): CallLog.SuccessRate => {
    const causes = new Map<Tag, number>()
    for (const tag of recent.flatMap(({ failures }) => failures)) causes.set(tag, (causes.get(tag) ?? 0) + 1)
    return {
      rate: rate(),
      calls,
      failures,
      causes: [...causes].map(([tag, count]) => ({ tag, count })).toSorted((a, b) => b.count - a.count)
    }
  }

  /** Counts the end of a call, and gives the alert that it calls for, if it does. */
  const count = (end: "success" | Tag, at: number, model: string): Alert | undefined => {
    forget(at)
    const index = Math.floor(at / width)
    let last = recent.at(-1)
    if (last === undefined || last.index < index) {
      last = { index, calls: 0, failures: [] }
      recent.push(last)
    }
    last.calls++
    calls++
    if (end !== "success") {
      last.failures.push(end)
      failures++
    }
    if (calls < minimumCalls || rate() < below === low) return undefined
    low = !low
    return { _tag: low ? "SuccessRateLow" : "SuccessRateRecovered", at, call: undefined, model, ...state() }
  }
  const tell = (alert: Alert) => Effect.andThen(log.emit(alert), alerts.raise(alert))

  /** The end of a call that no policy runs. */
  const lone = (model: string): Guard.Held => ({
    end: (exit, _, { now }) => {
      const error = Guard.errorOf(exit)
      const how = error !== undefined ? failure(error, undefined) : Exit.isSuccess(exit) ? "success" : undefined
      const alert = how && count(how, now, model)
      return alert === undefined ? Exit.void : tell(alert)
    }
  })

  const inner: Log = log
  const heard: CallLog.CallLog & Log = {
    emit: (event) => {
      const end = endOf(event)
      return end === undefined ? log.emit(event) : Effect.withFiber((fiber) => {
        const outer = fiber.getRef(Current.Call)
        // A call inside of another is one of its attempts.
        const isPart = outer !== undefined && outer.id !== event.call
        const alert = isPart ? undefined : count(end, event.at, event.model)
        return alert === undefined ? log.emit(event) : Effect.andThen(log.emit(event), tell(alert))
      })
    },
    [routine]: (fiber) => isToldRoutine(log, fiber),
    [wentWell]: (at, model) => {
      const alert = count("success", at, model)
      // Guards inside of these have a monitor too.
      const noted = inner[wentWell]?.(at, model) ?? Effect.void
      return alert === undefined ? noted : Effect.andThen(noted, tell(alert))
    }
  }

  return {
    ...Guard.make({
      gate: Guard.open,
      // A policy tells the log how its call ended.
      admit: ({ params }, { fiber }) =>
        Exit.succeed(fiber.getRef(Current.Call) === undefined ? lone(params.model) : Guard.nothing)
    }),
    log: heard,
    status: (now) => {
      forget(now)
      return { ...state(), low }
    }
  }
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

/** What a call came to, if this is the end of one that says something. */
const endOf = (event: CallLog.Event): "success" | Tag | undefined => {
  switch (event._tag) {
    case "CallSucceeded":
      return "success"
    case "GaveUp":
      return failure(event.error, event.reason)
    default:
      return undefined
  }
}

const failure = (error: ClaudeError, reason: GaveUp | undefined): Tag | undefined =>
  reason === "BudgetSpent" || !failures[error._tag] || isLocal(error)
    ? undefined
    : error._tag

/** What counts as a failure: not what was decided here, nor what Claude declined. */
const failures: Table<boolean> = {
  InvalidRequest: true,
  Unauthorized: true,
  Forbidden: true,
  NotFound: true,
  RequestTooLarge: true,
  ContextWindowExceeded: true,
  SpendLimitReached: true,
  RateLimited: true,
  Overloaded: true,
  ServerFault: true,
  Unreachable: true,
  PartialAnswer: true,
  UnexpectedResponse: true,
  Refused: false,
  Truncated: true,
  EmptyAnswer: true,
  MalformedOutput: true,
  TimedOut: true,
  DeadlineExceeded: true,
  CircuitOpen: false,
  Saturated: false
}
