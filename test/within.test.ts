import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import { within } from "../src/within.ts"

const late = () => "late" as const

describe("the function within", () => {
  /** The order in which the effect ("self") and its caller end if the caller is interrupted at its nth step. */
  const interruptedAt = (step: number) =>
    Effect.gen(function*() {
      const ended: Array<string> = []
      const noting = (name: string) => Effect.sync(() => void ended.push(name))
      const fiber = yield* within(Effect.onExit(Effect.never, () => noting("self")), 1000, late).pipe(
        Effect.ensuring(noting("caller")),
        Effect.provideService(Scheduler.MaxOpsBeforeYield, step),
        Effect.forkDetach({ startImmediately: true })
      )
      yield* Fiber.interrupt(fiber)
      return ended.join(" ")
    })

  it.effect("ends its effect before its caller ends, at whichever step the caller is interrupted", () =>
    Effect.gen(function*() {
      const orders = new Set(yield* Effect.forEach(Array.from({ length: 40 }, (_, i) => i + 3), interruptedAt))
      // "" is an interrupt before the caller began, "caller" an interrupt before the effect began.
      for (const order of orders) assert.include(["", "caller", "self caller"], order)
      assert.isTrue(orders.has("self caller"))
    }))

  it.effect("ends its effect before its caller ends, even if the effect interrupts the caller", () =>
    Effect.gen(function*() {
      const ended: Array<string> = []
      const self = Effect.suspend(() => {
        caller.interruptUnsafe()
        return Effect.onExit(Effect.never, () => Effect.sync(() => void ended.push("self")))
      })
      const caller: Fiber.Fiber<never, unknown> = yield* Effect.forkDetach(
        within(self, 1000, late).pipe(Effect.ensuring(Effect.sync(() => void ended.push("caller"))))
      )
      const exit = yield* Fiber.await(caller)
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.deepStrictEqual(ended, ["self", "caller"])
    }))

  it.effect("interrupts its effect at its time limit, and fails only after the finalizers of the effect have run", () =>
    Effect.gen(function*() {
      const ended: Array<string> = []
      const self = Effect.onExit(
        Effect.never,
        () => Effect.andThen(Effect.sleep(500), Effect.sync(() => void ended.push("self")))
      )
      const fiber = yield* Effect.forkChild(Effect.flip(within(self, 1000, late)))
      yield* TestClock.adjust(1499)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Fiber.join(fiber), "late")
      assert.deepStrictEqual(ended, ["self"])
    }))

  it.effect("returns a result that comes before its time limit, and dies with the defect of its effect", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.forkChild(within(Effect.as(Effect.sleep(999), 1), 1000, late))
      yield* TestClock.adjust(999)
      assert.strictEqual(yield* Fiber.join(fiber), 1)
      assert.isTrue(Exit.hasDies(yield* Effect.exit(within(Effect.die("boom"), 1000, late))))
    }))
})
