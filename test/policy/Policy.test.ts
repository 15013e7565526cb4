import { assert, describe, expect, it } from "@effect/vitest"
import {
  Context,
  Data,
  type Duration,
  Effect,
  Fiber,
  Layer,
  Random,
  Redacted,
  Ref,
  Schedule,
  Schema,
  Stream
} from "effect"
import { TestClock } from "effect/testing"
import * as CallContext from "../../src/callContext.ts"
import { CallLog, Claude, ClaudeError, Current, Fallback, Policy, Retry } from "../../src/index.ts"
import * as Runtime from "../../src/runtime.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

const requests = Effect.map(FakeClaude.received, (all) => all.length)
const events = Effect.flatMap(CallLog.Memory, Ref.get)
const logged = <A>(layer: Layer.Layer<A>) => Layer.provideMerge(layer, CallLog.layerMemory)
const quick = {
  Overloaded: Retry.linear({ times: 3, base: "1 second" }),
  RateLimited: Retry.linear({ times: 3, base: "1 second" }),
  PartialAnswer: Retry.linear({ times: 3, base: "1 second" })
}

class Busy extends Data.TaggedError("Busy")<{}> {}
class Mine extends Data.TaggedError("Overloaded")<{}> {}

describe("the error type", () => {
  type ErrorOf<T> = T extends Effect.Effect<infer _A, infer E, infer _R> ? E : never
  const equal = <A, B>(same: [A] extends [B] ? [B] extends [A] ? true : false : false) => assert.isTrue(same)
  const own = Effect.fail(new Mine())
  const call = Claude.text("hi")

  it("of a policy includes DeadlineExceeded only if the policy has, or may have, the option `overall`", () => {
    const none = Policy.apply({ retry: Retry.standard })(own)
    equal<ErrorOf<typeof none>, Mine>(true)
    const some = Policy.apply({ overall: "1 minute" })(own)
    equal<ErrorOf<typeof some>, Mine | ClaudeError.DeadlineExceeded>(true)
    const policy: Policy.Policy = {}
    const unknown = Policy.apply(policy)(own)
    equal<ErrorOf<typeof unknown>, Mine | ClaudeError.DeadlineExceeded>(true)
    const stream = Policy.applyStream({ overall: "1 minute" })(Stream.fail(new Mine()))
    equal<Stream.Error<typeof stream>, Mine | ClaudeError.DeadlineExceeded>(true)
  })

  it("has no errors of this library after Fallback.notice or Policy.outcome, and all errors after Fallback.models", () => {
    const both = Effect.andThen(call, Effect.fail("mine" as const))
    const notice = Fallback.notice()(both)
    equal<ErrorOf<typeof notice>, "mine">(true)
    const outcome = Policy.outcome(both)
    equal<ErrorOf<typeof outcome>, "mine">(true)
    const models = Fallback.models(["claude-haiku-5-5"])(both)
    equal<ErrorOf<typeof models>, "mine" | ClaudeError.ClaudeError>(true)
    const nothing = Fallback.notice()(call)
    equal<ErrorOf<typeof nothing>, never>(true)
  })
})

