/**
 * The line of calls at a circuit: by example, and with random arrivals, deadlines, priorities and interrupts.
 *
 * `SEED=anything vitest run test/guard/circuit/waitLine.test.ts` tries other sequences.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Clock, Duration, Effect, Exit, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as CallContext from "../../../src/callContext.ts"
import * as CircuitGuard from "../../../src/guard/circuit/guard.ts"
import * as Settings from "../../../src/guard/circuit/settings.ts"
import { Circuit, type Claude, ClaudeError, Current, type Guard } from "../../../src/index.ts"
import { run } from "../../../src/testing/simulator/virtualClock.ts"

const seed = process.env["SEED"] ?? "resilient-claude"

const request = { params: { model: "a", max_tokens: 1, messages: [] }, limits: {} }
const begun = {} as Claude.Opened
const overloaded = Exit.fail(new ClaudeError.Overloaded({}))

const make = (options: Circuit.Options = {}, store: Circuit.Store = Circuit.memory()) =>
  CircuitGuard.make(Settings.settings(options), {
    account: "account",
    store,
    log: { emit: () => Effect.void },
    onStoreError: () => Effect.void
  })

/** A call: seconds to its deadline, and whether it waits for an open circuit. */
interface Coming {
  readonly within?: number
  readonly patient?: boolean
  readonly priority?: typeof Current.Priority.Service
}

/** Passes the gate. */
const gate = (circuits: Guard.Guard, { patient = true, priority = "default", within = 60 }: Coming = {}) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    circuits.gate(request).pipe(
      Effect.provideService(Current.Deadline, now + within * 1000),
      Effect.provideService(CallContext.WaitForCircuit, patient),
      Effect.provideService(Current.Priority, priority)
    ))

const fail = (circuits: Guard.Guard) => Effect.flatMap(circuits.admit(request), ({ settle }) => settle(overloaded))
const begin = (circuits: Guard.Guard) =>
  Effect.tap(circuits.admit(request), ({ opened }) => opened?.(begun) ?? Effect.void)

/** A circuit with `rate` calls per second, first with successes and then in an outage, until it opened for 5 seconds. */
const opened = Effect.fnUntraced(function*(rate = 1, store?: Circuit.Store) {
  const circuits = make({}, store)
  for (let i = 0; i < 40 * rate; i++) {
    const lease = yield* begin(circuits)
    yield* lease.settle(Exit.void)
    yield* TestClock.adjust(1000 / rate)
  }
  for (;;) {
    yield* fail(circuits)
    if ((yield* circuits.status).circuits["a"]?.state === "open") return circuits
    yield* TestClock.adjust(1000 / rate)
  }
})

const why = "51 of 55 calls failed: Overloaded"

const fork = <A, E>(self: Effect.Effect<A, E>) => Effect.forkChild(self, { startImmediately: true })

