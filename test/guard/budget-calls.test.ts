/** The budget of extra attempts, as calls meet it: through the policies, the guards and the wire. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Ref, Schema, type Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, ClaudeError, Fallback, Guards, Policy, Retry } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

type Guarded = Claude.Claude | Guards.Control | FakeClaude.Received | CallLog.Memory

/** A guarded fake, and the log of it. */
const guarded = (guards: Guards.Guards, playable: Faults.Playable): Layer.Layer<Guarded> =>
  FakeClaude.layer(playable).pipe(Guards.apply(guards), Layer.provideMerge(CallLog.layerMemory))

const events = Effect.flatMap(CallLog.Memory, Ref.get)
const requests = Effect.map(FakeClaude.received, (all) => all.length)
const budget = Effect.map(Guards.status, (status) => status.budget ?? assert.fail("there is a budget"))
const left = Effect.map(budget, ({ left }) => left)

const quick = Retry.byTag({
  Overloaded: Retry.linear({ times: 3, base: "1 second" }),
  PartialAnswer: Retry.linear({ times: 3, base: "1 second" }),
  CircuitOpen: Retry.linear({ times: 3, base: "1 second" }),
  MalformedOutput: Retry.reask(3)
})
const Invoice = Schema.Struct({ total: Schema.Int })

/** What one failed extra attempt spends. */
const small = { quota: 14, burst: 10 }

/** Every way in which a call comes to ask more than once, what is answered first, and what to the second request. */
const extras: ReadonlyArray<
  readonly [
    name: string,
    run: Effect.Effect<unknown, unknown, Claude.Claude | Scope.Scope>,
    first: Faults.Turn,
    second: Faults.Turn,
    error: ClaudeError.Tag
  ]
> = [
  [
    "a retry",
    Claude.text("hi").pipe(Policy.apply({ retry: quick, overall: "1 minute" })),
    Faults.overloaded,
    Faults.answer("well"),
    "Overloaded"
  ],
  [
    "a re-ask",
    Claude.object(Invoice, "hi").pipe(Policy.apply({ retry: quick, overall: "1 minute" })),
    Faults.value({ total: "many" }),
    Faults.value({ total: 1 }),
    "MalformedOutput"
  ],
  [
    "a continuation",
    Claude.text("hi").pipe(Policy.apply({ truncated: { continue: 2 }, overall: "1 minute" })),
    Faults.maxTokens("one two three"),
    Faults.answer("one two three four"),
    "Truncated"
  ],
  [
    "a raised limit",
    Claude.text("hi", { maxTokens: 100 }).pipe(Policy.apply({ truncated: { raiseTo: 200 }, overall: "1 minute" })),
    Faults.maxTokens("one two three"),
    Faults.answer("one two three four"),
    "Truncated"
  ],
  [
    "a turn that was paused",
    Claude.text("hi").pipe(Policy.apply({ overall: "1 minute" })),
    Faults.paused("one two three"),
    Faults.answer("four"),
    "Truncated"
  ],
  [
    "a nudge",
    Claude.text("hi").pipe(Policy.apply({ empty: { nudge: 1 }, overall: "1 minute" })),
    Faults.emptyAnswer,
    Faults.answer("well"),
    "EmptyAnswer"
  ],
  [
    "a stream that begins anew",
    Claude.events("hi").pipe(
      Policy.applyStream({ retry: quick, onBreak: "restart", overall: "1 minute" }),
      Stream.runDrain
    ),
    Faults.breaks("one two"),
    Faults.answer("one two three"),
    "PartialAnswer"
  ],
  [
    "a stream that is resumed",
    Claude.events("hi").pipe(
      Policy.applyStream({ retry: quick, onBreak: "resume", overall: "1 minute" }),
      Stream.runDrain
    ),
    Faults.breaks("one two three four five"),
    Faults.answer("one two three four five six"),
    "PartialAnswer"
  ],
  [
    "a stream that is opened again",
    Claude.events("hi").pipe(Policy.applyStream({ retry: quick, overall: "1 minute" }), Stream.runDrain),
    Faults.overloaded,
    Faults.answer("one two three"),
    "Overloaded"
  ],
  [
    "the next model of a policy",
    Claude.text("hi").pipe(Policy.apply({ models: ["claude-haiku-5-5"], overall: "2 minutes" })),
    Faults.overloaded,
    Faults.answer("well"),
    "Overloaded"
  ],
  [
    "the next model without a policy",
    Claude.text("hi").pipe(Fallback.models(["claude-haiku-5-5"])),
    Faults.overloaded,
    Faults.answer("well"),
    "Overloaded"
  ],
  [
    "the next model around a policy",
    Claude.text("hi").pipe(
      Policy.apply({ retry: Retry.never, overall: "1 minute" }),
      Fallback.models(["claude-haiku-5-5"])
    ),
    Faults.overloaded,
    Faults.answer("well"),
    "Overloaded"
  ]
]

