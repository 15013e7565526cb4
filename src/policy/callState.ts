import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Continuation from "../answer/continuation.ts"
import { Ending } from "../answer/ending.ts"
import * as CallContext from "../callContext.ts"
import type { Event } from "../CallLog.ts"
import { Claude } from "../Claude.ts"
import type { ClaudeError, Tried } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import * as Emit from "../emit.ts"
import { logOf } from "../emitHere.ts"
import * as History from "../history.ts"
import { wasSent } from "./charge.ts"
import type { Compiled } from "./compile.ts"
import type { Chain } from "./modelFallback.ts"
import { type HasOther, OtherModel } from "./otherModel.ts"
import * as RetryState from "./retryState.ts"
import { validate } from "./validateCall.ts"

/** The mutable state of a running call. Modules outside of `policy/` see only the fields of the two supertypes. */
export interface CallState extends CallContext.Call, Continuation.Finisher {
  readonly policy: Compiled
  readonly claude: Claude["Service"] | undefined
  /** The context of the caller, in which the call logs its end. */
  readonly context: Context.Context<never>
  /** In milliseconds since the epoch. */
  readonly start: number
  /** The model to ask if the request names none. */
  readonly named: string
  /** The deadline around the call, in milliseconds since the epoch. */
  readonly outerDeadline: number
  readonly outerHasOther: HasOther
  silence: number
  history: ReadonlyArray<Tried>
  last: ClaudeError | undefined
  /**
   * The last failure of a request that was sent, judged by the kind of error (`wasSent`). If there is one, the next
   * attempt is charged to the retry budget, unless `isFree` is set.
   */
  sent: ClaudeError | undefined
  /** The number of the attempt that failed last. */
  lastAttempt: number
  /** Whether the next attempt is not charged to the retry budget, because the previous one was never sent. */
  isFree: boolean
  chain: Chain | undefined
  /** The retries on the current model. */
  retries: RetryState.RetryState
}

/** Passed in, because the modules that implement these functions import this module. */
interface Engine {
  readonly askAgain: <A, R>(
    call: CallState,
    error: ClaudeError,
    ask: Effect.Effect<A, ClaudeError, R>
  ) => Effect.Effect<A, ClaudeError, R>
  readonly continueAnswer: <A, R>(
    call: CallState,
    error: ClaudeError,
    question: Continuation.Question<A, R>
  ) => Effect.Effect<A, ClaudeError, R>
  readonly reopen: <A, R>(
    call: CallState,
    broken: ClaudeError,
    open: Effect.Effect<A, ClaudeError, R>
  ) => Effect.Effect<A, ClaudeError, R>
}

export const make = Effect.fnUntraced(function*(policy: Compiled, { askAgain, continueAnswer, reopen }: Engine) {
  // The context is read once: one `yield*` for each service would cost more than the rest of this function.
  const context = yield* Effect.context<never>()
  const claude = Context.getOrUndefined(context, Claude)
  const outer: Continuation.PolicyCall | undefined = Context.get(context, CallContext.Call)
  const { validate: how } = policy
  const done = new Set<string>()
  const isFirst = (what: string): boolean => done.size < done.add(what).size
  const call: CallState = {
    id: Context.get(context, Random.Random).nextDoubleUnsafe().toString(36).slice(2, 12),
    attempt: 0,
    model: undefined,
    interrupted: undefined,
    // A call inside another call also sends the corrections of the outer call.
    corrections: outer?.corrections ?? [],
    spent: { input: 0, output: 0, dollars: 0, atLeast: false },
    onBreak: policy.onBreak,
    validate: how &&
      ((params, isRest, asked) =>
        validate(params, isRest ? { ...how, count: false } : how, {
          asked,
          warn: call.warn,
          isUncounted: ({ messages, model }) => isFirst(JSON.stringify([model, messages]))
        })),
    warn: (model, code, message) =>
      isFirst(`${model} ${message}`)
        ? emit(call, (common) => Emit.warning(code, message)({ ...common, model }))
        : Effect.void,
    askAgain: (error, ask) => askAgain(call, error, ask),
    continueAnswer: (error, question) => continueAnswer(call, error, question),
    reopen: policy.onBreak === "fail" ? undefined : (broken, open) => reopen(call, broken, open),
    ending: new Ending(
      {
        note: (error) => recordOnce(call, error),
        wentWell: Effect.suspend(() => succeeded(call)),
        explain: (error, because) => explain(call, error, because)
      },
      outer?.ending
    ),
    policy,
    claude,
    context,
    outer,
    start: Context.get(context, Clock.Clock).currentTimeMillisUnsafe(),
    named: Context.get(context, CallContext.Substitute) ?? Context.get(context, Current.Model),
    outerDeadline: Context.get(context, Current.Deadline),
    outerHasOther: Context.get(context, OtherModel),
    silence: Infinity,
    history: [],
    last: undefined,
    sent: undefined,
    lastAttempt: 0,
    isFree: false,
    chain: policy.chain,
    retries: RetryState.make(policy.retries)
  }
  const deadline = Context.get(context, CallContext.DeadlineState)
  if (deadline !== undefined) deadline.call = call
  return call
})

