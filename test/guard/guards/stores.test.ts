/** A guard goes on without a store that does not answer. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Ref } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, Guards, Quota } from "../../../src/index.ts"
import { patient } from "../../../src/storePatience.ts"
import { FakeClaude, Faults } from "../../../src/testing/index.ts"
import { steppedBack } from "../../support/steppedBack.ts"

const all = (answer: Effect.Effect<never>): Quota.Store => ({
  take: () => answer,
  add: () => answer,
  sync: () => answer,
  levels: () => answer
})

const stores: ReadonlyArray<readonly [string, Quota.Store]> = [
  ["hangs", all(Effect.never)],
  ["hangs and cannot be interrupted", all(Effect.uninterruptible(Effect.never))]
]

describe("a quota store that does not answer", () => {
  it.effect.each(stores)(
    "G15: delays one call by a second if it %s, and later calls not at all",
    ([, store]) =>
      Effect.gen(function*() {
        const first = yield* Effect.forkChild(Claude.text("hi"))
        yield* TestClock.adjust("999 millis")
        assert.isUndefined(first.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* Fiber.join(first), "hello")
        assert.strictEqual(yield* Claude.text("hi"), "hello")
        assert.include((yield* Guards.status).admission["sonnet"], { running: 0, waiting: 0 })
        const warnings = (yield* Effect.flatMap(CallLog.Memory, Ref.get)).filter(({ _tag }) => _tag === "Warning")
        assert.lengthOf(warnings, 1)
        assert.include(warnings[0], { code: "GuardStoreFailed" })
      }).pipe(Effect.provide(
        FakeClaude.layer(Faults.by(() => Faults.answer("hello"))).pipe(
          Guards.apply({ quota: { requests: 1 } }),
          Layer.provide(Layer.succeed(Quota.Store, store)),
          Layer.provideMerge(CallLog.layerMemory)
        )
      ))
  )

  it.effect("is asked again at once when the clock is set back", () =>
    steppedBack((back) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("10 hours")
        let asked = 0
        const ask = patient()
        const store = ask(() => Effect.suspend(() => asked++ === 0 ? Effect.never : Effect.succeed("well")))
        const first = yield* Effect.forkChild(Effect.exit(store))
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(first)
        yield* Effect.flip(store)
        assert.strictEqual(asked, 1)
        yield* back(3_600_000)
        assert.strictEqual(yield* store, "well")
      })
    ))
})
