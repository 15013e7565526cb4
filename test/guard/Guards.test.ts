/** All guards of a process as one record: their order, what they share, and what is refused. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, Guards, Policy, Retry } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

/** A guarded fake, and the log of it. */
const guarded = (guards: Guards.Guards, playable: Faults.Playable) =>
  FakeClaude.layer(playable).pipe(Guards.apply(guards), Layer.provideMerge(CallLog.layerMemory))

describe("Guards.apply", () => {
  it.effect("lets a call through, and gives everything back", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Claude.text("hi").pipe(Policy.apply(Policy.standard)), "hello")
      const status = yield* Guards.status
      assert.deepStrictEqual(status.admission["sonnet"]?.running, 0)
      assert.deepStrictEqual(status.budget, {})
      assert.deepStrictEqual(status.successRate, { rate: 1, calls: 1, failures: 0, causes: [], low: false })
      assert.deepStrictEqual(status.circuits["claude-sonnet-5-5"], {
        state: "closed",
        calls: 1,
        failures: 0,
        retryAfter: undefined,
        why: undefined,
        waiting: 0
      })
      assert.lengthOf(yield* FakeClaude.received, 1)
    }).pipe(
      Effect.provide(guarded({ concurrency: { max: 2 }, quota: { requests: 60, inputTokens: 30_000 }, circuit: {} }, [
        Faults.answer("hello")
      ]))
    ))

  it.effect("opens the circuit after twenty failures, sends nothing, and closes it with a probe", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 20; i++) yield* Effect.flip(Claude.text("hi"))
      const error = yield* Effect.flip(Claude.text("hi"))
      assert.strictEqual(error._tag, "CircuitOpen")
      assert.lengthOf(yield* FakeClaude.received, 20)
      const call = yield* Claude.text("hi").pipe(
        Policy.apply({ retry: Retry.standard, overall: "2 minutes" }),
        Effect.forkChild
      )
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual(yield* Fiber.join(call), "well")
      const status = yield* Guards.status
      assert.strictEqual(status.circuits["claude-sonnet-5-5"]?.state, "closed")
    }).pipe(
      Effect.provide(
        guarded({ circuit: {} }, Faults.by(({ index }) => index < 20 ? Faults.overloaded : Faults.answer("well")))
      )
    ))

  it.effect("turns nobody away who waits after a recovery, where neither a number nor a wait was named", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 20; i++) yield* Effect.flip(Claude.text("hi"))
      yield* TestClock.adjust("30 seconds")
      const probe = yield* Effect.forkChild(Claude.text("hi"))
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* Fiber.join(probe), "a b c d e f g h")
      const calls = yield* Effect.forEach(Array.from({ length: 30 }), () => Effect.forkChild(Claude.text("hi")))
      yield* TestClock.adjust("10 minutes")
      for (const call of calls) assert.strictEqual(yield* Fiber.join(call), "a b c d e f g h")
    }).pipe(
      Effect.provide(
        guarded(
          { circuit: {} },
          // Each answer takes more than a minute.
          Faults.by(({ index }) =>
            index < 20 ? Faults.overloaded : Faults.answer("a b c d e f g h", { every: "7 seconds" })
          )
        )
      )
    ))
})