describe("one call", () => {
  it.effect("is retried after each failure, even if the requests fail with the same error object", () =>
    Effect.gen(function*() {
      const same = new ClaudeError.ServerFault({ status: 500 })
      let sent = 0
      const claude = Claude.layer({
        open: () => Effect.suspend(() => Effect.fail(sent++ < 2 ? same : new ClaudeError.PermissionDenied({}))),
        countTokens: () => Effect.fail(same),
        models: Effect.fail(same)
      })
      const retry = Retry.byTag({ ServerFault: Retry.linear({ times: 3, base: "1 second" }) })
      const call = yield* Claude.text("hi").pipe(
        Policy.apply({ retry }),
        Effect.flip,
        Effect.provide(claude),
        Effect.forkChild
      )
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(call))._tag, "PermissionDenied")
      assert.strictEqual(sent, 3)
    }))

  it.effect("G11: has every attempt in its history, even if each request fails with the same error object", () =>
    Effect.gen(function*() {
      const same = new ClaudeError.Overloaded({})
      const claude = Claude.layer({
        open: () => Effect.fail(same),
        countTokens: () => Effect.fail(same),
        models: Effect.fail(same)
      })
      const call = yield* Claude.text("hi").pipe(
        Policy.apply({ retry: Retry.linear({ times: 2, base: "1 second" }), models: ["claude-haiku-5-5"] }),
        Effect.flip,
        Effect.provide(claude),
        Effect.forkChild
      )
      yield* TestClock.adjust("10 seconds")
      const { history = [] } = yield* Fiber.join(call)
      assert.deepStrictEqual(history.map(({ attempt, waited }) => [attempt, waited]), [
        [1, 1000],
        [2, 2000],
        [3, undefined],
        [4, 1000],
        [5, 2000],
        [6, undefined]
      ])
    }))

  it.effect("fails at once with an application error, unchanged", () =>
    Effect.gen(function*() {
      let runs = 0
      const mine = Effect.suspend(() => {
        runs++
        return Effect.fail(new Mine())
      })
      const error = yield* Effect.flip(Policy.apply({ retry: Schedule.forever, models: ["claude-haiku-5-5"] })(mine))
      assert.instanceOf(error, Mine)
      assert.strictEqual(runs, 1)
    }))

  it.effect("waits at least as long as `retry-after` says", () =>
    Effect.gen(function*() {
      const call = yield* Claude.text("hi").pipe(Policy.apply(Policy.standard), Effect.forkChild)
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual(yield* requests, 1)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(yield* Fiber.join(call), "hello")
    }).pipe(Effect.provide(FakeClaude.layer([Faults.rateLimited("30 seconds"), Faults.answer("hello")]))))

  it.effect("waits at least as long as `retry-after` says, even with a custom schedule", () =>
    Effect.gen(function*() {
      const own = Schedule.max([Schedule.spaced("1 second"), Schedule.recurs(2)])
      for (const retry of [Retry.byTag({ RateLimited: own }), own]) {
        const before = yield* requests
        const call = yield* Claude.text("hi").pipe(Policy.apply({ retry }), Effect.forkChild)
        yield* TestClock.adjust("19 seconds")
        assert.strictEqual(yield* requests, before + 1)
        yield* TestClock.adjust("1 second")
        assert.strictEqual(yield* Fiber.join(call), "hello")
      }
    }).pipe(
      Effect.provide(FakeClaude.layer(Faults.cycle(Faults.rateLimited("20 seconds"), Faults.answer("hello"))))
    ))

  it.effect("G8: asks the next model at once if the wait would end after the deadline", () =>
    Effect.gen(function*() {
      const policy = { ...Policy.standard, models: ["claude-haiku-5-5"], overall: "20 seconds" } as const
      assert.strictEqual(yield* Claude.text("hi", { model: "claude-opus-5-5" }).pipe(Policy.apply(policy)), "hello")
      const models = (yield* FakeClaude.received).map(({ params }) => params.model)
      assert.deepStrictEqual(models, ["claude-opus-5-5", "claude-haiku-5-5"])
    }).pipe(Effect.provide(FakeClaude.layer([Faults.rateLimited("30 seconds"), Faults.answer("hello")]))))

  it.effect.each<readonly [string, Policy.Policy["retry"]]>([
    ["the standard schedule", Retry.standard],
    ["a custom schedule", Retry.byTag({ RateLimited: Schedule.spaced("1 second") })]
  ])(
    "G8: fails at once if the wait would end after the deadline and no other model is left, with %s",
    ([, retry]) =>
      Effect.gen(function*() {
        const error = yield* Claude.text("hi").pipe(Policy.apply({ retry, overall: "20 seconds" }), Effect.flip)
        assert.strictEqual(error._tag, "RateLimited")
        assert.strictEqual(error.gaveUp, "DeadlineTooClose")
        assert.strictEqual(yield* requests, 1)
      }).pipe(Effect.provide(FakeClaude.layer([Faults.rateLimited("30 seconds")])))
  )

  it.effect("G10: logs the same events for the same seed", () =>
    Effect.gen(function*() {
      const trace = (seed: string) =>
        Effect.gen(function*() {
          const call = yield* Claude.text("hi").pipe(Policy.apply(Policy.standard), Effect.flip, Effect.forkChild)
          yield* TestClock.adjust("10 minutes")
          yield* Fiber.join(call)
          return (yield* events).map((event) => ({ ...CallLog.record(event), event: event._tag }))
        }).pipe(
          Effect.provide(Layer.fresh(
            Layer.provideMerge(
              logged(FakeClaude.layer(Faults.cycle(Faults.overloaded, Faults.reset))),
              TestClock.layer()
            )
          )),
          Random.withSeed(seed)
        )
      assert.deepStrictEqual(yield* trace("a"), yield* trace("a"))
      assert.notDeepEqual(yield* trace("a"), yield* trace("b"))
    }))

  const ladder = Layer.fresh(logged(FakeClaude.layer(Faults.cycle(Faults.overloaded))))
  it.effect("G11: gives up with a reason and the history of the attempts, in the log and on the error", () =>
    Effect.gen(function*() {
      const call = yield* Claude.text("hi").pipe(
        Policy.apply({ retry: { Overloaded: Retry.linear({ times: 1 }) }, models: ["claude-haiku-5-5"] }),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      const error = yield* Fiber.join(call)
      assert.strictEqual(error.gaveUp, "RetriesSpent")
      assert.deepStrictEqual(
        error.history?.map(({ attempt, model, requestId, waited }) => [attempt, model, requestId, waited]),
        [
          [1, "claude-sonnet-5-5", "req_fake_0001", 1000],
          [2, "claude-sonnet-5-5", "req_fake_0002", undefined],
          [3, "claude-haiku-5-5", "req_fake_0003", 1000],
          [4, "claude-haiku-5-5", "req_fake_0004", undefined]
        ]
      )
      const last = (yield* events).at(-1)
      assert.isTrue(last?._tag === "GaveUp" && last.reason === "RetriesSpent" && last.history.length === 4)
    }).pipe(Effect.provide(ladder)))

  it.effect.each(
    [
      ["NotRetried", "AuthenticationFailed", Faults.unauthorized],
      ["RetriesSpent", "Overloaded", Faults.overloaded],
      ["DeadlineTooClose", "RateLimited", Faults.rateLimited("1 hour")],
      ["DeadlineExceeded", "DeadlineExceeded", Faults.pings("", "1 second")]
    ] as const
  )("G11: gives up with the reason %s and the error %s", ([reason, tag, turn]) =>
    Effect.gen(function*() {
      const call = yield* Claude.text("hi").pipe(
        Policy.apply({ retry: quick, overall: "20 seconds" }),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      const error = yield* Fiber.join(call)
      assert.deepStrictEqual([error.gaveUp, error._tag], [reason, tag])
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(turn)))))

  it.effect("G11: gives up with the reason BudgetSpent and the previous failure if the budget refuses a retry", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      const call = yield* Claude.text("hi").pipe(
        Policy.apply({ retry: quick }),
        Effect.provideService(Claude.Claude, {
          ...claude,
          runtime: Runtime.replace(claude, { budget: { charge: () => Effect.as(Effect.void, undefined) } })
        }),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      const error = yield* Fiber.join(call)
      assert.deepStrictEqual([error._tag, error.gaveUp], ["Overloaded", "BudgetSpent"])
      assert.strictEqual(yield* requests, 1)
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.overloaded)))))

  it.effect("charges a retry to the budget only if a request was sent before, and settles the charge with the exit of the retry", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const claude = yield* Claude.Claude
      const budget: Claude.Budget = {
        charge: ({ _tag }) =>
          Effect.sync(() => {
            notes.push(`charge ${_tag}`)
            return { settle: (exit) => Effect.sync(() => void notes.push(exit._tag)) }
          })
      }
      const closed: Claude.Claude["Service"]["open"] = () => Effect.fail(new ClaudeError.CircuitOpen({}))
      let opened = 0
      const call = yield* Claude.text("hi").pipe(
        Policy.apply({ retry: Schedule.spaced("1 second") }),
        Effect.provideService(Claude.Claude, {
          ...claude,
          runtime: Runtime.replace(claude, { budget }),
          open: (request) => ++opened === 1 ? closed(request) : claude.open(request)
        }),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(call)
      assert.deepStrictEqual(notes, ["charge Overloaded", "Failure", "charge RateLimited", "Success"])
    }).pipe(Effect.provide(FakeClaude.layer([Faults.overloaded, Faults.rateLimited(), Faults.answer("hello")]))))
})

