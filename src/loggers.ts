import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Logger from "effect/Logger"

/** Effect's default loggers: in context if the application has provided no loggers. */
const usual = Context.get(Context.empty(), Logger.CurrentLoggers)

/**
 * Captures the loggers in this context, to run effects with them later in another context. If the application has
 * provided no loggers in this context, those effects use the loggers of their own context.
 */
export const ofThisPlace: Effect.Effect<<A>(self: Effect.Effect<A>) => Effect.Effect<A>> = Effect.map(
  Logger.CurrentLoggers,
  (loggers) => loggers === usual ? identity : Effect.provideService(Logger.CurrentLoggers, loggers)
)
