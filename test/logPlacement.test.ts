import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, References, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, Fallback, Guards, Policy, Retry } from "../src/index.ts"
import { FakeClaude, Faults } from "../src/testing/index.ts"

type Events = Array<string>

/** A log that records the names of events. */
const into = (seen: Events): CallLog.CallLog => ({ emit: ({ _tag }) => Effect.sync(() => void seen.push(_tag)) })
const withLog = (seen: Events) => Effect.provideService(CallLog.CallLog, into(seen))
const logOf = (seen: Events) => Layer.succeed(CallLog.CallLog, into(seen))

/** A log of the application that writes to the `Logger`. */
const writing: CallLog.CallLog = { emit: ({ _tag }) => Effect.log(_tag) }

/** Loggers that record each line that is logged, and of an event only its name. */
const loggers = (seen: Events): ReadonlySet<Logger.Logger<unknown, void>> =>
  new Set([Logger.make(({ message }) => void seen.push(String(message).replace("claude: ", "")))])
const withLoggers = (seen: Events) => Effect.provideService(Logger.CurrentLoggers, loggers(seen))

type Inside = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** Where logs and loggers are provided: to the layer of `Claude`, or to its caller. */
interface Placement {
  readonly name: string
  /** `seen` must receive all events, and `other` no event. */
  readonly of: (seen: Events, other: Events) => { readonly layer: Layer.Layer<never>; readonly caller: Inside }
}

const placements: ReadonlyArray<Placement> = [
  {
    name: "the log of the layer, whatever log the caller has,",
    of: (seen, other) => ({ layer: logOf(seen), caller: (self) => withLoggers(other)(withLog(other)(self)) })
  },
  {
    name: "the Logger of the caller, if the layer has CallLog.layer and no loggers,",
    of: (seen, other) => ({ layer: CallLog.layer, caller: (self) => withLoggers(seen)(withLog(other)(self)) })
  },
  {
    name: "the Logger of the caller, if a custom log of the layer writes to the Logger,",
    of: (seen, other) => ({
      layer: Layer.succeed(CallLog.CallLog, writing),
      caller: (self) => withLoggers(seen)(withLog(other)(self))
    })
  },
  {
    name: "the Logger of the layer, if the layer has CallLog.layer and loggers,",
    of: (seen, other) => ({
      layer: Layer.provideMerge(CallLog.layer, Layer.succeed(Logger.CurrentLoggers, loggers(seen))),
      caller: (self) => withLoggers(other)(withLog(other)(self))
    })
  },
  {
    name: "the Logger of the caller, if only the caller has CallLog.layer,",
    of: (seen, other) => ({
      layer: Layer.succeed(Logger.CurrentLoggers, loggers(other)),
      caller: (self) =>
        Effect.provide(self, Layer.merge(CallLog.layer, Layer.succeed(Logger.CurrentLoggers, loggers(seen))))
    })
  },
  {
    name: "the log of the caller, if the layer has no log,",
    of: (seen, other) => ({
      layer: Layer.succeed(Logger.CurrentLoggers, loggers(other)),
      caller: (self) => withLoggers(other)(withLog(seen)(self))
    })
  },
  {
    name: "the Logger of the caller, if no log is provided and the layer has no loggers,",
    of: (seen) => ({ layer: Layer.empty, caller: withLoggers(seen) })
  },
  {
    name: "the Logger of the layer, if no log is provided and the layer has loggers,",
    of: (seen, other) => ({
      layer: Layer.succeed(Logger.CurrentLoggers, loggers(seen)),
      caller: withLoggers(other)
    })
  }
]

/** A program, its guards, and the events that it must log. */
interface Scenario {
  readonly name: string
  readonly turns: Faults.Playable
  readonly guards?: Guards.Guards
  readonly run: Effect.Effect<unknown, unknown, Claude.Claude | Guards.Control>
  readonly told: ReadonlyArray<string>
}

const once = Retry.linear({ times: 1, base: "1 second" })
const attempt = ["AttemptStarted", "AttemptSucceeded"]
const failed = ["AttemptStarted", "AttemptFailed"]
const restarting = Policy.applyStream({ retry: once, onBreak: "restart" })
const lowRate: Guards.Guards = { budget: false, monitor: { minimumCalls: 1, window: "1 minute" } }

