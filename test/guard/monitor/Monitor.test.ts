/**
 * When the monitor raises an alert that calls fail, and when it clears it.
 *
 * `SEED=anything vitest run test/guard/monitor/Monitor.test.ts` tries other sequences.
 */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Layer, Random, Ref, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as MonitorGuard from "../../../src/guard/monitor/guard.ts"
import * as Settings from "../../../src/guard/monitor/settings.ts"
import {
  CallLog,
  Claude,
  ClaudeError,
  Fallback,
  Guard,
  Guards,
  type Message,
  Monitor,
  Policy,
  Retry
} from "../../../src/index.ts"
import { FakeClaude, Faults } from "../../../src/testing/index.ts"
import { effort, itLong } from "../../support/effort.ts"

const seed = process.env["SEED"] ?? "resilient-claude"

const events = Effect.flatMap(CallLog.Memory, Ref.get)
const rates = Effect.map(events, (all) => all.filter(isSuccessRate))
const isSuccessRate = (event: CallLog.Event) => event._tag === "SuccessRateLow" || event._tag === "SuccessRateRecovered"
const successRate = Effect.map(Guards.status, (status) => status.successRate ?? assert.fail("there is a monitor"))

/** A fake with a monitor, and its log. Without a budget, so that calls have their own number of retries. */
const watched = (playable: Faults.Playable, guards: Guards.Guards = {}, pager: Array<Monitor.Alert> = []) =>
  FakeClaude.layer(playable).pipe(
    Guards.apply({ budget: false, ...guards }),
    Layer.provide(Layer.succeed(Monitor.Alerts, {
      raise: (alert) => Effect.sync(() => void pager.push(alert))
    })),
    Layer.provideMerge(CallLog.layerMemory)
  )

const ask = Effect.exit(Claude.text("hi"))
/** `admit` reads only the name of the model. */
const request = { params: { model: "claude-haiku-5-5" } } as Message.Request
const every = (length: Duration.Input, times: number) =>
  Effect.replicateEffect(Effect.andThen(ask, TestClock.adjust(length)), times, { discard: true })
const spent = { input: 0, output: 0, dollars: 0, atLeast: false }
const quick = Retry.byTag({ Overloaded: Retry.linear({ times: 3, base: "1 second" }) })

