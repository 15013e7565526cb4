/**
 * Where the events of one `Claude` go: to the log that was provided to its layer; where there was none, to the log in the
 * context of whoever causes the event; where there is none either, to the `Logger`. So nothing is silent by accident.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { CallLog } from "./CallLog.ts"
import * as Loggers from "./loggers.ts"
import { reported } from "./reported.ts"

// The default: a log that is another one was provided by somebody.
const logger = Context.get(Context.empty(), CallLog)

/** The log in the context of whoever causes the event. The `Logger` reports its own failures. */
export const callers: CallLog = {
  emit: (event) =>
    Effect.contextWith((context: Context.Context<never>) => {
      const log = Context.get(context, CallLog)
      return log === logger ? log.emit(event) : reported("a log sink", () => log.emit(event))
    })
}

/** The log of the `Claude` whose layer is built here. The loggers of this place belong to it, if some were provided. */
export const capture: Effect.Effect<CallLog> = Effect.zipWith(
  CallLog,
  Loggers.ofThisPlace,
  (log, here): CallLog =>
    log !== logger
      ? { emit: (event) => here(reported("a log sink", () => log.emit(event))) }
      : {
        emit: (event) =>
          Effect.contextWith((context: Context.Context<never>) =>
            Context.get(context, CallLog) === logger ? here(logger.emit(event)) : callers.emit(event)
          )
      }
)

/** A log that tells its events in this context, wherever they are caused: of an answer that is read elsewhere. */
export const bind = (log: CallLog, context: Context.Context<never>): CallLog => ({
  emit: (event) => Effect.setContext(log.emit(event), context)
})
