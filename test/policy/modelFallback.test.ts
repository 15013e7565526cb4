/** Chains of models: which model is asked, with which request, and for how long. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Ref, Result, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as CallContext from "../../src/callContext.ts"
import {
  CallLog,
  Claude,
  ClaudeError,
  Fallback,
  type Message,
  Models,
  Policy,
  Retry,
  Timeout,
  Tool
} from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import * as Runtime from "../../src/runtime.ts"
import { FakeClaude, FakeServer, Faults } from "../../src/testing/index.ts"
import { make } from "../support/errors.ts"

const fail = Faults.fails
const prose = (model: string) => Faults.answer("Hello.", { model })
const tagOf = (error: ClaudeError.ClaudeError) => error._tag
const historyOf = (error: ClaudeError.ClaudeError) => error.history?.map(({ error, model }) => [model, error])

/** The parameters without `stream`, which is in every request. */
const withoutStream = (params: object): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(params).filter(([name]) => name !== "stream"))

/** Runs against a server that plays the turns: the result and the bodies received. */
const play = <A, E>(self: Effect.Effect<A, E, Claude.Claude>, ...turns: ReadonlyArray<Faults.Turn>) => {
  const world = Layer.unwrap(
    Effect.map(FakeServer.FakeServer, ({ url }) => NodeAnthropic.layer({ apiKey: "sk-ant-test", baseUrl: url }))
  ).pipe(Layer.provideMerge(FakeServer.layer(turns)), Layer.provide(CallLog.layerNoop))
  return Effect.gen(function*() {
    const exit = yield* Effect.result(self)
    const received = yield* Effect.flatMap(FakeServer.FakeServer, (server) => server.received)
    const bodies = received.map(({ params }) => withoutStream(params))
    return { exit, bodies, models: bodies.map(({ model }) => model) }
  }).pipe(Effect.provide(world))
}

/** A fake without sockets, which runs on the test clock. */
const world = (...turns: ReadonlyArray<Faults.Turn>) => Layer.provideMerge(FakeClaude.layer(turns), CallLog.layerMemory)
const asked = Effect.map(FakeClaude.received, (all) => all.map(({ params }) => params.model))

