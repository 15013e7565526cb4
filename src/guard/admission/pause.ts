/**
 * The pause after a 429 with a `retry-after`, for one class of models.
 *
 * If tokens ran out, the pause holds only requests whose estimated size is at least the size of the rejected request.
 * If requests ran out, or the API does not say, the pause holds every request. After the `retry-after`, one call tests
 * the limit; the other calls follow when that call is answered or fails with any error but a 429. The `retry-after` of
 * any other error pauses no calls: it sets how long the circuit stays open.
 */
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import { isObject } from "effect/Predicate"
import type { ClaudeError, RateLimited } from "../../ClaudeError.ts"
import { isLocal } from "../../local.ts"
import type { RateLimits } from "../../Message.ts"
import { isPermanent } from "../../permanence.ts"
import * as Guard from "../Guard.ts"
import { outcomes } from "../outcomes.ts"
import { dimensions } from "../quota/amounts.ts"
import type { Amount } from "../quota/Quota.ts"

/**
 * The maximum pause, in milliseconds. A longer `retry-after` is cut to this. Then one request tests the limit, which
 * may have changed.
 */
export const longestPause = 60_000

/**
 * Milliseconds after which another call may test the limit, if the first test has no response yet. By then a 429 would
 * have arrived; an answer may take two minutes to begin, because the model thinks first.
 */
const lookEvery = 5000

/** The estimated size of a request. A function, because few requests need the estimate. */
type Size = () => Amount

export class Pause {
  isOn = false
  /** When the next call that the pause holds may be sent. */
  next = -Infinity
  /** The pause holds requests of this size or larger; `undefined`: every request. */
  least: Partial<Amount> | undefined

  /** Call when a request got a 429. Returns whether any call has to wait longer than before. */
  refused(error: RateLimited, size: Size, now: number): boolean {
    if (error.retryAfter === undefined || isPermanent(error)) return false
    const until = now + Math.min(Duration.toMillis(error.retryAfter), longestPause)
    const least = tokensOf(error.limits, size)
    if (this.isOn) {
      this.least = least && this.least && smaller(least, this.least)
      if (until <= this.next) return false
    } else this.least = least
    this.isOn = true
    this.next = until
    return true
  }

  holds(size: Size): boolean {
    const { least } = this
    if (!this.isOn || least === undefined) return this.isOn
    const asked = size()
    return dimensions.some((of) => asked[of] >= (least[of] ?? Infinity))
  }

  /** Milliseconds that a request of this size has to wait. */
  wait(size: Size, now: number): number {
    return this.isOn && now < this.next && this.holds(size) ? this.next - now : 0
  }

  /**
   * Call for each request that is sent while the pause is on. If the pause holds requests of this size, the request tests
   * the limit, and other requests that the pause holds wait for its response, but at most `lookEvery`. Returns whether
   * the request is the test.
   */
  looks(size: Size, now: number): boolean {
    if (!this.holds(size)) return false
    this.next = now + lookEvery
    return true
  }

  /** Call when the test ended without a response: another call may test now. */
  again(now: number): void {
    this.next = Math.min(this.next, now)
  }

  /** Call when an answer begins. Returns `over` if this call tested the pause. */
  begun(call: Looking): "over" | undefined {
    if (!call.looks) return undefined
    call.looks = false
    this.isOn = false
    this.least = undefined
    return "over"
  }

  /** Call when a request ends. Returns whether other calls must wait longer, or the pause is over. */
  ended(call: Looking, exit: Guard.Ending, size: Size, now: number): "longer" | "over" | undefined {
    const error = Guard.errorOf(exit)
    if (error?._tag === "RateLimited") return this.refused(error, size, now) ? "longer" : undefined
    if (!wasHeard(exit, error)) {
      if (call.looks) this.again(now)
      return undefined
    }
    return this.begun(call)
  }
}

interface Looking {
  looks: boolean
}

/** Whether the request certainly reached the API. An interrupt or a defect leaves that unknown. */
const wasHeard = (exit: Guard.Ending, error: ClaudeError | undefined): boolean =>
  Exit.isSuccess(exit) || error !== undefined && !isLocal(error) && outcomes[error._tag].quota !== "none"

/**
 * The estimated tokens of the rejected request, in each token dimension that ran out. `undefined` if requests ran out,
 * or the API does not say what ran out.
 */
export const tokensOf = (said: RateLimited["limits"], size: Size): Partial<Amount> | undefined => {
  const limits: RateLimits = isObject(said) ? said : {}
  if (limits.requests?.remaining === 0) return undefined
  const isInput = isSpent(limits.inputTokens, size().input) || limits.tokens?.remaining === 0
  const isOutput = isSpent(limits.outputTokens, size().output)
  return isInput || isOutput
    ? { ...isInput ? { input: size().input } : {}, ...isOutput ? { output: size().output } : {} }
    : undefined
}

const isSpent = (limit: RateLimits["inputTokens"], asked: number): boolean =>
  typeof limit?.remaining === "number" && limit.remaining < asked

const smaller = (a: Partial<Amount>, b: Partial<Amount>): Partial<Amount> => ({
  input: Math.min(a.input ?? Infinity, b.input ?? Infinity),
  output: Math.min(a.output ?? Infinity, b.output ?? Infinity)
})
