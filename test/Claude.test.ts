import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Redacted, Ref, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { vi } from "vitest"
import {
  CallLog,
  Claude,
  ClaudeError,
  Guard,
  Guards,
  type Message,
  Models,
  Policy,
  Retry,
  Timeout
} from "../src/index.ts"
import { FakeClaude, Faults } from "../src/testing/index.ts"
import { ends, spied } from "./support/spied.ts"
import { steppedBack } from "./support/steppedBack.ts"

const fails = (turn: Faults.Turn, after: number, scope: ClaudeError.TimedOut["scope"], thinking = false) =>
  Effect.gen(function*() {
    const options = thinking ? { thinking: { type: "adaptive" } } as const : undefined
    const call = yield* Claude.text("hi", options).pipe(Effect.flip, Effect.forkChild({ startImmediately: true }))
    yield* TestClock.adjust(Duration.seconds(after - 1))
    assert.isUndefined(call.pollUnsafe())
    yield* TestClock.adjust("1 second")
    const error = yield* Fiber.join(call)
    assert.instanceOf(error, ClaudeError.TimedOut)
    assert.strictEqual(error.scope, scope)
  }).pipe(Effect.provide(FakeClaude.layer([turn])))

const request: Message.Request = {
  params: { model: "claude-sonnet-5-5", max_tokens: 10, messages: [{ role: "user", content: "hi" }] },
  limits: {}
}

const logged = <A>(layer: Layer.Layer<A>) => Layer.provideMerge(layer, CallLog.layerMemory)
const events = Effect.flatMap(CallLog.Memory, Ref.get)

/** Reads an answer with pauses of ten minutes, and returns the error of the stream. */
const slowly = Claude.stream("hi").pipe(
  Stream.tap(() => Effect.sleep("10 minutes")),
  Stream.runDrain,
  Effect.flip,
  Effect.forkChild({ startImmediately: true })
)

