/** G11 A call that opens a stream ends once, together with the stream, with its whole cost and history. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Ref, type Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, ClaudeError, Guards, Policy, Retry } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

const events = Effect.flatMap(CallLog.Memory, Ref.get)
const told = Effect.map(events, (all) => all.map(({ _tag }) => _tag))
const ends = Effect.map(events, (all) => all.filter(({ _tag }) => _tag === "CallSucceeded" || _tag === "GaveUp"))

const fake = (playable: Faults.Playable, guards: Guards.Guards = {}) =>
  FakeClaude.layer(playable).pipe(Guards.apply(guards), Layer.provideMerge(CallLog.layerMemory))

const retry = Retry.linear({ times: 2, base: "1 second" })

/** Runs an effect, and moves the clock on while it waits. */
const soon = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const running = yield* Effect.forkChild(self)
    yield* TestClock.adjust("1 minute")
    return yield* Fiber.join(running)
  })

/** The tag of an error, why the call gave up, and its attempts. */
const explained = ({ _tag, gaveUp, history }: ClaudeError.ClaudeError) => ({
  _tag,
  gaveUp,
  tried: history?.map(({ attempt, error }) => [attempt, error])
})

const thoughtOnly = Faults.stream([
  ...Faults.events("").slice(0, 1),
  Faults.event("content_block_start", { index: 0, content_block: { type: "thinking", thinking: "", signature: "" } }),
  Faults.event("content_block_delta", { index: 0, delta: { type: "thinking_delta", thinking: "hm" } })
], { end: "cut" })

