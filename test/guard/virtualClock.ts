/**
 * A clock that jumps to the next timer as soon as every fiber sleeps: hours of thousands of calls in seconds.
 *
 * `TestClock` gives each timer some turns of the event loop. Here fibers run on a scheduler of our own, so that "everybody
 * sleeps" is an empty list and no guess, and nothing that happens depends on the machine.
 */
import { Clock, Duration, Effect, Scheduler } from "effect"

interface Timer {
  readonly at: number
  /** Timers of the same time go off in the order in which they were set. */
  readonly id: number
  fire: (() => void) | undefined
}

const isBefore = (a: Timer, b: Timer) => a.at < b.at || a.at === b.at && a.id < b.id

/** A binary heap: the next timer is the first. */
class Timers {
  readonly heap: Array<Timer> = []

  add(timer: Timer): void {
    const { heap } = this
    let at = heap.length
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = heap[above]
      if (parent === undefined || !isBefore(timer, parent)) break
      heap[at] = parent
      at = above
    }
    heap[at] = timer
  }

  next(): Timer | undefined {
    const { heap } = this
    const first = heap[0]
    const last = heap.pop()
    if (first === last || last === undefined) return first
    let at = 0
    for (;;) {
      const left = heap[2 * at + 1]
      const right = heap[2 * at + 2]
      if (left === undefined) break
      const isRight = right !== undefined && isBefore(right, left)
      const child = isRight ? right : left
      if (!isBefore(child, last)) break
      heap[at] = child
      at = 2 * at + (isRight ? 2 : 1)
    }
    heap[at] = last
    return first
  }
}

/** Runs all of it at once, in virtual time from 0 on. It may wait for nothing but time and other fibers. */
export const run = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.suspend(() => {
    const timers = new Timers()
    const ready: Array<() => void> = []
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
          const timer: Timer = { at: now + Duration.toMillis(duration), id: id++, fire: () => resume(Effect.void) }
          timers.add(timer)
          return Effect.sync(() => {
            timer.fire = undefined
          })
        })
    }
    const scheduler = new Scheduler.MixedScheduler("async", (task) => {
      ready.push(task)
      return () => {}
    })

    const { stackTraceLimit } = Error
    // Nobody reads the stacks of thousands of errors, and they cost more than all else.
    Error.stackTraceLimit = 0
    try {
      const fiber = Effect.runFork(Effect.provideService(self, Clock.Clock, clock), { scheduler })
      for (;;) {
        for (let task = ready.shift(); task !== undefined; task = ready.shift()) task()
        const exit = fiber.pollUnsafe()
        if (exit !== undefined) return exit
        const timer = timers.next()
        if (timer === undefined) throw new Error("everybody waits, and nobody for the time")
        // One that was cancelled moves nothing.
        if (timer.fire === undefined) continue
        now = timer.at
        timer.fire()
      }
    } finally {
      Error.stackTraceLimit = stackTraceLimit
    }
  })