describe("a time limit", () => {
  it.effect("on the connection ends the attempt after 10 seconds", () => fails(Faults.silence, 10, "connect"))
  it.effect("on the first token ends the attempt after 30 seconds, even if pings arrive", () =>
    fails(Faults.pings(), 30, "firstToken"))
  it.effect("on the first token ends the attempt after 120 seconds if thinking is on", () =>
    fails(Faults.pings(), 120, "firstToken", true))
  it.effect("on a connection that goes silent ends the attempt after 30 seconds", () =>
    fails(Faults.breaks("a", "silence"), 30, "idle"))
  it.effect("on a stream that sends only pings after its first text ends the attempt after 60 seconds", () =>
    fails(Faults.pings("a"), 60, "contentIdle"))
  it.effect("on a stream that sends only pings after its first text ends the attempt after 180 seconds if thinking is on", () =>
    fails(Faults.pings("a"), 180, "contentIdle", true))

  it.effect("does not fire while the reader pauses", () =>
    Effect.gen(function*() {
      const reader = yield* Claude.stream("hi").pipe(
        Stream.tap(() => Effect.sleep("10 minutes")),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("2 hours")
      assert.deepStrictEqual(yield* Fiber.join(reader), ["a ", "b"])
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("a b", { every: "9 seconds" })]))))

  it.effect("applies again when a slow reader continues", () =>
    Effect.gen(function*() {
      const reader = yield* slowly
      yield* TestClock.adjust("2 hours")
      const error = yield* Fiber.join(reader)
      assert.deepInclude(error, { _tag: "TimedOut", scope: "idle" })
    }).pipe(Effect.provide(FakeClaude.layer([Faults.breaks("a b c", "silence", { every: "9 seconds" })]))))

  it.effect("ends the attempt 30 seconds after a slow reader has read the buffered events", () =>
    Effect.gen(function*() {
      const reader = yield* slowly
      yield* TestClock.adjust(Duration.sum(Duration.minutes(30), Duration.seconds(29)))
      assert.isUndefined(reader.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.isDefined(reader.pollUnsafe())
      assert.strictEqual((yield* Fiber.join(reader))._tag, "TimedOut")
    }).pipe(Effect.provide(FakeClaude.layer([Faults.breaks("a b c", "silence")]))))

  it.effect("of 3 seconds fires on the millisecond, even if it begins while a longer limit is running", () =>
    Effect.gen(function*() {
      const call = yield* Claude.text("hi").pipe(
        Timeout.limits({ contentIdle: "3 seconds" }),
        Effect.flip,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("3999 millis")
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(call))._tag, "TimedOut")
    }).pipe(Effect.provide(FakeClaude.layer([Faults.delayed(Faults.pings("a", "1 second"), "1 second")]))))

  it.effect.each(
    [
      ["connect", Faults.silence, 10],
      ["firstToken", Faults.pings(), 30],
      ["idle", Faults.breaks("a b c", "silence", { every: "1 second" }), 35],
      ["contentIdle", Faults.pings("a", "1 second"), 60]
    ] as const
  )(
    "of the kind %s still fires, and not too early, if the clock is set back by an hour",
    ([scope, turn, seconds]) =>
      Effect.gen(function*() {
        for (let moment = 0; moment < 12; moment++) {
          yield* steppedBack((back) =>
            Effect.gen(function*() {
              const call = yield* Claude.text("hi").pipe(Effect.flip, Effect.forkChild({ startImmediately: true }))
              yield* TestClock.adjust(Duration.seconds(Math.min(moment, seconds - 1)))
              yield* back(3_600_000)
              yield* TestClock.adjust(Duration.seconds(seconds - 1 - Math.min(moment, seconds - 1)))
              assert.isUndefined(call.pollUnsafe(), `${moment}`)
              yield* TestClock.adjust("30 seconds")
              assert.deepInclude(yield* Fiber.join(call), { _tag: "TimedOut", scope })
            })
          ).pipe(Effect.provide(Layer.fresh(FakeClaude.layer([turn]))))
        }
      })
  )

  it.effect("on the whole attempt fires at most 3 seconds late if the clock is set back by an hour", () =>
    steppedBack((back) =>
      Effect.gen(function*() {
        const call = yield* Claude.text("hi").pipe(
          Timeout.limits({ attempt: "20 seconds" }),
          Effect.flip,
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust("10 seconds")
        yield* back(3_600_000)
        yield* TestClock.adjust("9 seconds")
        assert.isUndefined(call.pollUnsafe())
        // The time since the last read, up to 3 seconds, is unknown, so the limit may fire that much later.
        yield* TestClock.adjust("4 seconds")
        assert.deepInclude(yield* Fiber.join(call), { _tag: "TimedOut", scope: "attempt" })
      })
    ).pipe(Effect.provide(FakeClaude.layer([Faults.answer("a b c d e f g h i", { every: "3 seconds" })]))))

  it.effect("ends the attempt with a TimedOut that has the text so far and the request id", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(Effect.flip(Claude.text("hi")), { startImmediately: true })
      yield* TestClock.adjust("30 seconds")
      const error = yield* Fiber.join(call)
      assert.isTrue(error._tag === "TimedOut" && error.text !== undefined && Redacted.value(error.text) === "half")
      assert.strictEqual(error.requestId, "req_fake_0001")
    }).pipe(Effect.provide(FakeClaude.layer([Faults.breaks("half", "silence")]))))
})

