/**
 * The success rate in a sliding window, and when to alert that it is low.
 *
 * An alert lasts for at least one window. For an hour after an alert was cleared, the next alert needs twice as many
 * failures. Without these two rules, a steady rate near the threshold would raise and clear the alert by chance every
 * few minutes.
 */
import type * as CallLog from "../../CallLog.ts"
import type { Tag } from "../../ClaudeError.ts"
import type { Status } from "./Monitor.ts"

export type Alert = Extract<CallLog.Event, CallLog.Rate>

export interface Settings {
  readonly below: number
  /** In milliseconds. Also the minimum duration of an alert. */
  readonly window: number
  readonly minimumCalls: number
}

/** How a call counts: as a success, as a failure with an error of this tag, or not at all (`undefined`). */
export type Count = "success" | Tag | undefined

/**
 * Milliseconds after an alert was cleared during which the next alert needs twice as many failures: a steady 5 % of
 * failures hardly ever raises more than one alert an hour.
 */
const calm = 3_600_000

/** The number of slices in the window. With the default window of 5 minutes, a slice is 6 seconds long. */
const slices = 50

interface Slice {
  readonly index: number
  calls: number
  readonly failures: Array<Tag>
}

export class Measure {
  readonly settings: Settings
  readonly width: number
  readonly recent: Array<Slice> = []
  calls = 0
  failures = 0
  /** Whether the alert is raised. */
  low = false
  /** When the alert was last raised or cleared. */
  changedAt = -Infinity

  constructor(settings: Settings) {
    this.settings = settings
    this.width = settings.window / slices
  }

  /** Counts the end of a call, and returns the alert to send, if any. */
  count(end: Count, at: number, model: string): Alert | undefined {
    if (end === undefined) return undefined
    this.forget(at)
    const index = Math.floor(at / this.width)
    let last = this.recent.at(-1)
    if (last === undefined || last.index < index) {
      last = { index, calls: 0, failures: [] }
      this.recent.push(last)
    }
    last.calls++
    this.calls++
    if (end !== "success") {
      last.failures.push(end)
      this.failures++
    }
    // Only a fast path: without failures, no alert can begin.
    if (this.failures === 0 && !this.low) return undefined
    if (this.calls < this.settings.minimumCalls || this.isLow(at) === this.low) return undefined
    this.low = !this.low
    this.changedAt = at
    return { _tag: this.low ? "SuccessRateLow" : "SuccessRateRecovered", at, call: undefined, model, ...this.state() }
  }

  status(now: number): Status {
    this.forget(now)
    return { ...this.state(), low: this.low }
  }

  /** Whether an alert should be raised now, or stay raised. */
  isLow(now: number): boolean {
    const { below, window } = this.settings
    const rate = this.rate()
    const since = now - this.changedAt
    if (this.low) return since < window || rate < below
    return since < calm ? (1 + rate) / 2 < below : rate < below
  }

  rate(): number {
    return this.calls === 0 ? 1 : (this.calls - this.failures) / this.calls
  }

  forget(now: number): void {
    const { recent } = this
    const oldest = Math.floor(now / this.width) - slices
    while (recent[0] !== undefined && recent[0].index <= oldest) {
      this.calls -= recent[0].calls
      this.failures -= recent[0].failures.length
      recent.shift()
    }
  }

  state(): CallLog.Rate {
    const causes = new Map<Tag, number>()
    for (const tag of this.recent.flatMap(({ failures }) => failures)) causes.set(tag, (causes.get(tag) ?? 0) + 1)
    return {
      rate: Math.round(this.rate() * 1000) / 1000,
      calls: this.calls,
      failures: this.failures,
      causes: [...causes].map(([tag, count]) => ({ tag, count })).toSorted((a, b) => b.count - a.count)
    }
  }
}
