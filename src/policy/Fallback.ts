/**
 * What to do when a call has failed for good.
 *
 * To recover from one kind of failure, use `Effect.catchTag`: it removes the
 * tag from the error type, and nothing here could do it better. This module
 * has what only we can know: how to ask another model or account the same
 * thing, which errors are ours, and what to tell a person about them.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Claude } from "../Claude.ts"
import { type ClaudeError, is, type Table, type Tag, type Tagged, type Tried } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { pay } from "../internal/charged.ts"
import { fellBack } from "../internal/fellBack.ts"
import * as History from "../internal/history.ts"
import * as Ladder from "../internal/ladder.ts"
import { english, hint, type Language, retryable, sentences } from "../internal/notices.ts"
import * as Refuse from "../internal/refuse.ts"
import { anotherAccount, anotherModel } from "../internal/worth.ts"

export { type Kept, memory as memoryStore, Store } from "../internal/answerStore.ts"
export { type LastGood, lastGood, Stale } from "../internal/lastGood.ts"
export { english, type Language } from "../internal/notices.ts"

// -----------------------------------------------------------------------------
// Another model
// -----------------------------------------------------------------------------

/** Whether another model may succeed where this one failed, where nothing else is said: for a window, a larger one. */
export const isWorthAnotherModel = (error: ClaudeError): boolean => anotherModel[error._tag] !== false

/** Told before the next model is asked. */
export type OnChange = (change: { readonly error: ClaudeError; readonly to: Current.ModelId }) => Effect.Effect<void>

/**
 * Runs the same program on each model in turn, until one answers. The model stands in for whatever a call inside names,
 * and the request is made fit for it: thinking, effort, prefill, tool choice, length, the form of a value. Removes no
 * error: the last model may fail with any. The error has the history of all of them.
 *
 * Under a deadline (`Timeout.overall`, or the `overall` of a policy outside) no model takes the time of those after it.
 */
export const models = (ladder: ReadonlyArray<Current.ModelId>, options?: {
  /** For which errors, where that differs from the usual; `larger`: only models whose window is known to be larger. */
  readonly on?: Partial<Table<boolean | "larger">> | undefined
  /** What each of the models that are left keeps of the time: 10 seconds, or a fair share if that is less. */
  readonly reserve?: Duration.Input | undefined
  readonly onChange?: OnChange | undefined
}): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> => {
  const start: Ladder.Ladder = {
    model: undefined,
    models: ladder,
    refused: undefined,
    on: { ...anotherModel, ...options?.on },
    reserve: options?.reserve === undefined ? Ladder.defaultReserve : Refuse.millis("reserve", options.reserve)
  }
  const change: OnChange = options?.onChange ?? (({ error, to }) => fellBack(error, to))
  return <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.withFiber<A, E, R>((fiber) => {
      const claude = Option.getOrUndefined(Context.getOption(fiber.context, Claude))
      let history: ReadonlyArray<Tried> | undefined
      let last: ClaudeError | undefined
      let isBroke = false
      // Another model is an extra attempt. If nothing can pay for it, the failure before it stands.
      const asked = Effect.suspend(() =>
        pay(claude, last, self, (last) => {
          isBroke = true
          return Effect.fail(last as ClaudeError & E)
        })
      )
      const climbed = Ladder.climb(asked, start, (error, { model }) => {
        history = History.remember(history ?? [], error, 1, model)
        last = error
        return change({ error, to: model })
      }, () => isBroke)
      return Effect.mapError(climbed, (error) => {
        if (!is(error) || history === undefined) return error
        return isBroke
          ? History.explain(error, "BudgetSpent", history)
          : History.explain(error, error.gaveUp ?? "NotRetried", History.remember(history, error, 1, ""))
      })
    })
}

// -----------------------------------------------------------------------------
// Another account
// -----------------------------------------------------------------------------

/** Told before the next account is asked. The one outside is account 1. */
export type OnAccount = (change: { readonly error: ClaudeError; readonly to: number }) => Effect.Effect<void>

/**
 * Runs the same program with the `Claude` of each layer in turn, until one answers. Model, limits and all else that is
 * current stay. Removes no error: the last account may fail with any. The error has the history of all accounts; a
 * policy belongs inside, because outside it would take all of them for one attempt.
 *
 * A layer is built when its account is needed, and closed when that is done: what is opened inside and read outside
 * needs one that stays open. To build it once, and to keep its guards from call to call, name the same layer where the
 * program is provided: what is built there is not built again.
 *
 * ```ts
 * const Accounts = Layer.merge(Main, Layer.provide(Layer.empty, Backup))
 * ```
 */
