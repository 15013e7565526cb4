/** Sinks of users, which may die. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** Runs a sink. What it dies of is reported to the `Logger`, and fails nothing. */
export const reported = (what: string, run: () => Effect.Effect<void>): Effect.Effect<void> =>
  Effect.catchCause(Effect.suspend(run), (cause) =>
    Cause.hasInterruptsOnly(cause)
      ? Effect.failCause(cause)
      : Effect.logWarning(`resilient-claude: ${what} failed`, cause))
