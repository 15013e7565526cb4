/** Captures the loggers in context, for messages that are logged later from another context. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Logger from "effect/Logger"

/** Effect's default loggers, which are in context if the application has provided none. */
const usual = Context.get(Context.empty(), Logger.CurrentLoggers)

/**
 * A function that runs an effect with the loggers in this context. If the application provided none here, the effect
 * keeps its own loggers.
 */
export const ofThisPlace: Effect.Effect<<A>(self: Effect.Effect<A>) => Effect.Effect<A>> = Effect.map(
  Logger.CurrentLoggers,
  (loggers) => loggers === usual ? identity : Effect.provideService(Logger.CurrentLoggers, loggers)
)
