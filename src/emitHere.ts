import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as CallContext from "./callContext.ts"
import type { CallLog, Event } from "./CallLog.ts"
import { Claude } from "./Claude.ts"
import * as Current from "./Current.ts"
import { type Common, emit, warning } from "./emit.ts"
import { callers } from "./logPlacement.ts"
import * as Runtime from "./runtime.ts"

export const logOf = (claude: Claude["Service"] | undefined): CallLog =>
  claude === undefined ? callers : Runtime.of(claude).log

/** Emits to the log of the `Claude` in context; without a `Claude`, to the log of the caller. */
export const emitHere = Effect.fnUntraced(function*(event: (common: Common) => Event) {
  const claude = Context.getOrUndefined(yield* Effect.context(), Claude)
  const current = yield* CallContext.Call
  const model = yield* askedModel
  yield* emit({ log: logOf(claude), call: current?.id, model }, event)
})

export const warnHere = (code: string, message: string): Effect.Effect<void> => emitHere(warning(code, message))

/** The model of a call that does not name one: the fallback model, or else `Current.Model`. */
export const askedModel: Effect.Effect<string> = Effect.flatMap(
  CallContext.Substitute,
  (substitute) => substitute === undefined ? Current.Model : Effect.succeed(substitute)
)