const scenarios: ReadonlyArray<Scenario> = [
  { name: "a call without a policy", turns: [Faults.answer("hello")], run: Claude.text("hi"), told: attempt },
  {
    name: "attempts and the end of a call",
    turns: [Faults.overloaded, Faults.answer("hello")],
    run: Policy.apply({ retry: once })(Claude.text("hi")),
    told: [...failed, "RetryScheduled", ...attempt, "CallSucceeded"]
  },
  {
    name: "an answer that is continued",
    turns: [Faults.maxTokens("Once upon"), Faults.answer(" a time")],
    run: Policy.apply({ truncated: { raiseTo: 8000 } })(Claude.text("hi")),
    told: [...failed, "Continued", ...attempt, "CallSucceeded"]
  },
  {
    name: "fallbacks to a model and to a notice",
    turns: Faults.cycle(Faults.overloaded),
    run: Claude.text("hi").pipe(Policy.apply({ models: ["claude-haiku-5-5"] }), Fallback.notice()),
    told: [...failed, "FellBack", ...failed, "GaveUp", "FellBack"]
  },
  {
    name: "a warning",
    turns: [Faults.answer("hello")],
    run: Policy.apply(Policy.none)(Claude.text("hi", { model: "claude-opus-4-5" })),
    told: ["Warning", ...attempt, "CallSucceeded"]
  },
  {
    name: "a stream that restarts",
    turns: [Faults.breaks("Once"), Faults.answer("hello")],
    run: Stream.runDrain(restarting(Claude.events("hi"))),
    told: [...failed, "RetryScheduled", "AttemptStarted", "Restarted", "AttemptSucceeded", "CallSucceeded"]
  },
  {
    name: "a stream that its reader leaves",
    turns: [Faults.answer("a b c d e f g h")],
    run: Claude.open("hi").pipe(
      Effect.flatMap(({ events }) => Stream.runHead(events)),
      Effect.scoped,
      Policy.apply(Policy.none)
    ),
    told: ["AttemptStarted", "AttemptAbandoned", "CallSucceeded"]
  },
  {
    name: "a call in a fiber of its own",
    turns: [Faults.answer("hello")],
    run: Effect.flatMap(Effect.forkDetach(Policy.apply(Policy.none)(Claude.text("hi"))), Fiber.join),
    told: [...attempt, "CallSucceeded"]
  },
  {
    name: "a circuit that opens, probes and closes",
    turns: [Faults.overloaded, Faults.answer("hello")],
    guards: { budget: false, monitor: false, circuit: { minimumCalls: 1, failureRate: 0.1, openFor: "5 seconds" } },
    run: Effect.ignore(Claude.text("hi")).pipe(
      Effect.andThen(Effect.sleep("10 seconds")),
      Effect.andThen(Claude.text("hi"))
    ),
    told: [...failed, "CircuitOpened", "CircuitProbing", "AttemptStarted", "CircuitClosed", "AttemptSucceeded"]
  },
  {
    name: "a circuit that is isolated by hand",
    turns: [],
    guards: { budget: false, monitor: false, circuit: {} },
    run: Guards.isolate("claude-sonnet-5-5"),
    told: ["CircuitIsolated"]
  },
  {
    name: "a success rate that falls and recovers",
    turns: [Faults.overloaded, Faults.answer("hello")],
    guards: lowRate,
    run: Effect.ignore(Claude.text("hi")).pipe(
      Effect.andThen(Effect.sleep("10 minutes")),
      Effect.andThen(Claude.text("hi"))
    ),
    told: [...failed, "SuccessRateLow", ...attempt, "SuccessRateRecovered"]
  },
  {
    name: "a low success rate under a policy",
    turns: [Faults.overloaded],
    guards: lowRate,
    run: Policy.apply(Policy.none)(Claude.text("hi")),
    told: [...failed, "GaveUp", "SuccessRateLow"]
  }
]

/** Runs a scenario while the test clock moves by an hour. */
const play = (scenario: Scenario, layer: Layer.Layer<never>, caller: Inside) =>
  Effect.gen(function*() {
    const call = yield* caller(scenario.run).pipe(
      Effect.provide(
        Guards.apply(scenario.guards ?? { budget: false, monitor: false })(
          Layer.provide(FakeClaude.layer(scenario.turns), layer)
        )
      ),
      Effect.provideService(References.MinimumLogLevel, "All"),
      Effect.exit,
      Effect.forkChild({ startImmediately: true })
    )
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(call)
  })

describe.each(placements.map(({ name, of }) => [name, of] as const))("%s", (_, of) => {
  it.effect.each(scenarios)("receives the events of $name", (scenario) =>
    Effect.gen(function*() {
      const [seen, other]: [Events, Events] = [[], []]
      const { caller, layer } = of(seen, other)
      yield* play(scenario, layer, caller)
      assert.deepStrictEqual(seen, scenario.told)
      assert.deepStrictEqual(other, [])
    }))
})

