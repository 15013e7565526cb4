/**
 * When somebody is told that calls fail, and when that they are well again.
 *
 * `SEED=anything vitest run test/guard/Monitor.test.ts` looks elsewhere.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Layer, Ref, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  CallLog,
  Claude,
  ClaudeError,
  Fallback,
  Guards,
  type Message,
  Monitor,
  Policy,
  Retry
} from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

const seed = process.env["SEED"] ?? "resilient-claude"

const events = Effect.flatMap(CallLog.Memory, Ref.get)
const rates = Effect.map(events, (all) => all.filter(isAlert))
const isAlert = (event: CallLog.Event): event is Monitor.Alert =>
  event._tag === "SuccessRateLow" || event._tag === "SuccessRateRecovered"
const successRate = Effect.map(Guards.status, (status) => status.successRate ?? assert.fail("there is a monitor"))

/** A fake that is watched, and the log of it. The budget is left out: calls have their own number of retries. */
const watched = (playable: Faults.Playable, guards: Guards.Guards = {}, pager: Array<Monitor.Alert> = []) =>
  FakeClaude.layer(playable).pipe(
    Guards.apply({ budget: false, ...guards }),
    Layer.provide(Layer.succeed(Monitor.Alerts, {
      raise: (alert) => Effect.sync(() => void pager.push(alert))
    })),
    Layer.provideMerge(CallLog.layerMemory)
  )

const ask = Effect.exit(Claude.text("hi"))
const every = (length: Duration.Input, times: number) =>
  Effect.replicateEffect(Effect.andThen(ask, TestClock.adjust(length)), times, { discard: true })
const quick = Retry.byTag({ Overloaded: Retry.linear({ times: 3, base: "1 second" }) })

describe("an incident", () => {
  const pager: Array<Monitor.Alert> = []
  // A call every ten seconds, so that the window of five minutes has 30. From minute 10 to minute 14 most fail.
  const incident = Faults.by(({ elapsed }) =>
    elapsed < 600_000 || elapsed >= 840_000
      ? Faults.answer("well")
      : elapsed % 60_000 === 0
      ? Faults.serverError
      : Faults.overloaded
  )

  it.effect("raises once and clears once, at the right minute, with its causes", () =>
    Effect.gen(function*() {
      yield* every("10 seconds", 60)
      assert.deepStrictEqual(yield* rates, [])
      yield* every("10 seconds", 140)
      const told = yield* rates
      // Of 30 calls one may fail: 29 are 96.7 %, and 28 are 93.3 %.
      const common = { call: undefined, model: "claude-sonnet-5-5", calls: 30 }
      assert.deepStrictEqual(told, [
        {
          _tag: "SuccessRateLow",
          ...common,
          at: 610_000,
          rate: 28 / 30,
          failures: 2,
          causes: [{ tag: "ServerFault", count: 1 }, { tag: "Overloaded", count: 1 }]
        },
        // The last but one fails at 820 seconds, and is in the window until 1116.
        {
          _tag: "SuccessRateRecovered",
          ...common,
          at: 1_120_000,
          rate: 29 / 30,
          failures: 1,
          causes: [{ tag: "Overloaded", count: 1 }]
        }
      ])
      assert.deepStrictEqual(pager, [...told])
    }).pipe(Effect.provide(watched(incident, {}, pager))))

  it.effect("tells the most frequent cause first", () =>
    Effect.gen(function*() {
      yield* every("1 second", 30)
      assert.deepStrictEqual((yield* successRate).causes, [
        { tag: "Overloaded", count: 4 },
        { tag: "ServerFault", count: 2 },
        { tag: "Unauthorized", count: 1 }
      ])
    }).pipe(Effect.provide(watched(Faults.by(({ index }) =>
      index === 0
        ? Faults.unauthorized
        : index < 3
        ? Faults.serverError
        : index < 7
        ? Faults.overloaded
        : Faults.answer("well")
    )))))

  it.effect("is none with 19 failures of 19 calls: the 20th call decides", () =>
    Effect.gen(function*() {
      yield* every("1 second", 19)
      assert.deepStrictEqual(yield* rates, [])
      assert.isFalse((yield* successRate).low)
      yield* ask
      assert.deepInclude((yield* rates)[0], { _tag: "SuccessRateLow", at: 19_000, calls: 20, failures: 19, rate: 0.05 })
      assert.isTrue((yield* successRate).low)
    }).pipe(Effect.provide(watched(Faults.by(({ index }) => index < 19 ? Faults.overloaded : Faults.answer("well"))))))

  it.effect("is none where exactly 95 % succeed", () =>
    Effect.gen(function*() {
      yield* every("1 second", 20)
      assert.strictEqual((yield* successRate).rate, 0.95)
      assert.deepStrictEqual(yield* rates, [])
      yield* ask
      assert.lengthOf(yield* rates, 1)
    }).pipe(Effect.provide(watched(Faults.by(({ index }) =>
      index === 3 || index === 20 ? Faults.overloaded : Faults.answer("well")
    )))))
})

