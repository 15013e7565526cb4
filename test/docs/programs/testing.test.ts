import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Claude, Policy } from "resilient-claude"
import { FakeClaude, Faults } from "resilient-claude/testing"

it.effect("a rate-limited call waits as long as the API asks", () =>
  Effect.gen(function*() {
    const call = yield* Claude.text("Hello").pipe(Policy.apply(Policy.standard), Effect.forkChild)
    yield* TestClock.adjust("19 seconds")
    assert.isUndefined(call.pollUnsafe())
    yield* TestClock.adjust("1 minute")
    assert.strictEqual(yield* Fiber.join(call), "Hello!")
    assert.lengthOf(yield* FakeClaude.received, 2)
  }).pipe(Effect.provide(FakeClaude.layer([Faults.rateLimited("20 seconds"), Faults.answer("Hello!")]))))
