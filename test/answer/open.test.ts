/** How an answer ended, as a guard would learn it: once, not later than the answer's end, and with the right verdict. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Claude, Policy, Retry } from "../../src/index.ts"
import { Faults } from "../../src/testing/index.ts"
import { ends, spied } from "../support/spied.ts"

describe("an answer that is opened", () => {
  it.effect("and read to its end is a success, at its end", () =>
    Effect.gen(function*() {
      const { events, reply } = yield* Claude.open("hi")
      assert.deepStrictEqual(yield* ends, [])
      yield* Stream.runDrain(events)
      assert.deepStrictEqual(yield* ends, ["success"])
      assert.strictEqual((yield* reply).text, "a b c")
    }).pipe(Effect.scoped, Effect.provide(spied([Faults.answer("a b c")]))))

  it.effect("and breaks is a failure, also if its reader recovers inside the scope", () =>
    Effect.gen(function*() {
      const { events } = yield* Claude.open("hi")
      yield* Effect.flip(Stream.runDrain(events))
      assert.deepStrictEqual(yield* ends, ["PartialAnswer"])
    }).pipe(
      Effect.scoped,
      Effect.andThen(Effect.map(ends, (all) => assert.lengthOf(all, 1))),
      Effect.provide(spied([Faults.breaks("half")]))
    ))

  it.effect("and left early is a success, at once", () =>
    Effect.gen(function*() {
      const { events } = yield* Claude.open("hi")
      yield* Stream.runDrain(Stream.take(events, 2))
      assert.deepStrictEqual(yield* ends, ["success"])
    }).pipe(Effect.scoped, Effect.provide(spied([Faults.answer("a b c")]))))

  it.effect("and interrupted while it is read says nothing", () =>
    Effect.gen(function*() {
      const reader = yield* Claude.events("hi").pipe(Stream.runDrain, Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(reader)
      assert.deepStrictEqual(yield* ends, ["neutral"])
    }).pipe(Effect.provide(spied([Faults.pings("a", "1 second")]))))

  it.effect("and never read says nothing, when its scope closes", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.andThen(Claude.open("hi"), ends)).pipe(
        Effect.map((before) => assert.deepStrictEqual(before, []))
      )
      assert.deepStrictEqual(yield* ends, ["neutral"])
    }).pipe(Effect.provide(spied([Faults.answer("a b c")]))))

  it.effect("and whose reader fails by itself is no failure of the model", () =>
    Effect.gen(function*() {
      yield* Claude.events("hi").pipe(Stream.runForEach(() => Effect.fail("my disk is full")), Effect.flip)
      assert.deepStrictEqual(yield* ends, ["success"])
    }).pipe(Effect.provide(spied([Faults.answer("a b c")]))))

  it.effect("and refused is told as that, collected or streamed", () =>
    Effect.gen(function*() {
      yield* Effect.flip(Claude.text("hi"))
      yield* Effect.flip(Stream.runDrain(Claude.stream("hi")))
      assert.deepStrictEqual(yield* ends, ["Refused", "Refused"])
    }).pipe(Effect.provide(spied(Faults.cycle(Faults.refusal("no"))))))

  it.effect("and restarted ends twice: once broken, once whole", () =>
    Effect.gen(function*() {
      const reader = yield* Claude.events("hi").pipe(
        Policy.applyStream({ retry: Retry.standard, onBreak: "restart" }),
        Stream.runDrain,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(reader)
      assert.deepStrictEqual(yield* ends, ["PartialAnswer", "success"])
    }).pipe(Effect.provide(spied([Faults.breaks("half"), Faults.answer("whole")]))))

  it.effect("waits for the first content, and holds nothing when it is interrupted before", () =>
    Effect.gen(function*() {
      const opening = yield* Claude.open("hi").pipe(Effect.scoped, Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("20 seconds")
      assert.isUndefined(opening.pollUnsafe())
      yield* Fiber.interrupt(opening)
      assert.deepStrictEqual(yield* ends, ["neutral"])
    }).pipe(Effect.provide(spied([Faults.pings()]))))

  it.effect("and interrupted while it begins anew is closed all the same", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      const budget = { charge: () => Effect.succeed({ settle: () => Effect.sleep("10 seconds") }) }
      const reader = yield* Claude.events("hi").pipe(
        Policy.applyStream({
          retry: Retry.byTag({ PartialAnswer: Retry.linear({ times: 1, base: "1 second" }) }),
          onBreak: "restart"
        }),
        Stream.runDrain,
        Effect.provideService(Claude.Claude, { ...claude, budget }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("5 seconds")
      reader.interruptUnsafe()
      yield* TestClock.adjust("1 minute")
      assert.isDefined(reader.pollUnsafe())
      assert.deepStrictEqual(yield* ends, ["PartialAnswer", "neutral"])
    }).pipe(Effect.provide(spied([Faults.breaks("half"), Faults.answer("whole")]))))

  it.effect("stops reading before it is closed, when it is interrupted", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const note = (what: string) => Effect.sync(() => void notes.push(what))
      const claude = yield* Claude.make({
        countTokens: () => Effect.succeed(1),
        models: Effect.succeed([]),
        open: () =>
          Effect.as(Effect.addFinalizer(() => note("closed")), {
            requestId: undefined,
            rateLimits: {},
            read: Effect.onInterrupt(Effect.never, () => note("stopped"))
          })
      })
      const call = yield* Claude.text("hi").pipe(
        Effect.provideService(Claude.Claude, claude),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Fiber.interrupt(call)
      assert.deepStrictEqual(notes, ["stopped", "closed"])
    }))

  it.effect("and failed at opening is told at once, inside the caller's scope", () =>
    Effect.gen(function*() {
      yield* Effect.flip(Claude.open("hi"))
      assert.deepStrictEqual(yield* ends, ["Overloaded"])
    }).pipe(Effect.scoped, Effect.provide(spied([Faults.overloaded]))))
})
