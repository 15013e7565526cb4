/**
 * One queue for slot and quota together.
 *
 * Two queues would hold a slot while waiting for tokens, or tokens while waiting for a slot; here a call takes both at
 * once, or neither. The concurrency limit adapts to losses alone (429, 529, time-outs), never to latency: the length of
 * an answer says nothing about the load, and limits that follow latency collapsed to single digits in measurements.
 */
import type * as Duration from "effect/Duration"

/** The concurrency limit and the queue of each class of models. */
export interface Concurrency {
  /** The maximum number of running calls. Default: no limit. */
  readonly max?: number | undefined
  /**
   * The minimum number of running calls. If set, the limit adapts to losses: x0.9 after a loss. Until
   * the first loss, +1 for each answer that begins; after it, +1 per round of answers.
   */
  readonly min?: number | undefined
  /** The initial value of an adaptive limit: 20. */
  readonly initial?: number | undefined
  /**
   * How many calls of the same or a higher priority may wait: 200. Checked on arrival only. If several tenants wait,
   * each has an equal share of the places.
   */
  readonly queue?: number | undefined
  /** How long a call may wait. Default: until its deadline, less the time for the answer; 1 minute without a deadline. */
  readonly maxWait?: Duration.Input | undefined
}
