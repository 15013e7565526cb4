/** Checks what docs/guards.md says. Its code blocks are in this file. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Context, Duration, Effect, Exit, Fiber, Layer, Ref, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  CallLog,
  Circuit,
  Claude,
  ClaudeError,
  Current,
  Fallback,
  type Guard,
  Guards,
  Monitor,
  Policy,
  Quota,
  Retry
} from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"
import { FakeClaude, FakeServer, Faults } from "resilient-claude/testing"
import { assertAlive } from "../support/docs.ts"
import * as First from "./programs/guards.ts"

// -----------------------------------------------------------------------------
// The blocks of the page
// -----------------------------------------------------------------------------

const concurrent: Guards.Guards = {
  ...Guards.standard,
  concurrency: { max: 64, queue: 200, maxWait: "20 seconds" }
}

const limited: Guards.Guards = {
  ...Guards.standard,
  quota: { requests: 50, inputTokens: 30_000, outputTokens: 8000, classes: { haiku: { requests: 100 } } }
}

const shedding: Policy.Policy = {
  ...Policy.standard,
  retry: { ...Retry.standard, Saturated: undefined }
}

const nightly = Claude.text("Summarize the tickets of today.").pipe(
  Policy.apply(Policy.standard),
  Effect.provideService(Current.Priority, "background"),
  Effect.provideService(Current.Tenant, "customer-17")
)

const shared: Guards.Guards = {
  circuit: { openFor: "10 seconds", slow: { after: "20 seconds", rate: 0.5 } }
}

const failFast: Policy.Policy = {
  ...Policy.standard,
  retry: { ...Retry.standard, CircuitOpen: undefined }
}

const pager = Layer.succeed(Monitor.Alerts, {
  raise: (alert) => Effect.logFatal(CallLog.record(alert))
})

const Watched = NodeAnthropic.layerConfig().pipe(
  Guards.apply({ ...Guards.standard, monitor: { below: 0.9 } }),
  Layer.provide(pager)
)

const tonight = Effect.gen(function*() {
  yield* Guards.isolate("claude-opus-5", "30 minutes")
  yield* Guards.reset("claude-sonnet-5-5")
})

const stop = Effect.gen(function*() {
  const isEmpty = yield* Guards.drain("30 seconds")
  yield* Effect.logInfo(isEmpty ? "All calls have ended." : "Some calls were still running.")
  return isEmpty
})

const FromEnvironment = Layer.unwrap(
  Effect.map(Guards.config, (guards) => NodeAnthropic.layerConfig().pipe(Guards.apply(guards)))
)

/** `modify` is atomic, because no other fiber runs during one `Effect.sync`. */
const inOneProcess = (): Circuit.Store => {
  const states = new Map<string, Circuit.State>()
  return {
    modify: (key, f) =>
      Effect.sync(() => {
        const [next, result] = f(states.get(key) ?? Circuit.initial)
        states.set(key, next)
        return result
      })
  }
}

const store = inOneProcess()

const Stored = NodeAnthropic.layerConfig().pipe(
  Guards.apply({ ...Guards.standard, account: "production" }),
  Layer.provide(Layer.succeed(Circuit.Store, store))
)

/** Rejects requests once this process has spent `most` US dollars. */
const cap = (most: number): Guard.Guard => {
  let spent = 0
  return {
    gate: ({ params: { model } }) =>
      spent < most
        ? Effect.void
        : Effect.fail(new ClaudeError.SpendLimitReached({ model, detail: `this process may spend $${most}` })),
    admit: () =>
      Effect.sync(() => {
        let answer: Claude.Opened | undefined
        return {
          opened: (begun) => Effect.sync(() => void (answer = begun)),
          settle: () => Effect.sync(() => void (spent += answer?.reply().cost?.dollars ?? 0))
        }
      })
  }
}

const capped: Guards.Guards = { ...Guards.standard, extra: [cap(50)] }

// -----------------------------------------------------------------------------
// What happens
// -----------------------------------------------------------------------------

const sonnet = "claude-sonnet-5-5"
const ask = Claude.text("hi")
const start = { startImmediately: true } as const
const answers = Faults.cycle(Faults.answer("hello"))
const after20 = Faults.by(({ index }) => index < 20 ? Faults.overloaded : Faults.answer("hello"))

const guarded = (guards: Guards.Guards, playable: Faults.Playable = answers) =>
  FakeClaude.layer(playable).pipe(Guards.apply(guards), Layer.provideMerge(CallLog.layerMemory))

