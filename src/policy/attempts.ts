import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as CallContext from "../callContext.ts"
import { type ClaudeError, is } from "../ClaudeError.ts"
import * as History from "../history.ts"
import { isOfDrain } from "../local.ts"
import * as Runtime from "../runtime.ts"
import { type CallState, emit, modelOf, recordOnce } from "./callState.ts"
import { charged } from "./charge.ts"
import { circuitOpen, OtherModel } from "./otherModel.ts"
import * as RetryState from "./retryState.ts"

export interface Bounds<E> {
  /** An earlier failure of the same call. The first attempt waits after it as the schedule says. */
  readonly after?: E | undefined
  /** Like `after`, but the first attempt starts without a wait. */
  readonly follows?: E | undefined
  /** Called after a failure: `true` ends the attempts, even if the schedule would retry. */
  readonly isFinal?: (() => boolean) | undefined
}

export const retry = Effect.fnUntraced(function*<A, E, R>(
  call: CallState,
  self: Effect.Effect<A, E, R>,
  { after, follows, isFinal }: Bounds<E> = {}
): Effect.fn.Return<A, E, R> {
  if (after !== undefined) yield* waitForNext(call, after)
  let failure = after ?? follows
  while (true) {
    const result = yield* Effect.result(attempt(call, self, failure))
    if (Result.isSuccess(result)) return result.success
    failure = result.failure
    if (isFinal?.() === true) return yield* Effect.fail(result.failure)
    yield* waitForNext(call, result.failure)
  }
})

/** Waits until the next attempt; fails with `error` if there is none. */
const waitForNext = Effect.fnUntraced(function*<E>(call: CallState, error: E): Effect.fn.Return<void, E> {
  // No wait: another model usually answers sooner than an open circuit closes.
  if (is(error) && error._tag === "CircuitOpen" && (yield* OtherModel)(error)) return yield* Effect.fail(error)
  const next = yield* RetryState.next(call.retries, error)
  if (next === undefined) return yield* Effect.fail(error)
  if (Runtime.isDraining(call.claude)) return yield* refused(call, error)
  const { corrects, wait } = next
  if (corrects !== undefined) call.corrections = [...call.corrections, corrects]
  if (is(error)) {
    call.history = History.waited(call.history, Duration.toMillis(wait))
    const attempt = call.attempt + 1
    yield* emit(call, (common) => ({ _tag: "RetryScheduled", ...common, attempt, error, wait }))
  }
  if (call.claude === undefined) return yield* Effect.sleep(wait)
  const [start, waiting] = [yield* Clock.currentTimeMillis, call.history.at(-1)]
  yield* Effect.raceFirst(Effect.sleep(wait), Deferred.await(Runtime.of(call.claude).draining))
  if (!Runtime.isDraining(call.claude)) return
  const waited = Math.max(0, (yield* Clock.currentTimeMillis) - start)
  // Another request of this call may have added an entry meanwhile.
  call.history = call.history.map((tried) => tried === waiting ? { ...tried, waited } : tried)
})

/**
 * Charges the attempt to the retry budget if a request of this call was sent and failed before. Exception: if the previous
 * attempt ended before it sent a request, this attempt is free, because the budget has already allowed the previous one.
 */
const attempt = Effect.fnUntraced(function*<A, E, R>(
  call: CallState,
  self: Effect.Effect<A, E, R>,
  failure: E | undefined
): Effect.fn.Return<A, E, R> {
  const hasOther = yield* OtherModel
  const { claude, isFree, policy: { waitsForCircuit }, sent } = call
  if (failure !== undefined && Runtime.isDraining(claude)) return yield* refused(call, failure)
  const counted = Effect.suspend(() => {
    const number = ++call.attempt
    call.isFree = false
    const inside = Effect.updateContext(self, (context: Context.Context<R>) => {
      const numbered = Context.add(context, CallContext.AttemptNumber, number)
      return waitsForCircuit === undefined
        ? numbered
        : Context.add(numbered, CallContext.WaitForCircuit, waitsForCircuit && !hasOther(circuitOpen))
    })
    return Effect.catch(inside, (error) => {
      if (failure !== undefined && is(error) && isOfDrain(error)) return refused(call, failure)
      if (is(error)) recordOnce(call, error, number)
      return Effect.fail(error)
    })
  })
  if (claude === undefined || sent === undefined || isFree) return yield* counted
  return yield* charged(
    claude,
    { because: sent, model: modelOf(call), waits: !hasOther(sent) },
    counted,
    refused(call, failure)
  )
})

/**
 * Runs in place of an attempt that the budget refuses. Fails with the failure before this attempt or, for the first attempt
 * on another model, with the last failure of the call.
 */
const refused = <E>(call: CallState, failure: E | undefined): Effect.Effect<never, E> =>
  Effect.suspend(() => {
    call.retries.gaveUp = "BudgetSpent"
    return Effect.fail(failure ?? call.last as ClaudeError & E)
  })
