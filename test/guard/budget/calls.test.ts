/** The retry budget as calls see it: through the policies, the guards and the wire. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Ref, Schema, type Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, ClaudeError, Fallback, Guards, Policy, Retry } from "../../../src/index.ts"
import { FakeClaude, Faults } from "../../../src/testing/index.ts"

type Guarded = Claude.Claude | Guards.Control | FakeClaude.Received | CallLog.Memory

/** A guarded fake, with its log. */
const guarded = (guards: Guards.Guards, playable: Faults.Playable): Layer.Layer<Guarded> =>
  FakeClaude.layer(playable).pipe(Guards.apply(guards), Layer.provideMerge(CallLog.layerMemory))

const events = Effect.flatMap(CallLog.Memory, Ref.get)
const requests = Effect.map(FakeClaude.received, (all) => all.length)
/** The buckets by model. */
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

/** Waits an hour for a silent wire. */
const endless = { connect: "1 hour", firstToken: "1 hour" } as const

/** A budget that one failed extra attempt uses up. */
const small = { size: 1 }

/**
 * Every way in which a call makes a second request: a name, the call, the answers to both requests, and the error of
 * the first.
 */
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
    "a correction of a malformed answer",
    Claude.object(Invoice, "hi").pipe(Policy.apply({ retry: quick, reask: 3, overall: "1 minute" })),
    Faults.value({ total: "many" }),
    Faults.value({ total: 1 }),
    "MalformedOutput"
  ],
  [
    "a repeated request without the schema that the API refused",
    // A schema of its own, because the refusal of a schema is remembered.
    Effect.suspend(() => Claude.object(Schema.Struct({ total: Schema.Int }), "hi")).pipe(
      Policy.apply({ retry: quick, overall: "1 minute" })
    ),
    Faults.fails(400, "invalid_request_error", "The compiled grammar is too large"),
    Faults.value({ total: 1 }),
    "InvalidRequest"
  ],
  [
    "a continuation",
    Claude.text("hi").pipe(Policy.apply({ truncated: { continue: 2 }, overall: "1 minute" })),
    Faults.maxTokens("one two three"),
    Faults.answer("one two three four"),
    "Truncated"
  ],
  [
    "a repeated request with a higher max_tokens",
    Claude.text("hi", { max_tokens: 100 }).pipe(Policy.apply({ truncated: { raiseTo: 200 }, overall: "1 minute" })),
    Faults.maxTokens("one two three"),
    Faults.answer("one two three four"),
    "Truncated"
  ],
  [
    "the continuation of a paused turn",
    Claude.text("hi").pipe(Policy.apply({ overall: "1 minute" })),
    Faults.paused("one two three"),
    Faults.answer("four"),
    "Truncated"
  ],
  [
    "a nudge after an empty answer",
    Claude.text("hi").pipe(Policy.apply({ empty: { nudge: 1 }, overall: "1 minute" })),
    Faults.emptyAnswer,
    Faults.answer("well"),
    "EmptyAnswer"
  ],
  [
    "the restart of a stream",
    Claude.events("hi").pipe(
      Policy.applyStream({ retry: quick, onBreak: "restart", overall: "1 minute" }),
      Stream.runDrain
    ),
    Faults.breaks("one two"),
    Faults.answer("one two three"),
    "PartialAnswer"
  ],
  [
    "the resumption of a stream",
    Claude.events("hi").pipe(
      Policy.applyStream({ retry: quick, onBreak: "resume", overall: "1 minute" }),
      Stream.runDrain
    ),
    Faults.breaks("one two three four five"),
    Faults.answer("one two three four five six"),
    "PartialAnswer"
  ],
  [
    "a retry of a stream that failed before its answer began",
    Claude.events("hi").pipe(Policy.applyStream({ retry: quick, overall: "1 minute" }), Stream.runDrain),
    Faults.overloaded,
    Faults.answer("one two three"),
    "Overloaded"
  ],
  [
    "a request to the next model of a policy",
    Claude.text("hi").pipe(Policy.apply({ models: ["claude-haiku-5-5"], overall: "2 minutes" })),
    Faults.overloaded,
    Faults.answer("well"),
    "Overloaded"
  ],
  [
    "a request to the next model without a policy",
    Claude.text("hi").pipe(Fallback.models(["claude-haiku-5-5"])),
    Faults.overloaded,
    Faults.answer("well"),
    "Overloaded"
  ],
  [
    "a request to the next model of a fallback around a policy",
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

/** A call whose first attempt and only retry fail. */
const spend = Effect.gen(function*() {
  const call = yield* Claude.text("hi").pipe(
    Policy.apply({ retry: Retry.linear({ times: 1, base: "1 second" }) }),
    Effect.flip,
    Effect.forkChild
  )
  yield* TestClock.adjust("1 second")
  yield* Fiber.join(call)
})

describe("G7: one budget pays for", () => {
  for (const [name, run, first, second, tag] of extras) {
    const model = name.includes("next model") ? "claude-haiku-5-5" : "claude-sonnet-5-5"
    it.effect(`${name}, and gets the credit back when that request succeeds`, () =>
      Effect.gen(function*() {
        const call = yield* Effect.forkChild(Effect.exit(run))
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual(yield* requests, 2)
        assert.deepStrictEqual(yield* budgets, { [model]: { ...full, remaining: 9 } })
        yield* TestClock.adjust("10 seconds")
        assert.isTrue((yield* Fiber.join(call))._tag === "Success")
        assert.deepStrictEqual(yield* budgets, { [model]: full })
      }).pipe(Effect.scoped, Effect.provide(guarded({}, [first, Faults.delayed(second, "10 seconds")]))))

    // Not tested if the answer that began has already earned the credit for the next request, or if another model with
    // its own bucket is asked.
    if (model !== "claude-sonnet-5-5" || tag !== "Overloaded" && tag !== "PartialAnswer") continue
    it.effect(`${name}, which waits for credit if the bucket is empty`, () =>
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

  it.effect("that restarts and breaks each time uses up the bucket: 200 such streams in 200 s start only 15 extra attempts", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 200; i++) {
        yield* Effect.forkChild(Effect.ignore(restarted))
        yield* TestClock.adjust("1 second")
      }
      assert.strictEqual((yield* requests) - 200, 15)
    }).pipe(Effect.provide(guarded({}, Faults.cycle(Faults.breaks("one two"))))))

  it.effect("that is retried before its answer begins earns credit when its answer begins, and loses that credit once if the answer breaks, even if no attempt follows", () =>
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

  it.effect("that breaks in its first attempt earns nothing", () =>
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

  it.effect("that is read inside the policy and breaks off counts as one failed attempt", () =>
    Effect.gen(function*() {
      const read = Effect.scoped(Effect.flatMap(Claude.open("hi"), ({ events }) => Stream.runDrain(events)))
      yield* spend
      const call = yield* read.pipe(Policy.apply({ retry: quick }), Effect.forkChild)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(call)
      // One of two extra attempts breaks, and the other earns credit.
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

  it.effect("costs nothing if its reader leaves or if it is interrupted", () =>
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
  it.effect("earns credit with an answer, even without a policy", () =>
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

  it.effect("earns credit when its answer begins, not at its end", () =>
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

  it.effect("that succeeds at once takes no credit, under one or more policies and fallbacks", () =>
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

  it.effect("under two policies pays once for each further request", () =>
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

  it.effect("goes to another model at once when the bucket of its own model is empty", () =>
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

  it.effect("pays nothing for a retry after CircuitOpen, if nothing was sent", () =>
    Effect.gen(function*() {
      yield* Guards.isolate("claude-sonnet-5-5", "1500 millis")
      const call = yield* Effect.forkChild(Claude.text("hi").pipe(Policy.apply({ retry: quick })))
      yield* TestClock.adjust("5 seconds")
      // The request is under way.
      assert.strictEqual(yield* requests, 1)
      assert.deepStrictEqual(yield* budgets, {})
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(call), "well")
    }).pipe(Effect.provide(guarded({ circuit: {} }, [Faults.delayed(Faults.answer("well"), "8 seconds")]))))

  it.effect("gets the credit of a retry back if CircuitOpen stops that retry before it is sent, and pays nothing for the next attempt", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(Claude.text("hi").pipe(Policy.apply({ retry: quick })))
      yield* TestClock.adjust("500 millis")
      yield* Guards.isolate("claude-sonnet-5-5", "5 seconds")
      yield* TestClock.adjust("1500 millis")
      // The stopped attempt got its credit back.
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

  it.effect("that waits for credit goes on when another call succeeds", () =>
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

  it.effect("G11: fails at once with its last error if it cannot wait for the next attempt", () =>
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

  it.effect("without a deadline gives up when it has waited five minutes for credit", () =>
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

  it.effect("G1 G2: gives back its credit or its place in the queue, and sends nothing more, if it is interrupted while it retries or waits", () =>
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

describe("the budget of a Claude layer", () => {
  class Summaries extends Context.Service<Summaries, {
    readonly make: Effect.Effect<string, ClaudeError.ClaudeError>
  }>()("test/Summaries") {}

  /** Captures the `Claude` of the context in which it is built. */
  const summaries = Layer.effect(
    Summaries,
    Effect.map(Claude.Claude, (claude) => ({
      make: Claude.text("sum up").pipe(
        Policy.apply({ retry: Retry.linear({ times: 1, base: "1 second" }) }),
        Effect.provideService(Claude.Claude, claude)
      )
    }))
  )

  it.effect("is used, like the log of that layer, by a service that captured the Claude of the layer", () =>
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

  it.effect("is not shared with another layer", () =>
    Effect.gen(function*() {
      const one = yield* Layer.build(Layer.fresh(guarded({}, Faults.cycle(Faults.overloaded))))
      const other = yield* Layer.build(Layer.fresh(guarded({}, Faults.cycle(Faults.overloaded))))
      yield* Effect.provideContext(spend, one)
      assert.strictEqual(yield* Effect.provideContext(left, one), 9)
      assert.strictEqual(yield* Effect.provideContext(left, other), 10)
    }).pipe(Effect.scoped))

  it.effect("can be switched off, and then only the retry schedule of a call limits its retries", () =>
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
