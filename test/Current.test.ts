import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Ref } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, Current, Policy, Retry } from "../src/index.ts"
import { FakeClaude, Faults } from "../src/testing/index.ts"

const twice = Policy.apply({ retry: Retry.linear({ times: 1, base: "1 second" }) })

/** Notes `Current.Call`, then asks Claude. */
const noting = (seen: Array<Current.Call | undefined>) =>
  Effect.andThen(Effect.tap(Current.Call, (call) => Effect.sync(() => seen.push(call))), Claude.text("hi"))

const fake = (...turns: ReadonlyArray<Faults.Turn>) =>
  Effect.provide(Layer.provideMerge(FakeClaude.layer(turns), CallLog.layerMemory))

const finished = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const call = yield* Effect.forkChild(self)
    yield* TestClock.adjust("1 minute")
    return yield* Fiber.join(call)
  })

describe("Current.Call", () => {
  it.effect("is undefined without a policy", () =>
    Effect.gen(function*() {
      const seen: Array<Current.Call | undefined> = []
      yield* noting(seen)
      assert.deepStrictEqual(seen, [undefined])
    }).pipe(fake(Faults.answer("hello"))))

  it.effect("has the same call id and attempt number as the AttemptStarted event of its attempt", () =>
    Effect.gen(function*() {
      const seen: Array<Current.Call | undefined> = []
      yield* finished(twice(noting(seen)))
      const events = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      const started = events.flatMap((event) =>
        event._tag === "AttemptStarted" ? [{ id: event.call, attempt: event.attempt }] : []
      )
      assert.lengthOf(started, 2)
      assert.deepStrictEqual<unknown>(seen, started)
      assert.isUndefined(yield* Current.Call)
    }).pipe(fake(Faults.overloaded, Faults.answer("hello"))))

  it.effect("belongs to the innermost of two nested policies", () =>
    Effect.gen(function*() {
      const seen: Array<Current.Call | undefined> = []
      yield* finished(twice(Effect.andThen(
        Effect.tap(Current.Call, (call) => Effect.sync(() => seen.push(call))),
        twice(noting(seen))
      )))
      const [outer, first, second] = seen
      assert.notStrictEqual(outer?.id, first?.id)
      assert.strictEqual(first?.id, second?.id)
      assert.deepStrictEqual(seen.map((call) => call?.attempt), [1, 1, 2])
    }).pipe(fake(Faults.overloaded, Faults.answer("hello"))))
})
