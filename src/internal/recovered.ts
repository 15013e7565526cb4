/** Recovering from what seldom fails. */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"

/** The second half of `Effect.catch`, for `Effect.catchCause`: made only when something has failed, as few calls have. */
export const recovered = <E, A, E2, R>(
  cause: Cause.Cause<E>,
  recover: (error: E) => Effect.Effect<A, E2, R>
): Effect.Effect<A, E2, R> => Effect.catch(Effect.failCause(cause), recover)
