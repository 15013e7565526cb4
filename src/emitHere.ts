/** Events of combinators, which learn from the context to whose log they belong, and what is known of the models. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { hasProperty, isString } from "effect/Predicate"
import * as CallContext from "./callContext.ts"
import type { CallLog, Event } from "./CallLog.ts"
import { Claude } from "./Claude.ts"
import * as Current from "./Current.ts"
import { type Common, emit, warning } from "./emit.ts"
import { callers } from "./logPlacement.ts"
import type { Models } from "./models/catalogue.ts"
import { Initial } from "./models/initial.ts"
import * as Runtime from "./runtime.ts"

/** The log of a `Claude`; without one, that of the caller. */
export const logOf = (claude: Claude["Service"] | undefined): CallLog =>
  claude === undefined ? callers : Runtime.of(claude).log

/** What the `Claude` in a context knows of the models; without one, what is known. */
export const modelsIn = (context: Context.Context<never>): Models => {
  const claude = Context.getOrUndefined(context, Claude)
  return claude === undefined ? Context.get(context, Initial) : Runtime.of(claude).catalogue.models
}

/** Emits to the log of the `Claude` in context; without one, to that of the caller. */
export const emitHere = Effect.fnUntraced(function*(event: (common: Common) => Event) {
  const claude = Context.getOrUndefined(yield* Effect.context(), Claude)
  const current = yield* CallContext.Call
  const model = yield* askedModel
  yield* emit({ log: logOf(claude), call: current?.id, model }, event)
})

export const warnHere = (code: string, message: string): Effect.Effect<void> => emitHere(warning(code, message))

/** The model that is asked where a call names none. */
export const askedModel: Effect.Effect<string> = Effect.flatMap(
  CallContext.Substitute,
  (substitute) => substitute === undefined ? Current.Model : Effect.succeed(substitute)
)

/** The name of an error, where its words may quote a secret. */
export const nameOf = (error: unknown): string =>
  hasProperty(error, "_tag") && isString(error._tag) ? error._tag : error instanceof Error ? error.name : typeof error