describe("a wire that never answers a token count or a model list", () => {
  const hanging = Layer.effect(
    Claude.Claude,
    Effect.flatMap(
      FakeClaude.wire([Faults.answer("Paris")]),
      (wire) => Claude.make({ ...wire, countTokens: () => Effect.never, models: Effect.never })
    )
  )
  const second = Timeout.attempt("1 second")
  const counting = Guards.apply({ quota: { inputTokens: 100_000, per: "1 minute", estimate: "count" } })
  const ask = Claude.text("hi")

  it.effect.each<
    readonly [string, Effect.Effect<unknown, ClaudeError.ClaudeError, Claude.Claude>, typeof hanging, number, unknown]
  >([
    ["a token count", Claude.countTokens("hi"), hanging, 30, "TimedOut"],
    ["a model list", Models.refresh, hanging, 30, "TimedOut"],
    ["a token count with its own time limit", second(Claude.countTokens("hi")), hanging, 1, "TimedOut"],
    ["a model list with its own time limit", second(Models.refresh), hanging, 1, "TimedOut"],
    ["a call with a precheck", Policy.apply({ precheck: "count" })(ask), hanging, 30, "Paris"],
    [
      "a call with a precheck and a deadline",
      Policy.apply({ precheck: "count", overall: "12 seconds" })(ask),
      hanging,
      4,
      "Paris"
    ],
    ["a call with a quota", ask, counting(hanging), 30, "Paris"],
    ["a call with a quota and a deadline", Timeout.overall("12 seconds")(ask), counting(hanging), 4, "Paris"]
  ])(
    "delays %s no longer than the time limit",
    ([, call, layer, seconds, expected]) =>
      Effect.gen(function*() {
        const running = yield* Effect.forkChild(
          Effect.match(call, { onSuccess: (a) => a, onFailure: ({ _tag }) => _tag }),
          {
            startImmediately: true
          }
        )
        yield* TestClock.adjust(Duration.millis(seconds * 1000 - 1))
        assert.isUndefined(running.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.strictEqual(yield* Fiber.join(running), expected)
      }).pipe(Effect.provide(layer))
  )
})

describe("an answer", () => {
  const [start, ...content] = Faults.events("Paris")
  const news = Array.from({ length: 30_000 }, () => Faults.event("news", {}))
  it.live(
    "arrives within 10 seconds after 30,000 events of an unknown type",
    () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* Claude.text("hi"), "Paris")
      }).pipe(Effect.provide(FakeClaude.layer([Faults.stream([start ?? "", ...news, ...content])]))),
    10_000
  )

  it.effect("has a reply with the request id, usage, rate limits and times", () =>
    Effect.gen(function*() {
      const call = yield* Claude.message({ messages: [{ role: "user", content: "hi" }] }).pipe(
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 minute")
      const reply = yield* Fiber.join(call)
      assert.strictEqual(reply.text, "hello there")
      assert.strictEqual(reply.stopReason, "end_turn")
      assert.strictEqual(reply.requestId, "req_fake_0001")
      assert.strictEqual(reply.model, "claude-sonnet-5-5")
      assert.strictEqual(reply.usage.input_tokens, 14)
      assert.strictEqual(reply.rateLimits.requests?.remaining, 3999)
      assert.strictEqual(reply.attempt, 1)
      assert.deepStrictEqual(reply.timeToFirstToken, Duration.seconds(2))
      assert.deepStrictEqual(reply.duration, Duration.seconds(8))
      assert.deepStrictEqual(reply.message.content, [{ type: "text", text: "hello there", citations: null }])
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("hello there", { every: "1 second" })]))))

  it.effect("has all its events in the stream, including events before the first content", () =>
    Effect.gen(function*() {
      const events = yield* Stream.runCollect(Claude.events("hi"))
      assert.deepStrictEqual(events.map(({ type }) => type), [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop"
      ])
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("hello")]))))

  it.effect("has its complete thinking and tool input", () =>
    Effect.gen(function*() {
      const { message } = yield* Claude.message("hi")
      assert.deepInclude(message.content[0], { thinking: "so it is", signature: "c2lnbmF0dXJl" })
      assert.deepInclude(message.content[2], { name: "get_weather", input: { city: "Oslo" } })
    }).pipe(Effect.provide(FakeClaude.layer([
      Faults.answer("Let me see.", { thinking: "so it is", tool: { name: "get_weather", input: { city: "Oslo" } } })
    ]))))

  it.effect("is decoded by Claude.object, which fails with MalformedOutput if it does not match the schema", () =>
    Effect.gen(function*() {
      const Point = Schema.Struct({ x: Schema.Int, y: Schema.Int })
      assert.deepStrictEqual(yield* Claude.object(Point, "where?"), { x: 1, y: 2 })
      assert.strictEqual((yield* Effect.flip(Claude.object(Point, "where?")))._tag, "MalformedOutput")
    }).pipe(Effect.provide(FakeClaude.layer([Faults.value({ x: 1, y: 2 }), Faults.value({ x: "?" })]))))
})

