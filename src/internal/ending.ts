/**
 * How a call ends that opens answers and leaves them to a reader: with them, once.
 *
 * Until its policy is done, what becomes of its answers is the policy's
 * business: it may ask again. After that, the first of them that fails ends the
 * call, or else the last that is read.
 */
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { ClaudeError } from "../ClaudeError.ts"

/** A call, and what it tells at its end. */
export interface Ended {
  readonly note: (error: ClaudeError) => void
  readonly wentWell: Effect.Effect<void>
  /** The error with why it is the last one. */
  readonly explain: <E extends ClaudeError>(error: E) => Effect.Effect<E>
}

/** A class, because most calls have no use for one. */
export class Ending {
  readonly call: Ended
  /** How many answers are still to be read. */
  answers = 0
  /** Its policy is done, and what it opened is not. */
  isHandedOver = false
  wasGood = false
  isOver = false

  constructor(call: Ended) {
    this.call = call
  }

  /** An answer is there to be read. */
  opened(): void {
    this.answers++
  }

  /** An answer has failed: with this, if with why that is final. */
  broke(error: ClaudeError): Effect.Effect<ClaudeError> {
    if (!this.isHandedOver) return Exit.succeed(error)
    this.call.note(error)
    return this.failed(error)
  }

  /** An answer is not read any more: was it read to its end, or left with what was enough? */
  read(isGood: boolean): Effect.Effect<void> {
    this.answers--
    this.wasGood ||= isGood
    if (!this.wasGood || this.answers > 0 || !this.isHandedOver || this.isOver) return Exit.void
    this.isOver = true
    return this.call.wentWell
  }

  /** The policy is done. Says whether the call is not. */
  handOver(): boolean {
    return this.isHandedOver = this.answers > 0
  }

  /** The call has failed. */
  failed<E extends ClaudeError>(error: E): Effect.Effect<E> {
    if (this.isOver) return Exit.succeed(error)
    this.isOver = true
    return this.call.explain(error)
  }
}