it.effect("a retry after CircuitOpen is not charged to the budget, because the budget was already charged for the retry that the circuit stopped", () =>
  Effect.gen(function*() {
    const charged: Array<string> = []
    const claude = yield* Claude.Claude
    let opened = 0
    const call = yield* Claude.text("hi").pipe(
      Policy.apply({ retry: Schedule.spaced("1 second") }),
      Effect.provideService(Claude.Claude, {
        ...claude,
        runtime: Runtime.replace(claude, {
          budget: {
            charge: ({ _tag }, model) =>
              Effect.sync(() => {
                charged.push(`${_tag} ${model}`)
                return { settle: () => Effect.void }
              })
          }
        }),
        // The circuit stops the second and the third attempt.
        open: (request) =>
          [2, 3].includes(++opened) ? Effect.fail(new ClaudeError.CircuitOpen({})) : claude.open(request)
      }),
      Effect.forkChild
    )
    yield* TestClock.adjust("1 minute")
    assert.strictEqual(yield* Fiber.join(call), "hello")
    assert.deepStrictEqual(charged, ["Overloaded claude-sonnet-5-5", "ServerFault claude-sonnet-5-5"])
  }).pipe(Effect.provide(FakeClaude.layer([Faults.overloaded, Faults.serverError, Faults.answer("hello")]))))

describe("a call tells its guards what to do when a circuit is open:", () => {
  /** Whether each attempt of a call waits for the circuit. */
  const said = (run: <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ClaudeError.ClaudeError, R>) =>
    Effect.gen(function*() {
      const waits: Array<boolean> = []
      const asked = Effect.andThen(
        Effect.flatMap(CallContext.WaitForCircuit, (wait) => Effect.sync(() => void waits.push(wait))),
        Effect.fail(new ClaudeError.Overloaded({}))
      )
      const call = yield* Effect.forkChild(Effect.exit(run(asked)))
      yield* TestClock.adjust("10 minutes")
      yield* Fiber.join(call)
      return waits
    })
  const once = { ...Retry.standard, Overloaded: Retry.linear({ times: 1 }) }
  const waiting = { retry: once }
  const models = { models: ["claude-haiku-5-5"] }

  it.effect.each(
    [
      ["to wait in each attempt if CircuitOpen is retried", Policy.apply(waiting), [true, true]],
      ["to fail at once without `retry`", Policy.apply({}), [false]],
      [
        "to fail at once if CircuitOpen is not retried",
        Policy.apply({ retry: { ...once, CircuitOpen: undefined } }),
        [
          false,
          false
        ]
      ],
      ["to wait on the last model only", Policy.apply({ ...waiting, ...models }), [false, false, true, true]],
      [
        "to wait on the last model only, even with Fallback.models around the policy",
        (self) => self.pipe(Policy.apply(waiting), Fallback.models(["claude-haiku-5-5"])),
        [false, false, true, true]
      ]
    ] satisfies ReadonlyArray<readonly [string, Parameters<typeof said>[0], ReadonlyArray<boolean>]>
  )("%s", ([, run, expected]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* said(run), expected)
    }).pipe(Effect.provide(FakeClaude.layer([]))))
})