describe("bad input", () => {
  const message = { role: "user", content: "hi" } as const
  it.effect.each(
    [
      ["an empty text", "", undefined, /messages\.0 is empty/],
      ["a blank text", " \n", undefined, /messages\.0 is empty/],
      ["a prompt without messages", [], undefined, /there are no messages/],
      ["a message without content", [{ role: "user", content: [] }], undefined, /messages\.0 is empty/],
      ["a message that is null", [null as never], undefined, /messages\.0 is empty/],
      ["content that is a number", [{ role: "user", content: 5 as never }], undefined, /messages\.0 is empty/],
      ["an empty model", "hi", { model: " " }, /the model is empty/],
      ["max_tokens of 0", "hi", { max_tokens: 0 }, /max_tokens is 0: it must be an integer/],
      ["negative max_tokens", "hi", { max_tokens: -1 }, /max_tokens is -1/],
      ["fractional max_tokens", "hi", { max_tokens: 1.5 }, /max_tokens is 1.5/],
      [
        "a misspelt parameter",
        "hi",
        { maxTokens: 9 } as object,
        /maxTokens is not a parameter of the API: write max_tokens/
      ],
      [
        "a misspelt parameter in the prompt",
        { messages: [message], maxTokens: 9 } as Claude.Prompt,
        undefined,
        /write max_tokens/
      ],
      [
        "max_tokens of NaN in the prompt",
        { messages: [message], max_tokens: Number.NaN },
        undefined,
        /max_tokens is NaN/
      ]
    ] as ReadonlyArray<readonly [string, Claude.Prompt, Claude.Options | undefined, RegExp]>
  )("%s is refused with a message, and nothing is sent", ([, ask, options, sentence]) =>
    Effect.gen(function*() {
      for (
        const call of [
          Claude.text(ask, options),
          Claude.message(ask, options),
          Stream.runDrain(Claude.stream(ask, options))
        ]
      ) {
        const error = yield* Effect.flip<unknown, ClaudeError.ClaudeError, Claude.Claude>(call)
        assert.isTrue(error._tag === "InvalidRequest" && error.sent === false)
        assert.match(error.message, sentence)
      }
      assert.lengthOf(yield* FakeClaude.received, 0)
    }).pipe(Effect.provide(FakeClaude.layer([]))))

  it.effect("a misspelt parameter is refused under a policy, even if the policy does not validate", () =>
    Effect.gen(function*() {
      const call = Claude.text("hi", { maxTokens: 9 } as object)
      for (const policy of [Policy.standard, { ...Policy.standard, validate: false }] as const) {
        const error = yield* Effect.flip(Policy.apply(policy)(call))
        assert.match(error.message, /maxTokens is not a parameter of the API: write max_tokens/)
      }
      assert.lengthOf(yield* FakeClaude.received, 0)
    }).pipe(Effect.provide(FakeClaude.layer([]))))

  it.effect("a schema without a JSON form is refused before anything is sent", () =>
    Effect.gen(function*() {
      const broken = Schema.suspend((): Schema.Codec<string> => {
        throw new Error("no such schema")
      })
      const error = yield* Effect.flip(Claude.object(broken, "hi"))
      assert.strictEqual(error._tag, "InvalidRequest")
      assert.match(error.message, /has no JSON form: Error: no such schema/)
      assert.lengthOf(yield* FakeClaude.received, 0)
    }).pipe(Effect.provide(FakeClaude.layer([]))))

  it.effect("a request beyond the end of a fault script fails with a message that says so", () =>
    Effect.gen(function*() {
      yield* Claude.text("hi")
      const error = yield* Effect.flip(Claude.text("hi"))
      assert.match(error.message, /the fault script ran out: it has 1 turn, and this is request 2/)
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("hello")]))))
})

