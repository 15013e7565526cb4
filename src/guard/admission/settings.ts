import * as Refuse from "../../options.ts"
import type { Concurrency } from "./Admission.ts"

/** Times in milliseconds. */
export interface Settings {
  readonly max: number
  readonly min: number
  readonly initial: number
  readonly queue: number
  readonly maxWait: number | undefined
}

const fields = { max: true, min: true, initial: true, queue: true, maxWait: true }

/** Throws a `RangeError` if the options are invalid or contradict each other. */
export const settings = (options: Concurrency): Settings => {
  Refuse.unknown("Guards: concurrency", options, fields)
  const max = options.max === undefined ? Infinity : Refuse.whole("Guards: concurrency: max", options.max)
  const min = options.min === undefined ? max : Refuse.whole("Guards: concurrency: min", options.min)
  if (min > max) Refuse.refuse(`Guards: concurrency: min (${min}) is more than max (${max}): raise max or lower min`)
  if (options.initial !== undefined && options.min === undefined) {
    Refuse.refuse(
      "Guards: concurrency: initial has no effect without min, because the limit is fixed at max: add min or remove initial"
    )
  }
  const initial = options.min === undefined
    ? max
    : Refuse.whole("Guards: concurrency: initial", options.initial ?? Math.min(max, Math.max(min, usualInitial)))
  if (initial < min || initial > max) {
    Refuse.refuse(
      `Guards: concurrency: initial (${initial}) is not between min (${min}) and max (${max}): choose a number between them`
    )
  }
  const queue = Refuse.count("Guards: concurrency: queue", options.queue ?? 200)
  if (queue === 0 && options.maxWait !== undefined) {
    Refuse.refuse("Guards: concurrency: maxWait has no effect because queue is 0: remove maxWait or raise queue")
  }
  const maxWait = options.maxWait === undefined
    ? undefined
    : Refuse.millis("Guards: concurrency: maxWait", options.maxWait)
  return { max, min, initial, queue, maxWait }
}

/** The default maximum wait of a call without a deadline, in milliseconds. */
export const usualMaxWait = 60_000

/** Source: Netflix concurrency-limits. */
const usualInitial = 20