const ours = (error: unknown): ClaudeError.ClaudeError => ClaudeError.is(error) ? error : assert.fail(String(error))

/** One call, and a retry that fails. */
const spend = Effect.gen(function*() {
  const call = yield* Claude.text("hi").pipe(
    Policy.apply({ retry: Retry.linear({ times: 1, base: "1 second" }) }),
    Effect.flip,
    Effect.forkChild
  )
  yield* TestClock.adjust("1 second")
  yield* Fiber.join(call)
})

describe("G7: one budget for", () => {
  for (const [name, run, first, second, tag] of extras) {
    it.effect(`${name}, which is charged, and given back when it succeeds`, () =>
      Effect.gen(function*() {
        const call = yield* Effect.forkChild(Effect.exit(run))
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* requests, 2)
        const { extra, ...running } = yield* budget
        assert.deepStrictEqual(running, { left: 126, waiting: 0, calls: 1 })
        assert.strictEqual(extra, 1)
        yield* TestClock.adjust("10 seconds")
        assert.isTrue((yield* Fiber.join(call))._tag === "Success")
        assert.deepStrictEqual(yield* budget, { left: 140, waiting: 0, calls: 1, extra: 0 })
      }).pipe(Effect.scoped, Effect.provide(guarded({}, [first, Faults.delayed(second, "10 seconds")]))))

    it.effect(`${name}, which waits when it is spent, and then gives up with what it failed with`, () =>
      Effect.gen(function*() {
        yield* spend
        assert.deepStrictEqual(yield* budget, { left: 0, waiting: 0, calls: 1, extra: 1 })
        const call = yield* Effect.forkChild(Effect.flip(run))
        yield* TestClock.adjust("50 seconds")
        assert.isUndefined(call.pollUnsafe())
        assert.strictEqual((yield* budget).waiting, 1)
        yield* TestClock.adjust("5 minutes")
        const error = ours(yield* Fiber.join(call))
        assert.strictEqual(error._tag, tag)
        assert.strictEqual(error.gaveUp, "BudgetSpent")
        assert.deepStrictEqual(error.history?.map(({ error }) => error), [tag])
        // Nothing was sent after it.
        assert.strictEqual(yield* requests, 3)
        assert.deepStrictEqual(yield* budget, { left: 0, waiting: 0, calls: 0, extra: 0 })
      }).pipe(
        Effect.scoped,
        Effect.provide(guarded({ budget: small }, [Faults.overloaded, Faults.overloaded, first, second]))
      ))
  }
})

