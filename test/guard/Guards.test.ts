/** All guards of a process as one record: their order, what they share, and what is refused. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, Current, Guards, Policy } from "../../src/index.ts"
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
        Policy.apply({ ...Policy.standard, overall: "2 minutes" }),
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

describe("Guards.drain", () => {
  const slow = guarded({ concurrency: { max: 1 } }, Faults.cycle(Faults.answer("a b c", { every: "2 seconds" })))

  it.effect("turns new calls away, and lets those that run or wait come to their end", () =>
    Effect.gen(function*() {
      const running = yield* Effect.forkChild(Claude.text("one"))
      const waiting = yield* Effect.forkChild(Claude.text("two"))
      yield* TestClock.adjust(0)
      const drained = yield* Effect.forkChild(Guards.drain("1 minute"))
      yield* TestClock.adjust(0)
      const late = yield* Effect.flip(Claude.text("late"))
      assert.strictEqual(late._tag, "Saturated")
      assert.include(late.message, "about to stop")
      yield* TestClock.adjust("6 seconds")
      assert.isUndefined(drained.pollUnsafe())
      yield* TestClock.adjust("50 seconds")
      assert.deepStrictEqual([yield* Fiber.join(running), yield* Fiber.join(waiting)], ["a b c", "a b c"])
      assert.isTrue(yield* Fiber.join(drained))
      assert.lengthOf(yield* FakeClaude.received, 2)
    }).pipe(Effect.provide(slow)))

  it.effect("takes no longer than its limit, and says that somebody is left", () =>
    Effect.gen(function*() {
      yield* Effect.forkChild(Claude.text("one"))
      yield* TestClock.adjust(0)
      const drained = yield* Effect.forkChild(Guards.drain("4 seconds"))
      yield* TestClock.adjust("3999 millis")
      assert.isUndefined(drained.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isFalse(yield* Fiber.join(drained))
    }).pipe(Effect.provide(slow)))

  it.effect("is over at once where nobody is", () =>
    Effect.gen(function*() {
      assert.isTrue(yield* Guards.drain("1 minute"))
    }).pipe(Effect.provide(slow)))
})

describe("queues of models", () => {
  it.effect("are forgotten when nobody has asked them for an hour and another is asked", () =>
    Effect.gen(function*() {
      const names = Effect.map(Guards.status, ({ admission }) => Object.keys(admission))
      yield* Claude.text("hi", { model: "model-a" })
      yield* TestClock.adjust("30 minutes")
      yield* Claude.text("hi", { model: "model-b" })
      yield* TestClock.adjust("30 minutes")
      yield* Claude.text("hi", { model: "model-c" })
      assert.deepStrictEqual(yield* names, ["model-b", "model-c"])
      // Who asks again has a new one.
      yield* Claude.text("hi", { model: "model-a" })
      assert.deepStrictEqual(yield* names, ["model-b", "model-c", "model-a"])
    }).pipe(Effect.provide(guarded({ concurrency: { max: 1 } }, Faults.by(() => Faults.answer("hello"))))))
})

describe("a call that finds no place in the queue", () => {
  const full = guarded(
    { concurrency: { max: 2, queue: 2 } },
    Faults.by(() => Faults.answer("hello", { every: "1 second" }))
  )
  const late = (deadline: number) => Effect.provideService(Effect.flip(Claude.text("late")), Current.Deadline, deadline)

  it.effect("is told when there will be one, later than the one before it, if it has a deadline", () =>
    Effect.gen(function*() {
      // Two at a time take as long as an answer each.
      for (let i = 0; i < 3; i++) {
        const both = yield* Effect.forkChild(Effect.all([Claude.text("a"), Claude.text("b")], { concurrency: 2 }))
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.join(both)
      }
      for (let i = 0; i < 4; i++) yield* Effect.forkChild(Claude.text(`${i}`))
      yield* TestClock.adjust(0)
      const now = yield* Clock.currentTimeMillis
      const hints = []
      for (let i = 0; i < 3; i++) {
        const error = yield* late(now + 60_000)
        assert.include(error, { _tag: "Saturated", by: "concurrency" })
        hints.push(error._tag === "Saturated" ? error.retryAfter : undefined)
      }
      const millis = hints.map((hint) => Number(hint && Duration.toMillis(hint)))
      assert.isAbove(millis[0] ?? NaN, 100)
      assert.approximately((millis[1] ?? NaN) - (millis[0] ?? NaN), millis[0] ?? NaN, 5)
      assert.approximately((millis[2] ?? NaN) - (millis[1] ?? NaN), millis[0] ?? NaN, 5)
      // One that would wait for ever is not told to come back for ever.
      assert.deepInclude(yield* late(Infinity), { _tag: "Saturated", retryAfter: undefined })
    }).pipe(Effect.provide(full)))
})
