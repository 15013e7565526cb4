/**
 * Fallbacks for a call that failed for good.
 *
 * To recover with your own value or effect, use Effect: `Effect.catchTag` for
 * some kinds of error, `Effect.catchIf(ClaudeError.is, …)` for every error of
 * this library. Both remove the caught errors from the type.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { isString } from "effect/Predicate"
import * as Result from "effect/Result"
import { Claude } from "../Claude.ts"
import { type ClaudeError, is, type Tag, type Tagged, type Tried } from "../ClaudeError.ts"
import type * as Current from "../Current.ts"
import { fallback } from "../emit.ts"
import { askedModel, emitHere } from "../emitHere.ts"
import * as History from "../history.ts"
import * as Refuse from "../options.ts"
import { charged, wasSent } from "./charge.ts"
import { decided, type On, reported } from "./decisions.ts"
import * as ModelFallback from "./modelFallback.ts"
import { hint, isRetryable, quotable, sentences } from "./notices.ts"
import { OtherModel } from "./otherModel.ts"

export { type Kept, memory as memoryStore, Store } from "../answerStore.ts"
export { accounts, type OnAccount } from "./accountFallback.ts"
export type { On } from "./decisions.ts"
export { type LastGood, lastGood, Stale } from "./lastGood.ts"
export { isRetryable } from "./notices.ts"

// -----------------------------------------------------------------------------
// Another model
// -----------------------------------------------------------------------------

/** Runs before the next model is asked, instead of logging the fallback. */
export type OnChange = (change: { readonly error: ClaudeError; readonly to: Current.ModelId }) => Effect.Effect<void>

/**
 * Runs the same program on each model in turn, until one answers, or an error leads to no further model. A fallback model
 * replaces the model that a call inside names, and the request is adapted to it: thinking, effort, prefill, tool choice,
 * maximum length, output format. The error type stays the same, because all models may fail. If a fallback model cannot
 * take the request or gives no usable answer, the next one is asked. If no model answers, the effect fails with the last
 * error that means a problem of the service or contains a part of the answer, or else with the first error. The error has
 * the history of all models that were asked.
 *
 * Under a deadline (`Timeout.overall`, or the `overall` of an outer policy), time is reserved for the remaining models.
 */
export const models = (chain: ReadonlyArray<Current.ModelId>, options?: {
  /** Overrides which errors lead to the next model; `larger`: only to a model with a larger context window. */
  readonly on?: On<boolean | "larger"> | undefined
  /** Time reserved for each remaining model, but at most an equal share of the time left. Default: 10 seconds. */
  readonly reserve?: Duration.Input | undefined
  readonly onChange?: OnChange | undefined
}): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> => {
  ModelFallback.check("Fallback.models", chain)
  const start: ModelFallback.Chain = {
    model: undefined,
    models: chain,
    refused: undefined,
    on: decided("Fallback.models", "otherModel", options?.on),
    reserve: options?.reserve === undefined
      ? ModelFallback.defaultReserve
      : Refuse.millis("Fallback.models: reserve", options.reserve)
  }
  const change: OnChange = options?.onChange ?? (({ error, to }) => emitHere(fallback(error, to)))
  return (self) => onModels(self, start, change)
}

/** Once a request has been sent and failed, asking another model is an extra attempt, charged to the retry budget. */
const onModels = Effect.fnUntraced(function*<A, E, R>(
  self: Effect.Effect<A, E, R>,
  start: ModelFallback.Chain,
  change: OnChange
): Effect.fn.Return<A, E, R> {
  const claude = Option.getOrUndefined(yield* Effect.serviceOption(Claude))
  let history: ReadonlyArray<Tried> | undefined
  let last: ClaudeError | undefined
  let sent: ClaudeError | undefined
  let first: { readonly error: ClaudeError } | undefined
  let isBroke = false
  let model: string = yield* askedModel
  let hop = 0
  // Runs in place of an attempt that the budget refuses.
  const refused = Effect.suspend(() => {
    isBroke = true
    return Effect.fail(last as ClaudeError & E)
  })
  const asked = Effect.flatMap(OtherModel, (hasOther) =>
    claude === undefined || sent === undefined
      ? self
      : charged(claude, { because: sent, model, waits: !hasOther(sent) }, self, refused))
  return yield* ModelFallback.fallBack(asked, start, {
    onNext: (error, to) => {
      // If the budget refused the attempt, `error` is the previous failure, which is in the history already.
      if (!isBroke) history = History.remember(history ?? [], error, ++hop, model)
      isBroke = false
      last = error
      first = reported(first, { error })
      if (wasSent(error)) sent = error
      model = to.model
      return change({ error, to: to.model })
    },
    onEnd: (last, isDrained) => {
      if (history === undefined && !isDrained) return last
      const { error } = reported(first, { error: last })
      if (isBroke) return History.explain(error, "BudgetSpent", history ?? [])
      const gaveUp = isDrained ? "BudgetSpent" : error.gaveUp ?? "NotRetried"
      return History.explain(error, gaveUp, History.remember(history ?? [], last, ++hop, model))
    },
    asked: () => undefined
  })
})