describe("G7: a stream", () => {
  const restarted = Claude.events("hi").pipe(Policy.applyStream({ retry: quick, onBreak: "restart" }), Stream.runDrain)

  it.effect("that begins anew and breaks each time is load for nothing: an outage costs ten such attempts", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 200; i++) {
        yield* Effect.forkChild(Effect.ignore(restarted))
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual((yield* requests) - 200, 10)
    }).pipe(Effect.provide(guarded({}, Faults.cycle(Faults.breaks("one two"))))))

  it.effect("gives back what its opening took, and takes it again if it breaks: only once, also if nobody opens it again", () =>
    Effect.gen(function*() {
      const reader = yield* Claude.events("hi").pipe(
        Policy.applyStream({ retry: quick }),
        Stream.runDrain,
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* budget, { left: 126, waiting: 0, calls: 1, extra: 1 })
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* budget, { left: 140, waiting: 0, calls: 1, extra: 0 })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(ours(yield* Fiber.join(reader))._tag, "PartialAnswer")
      assert.deepStrictEqual(yield* budget, { left: 126, waiting: 0, calls: 1, extra: 1 })
    }).pipe(Effect.provide(guarded({}, [Faults.overloaded, Faults.breaks("one two", "cut", { every: "1 second" })]))))

  it.effect("that breaks in its first attempt gives nothing back", () =>
    Effect.gen(function*() {
      yield* spend
      for (let i = 0; i < 5; i++) {
        yield* Claude.events("hi").pipe(Policy.applyStream({ retry: quick }), Stream.runDrain, Effect.flip)
        assert.strictEqual(yield* left, 126)
      }
      yield* Claude.events("hi").pipe(Policy.applyStream({ retry: quick }), Stream.runDrain)
      assert.strictEqual(yield* left, 127)
    }).pipe(
      Effect.provide(guarded(
        {},
        Faults.by(({ index }) =>
          index < 2 ? Faults.overloaded : index < 7 ? Faults.breaks("one two") : Faults.answer("well")
        )
      ))
    ))

  it.effect("that breaks inside of its attempt is told once", () =>
    Effect.gen(function*() {
      const read = Effect.scoped(Effect.flatMap(Claude.open("hi"), ({ events }) => Stream.runDrain(events)))
      const call = yield* read.pipe(Policy.apply({ retry: quick }), Effect.forkChild)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(call)
      assert.deepStrictEqual(yield* budget, { left: 127, waiting: 0, calls: 1, extra: 1 })
    }).pipe(Effect.provide(guarded({}, [Faults.breaks("one"), Faults.breaks("one"), Faults.answer("one two")]))))

  it.effect("that its reader leaves, or that is interrupted, costs nothing", () =>
    Effect.gen(function*() {
      const read = Claude.events("hi").pipe(Policy.applyStream({ retry: quick }))
      const left = yield* Effect.forkChild(Stream.runDrain(Stream.take(read, 3)))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(left)
      assert.deepStrictEqual(yield* budget, { left: 140, waiting: 0, calls: 1, extra: 0 })
      const interrupted = yield* Effect.forkChild(Stream.runDrain(read))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.interrupt(interrupted)
      assert.deepStrictEqual(yield* budget, { left: 140, waiting: 0, calls: 2, extra: 0 })
    }).pipe(Effect.provide(guarded(
      {},
      Faults.cycle(
        Faults.overloaded,
        Faults.answer("one two three four five six seven", { every: "1 second" })
      )
    ))))
})