const impatient = ask.pipe(
  Policy.apply({ retry: Retry.linear({ times: 3, base: "100 millis" }), overall: "8 seconds" })
)

const opened = Effect.repeat(Effect.flip(ask), { times: 19 })

/** Asks once through a layer, against a server that always answers. */
const live = <A, E>(layer: Layer.Layer<A, E>, more: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function*() {
    const { received, url } = yield* FakeServer.FakeServer
    const env = { ANTHROPIC_API_KEY: "k", ANTHROPIC_BASE_URL: url, ...more }
    const text = yield* ask.pipe(
      Effect.provide(Layer.provide(layer, [ConfigProvider.layer(ConfigProvider.fromEnv({ env })), CallLog.layerNoop]))
    )
    return { text, requests: (yield* received).length }
  }).pipe(Effect.provide(FakeServer.layer(answers)))

describe("docs/guards.md", () => {
  it("contains only code that is in a test or an example", () => assertAlive("docs/guards.md"))

  it.effect("the first program answers behind guards", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* First.program, "hello")
    }).pipe(Effect.provide(guarded(Guards.standard))))

  it.live("each layer of the page (with guards, alerts, a store, or guards from the environment) answers a call, and an invalid value in the environment fails the layer", () =>
    Effect.gen(function*() {
      for (const layer of [First.ClaudeLive, Watched, FromEnvironment, Stored]) {
        assert.deepStrictEqual(yield* live(layer), { text: "hello", requests: 1 })
      }
      assert.isTrue(Exit.isFailure(yield* Effect.exit(live(FromEnvironment, { CLAUDE_CONCURRENCY_MAX: "none" }))))
    }))

  it.effect("a full queue rejects a call with Saturated", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 264; i++) yield* Effect.forkChild(ask, start)
      const error = yield* Effect.flip(ask)
      assert.include(error, { _tag: "Saturated", by: "concurrency" })
      const { admission } = yield* Guards.status
      assert.deepStrictEqual(admission["sonnet"], { running: 64, waiting: 200, limit: 64 })
    }).pipe(Effect.provide(guarded(concurrent, Faults.cycle(Faults.silence)))))

  it.effect("each layer has its own concurrency limit", () =>
    Effect.gen(function*() {
      const one = guarded({ concurrency: { max: 1, queue: 0 } }, Faults.cycle(Faults.silence))
      const running = Effect.gen(function*() {
        yield* Effect.forkChild(ask, start)
        assert.strictEqual((yield* Effect.flip(ask))._tag, "Saturated")
        return (yield* Guards.status).admission["sonnet"]?.running
      }).pipe(Effect.provide(one, { local: true }))
      assert.deepStrictEqual(yield* Effect.all([running, running]), [1, 1])
    }))

  it.effect("a call that finds the queue full waits if its policy retries Saturated; otherwise it asks the next model at once, or fails at once if there is none", () =>
    Effect.gen(function*() {
      yield* Effect.forkChild(ask, start)
      const models = { models: ["claude-haiku-5-5"] }
      assert.strictEqual(yield* ask.pipe(Policy.apply({ ...shedding, ...models })), "hello")
      assert.strictEqual((yield* Effect.flip(ask.pipe(Policy.apply(shedding))))._tag, "Saturated")
      const waiting = yield* Effect.forkChild(ask.pipe(Policy.apply({ ...Policy.standard, ...models })), start)
      yield* TestClock.adjust("7 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(waiting), "hello")
      const asked = (yield* FakeClaude.received).map(({ params }) => params.model)
      assert.deepStrictEqual(asked, [sonnet, "claude-haiku-5-5", sonnet])
    }).pipe(Effect.provide(guarded(
      { concurrency: { max: 1, queue: 0 } },
      Faults.by(({ index }) =>
        index === 0 ? Faults.delayed(Faults.answer("slow"), "8 seconds") : Faults.answer("hello")
      )
    ))))

  it.effect("the output quota reserves tokens for an answer before it begins, and is corrected after it ends", () =>
    Effect.gen(function*() {
      const left = Effect.map(Guards.status, ({ admission }) => admission["sonnet"]?.quota?.["output"]?.remaining)
      const call = yield* Effect.forkChild(ask, start)
      yield* TestClock.adjust(0)
      assert.strictEqual(yield* left, 83_000 - 1024)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(call), "hello")
      // The bucket was full again, and the answer gave back the reserved tokens that it did not use.
      assert.strictEqual(yield* left, 83_000 + 1024 - 10)
      yield* TestClock.adjust("50 seconds")
      yield* Effect.forkChild(Claude.text("hi", { max_tokens: 100 }), start)
      yield* TestClock.adjust(0)
      // The first answer reported the remaining tokens, so the quota now uses 95 % of the limit.
      assert.strictEqual(yield* left, 95_000 - 100)
    }).pipe(Effect.provide(guarded(
      { quota: { outputTokens: 100_000 } },
      [Faults.delayed(Faults.answer("hello", { outputTokens: 10 }), "10 seconds"), Faults.silence]
    ))))

  it.effect("after a 429 a call may wait longer than its retry-after, until the bucket holds enough tokens", () =>
    Effect.gen(function*() {
      const prompt = "a word ".repeat(60)
      const call = yield* Effect.forkChild(Claude.text(prompt).pipe(Policy.apply(Policy.standard)), start)
      yield* TestClock.adjust("5 seconds")
      assert.lengthOf(yield* FakeClaude.received, 1)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(call), "hello")
    }).pipe(Effect.provide(guarded({ quota: { inputTokens: 600 } }, [
      Faults.fails(429, "rate_limit_error", "Slow down", {
        headers: { "retry-after": "1", "anthropic-ratelimit-input-tokens-remaining": "0" }
      }),
      Faults.answer("hello")
    ]))))

  it.effect("a quota of 50 requests a minute lets 41 go at once, and the others within the minute", () =>
    Effect.gen(function*() {
      yield* Effect.forEach(Array.from({ length: 50 }), () => Effect.forkChild(ask, start))
      yield* TestClock.adjust(0)
      assert.lengthOf(yield* FakeClaude.received, 41)
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(yield* FakeClaude.received, 50)
    }).pipe(Effect.provide(guarded({ quota: { requests: 50 } }, Faults.cycle(Faults.silence)))))

  it.effect("each class of models has its own quota", () =>
    Effect.gen(function*() {
      yield* ask
      yield* Claude.text("hi", { model: "claude-haiku-5-5" })
      const { admission } = yield* Guards.status
      assert.containsAllKeys(admission, ["sonnet", "haiku"])
    }).pipe(Effect.provide(guarded(limited))))

  it.effect("an interactive call is sent before a background call that came first", () =>
    Effect.gen(function*() {
      yield* Effect.forkChild(ask, start)
      yield* Effect.forkChild(nightly, start)
      yield* Effect.forkChild(Claude.text("now").pipe(Effect.provideService(Current.Priority, "interactive")), start)
      yield* TestClock.adjust("1 minute")
      const prompts = (yield* FakeClaude.received).map(({ params }) => JSON.stringify(params.messages))
      assert.match(prompts[1] ?? "", /now/)
      assert.match(prompts[2] ?? "", /tickets/)
    }).pipe(
      Effect.provide(guarded({ concurrency: { max: 1 } }, Faults.cycle(Faults.answer("a b", { every: "1 second" }))))
    ))

  it.effect("an open circuit rejects a call at once, unless its policy retries CircuitOpen", () =>
    Effect.gen(function*() {
      yield* opened
      const fast = yield* Effect.flip(ask.pipe(Policy.apply(failFast)))
      assert.strictEqual(fast._tag, "CircuitOpen")
      assert.include(fast.message, "20 of 20 calls failed: Overloaded")
      assert.lengthOf(yield* FakeClaude.received, 20)
      const patient = yield* Effect.forkChild(ask.pipe(Policy.apply(Policy.standard)))
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* Fiber.join(patient), "hello")
    }).pipe(Effect.provide(guarded(Guards.standard, after20))))

  it.effect("a circuit stays open for the time in `openFor`", () =>
    Effect.gen(function*() {
      yield* opened
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual((yield* Effect.flip(ask))._tag, "CircuitOpen")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* ask, "hello")
    }).pipe(Effect.provide(guarded(shared, after20))))

  it.effect("an empty budget ends at least one of many failing calls with `gaveUp` BudgetSpent", () =>
    Effect.gen(function*() {
      const many = Array.from({ length: 30 }, () => Effect.exit(impatient))
      const all = yield* Effect.forkChild(Effect.all(many, { concurrency: "unbounded" }))
      yield* TestClock.adjust("1 minute")
      const errors = (yield* Fiber.join(all)).map((exit) => Exit.isFailure(exit) ? exit.cause : undefined)
      assert.isTrue(errors.some((cause) => JSON.stringify(cause).includes("BudgetSpent")))
    }).pipe(Effect.provide(guarded({}, Faults.cycle(Faults.overloaded)))))

  it.effect("without a budget no call ends with BudgetSpent", () =>
    Effect.gen(function*() {
      const many = Array.from({ length: 30 }, () => Effect.exit(impatient))
      const all = yield* Effect.forkChild(Effect.all(many, { concurrency: "unbounded" }))
      yield* TestClock.adjust("1 minute")
      assert.notInclude(JSON.stringify(yield* Fiber.join(all)), "BudgetSpent")
    }).pipe(Effect.provide(guarded({ budget: false }, Faults.cycle(Faults.overloaded)))))

  it.effect("each alert is raised once while calls fail", () =>
    Effect.gen(function*() {
      const raised: Array<string> = []
      const alerts = Layer.succeed(Monitor.Alerts, { raise: ({ _tag }) => Effect.sync(() => void raised.push(_tag)) })
      const layer = guarded(Guards.standard, after20).pipe(Layer.provide(alerts))
      yield* Effect.provide(Effect.repeat(Effect.flip(ask), { times: 29 }), layer)
      assert.deepStrictEqual(raised.toSorted(), ["CircuitOpened", "SuccessRateLow"])
    }))

  it.effect("Guards.status shows the circuits of the models that were called, and the success rate", () =>
    Effect.gen(function*() {
      yield* ask
      const status = yield* Guards.status
      assert.sameMembers(Object.keys(status), [
        "account",
        "admission",
        "budget",
        "circuits",
        "isDraining",
        "successRate"
      ])
      assert.deepStrictEqual(Object.keys(status.circuits), [sonnet])
      assert.deepStrictEqual(status.successRate, { rate: 1, calls: 1, failures: 0, causes: [], low: false })
    }).pipe(Effect.provide(guarded(Guards.standard))))

  it.effect("an operator can isolate one model for 30 minutes, and reset the circuit of another", () =>
    Effect.gen(function*() {
      yield* opened
      yield* tonight
      assert.strictEqual(yield* ask, "hello")
      const shut = yield* Effect.flip(Claude.text("hi", { model: "claude-opus-5" }))
      assert.include(shut, { _tag: "CircuitOpen", why: "isolated by hand" })
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual(yield* Claude.text("hi", { model: "claude-opus-5" }), "hello")
    }).pipe(Effect.provide(guarded(Guards.standard, after20))))

  it.effect("Guards.drain lets running calls end, and rejects new calls", () =>
    Effect.gen(function*() {
      const running = yield* Effect.forkChild(ask, start)
      const stopping = yield* Effect.forkChild(stop, start)
      const late = ask.pipe(Policy.apply({ ...Policy.standard, models: ["claude-haiku-5-5"] }))
      assert.include(yield* Effect.flip(late), { _tag: "Saturated", by: "drain" })
      assert.notInclude((yield* Effect.flatMap(CallLog.Memory, Ref.get)).map(({ _tag }) => _tag), "FellBack")
      assert.isTrue((yield* Guards.status).isDraining)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(running), "a b")
      assert.isTrue(yield* Fiber.join(stopping))
    }).pipe(Effect.provide(guarded(Guards.standard, [Faults.answer("a b", { every: "1 second" })]))))

  /** The error of a call whose request fails while the guards drain. Asserts that nothing more is sent. */
  const failingInDrain = <A, E, R>(call: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const running = yield* Effect.forkChild(Effect.flip(call), start)
      yield* TestClock.adjust("1 second")
      yield* Effect.forkChild(stop, start)
      yield* TestClock.adjust("10 minutes")
      assert.lengthOf(yield* FakeClaude.received, 1)
      return yield* Fiber.join(running)
    })
  const failing = failingInDrain(ask.pipe(Policy.apply({ ...Policy.standard, models: ["claude-haiku-5-5"] })))

  it.effect("an attempt that fails while the guards drain is not retried on any model", () =>
    Effect.gen(function*() {
      assert.include(yield* failing, { _tag: "Overloaded", gaveUp: "BudgetSpent" })
      const events = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      const last = events.at(-1)
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["AttemptStarted", "AttemptFailed", "GaveUp"])
      assert.deepStrictEqual(last?._tag === "GaveUp" && last.took, Duration.seconds(5))
    }).pipe(Effect.provide(guarded(Guards.standard, [Faults.delayed(Faults.overloaded, "5 seconds")]))))

  it.effect("without a budget, an attempt that fails while the guards drain is not retried either", () =>
    Effect.gen(function*() {
      assert.include(yield* failing, { _tag: "Overloaded", gaveUp: "BudgetSpent" })
    }).pipe(
      Effect.provide(guarded({ ...Guards.standard, budget: false }, [Faults.delayed(Faults.overloaded, "5 seconds")]))
    ))

  it.effect.each([{ ...Guards.standard }, { ...Guards.standard, budget: false as const }])(
    "a call that waits for a retry ends when the guards begin to drain (%j)",
    (guards) =>
      Effect.gen(function*() {
        const call = yield* Effect.forkChild(Effect.flip(ask.pipe(Policy.apply(Policy.standard))), start)
        yield* TestClock.adjust("1 second")
        assert.isTrue(yield* stop)
        yield* TestClock.adjust(0)
        const error = yield* Fiber.join(call)
        assert.include(error, { _tag: "RateLimited", gaveUp: "BudgetSpent" })
        assert.strictEqual(error.history?.[0]?.waited, 1000)
        assert.lengthOf(yield* FakeClaude.received, 1)
      }).pipe(Effect.provide(guarded(guards, [Faults.rateLimited("20 seconds")])))
  )

  it.effect.each<
    readonly [string, Effect.Effect<unknown, ClaudeError.ClaudeError, Claude.Claude>, Faults.Turn, tag: ClaudeError.Tag]
  >([
    [
      "a model that does not exist, with another model",
      ask.pipe(Policy.apply({ ...Policy.standard, models: ["claude-haiku-5-5"] })),
      Faults.notFound,
      "ResourceNotFound"
    ],
    [
      "an overload without retry, with another model",
      ask.pipe(Policy.apply({ models: ["claude-haiku-5-5"] })),
      Faults.overloaded,
      "Overloaded"
    ],
    [
      "an overload under Fallback.models",
      ask.pipe(Fallback.models(["claude-haiku-5-5"])),
      Faults.overloaded,
      "Overloaded"
    ],
    [
      "an answer that stops at max_tokens and would be continued",
      Claude.message("hi").pipe(Policy.apply({ truncated: { continue: 3 } })),
      Faults.maxTokens("a b"),
      "Truncated"
    ]
  ])("without a budget, nothing more is sent in a drain after %s", ([, call, turn, tag]) =>
    Effect.gen(function*() {
      assert.include(yield* failingInDrain(call), { _tag: tag, gaveUp: "BudgetSpent" })
    }).pipe(Effect.provide(guarded({ ...Guards.standard, budget: false }, [Faults.delayed(turn, "5 seconds")]))))

  it.effect("a call is not asked again without its thinking if a model refuses the thinking in a drain", () =>
    Effect.gen(function*() {
      const thought = { type: "thinking", thinking: "hm", signature: "c2ln" } as const
      const call = Claude.text([
        { role: "user", content: "hi" },
        { role: "assistant", content: [thought, { type: "text", text: "yes" }] },
        { role: "user", content: "and?" }
      ]).pipe(Policy.apply({ ...Policy.standard, models: ["claude-haiku-5-5"] }))
      assert.include(yield* failingInDrain(call), { _tag: "InvalidRequest", status: 400 })
    }).pipe(Effect.provide(guarded(Guards.standard, [
      Faults.delayed(
        Faults.fails(400, "invalid_request_error", "messages.1.content.0: Invalid `signature` in `thinking` block"),
        "5 seconds"
      )
    ]))))

  it.effect("without a policy, a schema that the API refuses in a drain is not asked for in another form", () =>
    Effect.gen(function*() {
      const point = Claude.object(Schema.Struct({ x: Schema.Finite }), "Where?")
      assert.include(yield* failingInDrain(point), { _tag: "InvalidRequest", status: 400 })
    }).pipe(Effect.provide(guarded(Guards.standard, [
      Faults.delayed(
        Faults.fails(400, "invalid_request_error", "output_config.format.schema: schema is too complex"),
        "5 seconds"
      )
    ]))))

  it.effect("a drain of the outer guards ends a call that waits for the retry budget of inner guards", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(
        Effect.flip(
          ask.pipe(Policy.apply({ retry: Retry.linear({ times: 9, base: "100 millis" }), overall: "4 minutes" }))
        ),
        start
      )
      yield* TestClock.adjust("3 seconds")
      const sent = (yield* FakeClaude.received).length
      assert.isTrue(yield* stop)
      yield* TestClock.adjust(0)
      assert.include(yield* Fiber.join(call), { _tag: "Overloaded", gaveUp: "BudgetSpent" })
      assert.lengthOf(yield* FakeClaude.received, sent)
    }).pipe(Effect.provide(
      guarded({ budget: { size: 1 } }, Faults.cycle(Faults.overloaded)).pipe(
        Guards.apply({ budget: false, concurrency: { max: 8 } })
      )
    )))

  it.effect("a drain with an invalid limit does not begin", () =>
    Effect.gen(function*() {
      assert.isTrue(Exit.isFailure(yield* Effect.exit(Guards.drain(-1))))
      assert.isFalse((yield* Guards.status).isDraining)
      assert.strictEqual(yield* ask, "hello")
    }).pipe(Effect.provide(guarded(Guards.standard))))

  it.effect("without concurrency, quota, circuit and budget, a drain rejects no call and waits for none", () =>
    Effect.gen(function*() {
      const running = yield* Effect.forkChild(ask, start)
      assert.isTrue(yield* stop)
      const late = yield* Effect.forkChild(ask, start)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual([yield* Fiber.join(running), yield* Fiber.join(late)], ["hello", "hello"])
    }).pipe(
      Effect.provide(guarded({ budget: false }, Faults.cycle(Faults.delayed(Faults.answer("hello"), "5 seconds"))))
    ))

  it.effect("a request that makes several calls fails at its next call when the guards drain", () =>
    Effect.gen(function*() {
      const several = Effect.andThen(ask, Effect.andThen(Effect.sleep("1 second"), ask))
      const request = yield* Effect.forkChild(Effect.flip(several), start)
      assert.isTrue(yield* stop)
      yield* TestClock.adjust("1 second")
      assert.include(yield* Fiber.join(request), { _tag: "Saturated", by: "drain" })
    }).pipe(Effect.provide(guarded(Guards.standard))))

  it.effect("two processes share a circuit through a store", () =>
    Effect.gen(function*() {
      const circuits = inOneProcess()
      const process = (playable: Faults.Playable) =>
        guarded(Guards.standard, playable).pipe(Layer.provide(Layer.succeed(Circuit.Store, circuits)))
      yield* opened.pipe(Effect.provide(process(Faults.cycle(Faults.overloaded))))
      const error = yield* Effect.flip(ask).pipe(Effect.provide(process([])))
      assert.strictEqual(error._tag, "CircuitOpen")
    }))

  it("Circuit.Store and Quota.Store are undefined by default", () => {
    assert.isUndefined(Context.get(Context.empty(), Circuit.Store))
    assert.isUndefined(Context.get(Context.empty(), Quota.Store))
  })

  it.effect.each<readonly [string, Effect.Effect<unknown, unknown, Claude.Claude>]>([
    ["is complete", ask],
    ["is left early by its reader", Stream.runDrain(Stream.take(Claude.stream("hi"), 1))],
    ["is interrupted", Effect.timeout(Stream.runForEach(Claude.stream("hi"), () => Effect.never), "1 second")]
  ])(
    "the custom guard rejects calls after an answer cost more than its cap: an answer that %s",
    ([, first]) =>
      Effect.gen(function*() {
        const running = yield* Effect.forkChild(Effect.exit(first), start)
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(running)
        const error = yield* Effect.flip(ask)
        assert.strictEqual(error.message, "The spend limit is reached: this process may spend $0.00001")
        assert.lengthOf(yield* FakeClaude.received, 1)
        // Only errors of the API open the circuit of the account.
        assert.strictEqual((yield* Guards.status).account?.state, "closed")
      }).pipe(Effect.provide(guarded({ ...capped, extra: [cap(0.00001)] })))
  )

  it("contradictory guards are rejected when they are created", () => {
    assert.throws(() => Guards.apply({ concurrency: { max: 4, min: 8 } }), RangeError, "min (8) is more than max (4)")
    assert.include(Guards.describe(capped), "custom guards: 1")
  })
})
