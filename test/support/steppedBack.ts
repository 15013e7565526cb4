/** A clock that is set back, as by NTP or a virtual machine that goes on: what sleeps, sleeps as long as ever. */
import { Clock, Effect } from "effect"

/** Runs `self` on the clock of the test, and gives it how to set that back, in milliseconds. */
export const steppedBack = <A, E, R>(self: (by: (millis: number) => Effect.Effect<void>) => Effect.Effect<A, E, R>) =>
  Effect.flatMap(Clock.Clock, (clock) => {
    let behind = 0
    const now = () => clock.currentTimeMillisUnsafe() - behind
    // All else is inherited, `adjust` of the test clock too.
    const stepped: Clock.Clock = Object.create(clock, {
      currentTimeMillisUnsafe: { value: now },
      currentTimeMillis: { value: Effect.sync(now) }
    })
    return Effect.provideService(self((millis) => Effect.sync(() => void (behind += millis))), Clock.Clock, stepped)
  })