export const modelOf = ({ chain, model, named }: CallState): string => chain?.model ?? model ?? named

// -----------------------------------------------------------------------------
// History
// -----------------------------------------------------------------------------

/**
 * Records the failure of an attempt, unless the history has it already. A failure may arrive twice: from the piece of an
 * answer that failed, and then from the attempt around the piece, possibly after failures of other pieces. Two failures
 * count as one if kind and request id are equal. Without a request id, a failure is compared only with the last failure.
 */
export const recordOnce = (call: CallState, error: ClaudeError, attempt = call.attempt): void => {
  const { history, last, lastAttempt } = call
  const { _tag, requestId } = error
  const isLast = lastAttempt >= attempt && _tag === last?._tag && requestId === last.requestId
  const isKnown = isLast || requestId !== undefined
      && history.some((tried) => tried.attempt >= attempt && tried.error === _tag && tried.requestId === requestId)
  if (!isKnown) record(call, error, attempt)
}

/** Records a failure without looking for duplicates. */
export const record = (call: CallState, error: ClaudeError, attempt = call.attempt): void => {
  const isSent = wasSent(error)
  markLast(call, error, attempt)
  if (isSent) call.sent = error
  call.isFree = !isSent
  call.history = History.remember(call.history, error, attempt, call.model ?? call.named)
}

/** Records the attempt that a deadline interrupted, or the history of the inner calls that it interrupted. */
export const recordInterrupted = (call: CallState, error: ClaudeError): void => {
  // The error of a deadline names a model only if the deadline interrupted an attempt.
  const isOfAttempt = error.model !== undefined && call.interrupted?.attempt === call.attempt
  if (error._tag === "DeadlineExceeded" && (isOfAttempt || error.history !== undefined)) recordOnce(call, error)
}

/**
 * Marks the last failure without adding it to the history. Call `record` instead, unless the history has an entry of the
 * failure already, possibly as another kind of error.
 */
export const markLast = (call: CallState, error: ClaudeError, attempt = call.attempt): void => {
  call.last = error
  call.lastAttempt = attempt
}

// -----------------------------------------------------------------------------
// Events
// -----------------------------------------------------------------------------

/** Emits an event to the log of the call's `Claude`, or without a `Claude`, to the log of the caller. */
export const emit = ({ claude, id, model, named }: CallState, event: (common: Emit.Common) => Event) =>
  Emit.emit({ log: logOf(claude), call: id, model: model ?? named }, event)

export const succeeded = (call: CallState): Effect.Effect<void> =>
  outside(
    call,
    emit(call, (common) => ({
      _tag: "CallSucceeded",
      ...common,
      attempts: call.attempt,
      spent: { ...call.spent },
      took: Duration.millis(common.at - call.start)
    }))
  )

const explain = <E extends ClaudeError>(call: CallState, error: E, because: ClaudeError = error): Effect.Effect<E> => {
  recordInterrupted(call, error)
  const { history, retries: { gaveUp }, start } = call
  const reason = because._tag === "DeadlineExceeded" && gaveUp !== "BudgetSpent"
    ? "DeadlineExceeded"
    : gaveUp ?? RetryState.reason(call.retries, because)
  const explained = History.explain(error, reason, history)
  const logged = emit(call, (common) => ({
    _tag: "GaveUp",
    ...common,
    model: error.model ?? common.model,
    error: explained,
    reason,
    history,
    spent: { ...call.spent },
    took: Duration.millis(common.at - start)
  }))
  return Effect.as(outside(call, logged), explained)
}

/**
 * Runs in the context of the caller, even if the answer is read elsewhere: the log is the caller's, and `Current.Call` is
 * the outer call.
 */
const outside = <A>({ context }: CallState, self: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.setContext(self, context)