describe("an incident", () => {
  const pager: Array<Monitor.Alert> = []
  // One call every ten seconds, that is 30 in the window of five minutes. From minute 10 to minute 14 most fail.
  const incident = Faults.by(({ elapsed }) =>
    elapsed < 600_000 || elapsed >= 840_000
      ? Faults.answer("well")
      : elapsed % 60_000 === 0
      ? Faults.serverError
      : Faults.overloaded
  )

  it.effect("raises one alert and clears it once, at the expected seconds, with its causes", () =>
    Effect.gen(function*() {
      yield* every("10 seconds", 60)
      assert.deepStrictEqual(yield* rates, [])
      yield* every("10 seconds", 140)
      const told = yield* rates
      // Of 30 calls one may fail: 29 successes are 96.7 %, and 28 are 93.3 %.
      const common = { call: undefined, model: "claude-sonnet-5-5", calls: 30 }
      assert.deepStrictEqual(told, [
        {
          _tag: "SuccessRateLow",
          ...common,
          at: 610_000,
          rate: 0.933,
          failures: 2,
          causes: [{ tag: "ServerFault", count: 1 }, { tag: "Overloaded", count: 1 }]
        },
        // The last but one failure is at 820 seconds, and stays in the window until 1116.
        {
          _tag: "SuccessRateRecovered",
          ...common,
          at: 1_120_000,
          rate: 0.967,
          failures: 1,
          causes: [{ tag: "Overloaded", count: 1 }]
        }
      ])
      assert.deepStrictEqual(pager.filter(isSuccessRate), [...told])
    }).pipe(Effect.provide(watched(incident, {}, pager))))

  it.effect("lists the most frequent cause first", () =>
    Effect.gen(function*() {
      yield* every("1 second", 30)
      assert.deepStrictEqual((yield* successRate).causes, [
        { tag: "Overloaded", count: 4 },
        { tag: "ServerFault", count: 2 },
        { tag: "AuthenticationFailed", count: 1 }
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

  it.effect("raises no alert with 19 failures of 19 calls, only with the 20th call", () =>
    Effect.gen(function*() {
      yield* every("1 second", 19)
      assert.deepStrictEqual(yield* rates, [])
      assert.isFalse((yield* successRate).low)
      yield* ask
      assert.deepInclude((yield* rates)[0], { _tag: "SuccessRateLow", at: 19_000, calls: 20, failures: 19, rate: 0.05 })
      assert.isTrue((yield* successRate).low)
    }).pipe(Effect.provide(watched(Faults.by(({ index }) => index < 19 ? Faults.overloaded : Faults.answer("well"))))))

  it.effect("raises no alert if exactly 95 % succeed", () =>
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

describe("an outage", () => {
  const [from, to] = [600_000, 1_200_000]
  const outage = Faults.by(({ elapsed }) => elapsed >= from && elapsed < to ? Faults.overloaded : Faults.answer("well"))
  const under = (policy: Policy.Policy) => Effect.exit(Claude.text("hi").pipe(Policy.apply(policy)))
  const cases: ReadonlyArray<readonly [title: string, call: typeof ask]> = [
    ["under Policy.standard", under(Policy.standard)],
    ["with a deadline of a minute", under({ ...Policy.standard, overall: "1 minute" })],
    ["without a policy", ask]
  ]
  for (const [title, call] of effort(cases, cases.slice(0, 1))) {
    it.effect(
      `of ten minutes, with a call every second, raises its first alert within a minute, and one alert each for the open circuit, the low success rate and its recovery, ${title}`,
      () => {
        const pager: Array<Monitor.Alert> = []
        return Effect.gen(function*() {
          for (let second = 0; second < 2400; second++) {
            yield* Effect.forkChild(call, { startImmediately: true })
            yield* TestClock.adjust("1 second")
          }
          assert.isAbove(pager[0]?.at ?? 0, from)
          assert.isAtMost(pager[0]?.at ?? Infinity, from + 60_000)
          const circuits = pager.flatMap((alert) => alert._tag === "CircuitOpened" ? [alert] : [])
          assert.match(circuits[0]?.why ?? "", /^\d+ of \d+ calls failed: Overloaded$/)
          assert.lengthOf(circuits, 1, "each failed probe reopens it, which raises one alert only")
          const [low, recovered, ...more] = pager.filter(isSuccessRate)
          assert.deepStrictEqual([low?._tag, recovered?._tag, ...more], ["SuccessRateLow", "SuccessRateRecovered"])
          assert.isAbove(recovered?.at ?? 0, to)
          assert.deepStrictEqual(yield* rates, pager.filter(isSuccessRate))
        }).pipe(Random.withSeed(seed), Effect.provide(watched(outage, { ...Guards.standard, budget: {} }, pager)))
      },
      60_000
    )
  }

  it.effect("raises one alert for each model whose circuit opens", () => {
    const pager: Array<Monitor.Alert> = []
    return Effect.gen(function*() {
      for (const model of ["claude-haiku-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"]) {
        yield* Effect.exit(Claude.text("hi", { model }))
        yield* TestClock.adjust("5 seconds")
      }
      assert.deepStrictEqual(pager.map(({ _tag, model }) => `${_tag} ${model}`), [
        "CircuitOpened claude-haiku-5-5",
        "CircuitOpened claude-sonnet-5-5"
      ])
    }).pipe(Effect.provide(watched(Faults.cycle(Faults.overloaded), { circuit: { minimumCalls: 1 } }, pager)))
  })
})

describe("an alert near the threshold", () => {
  itLong(
    "is raised and cleared at most once an hour, in a day with one call a second of which 5 % fail",
    () =>
      Effect.gen(function*() {
        const pager: Array<Monitor.Alert> = []
        const monitor = MonitorGuard.make(
          Settings.settings({}),
          { emit: () => Effect.void },
          { raise: (alert) => Effect.sync(() => void pager.push(alert)) }
        )
        const ended = { call: "c", model: "claude-sonnet-5-5", spent, took: Duration.zero } as const
        for (let at = 0; at < 86_400_000; at += 1000) {
          const error = new ClaudeError.Overloaded({})
          yield* monitor.log.emit(
            (yield* Random.next) < 0.05
              ? { _tag: "GaveUp", at, ...ended, error, reason: "RetriesSpent", history: [] }
              : { _tag: "CallSucceeded", at, ...ended, attempts: 1 }
          )
        }
        for (const tag of ["SuccessRateLow", "SuccessRateRecovered"] as const) {
          const told = pager.filter(({ _tag }) => _tag === tag)
          assert.isAtLeast(told.length, 5)
          for (const [i, { at }] of told.entries()) assert.isAbove(at - (told[i - 1]?.at ?? -Infinity), 3_600_000)
        }
      }).pipe(Random.withSeed(seed))
  )

  const turns = (fails: (second: number) => boolean) =>
    watched(Faults.by(({ elapsed }) => fails(elapsed / 1000) ? Faults.overloaded : Faults.answer("well")), {
      monitor: { window: "50 seconds", minimumCalls: 20 }
    })
  const told = Effect.map(rates, (all) => all.map(({ _tag, at }) => [_tag, at / 1000]))

  it.effect("lasts for at least one window, even if the rate recovers earlier", () =>
    Effect.gen(function*() {
      yield* every("1 second", 200)
      // Two of 21 fail. Two of 40 may fail: without the minimum, the alert would end at second 39.
      assert.deepStrictEqual(yield* told, [["SuccessRateLow", 20], ["SuccessRateRecovered", 70]])
    }).pipe(Effect.provide(turns((second) => second === 1 || second === 20))))

  it.effect("needs twice as many failures if the last alert was cleared less than an hour ago", () =>
    Effect.gen(function*() {
      yield* every("1 second", 1130)
      assert.deepStrictEqual(yield* told, [
        ["SuccessRateLow", 20],
        ["SuccessRateRecovered", 70],
        // From the third failure of 50 on, fewer than 95 % succeed; from the sixth on, fewer than 90 %.
        ["SuccessRateLow", 1085]
      ])
    }).pipe(Effect.provide(turns((second) => second === 1 || second === 20 || second >= 1080 && second < 1090))))

  it.effect("needs only the usual number of failures if the last alert was cleared more than an hour ago", () =>
    Effect.gen(function*() {
      yield* every("1 second", 100)
      yield* TestClock.adjust("1 hour")
      yield* every("1 second", 60)
      assert.deepStrictEqual((yield* told).at(-1), ["SuccessRateLow", 3745])
    }).pipe(Effect.provide(turns((second) => second === 1 || second === 20 || second >= 3743 && second < 3746))))
})

describe("G9: time alone", () => {
  it.effect("raises no alert at the start, or after an idle hour", () =>
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

  it.effect("does not clear an alert, which is cleared after an idle hour only by the 20th successful call", () =>
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

  it.effect("removes calls from the window, at most 6 seconds early and never late", () =>
    Effect.gen(function*() {
      yield* ask
      yield* TestClock.adjust("294 seconds")
      assert.strictEqual((yield* successRate).calls, 1)
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* successRate).calls, 0)
    }).pipe(Effect.provide(watched(Faults.cycle(Faults.overloaded)))))
})

/** Checks the rate after a call has ended. */
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

describe("the monitor counts", () => {
  counts("a call without a policy once", text, [Faults.overloaded], failure)
  counts("a call with a policy once: its retries do not count", text.pipe(Policy.apply({ retry: quick })), [
    Faults.overloaded,
    Faults.overloaded,
    Faults.overloaded,
    Faults.overloaded
  ], failure)
  counts("a call that a retry saved as a success", text.pipe(Policy.apply({ retry: quick })), [
    Faults.overloaded,
    Faults.answer("well")
  ], success)
  counts(
    "a call that another model saved as a success",
    text.pipe(Policy.apply({ models: ["claude-haiku-5-5"] })),
    [Faults.overloaded, Faults.answer("well")],
    success
  )
  counts(
    "a call under two policies once, by the outer one",
    text.pipe(Policy.apply({}), Policy.apply({ retry: quick })),
    [Faults.overloaded, Faults.overloaded, Faults.answer("well")],
    success
  )
  counts(
    "a failed call under two policies as one failure",
    text.pipe(Policy.apply({ retry: quick }), Policy.apply({})),
    Faults.cycle(Faults.overloaded),
    failure
  )
  counts("a broken stream without a policy as a failure", Stream.runDrain(Claude.events("hi")), [
    Faults.breaks("one")
  ], failure)
  counts("a stream that its reader leaves as a success", Stream.runDrain(Stream.take(Claude.events("hi"), 2)), [
    Faults.answer("one two")
  ], success)
  counts("no refusal under a policy", text.pipe(Policy.apply({})), [Faults.refusal("no")], none)
  counts(
    "no refusal of a stream without a policy",
    Stream.runDrain(Claude.events("hi")),
    [Faults.refusal("no")],
    none
  )
  counts("no request that was not sent", Claude.text({ messages: [] }).pipe(Policy.apply({})), [], none)
  counts("no request that was rejected as invalid", text, [Faults.promptTooLong], none)
  counts("no interrupted call", Effect.timeoutOption(text, "5 seconds"), [Faults.silence], none)
  counts(
    "no interrupted call under a policy",
    text.pipe(Policy.apply({ attempt: "1 hour", firstToken: "50 minutes" })),
    [
      Faults.pings()
    ],
    none
  )
  counts(
    "an exceeded deadline as a failure",
    text.pipe(Policy.apply({ overall: "5 seconds" })),
    [Faults.silence],
    failure
  )
  counts(
    "a call stopped by the budget as a failure",
    text.pipe(Policy.apply({ retry: quick, overall: "10 seconds" })),
    Faults.cycle(Faults.overloaded),
    failure,
    { budget: { size: 1 } }
  )
  const opens = { circuit: { minimumCalls: 1 } }
  counts(
    "a call stopped by the circuit as a failure",
    Effect.andThen(ask, text),
    [Faults.overloaded],
    { calls: 2, failures: 2 },
    opens
  )
  counts(
    "a call under a policy stopped by the circuit once",
    Effect.andThen(ask, text.pipe(Policy.apply({}))),
    [Faults.overloaded],
    { calls: 2, failures: 2 },
    opens
  )
  for (
    const [what, isolate] of [
      ["a model", Guards.isolate("claude-sonnet-5-5")],
      ["the account", Guards.isolate(undefined, "1 hour")]
    ] as const
  ) {
    counts(`no call while ${what} is isolated by hand`, Effect.andThen(isolate, text), [], none, { circuit: {} })
    const policed = Effect.andThen(isolate, text.pipe(Policy.apply({})))
    counts(`no call under a policy while ${what} is isolated by hand`, policed, [], none, { circuit: {} })
  }
  counts(
    "a call stopped by the queue as a failure",
    Effect.all([text, text], { concurrency: 2 }),
    [Faults.delayed(Faults.answer("well"), "5 seconds")],
    // `Effect.all` then interrupts the running call.
    failure,
    { concurrency: { max: 1, queue: 0 } }
  )

  const kinds: ClaudeError.Table<typeof none> = {
    InvalidRequest: none,
    AuthenticationFailed: failure,
    PermissionDenied: failure,
    ResourceNotFound: failure,
    RequestTooLarge: none,
    ContextWindowExceeded: none,
    SpendLimitReached: failure,
    RateLimited: failure,
    Overloaded: failure,
    ServerFault: failure,
    Unreachable: failure,
    PartialAnswer: failure,
    UnexpectedResponse: failure,
    Refused: none,
    Truncated: failure,
    EmptyAnswer: failure,
    MalformedOutput: failure,
    TimedOut: failure,
    DeadlineExceeded: failure,
    CircuitOpen: failure,
    Saturated: failure
  }
  for (const Kind of ClaudeError.ClaudeError.members) {
    const error = new Kind({ scope: "idle" })
    const expected = kinds[error._tag]
    const counted = expected === failure
      ? `a call that fails with ${error._tag} as a failure`
      : `no call that fails with ${error._tag}`
    it.effect(counted, () =>
      Effect.gen(function*() {
        const monitor = MonitorGuard.make(Settings.settings({}), { emit: () => Effect.void }, {
          raise: () => Effect.void
        })
        const { settle } = yield* monitor.admit(request)
        yield* settle(Exit.fail(error))
        assert.deepInclude(monitor.status(0), expected)
      }))
  }
})

describe("alerts", () => {
  it.effect.each(
    [["without a policy", ask], ["under a policy", Effect.exit(Policy.apply({})(Claude.text("hi")))]] as const
  )(
    "do not delay a call %s if the receiver hangs",
    ([, call]) =>
      Effect.gen(function*() {
        const fiber = yield* Effect.forkChild(call)
        yield* TestClock.adjust(0)
        assert.isDefined(fiber.pollUnsafe())
      }).pipe(Effect.provide(
        FakeClaude.layer([Faults.overloaded]).pipe(
          Guards.apply({ monitor: { minimumCalls: 1 } }),
          Layer.provide(Layer.succeed(Monitor.Alerts, { raise: () => Effect.never })),
          Layer.provide(CallLog.layerNoop)
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
    it.effect(`do not fail a call if the receiver ${how}, and the log still gets the event`, () =>
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

  it.effect("do not go to a receiver that is provided to the calls instead of the layer", () =>
    Effect.gen(function*() {
      const elsewhere: Array<Monitor.Alert> = []
      yield* every("1 second", 20).pipe(
        Effect.provideService(Monitor.Alerts, { raise: (alert) => Effect.sync(() => void elsewhere.push(alert)) })
      )
      assert.lengthOf(yield* rates, 1)
      assert.lengthOf(elsewhere, 0)
    }).pipe(Effect.provide(watched(Faults.cycle(Faults.overloaded)))))

  it.effect("are off without a monitor", () =>
    Effect.gen(function*() {
      yield* every("1 second", 30)
      assert.deepStrictEqual(yield* rates, [])
      assert.isUndefined((yield* Guards.status).successRate)
    }).pipe(Effect.provide(watched(Faults.cycle(Faults.overloaded), { monitor: false }))))
})

// -----------------------------------------------------------------------------
// Reference model: the list of endings
// -----------------------------------------------------------------------------

describe("a random sequence of successes and failures", () => {
  const window = 60_000
  const slice = window / 50
  const minimumCalls = 8
  const below = 0.8
  /** Tolerance for sums of doubles. */
  const tiny = 1e-9
  const seen = new Map<string, number>()
  const met = new Map<string, number>()
  const meet = (what: string) => void met.set(what, (met.get(what) ?? 0) + 1)

  const errors = {
    Overloaded: new ClaudeError.Overloaded({}),
    ServerFault: new ClaudeError.ServerFault({}),
    MalformedOutput: new ClaudeError.MalformedOutput({})
  }
  const unsent = [new ClaudeError.CircuitOpen({}), new ClaudeError.Saturated({}), errors.Overloaded]
  const shut = (error: ClaudeError.ClaudeError): Guard.Guard => ({
    gate: () => Effect.fail(error),
    admit: () => Effect.succeed(Guard.nothing)
  })
  const neutral = [
    new ClaudeError.Refused({}),
    new ClaudeError.CircuitOpen({ why: "isolated by hand" }),
    new ClaudeError.Saturated({ by: "drain" }),
    new ClaudeError.InvalidRequest({ sent: false })
  ]

  const Kind = Schema.Literals(["Overloaded", "ServerFault", "MalformedOutput"])
  /** Sometimes enough of one kind in a row to fall far below the threshold soon after a good phase. */
  const Times = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 8 }))
  const Step = Schema.Union([
    Schema.Struct({ do: Schema.Literal("succeed") }),
    Schema.Struct({ do: Schema.Literal("succeed") }),
    Schema.Struct({ do: Schema.Literal("succeed alone"), times: Times }),
    Schema.Struct({ do: Schema.Literal("succeed alone"), times: Times }),
    Schema.Struct({ do: Schema.Literal("give up"), kind: Kind }),
    Schema.Struct({ do: Schema.Literal("fail alone"), kind: Kind, times: Times }),
    Schema.Struct({
      do: Schema.Literal("say nothing"),
      which: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))
    }),
    Schema.Struct({
      do: Schema.Literal("do not ask"),
      which: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 8 }))
    }),
    Schema.Struct({
      do: Schema.Literal("pass"),
      millis: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 12_000 }))
    }),
    Schema.Struct({
      do: Schema.Literal("idle"),
      minutes: Schema.Literals([0, 1, 2, 61])
    })
  ])
  const length = 220

  it.effect.prop("raises and clears alerts exactly as the reference model says", {
    steps: Schema.Array(Step).check(Schema.isMinLength(length), Schema.isMaxLength(length))
  }, ({ steps }) =>
    Effect.gen(function*() {
      const logged: Array<CallLog.Event> = []
      const raised: Array<Monitor.Alert> = []
      const monitor = MonitorGuard.make(
        Settings.settings({ window, minimumCalls, below }),
        { emit: (event) => Effect.sync(() => void logged.push(event)) },
        { raise: (alert) => Effect.sync(() => void raised.push(alert)) }
      )
      const ends: Array<{ readonly at: number; readonly failed: ClaudeError.Tag | undefined }> = []
      const expected: Array<Pick<Extract<Monitor.Alert, CallLog.Rate>, "_tag" | "at" | "calls" | "failures">> = []
      const inWindow = (now: number) => ends.filter(({ at }) => Math.floor(at / slice) > Math.floor(now / slice) - 50)
      const ended = (at: number, failed: ClaudeError.Tag | undefined) => {
        ends.push({ at, failed })
        const recent = inWindow(at)
        const failures = recent.filter(({ failed }) => failed !== undefined).length
        if (recent.length < minimumCalls) return
        const share = failures / recent.length
        const tolerated = 1 - below
        const last = expected.at(-1)
        const since = last === undefined ? Infinity : at - last.at
        if (last?._tag === "SuccessRateLow") {
          if (share > tolerated + tiny) return
          if (since < window) return meet("stands")
          expected.push({ _tag: "SuccessRateRecovered", at, calls: recent.length, failures })
        } else {
          if (share <= tolerated + tiny) return
          if (since < 3_600_000 && share <= 2 * tolerated + tiny) return meet("is not raised again")
          meet(last === undefined ? "is raised" : since < 3_600_000 ? "is raised again" : "is raised after an hour")
          expected.push({ _tag: "SuccessRateLow", at, calls: recent.length, failures })
        }
      }
      const common = { call: "c", model: "claude-sonnet-5-5", took: Duration.zero } as const
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
            for (let i = 0; i < step.times; i++) {
              ended(at, undefined)
              yield* alone(Exit.void)
            }
            break
          case "give up":
            ended(at, step.kind)
            yield* monitor.log.emit(gaveUp(at, errors[step.kind], "RetriesSpent"))
            break
          case "fail alone":
            for (let i = 0; i < step.times; i++) {
              ended(at, step.kind)
              yield* alone(Exit.fail(errors[step.kind]))
            }
            break
          case "say nothing": {
            const error = neutral[step.which % neutral.length] ?? assert.fail("there are some")
            if (step.which > 7) yield* alone(Exit.interrupt())
            else if (step.which < 4) yield* alone(Exit.fail(error))
            else yield* monitor.log.emit(gaveUp(at, error, "NotRetried"))
            break
          }
          case "do not ask": {
            const error = unsent[step.which % unsent.length] ?? assert.fail("there are some")
            ended(at, error._tag)
            if (error._tag === "Overloaded") yield* monitor.log.emit(gaveUp(at, error, "BudgetSpent"))
            else if (step.which < 3) yield* alone(Exit.fail(error))
            else if (step.which < 6) yield* monitor.log.emit(gaveUp(at, error, "NotRetried"))
            else yield* Effect.ignore(monitor.watch(shut(error)).gate(request))
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
        const { causes, ...rest } = monitor.status(now)
        const calls = inWindow(now).length
        assert.deepStrictEqual(rest, {
          rate: calls === 0 ? 1 : Math.round((calls - recent.length) / calls * 1000) / 1000,
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
      const told = raised.flatMap((alert) => {
        if (alert._tag === "CircuitOpened") return []
        const { _tag, at, calls, failures } = alert
        return [{ _tag, at, calls, failures }]
      })
      assert.deepStrictEqual(told, expected)
      assert.deepStrictEqual(logged.filter(isSuccessRate), raised)
      for (const { _tag } of raised) meet(_tag)
    }), { arbitrary: { runs: 50, seed }, timeout: 60_000 })

  it("was tested in 10,000 steps, with each kind of step in at least 5 % of them, and with alerts raised and cleared", () => {
    const total = [...seen.values()].reduce((a, b) => a + b, 0)
    assert.isAtLeast(total, 10_000)
    assert.strictEqual(seen.size, 8)
    for (const [step, count] of seen) assert.isAtLeast(count, total * 0.05, step)
    for (
      const { kind, least } of [
        { kind: "SuccessRateLow", least: 50 },
        { kind: "SuccessRateRecovered", least: 50 },
        { kind: "stands", least: 50 },
        { kind: "is not raised again", least: 50 },
        { kind: "is raised again", least: 5 },
        { kind: "is raised after an hour", least: 5 }
      ]
    ) assert.isAtLeast(met.get(kind) ?? 0, least, kind)
  })
})

describe("a stream that breaks and is not restarted", () => {
  const read = Claude.events("hi").pipe(Policy.applyStream({ retry: quick, onBreak: "fail" }), Stream.runDrain)

  it.effect("counts as one failure under a policy", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 20; i++) yield* Effect.flip(read)
      const { calls, causes, failures, low } = yield* successRate
      assert.deepStrictEqual({ calls, failures, low }, { calls: 20, failures: 20, low: true })
      assert.deepStrictEqual(causes, [{ tag: "PartialAnswer", count: 20 }])
      assert.lengthOf(yield* rates, 1)
    }).pipe(Effect.provide(watched(Faults.cycle(Faults.breaks("half"))))))

  it.effect("counts as one failure without a policy", () =>
    Effect.gen(function*() {
      yield* Effect.flip(Stream.runDrain(Claude.events("hi")))
      const { calls, failures } = yield* successRate
      assert.deepStrictEqual({ calls, failures }, { calls: 1, failures: 1 })
    }).pipe(Effect.provide(watched([Faults.breaks("half")]))))
})

describe("a log that discards events", () => {
  it.effect("does not stop the monitor from counting each successful call under two nested policies exactly once", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 3; i++) yield* Claude.text("hi").pipe(Policy.apply({}), Policy.apply(Policy.standard))
      const { calls, failures } = yield* successRate
      assert.deepStrictEqual({ calls, failures }, { calls: 3, failures: 0 })
    }).pipe(
      Effect.provide(
        FakeClaude.layer(Faults.cycle(Faults.answer("well"))).pipe(Guards.apply({}), Layer.provide(CallLog.layerNoop))
      )
    ))

  it.effect("does not stop the monitor from counting each successful call under a policy inside a fallback exactly once", () =>
    Effect.gen(function*() {
      const ask = Claude.text("hi").pipe(Policy.apply(Policy.standard), Fallback.models(["claude-haiku-5-5"]))
      for (let i = 0; i < 3; i++) yield* ask
      const { calls, failures } = yield* successRate
      assert.deepStrictEqual({ calls, failures }, { calls: 3, failures: 0 })
    }).pipe(
      Effect.provide(
        FakeClaude.layer(Faults.cycle(Faults.answer("well"))).pipe(Guards.apply({}), Layer.provide(CallLog.layerNoop))
      )
    ))

  it.effect("causes no false alert from two nested monitors while 96 % of the calls succeed", () => {
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
          Layer.provide(CallLog.layerNoop),
          Layer.provide(alerts)
        )
      )
    )
  })
})