describe("CallLog.layerNoop", () => {
  it.effect.each(scenarios)(
    "provided to the layer of Claude discards the events of $name: the log and the Logger of the caller do not receive them",
    (scenario) =>
      Effect.gen(function*() {
        const other: Events = []
        yield* play(scenario, CallLog.layerNoop, (self) => withLoggers(other)(withLog(other)(self)))
        assert.deepStrictEqual(other, [])
      })
  )

  it.effect("provided to the caller discards the events of all its calls: the Logger of the caller does not receive them", () =>
    Effect.gen(function*() {
      const other: Events = []
      const silent: Inside = (self) => withLoggers(other)(Effect.provide(self, CallLog.layerNoop))
      for (const scenario of scenarios) yield* play(scenario, Layer.empty, silent)
      assert.deepStrictEqual(other, [])
    }))
})

describe("the log of the caller", () => {
  const fake = (...turns: ReadonlyArray<Faults.Turn>) => FakeClaude.layer(turns)
  const many = Faults.answer("a b c d e f g h")

  it.effect("receives all events of an opened answer, even if its reader has another log", () =>
    Effect.gen(function*() {
      const [seen, other]: [Events, Events] = [[], []]
      yield* Claude.open("hi").pipe(
        Policy.apply({ retry: once, onBreak: "restart" }),
        withLog(seen),
        Effect.flatMap(({ events }) => withLog(other)(Stream.runDrain(events))),
        Effect.scoped
      )
      assert.deepStrictEqual(seen, [...attempt, "CallSucceeded"])
      assert.deepStrictEqual(other, [])
    }).pipe(Effect.provide(fake(many))))

  it.effect("receives the restart and the failure of an opened answer, even if its reader has another log", () =>
    Effect.gen(function*() {
      const [seen, other]: [Events, Events] = [[], []]
      const reader = yield* Claude.open("hi").pipe(
        Policy.apply({ retry: once, onBreak: "restart" }),
        withLog(seen),
        Effect.flatMap(({ events }) => withLog(other)(Effect.exit(Stream.runDrain(events)))),
        Effect.scoped,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(reader)
      assert.deepStrictEqual(seen, [
        ...failed,
        "RetryScheduled",
        "AttemptStarted",
        "Restarted",
        "AttemptFailed",
        "GaveUp"
      ])
      assert.deepStrictEqual(other, [])
    }).pipe(Effect.provide(fake(Faults.breaks("Once"), Faults.breaks("Once")))))

  it.effect("receives the end of an opened answer, even if its scope is closed where another log is provided", () =>
    Effect.gen(function*() {
      const [seen, other]: [Events, Events] = [[], []]
      const scope = yield* Scope.make()
      yield* Claude.open("hi").pipe(withLog(seen), Scope.provide(scope))
      yield* withLog(other)(Scope.close(scope, Exit.void))
      assert.deepStrictEqual(seen, ["AttemptStarted", "AttemptAbandoned"])
      assert.deepStrictEqual(other, [])
    }).pipe(Effect.provide(fake(many))))

  it.effect("receives the events of a policy and a fallback around an effect that does not require Claude", () =>
    Effect.gen(function*() {
      const [inside, seen]: [Events, Events] = [[], []]
      const context = yield* Layer.build(Layer.provide(fake(Faults.overloaded, Faults.overloaded), logOf(inside)))
      const own = Effect.provideContext(Claude.text("hi"), context)
      const call = yield* own.pipe(
        Policy.apply({ retry: once }),
        Fallback.notice(),
        withLog(seen),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      assert.instanceOf(yield* Fiber.join(call), Fallback.Notice)
      assert.deepStrictEqual(inside, [...failed, ...failed])
      assert.deepStrictEqual(seen, ["RetryScheduled", "GaveUp", "FellBack"])
    }))

  it.effect("does not fail the call if it dies, and the Logger reports that it died", () =>
    Effect.gen(function*() {
      const lines: Events = []
      const dying = Effect.provideService(CallLog.CallLog, { emit: () => Effect.die("disk on fire") })
      assert.strictEqual(yield* Claude.text("hi").pipe(dying, withLoggers(lines)), "hello")
      assert.include(lines.join("\n"), "a log sink failed")
    }).pipe(Effect.provide(fake(Faults.answer("hello")))))
})

it.effect("an event of a guard outside of a call goes to the log of the layer, or to the Logger if the layer has no log", () =>
  Effect.gen(function*() {
    const guards = Guards.apply({ budget: false, monitor: false, circuit: {} })
    for (const isProvided of [true, false]) {
      const [seen, lines]: [Events, Events] = [[], []]
      yield* Guards.isolate("claude-sonnet-5-5").pipe(
        Effect.provide(guards(Layer.provide(FakeClaude.layer([]), isProvided ? logOf(seen) : Layer.empty))),
        withLoggers(lines)
      )
      assert.deepStrictEqual([seen, lines], isProvided ? [["CircuitIsolated"], []] : [[], ["CircuitIsolated"]])
    }
  }))
