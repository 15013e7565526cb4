import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Redacted, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Claude, type ClaudeError, Current, Policy, Retry, Timeout } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

const requests = Effect.map(FakeClaude.received, (all) => all.length)

describe("a time limit of an attempt", () => {
  it.effect.each(
    [
      ["firstToken", "firstToken", Timeout.firstToken("3 seconds"), Faults.pings("", "1 second")],
      ["idle", "idle", Timeout.idle("3 seconds"), Faults.breaks("a", "silence")],
      ["contentIdle", "contentIdle", Timeout.contentIdle("3 seconds"), Faults.pings("a", "1 second")],
      ["attempt", "attempt", Timeout.attempt("3 seconds"), Faults.pings("a", "1 second")],
      ["connect", "connect", Timeout.connect("3 seconds"), Faults.silence],
      ["limits", "idle", Timeout.limits({ idle: "3 seconds", connect: undefined }), Faults.breaks("a", "silence")]
    ] as const
  )("set with Timeout.%s ends the attempt after exactly 3 seconds", ([, scope, limit, turn]) =>
    Effect.gen(function*() {
      const call = yield* Claude.text("hi").pipe(limit, Effect.flip, Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(call)
      assert.deepInclude({ ...error }, { _tag: "TimedOut", scope })
    }).pipe(Effect.provide(FakeClaude.layer([turn]))))

  it.effect("leads to a retry, unlike the time limit of a call", () =>
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

describe("Timeout.overall", () => {
  it.effect.each([["inner", "1 hour", "5 seconds"], ["outer", "5 seconds", "1 hour"]] as const)(
    "ends the call at the earlier of two deadlines, here the %s deadline",
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

  it.effect("sets Current.Deadline for the effect inside it", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 second")
      assert.strictEqual(
        yield* Timeout.overall("5 seconds")(Effect.map(Current.Deadline, (deadline) => deadline)),
        6000
      )
    }))

  it.effect("sets Current.Deadline to the earlier of two nested deadlines, even if the later one is that of a policy", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const look = Effect.map(Current.Deadline, (deadline) => void seen.push(deadline))
      const outer = Timeout.overall("10 seconds")
      yield* outer(Timeout.overall("1 minute")(look))
      yield* outer(Policy.apply({ overall: "1 minute" })(look))
      yield* Timeout.overall("1 minute")(outer(look))
      assert.deepStrictEqual(seen, [10_000, 10_000, 10_000])
    }))

  it.effect("sends no request if the deadline has passed", () =>
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

describe("DeadlineExceeded", () => {
  const ask = Claude.text("hi")
  const stalls = Faults.breaks("Paris", "silence")
  const retried = { retry: { Overloaded: Retry.linear({ times: 3, base: "1 second" }) } }
  const again = Policy.apply(retried)
  const five = Timeout.overall("5 seconds")

  it.effect("names the limit as it was set, even if the clock moves while the call starts", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      let read = 0
      const moving: Clock.Clock = { ...clock, currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + read++ }
      const call = five(ask).pipe(Effect.provideService(Clock.Clock, moving), Effect.flip)
      const running = yield* Effect.forkChild(call, { startImmediately: true })
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* Fiber.join(running)).message, "The call reached its time limit of 5s.")
    }).pipe(Effect.provide(FakeClaude.layer([stalls]))))

  const told = <A, R>(call: Effect.Effect<A, ClaudeError.ClaudeError, R>) =>
    Effect.gen(function*() {
      const running = yield* Effect.forkChild(Effect.flip(call), { startImmediately: true })
      yield* TestClock.adjust("1 hour")
      const error = yield* Fiber.join(running)
      if (error._tag !== "DeadlineExceeded") return assert.fail(error.message)
      return [error.text && Redacted.value(error.text), error.requestId, error.history?.map(({ error }) => error)]
    })

  it.effect.each<readonly [string, Effect.Effect<unknown, ClaudeError.ClaudeError, Claude.Claude>]>([
    ["Timeout.overall around a call", five(again(ask))],
    ["a policy around a call", Policy.apply({ overall: "5 seconds" })(again(ask))],
    ["a policy around two nested policies", Policy.apply({ overall: "5 seconds" })(again(again(ask)))],
    ["Timeout.overall inside a call", again(five(ask))],
    ["Timeout.overall around a stream", five(Stream.runDrain(Policy.applyStream(retried)(Claude.stream("hi"))))],
    [
      "streamOverall around a stream with its own policy",
      Stream.runDrain(
        Policy.applyStream({ streamOverall: "5 seconds" })(
          Policy.applyStream(retried)(Claude.stream("hi"))
        )
      )
    ]
  ])(
    "of %s has the text and request id of the interrupted attempt, and each earlier failure once",
    ([, call]) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* told(call), [
          "Paris",
          "req_fake_0002",
          ["Overloaded", "DeadlineExceeded"]
        ])
      }).pipe(Effect.provide(FakeClaude.layer([Faults.overloaded, stalls])))
  )

  it.effect.each<readonly [string, Effect.Effect<unknown, ClaudeError.ClaudeError, Claude.Claude>]>([
    ["a call", Effect.timeoutOption(ask, "1 second")],
    ["a stream", Effect.timeoutOption(Stream.runDrain(Claude.stream("hi")), "1 second")],
    ["a call under an earlier deadline", Effect.ignore(Timeout.overall("1 second")(ask))]
  ])("has no text, request id or history of %s that ended before the deadline", ([, ended]) =>
    Effect.gen(function*() {
      const policy = Policy.apply({ overall: "5 seconds" })
      assert.deepStrictEqual(yield* told(policy(Effect.andThen(ended, Effect.never))), [undefined, undefined, []])
    }).pipe(Effect.provide(FakeClaude.layer([stalls]))))
})