describe("a request to a fallback model", () => {
  it.live("is adapted to each model from the original request", () =>
    Effect.gen(function*() {
      const look = Tool.make("look", { description: "Looks.", input: Schema.Struct({ at: Schema.String }) })
      const ask: Claude.Prompt = {
        model: "claude-opus-4-6",
        max_tokens: 100_000,
        thinking: { type: "disabled" },
        output_config: { effort: "max" },
        tools: [look],
        tool_choice: { type: "any" },
        messages: [{ role: "user", content: "hi" }]
      }
      const { bodies } = yield* play(
        Claude.message(ask).pipe(Policy.apply({ models: ["claude-opus-5-5", "claude-haiku-4-5", "claude-opus-4-5"] })),
        Faults.overloaded,
        Faults.overloaded,
        Faults.overloaded,
        prose("claude-opus-4-5")
      )
      const [first, always, manual, three] = bodies
      assert.deepInclude(first, { ...ask, tools: first?.["tools"] })
      const { output_config: _, thinking: __, ...rest } = { ...first }
      // This model always thinks, and thinking does not allow a forced tool.
      assert.deepStrictEqual(always, {
        ...rest,
        model: "claude-opus-5-5",
        output_config: { effort: "max" },
        tool_choice: { type: "auto" }
      })
      // This model has no effort setting, and a lower maximum output.
      assert.deepStrictEqual(manual, {
        ...rest,
        model: "claude-haiku-4-5",
        max_tokens: 64_000,
        thinking: { type: "disabled" }
      })
      // "high" is the highest effort of this model.
      assert.deepStrictEqual(three, {
        ...rest,
        model: "claude-opus-4-5",
        max_tokens: 64_000,
        thinking: { type: "disabled" },
        output_config: { effort: "high" }
      })
    }))

  it.live("has a user turn after a prefill if the model does not accept a prefill", () =>
    Effect.gen(function*() {
      const messages: Message.Params["messages"] = [
        { role: "user", content: "A poem." },
        { role: "assistant", content: "Roses are" }
      ]
      const { bodies } = yield* play(
        Claude.text({ model: "claude-haiku-4-5", messages }).pipe(Policy.apply({ models: ["claude-haiku-5-5"] })),
        Faults.overloaded,
        prose("claude-haiku-5-5")
      )
      assert.deepStrictEqual(bodies[0]?.["messages"], messages)
      const [poem, begun, go] = (bodies[1]?.["messages"] ?? []) as typeof messages
      assert.deepStrictEqual([poem, begun], messages)
      assert.strictEqual(go?.role, "user")
    }))

  it.live("is sent once more without thinking blocks only if the model rejects their signature", () =>
    Effect.gen(function*() {
      const thought = { type: "thinking", thinking: "Hm", signature: "c2ln" } as const
      const said = { type: "text", text: "Hello." } as const
      const ask: Claude.Prompt = {
        messages: [
          { role: "user", content: "hi" },
          { role: "assistant", content: [thought, said] },
          { role: "user", content: "and now?" }
        ]
      }
      const signature = fail(
        400,
        "invalid_request_error",
        "messages.1.content.0: Invalid `signature` in `thinking` block"
      )
      const call = Claude.text(ask).pipe(Policy.apply({ models: ["claude-haiku-5-5"] }))
      const { bodies, models } = yield* play(call, Faults.overloaded, signature, prose("claude-haiku-5-5"))
      assert.deepStrictEqual(models, ["claude-sonnet-5-5", "claude-haiku-5-5", "claude-haiku-5-5"])
      assert.deepStrictEqual(bodies[0]?.["messages"], ask.messages)
      assert.deepStrictEqual(bodies[1]?.["messages"], ask.messages)
      assert.deepStrictEqual(bodies[2]?.["messages"], [
        ask.messages[0],
        { role: "assistant", content: [said] },
        ask.messages[2]
      ])

      const again = yield* play(call, signature, signature)
      assert.lengthOf(again.bodies, 2, "it is sent once more")
      assert.strictEqual(again.exit._tag, "Failure")

      const alone = yield* play(Claude.text(ask).pipe(Policy.apply(Policy.standard)), signature)
      assert.lengthOf(alone.bodies, 1, "without fallback models, the request is not changed")
    }))

  it.live("asks for a value in a form that the model supports", () =>
    Effect.gen(function*() {
      const City = Schema.Struct({ city: Schema.String })
      const { bodies, exit } = yield* play(
        Claude.object(City, "where?").pipe(Policy.apply({ models: ["claude-of-old"] })),
        Faults.overloaded,
        Faults.value({ city: "Paris" })
      ).pipe(Effect.provide(Models.layer([{ id: "claude-of-old", capabilities: { structuredOutputs: false } }])))
      assert.strictEqual(exit._tag, "Success")
      assert.property(bodies[0], "output_config")
      assert.notProperty(bodies[1], "output_config")
      assert.match(JSON.stringify(bodies[1]), /Answer with one JSON value that matches this JSON Schema/)
    }))

  it.live("has its answer decoded in the form of the JSON Schema in its prompt if the model lacks structured outputs, even inside Fallback.lastGood", () =>
    Effect.gen(function*() {
      // Structured outputs encode a tuple as an object; the form in the prompt does not.
      const Point = Schema.Struct({ at: Schema.Tuple([Schema.Finite, Schema.Finite]) })
      const { bodies, exit } = yield* play(
        Claude.object(Point, "where?").pipe(
          Policy.apply({ models: ["claude-of-old"], reask: 1 }),
          Fallback.lastGood({ key: "point", schema: Point, maxAge: "1 hour" })
        ),
        Faults.overloaded,
        Faults.value({ near: "Paris" }),
        Faults.value({ at: [1, 2] })
      ).pipe(Effect.provide(Models.layer([{ id: "claude-of-old", capabilities: { structuredOutputs: false } }])))
      assert.deepStrictEqual(Result.getOrUndefined(exit), { at: [1, 2] })
      assert.deepStrictEqual(bodies.map(({ messages }) => Array.isArray(messages) && messages.length), [1, 1, 3])
    }))
})

