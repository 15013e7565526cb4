/** Checks the options of the queue, and fills in their defaults. */
import * as Refuse from "../../options.ts"
import type { Concurrency, Settings } from "./Admission.ts"

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
