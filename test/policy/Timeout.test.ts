import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Claude, Current, Policy, Retry, Timeout } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

const requests = Effect.map(FakeClaude.received, (all) => all.length)

describe("limits of an attempt", () => {
  it.effect.each(
    [
      ["firstToken", "firstToken", Timeout.firstToken("3 seconds"), Faults.pings("", "1 second")],
      ["idle", "idle", Timeout.idle("3 seconds"), Faults.breaks("a", "silence")],
      ["contentIdle", "idle", Timeout.contentIdle("3 seconds"), Faults.pings("a", "1 second")],
      ["attempt", "attempt", Timeout.attempt("3 seconds"), Faults.pings("a", "1 second")],
      ["connect", "connect", Timeout.connect("3 seconds"), Faults.silence],
      ["limits", "idle", Timeout.limits({ idle: "3 seconds", connect: undefined }), Faults.breaks("a", "silence")]
    ] as const
  )("%s ends it after 3 seconds, not before", ([, scope, limit, turn]) =>
    Effect.gen(function*() {
      const call = yield* Claude.text("hi").pipe(limit, Effect.flip, Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(call)
      assert.deepInclude({ ...error }, { _tag: "TimedOut", scope })
    }).pipe(Effect.provide(FakeClaude.layer([turn]))))

  it.effect("a slow attempt is retried, a slow call is not", () =>
    Effect.gen(function*() {
      const call = yield* Claude.text("hi").pipe(
        Policy.apply({
          attempt: "10 seconds",
          connect: "10 seconds",
          firstToken: "10 seconds",
          retry: { TimedOut: Retry.linear({ times: 9, base: 1 }) },
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
})

describe("settings that cannot be meant are refused when they are written, as by Policy", () => {
  const soon = "soon" as "1 second"
  const one = {
    connect: Timeout.connect,
    firstToken: Timeout.firstToken,
    idle: Timeout.idle,
    contentIdle: Timeout.contentIdle,
    attempt: Timeout.attempt,
    overall: Timeout.overall
  }
  it.each(Object.entries(one))("%s that is no duration", (name, limit) => {
    const sentence = (where: string) => `${where}: ${name} is "soon": it must be a duration longer than nothing`
    assert.throws(() => limit(soon), RangeError, sentence("Timeout"))
    const policy: Policy.Policy = { [name]: soon }
    assert.throws(() => Policy.apply(policy), RangeError, sentence("Policy"))
    for (const none of [0, -1, NaN]) assert.throws(() => limit(none), RangeError, `Timeout: ${name} is ${none}`)
  })

  it.each([
    ["connect", "firstToken"],
    ["idle", "contentIdle"],
    ["connect", "attempt"],
    ["firstToken", "attempt"],
    ["idle", "attempt"],
    ["contentIdle", "attempt"]
  ])("%s that is longer than %s", (shorter, longer) => {
    const limits: Current.Limits = { [shorter]: "2 seconds", [longer]: "1 second" }
    const sentence = (where: string) =>
      `${where}: ${shorter} (2s) is longer than ${longer} (1s), so it is never reached: lower ${shorter} or raise ${longer}`
    assert.throws(() => Timeout.limits(limits), RangeError, sentence("Timeout"))
    assert.throws(() => Policy.apply(limits), RangeError, sentence("Policy"))
    assert.doesNotThrow(() => Timeout.limits({ [shorter]: "1 second", [longer]: "1 second" }))
  })

  it("a field that is misspelt, of another combinator, or no record", () => {
    // @ts-expect-error it is misspelt
    assert.throws(() => Timeout.limits({ idel: 1 }), /Timeout has no field idel: it has connect, firstToken/)
    // @ts-expect-error it is no limit of an attempt
    assert.throws(() => Timeout.limits({ overall: 1 }), /Timeout has no field overall/)
    // @ts-expect-error it is no record
    assert.throws(() => Timeout.limits("1 second"), /Timeout is "1 second": it must be a record/)
  })
})
