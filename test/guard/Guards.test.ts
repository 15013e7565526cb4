/** All guards of a process as one record: their order, their shared state, and their errors. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Layer, Result, Schema } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, Current, Guards, Policy, Retry } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

/** A guarded fake, with its log. */
const guarded = (guards: Guards.Guards, playable: Faults.Playable) =>
  FakeClaude.layer(playable).pipe(Guards.apply(guards), Layer.provideMerge(CallLog.layerMemory))

describe("Guards.apply", () => {
  it.effect("sends a call once, and Guards.status then shows one successful call and no running call", () =>
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

  it.effect("opens the circuit after twenty failed calls, does not send the next call, and closes the circuit when a probe is answered", () =>
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

  it.effect("rejects none of 30 calls that wait after the circuit closes, if `concurrency` is not set and the calls have no deadline", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 20; i++) yield* Effect.flip(Claude.text("hi"))
      yield* TestClock.adjust("30 seconds")
      const probe = yield* Effect.forkChild(Claude.text("hi"))
      yield* TestClock.adjust("20 seconds")
      const calls = yield* Effect.forEach(Array.from({ length: 30 }), () => Effect.forkChild(Claude.text("hi")))
      yield* TestClock.adjust(0)
      assert.deepInclude((yield* Guards.status).circuits["claude-sonnet-5-5"], { state: "closed", waiting: 29 })
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* Fiber.join(probe), "a b c d e f g h")
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

describe("a malformed answer", () => {
  const ask = Claude.object(Schema.Struct({ total: Schema.Int }), "hi")
  const malformed = Faults.value({ total: "many" }, { inputTokens: 1000, outputTokens: 10 })

  it.effect("is a success for the circuit, and a failed call for the success rate", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 25; i++) assert.strictEqual((yield* Effect.flip(ask))._tag, "MalformedOutput")
      const { circuits, successRate } = yield* Guards.status
      assert.deepInclude({ ...circuits["claude-sonnet-5-5"] }, { state: "closed", calls: 25, failures: 0 })
      assert.deepInclude({ ...successRate }, { calls: 25, failures: 25 })
    }).pipe(Effect.provide(guarded({ circuit: {} }, Faults.by(() => malformed)))))

  it.effect("closes the circuit if it is the answer to the probe", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 20; i++) yield* Effect.flip(ask)
      assert.strictEqual((yield* Effect.flip(ask))._tag, "CircuitOpen")
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual((yield* Effect.flip(ask))._tag, "MalformedOutput")
      assert.strictEqual((yield* Guards.status).circuits["claude-sonnet-5-5"]?.state, "closed")
    }).pipe(
      Effect.provide(guarded({ circuit: {} }, Faults.by(({ index }) => index < 20 ? Faults.overloaded : malformed)))
    ))

  it.effect("uses as much quota as a valid answer, and its call no longer counts as running", () =>
    Effect.gen(function*() {
      const valid = Faults.value({ total: 1 }, { inputTokens: 1000, outputTokens: 10 })
      const [first, second] = yield* Effect.forEach([malformed, valid], (turn) =>
        Effect.gen(function*() {
          yield* Effect.exit(ask)
          return (yield* Guards.status).admission["sonnet"]
        }).pipe(Effect.provide(guarded({ concurrency: { max: 2 }, quota: { inputTokens: 30_000 } }, [turn]))))
      assert.strictEqual(first?.running, 0)
      assert.isBelow(first?.quota?.["input"]?.remaining ?? NaN, 30_000)
      assert.deepStrictEqual(first, second)
    }))

  it.effect("to a correction that `reask` sent costs one credit of the retry budget", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Policy.apply({ reask: 1, retry: Retry.standard, overall: "1 minute" })(ask))
      assert.strictEqual(error._tag, "MalformedOutput")
      assert.lengthOf(yield* FakeClaude.received, 2)
      assert.strictEqual((yield* Guards.status).budget?.["claude-sonnet-5-5"]?.remaining, 9)
    }).pipe(Effect.provide(guarded({}, [malformed, malformed]))))
})

describe("a call that the slow start after a 429 holds for too long", () => {
  it.effect("fails with by=ramp, not with by=pause", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 2; i++) yield* Effect.flip(Claude.text("hi"))
      const call = Claude.text("hi").pipe(Policy.apply({ overall: "3 seconds" }))
      const calls = yield* Effect.forkChild(
        Effect.forEach(Array.from({ length: 20 }), () => Effect.result(call), { concurrency: "unbounded" })
      )
      yield* TestClock.adjust("10 seconds")
      const failures = (yield* Fiber.join(calls)).flatMap((result) => Result.isFailure(result) ? [result.failure] : [])
      assert.isNotEmpty(failures)
      for (const error of failures) assert.include(error, { _tag: "Saturated", by: "ramp" })
    }).pipe(Effect.provide(guarded(
      { circuit: {} },
      Faults.by(({ index }) => index < 2 ? Faults.rateLimited(undefined, { ramp: true }) : Faults.answer("ok"))
    ))))
})

describe("Guards.drain", () => {
  const slow = guarded({ concurrency: { max: 1 } }, Faults.cycle(Faults.answer("a b c", { every: "2 seconds" })))

  it.effect("rejects new calls, and lets running and waiting calls finish", () =>
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

  it.effect("returns false when its time limit ends while a call is still running", () =>
    Effect.gen(function*() {
      yield* Effect.forkChild(Claude.text("one"))
      yield* TestClock.adjust(0)
      const drained = yield* Effect.forkChild(Guards.drain("4 seconds"))
      yield* TestClock.adjust("3999 millis")
      assert.isUndefined(drained.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isFalse(yield* Fiber.join(drained))
    }).pipe(Effect.provide(slow)))

  it.effect("returns at once if no call runs or waits", () =>
    Effect.gen(function*() {
      assert.isTrue(yield* Guards.drain("1 minute"))
    }).pipe(Effect.provide(slow)))
})

describe("an idle queue", () => {
  it.effect("is dropped after an hour, when the queue of another class is created", () =>
    Effect.gen(function*() {
      const names = Effect.map(Guards.status, ({ admission }) => Object.keys(admission))
      yield* Claude.text("hi", { model: "model-a" })
      yield* TestClock.adjust("30 minutes")
      yield* Claude.text("hi", { model: "model-b" })
      yield* TestClock.adjust("30 minutes")
      yield* Claude.text("hi", { model: "model-c" })
      assert.deepStrictEqual(yield* names, ["model-b", "model-c"])
      // A later call of the same model creates a new queue.
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

  it.effect("gets a retryAfter only if it has a deadline, and each further such call gets a longer retryAfter", () =>
    Effect.gen(function*() {
      // Runs some calls, so that the queue knows how long an answer takes.
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
      // Without a deadline there is no retryAfter.
      assert.deepInclude(yield* late(Infinity), { _tag: "Saturated", retryAfter: undefined })
    }).pipe(Effect.provide(full)))
})