// -----------------------------------------------------------------------------
// Notices
// -----------------------------------------------------------------------------

/** A message for the end user, in place of an answer. */
export class Notice extends Data.TaggedClass("Notice")<{
  /** What happened, in plain words, and what to do. Never empty. */
  readonly text: string
  /** The id to quote to support, if the error has a well-formed one. */
  readonly requestId: string | undefined
  readonly retryable: boolean
  /** The wait that the error asks for, if any. It is positive and finite. */
  readonly retryAfter: Duration.Duration | undefined
  readonly error: Tag
}> {}

/** Returns your own text for an error. If it returns `undefined` or a blank text, or throws, the English text is used. */
export type Words = (error: ClaudeError) => string | undefined

/**
 * Answers with a `Notice` if the call fails, and logs the fallback. Removes this library's errors from the type: all, or
 * the kinds in `on`. To answer with another value, use `Effect.catchTag([…], …)` or `Effect.catchIf(ClaudeError.is, …)`.
 */
export const notice = <const Tags extends ReadonlyArray<Tag> | undefined = undefined>(options?: {
  readonly words?: Words | undefined
  /** The kinds of error that become a notice; other kinds stay errors. Default: all. */
  readonly on?: Tags | undefined
}): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | Notice, Left<E, Tags>, R> => {
  const on = options?.on
  if (on !== undefined) Refuse.tags("Fallback.notice: on", on)
  return <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.catch(
      self,
      (error): Effect.Effect<Notice, Left<E, Tags>> =>
        is(error) && on?.includes(error._tag) !== false
          ? noticed(error, options?.words)
          // Safe cast: `Left` keeps every error that is not caught.
          : Effect.fail(error as Left<E, Tags>)
    )
}

/**
 * Writes the notice for an error. `now`: in milliseconds since the epoch. If it is given, the text names the date when
 * credit is available again (`regainsAt`) only if that date is later than `now`.
 */
export const toNotice = (
  error: ClaudeError,
  options?: { readonly words?: Words | undefined; readonly now?: number | undefined }
): Notice => {
  // The user needs a text even if the caller's `words` throw.
  const own: unknown = Result.getOrUndefined(Result.try(() => options?.words?.(error)))
  return new Notice({
    text: isString(own) && own.trim() !== "" ? own : sentences(error, options?.now ?? -Infinity),
    requestId: quotable(error),
    retryable: isRetryable(error),
    retryAfter: hint(error),
    error: error._tag
  })
}

/**
 * The errors of `E` that remain after this library's errors of the kinds in `Tags` are caught. Without `Tags`, all kinds are
 * caught. An application's own error remains, even if its tag is also a tag of this library. If `Tags` is a union of lists, a
 * kind that only some of the lists have remains as well.
 */
export type Left<E, Tags = undefined> = E extends { readonly _tag: infer T extends Certain<Tags> }
  ? Same<E, Tagged<T>> extends true ? never : E
  : E

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

const noticed = Effect.fnUntraced(function*(error: ClaudeError, words: Words | undefined) {
  yield* emitHere(fallback(error, "notice"))
  return toNotice(error, { words, now: yield* Clock.currentTimeMillis })
})

/** The kinds that are caught for certain: if `Tags` is a union of lists, the kinds that every list has. */
type Certain<Tags> = Exclude<Tag, Tags extends ReadonlyArray<Tag> ? Exclude<Tag, Listed<Tags>> : never>

/** The kinds that a list contains for certain: an element whose type is a union of kinds adds none. */
type Listed<Tags> = Tags extends readonly [infer T, ...infer Rest] ? Single<T> | Listed<Rest> : never

/** `T` if it is a single kind; `never` for a union of kinds, because the type does not tell which one is in the list. */
type Single<T, All = T> = T extends unknown ? [All] extends [T] ? T : never : never

/** Whether two types are identical. Mutual assignability is too weak: most fields of our errors are optional. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
