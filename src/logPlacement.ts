/**
 * Where the events of one `Claude` go: to the log provided to its layer; without such a log, to the log in the context
 * where the event occurs; without either, to the `Logger`.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { CallLog } from "./CallLog.ts"
import * as Loggers from "./loggers.ts"
import { reported } from "./reported.ts"

// The default log. If the log in context is another object, the application has provided it.
const logger = Context.get(Context.empty(), CallLog)

/** Emits to the log in the context where the event occurs. The default log needs no `reported`: it uses that itself. */
export const callers: CallLog = {
  emit: (event) =>
    Effect.contextWith((context: Context.Context<never>) => {
      const log = Context.get(context, CallLog)
      return log === logger ? log.emit(event) : reported("a log sink", () => log.emit(event))
    })
}

/** The log of the `Claude` whose layer is being built, with the loggers provided to that layer, if any. */
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

/** Emits in `context`, because an answer may be read in another context than its call. */
export const bind = (log: CallLog, context: Context.Context<never>): CallLog => ({
  emit: (event) => Effect.setContext(log.emit(event), context)
})