describe("the default limits of an attempt", () => {
  const silent = (policy: Policy.Policy) =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(Effect.flip(Claude.text("hi").pipe(Policy.apply(policy))))
      yield* TestClock.adjust("1 minute")
      return [(yield* Fiber.join(call))._tag, yield* requests]
    })
  const again = {
    retry: { TimedOut: Retry.linear({ times: 9, base: 1 }) },
    overall: "24 seconds"
  } as const

  it.effect("end a silent attempt after a third of the overall limit if a retry can follow", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* silent(again), ["DeadlineExceeded", 3])
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.silence)))))

  it.effect("are independent of the overall limit if no retry can follow", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* silent({ overall: "9 seconds" }), ["DeadlineExceeded", 1])
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.silence)))))
})

describe("G1: an interrupt ends the call at once and starts no other attempt", () => {
  const at = (name: string, turns: ReadonlyArray<Faults.Turn>, wait: Duration.Input, sent: number) =>
    it.effect(name, () =>
      Effect.gen(function*() {
        const call = yield* Claude.text("hi").pipe(
          Policy.apply({ retry: quick, models: ["claude-haiku-5-5"], overall: "10 minutes" }),
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust(wait)
        yield* Fiber.interrupt(call)
        assert.isDefined(call.pollUnsafe())
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(yield* requests, sent)
        const names = (yield* events).map(({ _tag }) => _tag)
        assert.strictEqual(names.filter((name) => name === "AttemptStarted").length, sent)
      }).pipe(Effect.provide(Layer.fresh(logged(FakeClaude.layer(turns))))))

  at("before the headers", [Faults.silence], "1 second", 1)
  at("before the first content", [Faults.pings("", "1 second")], "5 seconds", 1)
  at("in the middle of the answer", [Faults.pings("half", "1 second")], "5 seconds", 1)
  at("during the wait before a retry", [Faults.rateLimited("1 minute"), Faults.answer("never")], "30 seconds", 1)
  at("on a fallback model", [...Array.from({ length: 4 }, () => Faults.overloaded), Faults.silence], "8 seconds", 5)
})

describe("a stream under a policy", () => {
  it.effect("is requested again, and then from another model, if its requests fail before an answer begins", () =>
    Effect.gen(function*() {
      const reader = yield* Claude.stream("hi").pipe(
        Policy.applyStream({
          retry: { Overloaded: Retry.linear({ times: 1 }) },
          models: ["claude-haiku-5-5"]
        }),
        Stream.runCollect,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(reader)).join(""), "hello there")
      assert.strictEqual(yield* requests, 3)
    }).pipe(Effect.provide(FakeClaude.layer([Faults.overloaded, Faults.overloaded, Faults.answer("hello there")]))))

  for (const onBreak of ["fail", "restart"] as const) {
    it.effect(`G13: fails after a break and repeats no text if it is a stream of text, with onBreak ${onBreak}`, () =>
      Effect.gen(function*() {
        const seen: Array<string> = []
        const reader = yield* Claude.stream("hi").pipe(
          Policy.applyStream({ retry: quick, models: ["claude-haiku-5-5"], onBreak }),
          Stream.runForEach((piece) => Effect.sync(() => seen.push(piece))),
          Effect.flip,
          Effect.forkChild
        )
        yield* TestClock.adjust("1 hour")
        const error = yield* Fiber.join(reader)
        assert.isTrue(
          error._tag === "PartialAnswer" && error.text !== undefined && Redacted.value(error.text) === "half an"
        )
        assert.strictEqual(seen.join(""), "half an")
        assert.strictEqual(yield* requests, 1)
      }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.breaks("half an"))))))
  }

  it.effect("G13: restarts at most as often as the call may retry, and its last error has the history", () =>
    Effect.gen(function*() {
      const reader = yield* Claude.events("hi").pipe(
        Policy.applyStream({ retry: quick, maxRetries: 2, onBreak: "restart" }),
        Stream.runForEach(() => Effect.void),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 hour")
      const error = yield* Fiber.join(reader)
      assert.deepStrictEqual([error._tag, error.gaveUp, error.history?.length], ["PartialAnswer", "RetriesSpent", 3])
      assert.strictEqual(yield* requests, 3)
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.breaks("half an"))))))

  it.effect("restarts on the same model, then asks the next model, and gives up after the last model", () =>
    Effect.gen(function*() {
      const reader = yield* Claude.events("hi").pipe(
        Policy.applyStream({
          retry: quick,
          maxRetries: 1,
          models: ["claude-haiku-5-5", "claude-opus-5-5"],
          onBreak: "restart"
        }),
        Stream.runDrain,
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* Fiber.join(reader)).gaveUp, "RetriesSpent")
      const models = (yield* FakeClaude.received).map(({ params }) => params.model)
      assert.deepStrictEqual(models, [
        "claude-sonnet-5-5",
        "claude-sonnet-5-5",
        "claude-haiku-5-5",
        "claude-haiku-5-5",
        "claude-opus-5-5",
        "claude-opus-5-5"
      ])
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.breaks("half an"))))))

  it.effect("restarts with the whole time of `overall` again, and is retried if the restart fails", () =>
    Effect.gen(function*() {
      const reader = yield* Claude.events("hi").pipe(
        Policy.applyStream({ retry: quick, onBreak: "restart", overall: "10 seconds" }),
        Stream.runCollect,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 hour")
      const types = (yield* Fiber.join(reader)).map(({ type }) => type)
      assert.strictEqual(types.filter((type) => type === "restarted").length, 1)
      assert.strictEqual(types.at(-1), "message_stop")
    }).pipe(Effect.provide(FakeClaude.layer([
      Faults.breaks("this takes longer than that", "cut", { every: "4 seconds" }),
      Faults.overloaded,
      Faults.answer("whole")
    ]))))

  it.effect("has no elements if the stream inside is empty", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Stream.runCollect(Policy.applyStream({ overall: "1 minute" })(Stream.empty)), [])
    }))
})

