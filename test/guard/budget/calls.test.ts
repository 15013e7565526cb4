/** The budget of extra attempts, as calls meet it: through the policies, the guards and the wire. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Ref, Schema, type Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, ClaudeError, Fallback, Guards, Policy, Retry } from "../../../src/index.ts"
import { FakeClaude, Faults } from "../../../src/testing/index.ts"

type Guarded = Claude.Claude | Guards.Control | FakeClaude.Received | CallLog.Memory

/** A guarded fake, and the log of it. */
const guarded = (guards: Guards.Guards, playable: Faults.Playable): Layer.Layer<Guarded> =>
  FakeClaude.layer(playable).pipe(Guards.apply(guards), Layer.provideMerge(CallLog.layerMemory))

const events = Effect.flatMap(CallLog.Memory, Ref.get)
const requests = Effect.map(FakeClaude.received, (all) => all.length)
/** The buckets, by model. */
const budgets = Effect.map(Guards.status, (status) => status.budget ?? assert.fail("there is a budget"))
const budget = Effect.map(budgets, (status) => status["claude-sonnet-5-5"] ?? { remaining: 10, size: 10, waiting: 0 })
const left = Effect.map(budget, ({ remaining }) => remaining)
const full = { remaining: 10, size: 10, waiting: 0 }

const quick = {
  Overloaded: Retry.linear({ times: 3, base: "1 second" }),
  PartialAnswer: Retry.linear({ times: 3, base: "1 second" }),
  CircuitOpen: Retry.linear({ times: 3, base: "1 second" })
}
const Invoice = Schema.Struct({ total: Schema.Int })

/** Waits for a silent wire for an hour. */
const endless = { connect: "1 hour", firstToken: "1 hour" } as const

/** What one failed extra attempt spends. */
const small = { size: 1 }

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
    Claude.object(Invoice, "hi").pipe(Policy.apply({ retry: quick, reask: 3, overall: "1 minute" })),
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
    Claude.text("hi", { max_tokens: 100 }).pipe(Policy.apply({ truncated: { raiseTo: 200 }, overall: "1 minute" })),
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
    const model = name.includes("next model") ? "claude-haiku-5-5" : "claude-sonnet-5-5"
    it.effect(`${name}, which is charged, and given back when it succeeds`, () =>
      Effect.gen(function*() {
        const call = yield* Effect.forkChild(Effect.exit(run))
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* requests, 2)
        assert.deepStrictEqual(yield* budgets, { [model]: { ...full, remaining: 9 } })
        yield* TestClock.adjust("10 seconds")
        assert.isTrue((yield* Fiber.join(call))._tag === "Success")
        assert.deepStrictEqual(yield* budgets, { [model]: full })
      }).pipe(Effect.scoped, Effect.provide(guarded({}, [first, Faults.delayed(second, "10 seconds")]))))

    // An answer that began has paid for the next attempt; and another model has a bucket of its own.
    if (model !== "claude-sonnet-5-5" || tag !== "Overloaded" && tag !== "PartialAnswer") continue
    it.effect(`${name}, which waits for its time when it is spent`, () =>
      Effect.gen(function*() {
        yield* spend
        assert.deepStrictEqual(yield* budget, { remaining: 0, size: 1, waiting: 0 })
        const call = yield* Effect.forkChild(run)
        yield* TestClock.adjust("9 seconds")
        assert.isUndefined(call.pollUnsafe())
        assert.strictEqual((yield* budget).waiting, 1)
        assert.strictEqual(yield* requests, 3)
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(call)
        assert.strictEqual(yield* requests, 4)
        assert.deepStrictEqual(yield* budget, { remaining: 1, size: 1, waiting: 0 })
      }).pipe(
        Effect.scoped,
        Effect.provide(guarded({ budget: small }, [Faults.overloaded, Faults.overloaded, first, second]))
      ))
  }
})

