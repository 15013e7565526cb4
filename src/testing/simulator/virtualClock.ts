/**
 * A clock that jumps to the next timer as soon as every fiber sleeps: hours with thousands of calls run in seconds.
 *
 * `TestClock` waits for some turns of the event loop before each timer. This clock has its own scheduler instead: an empty
 * queue proves that all fibers sleep, so the result does not depend on the speed of the machine.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Scheduler from "effect/Scheduler"
import { type Timer, Timers } from "./timers.ts"

export type Run = <A, E>(self: Effect.Effect<A, E>) => Effect.Effect<A, E>

/**
 * Runs an effect synchronously, in virtual time from 0 on. The effect may wait only for time and for other fibers:
 * waiting for a promise, a socket or a `Deferred` that no fiber completes is a defect.
 */
export const run: Run = (self) =>
  Effect.suspend(() => {
    const { stackTraceLimit } = Error
    // Capturing the stacks of thousands of errors would take longer than everything else in a run.
    Error.stackTraceLimit = 0
    return Effect.ensuring(
      Effect.suspend(() => drive(self)),
      Effect.sync(() => {
        Error.stackTraceLimit = stackTraceLimit
      })
    )
  })

const drive = <A, E>(self: Effect.Effect<A, E>): Exit.Exit<A, E> => {
  const timers = new Timers()
  let ready: Array<() => void> = []
  let now = 0
  let id = 0
  const millis = () => now
  const nanos = () => BigInt(Math.round(now * 1e6))
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: nanos,
    monotonicTimeNanos: Effect.sync(nanos),
    sleep: (duration) =>
      Effect.callback((resume) => {
        // Whole milliseconds, so that floating-point errors cannot change the order of events.
        const at = now + Math.ceil(Duration.toMillis(duration))
        const timer: Timer = { at, id: id++, fire: () => resume(Effect.void) }
        timers.add(timer)
        return Effect.sync(() => {
          timer.fire = undefined
        })
      })
  }
  const scheduler = new Scheduler.MixedScheduler(undefined, (task) => {
    ready.push(task)
    return () => {}
  })
  const fiber = Effect.runFork(Effect.provideService(self, Clock.Clock, clock), { scheduler })
  for (;;) {
    while (ready.length > 0) {
      const tasks = ready
      ready = []
      for (const task of tasks) task()
    }
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) return exit
    const timer = timers.next()
    if (timer === undefined || timer.at === Infinity) throw new Error(stuck(now))
    // A cancelled timer does not advance the time.
    if (timer.fire === undefined) continue
    now = timer.at
    timer.fire()
  }
}

const stuck = (now: number) =>
  `Virtual time stops at ${now} ms: no timer is left, and every fiber waits for something else (a promise, a socket, or `
  + "a Deferred that no fiber completes). Replace that wait with an effect that uses Effect.sleep."
