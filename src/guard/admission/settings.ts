/** How many calls may run and wait, and the settings of that which cannot be meant. */
import type * as Duration from "effect/Duration"
import * as Refuse from "../../options.ts"

/** How many calls may run, and how many may wait, for each class of models. */
export interface Concurrency {
  /** How many may run at most: as many as come. */
  readonly max?: number | undefined
  /**
   * How many may run at least. If it is given, their number follows losses: x0.9 after one, and +1 for each answer that
   * begins until the first loss, then +1 for each round of them.
   */
  readonly min?: number | undefined
  /** Where that begins: at 20. */
  readonly initial?: number | undefined
  /**
   * How many of the same or a higher priority may wait before one more is turned away, when it comes: 200. Where several
   * tenants wait, each has an equal share of these places.
   */
  readonly queue?: number | undefined
  /** How long a call waits: until its deadline less the time for the answer; without a deadline, 1 minute. */
  readonly maxWait?: Duration.Input | undefined
}

/** The settings that were meant. Times in milliseconds. */
export interface Settings {
  readonly max: number
  readonly min: number
  readonly initial: number
  readonly queue: number
  readonly maxWait: number | undefined
}

const fields = { max: true, min: true, initial: true, queue: true, maxWait: true }

/** What is meant by the options. Throws a `RangeError` with a sentence if they contradict themselves. */
export const settings = (options: Concurrency): Settings => {
  Refuse.unknown("concurrency", options, fields)
  const max = options.max === undefined ? Infinity : Refuse.whole("concurrency: max", options.max)
  const min = options.min === undefined ? max : Refuse.whole("concurrency: min", options.min)
  if (min > max) Refuse.refuse(`concurrency: min (${min}) is more than max (${max}): raise max or lower min`)
  if (options.initial !== undefined && options.min === undefined) {
    Refuse.refuse(
      "concurrency: initial is where an adaptive number begins, and this one is fixed: add min, or remove it"
    )
  }
  const initial = options.min === undefined
    ? max
    : Refuse.whole("concurrency: initial", options.initial ?? Math.min(max, Math.max(min, usualInitial)))
  if (initial < min || initial > max) {
    Refuse.refuse(`concurrency: initial (${initial}) is not between min (${min}) and max (${max}): move it there`)
  }
  const queue = Refuse.count("concurrency: queue", options.queue ?? 200)
  if (queue === 0 && options.maxWait !== undefined) {
    Refuse.refuse("concurrency: nobody may wait (queue is 0), so maxWait does nothing: remove it or raise queue")
  }
  const maxWait = options.maxWait === undefined ? undefined : Refuse.millis("concurrency: maxWait", options.maxWait)
  return { max, min, initial, queue, maxWait }
}

/** How long a call without a deadline waits, in milliseconds, where nothing is said: one with a deadline waits until then. */
export const usualMaxWait = 60_000

/** Source: Netflix concurrency-limits, as the factor in `aimd`. */
const usualInitial = 20