export const accounts = <const Layers extends ReadonlyArray<Layer.Layer<Claude, unknown, unknown>>>(
  layers: Layers,
  options?: {
    /** For which errors, where that differs from the usual. */
    readonly on?: Partial<Table<boolean>> | undefined
    readonly onChange?: OnAccount | undefined
  }
): <A, E, R>(
  self: Effect.Effect<A, E, R>
) => Effect.Effect<A, E | Layer.Error<Layers[number]>, R | Layer.Services<Layers[number]>> => {
  if (!Array.isArray(layers) || !layers.every(Layer.isLayer)) {
    Refuse.refuse("Fallback.accounts: it must be given a list of layers, one for each further account")
  }
  type LE = Layer.Error<Layers[number]>
  type LR = Layer.Services<Layers[number]>
  // The compiler does not gather what the members of a list that it knows by name may fail with and need.
  const others = layers as ReadonlyArray<Layer.Layer<Claude, LE, LR>>
  const on = { ...anotherAccount, ...options?.on }
  const change: OnAccount = options?.onChange ?? (({ error, to }) => fellBack(error, `account ${to}`))

  return <A, E, R>(self: Effect.Effect<A, E, R>) => {
    type Asked = Effect.Effect<A, E | LE, R | LR>
    const ask = (account: number, history: ReadonlyArray<Tried>): Asked => {
      const layer = others[account - 2]
      // What comes next is given to the outside: what this account was built for is closed before, and was told first.
      const here = Effect.catch(
        Effect.map(self, (answer): Asked => Effect.succeed(answer)),
        (error): Effect.Effect<Asked, E> => {
          if (!is(error)) return Effect.fail(error)
          return Effect.withFiber((fiber) => {
            const model = fiber.getRef(Current.Substitute) ?? fiber.getRef(Current.Model)
            const merged = History.remember(history, error, 1, model)
            if (on[error._tag] && account <= others.length) {
              return Effect.as(change({ error, to: account + 1 }), ask(account + 1, merged))
            }
            return Effect.fail(account === 1 ? error : History.explain(error, error.gaveUp ?? "NotRetried", merged))
          })
        }
      )
      return Effect.flatten(layer === undefined ? here : Effect.provide(here, layer))
    }
    return others.length === 0 ? self : Effect.suspend(() => ask(1, []))
  }
}

// -----------------------------------------------------------------------------
// No model
// -----------------------------------------------------------------------------

/** Which errors are answered for. */
export interface For<Tags extends ReadonlyArray<Tag> | undefined> {
  /** Only these kinds: the others stay errors. All kinds, where nothing is said. */
  readonly on?: Tags | undefined
}

/** The errors that are answered for: all of ours, or those of the listed kinds. */
export type Answered<Tags> = Tags extends ReadonlyArray<infer T extends Tag> ? Tagged<T> : ClaudeError

/**
 * The errors that are left. An application's own error is, also where its shape is that of one of ours; and so are all
 * errors, where the listed kinds are only known when it runs.
 */
export type Left<E, Tags> = E extends { readonly _tag: infer T extends Certain<Tags> }
  ? Same<E, Tagged<T>> extends true ? never : E
  : E

/** Answers with `value` when Claude cannot. Removes our errors from the type, or those of some kinds. */
export const value = <const B, const Tags extends ReadonlyArray<Tag> | undefined = undefined>(
  value: B,
  options?: For<Tags>
): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | B, Left<E, Tags>, R> =>
  instead("value", options, () => Effect.succeed(value))

/** Answers with an effect when Claude cannot. Removes our errors from the type, or those of some kinds, and adds its own. */
export const effect = <B, E2, R2, const Tags extends ReadonlyArray<Tag> | undefined = undefined>(
  recover: (error: Answered<Tags>) => Effect.Effect<B, E2, R2>,
  options?: For<Tags>
): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | B, Left<E, Tags> | E2, R | R2> =>
  instead("effect", options, recover)

/** What a person can be told. */
export class Notice extends Data.TaggedClass("Notice")<{
  /** What happened, in plain words, and what to do. */
  readonly text: string
  /** To quote to support, if a request was made. */
  readonly requestId: string | undefined
  /** Whether trying again later makes sense. */
  readonly retryable: boolean
  /** How long to wait before, if the server said. */
  readonly retryAfter: Duration.Duration | undefined
  readonly error: Tag
}> {}

/** How a notice is put. */
export interface Words {
  /** In another language: in English where nothing is said. */
  readonly language?: Language | undefined
  /** Words of your own for some kinds, instead of all that is said about them. */
  readonly text?: { readonly [T in Tag]?: string | ((error: Tagged<T>) => string) | undefined } | undefined
}

/** Whether trying the same again later may help. */
export const isRetryable = (error: ClaudeError): boolean => retryable[error._tag]

/** Answers with a `Notice` when Claude cannot. Removes our errors from the type, or those of some kinds. */
export const notice = <const Tags extends ReadonlyArray<Tag> | undefined = undefined>(
  options?: For<Tags> & Words
): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | Notice, Left<E, Tags>, R> =>
  instead("notice", options, (error) => Effect.succeed(toNotice(error, options)))

/** The notice for an error. */
export const toNotice = (error: ClaudeError, options?: Words): Notice => {
  // What is under a tag takes the error of that tag.
  const own = options?.text?.[error._tag] as string | ((error: ClaudeError) => string) | undefined
  return new Notice({
    text: typeof own === "function" ? own(error) : own ?? sentences(error, options?.language ?? english),
    requestId: error.requestId,
    retryable: isRetryable(error),
    retryAfter: hint(error),
    error: error._tag
  })
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

/** The kinds that are answered for, whatever happens. */
type Certain<Tags> = Tags extends ReadonlyArray<Tag> ? number extends Tags["length"] ? never : Tags[number] : Tag

/** Whether two types are one: each being assignable to the other is less, as most fields of our errors are optional. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false

/** Recovers from our errors of some kinds, and says so. */
const instead = <B, E2, R2, Tags extends ReadonlyArray<Tag> | undefined>(
  name: string,
  options: For<Tags> | undefined,
  recover: (error: Answered<Tags>) => Effect.Effect<B, E2, R2>
) =>
<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A | B, Left<E, Tags> | E2, R | R2> =>
  Effect.catch(
    self,
    (error): Effect.Effect<B, Left<E, Tags> | E2, R2> =>
      is(error) && options?.on?.includes(error._tag) !== false
        // The list decides about both types, where the compiler does not follow.
        ? Effect.flatMap(fellBack(error, name), () => recover(error as Answered<Tags>))
        : Effect.fail(error as Left<E, Tags>)
  )
