/** Faults found in incidents, each as a test of the whole stack. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Random } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, ClaudeError, Guards, Policy, Retry } from "../../src/index.ts"
import { FakeClaude, Faults, Simulator } from "../../src/testing/index.ts"

const start = { startImmediately: true } as const

const guarded = (guards: Guards.Guards, playable: Faults.Playable) =>
  FakeClaude.layer(playable).pipe(Guards.apply(guards), Layer.provideMerge(CallLog.layerNoop))

const sent = Effect.map(FakeClaude.received, (all) => all.length)

/** A call that waits up to two minutes for an open circuit. */
const patient = Claude.text("hi").pipe(Policy.apply({ ...Policy.standard, overall: "2 minutes" }))

/** Opens the circuit with twenty failed calls. */
const outage = Effect.repeat(Effect.exit(Claude.text("hi")), { times: 19 })

describe("Guards.drain", () => {
  it.effect("waits for calls that wait for an open circuit", () =>
    Effect.gen(function*() {
      yield* outage
      const call = yield* Effect.forkChild(patient, start)
      const drained = yield* Effect.forkChild(Guards.drain("30 seconds"), start)
      yield* TestClock.adjust("1 second")
      assert.isUndefined(drained.pollUnsafe())
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(yield* Fiber.join(drained))
      assert.isDefined(call.pollUnsafe())
    }).pipe(Effect.provide(guarded(Guards.standard, ({ index }) =>
      Effect.succeed(index < 20 ? Faults.overloaded : Faults.answer("well"))))))

  it.effect("ends every call that waits for the retry budget with an error, before the time limit of the drain", () =>
    Effect.gen(function*() {
      const calls = yield* Effect.forEach(
        Array.from({ length: 30 }),
        () => Effect.forkChild(Effect.exit(patient), start)
      )
      yield* TestClock.adjust("5 seconds")
      const drained = yield* Effect.forkChild(Guards.drain("1 minute"), start)
      yield* TestClock.adjust("40 seconds")
      assert.isTrue(yield* Fiber.join(drained))
      for (const call of calls) {
        const exit = yield* Fiber.join(call)
        assert.isTrue(Exit.isFailure(exit))
      }
    }).pipe(
      Random.withSeed("drain"),
      Effect.provide(guarded({ budget: {}, concurrency: {} }, Faults.cycle(Faults.overloaded)))
    ))
})

describe("Guards.reset", () => {
  it.effect("releases the calls that wait for an open circuit gradually: at most 50 of 200 in the first second", () =>
    Effect.gen(function*() {
      yield* outage
      yield* Effect.forEach(Array.from({ length: 200 }), () => Effect.forkChild(patient, start))
      yield* TestClock.adjust(1)
      const before = yield* sent
      yield* Guards.reset("claude-sonnet-5-5")
      yield* TestClock.adjust("1 second")
      const released = (yield* sent) - before
      assert.isAbove(released, 0)
      assert.isAtMost(released, 50)
    }).pipe(
      Random.withSeed("reset"),
      Effect.provide(
        guarded(Guards.standard, ({ index }) => Effect.succeed(index < 20 ? Faults.overloaded : Faults.answer("well")))
      )
    ))
})

describe("a 429 with x-should-retry: false", () => {
  it.effect("pauses no other call, with or without a quota", () =>
    Effect.gen(function*() {
      for (const guards of [{ circuit: {} }, { quota: { requests: 600 } }] satisfies ReadonlyArray<Guards.Guards>) {
        yield* Effect.gen(function*() {
          const error = yield* Effect.flip(Claude.text("hi"))
          assert.isFalse("shouldRetry" in error && error.shouldRetry)
          assert.strictEqual(yield* Claude.text("hi"), "well")
        }).pipe(Effect.provide(guarded(guards, [
          Faults.fails(429, "rate_limit_error", "Never again", {
            headers: { "x-should-retry": "false", "retry-after": "50" }
          }),
          Faults.answer("well")
        ])))
      }
    }))
})

describe("the limits on waiting and retrying", () => {
  it.effect("let calls with a deadline of 15 minutes wait for a slot for longer than a minute", () =>
    Effect.gen(function*() {
      const ask = Claude.text("hi").pipe(Policy.apply({ ...Policy.standard, overall: "15 minutes" }))
      const calls = yield* Effect.forEach(Array.from({ length: 6 }), () => Effect.forkChild(ask, start))
      for (let minute = 0; minute < 10; minute++) yield* TestClock.adjust("1 minute")
      for (const call of calls) assert.strictEqual(yield* Fiber.join(call), "a b c d e f g h i j k l")
    }).pipe(
      Effect.provide(
        guarded(
          { concurrency: { max: 2 } },
          Faults.cycle(Faults.answer("a b c d e f g h i j k l", { every: "5 seconds" }))
        )
      )
    ))

  it.effect("allow only eight retries after Overloaded, even without a deadline and with CircuitOpen removed from Retry.standard", () =>
    Effect.gen(function*() {
      const ask = Claude.text("hi").pipe(
        Policy.apply({ retry: { ...Retry.standard, CircuitOpen: undefined } })
      )
      const call = yield* Effect.forkChild(Effect.flip(ask), start)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* Fiber.join(call))._tag, "Overloaded")
      assert.strictEqual(yield* sent, 9)
    }).pipe(Random.withSeed("defaults"), Effect.provide(FakeClaude.layer(Faults.cycle(Faults.overloaded)))))
})

describe("a brown-out", () => {
  it.effect(
    "in which 70 % of the requests fail for a minute is followed by at most 3n + 3 requests in each second, where n is the most calls that were due in one second",
    () =>
      Effect.gen(function*() {
        const { peak } = yield* Simulator.run(
          {
            name: "brown-out",
            provider: { incidents: [{ from: "30 seconds", to: "90 seconds", fault: "overloaded", share: 0.7 }] },
            traffic: { arrivals: { perSecond: 10 }, to: "2 minutes", patience: "25 seconds" }
          },
          { name: "ours", policy: { ...Policy.standard, overall: "25 seconds" }, guards: Guards.standard }
        )
        assert.isAtMost(peak?.requests ?? Infinity, 3 * (peak?.offered ?? 0) + 3)
      }),
    60_000
  )
})

it("the message of CircuitOpen for a circuit isolated by hand says why it is open and when it closes again, and mentions no probe", () => {
  const error = new ClaudeError.CircuitOpen({
    model: "claude-sonnet-5-5",
    why: "isolated by hand",
    retryAfter: Duration.seconds(10)
  })
  assert.strictEqual(
    error.message,
    "The circuit of claude-sonnet-5-5 is open (isolated by hand), so nothing was sent; it closes again in 10 s."
  )
})