describe("G9: time alone raises and clears nothing", () => {
  it.effect("a start, and an idle hour", () =>
    Effect.gen(function*() {
      const empty = { rate: 1, calls: 0, failures: 0, causes: [], low: false }
      assert.deepStrictEqual(yield* successRate, empty)
      yield* TestClock.adjust("1 hour")
      yield* every("1 second", 10)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* successRate, empty)
      yield* every("1 second", 10)
      assert.deepStrictEqual(yield* rates, [])
    }).pipe(Effect.provide(watched(Faults.cycle(Faults.overloaded)))))

  it.effect("an idle hour while it is low: it takes 20 calls to know that all is well", () =>
    Effect.gen(function*() {
      yield* every("1 second", 20)
      assert.lengthOf(yield* rates, 1)
      yield* TestClock.adjust("1 hour")
      assert.deepInclude(yield* successRate, { calls: 0, rate: 1, low: true })
      yield* every("1 second", 19)
      assert.lengthOf(yield* rates, 1)
      yield* ask
      assert.deepStrictEqual((yield* rates).map(({ _tag }) => _tag), ["SuccessRateLow", "SuccessRateRecovered"])
    }).pipe(Effect.provide(watched(Faults.by(({ index }) => index < 20 ? Faults.overloaded : Faults.answer("well"))))))

  it.effect("a call is forgotten within the window and a tenth of a minute, never later than the window", () =>
    Effect.gen(function*() {
      yield* ask
      yield* TestClock.adjust("294 seconds")
      assert.strictEqual((yield* successRate).calls, 1)
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* successRate).calls, 0)
    }).pipe(Effect.provide(watched(Faults.cycle(Faults.overloaded)))))
})

describe("what counts", () => {
  const counts = <E, R>(
    title: string,
    run: Effect.Effect<unknown, E, R>,
    playable: Faults.Playable,
    expected: { readonly calls: number; readonly failures: number },
    guards: Guards.Guards = {}
  ) =>
    it.effect(title, () =>
      Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(Effect.exit(run))
        yield* TestClock.adjust("2 minutes")
        yield* Fiber.interrupt(fiber)
        assert.deepInclude(yield* successRate, expected)
      }).pipe(Effect.provide(watched(playable, guards) as Layer.Layer<R | Guards.Control>)))

  const text = Claude.text("hi")
  const none = { calls: 0, failures: 0 }
  const failure = { calls: 1, failures: 1 }
  const success = { calls: 1, failures: 0 }

  counts("a call without a policy, by its attempt", text, [Faults.overloaded], failure)
  counts("a call with a policy, once: its retries are no calls", text.pipe(Policy.apply({ retry: quick })), [
    Faults.overloaded,
    Faults.overloaded,
    Faults.overloaded,
    Faults.overloaded
  ], failure)
  counts("a call that a retry has saved, as a success", text.pipe(Policy.apply({ retry: quick })), [
    Faults.overloaded,
    Faults.answer("well")
  ], success)
  counts(
    "a call that another model has saved, as a success",
    text.pipe(Policy.apply({ models: ["claude-haiku-5-5"] })),
    [Faults.overloaded, Faults.answer("well")],
    success
  )
  counts(
    "a call under two policies, once, by the outer one",
    text.pipe(Policy.apply({}), Policy.apply({ retry: quick })),
    [Faults.overloaded, Faults.overloaded, Faults.answer("well")],
    success
  )
  counts(
    "and as one failure if it fails",
    text.pipe(Policy.apply({ retry: quick }), Policy.apply({})),
    Faults.cycle(Faults.overloaded),
    failure
  )
  counts("a stream without a policy, that breaks, as a failure", Stream.runDrain(Claude.events("hi")), [
    Faults.breaks("one")
  ], failure)
  counts("a stream that its reader leaves, as a success", Stream.runDrain(Stream.take(Claude.events("hi"), 2)), [
    Faults.answer("one two")
  ], success)
  counts("no refusal, with a policy", text.pipe(Policy.apply({})), [Faults.refusal("no")], none)
  counts(
    "no refusal, without one, where it streams",
    Stream.runDrain(Claude.events("hi")),
    [Faults.refusal("no")],
    none
  )
  counts("no request that was not sent", Claude.text({ messages: [] }).pipe(Policy.apply({})), [], none)
  counts("a request that was rejected", text, [Faults.promptTooLong], failure)
  counts("no interrupt", Effect.timeoutOption(text, "5 seconds"), [Faults.silence], none)
  counts("no interrupt under a policy", text.pipe(Policy.apply({ attempt: "1 hour", firstToken: "50 minutes" })), [
    Faults.pings()
  ], none)
  counts(
    "a deadline that is exceeded",
    text.pipe(Policy.apply({ overall: "5 seconds" })),
    [Faults.silence],
    failure
  )
  counts(
    "no call that the budget stops",
    text.pipe(Policy.apply({ retry: quick, overall: "1 minute" })),
    Faults.cycle(Faults.overloaded),
    none,
    { budget: { burst: 0 } }
  )
  counts(
    "no call that the circuit stops",
    Effect.andThen(Guards.isolate("claude-sonnet-5-5"), text),
    [],
    none,
    { circuit: {} }
  )
  counts(
    "no call that the queue stops",
    Effect.all([text, text], { concurrency: 2 }),
    [Faults.delayed(Faults.answer("well"), "5 seconds")],
    // `Effect.all` then interrupts the one that runs.
    none,
    { concurrency: { max: 1, queue: 0 } }
  )
})