describe("the next model", () => {
  it.live("has a larger context window after ContextWindowExceeded", () =>
    Effect.gen(function*() {
      const ladder = ["claude-opus-4-5", "claude-nobody-knows", "claude-sonnet-5"]
      const call = Claude.text("hi", { model: "claude-haiku-4-5" }).pipe(Policy.apply({ models: ladder }))
      const { models } = yield* play(call, Faults.promptTooLong, prose("claude-sonnet-5"))
      assert.deepStrictEqual(models, ["claude-haiku-4-5", "claude-sonnet-5"])

      const none = yield* play(
        Claude.text("hi", { model: "claude-sonnet-5" }).pipe(Policy.apply({ models: ladder.slice(0, 2) })),
        Faults.promptTooLong
      )
      assert.deepStrictEqual(none.models, ["claude-sonnet-5"])
    }))

  it.live("has a larger context window after ContextWindowExceeded, even if the failed answer names its model with a date", () =>
    Effect.gen(function*() {
      const full = Faults.answer("Half", {
        model: "claude-haiku-4-5-20991231",
        stopReason: "model_context_window_exceeded"
      })
      const call = Claude.text("hi", { model: "claude-haiku-4-5" }).pipe(Policy.apply({ models: ["claude-sonnet-5"] }))
      const { models } = yield* play(call, full, prose("claude-sonnet-5"))
      assert.deepStrictEqual(models, ["claude-haiku-4-5", "claude-sonnet-5"])
    }))

  it.live("G16: has a larger context window after ContextWindowExceeded, even if the field `model` of the failed answer is not a string", () =>
    Effect.gen(function*() {
      for (const named of [5, null, ["claude-haiku-4-5"]]) {
        const full = Faults.stream(
          Faults.events("Half", { stopReason: "model_context_window_exceeded" }).map((event) =>
            event.replace(`"model":"claude-sonnet-5-5"`, `"model":${JSON.stringify(named)}`)
          )
        )
        const call = Claude.text("hi", { model: "claude-haiku-4-5" })
        const { models } = yield* play(Fallback.models(["claude-sonnet-5"])(call), full, prose("claude-sonnet-5"))
        assert.deepStrictEqual(models, ["claude-haiku-4-5", "claude-sonnet-5"])
      }
    }))

  it.live("is the first model of `models` or `refused` that has not failed in this call", () =>
    Effect.gen(function*() {
      const call = Claude.text("hi").pipe(
        Policy.apply({ models: ["claude-opus-5", "claude-haiku-5-5"], refused: ["claude-opus-5", "claude-opus-4-8"] })
      )
      const refusing = yield* play(
        call,
        Faults.overloaded,
        Faults.refusal("I", undefined),
        Faults.overloaded,
        prose("claude-haiku-5-5")
      )
      assert.deepStrictEqual(refusing.models, [
        "claude-sonnet-5-5",
        "claude-opus-5",
        "claude-opus-4-8",
        "claude-haiku-5-5"
      ])
      const same = yield* play(
        Claude.text("hi", { model: "claude-opus-5" }).pipe(Fallback.models(["claude-opus-5", "claude-haiku-5-5"])),
        Faults.overloaded,
        prose("claude-haiku-5-5")
      )
      assert.deepStrictEqual(same.models, ["claude-opus-5", "claude-haiku-5-5"])
    }))

  it("G12: comes from a list of distinct names: Fallback.models throws if it gets no list, or a list with an empty or a repeated name", () => {
    assert.throws(() => Fallback.models("claude-haiku-5-5" as never), /is "claude-haiku-5-5": it must be a list/)
    assert.throws(() => Fallback.models(undefined as never), /is undefined: it must be a list/)
    assert.throws(() => Fallback.models([""]), /has "", which is not the name of a model/)
    assert.throws(() => Fallback.models(["a", "a"]), /names a model twice/)
  })

  it.live("is not asked after an invalid request", () =>
    Effect.gen(function*() {
      const call = Claude.text("hi").pipe(Policy.apply({ models: ["claude-haiku-5-5"] }))
      const { models } = yield* play(call, fail(400, "invalid_request_error", "no"))
      assert.lengthOf(models, 1)
    }))

  it.effect("fails with an error that has the history of all models, under a policy and in `Fallback.models` without a policy", () =>
    Effect.gen(function*() {
      const ladder = ["claude-haiku-5-5", "claude-opus-5"]
      const under = yield* Claude.text("hi").pipe(
        Policy.apply({ models: ladder, retry: { ServerFault: Retry.backoff({ times: 1 }) } }),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      const expected = [
        ["claude-sonnet-5-5", "Overloaded"],
        ["claude-haiku-5-5", "ServerFault"],
        ["claude-haiku-5-5", "ServerFault"],
        ["claude-opus-5", "ResourceNotFound"]
      ]
      assert.deepStrictEqual(historyOf(yield* Fiber.join(under)), expected)

      const bare = yield* Effect.flip(Fallback.models(ladder)(Claude.text("hi")))
      assert.deepStrictEqual(historyOf(bare), [expected[0], expected[1], expected[3]])
      assert.strictEqual(bare.gaveUp, "NotRetried")
      const single = yield* Effect.flip(Fallback.models(ladder)(Claude.text("hi")))
      assert.isUndefined(single.history, "the error of a single model is unchanged")
    }).pipe(Effect.provide(world(
      Faults.overloaded,
      Faults.serverError,
      Faults.serverError,
      Faults.notFound,
      Faults.overloaded,
      Faults.serverError,
      Faults.notFound,
      Faults.unauthorized
    ))))

  it.effect.each(
    [
      ["the last error, if it says that the service has a problem", ["Overloaded", "ServerFault"], "ServerFault"],
      [
        "the last error of the service, if the last model rejects the request",
        ["Overloaded", "ServerFault", "InvalidRequest"],
        "ServerFault"
      ],
      ["the only error of the service", ["ResourceNotFound", "RateLimited", "PermissionDenied"], "RateLimited"],
      ["the first error, if no model can answer", ["Refused", "InvalidRequest", "ResourceNotFound"], "Refused"],
      [
        "the first error, if the answer of the last model is unusable",
        ["ResourceNotFound", "MalformedOutput", "EmptyAnswer"],
        "ResourceNotFound"
      ],
      ["the first error, if the account has no credit", ["Overloaded", "SpendLimitReached"], "Overloaded"],
      ["the last error, if it has a part of the answer", ["Overloaded", "Truncated"], "Truncated"]
    ] as const
  )("fails, and the call reports %s", ([, tags, expected]) =>
    Effect.gen(function*() {
      const ladder = ["claude-haiku-5-5", "claude-opus-5"].slice(0, tags.length - 1)
      for (const through of [Policy.apply({ models: ladder }), Fallback.models(ladder)]) {
        let nth = 0
        const error = yield* Effect.suspend(() => Effect.fail(make(tags[nth++] ?? "Saturated"))).pipe(
          through,
          Effect.flip
        )
        assert.strictEqual(error._tag, expected)
        assert.deepStrictEqual(error.history?.map(({ error }) => error), [...tags])
      }
    }))

  it.effect("fails with a permanent error, and the call reports the error of the first model", () =>
    Effect.gen(function*() {
      const permanent = [
        new ClaudeError.CircuitOpen({}),
        new ClaudeError.ServerFault({ status: 501 }),
        new ClaudeError.Unreachable({ code: "CERT_HAS_EXPIRED" }),
        new ClaudeError.PartialAnswer({ because: "InvalidRequest", permanent: true })
      ]
      for (const last of permanent) {
        const failures = [new ClaudeError.Overloaded({}), last]
        const error = yield* Effect.suspend(() => Effect.fail(failures.shift() ?? last)).pipe(
          Fallback.models(["claude-haiku-5-5"]),
          Effect.flip
        )
        assert.strictEqual(error._tag, "Overloaded")
      }
    }))

  it.effect("is refused by the budget, and the call reports the first error with the reason BudgetSpent", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      for (
        const through of [
          Policy.apply,
          ({ models }: { readonly models: ReadonlyArray<string> }) => Fallback.models(models)
        ]
      ) {
        let paid = 0
        const budget: Claude.Budget = {
          charge: () => Effect.sync(() => paid++ > 0 ? undefined : { settle: () => Effect.void })
        }
        const error = yield* Claude.text("hi").pipe(
          through({ models: ["claude-haiku-5-5", "claude-opus-5"] }),
          Effect.provideService(Claude.Claude, { ...claude, runtime: Runtime.replace(claude, { budget }) }),
          Effect.flip
        )
        assert.deepInclude({ ...error }, { _tag: "Overloaded", gaveUp: "BudgetSpent" })
      }
    }).pipe(Effect.provide(world(
      Faults.overloaded,
      fail(400, "invalid_request_error", "no"),
      Faults.overloaded,
      fail(400, "invalid_request_error", "no")
    ))))

  it.effect("is the following model of `refused` if a model of `refused` fails with InvalidRequest", () =>
    Effect.gen(function*() {
      const call = Claude.text("hi").pipe(Policy.apply({ refused: ["claude-haiku-5-5", "claude-opus-5"] }))
      assert.strictEqual(yield* call, "Hello.")
      assert.deepStrictEqual(yield* asked, ["claude-sonnet-5-5", "claude-haiku-5-5", "claude-opus-5"])
    }).pipe(
      Effect.provide(world(Faults.refusal(), fail(400, "invalid_request_error", "no"), prose("claude-opus-5")))
    ))

  it.effect("rejects the request to resume a stream that broke off, and the stream fails with a retryable PartialAnswer", () =>
    Effect.gen(function*() {
      const ladder = ["claude-sonnet-4-6", "claude-sonnet-5"]
      const ask = Claude.stream("hi", { model: "claude-opus-5" }).pipe(
        Policy.applyStream({ onBreak: "resume", models: ladder, retry: { PartialAnswer: Schedule.recurs(1) } }),
        Stream.runDrain,
        Effect.flip
      )
      for (let i = 0; i < 2; i++) {
        const error = yield* ask
        assert.strictEqual(error._tag, "PartialAnswer")
        assert.isTrue(Fallback.isRetryable(error))
        assert.strictEqual(error.history?.length, 4)
      }
    }).pipe(Effect.provide(world(
      // The answer of the first model breaks off, and the first model is then overloaded.
      Faults.breaks("Par"),
      Faults.overloaded,
      fail(400, "invalid_request_error", "no"),
      fail(400, "invalid_request_error", "no"),
      // The first model is overloaded, and the answer of a fallback model breaks off.
      Faults.overloaded,
      Faults.breaks("Par"),
      fail(400, "invalid_request_error", "no"),
      fail(400, "invalid_request_error", "no")
    ))))

  it.effect("fails with an error that has each failure once in its history, even if the answer came in pieces", () =>
    Effect.gen(function*() {
      const error = yield* Claude.object(Schema.Struct({ n: Schema.Finite }), "hi").pipe(
        Policy.apply({ truncated: { raiseTo: 8000 }, models: ["claude-haiku-5-5"] }),
        Effect.flip
      )
      assert.deepStrictEqual(historyOf(error), [
        ["claude-sonnet-5-5", "Truncated"],
        ["claude-sonnet-5-5", "MalformedOutput"],
        ["claude-haiku-5-5", "Overloaded"]
      ])
    }).pipe(Effect.provide(world(Faults.maxTokens(`{"n":`), Faults.value({ n: "one" }), Faults.overloaded))))
})

