/**
 * A chain of fallback models: which model is asked next, and how long each may take.
 *
 * Under a deadline, each model except the last has an earlier deadline, so that a
 * model that hangs leaves time for the next models.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { isString } from "effect/Predicate"
import * as Result from "effect/Result"
import * as CallContext from "../callContext.ts"
import { Claude } from "../Claude.ts"
import { type ClaudeError, DeadlineExceeded, is, type Table } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import type { Models } from "../models/catalogue.ts"
import { Initial } from "../models/initial.ts"
import * as Refuse from "../options.ts"
import { WithoutThinking } from "../request/build.ts"
import { isSignatureError } from "../request/otherThinking.ts"
import * as Runtime from "../runtime.ts"
import { until } from "./deadline.ts"
import { type Decision, decisive } from "./decisions.ts"
import { OtherModel } from "./otherModel.ts"

export interface Chain {
  /** The fallback model that is being asked; `undefined` while the model of the request is being asked. */
  readonly model: Current.ModelId | undefined
  /** The remaining models. */
  readonly models: ReadonlyArray<Current.ModelId>
  /** The remaining models to ask after a refusal, if they differ from `models`. */
  readonly refused: ReadonlyArray<Current.ModelId> | undefined
  /** Which errors lead to another model, or only to a model with a larger context window. */
  readonly on: Table<Decision["otherModel"]>
  /** The time reserved for each remaining model, in milliseconds. */
  readonly reserve: number
}

/** Throws a `RangeError` unless `models` is a list of distinct names that are not blank. */
export const check = (where: string, models: unknown): void => {
  if (!Array.isArray(models)) {
    return Refuse.refuse(`${where} is ${Refuse.shown(models)}: it must be a list of models, like ["claude-sonnet-5-5"]`)
  }
  const slip = models.findIndex((model) => !isString(model) || model.trim() === "")
  if (slip >= 0) {
    Refuse.refuse(`${where} has ${Refuse.shown(models[slip])}, which is not the name of a model: name one or remove it`)
  }
  if (new Set(models).size < models.length) {
    Refuse.refuse(
      `${where} names a model twice (${models.join(", ")}): name each once, and use retry to ask one again`
    )
  }
}

/** The default time reserved for each remaining model, in milliseconds: enough for a short answer. */
export const defaultReserve = 10_000

/** The callbacks of the code that runs a chain. */
export interface Caller {
  readonly onNext: (error: ClaudeError, to: To) => Effect.Effect<void>
  /** The error to report if no further model is asked. `isDrained`: another would be, but the process is about to stop. */
  readonly onEnd: (error: ClaudeError, isDrained: boolean) => ClaudeError
  /** The name of the model in the last request, if known. `error.model` is less exact: it may have a date after the name. */
  readonly asked: () => string | undefined
}

export type To = Chain & { readonly model: Current.ModelId }

/** Runs `self` on each model in turn, until a model answers or no further model may help. */
export const fallBack = Effect.fnUntraced(function*<A, E, R>(
  self: Effect.Effect<A, E, R>,
  first: Chain,
  caller: Caller
): Effect.fn.Return<A, E, R> {
  const deadline = yield* Current.Deadline
  const context = yield* Effect.context<never>()
  const claude = Context.getOrUndefined(context, Claude)
  // Without a `Claude` in context, the models of `Models.layer` or, without this layer, `Models.known`.
  const models = claude === undefined ? Context.get(context, Initial) : Runtime.of(claude).catalogue.models
  const hasOther = yield* OtherModel
  let chain = first
  while (true) {
    const current = chain
    const { model } = current
    const start = yield* Clock.currentTimeMillis
    const share = shareOf(current, deadline, start)
    const asked = withoutRefusedThinking(
      model === undefined ? self : Effect.provideService(self, CallContext.Substitute, model),
      claude
    ).pipe(Effect.provideService(
      OtherModel,
      (error) => hasOther(error) || next(current, error, caller.asked(), models) !== undefined
    ))
    const timed = share === Infinity
      ? asked
      : until(asked, start + share, () => timeIsOver(share, model ?? caller.asked()))
    const result = yield* Effect.result(timed)
    if (Result.isSuccess(result)) return result.success
    const error = result.failure
    if (!is(error)) return yield* Effect.fail(error as E)
    // The clock tells whether the share is used up. The error does not, because an inner limit that ends at the same time
    // may fail first, with the same kind of error.
    const isOver = error._tag === "DeadlineExceeded" && (yield* Clock.currentTimeMillis) >= start + share
    const to = isOver ? nextOf(current, caller.asked()) : next(current, error, caller.asked(), models)
    // Safe cast: the error comes from `self`, or is a `DeadlineExceeded`, which the time limit adds to the error type.
    const isDrained = to !== undefined && Runtime.isDraining(claude)
    if (to === undefined || isDrained) return yield* Effect.fail(caller.onEnd(error, isDrained) as E & ClaudeError)
    yield* caller.onNext(error, to)
    chain = to
  }
})

