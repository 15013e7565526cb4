import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** Runs a log sink or an alert of the application. If it fails, the `Logger` gets a warning and the call goes on. */
export const reported = (what: string, run: () => Effect.Effect<void>): Effect.Effect<void> =>
  Effect.catchCause(Effect.suspend(run), (cause) =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.failCause(cause)
      : Effect.logWarning(`resilient-claude: ${what} failed, but calls go on`, cause))
