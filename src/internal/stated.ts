/**
 * What the API said of the buckets of the account next to an error.
 *
 * It is no part of why a call failed, so errors do not carry it: guards that
 * count what is left of a quota find it here.
 */
import type { ClaudeError } from "../ClaudeError.ts"
import type { RateLimits } from "../Message.ts"

const stated = new WeakMap<ClaudeError, RateLimits>()

/** Keeps what came with an error, if anything did. */
export const note = <E extends ClaudeError>(error: E, limits: RateLimits | undefined): E => {
  if (limits !== undefined && Object.keys(limits).length > 0) stated.set(error, limits)
  return error
}

/** What came with an error. */
export const nextTo = (error: ClaudeError): RateLimits | undefined => stated.get(error)
