/** The rest of an answer that stopped half-way: each piece is an attempt of its call, and is tried again by itself. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { isString } from "effect/Predicate"
import * as Continuation from "../answer/continuation.ts"
import { Paid } from "../budget.ts"
import type { ClaudeError } from "../ClaudeError.ts"
import * as History from "../history.ts"
import { retry } from "./attempts.ts"
import * as CallState from "./callState.ts"
import * as RetryState from "./retryState.ts"

/** Asks for more of an answer that failed, until all of it is there, or no more is to be asked for. */
export const continueAnswer = <A, R>(
  call: CallState.CallState,
  error: ClaudeError,
  question: Continuation.Question<A, R>,
  isPiece = false
): Effect.Effect<A, ClaudeError, R> => {
  const stopped = question.stopped()
  const next = nextOf(call, stopped)
  if (next === undefined || isString(next)) {
    const last = next === undefined ? error : History.copy(error, { detail: next })
    // A piece was tried again by itself: the whole answer is not asked for once more.
    return Effect.fail(isPiece ? RetryState.giveUp(call.retries, last) : last)
  }
  // Others may be asked at the same time: what failed is the attempt that this piece came with.
  CallState.recordOnce(call, error, stopped?.reply.attempt)
  RetryState.markRetried(call.retries, error)
  const logged = CallState.emit(call, (common) => ({
    _tag: "Continued",
    ...common,
    attempt: call.attempt + 1,
    error,
    how: next.how
  }))
  const piece = retry(call, question.ask(next.rest), {
    follows: error,
    // One that stopped half-way, too, is not tried again, but continued.
    isFinal: () => nextOf(call, question.stopped()) !== undefined
  })
  return settleAsFailed(error).pipe(
    Effect.andThen(logged),
    Effect.andThen(Effect.catch(piece, (error) => continueAnswer(call, error, question, true)))
  )
}

/** How more is asked for, or a sentence why it cannot be; nothing, where the policy does not want more. */
const nextOf = ({ policy, retries }: CallState.CallState, stopped: Continuation.Stopped | undefined) =>
  stopped && retries.gaveUp !== "BudgetSpent" ? Continuation.next(stopped, policy.unfinished) : undefined

/** The attempt that runs has failed, whatever comes of the rest: its budget is told now. */
const settleAsFailed = (error: ClaudeError): Effect.Effect<void> =>
  Effect.flatMap(
    Paid,
    (paid) => paid === undefined ? Effect.void : Effect.uninterruptible(paid.settle(Exit.fail(error)))
  )
