/**
 * Faults that were observed in other libraries, each as a test that this library passes.
 *
 * Found by running cockatiel 4.0.0 (1 to 5) and opossum 10.0.0 (6 to 9). One fault cannot occur here:
 *
 * 9. opossum's `coalesce` serves a failed promise to later callers for as long as it caches answers. This library does
 *    not coalesce calls and caches no errors: `Fallback.lastGood` remembers complete answers only.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, Guards, Policy, Retry } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

const guarded = (guards: Guards.Guards, playable: Faults.Playable) =>
  FakeClaude.layer(playable).pipe(Guards.apply(guards), Layer.provide(CallLog.layerNoop))

const ask = Claude.text("hi")
const sent = Effect.map(FakeClaude.received, (all) => all.length)
const circuit = Effect.map(Guards.status, ({ circuits }) => circuits["claude-sonnet-5-5"]?.state)
const well = Faults.answer("well")
const start = { startImmediately: true } as const

describe("unlike cockatiel", () => {
  it.effect("1: failures of an hour ago do not open a circuit whose window is five seconds", () =>
    Effect.gen(function*() {
      yield* Effect.repeat(Effect.flip(ask), { times: 3 })
      yield* TestClock.adjust("1 hour")
      yield* Effect.flip(ask)
      assert.strictEqual(yield* circuit, "closed")
      assert.strictEqual(yield* sent, 5)
      yield* Effect.repeat(Effect.flip(ask), { times: 3 })
      assert.strictEqual(yield* circuit, "open")
    }).pipe(Effect.provide(
      guarded({ circuit: { window: "5 seconds", minimumCalls: 5 } }, Faults.cycle(Faults.overloaded))
    )))

  it.effect("2: an interrupt ends the back-off at once, and no attempt follows", () =>
    Effect.gen(function*() {
      const call = yield* ask.pipe(
        Policy.apply({ retry: Retry.backoff({ times: 5, base: "1 minute", cap: "1 minute", jitter: "none" }) }),
        Effect.forkChild(start)
      )
      yield* TestClock.adjust("20 millis")
      yield* Fiber.interrupt(call)
      assert.isDefined(call.pollUnsafe())
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* sent, 1)
    }).pipe(Effect.provide(guarded(Guards.standard, Faults.cycle(Faults.overloaded)))))

  for (
    const [what, late] of [["failure", Faults.overloaded], ["success", well]] as const
  ) {
    it.effect(`3: the ${what} of a call that began before the circuit opened neither closes nor opens the circuit while a probe is under way`, () =>
      Effect.gen(function*() {
        const slow = yield* Effect.forkChild(Effect.exit(ask), start)
        yield* Effect.flip(ask)
        yield* Effect.flip(ask)
        assert.strictEqual(yield* circuit, "open")
        yield* TestClock.adjust("4 seconds")
        const probe = yield* Effect.forkChild(ask, start)
        yield* TestClock.adjust("4 seconds")
        assert.strictEqual(Exit.isSuccess(yield* Fiber.join(slow)), what === "success")
        assert.strictEqual(yield* circuit, "half-open")
        yield* TestClock.adjust("4 seconds")
        assert.strictEqual(yield* Fiber.join(probe), "well")
        assert.strictEqual(yield* circuit, "closed")
      }).pipe(Effect.provide(
        guarded({ circuit: { minimumCalls: 2, openFor: "4 seconds" } }, [
          Faults.delayed(late, "7 seconds"),
          Faults.overloaded,
          Faults.overloaded,
          Faults.delayed(well, "6 seconds")
        ])
      )))
  }

  it.effect("4: a waiting call is still served if a new call arrives at the moment a slot becomes free", () =>
    Effect.gen(function*() {
      const first = yield* Effect.forkChild(ask, start)
      const waiting = yield* Effect.forkChild(ask, start)
      // The new call arrives in the same step in which the first call ends.
      const newcomer = yield* Effect.forkChild(Effect.andThen(Fiber.join(first), Effect.exit(ask)), start)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(waiting), "well")
      assert.strictEqual(yield* sent, Exit.isSuccess(yield* Fiber.join(newcomer)) ? 3 : 2)
    }).pipe(Effect.provide(
      guarded({ concurrency: { max: 1, queue: 1 } }, Faults.cycle(Faults.delayed(well, "1 second")))
    )))

  it.effect("5: while one of 200 calls is the probe, the other 199 fail at once, with a retryAfter", () =>
    Effect.gen(function*() {
      yield* Effect.flip(ask)
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.forkChild(ask, start)
      const others = yield* Effect.forEach(Array.from({ length: 199 }), () => Effect.flip(ask))
      for (const error of others) {
        if (error._tag !== "CircuitOpen") return assert.fail(error._tag)
        assert.isAtMost(Duration.toMillis(error.retryAfter ?? Duration.infinity), 1000)
      }
      assert.strictEqual(yield* sent, 2)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(probe), "well")
    }).pipe(Effect.provide(
      guarded({ circuit: { minimumCalls: 1, openFor: "10 seconds" } }, [
        Faults.overloaded,
        Faults.delayed(well, "5 seconds")
      ])
    )))

  it.effect("5: calls that wait for the circuit do not all begin at once when it closes", () =>
    Effect.gen(function*() {
      const starts: Array<number> = []
      const claude = yield* Claude.Claude
      const counting = Guards.apply({
        circuit: { minimumCalls: 1, openFor: "10 seconds" },
        // Only the circuit's retryAfter holds them back.
        extra: [{
          gate: () => Effect.void,
          admit: () =>
            Effect.map(Clock.currentTimeMillis, (now) => {
              starts.push(now)
              return { settle: () => Effect.void }
            })
        }]
      })(Layer.succeed(Claude.Claude, claude))
      yield* Effect.gen(function*() {
        yield* Effect.flip(ask)
        const calls = yield* Effect.forEach(Array.from({ length: 200 }), () =>
          ask.pipe(
            Policy.apply({ ...Policy.standard, overall: "5 minutes" }),
            Effect.forkChild(start)
          ))
        yield* TestClock.adjust("5 minutes")
        assert.deepStrictEqual(yield* Effect.forEach(calls, Fiber.join), calls.map(() => "well"))
        // First the probe, then at most twice as many each second, one of which takes a second to answer.
        const probed = starts[1] ?? 0
        for (let second = 0; second < 8; second++) {
          const within = starts.filter((at) => at > 0 && at < probed + (second + 1) * 1000).length
          assert.isAtMost(within, 2 ** (second + 1) - 1, `after ${second} seconds`)
        }
      }).pipe(Effect.provide(counting))
    }).pipe(Effect.provide(Layer.merge(
      FakeClaude.layer(({ index }) =>
        Effect.succeed(index === 0 ? Faults.overloaded : Faults.delayed(well, "1 second"))
      ),
      CallLog.layerNoop
    ))))
})

describe("unlike opossum", () => {
  it.effect("6: a probe with a neutral ending does not close the circuit", () =>
    Effect.gen(function*() {
      yield* Effect.flip(ask)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Effect.flip(ask))._tag, "RateLimited")
      assert.strictEqual(yield* circuit, "half-open")
      const probe = yield* Effect.forkChild(ask, start)
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(probe)
      assert.strictEqual(yield* circuit, "half-open")
      // A 400 is an answer: the model responds, which is all that a probe tests.
      assert.strictEqual((yield* Effect.flip(ask))._tag, "InvalidRequest")
      assert.strictEqual(yield* circuit, "closed")
    }).pipe(Effect.provide(
      guarded({ circuit: { minimumCalls: 1, openFor: "10 seconds" } }, [
        Faults.overloaded,
        Faults.rateLimited(),
        Faults.silence,
        Faults.fails(400, "invalid_request_error", "messages: Input should be a valid list")
      ])
    )))

  it.effect("7: by default, neither one failed call nor nineteen open the circuit", () =>
    Effect.gen(function*() {
      for (let failures = 1; failures <= 19; failures++) {
        yield* Effect.flip(ask)
        assert.strictEqual(yield* circuit, "closed")
      }
      yield* Effect.flip(ask)
      assert.strictEqual(yield* circuit, "open")
    }).pipe(Effect.provide(guarded(Guards.standard, Faults.cycle(Faults.overloaded)))))

  it.effect("8: a call that exceeds its time-out affects no other call", () =>
    Effect.gen(function*() {
      const others = yield* Effect.forEach(Array.from({ length: 5 }), () => Effect.forkChild(ask, start))
      const hangs = yield* Effect.forkChild(Effect.flip(Policy.apply({ attempt: "1 second" })(ask)), start)
      const more = yield* Effect.forEach(Array.from({ length: 5 }), () => Effect.forkChild(ask, start))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(hangs))._tag, "TimedOut")
      yield* TestClock.adjust("4 seconds")
      for (const call of [...others, ...more]) assert.strictEqual(yield* Fiber.join(call), "well")
    }).pipe(Effect.provide(guarded({ ...Guards.standard, concurrency: { max: 20 } }, ({ index }) =>
      Effect.succeed(index === 5 ? Faults.silence : Faults.delayed(well, "5 seconds"))))))
})