/** Returns the chain at the next model that may succeed after this error; `undefined` if there is none. */
export const next = (
  chain: Chain,
  error: ClaudeError,
  known: string | undefined,
  models: Models
): To | undefined => {
  const asked = chain.model ?? known ?? error.model
  const others = withoutAsked(chain, asked)
  if (error._tag === "Refused" && others.refused !== undefined) {
    const models = [...new Set([...others.refused, ...others.models])]
    return nextIn({ ...others, models }, others.refused[0])
  }
  const isSubstitute = chain.model !== undefined
  const helps = chain.on[decisive(error)]
  if (helps === "substitute" && !isSubstitute) return undefined
  if (helps !== "larger") return helps ? nextIn(others, others.models[0]) : undefined
  const window = (id: string | undefined) => (models.get(id ?? "") ?? models.get(undated(id ?? "")))?.contextWindow
  // If the window of the failed model or of a remaining model is unknown, the remaining model is asked only if the failed
  // model is a fallback: a fallback may have a smaller window than the first model, so the prompt may fit the remaining one.
  const [smallest, unknown] = isSubstitute ? [0, Infinity] : [Infinity, 0]
  const exceeded = window(asked) ?? smallest
  const larger = others.models.filter((model) => (window(model) ?? unknown) > exceeded)
  return nextIn({ ...others, models: larger }, larger[0])
}

/** Returns the chain at the model to ask after one that used up its time; `undefined` if no model is left. */
const nextOf = (chain: Chain, known: string | undefined): To | undefined => {
  const others = withoutAsked(chain, chain.model ?? known)
  return nextIn(others, others.models[0])
}

/**
 * Removes the model that failed. If the call asks no model (`noModel`), such as `Models.refresh`, removes all models,
 * because a fallback model cannot help.
 */
const withoutAsked = (chain: Chain, asked: string | undefined): Chain =>
  asked === CallContext.noModel ? { ...chain, models: [], refused: undefined } : {
    ...chain,
    models: without(chain.models, asked),
    refused: without(chain.refused, asked)
  }

/** The API may append a date to the name of a model. */
const undated = (id: string): string => id.replace(/-\d{8}$/, "")

const nextIn = (chain: Chain, model: Current.ModelId | undefined): To | undefined =>
  model === undefined
    ? undefined
    : { ...chain, model, models: without(chain.models, model), refused: without(chain.refused, model) }

const without = <Models extends ReadonlyArray<string> | undefined>(models: Models, model: string | undefined) =>
  models?.filter((other) => other !== model) as Models

/** If a model rejects the thinking blocks of another model, runs `self` once more without these blocks. */
const withoutRefusedThinking = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  claude: Claude["Service"] | undefined
): Effect.Effect<A, E, R> =>
  Effect.catch(self, (error) =>
    is(error) && isSignatureError(error) && !Runtime.isDraining(claude)
      ? Effect.provideService(self, WithoutThinking, true)
      : Effect.fail(error))

/**
 * How long a model may take, in milliseconds: the time left without the reserves, but at least an equal part of the time
 * left. `Infinity` for the last model, and without a deadline.
 */
export const shareOf = (
  { models, reserve }: Pick<Chain, "models" | "reserve">,
  deadline: number,
  now: number
): number => {
  const left = deadline - now
  return models.length === 0 || left === Infinity
    ? Infinity
    : left - Math.min(reserve * models.length, left * models.length / (models.length + 1))
}

const timeIsOver = (share: number, asked: string | undefined): DeadlineExceeded => {
  const model = asked === CallContext.noModel ? undefined : asked
  return new DeadlineExceeded({
    model,
    limit: Duration.millis(share),
    detail: `this was the share of ${model ?? "the model"}; the rest of the time is reserved for the other models`
  })
}