it.effect("after ContextWindowExceeded, a fallback model is asked only if the built-in models or Models.layer list a larger context window for it, even without a Claude service", () =>
  Effect.gen(function*() {
    const small = new ClaudeError.ContextWindowExceeded({ model: "claude-haiku-4-5" })
    const asked = Effect.flatMap(
      CallContext.Substitute,
      (model) => model === undefined ? Effect.fail(small) : Effect.succeed(model)
    )
    const call = Policy.apply({ models: ["claude-haiku-5-5"] })(asked)
    assert.strictEqual(yield* call, "claude-haiku-5-5")
    const other = Models.layer([{ id: "claude-haiku-5-5", contextWindow: 100 }])
    assert.strictEqual((yield* Effect.flip(Effect.provide(call, other)))._tag, "ContextWindowExceeded")
  }))

describe("an attempt on a fallback model", () => {
  it.effect("is charged to the budget, with a policy and without, and not sent if the budget refuses it", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      const charged: Array<string> = []
      const budget = (times: number): Claude.Budget => ({
        charge: ({ _tag }) => Effect.sync(() => charged.push(_tag) > times ? undefined : { settle: () => Effect.void })
      })
      const ladder = ["claude-haiku-5-5", "claude-opus-5"]
      for (const through of [Policy.apply({ models: ladder }), Fallback.models(ladder)]) {
        const before = (yield* asked).length
        charged.length = 0
        const error = yield* Claude.text("hi").pipe(
          through,
          Effect.provideService(Claude.Claude, { ...claude, runtime: Runtime.replace(claude, { budget: budget(1) }) }),
          Effect.flip
        )
        assert.deepStrictEqual(charged, ["Overloaded", "ServerFault"])
        assert.strictEqual((yield* asked).length - before, 2)
        assert.deepInclude({ ...error }, { _tag: "ServerFault", gaveUp: "BudgetSpent" })
        assert.lengthOf(error.history ?? [], 2)
      }
    }).pipe(Effect.provide(world(
      Faults.overloaded,
      Faults.serverError,
      Faults.overloaded,
      Faults.serverError
    ))))
})

