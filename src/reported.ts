/** Runs the log sinks and alerts of the application, so that their defects do not fail a call. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** Runs a sink and reports a failure to the `Logger`, where `what` names the sink. */
export const reported = (what: string, run: () => Effect.Effect<void>): Effect.Effect<void> =>
  Effect.catchCause(Effect.suspend(run), (cause) =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.failCause(cause)
      : Effect.logWarning(`resilient-claude: ${what} failed, but calls go on`, cause))