describe("G7: a stream", () => {
  const restarted = Claude.events("hi").pipe(Policy.applyStream({ retry: quick, onBreak: "restart" }), Stream.runDrain)

  it.effect("that begins anew and breaks each time is load for nothing: 200 s of that cost ten such attempts and five", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 200; i++) {
        yield* Effect.forkChild(Effect.ignore(restarted))
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual((yield* requests) - 200, 15)
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
      assert.strictEqual(yield* left, 9)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* left, 10)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(ours(yield* Fiber.join(reader))._tag, "PartialAnswer")
      assert.strictEqual(yield* left, 9)
    }).pipe(Effect.provide(guarded({}, [Faults.overloaded, Faults.breaks("one two", "cut", { every: "1 second" })]))))

  it.effect("that breaks in its first attempt gives nothing", () =>
    Effect.gen(function*() {
      yield* spend
      for (let i = 0; i < 5; i++) {
        yield* Claude.events("hi").pipe(Policy.applyStream({ retry: quick }), Stream.runDrain, Effect.flip)
        assert.strictEqual(yield* left, 9)
      }
      yield* Claude.events("hi").pipe(Policy.applyStream({ retry: quick }), Stream.runDrain)
      assert.strictEqual(yield* left, 10)
    }).pipe(
      Effect.provide(guarded(
        {},
        Faults.by(({ index }) =>
          index < 2 ? Faults.overloaded : index < 7 ? Faults.breaks("one two") : Faults.answer("well")
        )
      ))
    ))

  it.effect("that breaks inside of its attempt has failed once", () =>
    Effect.gen(function*() {
      const read = Effect.scoped(Effect.flatMap(Claude.open("hi"), ({ events }) => Stream.runDrain(events)))
      yield* spend
      const call = yield* read.pipe(Policy.apply({ retry: quick }), Effect.forkChild)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(call)
      // One of two extra attempts breaks, and the other gives one.
      assert.strictEqual(yield* left, 9)
    }).pipe(
      Effect.provide(guarded({}, [
        Faults.overloaded,
        Faults.overloaded,
        Faults.breaks("one"),
        Faults.breaks("one"),
        Faults.answer("one two")
      ]))
    ))

  it.effect("that its reader leaves, or that is interrupted, costs nothing", () =>
    Effect.gen(function*() {
      const read = Claude.events("hi").pipe(Policy.applyStream({ retry: quick }))
      const reader = yield* Effect.forkChild(Stream.runDrain(Stream.take(read, 3)))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(reader)
      assert.strictEqual(yield* left, 10)
      const interrupted = yield* Effect.forkChild(Stream.runDrain(read))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.interrupt(interrupted)
      assert.strictEqual(yield* left, 10)
    }).pipe(Effect.provide(guarded(
      {},
      Faults.cycle(
        Faults.overloaded,
        Faults.answer("one two three four five six seven", { every: "1 second" })
      )
    ))))
})

