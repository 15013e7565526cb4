/**
 * Alerts when calls begin to fail, when they recover, and when a circuit opens.
 *
 * It counts calls, not attempts: a call that a retry saved is a success, and a call that a circuit or the queue
 * rejected is a failure (except if an operator isolated the circuit, or the process drains). It checks only when a
 * call ends, so that a program that starts or is idle raises no alert.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as CallLog from "../../CallLog.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** When to alert that too many calls fail. */
export interface Options {
  /**
   * Alerts if the success rate falls below this. Default: 0.95. For an hour after an alert was cleared, the next alert
   * needs twice as many failures.
   */
  readonly below?: number | undefined
  /** The sliding window of the success rate, and the minimum duration of an alert. Default: 5 minutes. */
  readonly window?: Duration.Input | undefined
  /** The minimum number of calls in the window before an alert. Default: 20. */
  readonly minimumCalls?: number | undefined
}

/** The current success rate; 1 without calls. `low`: whether the alert is raised. */
export interface Status extends CallLog.Rate {
  readonly low: boolean
}

/** An event worth an alert: the rate is low or has recovered, or a circuit has opened. */
export type Alert = Extract<CallLog.Event, CallLog.Rate | { readonly _tag: "CircuitOpened" }>

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/**
 * A receiver of alerts besides the log, such as a pager or a chat. If it fails, Effect's `Logger` gets a warning, and
 * no call fails.
 */
export interface Alerts {
  /** Runs in a separate fiber: no call waits for it, and the end of a call does not interrupt it. */
  readonly raise: (alert: Alert) => Effect.Effect<void>
}

/** The receiver of alerts. Default: none. Read when the guarded `Claude` is built. */
export const Alerts = Context.Reference<Alerts>("resilient-claude/Monitor/Alerts", {
  defaultValue: () => ({ raise: () => Effect.void })
})