describe("a policy with retries and fallback models", () => {
  const patient = Retry.byTag({
    RateLimited: Retry.backoff({ times: 5 }),
    CircuitOpen: Retry.backoff({ times: 5 }),
    SpendLimitReached: Retry.backoff({ times: 5 })
  })

  it.effect("asks the next model at once if `retry-after` is longer than the time left for the current model", () =>
    Effect.gen(function*() {
      const call = Claude.text("hi").pipe(
        Policy.apply({ retry: patient, models: ["claude-haiku-5-5"], overall: "1 minute", reserve: "20 seconds" })
      )
      assert.strictEqual(yield* call, "Hello.")
    }).pipe(Effect.provide(world(Faults.rateLimited("45 seconds"), prose("claude-haiku-5-5")))))

  it.effect("asks the next model at once at an open circuit, and waits for the circuit of the last model", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      let open = true
      const guarded: Claude.Claude["Service"] = {
        ...claude,
        open: (request) =>
          open && request.params.model === "claude-sonnet-5-5"
            ? Effect.fail(new ClaudeError.CircuitOpen({ retryAfter: Duration.seconds(9) }))
            : claude.open(request)
      }
      const call = (models: ReadonlyArray<string>) =>
        Claude.text("hi").pipe(
          Policy.apply({ retry: patient, models }),
          Effect.provideService(Claude.Claude, guarded)
        )
      assert.strictEqual(yield* call(["claude-haiku-5-5"]), "Hello.")
      const alone = yield* Effect.forkChild(call([]))
      yield* TestClock.adjust("8 seconds")
      assert.isUndefined(alone.pollUnsafe())
      open = false
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(alone), "Hello.")
    }).pipe(Effect.provide(world(prose("claude-haiku-5-5"), prose("claude-sonnet-5-5")))))

  it.effect("neither retries nor asks another model after SpendLimitReached", () =>
    Effect.gen(function*() {
      const call = Claude.text("hi").pipe(Policy.apply({ retry: patient, models: ["claude-haiku-5-5"] }))
      assert.strictEqual(tagOf(yield* Effect.flip(call)), "SpendLimitReached")
      assert.lengthOf(yield* asked, 1)
    }).pipe(Effect.provide(world(Faults.spendLimited, prose("claude-haiku-5-5")))))
})