describe("alerts", () => {
  it.effect.each([["alone", ask], ["under a policy", Effect.exit(Policy.apply({})(Claude.text("hi")))]] as const)(
    "that hang hold up no call %s",
    ([, call]) =>
      Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(call)
        yield* TestClock.adjust(0)
        assert.isDefined(fiber.pollUnsafe())
      }).pipe(Effect.provide(
        FakeClaude.layer([Faults.overloaded]).pipe(
          Guards.apply({ monitor: { minimumCalls: 1 } }),
          Layer.provide(Layer.succeed(Monitor.Alerts, { raise: () => Effect.never })),
          Layer.provide(CallLog.layerNone)
        )
      ))
  )

  for (
    const [how, raise] of [
      ["dies", () => Effect.die("the pager is off")],
      ["throws", () => {
        throw new Error("the pager is off")
      }]
    ] as const
  ) {
    it.effect(`what ${how} fails no call, and the log is told all the same`, () =>
      Effect.gen(function*() {
        yield* every("1 second", 19)
        const exit = yield* Effect.exit(Claude.text("hi").pipe(Policy.apply({})))
        assert.deepStrictEqual(exit, Exit.succeed("well"))
        assert.lengthOf(yield* rates, 1)
        assert.strictEqual(yield* Claude.text("hi"), "well")
      }).pipe(Effect.provide(
        FakeClaude.layer(Faults.by(({ index }) => index < 19 ? Faults.overloaded : Faults.answer("well"))).pipe(
          Guards.apply({}),
          Layer.provide(Layer.succeed(Monitor.Alerts, { raise })),
          Layer.provideMerge(CallLog.layerMemory)
        )
      )))
  }

  it.effect("are those of the place where the layer is built", () =>
    Effect.gen(function*() {
      const elsewhere: Array<Monitor.Alert> = []
      yield* every("1 second", 20).pipe(
        Effect.provideService(Monitor.Alerts, { raise: (alert) => Effect.sync(() => void elsewhere.push(alert)) })
      )
      assert.lengthOf(yield* rates, 1)
      assert.lengthOf(elsewhere, 0)
    }).pipe(Effect.provide(watched(Faults.cycle(Faults.overloaded)))))

  it.effect("there are none without a monitor", () =>
    Effect.gen(function*() {
      yield* every("1 second", 30)
      assert.deepStrictEqual(yield* rates, [])
      assert.isUndefined((yield* Guards.status).successRate)
    }).pipe(Effect.provide(watched(Faults.cycle(Faults.overloaded), { monitor: false }))))
})

// -----------------------------------------------------------------------------
// The model: a list of what happened
// -----------------------------------------------------------------------------

