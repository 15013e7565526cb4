/**
 * The pause after a 429 that says when to come back, for one class of models.
 *
 * It holds everybody if requests ran out or nothing more is said, and if tokens ran out only requests that are estimated
 * to be at least as large. When it is over, one call looks, and the others go when that is answered. The hint of an error
 * that is no 429 counts for the circuit: how long it stays open.
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

/** A longer hint is asked about again after that, in milliseconds: the answer may have changed, and it costs one request. */
export const longestPause = 60_000

/** When another call looks, if the first has no answer yet: a 429 takes less, and thinking takes two minutes. */
const lookEvery = 5000

/** The estimated size of a request. */
type Size = () => Amount

/** A pause, if there is one. */
export class Pause {
  isOn = false
  /** When the next call may be sent. */
  next = -Infinity
  /** How large a request is held, where not all are. */
  least: Partial<Amount> | undefined

  /** A request was refused. Answers whether anybody has to wait longer than before. */
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

  /** Whether a request of this size is held, now or later. */
  holds(size: Size): boolean {
    const { least } = this
    if (!this.isOn || least === undefined) return this.isOn
    const asked = size()
    return dimensions.some((of) => asked[of] >= (least[of] ?? Infinity))
  }

  /** How many milliseconds it is held. */
  wait(size: Size, now: number): number {
    return this.isOn && now < this.next && this.holds(size) ? this.next - now : 0
  }

  /** One that is sent after the pause looks whether it is over: the others wait. */
  looks(size: Size, now: number): boolean {
    if (!this.holds(size)) return false
    this.next = now + lookEvery
    return true
  }

  /** The call that tested the end of the pause got no answer: the next one may test now. */
  again(now: number): void {
    this.next = Math.min(this.next, now)
  }

  /** An answer begins: the pause is over, if that was to be seen. */
  begun(call: Looking): "over" | undefined {
    if (!call.looks) return undefined
    call.looks = false
    this.isOn = false
    this.least = undefined
    return "over"
  }

  /** A call has ended: whether anybody has to wait longer, or the pause is over. */
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

/** Whether the API may have read the request, and had the time to reply. */
const wasHeard = (exit: Guard.Ending, error: ClaudeError | undefined): boolean =>
  Exit.isSuccess(exit) || error !== undefined && !isLocal(error) && outcomes[error._tag].quota !== "none"

/** How many tokens were refused, if it is tokens that ran out. */
export const tokensOf = (said: RateLimited["limits"], size: Size): Partial<Amount> | undefined => {
  const limits: RateLimits = isObject(said) ? said : {}
  if (limits.requests?.remaining === 0) return undefined
  const isInput = isSpent(limits.inputTokens, size().input) || limits.tokens?.remaining === 0
  const isOutput = isSpent(limits.outputTokens, size().output)
  return isInput || isOutput
    ? { ...isInput ? { input: size().input } : {}, ...isOutput ? { output: size().output } : {} }
    : undefined
}

/** Whether less is left than was asked for. */
const isSpent = (limit: RateLimits["inputTokens"], asked: number): boolean =>
  typeof limit?.remaining === "number" && limit.remaining < asked

/** What both hold, and what only one does. */
const smaller = (a: Partial<Amount>, b: Partial<Amount>): Partial<Amount> => ({
  input: Math.min(a.input ?? Infinity, b.input ?? Infinity),
  output: Math.min(a.output ?? Infinity, b.output ?? Infinity)
})