describe("G7: a call", () => {
  it.effect("that is answered gives 1 back, and what its further attempts had taken", () =>
    Effect.gen(function*() {
      yield* spend
      assert.strictEqual(yield* left, 126)
      yield* Claude.text("hi").pipe(Policy.apply(Policy.standard))
      assert.strictEqual(yield* left, 127)
      const retried = yield* Effect.forkChild(Claude.text("hi").pipe(Policy.apply({ retry: quick })))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(retried)
      assert.strictEqual(yield* left, 128)
    }).pipe(Effect.provide(guarded({}, [
      Faults.overloaded,
      Faults.overloaded,
      Faults.answer("well"),
      Faults.overloaded,
      Faults.answer("well")
    ]))))

  it.effect("after a rate limit that said when to come back takes 5", () =>
    Effect.gen(function*() {
      const call = yield* Claude.text("hi").pipe(Policy.apply(Policy.standard), Effect.flip, Effect.forkChild)
      yield* TestClock.adjust("5 minutes")
      yield* Fiber.join(call)
      assert.strictEqual(yield* left, 135)
    }).pipe(Effect.provide(guarded({}, [Faults.rateLimited("2 seconds"), Faults.refusal("no")]))))

  it.effect("is one, however many policies and fallbacks are around it", () =>
    Effect.gen(function*() {
      const policy = { retry: quick, overall: "1 minute" } as const
      const asked = Claude.text("hi").pipe(Policy.apply(policy))
      const ways = [
        asked,
        asked.pipe(Policy.apply({})),
        asked.pipe(Policy.apply({}), Policy.apply(policy)),
        asked.pipe(Fallback.models(["claude-haiku-5-5"])),
        asked.pipe(Fallback.models(["claude-haiku-5-5"]), Policy.apply(policy)),
        asked.pipe(Fallback.models(["claude-haiku-5-5"]), Fallback.models(["claude-opus-5-5"])),
        Claude.text("hi").pipe(Fallback.models(["claude-haiku-5-5"]), Policy.apply({})),
        Claude.text("hi").pipe(Policy.apply({ models: ["claude-haiku-5-5"] }))
      ]
      for (const [i, way] of ways.entries()) {
        assert.strictEqual(yield* way, "well")
        assert.deepStrictEqual(yield* budget, { left: 140, waiting: 0, calls: i + 1, extra: 0 })
      }
    }).pipe(Effect.provide(guarded({}, Faults.cycle(Faults.answer("well"))))))

  it.effect("under two policies pays for each further request once", () =>
    Effect.gen(function*() {
      const call = yield* Claude.text("hi").pipe(
        Policy.apply({ retry: Retry.linear({ times: 1, base: "1 second" }) }),
        Policy.apply({ retry: Retry.linear({ times: 1, base: "1 second" }) }),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(call)
      assert.strictEqual(yield* requests, 4)
      assert.deepStrictEqual(yield* budget, { left: 140 - 3 * 14, waiting: 0, calls: 1, extra: 3 })
    }).pipe(Effect.provide(guarded({}, Faults.cycle(Faults.overloaded)))))

  it.effect("without a policy is one attempt, and none of the budget's business", () =>
    Effect.gen(function*() {
      yield* Effect.flip(Claude.text("hi"))
      assert.deepStrictEqual(yield* budget, { left: 140, waiting: 0, calls: 0, extra: 0 })
    }).pipe(Effect.provide(guarded({}, Faults.cycle(Faults.overloaded)))))

  it.effect("pays nothing after CircuitOpen, if nothing was sent", () =>
    Effect.gen(function*() {
      yield* Guards.isolate("claude-sonnet-5-5", "1500 millis")
      const call = yield* Effect.forkChild(Claude.text("hi").pipe(Policy.apply({ retry: quick })))
      yield* TestClock.adjust("5 seconds")
      // It is on its way.
      assert.strictEqual(yield* requests, 1)
      assert.deepStrictEqual(yield* budget, { left: 140, waiting: 0, calls: 1, extra: 0 })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(call), "well")
    }).pipe(Effect.provide(guarded({ circuit: {} }, [Faults.delayed(Faults.answer("well"), "8 seconds")]))))

  it.effect("pays after CircuitOpen, if something was sent before it", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(Claude.text("hi").pipe(Policy.apply({ retry: quick })))
      yield* TestClock.adjust("1500 millis")
      // What the circuit has stopped is given back.
      assert.strictEqual(yield* requests, 1)
      assert.strictEqual(yield* left, 140)
      // It is open for 5 to 10 seconds.
      yield* TestClock.adjust("12 seconds")
      assert.strictEqual(yield* requests, 2)
      assert.deepStrictEqual(yield* budget, { left: 126, waiting: 0, calls: 1, extra: 1 })
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* Fiber.join(call), "well")
      assert.strictEqual(yield* left, 140)
    }).pipe(
      Effect.provide(guarded({ circuit: { minimumCalls: 1, openFor: "10 seconds" } }, [
        Faults.overloaded,
        Faults.delayed(Faults.answer("well"), "9 seconds")
      ]))
    ))

  it.effect("that waits goes when another has worked", () =>
    Effect.gen(function*() {
      const asked = Claude.text("hi").pipe(Policy.apply({ retry: quick, overall: "1 minute" }))
      const first = yield* Effect.forkChild(asked)
      const second = yield* Effect.forkChild(asked)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* requests, 3)
      assert.deepStrictEqual(yield* budget, { left: 0, waiting: 1, calls: 2, extra: 1 })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(first), "well")
      assert.strictEqual(yield* Fiber.join(second), "at last")
      assert.deepStrictEqual(yield* budget, { left: 14, waiting: 0, calls: 2, extra: 0 })
    }).pipe(Effect.provide(guarded({ budget: small }, [
      Faults.overloaded,
      Faults.overloaded,
      Faults.delayed(Faults.answer("well"), "10 seconds"),
      Faults.answer("at last")
    ]))))

  it.effect("G11: that waits until its deadline says what it failed with, and not that the deadline was exceeded", () =>
    Effect.gen(function*() {
      yield* spend
      const began = yield* requests
      const call = yield* Claude.text("hi").pipe(
        Policy.apply({ retry: quick, models: ["claude-haiku-5-5"], overall: "30 seconds" }),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("19998 millis")
      assert.isUndefined(call.pollUnsafe())
      // The model after it keeps ten seconds of the time, but nothing is left to pay for it.
      yield* TestClock.adjust(1)
      const error = yield* Fiber.join(call)
      assert.strictEqual(error._tag, "Overloaded")
      assert.strictEqual(error.gaveUp, "BudgetSpent")
      assert.deepStrictEqual(error.history?.map(({ attempt, error, waited }) => ({ attempt, error, waited })), [
        { attempt: 1, error: "Overloaded", waited: 1000 }
      ])
      const last = (yield* events).at(-1)
      assert.isTrue(last?._tag === "GaveUp" && last.reason === "BudgetSpent" && last.history.length === 1)
      assert.strictEqual(yield* requests, began + 1)
    }).pipe(Effect.provide(guarded({ budget: small }, Faults.cycle(Faults.overloaded)))))

  it.effect("G7: that waits without a deadline gives up after five minutes", () =>
    Effect.gen(function*() {
      yield* spend
      const call = yield* Effect.forkChild(Effect.flip(Claude.text("hi").pipe(Policy.apply({ retry: quick }))))
      yield* TestClock.adjust("300 seconds")
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(call)).gaveUp, "BudgetSpent")
    }).pipe(Effect.provide(guarded({ budget: small }, Faults.cycle(Faults.overloaded)))))

  it.effect("G1 G2: that is interrupted while it waits, or while it is asked again, leaves nothing", () =>
    Effect.gen(function*() {
      const asked = Claude.text("hi").pipe(Policy.apply({ retry: quick }))
      const running = yield* Effect.forkChild(asked)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* budget, { left: 0, waiting: 0, calls: 1, extra: 1 })
      const waiting = yield* Effect.forkChild(asked)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* budget).waiting, 1)
      yield* Fiber.interrupt(waiting)
      assert.deepStrictEqual(yield* budget, { left: 0, waiting: 0, calls: 2, extra: 1 })
      yield* Fiber.interrupt(running)
      assert.deepStrictEqual(yield* budget, { left: 14, waiting: 0, calls: 2, extra: 0 })
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* requests, 3)
    }).pipe(Effect.provide(guarded({ budget: small }, [Faults.overloaded, Faults.silence, Faults.overloaded]))))
})

