/** A clock that is set back, as by NTP or a resumed virtual machine. Sleeping fibers still wake on time. */
import { Clock, Effect } from "effect"

/** Runs `self` on the test clock, and passes it a function that sets the clock back by milliseconds. */
export const steppedBack = <A, E, R>(self: (by: (millis: number) => Effect.Effect<void>) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(Clock.Clock, (clock) => {
    let behind = 0
    const now = () => clock.currentTimeMillisUnsafe() - behind
    // Inherits everything else, also `adjust` of the test clock.
    const stepped: Clock.Clock = Object.create(clock, {
      currentTimeMillisUnsafe: { value: now },
      currentTimeMillis: { value: Effect.sync(now) }
    })
    return Effect.provideService(self((millis) => Effect.sync(() => void (behind += millis))), Clock.Clock, stepped)
  })
