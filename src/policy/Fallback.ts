/**
 * What to do when a call has failed for good.
 *
 * To recover with a value or an effect, use Effect: `Effect.catchTag` for some
 * kinds of failure, `Effect.catchIf(ClaudeError.is, …)` for all of ours. Both
 * remove what they catch from the error type. This module has what only we can
 * know: how to ask another model or account the same thing, what was answered
 * before, and what to tell a person about an error.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { isString } from "effect/Predicate"
import * as Result from "effect/Result"
import { Claude } from "../Claude.ts"
import { type ClaudeError, is, type Table, type Tag, type Tagged, type Tried } from "../ClaudeError.ts"
import type * as Current from "../Current.ts"
import { fallback } from "../emit.ts"
import { askedModel, emitHere } from "../emitHere.ts"
import * as History from "../history.ts"
import * as Refuse from "../options.ts"
import { charged, wasSent } from "./charge.ts"
import { decided, decisions, decisive } from "./decisions.ts"
import * as ModelFallback from "./modelFallback.ts"
import { hint, isRetryable, quotable, sentences } from "./notices.ts"
import { OtherModel } from "./otherModel.ts"

export { type Kept, memory as memoryStore, Store } from "../answerStore.ts"
export { accounts, type OnAccount } from "./accountFallback.ts"
export { type LastGood, lastGood, Stale } from "./lastGood.ts"
export { isRetryable } from "./notices.ts"

// -----------------------------------------------------------------------------
// Another model
// -----------------------------------------------------------------------------

/** Whether another model may succeed where this one failed, where nothing else is said: for a window, a larger one. */
export const isWorthAnotherModel = (error: ClaudeError): boolean => decisions[decisive(error)].otherModel !== false

/** Told before the next model is asked. */
export type OnChange = (change: { readonly error: ClaudeError; readonly to: Current.ModelId }) => Effect.Effect<void>

/**
 * Runs the same program on each model in turn, until one answers. The model stands in for whatever a call inside names,
 * and the request is made fit for it: thinking, effort, prefill, tool choice, length, the form of a value. Removes no
 * error: the last model may fail with any. The error has the history of all of them.
 *
 * Under a deadline (`Timeout.overall`, or the `overall` of a policy outside) no model takes the time of those after it.
 */
export const models = (chain: ReadonlyArray<Current.ModelId>, options?: {
  /** For which errors, where that differs from the usual; `larger`: only models whose window is known to be larger. */
  readonly on?: Partial<Table<boolean | "larger">> | undefined
  /** What each of the models that are left keeps of the time: 10 seconds, or a fair share if that is less. */
  readonly reserve?: Duration.Input | undefined
  readonly onChange?: OnChange | undefined
}): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> => {
  ModelFallback.check("Fallback.models", chain)
  const start: ModelFallback.Chain = {
    model: undefined,
    models: chain,
    refused: undefined,
    on: decided("Fallback.models", "otherModel", options?.on),
    reserve: options?.reserve === undefined ? ModelFallback.defaultReserve : Refuse.millis("reserve", options.reserve)
  }
  const change: OnChange = options?.onChange ?? (({ error, to }) => emitHere(fallback(error, to)))
  return (self) => onModels(self, start, change)
}

/** The attempts on one model after the other. Each further one is an extra attempt of its model. */
const onModels = Effect.fnUntraced(function*<A, E, R>(
  self: Effect.Effect<A, E, R>,
  start: ModelFallback.Chain,
  change: OnChange
): Effect.fn.Return<A, E, R> {
  const claude = Option.getOrUndefined(yield* Effect.serviceOption(Claude))
  let history: ReadonlyArray<Tried> | undefined
  let last: ClaudeError | undefined
  let sent: ClaudeError | undefined
  let isBroke = false
  let model: string = yield* askedModel
  let hop = 0
  // If nothing can pay for an attempt, the failure before it stands.
  const refused = Effect.suspend(() => {
    isBroke = true
    return Effect.fail(last as ClaudeError & E)
  })
  const asked = Effect.flatMap(OtherModel, (hasOther) =>
    claude === undefined || sent === undefined
      ? self
      : charged(claude, { because: sent, model, waits: !hasOther(sent) }, self, refused))
  const answered = ModelFallback.fallBack(asked, start, {
    onNext: (error, to) => {
      // A model that could not be paid for has failed with nothing of its own.
      if (!isBroke) history = History.remember(history ?? [], error, ++hop, model)
      isBroke = false
      last = error
      if (wasSent(error)) sent = error
      model = to.model
      return change({ error, to: to.model })
    },
    asked: () => undefined
  })
  return yield* Effect.mapError(answered, (error) => {
    if (!is(error) || history === undefined) return error
    return isBroke
      ? History.explain(error, "BudgetSpent", history)
      : History.explain(error, error.gaveUp ?? "NotRetried", History.remember(history, error, ++hop, model))
  })
})

// -----------------------------------------------------------------------------
// Words for a person
// -----------------------------------------------------------------------------

/** What a person can be told. */
export class Notice extends Data.TaggedClass("Notice")<{
  /** What happened, in plain words, and what to do. Never empty. */
  readonly text: string
  /** To quote to support, if a request was made and its id looks like one. */
  readonly requestId: string | undefined
  /** Whether trying again later makes sense. */
  readonly retryable: boolean
  /** How long to wait before, if the server said: longer than nothing, and not for ever. */
  readonly retryAfter: Duration.Duration | undefined
  readonly error: Tag
}> {}

/** Other words than the English ones: the whole text for an error. Where it gives none, is blank or throws, it is English. */
export type Words = (error: ClaudeError) => string | undefined

/**
 * Answers with a `Notice` when Claude cannot, and tells the log. Removes our errors from the type, or those of the kinds in
 * `on`. To answer with anything else, use `Effect.catchTag([…], …)`, or `Effect.catchIf(ClaudeError.is, …)` for all of ours.
 */
export const notice = <const Tags extends ReadonlyArray<Tag> | undefined = undefined>(options?: {
  readonly words?: Words | undefined
  /** Only these kinds: the others stay errors. Without it, all kinds. */
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
          // The list decides about the type, where the compiler does not follow.
          : Effect.fail(error as Left<E, Tags>)
    )
}

/** The notice for an error. A day that has passed at `now`, in milliseconds since the epoch, is not said. */
export const toNotice = (
  error: ClaudeError,
  options?: { readonly words?: Words | undefined; readonly now?: number | undefined }
): Notice => {
  // It is the last that can be said to a person: words of one's own that fail are no reason to say nothing.
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
 * The errors that are left when ours are answered for: all of ours, or those of the listed kinds. An application's own
 * error is left, also where its shape is that of one of ours; and so is each kind that may or may not be listed, which is
 * only known when it runs.
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

/** The kinds that are answered for, whatever happens: with one of several lists, those that are certain in each. */
type Certain<Tags> = Exclude<Tag, Tags extends ReadonlyArray<Tag> ? Exclude<Tag, Listed<Tags>> : never>

/** The kinds that a list is known to have. */
type Listed<Tags> = Tags extends readonly [infer T, ...infer Rest] ? Single<T> | Listed<Rest> : never

/** A kind, and not one of several. */
type Single<T, All = T> = T extends unknown ? [All] extends [T] ? T : never : never

/** Whether two types are one: each being assignable to the other is less, as most fields of our errors are optional. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