describe("requests", () => {
  it.effect("options and parameters reach the API unchanged", () =>
    Effect.gen(function*() {
      yield* Claude.text("hi", {
        model: "claude-opus-5-5",
        max_tokens: 7,
        system: "Be brief.",
        stop_sequences: ["END"]
      })
      yield* Claude.message({ messages: [{ role: "user", content: "hi" }], max_tokens: 9, metadata: { user_id: "u" } })
      yield* Claude.text([{ role: "user", content: "hi" }]).pipe(Claude.withModel("claude-haiku-5-5"))
      const params = (yield* FakeClaude.received).map(({ params }) => params)
      const messages = [{ role: "user", content: "hi" }]
      assert.deepStrictEqual(params, [
        { model: "claude-opus-5-5", max_tokens: 7, messages, system: "Be brief.", stop_sequences: ["END"] },
        { model: "claude-sonnet-5-5", max_tokens: 9, messages, metadata: { user_id: "u" } },
        { model: "claude-haiku-5-5", max_tokens: 4096, messages }
      ] as ReadonlyArray<unknown>)
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.answer("hello"))))))

  it.effect("an option with the value undefined does not replace the parameter of the prompt", () =>
    Effect.gen(function*() {
      const messages = [{ role: "user" as const, content: "hi" }]
      const prompt = { messages, model: "claude-opus-5-5", max_tokens: 9, system: "Be brief.", top_p: undefined }
      const unset = { model: undefined, max_tokens: undefined, system: undefined, tool_choice: undefined }
      yield* Claude.text(prompt, unset)
      yield* Claude.text(
        { ...prompt, model: undefined, max_tokens: undefined },
        { system: "Be long.", maxTokens: undefined } as object
      )
      assert.deepStrictEqual((yield* FakeClaude.received).map(({ params }) => params), [
        { model: "claude-opus-5-5", max_tokens: 9, messages, system: "Be brief." },
        { model: "claude-sonnet-5-5", max_tokens: 4096, messages, system: "Be long." }
      ] as ReadonlyArray<unknown>)
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.answer("hello"))))))

  it.effect("countTokens returns more than 5 tokens for a prompt of five words", () =>
    Effect.gen(function*() {
      assert.isAbove(yield* Claude.countTokens("How many tokens is this?"), 5)
    }).pipe(Effect.provide(FakeClaude.layer([]))))
})

describe("an unknown stop reason", () => {
  it.effect("does not fail the call and logs a warning", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Claude.text("hi"), "hello")
      const warning = (yield* events).find(({ _tag }) => _tag === "Warning")
      assert.isTrue(warning?._tag === "Warning" && warning.code === "UnknownStopReason")
    }).pipe(Effect.provide(logged(FakeClaude.layer([Faults.answer("hello", { stopReason: "sunset" })])))))
})

describe("the log", () => {
  it.effect("has the start and the end of every attempt once", () =>
    Effect.gen(function*() {
      yield* Effect.flip(Claude.text("hi"))
      yield* Claude.text("hi")
      yield* Claude.stream("hi").pipe(Stream.take(1), Stream.runDrain)
      assert.deepStrictEqual((yield* events).map(({ _tag }) => _tag), [
        "AttemptStarted",
        "AttemptFailed",
        "AttemptStarted",
        "AttemptSucceeded",
        "AttemptStarted",
        "AttemptAbandoned"
      ])
    }).pipe(Effect.provide(logged(FakeClaude.layer(Faults.untilLast(Faults.overloaded, Faults.answer("a b c")))))))
})