describe("a service that captured Claude", () => {
  class Poet
    extends Context.Service<Poet, { readonly poem: Effect.Effect<string, ClaudeError.ClaudeError> }>()("Poet")
  {}
  const poet = Layer.effect(
    Poet,
    Effect.map(Claude.Claude, (claude) => ({
      poem: Claude.text("hi").pipe(Policy.apply({ retry: quick }), Effect.provideService(Claude.Claude, claude))
    }))
  )
  const layer = poet.pipe(
    Layer.provide(FakeClaude.layer([Faults.unauthorized])),
    Layer.provideMerge(CallLog.layerMemory)
  )

  it.effect("logs to the log of its layer instead of the caller's", () =>
    Effect.gen(function*() {
      const { poem } = yield* Poet
      const elsewhere: CallLog.CallLog = { emit: () => Effect.die("wrong log") }
      yield* poem.pipe(Effect.flip, Effect.provideService(CallLog.CallLog, elsewhere))
      assert.deepStrictEqual((yield* events).map(({ _tag }) => _tag), ["AttemptStarted", "AttemptFailed", "GaveUp"])
    }).pipe(Effect.provide(Layer.fresh(layer))))
})

describe("Policy.outcome", () => {
  const run = (turns: ReadonlyArray<Faults.Turn>) =>
    Effect.gen(function*() {
      const call = yield* Claude.text("hi").pipe(Policy.apply({ retry: quick }), Policy.outcome, Effect.forkChild)
      yield* TestClock.adjust("1 minute")
      return yield* Fiber.join(call)
    }).pipe(Effect.provide(FakeClaude.layer(turns)))

  it.effect("counts the tokens of all attempts, including one that broke off", () =>
    Effect.gen(function*() {
      const whole = Faults.answer("hello", { inputTokens: 10, outputTokens: 5 })
      const broken = Faults.breaks("he", "cut", { inputTokens: 10 })
      const { cost, ...outcome } = yield* run([broken, whole])
      assert.deepStrictEqual(outcome, { status: "success", data: "hello", tokens: { input: 20, output: 6 } })
      // 20 input tokens at $2 a million and 6 output tokens at $10 a million. The broken attempt may have written more.
      assert.closeTo(cost.dollars, 0.0001, 1e-9)
      assert.isTrue(cost.atLeast)
    }))

  it.effect("says whether trying again later may help", () =>
    Effect.gen(function*() {
      const busy = yield* run([Faults.overloaded, Faults.overloaded, Faults.overloaded, Faults.overloaded])
      assert.isTrue(busy.status === "error" && busy.retryable && busy.error._tag === "Overloaded")
      const wrong = yield* run([Faults.unauthorized])
      assert.isTrue(wrong.status === "error" && !wrong.retryable)
    }))
})