describe("the deadline of a chain", () => {
  const limits = { connect: "60 seconds", firstToken: "60 seconds" } as const
  const three = { ...limits, models: ["claude-haiku-5-5", "claude-opus-5"] } as const
  const running = (self: Effect.Effect<string, ClaudeError.ClaudeError, Claude.Claude>) =>
    Effect.forkChild(Effect.flip(self))

  it.effect("reserves time for the next models when the first one hangs, and ends the call on time", () =>
    Effect.gen(function*() {
      const call = yield* running(
        Claude.text("hi").pipe(
          Policy.apply({ ...three, overall: "60 seconds", reserve: "15 seconds" })
        )
      )
      yield* TestClock.adjust("29999 millis")
      assert.lengthOf(yield* asked, 1)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* asked, ["claude-sonnet-5-5", "claude-haiku-5-5"])
      yield* TestClock.adjust("14999 millis")
      assert.lengthOf(yield* asked, 2)
      yield* TestClock.adjust("1 millis")
      assert.lengthOf(yield* asked, 3)
      yield* TestClock.adjust("14999 millis")
      assert.isUndefined(call.pollUnsafe(), "the last model has its reserved time")
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(call)
      assert.deepInclude({ ...error }, { _tag: "DeadlineExceeded", limit: Duration.seconds(60) })
      assert.deepStrictEqual(historyOf(error), [
        ["claude-sonnet-5-5", "DeadlineExceeded"],
        ["claude-haiku-5-5", "DeadlineExceeded"],
        [(yield* asked)[2], "DeadlineExceeded"]
      ])
      assert.strictEqual(
        error.history?.[0]?.message,
        "A time limit of 30s was reached: this was the share of claude-sonnet-5-5; the rest of the time is reserved for the other models"
      )
    }).pipe(Effect.provide(world(Faults.silence, Faults.silence, Faults.silence))))

  it.effect("gives unused time to the next models", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(
        Claude.text("hi").pipe(
          Policy.apply({ ...three, overall: "60 seconds", reserve: "15 seconds" })
        )
      )
      yield* TestClock.adjust("44 seconds")
      assert.strictEqual(yield* Fiber.join(call), "Hello.")
    }).pipe(Effect.provide(world(
      Faults.overloaded,
      Faults.delayed(prose("claude-haiku-5-5"), "44 seconds")
    ))))

  it.effect("reserves 10 seconds for each remaining model by default, but at most an equal share of the time left", () =>
    Effect.gen(function*() {
      const call = yield* running(
        Claude.text("hi").pipe(
          Policy.apply({
            ...limits,
            models: three.models,
            overall: "9 seconds",
            connect: "8 seconds",
            firstToken: "9 seconds"
          })
        )
      )
      for (const seconds of [3, 6]) {
        yield* TestClock.adjust("2999 millis")
        assert.lengthOf(yield* asked, seconds / 3)
        yield* TestClock.adjust("1 millis")
        assert.lengthOf(yield* asked, seconds / 3 + 1)
      }
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(tagOf(yield* Fiber.join(call)), "DeadlineExceeded")
    }).pipe(Effect.provide(world(Faults.silence, Faults.silence, Faults.silence))))

  it.effect("reserves time for the model of Fallback.models if Timeout.overall is set around it", () =>
    Effect.gen(function*() {
      const call = yield* running(
        Claude.text("hi").pipe(
          Timeout.limits(limits),
          Fallback.models(["claude-haiku-5-5"], { reserve: "20 seconds" }),
          Timeout.overall("60 seconds")
        )
      )
      yield* TestClock.adjust("39999 millis")
      assert.lengthOf(yield* asked, 1)
      yield* TestClock.adjust("1 millis")
      assert.lengthOf(yield* asked, 2)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(tagOf(yield* Fiber.join(call)), "DeadlineExceeded")
    }).pipe(Effect.provide(world(Faults.silence, Faults.silence))))

  it.effect("leaves time for the next model even if an inner policy has a longer time limit", () =>
    Effect.gen(function*() {
      const inner = Policy.apply({ ...limits, overall: "5 minutes" })
      const outer = [
        (self: ReturnType<typeof Claude.text>) =>
          self.pipe(inner, Fallback.models(["claude-haiku-5-5"]), Timeout.overall("60 seconds")),
        (self: ReturnType<typeof Claude.text>) =>
          self.pipe(inner, Policy.apply({ models: ["claude-haiku-5-5"], overall: "60 seconds" }))
      ]
      for (const through of outer) {
        const call = yield* Effect.forkChild(through(Claude.text("hi")))
        yield* TestClock.adjust("60 seconds")
        assert.strictEqual(yield* Fiber.join(call), "Hello.")
      }
    }).pipe(Effect.provide(world(
      Faults.silence,
      prose("claude-haiku-5-5"),
      Faults.silence,
      prose("claude-haiku-5-5")
    ))))

  it.effect("applies only to the opening of a stream", () =>
    Effect.gen(function*() {
      const call = yield* Claude.stream("hi").pipe(
        Policy.applyStream({
          connect: "20 seconds",
          firstToken: "20 seconds",
          models: ["claude-haiku-5-5"],
          overall: "20 seconds",
          reserve: "5 seconds"
        }),
        Stream.mkString,
        Effect.forkChild
      )
      yield* TestClock.adjust("15 seconds")
      assert.lengthOf(yield* asked, 2)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(call), "Hello you there.")
    }).pipe(Effect.provide(world(
      Faults.silence,
      Faults.answer("Hello you there.", { model: "claude-haiku-5-5", every: "1 second" })
    ))))

  it.effect("causes no request to the next model if the caller has already interrupted the call", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(
        Claude.text("hi").pipe(Policy.apply({ models: three.models, overall: "1 minute" }))
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(call)
      yield* TestClock.adjust("1 hour")
      assert.lengthOf(yield* asked, 1)
      const log = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      assert.isFalse(log.some(({ _tag }) => _tag === "FellBack"))
    }).pipe(Effect.provide(world(Faults.silence, Faults.answer("no")))))
})
