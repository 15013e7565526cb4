/** The loggers of a place, for what is told from elsewhere. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Logger from "effect/Logger"

/** What a place has in which nobody has provided any. */
const usual = Context.get(Context.empty(), Logger.CurrentLoggers)

/** Gives whatever runs the loggers of this place, if some were provided here: else it keeps those that it has. */
export const ofThisPlace: Effect.Effect<<A>(self: Effect.Effect<A>) => Effect.Effect<A>> = Effect.map(
  Logger.CurrentLoggers,
  (loggers) => loggers === usual ? identity : Effect.provideService(Logger.CurrentLoggers, loggers)
)