describe("onBreak: restart", () => {
  it.effect("G13: emits a `restarted` event with the number of the new attempt and the cause, and only one message_stop", () =>
    Effect.gen(function*() {
      const reader = yield* Claude.events("hi").pipe(
        Policy.applyStream({ retry: Retry.standard, maxRetries: 5, onBreak: "restart" }),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("10 minutes")
      const seen = yield* Fiber.join(reader)
      const at = seen.findIndex(({ type }) => type === "restarted")
      assert.isAbove(at, 0)
      assert.strictEqual(seen.filter(({ type }) => type === "message_stop").length, 1)
      assert.deepInclude(seen[at], { attempt: 2, because: "PartialAnswer" })
    }).pipe(Effect.provide(logged(FakeClaude.layer([Faults.breaks("half an"), Faults.answer("half an answer")])))))
})

describe("a wrapped `open` of the service Claude", () => {
  it.effect("sees how each answer that Claude.text collects ends", () =>
    Effect.gen(function*() {
      yield* Claude.text("hi")
      yield* Effect.flip(Claude.text("hi"))
      yield* Effect.flip(Claude.text("hi"))
      const waiting = yield* Effect.forkChild(Claude.text("hi"), { startImmediately: true })
      yield* Fiber.interrupt(waiting)
      assert.deepStrictEqual(yield* ends, ["success", "Refused", "PartialAnswer", "neutral"])
    }).pipe(Effect.provide(spied([
      Faults.answer("a b"),
      Faults.refusal(),
      Faults.breaks("a"),
      Faults.silence
    ]))))

  it.effect("is called once for a call if it is a Proxy", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      let asked = 0
      const open = new Proxy(claude.open, {
        apply: (target, self, [request]: [Message.Request]) => {
          asked++
          return Reflect.apply(target, self, [request])
        }
      })
      assert.strictEqual(yield* Effect.provideService(Claude.text("hi"), Claude.Claude, { ...claude, open }), "a b")
      assert.strictEqual(asked, 1)
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("a b")]))))

  it.effect("is called with the right `this`, also behind guards, and also if a spy replaces it later", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      const mine = {
        ...claude,
        asked: 0,
        open(request: Message.Request) {
          this.asked++
          return claude.open(request)
        }
      }
      const guarded = Guard.apply([{ gate: Guard.open, admit: () => Effect.succeed(Guard.nothing) }])(mine)
      for (const service of [mine, guarded]) {
        assert.strictEqual(yield* Effect.provideService(Claude.text("hi"), Claude.Claude, service), "a b")
      }
      assert.strictEqual(mine.asked, 2)
      const spy = vi.spyOn(mine, "open")
      yield* Effect.provideService(Claude.text("hi"), Claude.Claude, guarded)
      assert.strictEqual(spy.mock.calls.length, 1)
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.answer("a b"))))))

  it.effect("returns an answer whose functions still work in a copy of the object", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      const opened = { ...(yield* claude.open(request)) }
      const { isComplete, reply, usage } = opened
      assert.strictEqual(yield* Effect.flip(Effect.forever(opened.pull)), Cause.Done())
      assert.deepStrictEqual([isComplete(), reply().text, usage().output_tokens], [true, "a b", 1])
    }).pipe(Effect.scoped, Effect.provide(FakeClaude.layer([Faults.answer("a b")]))))
})

describe("a read of an answer whose scope is closed", () => {
  it.effect("is interrupted at once, and does not wait for a time limit", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      const scope = yield* Scope.make()
      const { pull } = yield* Scope.provide(claude.open(request), scope)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(Exit.hasInterrupts(yield* Effect.exit(Effect.forever(pull))))
    }).pipe(Effect.provide(FakeClaude.layer([Faults.breaks("a", "silence")]))))
})

describe("a wire whose socket cannot be closed", () => {
  it.effect("ends the call with a defect, after the end of the attempt is logged", () =>
    Effect.gen(function*() {
      const wire = yield* FakeClaude.wire([Faults.answer("a b")])
      const stuck = Effect.acquireRelease(Effect.void, () => Effect.die("stuck"))
      const claude = yield* Claude.make({ ...wire, open: (request) => Effect.andThen(stuck, wire.open(request)) })
      const exit = yield* Effect.exit(Effect.provideService(Claude.text("hi"), Claude.Claude, claude))
      assert.isTrue(Exit.hasDies(exit))
      assert.deepStrictEqual((yield* events).map(({ _tag }) => _tag), ["AttemptStarted", "AttemptSucceeded"])
    }).pipe(Effect.provide(CallLog.layerMemory)))
})
