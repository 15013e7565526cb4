/** Recovering from what seldom fails. */
import * as Effect from "effect/Effect"

/** `Effect.catch`, of which most is made only when something has failed: a call that goes well has three of them. */
export const rescue = <A, E, R, B, E2, R2>(
  self: Effect.Effect<A, E, R>,
  recover: (error: E) => Effect.Effect<B, E2, R2>
): Effect.Effect<A | B, E2, R | R2> =>
  Effect.catchCause(self, (cause) => Effect.catch(Effect.failCause(cause), recover))
