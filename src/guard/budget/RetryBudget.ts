/**
 * Bounds how much load retries may add after failures, for each model.
 *
 * An extra attempt is every attempt of a call after its first. A bucket holds credit for `size` extra attempts: an
 * extra attempt that fails takes one credit, an answer that begins returns one. While the bucket is empty, one extra
 * attempt may start after 10 s, then after 20 s, and so on up to 5 minutes: an outage then gets little extra load, and
 * its end is noticed. Waiting calls form one line, by priority and then oldest first; each answer may let the next call
 * through.
 */

/** How much extra load retries may add. */
export interface Options {
  /** How many extra attempts per model may fail without a success before further attempts have to wait. Default: 10. */
  readonly size?: number | undefined
}

/**
 * By model: how many more extra attempts may fail, out of `size`, and how many calls wait. Lists only models that had
 * an extra attempt or have waiting calls.
 */
export interface Status {
  readonly [model: string]: { readonly remaining: number; readonly size: number; readonly waiting: number }
}
