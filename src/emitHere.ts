/** Events of combinators, which learn from the context to whose log they belong. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { hasProperty, isString } from "effect/Predicate"
import type { Event } from "./CallLog.ts"
import { Claude } from "./Claude.ts"
import * as Current from "./Current.ts"
import { type Common, emit, warning } from "./emit.ts"

/** Emits to the log of the `Claude` in context, if there is one. */
export const emitHere = Effect.fnUntraced(function*(event: (common: Common) => Event) {
  const claude = Context.getOrUndefined(yield* Effect.context(), Claude)
  const current = yield* Current.Call
  const model = yield* askedModel
  yield* emit({ log: claude?.log, call: current?.id, model }, event)
})

export const warnHere = (code: string, message: string): Effect.Effect<void> => emitHere(warning(code, message))

/** The model that is asked where a call names none. */
export const askedModel: Effect.Effect<string> = Effect.flatMap(
  Current.Substitute,
  (substitute) => substitute === undefined ? Current.Model : Effect.succeed(substitute)
)

/** The name of an error, where its words may quote a secret. */
export const nameOf = (error: unknown): string =>
  hasProperty(error, "_tag") && isString(error._tag) ? error._tag : error instanceof Error ? error.name : typeof error
