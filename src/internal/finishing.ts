/** The rest of an answer that stopped half-way: each piece is an attempt of its call, and is tried again by itself. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { isString } from "effect/Predicate"
import { type ClaudeError, is } from "../ClaudeError.ts"
import type { Bill } from "./charged.ts"
import type { Compiled } from "./compile.ts"
import * as History from "./history.ts"
import type { Retrying } from "./retrying.ts"
import type { Telling } from "./telling.ts"
import * as Unfinished from "./unfinished.ts"

/** The call, as far as this needs it. */
export interface Course {
  readonly policy: Compiled
  readonly log: Telling
  readonly retrying: Retrying
  readonly attempt: number
  readonly bill: Bill | undefined
  last: ClaudeError | undefined
  /** The failure after which no more of an answer was asked for. */
  settled: ClaudeError | undefined
  readonly isBroke: () => boolean
  readonly remember: (error: ClaudeError) => void
  readonly attempted: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly failed: <A, E, R>(
    error: E,
    attempt: Effect.Effect<A, E, R>,
    isFinal: (error: unknown) => boolean
  ) => Effect.Effect<A, E, R>
  readonly isFinal: (error: unknown) => boolean
}

/** Asks for the rest, until there is none, or no more is to be asked for. */
export const finish = <A, R>(
  call: Course,
  error: ClaudeError,
  question: Unfinished.Question<A, R>
): Effect.Effect<A, ClaudeError, R> => {
  const more = (error: unknown) => {
    const stopped = is(error) && !call.isBroke() ? question.stopped(error) : undefined
    return stopped && Unfinished.next(stopped, call.policy.unfinished)
  }
  const go = (error: ClaudeError, isPiece: boolean): Effect.Effect<A, ClaudeError, R> => {
    const next = more(error)
    if (next === undefined || isString(next)) {
      // Why no more is asked for is told with the failure.
      const last = next === undefined ? error : History.copy(error, { detail: next })
      // Some wires fail with the same value again and again: it is this one only if a piece has just failed with it.
      if (isPiece && error === call.last) call.settled = call.last = last
      return Effect.fail(last)
    }
    const { how, rest } = next
    if (error !== call.last) call.remember(error)
    call.retrying.again(error)
    const piece = call.attempted(question.ask(rest))
    const whole = Effect.catch(
      piece,
      (error) => call.failed(error, piece, (error) => call.isFinal(error) || more(error) !== undefined)
    )
    const told = call.log.tell((common) => ({
      _tag: "Continued",
      ...common,
      attempt: call.attempt + 1,
      error,
      how
    }))
    // What failed is not mended by what follows it.
    const settled = Effect.suspend(() => call.bill?.settle(Exit.fail(error)) ?? Effect.void)
    return Effect.andThen(
      Effect.andThen(Effect.uninterruptible(settled), told),
      Effect.catch(whole, (error) => go(error, true))
    )
  }
  return go(error, false)
}
