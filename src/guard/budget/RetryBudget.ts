/**
 * Bounds how much load retries may add after failures, for each model.
 *
 * A bucket holds ten attempts: an extra attempt that fails takes one, an answer that begins returns one. While the
 * bucket is empty, one attempt may start after 10 s, then after 20 s, and so on, so that an outage adds little load and
 * its end is noticed. Calls wait for their turn in one line, oldest first, because any success may let them through.
 */

/** How much extra load retries may add. */
export interface Options {
  /** How many extra attempts per model may fail without a success before calls have to wait: 10. */
  readonly size?: number | undefined
}

/** The buckets of the models that had an extra attempt: how many failed extra attempts remain of how many. */
export interface Status {
  readonly [model: string]: { readonly remaining: number; readonly size: number; readonly waiting: number }
}