describe("a call at an open circuit", () => {
  it.effect("waits and then becomes the probe, and calls behind it wait until the answer to the probe begins", () =>
    Effect.gen(function*() {
      const circuits = yield* opened()
      const [first, second] = [yield* fork(gate(circuits)), yield* fork(gate(circuits))]
      assert.deepInclude((yield* circuits.status).circuits["a"], { waiting: 2, why })
      yield* TestClock.adjust(4999)
      assert.isUndefined(first.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(first.pollUnsafe(), Exit.void)
      const probe = yield* circuits.admit(request)
      yield* TestClock.adjust("3 seconds")
      assert.isUndefined(second.pollUnsafe())
      yield* probe.opened?.(begun) ?? Effect.void
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(second.pollUnsafe(), Exit.void)
      assert.strictEqual((yield* circuits.status).circuits["a"]?.waiting, 0)
    }))

  it.effect("fails at once if it may not wait, or has no deadline", () =>
    Effect.gen(function*() {
      const circuits = yield* opened()
      for (const coming of [{ patient: false }, { within: Infinity }]) {
        const error = yield* Effect.flip(gate(circuits, coming))
        assert.deepInclude(error, {
          _tag: "CircuitOpen",
          retryAfter: Duration.seconds(5),
          why
        })
        assert.strictEqual(
          error.message,
          "The circuit of a is open (51 of 55 calls failed: Overloaded), so nothing was sent; the next probe is in 5 s."
        )
      }
    }))

  it.effect("fails at once if the next probe comes after its deadline, both on its arrival and when a probe fails while it waits", () =>
    Effect.gen(function*() {
      const circuits = yield* opened()
      assert.strictEqual((yield* Effect.flip(gate(circuits, { within: 5 })))._tag, "CircuitOpen")
      const calls = yield* Effect.forEach([9, 9, 11], (within) => fork(gate(circuits, { within })))
      yield* TestClock.adjust("5 seconds")
      yield* fail(circuits)
      yield* TestClock.adjust(1)
      const [probe, early, late] = calls
      assert.deepStrictEqual(probe?.pollUnsafe(), Exit.void)
      const told = yield* Effect.flip(Fiber.join(early ?? assert.fail()))
      assert.deepInclude(told, { _tag: "CircuitOpen", retryAfter: Duration.millis(5000) })
      assert.isUndefined(late?.pollUnsafe())
    }))

  it.effect("G1: leaves the line when it is interrupted, and the next call takes its place", () =>
    Effect.gen(function*() {
      const circuits = yield* opened()
      const calls = yield* Effect.forEach([1, 2, 3], () => fork(gate(circuits)))
      yield* Fiber.interrupt(calls[0] ?? assert.fail())
      yield* Fiber.interrupt(calls[1] ?? assert.fail())
      assert.strictEqual((yield* circuits.status).circuits["a"]?.waiting, 1)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(calls[2]?.pollUnsafe(), Exit.void)
    }))

  it.effect("G4: passes the gate at once if the probe before it is interrupted", () =>
    Effect.gen(function*() {
      const circuits = yield* opened()
      const [, second] = [yield* fork(gate(circuits)), yield* fork(gate(circuits))]
      yield* TestClock.adjust("5 seconds")
      const probe = yield* circuits.admit(request)
      yield* probe.settle(Exit.interrupt())
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(second.pollUnsafe(), Exit.void)
    }))

  it.effect("becomes the probe if the call before it left the line a second ago and was not sent", () =>
    Effect.gen(function*() {
      const circuits = yield* opened()
      const [first, second] = [yield* fork(gate(circuits)), yield* fork(gate(circuits))]
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(first.pollUnsafe(), Exit.void)
      yield* TestClock.adjust(999)
      assert.isUndefined(second.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(second.pollUnsafe(), Exit.void)
    }))

  it.effect("fails at once when the circuit is isolated", () =>
    Effect.gen(function*() {
      const circuits = yield* opened()
      const calls = yield* Effect.forEach([1, 2], () => fork(gate(circuits)))
      yield* circuits.isolate("a", 1000)
      yield* TestClock.adjust(1)
      for (const call of calls) {
        assert.deepInclude(yield* Effect.flip(Fiber.join(call)), { why: "isolated by hand" })
      }
    }))

  it.effect("leaves the line when the circuit is reset: the oldest call at once, the other calls within 5 seconds", () =>
    Effect.gen(function*() {
      const circuits = yield* opened()
      const calls = yield* Effect.forEach([1, 2, 3], () => fork(gate(circuits)))
      yield* circuits.reset("a")
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(calls.map((call) => call.pollUnsafe() !== undefined), [true, false, false])
      yield* TestClock.adjust("5 seconds")
      for (const call of calls) assert.deepStrictEqual(call.pollUnsafe(), Exit.void)
    }))

  it.effect("leaves the line within a second after another process closed the circuit", () =>
    Effect.gen(function*() {
      const store: Circuit.Store = { modify: Circuit.memory().modify }
      const there = make({}, store)
      const circuits = yield* opened(1, store)
      const calls = yield* Effect.forEach([1, 2], () => fork(gate(circuits)))
      yield* TestClock.adjust("4999 millis")
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(calls[0]?.pollUnsafe(), Exit.void)
      yield* begin(there)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(calls[1]?.pollUnsafe(), Exit.void)
    }))
})

/** The times at which waiting calls begin. */
const recovery = Effect.fnUntraced(function*(circuits: Guard.Guard, waiting: number, more: Coming = {}) {
  const at: Array<number> = []
  const came = (index: number) =>
    fork(Effect.andThen(
      gate(circuits, { ...more, priority: index % 10 === 9 ? "interactive" : "default" }),
      Effect.map(Clock.currentTimeMillis, (now) => {
        at[index] = now
      })
    ))
  const calls = yield* Effect.forEach(Array.from({ length: waiting }, (_, i) => i), came)
  yield* TestClock.adjust("5 seconds")
  const probe = yield* circuits.admit(request)
  yield* probe.opened?.(begun) ?? Effect.void
  return { at, calls, probe, closed: yield* Clock.currentTimeMillis }
})

describe("calls at a circuit that has just closed", () => {
  it.effect("begin by priority and then by age, at a rate that grows to twice the rate before the outage", () =>
    Effect.gen(function*() {
      const circuits = yield* opened(6)
      const { at, closed } = yield* recovery(circuits, 100)
      yield* TestClock.adjust("20 seconds")
      const begun = at.map((now, index) => ({ now: now - closed, index }))
      assert.lengthOf(begun, 100)
      const [urgent, others] = [
        begun.filter(({ index }) => index % 10 === 9),
        begun.filter(({ index }) => index % 10 !== 9)
      ]
      for (const line of [urgent, others]) {
        assert.deepStrictEqual(
          line.toSorted((a, b) => a.now - b.now).map(({ index }) => index),
          line.map(({ index }) => index)
        )
      }
      // All other calls wait behind the urgent ones, except the one that checks the circuit.
      assert.isBelow(urgent.at(-1)?.now ?? NaN, others[2]?.now ?? NaN)
      for (let second = 0; second < 15; second++) {
        const inIt = begun.filter(({ now }) => now >= second * 1000 && now < (second + 1) * 1000).length
        assert.isAtMost(inIt, 2 * 6 + 2)
        if (second === 5 || second === 6) assert.isAtLeast(inIt, 2 * 6 - 2)
      }
    }))

  it.effect("begin although answers that began before the outage still run", () =>
    Effect.gen(function*() {
      const circuits = make()
      for (let i = 0; i < 300; i++) {
        yield* begin(circuits)
        yield* TestClock.adjust(200)
      }
      for (let i = 0; i < 100_000; i++) {
        yield* fail(circuits)
        if ((yield* circuits.status).circuits["a"]?.state === "open") break
      }
      const { calls } = yield* recovery(circuits, 20)
      yield* TestClock.adjust("5 seconds")
      for (const call of calls) assert.deepStrictEqual(call.pollUnsafe(), Exit.void)
    }))

  it.effect("begin at half the rate after RateLimited, and the rate is not halved again when other calls that began earlier fail", () =>
    Effect.gen(function*() {
      const circuits = yield* opened(10)
      const { at, closed } = yield* recovery(circuits, 400, { within: 120 })
      const leases = yield* Effect.replicateEffect(circuits.admit(request), 10)
      yield* TestClock.adjust("8 seconds")
      const before = at.length
      for (const { settle } of leases) yield* settle(Exit.fail(new ClaudeError.RateLimited({})))
      yield* TestClock.adjust("1 second")
      const cut = at.filter((now) => now >= closed + 8000).length
      assert.isAtLeast(before, 80)
      assert.isAtLeast(cut, 9)
      assert.isAtMost(cut, 14)
    }))

  it.effect("fail at once if their turn cannot come before their deadline, and wait for their turn even if they may not wait for a probe", () =>
    Effect.gen(function*() {
      const circuits = yield* opened(2)
      const { calls } = yield* recovery(circuits, 60, { within: 15 })
      yield* TestClock.adjust(1)
      const told = calls.flatMap((call) => {
        const exit = call.pollUnsafe()
        return exit !== undefined && Exit.isFailure(exit) ? [exit] : []
      })
      // 10 seconds remain, in which the rate grows to 4 per second within 5 seconds.
      assert.isAtLeast(told.length, 25)
      assert.isAtMost(told.length, 35)
      const error = yield* Effect.flip(gate(circuits, { within: 5 }))
      assert.isAbove(Duration.toMillis(ClaudeError.retryAfter(error) ?? Duration.zero), 5000)
      const last = yield* fork(gate(circuits, { within: Infinity, patient: false }))
      yield* TestClock.adjust("12 seconds")
      assert.deepStrictEqual(last.pollUnsafe(), Exit.void)
    }))

  it.effect("wait again if the answer to the probe breaks off", () =>
    Effect.gen(function*() {
      const circuits = yield* opened(1)
      const { calls, probe } = yield* recovery(circuits, 10)
      yield* TestClock.adjust("2 seconds")
      const begun = calls.filter((call) => call.pollUnsafe() !== undefined).length
      yield* probe.settle(Exit.fail(new ClaudeError.PartialAnswer({})))
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual(calls.filter((call) => call.pollUnsafe() !== undefined).length, begun)
      assert.deepInclude((yield* circuits.status).circuits["a"], { state: "open", waiting: 10 - begun })
    }))

  it.effect("begin at once when no other call waits and the rate has stopped growing", () =>
    Effect.gen(function*() {
      const circuits = yield* opened(1)
      yield* recovery(circuits, 2)
      yield* TestClock.adjust("6 seconds")
      yield* gate(circuits)
      const calls = yield* Effect.forEach(Array.from({ length: 50 }), () => fork(gate(circuits)))
      for (const call of calls) assert.deepStrictEqual(call.pollUnsafe(), Exit.void)
    }))
})

// -----------------------------------------------------------------------------
// Random calls
// -----------------------------------------------------------------------------

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))
const priorities = ["interactive", "default", "background"] as const

