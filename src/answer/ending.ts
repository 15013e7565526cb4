/**
 * Ends a streaming call exactly once: when its last answer is read, or the first one fails.
 *
 * While the policy of the call still runs, a failed answer ends nothing, because
 * the policy may ask again. An answer counts for the calls around its own, too.
 * A stream under a policy (`Policy.applyStream`) is itself an answer of its call.
 */
import * as Effect from "effect/Effect"
import type { ClaudeError } from "../ClaudeError.ts"

/** A call, and what it tells at its end. */
export interface Ended {
  readonly note: (error: ClaudeError) => void
  readonly wentWell: Effect.Effect<void>
  /** The error with why it is the last one. */
  readonly explain: <E extends ClaudeError>(error: E, because?: ClaudeError) => Effect.Effect<E>
}

/** A class, because most calls have no use for one. */
export class Ending {
  readonly call: Ended
  /** That of the call around it. */
  readonly outer: Ending | undefined
  /** How many answers are still to be read. */
  answers = 0
  /** Its policy is done, and what it opened is not. */
  isHandedOver = false
  wasGood = false
  isOver = false

  constructor(call: Ended, outer: Ending | undefined) {
    this.call = call
    this.outer = outer
  }

  /** An answer is there to be read. */
  opened(): void {
    this.answers++
    this.outer?.opened()
  }

  /** An answer has failed: with this, if with why that is final. */
  broke<E extends ClaudeError>(error: E): Effect.Effect<E> {
    if (!this.isHandedOver || this.isOver) return Effect.succeed(error)
    this.call.note(error)
    return this.lost(error)
  }

  /** An answer has failed, and with it this call and those around it. */
  lost<E extends ClaudeError>(error: E, because?: ClaudeError): Effect.Effect<E> {
    return Effect.flatMap(this.giveUp(error, because), (error) => this.outer?.broke(error) ?? Effect.succeed(error))
  }

  /** An answer is not read any more: was it read to its end, or left with what was enough? */
  read(isGood: boolean): Effect.Effect<void> {
    this.answers--
    this.wasGood ||= isGood
    const outer = this.outer?.read(isGood) ?? Effect.void
    if (!this.wasGood || this.answers > 0 || !this.isHandedOver || this.isOver) return outer
    this.isOver = true
    return Effect.andThen(this.call.wentWell, outer)
  }

  /** What was read until now is not enough. */
  cut(): void {
    this.wasGood = false
    this.outer?.cut()
  }

  /** The policy is done. Says whether the call is not. */
  handOver(): boolean {
    this.wasGood = false
    this.isHandedOver = this.answers > 0
    this.isOver ||= !this.isHandedOver
    return this.isHandedOver
  }

  /** The call has failed, with `error` for its caller, and `because` of what, if that is another one. */
  giveUp<E extends ClaudeError>(error: E, because?: ClaudeError): Effect.Effect<E> {
    if (this.isOver) return Effect.succeed(error)
    this.isOver = true
    return this.call.explain(error, because)
  }
}
