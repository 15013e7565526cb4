import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scheduler } from "effect"
import { supervised } from "../../src/internal/supervised.ts"

const unwatched = { began: () => {}, ended: () => undefined, failed: <E>(error: E) => error }

describe("supervised", () => {
  /** What ended in which order, where the caller is interrupted at its nth step. */
  const interruptedAt = (step: number) =>
    Effect.gen(function*() {
      const ended: Array<string> = []
      const noting = (name: string) => Effect.sync(() => void ended.push(name))
      const fiber = yield* supervised(Effect.onExit(Effect.never, () => noting("self")), unwatched).pipe(
        Effect.ensuring(noting("caller")),
        Effect.provideService(Scheduler.MaxOpsBeforeYield, step),
        Effect.forkDetach({ startImmediately: true })
      )
      yield* Fiber.interrupt(fiber)
      return ended.join(" ")
    })

  it.effect("what it runs has ended before its caller goes on, wherever the caller is interrupted", () =>
    Effect.gen(function*() {
      const orders = new Set(yield* Effect.forEach(Array.from({ length: 40 }, (_, i) => i + 3), interruptedAt))
      // Interrupted before it has begun, or afterwards.
      for (const order of orders) assert.include(["", "caller", "self caller"], order)
      assert.isTrue(orders.has("self caller"))
    }))

  it.effect("also if what it runs interrupts its caller", () =>
    Effect.gen(function*() {
      const ended: Array<string> = []
      const self = Effect.suspend(() => {
        caller.interruptUnsafe()
        return Effect.onExit(Effect.never, () => Effect.sync(() => void ended.push("self")))
      })
      const caller: Fiber.Fiber<never, unknown> = yield* Effect.forkDetach(
        supervised(self, unwatched).pipe(Effect.ensuring(Effect.sync(() => void ended.push("caller"))))
      )
      const exit = yield* Fiber.await(caller)
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.deepStrictEqual(ended, ["self", "caller"])
    }))

  it.effect("what needs no time is not watched", () =>
    Effect.gen(function*() {
      let watched = false
      const watch = { ...unwatched, began: () => void (watched = true) }
      assert.strictEqual(yield* supervised(Effect.succeed(1), watch), 1)
      assert.isFalse(watched)
      assert.strictEqual(yield* supervised(Effect.as(Effect.yieldNow, 2), watch), 2)
      assert.isTrue(watched)
    }))

  it.effect("whoever ends it is who interrupts", () =>
    Effect.gen(function*() {
      const by: Array<number> = []
      const self = Effect.onInterrupt(Effect.never, (ids) => Effect.sync(() => void by.push(...ids)))
      const parent = yield* Effect.fiberId
      yield* supervised(self, { ...unwatched, began: (end, fork) => void fork(Effect.sync(end)) }).pipe(Effect.exit)
      assert.deepStrictEqual(by, [parent])
    }))
})