describe("G7: a call", () => {
  it.effect("that is answered gives one, also without a policy", () =>
    Effect.gen(function*() {
      yield* spend
      yield* spend
      assert.strictEqual(yield* left, 8)
      yield* Claude.text("hi").pipe(Policy.apply(Policy.standard))
      assert.strictEqual(yield* left, 9)
      yield* Claude.text("hi")
      assert.strictEqual(yield* left, 10)
    }).pipe(
      Effect.provide(guarded({}, Faults.by(({ index }) => index < 4 ? Faults.overloaded : Faults.answer("well"))))
    ))

  it.effect("gives it when its answer begins, and not at its end", () =>
    Effect.gen(function*() {
      yield* spend
      const call = yield* Effect.forkChild(Claude.text("hi"))
      yield* TestClock.adjust("25 seconds")
      assert.isUndefined(call.pollUnsafe())
      assert.strictEqual(yield* left, 10)
      yield* TestClock.adjust("10 minutes")
      yield* Fiber.join(call)
    }).pipe(
      Effect.provide(
        guarded({}, [
          Faults.overloaded,
          Faults.overloaded,
          Faults.answer("one two three four", { every: "10 seconds" })
        ])
      )
    ))

  it.effect("that succeeds at once takes nothing, however many policies and fallbacks are around it", () =>
    Effect.gen(function*() {
      const policy = { retry: quick, overall: "1 minute" } as const
      const asked = Claude.text("hi").pipe(Policy.apply(policy))
      const ways = [
        asked,
        asked.pipe(Policy.apply({}), Policy.apply(policy)),
        asked.pipe(Fallback.models(["claude-haiku-5-5"]), Policy.apply(policy)),
        Claude.text("hi").pipe(Policy.apply({ models: ["claude-haiku-5-5"] }))
      ]
      for (const way of ways) assert.strictEqual(yield* way, "well")
      assert.deepStrictEqual(yield* budgets, {})
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
      assert.strictEqual(yield* left, 7)
    }).pipe(Effect.provide(guarded({}, Faults.cycle(Faults.overloaded)))))

  it.effect("goes to another model at once when the bucket of its own is empty", () =>
    Effect.gen(function*() {
      yield* spend
      const call = yield* Claude.text("hi").pipe(
        Policy.apply({ retry: quick, models: ["claude-haiku-5-5"], overall: "1 minute" }),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(call), "well")
      assert.deepStrictEqual((yield* FakeClaude.received).map(({ params }) => params.model), [
        "claude-sonnet-5-5",
        "claude-sonnet-5-5",
        "claude-sonnet-5-5",
        "claude-haiku-5-5"
      ])
    }).pipe(
      Effect.provide(guarded(
        { budget: small },
        Faults.by(({ params }) => params.model === "claude-haiku-5-5" ? Faults.answer("well") : Faults.overloaded)
      ))
    ))

  it.effect("pays nothing after CircuitOpen, if nothing was sent", () =>
    Effect.gen(function*() {
      yield* Guards.isolate("claude-sonnet-5-5", "1500 millis")
      const call = yield* Effect.forkChild(Claude.text("hi").pipe(Policy.apply({ retry: quick })))
      yield* TestClock.adjust("5 seconds")
      // It is on its way.
      assert.strictEqual(yield* requests, 1)
      assert.deepStrictEqual(yield* budgets, {})
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(call), "well")
    }).pipe(Effect.provide(guarded({ circuit: {} }, [Faults.delayed(Faults.answer("well"), "8 seconds")]))))

  it.effect("pays once for what was stopped by CircuitOpen before it was sent", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(Claude.text("hi").pipe(Policy.apply({ retry: quick })))
      yield* TestClock.adjust("500 millis")
      yield* Guards.isolate("claude-sonnet-5-5", "5 seconds")
      yield* TestClock.adjust("1500 millis")
      // What was stopped has given back what it took.
      assert.strictEqual(yield* requests, 1)
      assert.strictEqual(yield* left, 10)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* requests, 2)
      assert.strictEqual(yield* left, 10)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* Fiber.join(call), "well")
    }).pipe(Effect.provide(guarded({ circuit: {} }, [
      Faults.overloaded,
      Faults.delayed(Faults.answer("well"), "9 seconds")
    ]))))

  it.effect("that waits goes when another has worked", () =>
    Effect.gen(function*() {
      const asked = Claude.text("hi").pipe(Policy.apply({ retry: quick, overall: "1 minute" }))
      const first = yield* Effect.forkChild(asked)
      const second = yield* Effect.forkChild(asked)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* requests, 3)
      assert.deepStrictEqual(yield* budget, { remaining: 0, size: 1, waiting: 1 })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(first), "well")
      assert.strictEqual(yield* Fiber.join(second), "at last")
      assert.deepStrictEqual(yield* budget, { remaining: 1, size: 1, waiting: 0 })
    }).pipe(Effect.provide(guarded({ budget: small }, [
      Faults.overloaded,
      Faults.overloaded,
      Faults.delayed(Faults.answer("well"), "10 seconds"),
      Faults.answer("at last")
    ]))))

  it.effect("G11: that cannot wait for the next attempt says so at once, with what it failed with", () =>
    Effect.gen(function*() {
      yield* spend
      const began = yield* requests
      const call = yield* Claude.text("hi").pipe(
        Policy.apply({ retry: quick, overall: "10 seconds" }),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 second")
      const error = ours(yield* Fiber.join(call))
      assert.deepStrictEqual([error._tag, error.gaveUp], ["Overloaded", "BudgetSpent"])
      assert.deepStrictEqual(error.history?.map(({ attempt, error, waited }) => ({ attempt, error, waited })), [
        { attempt: 1, error: "Overloaded", waited: 1000 }
      ])
      const last = (yield* events).at(-1)
      assert.isTrue(last?._tag === "GaveUp" && last.reason === "BudgetSpent" && last.history.length === 1)
      assert.strictEqual(yield* requests, began + 1)
    }).pipe(Effect.provide(guarded({ budget: small }, Faults.cycle(Faults.overloaded)))))

  it.effect("G7: that waits without a deadline gives up after five minutes", () =>
    Effect.gen(function*() {
      const silent = yield* Effect.forkChild(Claude.text("hi").pipe(Policy.apply({ retry: quick, ...endless })))
      yield* TestClock.adjust("2 seconds")
      const call = yield* Effect.forkChild(Effect.flip(Claude.text("hi").pipe(Policy.apply({ retry: quick }))))
      yield* TestClock.adjust("300 seconds")
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(call)).gaveUp, "BudgetSpent")
      yield* Fiber.interrupt(silent)
    }).pipe(Effect.provide(guarded({ budget: small }, [Faults.overloaded, Faults.silence, Faults.overloaded]))))

  it.effect("G1 G2: that is interrupted while it waits, or while it is asked again, leaves nothing", () =>
    Effect.gen(function*() {
      const asked = Claude.text("hi").pipe(Policy.apply({ retry: quick, ...endless }))
      const running = yield* Effect.forkChild(asked)
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* budget, { remaining: 0, size: 1, waiting: 0 })
      const waiting = yield* Effect.forkChild(asked)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* budget).waiting, 1)
      yield* Fiber.interrupt(waiting)
      assert.deepStrictEqual(yield* budget, { remaining: 0, size: 1, waiting: 0 })
      yield* Fiber.interrupt(running)
      assert.deepStrictEqual(yield* budget, { remaining: 1, size: 1, waiting: 0 })
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
      assert.strictEqual(yield* left, 9)
      yield* spend
      assert.strictEqual(yield* left, 8)
      assert.lengthOf((yield* events).filter(({ _tag }) => _tag === "GaveUp"), 2)
      assert.lengthOf(elsewhere, 0)
    }).pipe(Effect.provide(Layer.provideMerge(summaries, guarded({}, Faults.cycle(Faults.overloaded))))))

  it.effect("and two of them have two", () =>
    Effect.gen(function*() {
      const one = yield* Layer.build(Layer.fresh(guarded({}, Faults.cycle(Faults.overloaded))))
      const other = yield* Layer.build(Layer.fresh(guarded({}, Faults.cycle(Faults.overloaded))))
      yield* Effect.provideContext(spend, one)
      assert.strictEqual(yield* Effect.provideContext(left, one), 9)
      assert.strictEqual(yield* Effect.provideContext(left, other), 10)
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