const call = Arbitrary.map(
  Arbitrary.all([int(0, 400), int(1, 60), int(0, 9), int(0, 19), int(1, 10)]),
  ([gap, within, priority, luck, minutes]) => ({
    gap,
    within,
    priority: priorities[priority % 3] ?? "default",
    patient: priority !== 9,
    /** Milliseconds until it is interrupted. */
    leaves: luck === 0 ? 700 : luck === 1 ? 9000 : undefined,
    /** How long its answer lasts, and when it breaks off, if it does. */
    length: minutes * 60_000,
    breaks: luck === 2 ? 3000 : undefined
  })
)

const counts = { calls: 0, waited: 0, told: 0, interrupted: 0, broken: 0, recoveries: 0 }

describe("random calls at a circuit, before, in and after an outage", () => {
  it.effect.prop(
    "G1 G5 G6: leave the line before their deadline and oldest first within a priority, with one probe at a time, until the line is empty",
    {
      calls: Arbitrary.array(call, { minLength: 250, maxLength: 250 }),
      outage: Arbitrary.all([int(1, 20), int(5, 60)]),
      kept: int(0, 1)
    },
    ({ calls, kept, outage: [from, length] }) =>
      Effect.sync(() => {
        const memory = Circuit.memory()
        const circuits = make(
          { minimumCalls: 5, failureRate: 0.5, window: "10 seconds" },
          kept === 0 ? memory : { modify: memory.modify }
        )
        const waits: Array<{ readonly index: number; readonly priority: string }> = []
        const isDown = (now: number) => now >= from * 1000 && now < (from + length) * 1000
        let probing = 0

        const one = Effect.fnUntraced(function*(coming: typeof calls[number], index: number) {
          const start = yield* Clock.currentTimeMillis
          const passed = yield* Effect.exit(gate(circuits, coming))
          const now = yield* Clock.currentTimeMillis
          counts.calls++
          assert.isAtMost(now, start + coming.within * 1000)
          if (Exit.isFailure(passed)) {
            const error = yield* Effect.flip(passed)
            counts.told++
            const hint = Duration.toMillis(ClaudeError.retryAfter(error) ?? Duration.zero)
            if (coming.patient) assert.isAtLeast(now + hint, start + coming.within * 1000)
            return
          }
          if (now > start) {
            counts.waited++
            waits.push({ index, priority: coming.priority })
          }
          const wasOpen = (yield* circuits.status).circuits["a"]?.state === "half-open"
          const admitted = yield* Effect.exit(circuits.admit(request))
          if (Exit.isFailure(admitted)) return
          const { opened, settle } = admitted.value
          if (wasOpen) {
            probing++
            assert.strictEqual(probing, 1, "one probe at a time")
          }
          yield* Effect.sleep(300)
          if (wasOpen) probing--
          if (isDown(now)) return yield* settle(overloaded)
          if (wasOpen) counts.recoveries++
          yield* opened?.(begun) ?? Effect.void
          yield* Effect.sleep(coming.breaks ?? coming.length)
          if (coming.breaks !== undefined) counts.broken++
          yield* settle(coming.breaks === undefined ? Exit.void : Exit.fail(new ClaudeError.PartialAnswer({})))
        })

        Effect.runSync(run(Effect.gen(function*() {
          const fibers: Array<Fiber.Fiber<void, unknown>> = []
          for (const [index, coming] of calls.entries()) {
            yield* Effect.sleep(coming.gap)
            const fiber = yield* Effect.forkChild(one(coming, index))
            fibers.push(fiber)
            if (coming.leaves === undefined) continue
            const left = Effect.andThen(Effect.sleep(coming.leaves), Fiber.interrupt(fiber))
            yield* Effect.forkChild(Effect.andThen(left, Effect.sync(() => counts.interrupted++)))
          }
          for (const exit of yield* Fiber.awaitAll(fibers)) {
            if (Exit.isFailure(exit) && !Exit.hasInterrupts(exit)) return yield* exit
          }
          assert.strictEqual((yield* circuits.status).circuits["a"]?.waiting, 0)
        })))
        for (const priority of priorities) {
          const line = waits.filter((wait) => wait.priority === priority).map(({ index }) => index)
          assert.deepStrictEqual(line, line.toSorted((a, b) => a - b), "oldest first")
        }
      }),
    { arbitrary: { runs: 50, seed, size: 1000 }, timeout: 60_000 }
  )

  it("were at least 10,000 in the test above, and at least 50 of them waited, 50 were rejected, 50 were interrupted, 50 broke off and 50 were successful probes", () => {
    assert.isAtLeast(counts.calls, 10_000)
    for (const [what, count] of Object.entries(counts)) assert.isAtLeast(count, 50, what)
  })
})
