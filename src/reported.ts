/** Runs the sinks and alerts of users, whose defects fail no call. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** Runs a sink, and reports its defect to the `Logger`. `what` names the sink there. */
export const reported = (what: string, run: () => Effect.Effect<void>): Effect.Effect<void> =>
  Effect.catchCause(Effect.suspend(run), (cause) =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.failCause(cause)
      : Effect.logWarning(`resilient-claude: ${what} failed`, cause))
