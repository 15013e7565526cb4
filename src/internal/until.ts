/** A limit in time, at a moment and not after a while. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Current from "../Current.ts"
import { supervised } from "./supervised.ts"

/** Ends `self` at a moment, in milliseconds since the epoch, which is the deadline of everything inside. */
export const until = <A, E, R, E2>(
  self: Effect.Effect<A, E, R>,
  deadline: number,
  exceeded: () => E2
): Effect.Effect<A, E | E2, R> =>
  Effect.withFiber((fiber) => {
    const left = deadline - fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
    if (left <= 0) return Effect.fail(exceeded())
    let over = false
    let alarm: Fiber.Fiber<void> | undefined
    return supervised(Effect.provideService(self, Current.Deadline, deadline), {
      began: (end, fork) => {
        alarm = fork(Effect.map(Effect.sleep(left), () => {
          over = true
          end()
        }))
      },
      ended: () => {
        alarm?.interruptUnsafe()
        return over ? Effect.fail(exceeded()) : undefined
      }
    })
  })