describe("any order of endings", () => {
  const window = 60_000
  const slice = window / 50
  const minimumCalls = 8
  const below = 0.7
  const seen = new Map<string, number>()

  const errors = {
    Overloaded: new ClaudeError.Overloaded({}),
    ServerFault: new ClaudeError.ServerFault({}),
    MalformedOutput: new ClaudeError.MalformedOutput({})
  }
  const neutral = [
    new ClaudeError.Refused({}),
    new ClaudeError.CircuitOpen({}),
    new ClaudeError.Saturated({}),
    new ClaudeError.InvalidRequest({ sent: false })
  ]
  // What `admit` looks at is the name of the model.
  const request = { params: { model: "claude-haiku-5-5" } } as Message.Request

  const Kind = Schema.Literals(["Overloaded", "ServerFault", "MalformedOutput"])
  const Step = Schema.Union([
    Schema.Struct({ do: Schema.Literal("succeed") }),
    Schema.Struct({ do: Schema.Literal("succeed") }),
    Schema.Struct({ do: Schema.Literal("succeed alone") }),
    Schema.Struct({ do: Schema.Literal("succeed alone") }),
    Schema.Struct({ do: Schema.Literal("give up"), kind: Kind }),
    Schema.Struct({ do: Schema.Literal("fail alone"), kind: Kind }),
    Schema.Struct({
      do: Schema.Literal("say nothing"),
      which: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))
    }),
    Schema.Struct({
      do: Schema.Literal("pass"),
      millis: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 12_000 }))
    }),
    Schema.Struct({
      do: Schema.Literal("idle"),
      minutes: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 }))
    })
  ])
  const length = 220

  it.effect.prop("raises and clears as the list of them says, once each", {
    steps: Schema.Array(Step).check(Schema.isMinLength(length), Schema.isMaxLength(length))
  }, ({ steps }) =>
    Effect.gen(function*() {
      const logged: Array<CallLog.Event> = []
      const raised: Array<Monitor.Alert> = []
      const monitor = Monitor.make(
        Monitor.settings({ window, minimumCalls, below }),
        { emit: (event) => Effect.sync(() => void logged.push(event)) },
        { raise: (alert) => Effect.sync(() => void raised.push(alert)) }
      )
      const ends: Array<{ readonly at: number; readonly failed: ClaudeError.Tag | undefined }> = []
      const expected: Array<Pick<Monitor.Alert, "_tag" | "at" | "calls" | "failures">> = []
      const inWindow = (now: number) => ends.filter(({ at }) => Math.floor(at / slice) > Math.floor(now / slice) - 50)
      const ended = (at: number, failed: ClaudeError.Tag | undefined) => {
        ends.push({ at, failed })
        const recent = inWindow(at)
        const failures = recent.filter(({ failed }) => failed !== undefined).length
        const wasLow = expected.at(-1)?._tag === "SuccessRateLow"
        if (recent.length < minimumCalls) return
        const isLow = (recent.length - failures) / recent.length < below
        if (isLow === wasLow) return
        expected.push({ _tag: isLow ? "SuccessRateLow" : "SuccessRateRecovered", at, calls: recent.length, failures })
      }
      const common = { call: "c", model: "claude-sonnet-5-5", took: Duration.zero } as const
      const spent = { input: 0, output: 0, dollars: 0, atLeast: false }
      const gaveUp = (at: number, error: ClaudeError.ClaudeError, reason: ClaudeError.GaveUp): CallLog.Event => ({
        _tag: "GaveUp",
        ...common,
        at,
        error,
        reason,
        history: [],
        spent
      })
      const alone = (exit: Exit.Exit<unknown, unknown>) =>
        Effect.flatMap(monitor.admit(request), ({ settle }) => settle(exit))

      for (const step of steps) {
        seen.set(step.do, (seen.get(step.do) ?? 0) + 1)
        const at = yield* Clock.currentTimeMillis
        switch (step.do) {
          case "succeed":
            ended(at, undefined)
            yield* monitor.log.emit({ _tag: "CallSucceeded", ...common, at, attempts: 1, spent })
            break
          case "succeed alone":
            ended(at, undefined)
            yield* alone(Exit.void)
            break
          case "give up":
            ended(at, step.kind)
            yield* monitor.log.emit(gaveUp(at, errors[step.kind], "RetriesSpent"))
            break
          case "fail alone":
            ended(at, step.kind)
            yield* alone(Exit.fail(errors[step.kind]))
            break
          case "say nothing": {
            const error = neutral[step.which % neutral.length] ?? assert.fail("there are some")
            if (step.which === 8) yield* alone(Exit.interrupt())
            else if (step.which === 9) yield* monitor.log.emit(gaveUp(at, errors.Overloaded, "BudgetSpent"))
            else if (step.which < 4) yield* alone(Exit.fail(error))
            else yield* monitor.log.emit(gaveUp(at, error, "NotRetried"))
            break
          }
          case "pass":
            yield* TestClock.adjust(step.millis)
            break
          case "idle":
            yield* TestClock.adjust(Duration.minutes(step.minutes))
        }
        const now = yield* Clock.currentTimeMillis
        const recent = inWindow(now).flatMap(({ failed }) => failed ?? [])
        const { causes, ...status } = monitor.status(now)
        const calls = inWindow(now).length
        assert.deepStrictEqual(status, {
          rate: calls === 0 ? 1 : (calls - recent.length) / calls,
          calls,
          failures: recent.length,
          low: expected.at(-1)?._tag === "SuccessRateLow"
        })
        assert.deepStrictEqual(
          new Map(causes.map(({ count, tag }) => [tag, count])),
          new Map(recent.map((tag) => [tag, recent.filter((other) => other === tag).length]))
        )
        assert.isTrue(causes.every(({ count }, i) => count <= (causes[i - 1]?.count ?? Infinity)))
      }
      const told = raised.map(({ _tag, at, calls, failures }) => ({ _tag, at, calls, failures }))
      assert.deepStrictEqual(told, expected)
      assert.deepStrictEqual(logged.filter(isAlert), raised)
      seen.set("alerts", (seen.get("alerts") ?? 0) + raised.length)
    }), { arbitrary: { runs: 50, seed }, timeout: 60_000 })

  it("went 10,000 steps, each kind of them at least one in twenty times, and raised and cleared", () => {
    const { alerts = 0, ...steps } = Object.fromEntries(seen)
    const total = Object.values(steps).reduce((a, b) => a + b, 0)
    assert.isAtLeast(total, 10_000)
    assert.lengthOf(Object.keys(steps), 7)
    for (const [step, count] of Object.entries(steps)) assert.isAtLeast(count, total * 0.05, step)
    assert.isAtLeast(alerts, 100)
  })
})