describe("Timeout refuses", () => {
  const soon = "soon" as "1 second"
  const one = {
    connect: Timeout.connect,
    firstToken: Timeout.firstToken,
    idle: Timeout.idle,
    contentIdle: Timeout.contentIdle,
    attempt: Timeout.attempt,
    overall: Timeout.overall
  }
  it.each(Object.entries(one))(
    "the time limit %s if it is not a positive duration, and so does Policy",
    (name, limit) => {
      const sentence = (where: string) => `${where}: ${name} is "soon": it must be a duration above 0`
      assert.throws(() => limit(soon), RangeError, sentence("Timeout"))
      const policy: Policy.Policy = { [name]: soon }
      assert.throws(() => Policy.apply(policy), RangeError, sentence("Policy"))
      for (const none of [0, -1, NaN]) assert.throws(() => limit(none), RangeError, `Timeout: ${name} is ${none}`)
    }
  )

  it.each([
    ["connect", "firstToken"],
    ["idle", "contentIdle"],
    ["connect", "attempt"],
    ["firstToken", "attempt"],
    ["idle", "attempt"],
    ["contentIdle", "attempt"]
  ])("the time limit %s if it is longer than %s, and so does Policy", (shorter, longer) => {
    const limits: Current.Limits = { [shorter]: "2 seconds", [longer]: "1 second" }
    const sentence = (where: string) =>
      `${where}: ${shorter} (2s) is longer than ${longer} (1s), so it is never reached: lower ${shorter} or raise ${longer}`
    assert.throws(() => Timeout.limits(limits), RangeError, sentence("Timeout"))
    assert.throws(() => Policy.apply(limits), RangeError, sentence("Policy"))
    assert.doesNotThrow(() => Timeout.limits({ [shorter]: "1 second", [longer]: "1 second" }))
  })

  it("a misspelt field, the field `overall` (it does not limit an attempt), and a value that is not an object", () => {
    // @ts-expect-error misspelt
    assert.throws(() => Timeout.limits({ idel: 1 }), /Timeout\.limits has no field idel: it has connect, firstToken/)
    // @ts-expect-error not a limit of an attempt
    assert.throws(() => Timeout.limits({ overall: 1 }), /Timeout\.limits has no field overall/)
    // @ts-expect-error not a record
    assert.throws(() => Timeout.limits("1 second"), /Timeout\.limits takes an object, like \{ attempt: .*, not a text$/)
  })
})
