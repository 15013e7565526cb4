/**
 * Completes an unfinished answer with further requests, or asks again with a changed request, for example without the
 * schema that the API refused. Each request is an attempt of the call. If it fails, only this request is retried, with
 * the retries that the call has left.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { isString } from "effect/Predicate"
import * as Continuation from "../answer/continuation.ts"
import { Paid } from "../budget.ts"
import { AttemptNumber } from "../callContext.ts"
import type { ClaudeError } from "../ClaudeError.ts"
import * as History from "../history.ts"
import { retry } from "./attempts.ts"
import * as CallState from "./callState.ts"
import * as RetryState from "./retryState.ts"

/**
 * Asks for more pieces of an answer, until it is complete or the policy allows no more. `before`: if `error` is the failure
 * of a further piece, the failure before that piece.
 */
export const continueAnswer = <A, R>(
  call: CallState.CallState,
  error: ClaudeError,
  question: Continuation.Question<A, R>,
  before?: ClaudeError
): Effect.Effect<A, ClaudeError, R> => {
  const stopped = question.stopped()
  const next = nextOf(call, stopped)
  if (next === undefined || isString(next)) {
    const last = next === undefined ? error : History.copy(error, { detail: next })
    // A failed piece was already retried, so its failure is final: the whole answer is not requested again.
    return Effect.fail(before === undefined ? last : RetryState.giveUp(call.retries, stillUnfinished(before, last)))
  }
  // The failure is recorded with the attempt of this answer: `call.attempt` may be the attempt of a parallel request.
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
    // If the new piece is also unfinished, it is continued instead of retried.
    isFinal: () => nextOf(call, question.stopped()) !== undefined
  })
  return settleAsFailed(error).pipe(
    Effect.andThen(logged),
    Effect.andThen(Effect.catch(piece, (failed) => continueAnswer(call, failed, question, error)))
  )
}

/** Asks again with a changed request, for example without the schema that the API refused. */
export const askAgain = <A, R>(
  call: CallState.CallState,
  error: ClaudeError,
  ask: Effect.Effect<A, ClaudeError, R>
): Effect.Effect<A, ClaudeError, R> =>
  Effect.flatMap(AttemptNumber, (number) => {
    CallState.recordOnce(call, error, number)
    const again = Effect.mapError(
      retry(call, ask, { follows: error }),
      // These attempts were already retried, so their failure is final.
      (failed) => RetryState.giveUp(call.retries, failed)
    )
    return Effect.andThen(settleAsFailed(error), again)
  })

/**
 * The failure to report after a further piece failed with `error`. If the request for that piece was invalid or too large,
 * this is `before` with the reason added, because the original request of the caller was valid.
 */
const stillUnfinished = (before: ClaudeError, error: ClaudeError): ClaudeError =>
  error._tag === "InvalidRequest" || error._tag === "RequestTooLarge"
    ? History.copy(before, { detail: `the answer could not be continued: ${error.message}` })
    : error

/** How to ask for the next piece; the reason, as text, if that is impossible; `undefined` if no next piece is wanted. */
const nextOf = ({ policy, retries }: CallState.CallState, stopped: Continuation.Stopped | undefined) =>
  stopped && retries.gaveUp !== "BudgetSpent" ? Continuation.next(stopped, policy.unfinished) : undefined

/** Reports the current attempt to the retry budget as failed, before the next request. */
const settleAsFailed = (error: ClaudeError): Effect.Effect<void> =>
  Effect.flatMap(
    Paid,
    (paid) => paid === undefined ? Effect.void : Effect.uninterruptible(paid.settle(Exit.fail(error)))
  )
