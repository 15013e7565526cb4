/**
 * Ends a streaming call at most once: when its last open answer has been read, or as soon as one answer fails.
 *
 * While the policy of the call still runs, a failed answer does not end the call,
 * because the policy may retry. A call whose answers are never read ends neither way.
 * An answer is also an answer of every outer call. A stream under a policy
 * (`Policy.applyStream`) is itself an answer of its call.
 */
import * as Effect from "effect/Effect"
import type { ClaudeError } from "../ClaudeError.ts"

export interface Ended {
  readonly note: (error: ClaudeError) => void
  readonly wentWell: Effect.Effect<void>
  /** Adds to the error why the call gave up and the history of the call, and logs `GaveUp`. */
  readonly explain: <E extends ClaudeError>(error: E, because?: ClaudeError) => Effect.Effect<E>
}

/** A class, because that is cheaper than closures: every call under a policy makes an `Ending`, and few calls use it. */
export class Ending {
  readonly call: Ended
  readonly outer: Ending | undefined
  /** The number of opened answers that are not finished. */
  answers = 0
  /** Whether answers were still open when the policy finished. */
  isHandedOver = false
  wasGood = false
  isOver = false

  constructor(call: Ended, outer: Ending | undefined) {
    this.call = call
    this.outer = outer
  }

  opened(): void {
    this.answers++
    this.outer?.opened()
  }

  /** Call this when an answer has failed. If this failure ends the call, the returned error says why the call gave up. */
  broke<E extends ClaudeError>(error: E): Effect.Effect<E> {
    if (!this.isHandedOver || this.isOver) return Effect.succeed(error)
    this.call.note(error)
    return this.lost(error)
  }

  /** Ends this call after an answer has failed, and the outer calls whose policy has finished. */
  lost<E extends ClaudeError>(error: E, because?: ClaudeError): Effect.Effect<E> {
    return Effect.flatMap(this.giveUp(error, because), (error) => this.outer?.broke(error) ?? Effect.succeed(error))
  }

  /** Call this when an answer is no longer read. `isGood`: its reader reached the end, or chose to stop early. */
  read(isGood: boolean): Effect.Effect<void> {
    this.answers--
    this.wasGood ||= isGood
    const outer = this.outer?.read(isGood) ?? Effect.void
    if (!this.wasGood || this.answers > 0 || !this.isHandedOver || this.isOver) return outer
    this.isOver = true
    return Effect.andThen(this.call.wentWell, outer)
  }

  /**
   * Call this when a stream under a policy ends with a defect, an interrupt or an error of the application. The answers
   * that were read inside this stream then do not make the call a success.
   */
  cut(): void {
    this.wasGood = false
    this.outer?.cut()
  }

  /** Call this when the policy has finished. Returns whether the call goes on, because answers are still open. */
  handOver(): boolean {
    this.wasGood = false
    this.isHandedOver = this.answers > 0
    this.isOver ||= !this.isHandedOver
    return this.isHandedOver
  }

  /** Ends the call with `error`. `because` is the error that explains why the call gave up, if that is not `error`. */
  giveUp<E extends ClaudeError>(error: E, because?: ClaudeError): Effect.Effect<E> {
    if (this.isOver) return Effect.succeed(error)
    this.isOver = true
    return this.call.explain(error, because)
  }
}
