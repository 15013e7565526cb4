/** One call under a policy: what is known of it while it runs. One mutable record, and functions over it. */
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

/** A call that is running: what others see of it, and what its policy needs. */
export interface CallState extends CallContext.Call, Continuation.Finisher {
  readonly policy: Compiled
  readonly claude: Claude["Service"] | undefined
  /** Where it was made: its events are told there. */
  readonly context: Context.Context<never>
  readonly start: number
  /** The model that is asked where a call names none. */
  readonly named: string
  /** What held outside of it when it began. */
  readonly outerDeadline: number
  readonly outerHasOther: HasOther
  silence: number
  history: ReadonlyArray<Tried>
  /** The last failure, and the last after which something was sent: what is sent after that is extra load. */
  last: ClaudeError | undefined
  sent: ClaudeError | undefined
  /** The attempt that failed last. */
  lastAttempt: number
  /** Whether the next attempt on this model is free, because the one before it was stopped before it was sent. */
  isFree: boolean
  /** Which model is asked, and which are left. */
  chain: Chain | undefined
  /** On the model that is asked. */
  retries: RetryState.RetryState
}

/** What a call does that needs the rest of the engine. */
interface Engine {
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

/** A call that begins. */
export const make = Effect.fnUntraced(function*(policy: Compiled, { continueAnswer, reopen }: Engine) {
  // Read once: to yield each of these would cost more than all else that is done here.
  const context = yield* Effect.context<never>()
  const claude = Context.getOrUndefined(context, Claude)
  const outer: Continuation.PolicyCall | undefined = Context.get(context, CallContext.Call)
  const done = new Set<string>()
  const isFirst = (what: string): boolean => done.size < done.add(what).size
  const call: CallState = {
    id: Context.get(context, Random.Random).nextDoubleUnsafe().toString(36).slice(2, 12),
    attempt: 0,
    model: undefined,
    // An inner policy must not forget what an outer one has to say about earlier answers.
    corrections: outer?.corrections ?? [],
    spent: { input: 0, output: 0, dollars: 0, atLeast: false },
    onBreak: policy.onBreak,
    validate: policy.validate &&
      ((params, isRest, asked) =>
        policy.validate && validate(params, isRest ? { ...policy.validate, count: false } : policy.validate, {
          asked,
          warn: call.warn,
          isUncounted: ({ messages, model }) => isFirst(JSON.stringify([model, messages]))
        })),
    warn: (model, code, message) =>
      isFirst(`${model} ${message}`)
        ? emit(call, (common) => Emit.warning(code, message)({ ...common, model }))
        : Effect.void,
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
  return call
})

/** The model that is asked. */
export const modelOf = ({ chain, model, named }: CallState): string => chain?.model ?? model ?? named

// -----------------------------------------------------------------------------
// History
// -----------------------------------------------------------------------------

/**
 * Records what an attempt has failed with. It comes here twice: from the piece of an answer that failed, and from the
 * attempt that the piece is a part of, maybe after failures of other pieces. The same kind from the same request is the
 * same failure.
 */
export const recordOnce = (call: CallState, error: ClaudeError, attempt = call.attempt): void => {
  const { history, last, lastAttempt } = call
  const { _tag, requestId } = error
  const isLast = lastAttempt >= attempt && _tag === last?._tag && requestId === last.requestId
  const isKnown = isLast || requestId !== undefined
      && history.some((tried) => tried.attempt >= attempt && tried.error === _tag && tried.requestId === requestId)
  if (!isKnown) record(call, error, attempt)
}

/** Records a failure that is known to be a new one. */
export const record = (call: CallState, error: ClaudeError, attempt = call.attempt): void => {
  const isSent = wasSent(error)
  markLast(call, error, attempt)
  if (isSent) call.sent = error
  call.isFree = !isSent
  call.history = History.remember(call.history, error, attempt, call.model ?? call.named)
}

/** Makes it the failure of the last attempt. The history is left alone: it has that failure, maybe as another kind. */
export const markLast = (call: CallState, error: ClaudeError, attempt = call.attempt): void => {
  call.last = error
  call.lastAttempt = attempt
}

// -----------------------------------------------------------------------------
// Events
// -----------------------------------------------------------------------------

/** Emits to the log of its `Claude`; without one, to that of the caller. */
export const emit = ({ claude, id, model, named }: CallState, event: (common: Emit.Common) => Event) =>
  Emit.emit({ log: logOf(claude), call: id, model: model ?? named }, event)

/** The end of a call that went well. */
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

/** The error with why it is the last one, which the log is told. */
const explain = <E extends ClaudeError>(call: CallState, error: E, because: ClaudeError = error): Effect.Effect<E> => {
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
 * As it would be where the call was made: to that caller's log, also if the answer is read elsewhere, and with the call
 * around this one in context, if there is one.
 */
const outside = <A>({ context }: CallState, self: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.setContext(self, context)
