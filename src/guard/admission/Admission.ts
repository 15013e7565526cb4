/**
 * One queue for concurrency slots and quota together.
 *
 * With two queues, a call would hold a slot while it waits for tokens, or tokens while it waits for a slot. Here a call
 * takes both at once, or neither. The concurrency limit adapts to losses alone (429, 529, time-outs), never to latency:
 * the length of an answer says nothing about the load, and limits that follow latency collapsed to single digits in
 * measurements.
 */
import type * as Duration from "effect/Duration"

/** The concurrency limit and the queue of each class of models. */
export interface Concurrency {
  /** The maximum number of running calls. Default: no limit. */
  readonly max?: number | undefined
  /**
   * The lower bound of the limit. If set, the limit adapts to losses (a 429, a 529 or a time-out): x0.9 after a loss.
   * Until the first loss, +1 for each answer that begins; after it, +1 per round (as many answers as the limit). The
   * limit grows only while at least half of it is in use.
   */
  readonly min?: number | undefined
  /** The initial value of an adaptive limit. Default: 20, or the value between `min` and `max` that is nearest to 20. */
  readonly initial?: number | undefined
  /**
   * The maximum number of waiting calls of the same or a higher priority. Default: 200. Checked only when a call
   * arrives. The places are divided equally among the tenants that have waiting calls. A new tenant gets its places
   * even if earlier tenants already use them, so up to twice as many calls may wait.
   */
  readonly queue?: number | undefined
  /**
   * How long a call may wait. Default: until its deadline, less the time for the answer; 1 minute without a deadline.
   */
  readonly maxWait?: Duration.Input | undefined
}