describe("G12: an invalid policy", () => {
  it.each([
    [
      { attempt: "10 minutes", overall: "5 minutes" },
      /attempt \(10m\) is longer than overall \(5m\), so it is never reached: lower attempt or raise overall/
    ],
    [{ firstToken: "2 minutes", attempt: "1 minute" }, /firstToken \(2m\) is longer than attempt \(1m\)/],
    [{ connect: "2 minutes", firstToken: "1 minute" }, /connect \(2m\) is longer than firstToken \(1m\)/],
    [{ idle: "2 minutes", contentIdle: "1 minute" }, /idle \(2m\) is longer than contentIdle \(1m\)/],
    [{ overall: 0 }, /overall is 0: it must be a duration/],
    [{ overall: "soon" as "1 second" }, /overall is "soon"/],
    [{ models: ["claude-haiku-5-5", "claude-haiku-5-5"] }, /models names a model twice/],
    [{ models: [" "] }, /models has " ", which is not the name of a model/],
    [{ onBreak: "restart" }, /onBreak is "restart", but without retry it does nothing: add retry/],
    [
      { retry: Retry.byTag({ DeadlineExceeded: Schedule.forever }) },
      /an entry for DeadlineExceeded, but a call is never retried after its deadline/
    ],
    [{ retries: 3 } as Policy.Policy, /Policy has no field retries: it has connect/],
    [{ constructor: 1 } as Policy.Policy, /Policy has no field constructor/],
    [{ overall: -5n }, /overall is -5: it must be a duration/],
    [{ onBreak: "Restart" as "restart" }, /onBreak is "Restart": it must be "fail" or "restart"/],
    [{ retry: 3 as never }, /retry is 3: it must be a Schedule, or an object .* like Retry.standard/],
    [{ retry: [Retry.never] as never }, /retry is \[.*: it must be a Schedule, or an object/],
    [
      { retry: { OverLoaded: Retry.never } as {} },
      /retry: OverLoaded is not a kind of error of this library: correct it/
    ],
    [{ retry: { Overloaded: 3 as never } }, /retry: Overloaded is 3: it must be a Schedule, like Retry.backoff/],
    [
      { retry: { DeadlineExceeded: Retry.linear({ times: 1 }) } },
      /an entry for DeadlineExceeded, but a call is never retried after its deadline/
    ],
    [{ retry: Retry.standard, maxRetries: 1.5 }, /maxRetries is 1.5: it must be a whole number, 0 or more/],
    [{ retry: Retry.standard, maxRetries: -1 }, /maxRetries is -1/],
    [{ maxRetries: 3 }, /maxRetries limits retries, but retry is missing: add retry, for example Retry.standard/],
    [{ maxRetries: 3, reask: 1 }, /maxRetries limits retries, but retry is missing/],
    [{ reask: Infinity }, /reask is Infinity: it must be a whole number, 0 or more/],
    [{ reask: -1 }, /reask is -1: it must be a whole number, 0 or more/],
    [{ reask: 1, onBreak: "resume" }, /onBreak is "resume", but without retry it does nothing: add retry/],
    [{ models: "claude-haiku-5-5" as never }, /models is "claude-haiku-5-5": it must be a list/],
    [{ refused: "no" as "fail" }, /refused is "no": name the models to ask after a refusal, or write "fail"/],
    [{ refused: [] }, /refused is \[\]: name the models to ask after a refusal, or write "fail"/],
    [{ refused: ["claude-opus-5", "claude-opus-5"] }, /refused names a model twice/],
    [
      { reserve: "5 seconds", overall: "1 minute" },
      /reserve is time for further models, but models is missing or empty/
    ],
    [{ reserve: "5 seconds", models: ["claude-opus-5"] }, /reserve is taken from overall, which is missing/],
    [
      { reserve: "30 seconds", models: ["claude-opus-5", "claude-haiku-5-5"], overall: "1 minute" },
      /reserve \(30s for each of 2 further models\) leaves nothing of overall \(1m\) for the first one/
    ],
    [{ reserve: 0, models: ["claude-opus-5"], overall: "1 minute" }, /reserve is 0: it must be a duration/],
    [
      { truncated: "raise" as "fail" },
      /truncated is "raise": it must be "fail" or { raiseTo: a number } or { continue: a number }/
    ],
    [{ truncated: { raiseTo: 100, continue: 2 } }, /truncated is {"raiseTo":100,"continue":2}: it must be/],
    [{ truncated: { raiseTo: 0 } }, /truncated: raiseTo is 0: it must be a whole number from 1 to 1000000/],
    [{ truncated: { continue: 1.5 } }, /truncated: continue is 1.5: it must be a whole number from 1 to 1000000/],
    [{ truncated: null as never }, /truncated is null: it must be/],
    [{ paused: "fail" as never }, /paused is "fail": it must be { continue: a number }/],
    [{ paused: { continue: -1 } }, /paused: continue is -1: it must be a whole number, 0 or more/],
    [{ empty: { nudge: 2 as 1 } }, /empty: nudge is 2: it must be 1/],
    [{ empty: { nudge: true } as never }, /empty: nudge is true: it must be 1/]
  ] as ReadonlyArray<readonly [Policy.Policy, RegExp]>)(
    "is refused when it is built, with an error that matches $1",
    (policy, sentence) => {
      assert.throws(() => Policy.apply(policy), sentence)
      assert.throws(() => Policy.applyStream(policy), sentence)
      assert.throws(() => Policy.describe(policy), sentence)
    }
  )
})

describe("Policy.describe", () => {
  it("shows the models and what is done about unfinished answers", () => {
    const shown = Policy.describe({
      models: ["claude-opus-5", "claude-haiku-5-5"],
      refused: ["claude-opus-5"],
      reserve: "12 seconds",
      overall: "1 minute",
      truncated: { continue: 4 },
      paused: { continue: 1 },
      empty: { nudge: 1 }
    })
    assert.include(
      shown,
      [
        "models    when retries end, claude-opus-5, then claude-haiku-5-5",
        "          after a refusal, claude-opus-5",
        "          12s reserved for each model that is left, or an equal share if less time is left"
      ].join("\n")
    )
    assert.include(
      shown,
      "answer    paused: continued once, truncated: continued 4 times, empty: asked once to continue"
    )
    assert.include(
      Policy.describe({ refused: "fail", models: ["claude-opus-5"] }),
      "          no other model after a refusal"
    )
    assert.include(
      Policy.describe({ truncated: { raiseTo: 9000 } }),
      "truncated: asked again once with max_tokens up to 9000"
    )
  })

  it("shows order, limits and waits, and never runs a custom schedule", () => {
    const custom: Schedule.Schedule<unknown> = Schedule.map(Schedule.forever, () => Effect.die("it was run"))
    expect(Policy.describe({
      retry: {
        RateLimited: Retry.backoff({ times: 8, base: "2 seconds" }),
        Overloaded: Retry.backoff({ times: 2, base: "2 seconds", jitter: "proportional" }),
        Unreachable: Retry.linear({ times: 2, base: "3 seconds" }),
        TimedOut: custom,
        Refused: Retry.never
      },
      maxRetries: 5,
      reask: 2,
      models: ["claude-haiku-5-5"],
      firstToken: "15 seconds",
      overall: "2 minutes",
      onBreak: "restart"
    })).toMatchInlineSnapshot(`
      "validate  a malformed request fails, what the model does not support logs a warning, the tokens of the prompt are estimated
      overall   at most 2m for everything below
      models    when retries end, claude-haiku-5-5
                10s reserved for each model that is left, or an equal share if less time is left
      retry     by kind of error, at most 5 on each model, 3 if another model is left
                RateLimited: 5 times, after 0-2s, 0-4s, 0-8s, 0-16s, 0-30s
                Overloaded: 2 times, after 1.6-2.4s, 3.2-4.8s
                Unreachable: 2 times, after 3s, 6s
                TimedOut: by a custom schedule
                all other kinds of error: never
                each wait is at least retry-after, and ends before the deadline
      reask     2 times after a malformed answer, without a wait, with a list of its mistakes
      attempt   headers in 10s, first token in 15s, silence up to 30s (45s thinking), no content up to 36.7s (180s thinking), no limit in total
      answer    paused: continued 5 times, truncated: fail, empty: fail
      on break  ask again, and emit a restarted event"
    `)
    expect(Policy.describe(Policy.standard)).toMatchInlineSnapshot(`
      "validate  a malformed request fails, what the model does not support logs a warning, the tokens of the prompt are estimated
      overall   at most 5m for everything below
      models    only the model of the request
      retry     by kind of error, at most 8 in total
                RateLimited, Overloaded: 8 times, after 0-2s, 0-4s, 0-8s, 0-16s, 0-30s …
                ServerFault: 8 times, after 0-1s, 0-2s, 0-4s, 0-8s, 0-16s … 0-30s
                Unreachable, PartialAnswer: 8 times, after 0-3s, 0-6s, 0-12s, 0-24s, 0-30s …
                UnexpectedResponse, TimedOut: 3 times, after 0-1s, 0-2s, 0-4s
                EmptyAnswer: once, after 0-1s
                CircuitOpen: 30 times, after 0-1s, 0-2s, 0-4s, 0-5s, 0-5s …
                Saturated: 30 times, after 0-1s, 0-2s, 0-4s, 0-8s, 0-16s … 0-30s
                all other kinds of error: never
                each wait is at least retry-after, and ends before the deadline
      attempt   headers in 10s, first token in 30s (120s thinking), silence up to 30s (45s thinking), no content up to 60s (180s thinking), no limit in total
      answer    paused: continued 5 times, truncated: fail, empty: fail
      on break  fail, with the text so far in the error"
    `)
    expect(Policy.describe(Policy.none)).toMatchInlineSnapshot(`
      "validate  a malformed request fails, what the model does not support logs a warning, the tokens of the prompt are estimated
      overall   no limit
      models    only the model of the request
      retry     never
      attempt   headers in 10s, first token in 30s (120s thinking), silence up to 30s (45s thinking), no content up to 60s (180s thinking), no limit in total
      answer    paused: continued 5 times, truncated: fail, empty: fail
      on break  fail, with the text so far in the error"
    `)
    expect(Policy.describe({ retry: custom })).toMatchInlineSnapshot(`
      "validate  a malformed request fails, what the model does not support logs a warning, the tokens of the prompt are estimated
      overall   no limit
      models    only the model of the request
      retry     by a custom schedule
      attempt   headers in 10s, first token in 30s (120s thinking), silence up to 30s (45s thinking), no content up to 60s (180s thinking), no limit in total
      answer    paused: continued 5 times, truncated: fail, empty: fail
      on break  fail, with the text so far in the error"
    `)
  })
})

describe("Policy.describe for the schedules of Retry", () => {
  const shown = (policy: Policy.Policy) => Policy.describe(policy).split("\n").map((line) => line.trim())

  it("shows the range of a wait, cap and jitter included", () => {
    const additive = Retry.backoff({ times: 3, base: "20 seconds", cap: "30 seconds", jitter: "additive" })
    assert.include(shown({ retry: { Overloaded: additive } }), "Overloaded: 3 times, after 20-30s, 30s, 30s")
    // `describe` gives the CircuitOpen a `retryAfter`, and with `retryAfter` the cap does not apply.
    assert.include(shown({ retry: { CircuitOpen: additive } }), "CircuitOpen: 3 times, after 20-40s, 30-50s, 30-50s")
  })

  it("leaves out a kind of error that is always permanent, whatever its schedule", () => {
    const retry = { InvalidRequest: Retry.backoff({ times: 3 }), Truncated: Retry.linear({ times: Infinity }) }
    assert.notInclude(shown({ retry }).join(), "InvalidRequest")
    assert.notInclude(shown({ retry }).join(), "Truncated")
  })

  it("applies `maxRetries` to Overloaded, but not to CircuitOpen, because CircuitOpen means that no request was sent", () => {
    const often = Retry.linear({ times: Infinity, base: "1 second" })
    const lines = shown({ retry: { Overloaded: often, CircuitOpen: often }, maxRetries: 2 })
    assert.include(lines, "Overloaded: 2 times, after 1s, 2s")
    assert.include(lines, "CircuitOpen: without limit, after 1s, 2s, 3s, 4s, 5s … 30s")
    assert.include(lines, "retry     by kind of error, at most 2 in total")
    const few = shown({ retry: often, maxRetries: 2, models: ["claude-haiku-5-5"] })
    assert.include(
      few,
      "retry     2 times, after 1s, 2s, at most 2 on each model"
    )
    assert.include(shown({ retry: often, maxRetries: 0 }).join(), "retry     never")
  })

  it("shows Retry.byTag like the record that was passed to it, including application errors and nested tables", () => {
    const inner = Retry.byTag({ Busy: Retry.linear({ times: 1 }) }, Busy)
    const retry = Retry.byTag(
      { Overloaded: Retry.byTag({ Overloaded: Retry.linear({ times: 2 }) }), Busy: inner },
      Busy
    )
    assert.include(shown({ retry }), "Overloaded: 2 times, after 1s, 2s")
    assert.include(shown({ retry }), "Busy: once, after 1s")
    assert.deepStrictEqual(
      shown({ retry: Retry.standard }),
      shown({ retry: Retry.byTag(Retry.standard) })
    )
  })

  it("shows an `idle` limit of at most a third of `overall` if another attempt can follow a time-out", () => {
    const overall = "18 seconds"
    const idle = (policy: Policy.Policy) => /silence up to (\d+s)/.exec(shown({ ...policy, overall }).join())?.[1]
    const retry = { TimedOut: Retry.linear({ times: 1 }) }
    assert.strictEqual(idle({ retry }), "6s")
    // Half of the overall limit is reserved for the other model.
    assert.strictEqual(idle({ models: ["claude-haiku-5-5"] }), "5s")
    assert.strictEqual(idle({ retry, maxRetries: 0 }), "30s")
    assert.strictEqual(idle({ retry: { Overloaded: Retry.linear({ times: 1 }) } }), "30s")
    assert.strictEqual(idle({}), "30s")
  })

  it("shows a `reask` line even if the policy has no `retry`", () => {
    assert.include(
      shown({ reask: 1 }),
      "reask     once after a malformed answer, without a wait, with a list of its mistakes"
    )
    assert.include(shown({ reask: 1 }), "retry     never")
  })

  it("shows \"by a custom schedule\" for an entry of a `retry` record that a combinator made from a schedule of Retry", () => {
    const combined = Schedule.upTo(Retry.linear({ times: 3 }), { times: 1 })
    assert.include(shown({ retry: { Overloaded: combined } }), "Overloaded: by a custom schedule")
  })
})

it.effect("a request keeps the model name of its call, even an unknown one, and gets the `idle` limit of its policy", () =>
  Effect.gen(function*() {
    const Point = Schema.Struct({ x: Schema.Int })
    yield* Claude.object(Point, "where?").pipe(Policy.apply({ idle: "7 seconds" }), Claude.withModel("claude-next"))
    const [request] = yield* FakeClaude.received
    assert.strictEqual(request?.params.model, "claude-next")
    assert.strictEqual(request?.limits.idle, 7000)
    assert.strictEqual(yield* Current.Model, "claude-sonnet-5-5")
  }).pipe(Effect.provide(FakeClaude.layer([Faults.value({ x: 1 })]))))
