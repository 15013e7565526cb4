/**
 * Testing a program: swap the layer below it for a script, and move the clock. Half an hour of incident takes a
 * millisecond, and comes out the same every time.
 */
import { Console, Effect, Fiber, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import { FakeClaude, Faults } from "resilient-claude/testing"
import { program as summarize, Summaries } from "./06-your-own-service.ts"

// Two calls at once: one is told to come back in 20 seconds, one finds the API overloaded. Then both are answered.
const incident = FakeClaude.layer(Faults.untilLast(
  Faults.rateLimited("20 seconds"),
  Faults.overloaded,
  Faults.answer("It says so.", { every: "100 millis" })
))

export const program = Effect.gen(function*() {
  const running = yield* Effect.forkChild(summarize)

  yield* TestClock.adjust("10 seconds")
  const early = running.pollUnsafe() === undefined // Nobody may come back sooner than told.

  yield* TestClock.adjust("20 seconds")
  const summaries = yield* Fiber.join(running)
  const requests = yield* FakeClaude.received
  yield* Console.log(`waited as told: ${early}, requests: ${requests.length}, summaries: ${summaries.length}`)
  return { early, summaries, requests }
}).pipe(
  Effect.provide(Summaries.layer.pipe(Layer.provideMerge(incident), Layer.provideMerge(TestClock.layer()))),
  Random.withSeed("incident")
)

if (import.meta.main) await Effect.runPromise(Effect.scoped(program))
