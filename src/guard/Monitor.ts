/**
 * Tells when calls begin to fail or get no answer, and when they are well again.
 *
 * The success rate leaves out what was decided here: in an outage, the budget and
 * the circuit soon end nearly all calls, and it is silent. The availability, which
 * is the share of calls that got an answer as SREs have it, counts those too.
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
import * as Current from "../Current.ts"
import { isToldRoutine, type Log, routine, wentWell } from "../internal/listening.ts"
import { type Alert, Measure, type Status } from "../internal/measure.ts"
import { badly, type End, endOf, turnedAway, well } from "../internal/monitorEnds.ts"
import * as Refuse from "../internal/refuse.ts"
import * as Guard from "./Guard.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** When to say that too many calls fail, or get no answer. */
export interface Options {
  /** Below which share of calls that succeed: 0.95. */
  readonly below?: number | undefined
  /** Below which share of calls that are answered: 0.5. */
  readonly availability?: number | undefined
  /** Over which time: 5 minutes. An alert stands for as long, and for as long it is hard to raise again. */
  readonly window?: Duration.Input | undefined
  /** With how many calls in it, at least: 20. */
  readonly minimumCalls?: number | undefined
}

/** The settings that were meant. */
export interface Settings {
  readonly below: number
  readonly availability: number
  readonly window: number
  readonly minimumCalls: number
}

const defaults = { below: 0.95, availability: 0.5, window: "5 minutes", minimumCalls: 20 } as const

/** What is meant by the options. Throws a `RangeError` with a sentence if they cannot be meant. */
export const settings = (options: Options): Settings => {
  Refuse.unknown("monitor", options, defaults)
  return {
    below: Refuse.share("monitor: below", options.below ?? defaults.below),
    availability: Refuse.share("monitor: availability", options.availability ?? defaults.availability),
    window: Refuse.finite("monitor: window", options.window ?? defaults.window),
    minimumCalls: Refuse.whole("monitor: minimumCalls", options.minimumCalls ?? defaults.minimumCalls)
  }
}

export type { Alert, Status } from "../internal/measure.ts"

/** What is measured. */
export interface Rates {
  readonly successRate: Status
  readonly availability: Status
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
  /** Listens to a gate too: what it turns away without a policy ends without a word, and is never admitted. */
  readonly watch: (direct: Guard.Direct) => Guard.Direct
  readonly status: (now: number) => Rates
}

/** Listens to the ends of calls on their way to the log, and tells both the log and `alerts`. */
export const make = (
  { availability: answered, below, minimumCalls, window }: Settings,
  log: CallLog.CallLog,
  alerts: Alerts
): Monitor => {
  const common = { window, minimumCalls }
  const successRate = new Measure({ ...common, below, low: "SuccessRateLow", recovered: "SuccessRateRecovered" })
  const availability = new Measure({
    ...common,
    below: answered,
    low: "AvailabilityLow",
    recovered: "AvailabilityRecovered"
  })

  const tell = (alert: Alert): Effect.Effect<void> => Effect.andThen(log.emit(alert), alerts.raise(alert))
  /** Counts the end of a call, at once, and tells what it calls for. */
  const count = (end: End, at: number, model: string): Effect.Effect<void> => {
    const first = successRate.count(end.successRate, at, model)
    const second = availability.count(end.availability, at, model)
    // Usually there is nothing to tell.
    return first === undefined && second === undefined
      ? Exit.void
      : Effect.forEach([first, second], (alert) => alert === undefined ? Effect.void : tell(alert), { discard: true })
  }

  /** The end of a call that no policy runs. */
  const lone = (model: string): Guard.Held => ({
    end: (exit, _, { now }) => {
      const error = Guard.errorOf(exit)
      const end = error !== undefined ? badly(error) : Exit.isSuccess(exit) ? well : undefined
      return end === undefined ? Exit.void : count(end, now, model)
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
        const told = isPart ? Exit.void : count(end, event.at, event.model)
        return told === Exit.void ? log.emit(event) : Effect.andThen(log.emit(event), told)
      })
    },
    [routine]: (fiber) => isToldRoutine(log, fiber),
    [wentWell]: (at, model) => {
      const told = count(well, at, model)
      // Guards inside of these have a monitor too.
      const noted = inner[wentWell]?.(at, model) ?? Exit.void
      return told === Exit.void ? noted : Effect.andThen(noted, told)
    }
  }

  return {
    ...Guard.make({
      gate: Guard.open,
      // A policy tells the log how its call ended.
      admit: ({ params }, { fiber }) =>
        Exit.succeed(fiber.getRef(Current.Call) === undefined ? lone(params.model) : Guard.nothing)
    }),
    watch: (direct) => ({
      ...direct,
      gate: (request, place) => {
        const gated = direct.gate(request, place)
        return gated === Exit.void || place.fiber.getRef(Current.Call) !== undefined
          ? gated
          : Effect.tapError(gated, (error) => count(turnedAway(error), place.now, request.params.model))
      }
    }),
    log: heard,
    status: (now) => ({ successRate: successRate.status(now), availability: availability.status(now) })
  }
}