describe("the budget belongs to a Claude layer", () => {
  class Summaries extends Context.Service<Summaries, {
    readonly make: Effect.Effect<string, ClaudeError.ClaudeError>
  }>()("test/Summaries") {}

  /** Captures the `Claude` of the place where it is built. */
  const summaries = Layer.effect(
    Summaries,
    Effect.map(Claude.Claude, (claude) => ({
      make: Claude.text("sum up").pipe(
        Policy.apply({ retry: Retry.linear({ times: 1, base: "1 second" }) }),
        Effect.provideService(Claude.Claude, claude)
      )
    }))
  )

  it.effect("and a service that captured it draws on the same, and tells the same log", () =>
    Effect.gen(function*() {
      const elsewhere: Array<CallLog.Event> = []
      const { make } = yield* Summaries
      const call = yield* make.pipe(
        Effect.provideService(CallLog.CallLog, { emit: (event) => Effect.sync(() => void elsewhere.push(event)) }),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(call)
      assert.deepStrictEqual(yield* budget, { left: 126, waiting: 0, calls: 1, extra: 1 })
      yield* spend
      assert.deepStrictEqual(yield* budget, { left: 112, waiting: 0, calls: 2, extra: 2 })
      assert.lengthOf((yield* events).filter(({ _tag }) => _tag === "GaveUp"), 2)
      assert.lengthOf(elsewhere, 0)
    }).pipe(Effect.provide(Layer.provideMerge(summaries, guarded({}, Faults.cycle(Faults.overloaded))))))

  it.effect("and two of them have two", () =>
    Effect.gen(function*() {
      const one = yield* Layer.build(Layer.fresh(guarded({}, Faults.cycle(Faults.overloaded))))
      const other = yield* Layer.build(Layer.fresh(guarded({}, Faults.cycle(Faults.overloaded))))
      yield* Effect.provideContext(spend, one)
      assert.strictEqual(yield* Effect.provideContext(left, one), 126)
      assert.strictEqual(yield* Effect.provideContext(left, other), 140)
    }).pipe(Effect.scoped))

  it.effect("and there is none if it is not wanted: calls have their own number of retries", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 20; i++) {
        const call = yield* Effect.forkChild(Effect.flip(Claude.text("hi").pipe(Policy.apply({ retry: quick }))))
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual((yield* Fiber.join(call)).gaveUp, "RetriesSpent")
      }
      assert.strictEqual(yield* requests, 80)
      assert.isUndefined((yield* Guards.status).budget)
    }).pipe(Effect.provide(guarded({ budget: false }, Faults.cycle(Faults.overloaded)))))
})