describe("a stream under a policy", () => {
  it.effect("succeeds when it is read to its end, and logs its cost", () =>
    Effect.gen(function*() {
      const seen: Array<ReadonlyArray<string>> = []
      yield* Claude.stream("hi").pipe(
        Policy.applyStream({ retry }),
        Stream.runForEach(() => Effect.map(told, (tags) => void seen.push(tags)))
      )
      for (const tags of seen) assert.notInclude(tags, "CallSucceeded")
      assert.deepStrictEqual(yield* told, ["AttemptStarted", "AttemptSucceeded", "CallSucceeded"])
      const [end] = yield* ends
      if (end?._tag !== "CallSucceeded") assert.fail()
      assert.deepInclude(end.spent, { input: 14, output: 2, atLeast: false })
      assert.isAbove(end.spent.dollars, 0)
    }).pipe(Effect.provide(fake([Faults.answer("a b c")]))))

  it.effect("succeeds when its reader stops early, and logs its cost as a lower bound", () =>
    Effect.gen(function*() {
      yield* Claude.stream("hi").pipe(Policy.applyStream({ retry }), Stream.take(1), Stream.runDrain)
      assert.deepStrictEqual(yield* told, ["AttemptStarted", "AttemptAbandoned", "CallSucceeded"])
      const [end] = yield* ends
      assert.isTrue(end?._tag === "CallSucceeded" && end.spent.atLeast)
    }).pipe(Effect.provide(fake([Faults.answer("a b c")]))))

  it.effect("logs no end of its call if its reader is interrupted, or if an opened answer is never read", () =>
    Effect.gen(function*() {
      const reader = yield* Claude.stream("hi").pipe(
        Policy.applyStream({ retry }),
        Stream.runDrain,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(reader)
      yield* Effect.scoped(Policy.apply({ retry })(Claude.open("hi")))
      assert.deepStrictEqual(yield* told, ["AttemptStarted", "AttemptAbandoned", "AttemptStarted", "AttemptAbandoned"])
    }).pipe(Effect.provide(fake([Faults.pings("a", "1 second"), Faults.answer("b")]))))

  const stream = Claude.stream("hi")
  const abandoned: ReadonlyArray<
    readonly [
      by: "deadline" | "interrupt" | "reader",
      how: string,
      Effect.Effect<unknown, unknown, Claude.Claude | Scope.Scope>
    ]
  > = [
    ["deadline", "the policy of a call has a deadline", Policy.apply({ overall: "5 seconds" })(Claude.text("hi"))],
    [
      "deadline",
      "the policy of a stream has a deadline",
      Stream.runDrain(Policy.applyStream({ streamOverall: "5 seconds" })(stream))
    ],
    ["interrupt", "the caller has a timeout", Effect.timeout(Claude.text("hi"), "5 seconds")],
    ["reader", "a reader stops early", Stream.runDrain(Stream.take(1)(stream))],
    ["reader", "a reader fails", Stream.runForEach(stream, () => Effect.fail("disk full"))],
    ["interrupt", "the scope of an opened answer closes before it is read", Effect.scoped(Claude.open("hi"))]
  ]

  it.effect.each(abandoned)(
    "logs an abandoned attempt with by=%s if %s",
    ([by, , call]) =>
      Effect.gen(function*() {
        yield* Effect.exit(soon(call))
        const ends = (yield* events).filter(({ _tag }) => _tag === "AttemptAbandoned")
        assert.deepStrictEqual(ends.map((end) => end._tag === "AttemptAbandoned" && end.by), [by])
      }).pipe(Effect.provide(fake([Faults.pings("a", "1 second")])))
  )

  it.effect("logs one GaveUp with the reason, and fails with the history, if its answer breaks off", () =>
    Effect.gen(function*() {
      const reading = Claude.stream("hi").pipe(Policy.applyStream({ retry }), Stream.runDrain)
      const error = yield* soon(Effect.flip(reading))
      assert.deepStrictEqual(explained(error), {
        _tag: "PartialAnswer",
        gaveUp: "NotRetried",
        tried: [[1, "Overloaded"], [2, "PartialAnswer"]]
      })
      const [end, ...others] = yield* ends
      assert.deepStrictEqual(others, [])
      if (end?._tag !== "GaveUp") assert.fail()
      assert.strictEqual(end.error, error)
      assert.strictEqual(end.reason, "NotRetried")
      assert.isTrue(end.spent.atLeast)
      assert.instanceOf(error.cause, ClaudeError.Unreachable)
    }).pipe(Effect.provide(fake([Faults.overloaded, Faults.breaks("half")]))))

  it.effect("logs one GaveUp if the retries after a break fail", () =>
    Effect.gen(function*() {
      const reading = Claude.events("hi").pipe(Policy.applyStream({ retry, onBreak: "resume" }), Stream.runDrain)
      const error = yield* soon(Effect.flip(reading))
      assert.strictEqual(error._tag, "PartialAnswer")
      assert.strictEqual(error.gaveUp, "RetriesSpent")
      assert.lengthOf(error.history ?? [], 3)
      const [end, ...others] = yield* ends
      assert.isTrue(end?._tag === "GaveUp" && end.reason === "RetriesSpent")
      assert.deepStrictEqual(others, [])
    }).pipe(Effect.provide(fake(Faults.untilLast(Faults.breaks("half"), Faults.serverError)))))

  it.effect("logs and counts one successful call if an attempt breaks before its first content and a retry succeeds", () =>
    Effect.gen(function*() {
      const reading = Claude.stream("hi").pipe(Policy.applyStream({ retry }), Stream.runDrain)
      yield* soon(reading)
      assert.deepStrictEqual(yield* told, [
        "AttemptStarted",
        "AttemptFailed",
        "RetryScheduled",
        "AttemptStarted",
        "AttemptSucceeded",
        "CallSucceeded"
      ])
      const { calls, failures } = (yield* Guards.status).successRate ?? assert.fail()
      assert.deepStrictEqual({ calls, failures }, { calls: 1, failures: 0 })
    }).pipe(Effect.provide(fake([thoughtOnly, Faults.answer("a")]))))

  const late: Partial<Policy.Policy> = { streamOverall: "5 seconds" }
  const whys: ReadonlyArray<
    readonly [why: string, policy: Policy.Policy, script: Faults.Playable, explained: ReturnType<typeof explained>]
  > = [
    ["when its answer is cut at max_tokens", {}, [Faults.maxTokens("a b")], {
      _tag: "Truncated",
      gaveUp: "NotRetried",
      tried: [[1, "Truncated"]]
    }],
    ["at its deadline", late, [Faults.overloaded, Faults.pings("a", "1 second")], {
      _tag: "DeadlineExceeded",
      gaveUp: "DeadlineExceeded",
      tried: [[1, "Overloaded"], [2, "DeadlineExceeded"]]
    }],
    ["at its deadline, even before it has opened", late, [Faults.silence], {
      _tag: "DeadlineExceeded",
      gaveUp: "DeadlineExceeded",
      tried: [[1, "DeadlineExceeded"]]
    }]
  ]
  it.effect.each(whys)(
    "logs one GaveUp, and fails with the history, %s",
    ([, policy, script, expected]) =>
      Effect.gen(function*() {
        const reading = Claude.stream("hi").pipe(Policy.applyStream({ retry, ...policy }), Stream.runDrain)
        const error = yield* soon(Effect.flip(reading))
        assert.deepStrictEqual(explained(error), expected)
        const [end, ...others] = yield* ends
        assert.deepStrictEqual(others, [])
        assert.isTrue(end?._tag === "GaveUp" && Duration.toMillis(end.took) === (policy === late ? 5000 : 0))
      }).pipe(Effect.provide(fake(script)))
  )

  it.effect("logs one end of a call each time it is run", () =>
    Effect.gen(function*() {
      const reading = Claude.stream("hi").pipe(Policy.applyStream({ retry, streamOverall: "1 minute" }))
      yield* Stream.runDrain(reading)
      yield* Effect.flip(Stream.runDrain(reading))
      assert.deepStrictEqual((yield* ends).map(({ _tag }) => _tag), ["CallSucceeded", "GaveUp"])
    }).pipe(Effect.provide(fake([Faults.answer("a"), Faults.breaks("half")]))))
})

// -----------------------------------------------------------------------------
// Streams with several answers or policies
// -----------------------------------------------------------------------------

const whole = Faults.answer("a b c")
const half = Faults.breaks("half")
const endless = Faults.pings("b", "1 second")
const under = Policy.applyStream({ retry })
const limited = Policy.applyStream({ retry, streamOverall: "10 seconds" })
const both = Stream.unwrap(Effect.map(
  Effect.all([Claude.open("1"), Claude.open("2")]),
  ([a, b]) => Stream.concat(a.events, b.events)
))

type Read = Stream.Stream<unknown, ClaudeError.ClaudeError, Claude.Claude>

const combined: ReadonlyArray<
  readonly [
    name: string,
    read: Read,
    script: Faults.Playable,
    end: "CallSucceeded" | ClaudeError.Tag | "none"
  ]
> = [
  [
    "two complete answers",
    under(Stream.concat(Claude.stream("1"), Claude.stream("2"))),
    [whole, whole],
    "CallSucceeded"
  ],
  ["two answers, the second of which breaks", under(Stream.concat(Claude.stream("1"), Claude.stream("2"))), [
    whole,
    half
  ], "PartialAnswer"],
  ["two concurrent answers, one of which fails", under(Stream.merge(Claude.stream("1"), Claude.stream("2"))), [
    whole,
    Faults.delayed(Faults.overloaded, "3 seconds")
  ], "Overloaded"],
  ["a call for each piece of an answer", under(Stream.mapEffect(Claude.stream("1"), (piece) => Claude.text(piece))), [
    whole,
    whole,
    Faults.overloaded
  ], "Overloaded"],
  [
    "an answer, and then a stream that never ends",
    limited(Stream.concat(Stream.fromEffect(Claude.text("1")), Stream.never)),
    [whole],
    "DeadlineExceeded"
  ],
  ["two answers of one call, at its deadline", limited(both), [whole, endless], "DeadlineExceeded"],
  ["an answer under two policies", under(under(Claude.stream("1"))), [whole], "CallSucceeded"],
  ["an answer under two policies that breaks", under(under(Claude.stream("1"))), [half], "PartialAnswer"],
  ["an answer under two policies, at the outer deadline", limited(under(Claude.stream("1"))), [
    endless
  ], "DeadlineExceeded"],
  [
    "an answer whose reader is busy at the deadline",
    Stream.take(Stream.tap(limited(Claude.stream("1")), () => Effect.sleep("20 seconds")), 1),
    [endless],
    "DeadlineExceeded"
  ],
  [
    "two answers, the second of which is interrupted",
    Stream.interruptWhen(
      under(Stream.concat(Claude.stream("1"), Claude.stream("2"))),
      Effect.andThen(Effect.sleep("20 seconds"), Effect.interrupt)
    ),
    [whole, endless],
    "none"
  ]
]

describe("a stream with several answers or policies", () => {
  for (const [name, read, script, end] of combined) {
    it.effect(`logs at most one end of a call for each of its policies: ${name}`, () =>
      Effect.gen(function*() {
        const reader = yield* Effect.forkChild(Effect.exit(Stream.runDrain(read)))
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(reader)
        const told = yield* ends
        const calls = new Set((yield* events).flatMap(({ call }) => call ?? []))
        assert.lengthOf(new Set(told.map(({ call }) => call)), told.length)
        const expected = end === "none" ? [] : Array.from({ length: name.includes("two policies") ? 2 : 1 }, () => end)
        const shown = told.map((event) => event._tag === "GaveUp" ? event.error._tag : event._tag)
        // The outer deadline interrupts the inner policy, which then logs no end.
        assert.deepStrictEqual(shown, name.includes("outer deadline") ? expected.slice(1) : expected)
        assert.isAtLeast(calls.size, 1)
        for (const event of told) if (event._tag === "GaveUp") assert.isDefined(event.error.history)
        const rate = (yield* Guards.status).successRate ?? assert.fail()
        const count = end === "none" ? 0 : 1
        assert.deepStrictEqual([rate.calls, rate.failures], [count, end === "CallSucceeded" ? 0 : count])
      }).pipe(Effect.provide(fake(script))))
  }
})

describe("an answer that is opened under a policy", () => {
  it.effect("ends its call when it has been read", () =>
    Effect.gen(function*() {
      const { events } = yield* Policy.apply({ retry })(Claude.open("hi"))
      assert.deepStrictEqual(yield* ends, [])
      yield* Stream.runDrain(events)
      assert.deepStrictEqual((yield* ends).map(({ _tag }) => _tag), ["CallSucceeded"])
    }).pipe(Effect.scoped, Effect.provide(fake([Faults.answer("a")]))))

  it.effect("ends its call once, when the last answer of the call ends", () =>
    Effect.gen(function*() {
      const [first, second] = yield* Policy.apply({ retry })(Effect.all([Claude.open("1"), Claude.open("2")]))
      yield* Stream.runDrain(first.events)
      assert.deepStrictEqual(yield* ends, [])
      const error = yield* Effect.flip(Stream.runDrain(second.events))
      const [end, ...others] = yield* ends
      assert.isTrue(end?._tag === "GaveUp" && end.error === error)
      assert.deepStrictEqual(others, [])
    }).pipe(Effect.scoped, Effect.provide(fake([Faults.answer("a"), Faults.breaks("half")]))))

  it.effect("ends its call once, when the first answer of the call breaks", () =>
    Effect.gen(function*() {
      const [first, second] = yield* Policy.apply({ retry })(Effect.all([Claude.open("1"), Claude.open("2")]))
      const error = yield* Effect.flip(Stream.runDrain(first.events))
      yield* Effect.flip(Stream.runDrain(second.events))
      const [end, ...others] = yield* ends
      assert.isTrue(end?._tag === "GaveUp" && end.error === error)
      assert.deepStrictEqual(others, [])
    }).pipe(Effect.scoped, Effect.provide(fake(Faults.cycle(Faults.breaks("half"))))))

  it.effect("ends its call once, even if two answers of the call break and their restarts fail", () =>
    Effect.gen(function*() {
      const opened = Policy.apply({ retry, onBreak: "restart" })(Effect.all([Claude.open("1"), Claude.open("2")]))
      const reading = Effect.flatMap(
        opened,
        (all) => Effect.forEach(all, ({ events }) => Effect.flip(Stream.runDrain(events)))
      )
      const [first] = yield* soon(reading)
      const [end, ...others] = yield* ends
      assert.isTrue(end?._tag === "GaveUp" && end.error === first)
      assert.deepStrictEqual(others, [])
    }).pipe(Effect.scoped, Effect.provide(fake(Faults.untilLast(half, half, Faults.serverError)))))

  for (const [script, end] of [[whole, "CallSucceeded"], [half, "GaveUp"]] as const) {
    it.effect(`logs ${end} for each of the two nested policies under which it was opened`, () =>
      Effect.gen(function*() {
        const { events } = yield* Policy.apply({ retry })(Policy.apply({ retry })(Claude.open("hi")))
        assert.deepStrictEqual(yield* ends, [])
        yield* Effect.exit(Stream.runDrain(events))
        assert.deepStrictEqual((yield* ends).map(({ _tag }) => _tag), [end, end])
        const { calls } = (yield* Guards.status).successRate ?? assert.fail()
        assert.strictEqual(calls, 1)
      }).pipe(Effect.scoped, Effect.provide(fake([script]))))
  }

  it.effect("and that breaks is a failure of the call that opened it, and not of another call that reads it", () =>
    Effect.gen(function*() {
      const { events } = yield* Policy.apply({ retry })(Claude.open("hi"))
      yield* Policy.apply({ retry })(Effect.ignore(Stream.runDrain(events)))
      const { calls, failures } = (yield* Guards.status).successRate ?? assert.fail()
      assert.deepStrictEqual({ calls, failures }, { calls: 2, failures: 1 })
    }).pipe(Effect.scoped, Effect.provide(fake([half]))))

  it.effect("is retried by its call after a break if the call also reads it", () =>
    Effect.gen(function*() {
      const reading = Effect.scoped(
        Effect.flatMap(Claude.open("hi"), ({ events }) => Stream.runDrain(events))
      )
      yield* soon(Policy.apply({ retry: { PartialAnswer: retry } })(reading))
      assert.deepStrictEqual((yield* ends).map(({ _tag }) => _tag), ["CallSucceeded"])
    }).pipe(Effect.provide(fake([Faults.breaks("half"), Faults.answer("a")]))))
})

describe("an answer that breaks, and whose retries fail", () => {
  for (const onBreak of ["restart", "resume"] as const) {
    it.effect(`has each attempt once in the history of its error, onBreak: ${onBreak}`, () =>
      Effect.gen(function*() {
        const reading = Effect.scoped(Effect.flatMap(Claude.open("hi"), ({ events }) => Stream.runDrain(events)))
        const error = yield* soon(Effect.flip(Policy.apply({ retry, onBreak })(reading)))
        assert.deepStrictEqual(explained(error), {
          _tag: "PartialAnswer",
          gaveUp: "RetriesSpent",
          tried: [[1, "PartialAnswer"], [2, "ServerFault"], [3, "ServerFault"]]
        })
        assert.lengthOf(yield* ends, 1)
      }).pipe(Effect.provide(fake(Faults.untilLast(half, Faults.serverError)))))
  }
})

describe("an error of the reader", () => {
  it.effect("is not a failure of the call, even if it is a ClaudeError", () =>
    Effect.gen(function*() {
      const own = new ClaudeError.Overloaded({})
      for (let i = 0; i < 20; i++) {
        const error = yield* Claude.stream("hi").pipe(
          Policy.applyStream({ retry }),
          Stream.mapEffect(() => Effect.fail(own)),
          Stream.runDrain,
          Effect.flip
        )
        assert.strictEqual(error, own)
      }
      const { circuits, successRate } = yield* Guards.status
      assert.deepInclude(circuits["claude-sonnet-5-5"], { state: "closed", failures: 0 })
      assert.strictEqual(successRate?.failures, 0)
      assert.notInclude(yield* told, "AttemptFailed")
    }).pipe(Effect.provide(fake(Faults.cycle(Faults.answer("a b c")), Guards.standard))))

  it.effect("after a break does not replace the error that the call logs", () =>
    Effect.gen(function*() {
      const own = new ClaudeError.Refused({})
      yield* Claude.stream("hi").pipe(
        Policy.applyStream({ retry }),
        Stream.catch(() => Stream.fail(own)),
        Stream.runDrain,
        Effect.flip
      )
      const [end] = yield* ends
      assert.isTrue(end?._tag === "GaveUp" && end.error._tag === "PartialAnswer")
    }).pipe(Effect.provide(fake([Faults.breaks("half")]))))
})
