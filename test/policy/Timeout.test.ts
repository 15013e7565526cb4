import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Claude, Current, Policy, Retry, Timeout } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

const requests = Effect.map(FakeClaude.received, (all) => all.length)

describe("limits of an attempt", () => {
  it.effect.each(
    [
      ["firstToken", Timeout.firstToken("3 seconds"), 3, Faults.pings("", "1 second")],
      ["idle", Timeout.idle("3 seconds"), 3, Faults.breaks("a", "silence")],
      ["attempt", Timeout.attempt("3 seconds"), 3, Faults.pings("a", "1 second")],
      ["connect", Timeout.limits({ connect: "3 seconds" }), 3, Faults.silence]
    ] as const
  )("%s ends it after 3 seconds, not before", ([scope, limit, seconds, turn]) =>
    Effect.gen(function*() {
      const call = yield* Claude.text("hi").pipe(limit, Effect.flip, Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust(Duration.millis(seconds * 1000 - 1))
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(call)
      assert.isTrue(error._tag === "TimedOut" && error.scope === scope)
    }).pipe(Effect.provide(FakeClaude.layer([turn]))))

  it.effect("a slow attempt is retried, a slow call is not", () =>
    Effect.gen(function*() {
      const call = yield* Claude.text("hi").pipe(
        Policy.apply({
          attempt: "10 seconds",
          connect: "10 seconds",
          firstToken: "10 seconds",
          retry: Retry.byTag({ TimedOut: Retry.linear({ times: 9, base: 1 }) }),
          overall: "25 seconds"
        }),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("25 seconds")
      assert.strictEqual((yield* Fiber.join(call))._tag, "DeadlineExceeded")
      assert.strictEqual(yield* requests, 3)
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.delayed(Faults.answer("late"), "1 hour"))))))
})

describe("overall", () => {
  it.effect.each([["inside", "1 hour", "5 seconds"], ["outside", "5 seconds", "1 hour"]] as const)(
    "of two deadlines the earlier one holds: %s",
    ([, outer, inner]) =>
      Effect.gen(function*() {
        const call = yield* Claude.text("hi").pipe(
          Timeout.overall(inner),
          Timeout.overall(outer),
          Effect.flip,
          Effect.forkChild
        )
        yield* TestClock.adjust("4999 millis")
        assert.isUndefined(call.pollUnsafe())
        yield* TestClock.adjust("1 millis")
        const error = yield* Fiber.join(call)
        assert.deepInclude({ ...error }, { _tag: "DeadlineExceeded", limit: Duration.seconds(5) })
      }).pipe(Effect.provide(FakeClaude.layer([Faults.silence])))
  )

  it.effect("can be read inside", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 second")
      assert.strictEqual(
        yield* Timeout.overall("5 seconds")(Effect.map(Current.Deadline, (deadline) => deadline)),
        6000
      )
    }))

  it.effect("a longer one inside another has its deadline, also under a policy", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const look = Effect.map(Current.Deadline, (deadline) => void seen.push(deadline))
      const outer = Timeout.overall("10 seconds")
      yield* outer(Timeout.overall("1 minute")(look))
      yield* outer(Policy.apply({ overall: "1 minute" })(look))
      yield* Timeout.overall("1 minute")(outer(look))
      assert.deepStrictEqual(seen, [10_000, 10_000, 10_000])
    }))

  it.effect("a limit that is over when it begins runs nothing", () =>
    Effect.gen(function*() {
      const error = yield* Claude.text("hi").pipe(
        Timeout.overall("1 minute"),
        Effect.provideService(Current.Deadline, 0),
        Effect.flip
      )
      assert.strictEqual(error._tag, "DeadlineExceeded")
      assert.strictEqual(yield* requests, 0)
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("never asked")]))))

  it("an invalid duration is refused when it is written", () => {
    assert.throws(() => Timeout.overall("soon" as "1 second"), /overall is "soon": it must be a duration/)
    assert.throws(() => Timeout.firstToken(0), /firstToken is 0/)
    assert.throws(() => Timeout.limits({ idle: Number.NaN }), /idle is NaN/)
  })
})
