/**
 * Tests a program: a script replaces Claude, and the test moves the clock. Half a minute of incident takes a few
 * milliseconds, and gives the same result every time.
 */
import { Console, Effect, Fiber, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import { FakeClaude, Faults } from "resilient-claude/testing"
import { program as summarize, Summaries } from "./06-your-own-service.ts"

// Of two parallel calls, one gets a 429 with `retry-after: 20`, the other a 529. Then both are answered.
const incident = FakeClaude.layer(Faults.untilLast(
  Faults.rateLimited("20 seconds"),
  Faults.overloaded,
  Faults.answer("It says so.", { every: "100 millis" })
))

export const program = Effect.gen(function*() {
  const running = yield* Effect.forkChild(summarize)

  yield* TestClock.adjust("10 seconds")
  const early = running.pollUnsafe() === undefined // No retry may come before `retry-after`.

  yield* TestClock.adjust("20 seconds")
  const summaries = yield* Fiber.join(running)
  const requests = yield* FakeClaude.received
  yield* Console.log(`waited for retry-after: ${early}, requests: ${requests.length}, summaries: ${summaries.length}`)
  return { early, summaries, requests }
}).pipe(
  Effect.provide(Summaries.layer.pipe(Layer.provideMerge(incident), Layer.provideMerge(TestClock.layer()))),
  Random.withSeed("incident")
)

if (import.meta.main) await Effect.runPromise(Effect.scoped(program))
