/**
 * The monitor: a log that counts the ends of calls, and a guard that counts calls without a policy, which log no end.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { atNow } from "../../atNow.ts"
import * as CallContext from "../../callContext.ts"
import type * as CallLog from "../../CallLog.ts"
import type { ClaudeError } from "../../ClaudeError.ts"
import type { Request } from "../../Message.ts"
import * as Guard from "../Guard.ts"
import { endOf, failed } from "./counts.ts"
import type { Alert, Alerts, Status } from "./Monitor.ts"
import type { Settings } from "./settings.ts"
import { Measure } from "./slidingRate.ts"

export interface Monitor extends Guard.Guard {
  readonly log: CallLog.CallLog
  /**
   * Wraps a guard, and counts a call without a policy if the gate of that guard rejects the call: such a call logs no
   * end and reaches no `admit`, so nothing else counts it.
   */
  readonly watch: (guard: Guard.Guard) => Guard.Guard
  readonly status: (now: number) => Status
}

export const make = (settings: Settings, log: CallLog.CallLog, alerts: Alerts): Monitor => {
  const observer: Observer = { settings, log, alerts, rate: new Measure(settings), opened: new Map() }
  return {
    gate: Guard.open,
    admit: ({ params: { model } }) =>
      // A call with a policy is counted when its end is logged, so only a call without a policy is counted here.
      Effect.map(
        CallContext.Call,
        (call) => call === undefined ? { settle: (exit) => settled(observer, model, exit) } : Guard.nothing
      ),
    watch: (guard) => ({
      gate: (request) => gated(observer, guard, request),
      admit: (request) => guard.admit(request)
    }),
    log: { emit: (event) => observed(observer, event) },
    status: (now) => observer.rate.status(now)
  }
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

interface Observer {
  readonly settings: Settings
  readonly log: CallLog.CallLog
  readonly alerts: Alerts
  readonly rate: Measure
  /** When the circuit of each model opened last. */
  readonly opened: Map<string, number>
}

/** Counts the end of a call before the log gets it, because a log may be slow. */
const observed = (observer: Observer, event: CallLog.Event): Effect.Effect<void> => {
  if (event._tag === "CircuitOpened") {
    return Effect.andThen(observer.log.emit(event), Effect.suspend(() => circuitOpened(observer, event)))
  }
  const end = endOf(event)
  return end === undefined ? observer.log.emit(event) : Effect.contextWith((context: Context.Context<never>) => {
    const outer = Context.get(context, CallContext.Call)
    // A call inside another call is an attempt of the outer call, which logs its own end.
    const isPart = outer !== undefined && outer.id !== event.call
    const alert = isPart ? undefined : observer.rate.count(end, event.at, event.model)
    const logged = observer.log.emit(event)
    return alert === undefined ? logged : Effect.andThen(logged, raise(observer, alert))
  })
}

const settled = (observer: Observer, model: string, exit: Guard.Ending): Effect.Effect<void> => {
  const error = Guard.errorOf(exit)
  const end = error !== undefined ? failed(error) : Exit.isSuccess(exit) ? "success" : undefined
  return atNow((now) => raise(observer, observer.rate.count(end, now, model)))
}

const gated = (observer: Observer, guard: Guard.Guard, request: Request): Effect.Effect<void, ClaudeError> =>
  Effect.contextWith((context: Context.Context<never>) =>
    Context.get(context, CallContext.Call) !== undefined ? guard.gate(request) : Effect.tapError(
      guard.gate(request),
      (error) => atNow((now) => raise(observer, observer.rate.count(failed(error), now, request.params.model)))
    )
  )

const raise = (
  { alerts, log }: Observer,
  alert: Extract<CallLog.Event, CallLog.Rate> | undefined
): Effect.Effect<void> => alert === undefined ? Effect.void : Effect.andThen(log.emit(alert), alerts.raise(alert))

/**
 * A circuit that reopens within `window` raises no alert: in an outage, the circuit reopens after each failed probe,
 * but one alert is enough.
 */
const circuitOpened = ({ alerts, opened, settings }: Observer, event: Alert): Effect.Effect<void> => {
  for (const [model, at] of opened) if (Math.abs(event.at - at) >= settings.window) opened.delete(model)
  const isSame = opened.has(event.model)
  opened.set(event.model, event.at)
  return isSame ? Effect.void : alerts.raise(event)
}
