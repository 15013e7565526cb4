/**
 * The share of calls in a sliding window that succeed, and when to say that it is low.
 *
 * An alert stands for a window at least, and within an hour after it was cleared,
 * it is raised only if twice as many calls fail as may. At a steady rate near the
 * threshold, chance alone would otherwise raise and clear it every few minutes.
 */
import type * as CallLog from "../../CallLog.ts"
import type { Tag } from "../../ClaudeError.ts"
import type { Status } from "./Monitor.ts"

/** The rate has become low, or has recovered. */
export type Alert = Extract<CallLog.Event, CallLog.Rate>

/** When to say what. */
export interface Settings {
  readonly below: number
  /** In milliseconds: also how long an alert stands at least. */
  readonly window: number
  readonly minimumCalls: number
}

/** What a call counts as: what it failed with, if it did; or it does not count. */
export type Count = "success" | Tag | undefined

/** For how long it is hard to raise an alert again, in milliseconds: a steady 5 % raises at most one in an hour. */
const calm = 3_600_000

/** Into how many slices the window is cut: a tenth of a minute, of five. */
const slices = 50

interface Slice {
  readonly index: number
  calls: number
  readonly failures: Array<Tag>
}

/** One share, and whether it was said to be low. */
export class Measure {
  readonly settings: Settings
  readonly width: number
  readonly recent: Array<Slice> = []
  calls = 0
  failures = 0
  low = false
  /** When that was last said, or taken back. */
  changedAt = -Infinity

  constructor(settings: Settings) {
    this.settings = settings
    this.width = settings.window / slices
  }

  /** Counts the end of a call, and gives the alert that it calls for, if it does. */
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
    // Usually nothing fails.
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

  /** Whether it is to be called low. */
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
