/**
 * One call under a policy.
 *
 * From the outside in: the overall limit, models, retries, attempts. The end of
 * the call is logged once, unless it was interrupted, died, or failed with an
 * error of the application.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Ending } from "../answer/ending.ts"
import * as CallContext from "../callContext.ts"
import { type ClaudeError, type DeadlineExceeded, is, kindOf } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { fallback } from "../emit.ts"
import * as History from "../history.ts"
import { isPermanentMidway } from "../permanence.ts"
import { type Bounds, retry } from "./attempts.ts"
import * as CallState from "./callState.ts"
import type { Compiled } from "./compile.ts"
import { askAgain, continueAnswer } from "./continueAnswer.ts"
import * as Deadline from "./deadline.ts"
import { reported } from "./decisions.ts"
import * as ModelFallback from "./modelFallback.ts"
import { noOther, OtherModel, timedOut } from "./otherModel.ts"
import * as RetryState from "./retryState.ts"

/**
 * Runs `self` as one call: its attempts are numbered across all models, and share one history and one count of tokens and
 * cost. `onStart` receives the `Ending` before the first attempt, for a stream that is read after the policy has returned.
 */
export const run = <A, E, R>(
  policy: Compiled,
  self: Effect.Effect<A, E, R>,
  onStart?: (ending: Ending) => void
): Effect.Effect<A, E | DeadlineExceeded, R> => {
  const called = runCall(policy, self, onStart)
  return policy.withLimits === undefined ? called : policy.withLimits(called)
}

const runCall = Effect.fnUntraced(function*<A, E, R>(
  policy: Compiled,
  self: Effect.Effect<A, E, R>,
  onStart: ((ending: Ending) => void) | undefined
): Effect.fn.Return<A, E | DeadlineExceeded, R> {
  const call = yield* CallState.make(policy, { askAgain, continueAnswer, reopen })
  onStart?.(call.ending)
  const value = yield* Effect.catch(
    overAllModels(call, onModel(call, self)),
    (error): Effect.Effect<never, E | DeadlineExceeded> =>
      is(error) ? Effect.flatMap(call.ending.giveUp(error), Effect.fail) : Effect.fail(error)
  )
  // If an answer is still being read, the call ends with its reader.
  const isOver = !call.ending.handOver()
  if (isOver) yield* CallState.succeeded(call)
  return value
})

/** A call that is reopened continues with the model that it asked last: `call.chain` begins there. */
const overAllModels = <A, E, R>(
  call: CallState.CallState,
  attempts: Effect.Effect<A, E, R>,
  broken?: ClaudeError
): Effect.Effect<A, E | DeadlineExceeded, R> => {
  const { chain, policy: { overall } } = call
  const asked = Effect.provideService(attempts, CallContext.Call, call)
  const onModels = chain === undefined ? asked : ModelFallback.fallBack(asked, chain, caller(call, broken))
  return overall === undefined ? onModels : Deadline.overall(onModels, overall)
}

/** Each model has its own retries and corrections; all models share the history. */
const caller = (call: CallState.CallState, broken: ClaudeError | undefined): ModelFallback.Caller => {
  // If a fallback model rejects the request to resume its own broken answer, the break is reported instead of the rejection.
  const isOfFallback = broken !== undefined && call.chain?.model !== undefined
  let first = isOfFallback ? { error: broken, retries: call.retries } : undefined
  return {
    asked: () => call.model,
    onNext: (error, to) => {
      // An attempt records its own failure, unless it was interrupted because the model's share of the time ran out.
      if (error._tag === "DeadlineExceeded") CallState.recordOnce(call, error)
      first = reported(first, { error, retries: call.retries })
      call.chain = to
      call.corrections = []
      call.retries = RetryState.make(call.policy.retries)
      call.isFree = false
      return CallState.emit(call, fallback(error, to.model))
    },
    onEnd: (last, isDrained) => {
      const { error, retries } = reported(first, { error: last, retries: call.retries })
      if (isDrained) call.retries.gaveUp = "BudgetSpent"
      // The call takes `gaveUp` from the retries of the reported error, unless the budget ended the whole call.
      if (call.retries.gaveUp !== "BudgetSpent") call.retries = retries
      return error
    }
  }
}

/** If another attempt can follow, an attempt may be silent for a third of the time left, to leave time for the next. */
const onModel = Effect.fnUntraced(function*<A, E, R>(
  call: CallState.CallState,
  self: Effect.Effect<A, E, R>,
  bounds?: Bounds<E>
): Effect.fn.Return<A, E, R> {
  const { outer, policy: { retriesTimeOuts } } = call
  const context = yield* Effect.context<never>()
  const left = Context.get(context, Current.Deadline) - Context.get(context, Clock.Clock).currentTimeMillisUnsafe()
  const canFollow = retriesTimeOuts || Context.get(context, OtherModel)(timedOut)
  call.silence = canFollow ? Math.floor(left / 3) : outer?.silence ?? Infinity
  return yield* retry(call, self, bounds)
})

// -----------------------------------------------------------------------------
// Streams that break
// -----------------------------------------------------------------------------

const reopen = <A, R>(
  call: CallState.CallState,
  broken: ClaudeError,
  open: Effect.Effect<A, ClaudeError, R>
): Effect.Effect<A, ClaudeError, R> =>
  Effect.suspend(() => {
    CallState.record(call, broken)
    // While the policy still runs, its deadline and model fallback surround this effect, and handle its failure.
    const opened = call.ending.isHandedOver ? reopenLater(call, broken, open) : retry(call, open, { after: broken })
    return Effect.catch(opened, (error) => {
      const failure = stillBroken(broken, error)
      if (call.ending.isHandedOver) return Effect.flatMap(call.ending.lost(failure, error), Effect.fail)
      CallState.markLast(call, failure)
      return Effect.fail(RetryState.giveUp(call.retries, failure))
    })
  })

/**
 * Reopens a broken answer after the policy has returned it. The policy's `overall` limit starts anew, but a deadline set
 * outside the policy still applies.
 */
const reopenLater = <A, R>(
  call: CallState.CallState,
  broken: ClaudeError,
  open: Effect.Effect<A, ClaudeError, R>
): Effect.Effect<A, ClaudeError, R> => {
  const { outer, outerDeadline, outerHasOther } = call
  let isFirstModel = true
  const attempts = Effect.suspend(() => {
    // For the first model, the break of the answer counts as a failed attempt: the schedule decides whether the model is
    // asked again, and after which wait. For the models after it, the break does not count.
    const bounds = isFirstModel ? { after: broken } : {}
    isFirstModel = false
    return onModel(call, open, bounds)
  })
  const isOuterDone = outer?.ending === undefined || outer.ending.isHandedOver
  return overAllModels(call, attempts, broken).pipe(
    Effect.provideService(Current.Deadline, outerDeadline),
    Effect.provideService(OtherModel, isOuterDone ? noOther : outerHasOther)
  )
}

/**
 * The error to report if reopening a broken answer failed with `error`: `error` or a copy of `broken`, as `History.still`
 * chooses. In a copy of a `PartialAnswer`, `because` is the kind of `error`, and the fields that say whether a retry can
 * help also come from `error`.
 */
const stillBroken = (broken: ClaudeError, error: ClaudeError): ClaudeError => {
  const failure = History.still(broken, error)
  return failure === error || failure._tag !== "PartialAnswer"
    ? failure
    : History.copy(failure, {
      because: kindOf(error),
      permanent: isPermanentMidway(error),
      shouldRetry: error.shouldRetry
    })
}