describe("a stream that opens and then breaks off for good", () => {
  const read = Claude.events("hi").pipe(Policy.applyStream({ retry: quick, onBreak: "fail" }), Stream.runDrain)

  it.effect("is one failure, at its end", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 20; i++) yield* Effect.flip(read)
      const { calls, causes, failures, low } = yield* successRate
      assert.deepStrictEqual({ calls, failures, low }, { calls: 20, failures: 20, low: true })
      assert.deepStrictEqual(causes, [{ tag: "PartialAnswer", count: 20 }])
      assert.lengthOf(yield* rates, 1)
    }).pipe(Effect.provide(watched(Faults.cycle(Faults.breaks("half"))))))

  it.effect("is one failure where no policy runs it", () =>
    Effect.gen(function*() {
      yield* Effect.flip(Stream.runDrain(Claude.events("hi")))
      const { calls, failures } = yield* successRate
      assert.deepStrictEqual({ calls, failures }, { calls: 1, failures: 1 })
    }).pipe(Effect.provide(watched([Faults.breaks("half")]))))
})

describe("a log that nobody reads", () => {
  it.effect("does not keep the monitor from counting what goes well", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 3; i++) yield* Claude.text("hi").pipe(Policy.apply({}), Policy.apply(Policy.standard))
      const { calls, failures } = yield* successRate
      assert.deepStrictEqual({ calls, failures }, { calls: 3, failures: 0 })
    }).pipe(
      Effect.provide(
        FakeClaude.layer(Faults.cycle(Faults.answer("well"))).pipe(Guards.apply({}), Layer.provide(CallLog.layerNone))
      )
    ))

  it.effect("nor what goes well under a policy inside of a fallback", () =>
    Effect.gen(function*() {
      const ask = Claude.text("hi").pipe(Policy.apply(Policy.standard), Fallback.models(["claude-haiku-5-5"]))
      for (let i = 0; i < 3; i++) yield* ask
      const { calls, failures } = yield* successRate
      assert.deepStrictEqual({ calls, failures }, { calls: 3, failures: 0 })
    }).pipe(
      Effect.provide(
        FakeClaude.layer(Faults.cycle(Faults.answer("well"))).pipe(Guards.apply({}), Layer.provide(CallLog.layerNone))
      )
    ))

  it.effect("nor a monitor inside of another", () => {
    const pager: Array<Monitor.Alert> = []
    const alerts = Layer.succeed(Monitor.Alerts, { raise: (alert) => Effect.sync(() => void pager.push(alert)) })
    const playable = Faults.by(({ index }) => index % 25 === 24 ? Faults.serverError : Faults.answer("well"))
    return Effect.gen(function*() {
      for (let i = 0; i < 1000; i++) yield* Effect.exit(Claude.text("hi").pipe(Policy.apply({})))
      assert.deepStrictEqual(pager, [])
    }).pipe(
      Effect.provide(
        FakeClaude.layer(playable).pipe(
          Guards.apply({}),
          Guards.apply({}),
          Layer.provide(CallLog.layerNone),
          Layer.provide(alerts)
        )
      )
    )
  })
})
