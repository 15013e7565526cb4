/** Guards as options, from environment variables, as text, as status, and with errors. */
import { assert, describe, expect, it } from "@effect/vitest"
import { Config, ConfigProvider, Context, Data, Duration, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { expectTypeOf } from "vitest"
import * as CircuitSettings from "../../../src/guard/circuit/settings.ts"
import * as MonitorSettings from "../../../src/guard/monitor/settings.ts"
import { CallLog, Claude, type ClaudeError, Guard, Guards } from "../../../src/index.ts"
import { FakeClaude, Faults } from "../../../src/testing/index.ts"

const parse = (env: Readonly<Record<string, string>>) => Guards.config.parse(ConfigProvider.fromUnknown(env))
const refused = (guards: unknown): string => {
  try {
    // A record without types may contain anything.
    Guards.apply(guards as Guards.Guards)
    return "nothing is refused"
  } catch (error) {
    assert.instanceOf(error, RangeError)
    return error.message
  }
}
const own: Guard.Guard = { gate: Guard.open, admit: () => Effect.succeed({ settle: () => Effect.void }) }

describe("G12: the options of guards", () => {
  const cases: ReadonlyArray<readonly [guards: unknown, sentence: string]> = [
    [
      { circiut: {} },
      "Guards has no field circiut: it has concurrency, quota, circuit, budget, monitor, extra, account"
    ],
    ...[undefined, null, 5, true].map((guards) =>
      [guards, `Guards takes an object, {} for the defaults, not ${guards}`] as const
    ),
    [[], "Guards takes an object, {} for the defaults, not a list"],
    ["sk-ant-secret", "Guards takes an object, {} for the defaults, not a text"],
    ...["concurrency", "quota", "circuit", "budget", "monitor"].flatMap((name) =>
      [null, 64, true].map((value) =>
        [
          { [name]: value },
          `Guards: ${name} takes an object, ${
            name === "quota" ? "like { requests: 50 }" : "{} for the defaults"
          }, not ${value}`
        ] as const
      )
    ),
    [
      { circuit: { slow: true } },
      "Guards: circuit: slow takes an object, like { after: \"10 seconds\", rate: 0.5 }, not true"
    ],
    [
      { quota: { requests: 5, classes: 5 } },
      "Guards: quota: classes takes an object, like { opus: { requests: 50 } }, not 5"
    ],
    [
      { quota: { requests: 5, classes: { haiku: 5 } } },
      "Guards: quota: classes.haiku takes an object, like { requests: 50 }, not 5"
    ],
    [{ account: 5 }, "Guards: account is 5: it must be a string"],
    [{ account: "" }, "Guards: account is empty: name it, or leave it out"],
    [{ account: "  " }, "Guards: account is empty: name it, or leave it out"],
    [
      { extra: [own, {}] },
      "Guards: extra.1 is no guard: give it a gate (Guard.open lets every request pass) and an admit"
    ],
    [
      { extra: 5 },
      "Guards: extra is 5: it must be a list of guards"
    ],
    [{ budget: { attempts: 3 } }, "Guards: budget has no field attempts: it has size"],
    [{ monitor: { minimum: 3 } }, "Guards: monitor has no field minimum: it has below, window, minimumCalls"],
    [{ monitor: { below: 0 } }, "Guards: monitor: below is 0: it must be above 0 and at most 1, such as 0.5"],
    [{ monitor: { below: 95 } }, "Guards: monitor: below is 95: it must be above 0 and at most 1, such as 0.5"],
    [{ monitor: { below: NaN } }, "Guards: monitor: below is NaN: it must be above 0 and at most 1, such as 0.5"],
    [{ monitor: { minimumCalls: 0 } }, "Guards: monitor: minimumCalls is 0: it must be a whole number, 1 or more"],
    [{ monitor: { minimumCalls: 1.5 } }, "Guards: monitor: minimumCalls is 1.5: it must be a whole number, 1 or more"],
    [
      { monitor: { window: 0 } },
      "Guards: monitor: window is 0: it must be a duration above 0, like \"10 seconds\" or 10_000 (milliseconds)"
    ],
    [
      { monitor: { window: "soon" } },
      "Guards: monitor: window is \"soon\": it must be a duration above 0, like \"10 seconds\" or 10_000 (milliseconds)"
    ],
    [{ monitor: { window: Infinity } }, "Guards: monitor: window is infinite: it must be a finite duration"],
    [
      { circuit: { threshold: 0.5 } },
      "Guards: circuit has no field threshold: it has window, minimumCalls, failureRate, openFor, maxOpenFor, probeLease, slow"
    ],
    [
      { circuit: { failureRate: 0 } },
      "Guards: circuit: failureRate is 0: it must be above 0 and at most 1, such as 0.5"
    ],
    [
      { circuit: { failureRate: 50 } },
      "Guards: circuit: failureRate is 50: it must be above 0 and at most 1, such as 0.5"
    ],
    [{ circuit: { minimumCalls: 0 } }, "Guards: circuit: minimumCalls is 0: it must be a whole number, 1 or more"],
    [
      { circuit: { openFor: "10 minutes", maxOpenFor: "5 minutes" } },
      "Guards: circuit: openFor (10m) is longer than maxOpenFor (5m): raise maxOpenFor or lower openFor"
    ],
    [{ circuit: { openFor: 10 } }, "Guards: circuit: openFor is 10ms: it must be from 1 second to 1 day"],
    [{ circuit: { probeLease: "2 days" } }, "Guards: circuit: probeLease is 2d: it must be from 1 second to 1 day"],
    [{ circuit: { window: 1 } }, "Guards: circuit: window is 1ms: it must be from 1 second to 1 day"],
    [{ circuit: { maxOpenFor: 999 } }, "Guards: circuit: maxOpenFor is 999ms: it must be from 1 second to 1 day"],
    [{ circuit: { window: Infinity } }, "Guards: circuit: window is infinite: it must be a finite duration"],
    [{ circuit: { openFor: Infinity } }, "Guards: circuit: openFor is infinite: it must be a finite duration"],
    [{ circuit: { maxOpenFor: Infinity } }, "Guards: circuit: maxOpenFor is infinite: it must be a finite duration"],
    [{ circuit: { probeLease: Infinity } }, "Guards: circuit: probeLease is infinite: it must be a finite duration"],
    [
      { circuit: { openFor: -1 } },
      "Guards: circuit: openFor is -1: it must be a duration above 0, like \"10 seconds\" or 10_000 (milliseconds)"
    ],
    [
      { circuit: { slow: { after: "10 seconds", rate: 2 } } },
      "Guards: circuit: slow.rate is 2: it must be above 0 and at most 1, such as 0.5"
    ],
    [
      { circuit: { slow: { rate: 0.5 } } },
      "Guards: circuit: slow.after is undefined: it must be a duration above 0, like \"10 seconds\" or 10_000 (milliseconds)"
    ],
    [
      { circuit: { slow: { after: 1000, rate: 0.5, share: 1 } } },
      "Guards: circuit: slow has no field share: it has after, rate"
    ],
    [{ quota: { requests: 50, per: Infinity } }, "Guards: quota: per is infinite: it must be a finite duration"],
    [
      { quota: { requests: 50, classes: { haiku: { request: 100 } } } },
      "Guards: quota: classes.haiku has no field request: it has requests, inputTokens, outputTokens"
    ]
  ]
  for (const [guards, sentence] of cases) {
    it(`are rejected with the message: ${sentence}`, () => {
      assert.strictEqual(refused(guards), sentence)
      assert.throws(() => Guards.describe(guards as Guards.Guards), RangeError)
    })
  }

  it("are accepted if they are valid, also with an openFor that is longer than the default maxOpenFor, if maxOpenFor is not set", () => {
    for (
      const guards of [{}, Guards.standard, { extra: [own] }, { circuit: { openFor: "20 minutes" } }, {
        budget: false,
        monitor: false
      }, {
        concurrency: undefined,
        quota: undefined,
        circuit: undefined,
        budget: undefined,
        monitor: undefined
      }] as const
    ) assert.strictEqual(refused(guards), "nothing is refused")
    assert.strictEqual(CircuitSettings.settings({ openFor: "20 minutes" }).maxOpenFor, 1_200_000)
  })

  it("have the documented defaults of monitor and circuit", () => {
    assert.deepStrictEqual(MonitorSettings.settings({}), {
      below: 0.95,
      window: 300_000,
      minimumCalls: 20
    })
    assert.deepInclude(CircuitSettings.settings({}), {
      window: 60_000,
      minimumCalls: 20,
      failureRate: 0.9,
      openFor: 5000,
      maxOpenFor: 30_000
    })
  })
})

describe("Guards.config", () => {
  it.effect("has a circuit, a budget and a monitor if no environment variable is set", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* parse({}), {
        account: "default",
        concurrency: undefined,
        quota: undefined,
        circuit: {},
        budget: {},
        monitor: {}
      })
    }))

  it.effect("reads every environment variable", () =>
    Effect.gen(function*() {
      const guards = yield* parse({
        CLAUDE_ACCOUNT: "acme",
        CLAUDE_CONCURRENCY_MAX: "64",
        CLAUDE_CONCURRENCY_MIN: "4",
        CLAUDE_QUEUE: "100",
        CLAUDE_MAX_WAIT: "20 seconds",
        CLAUDE_REQUESTS_PER_MINUTE: "50",
        CLAUDE_INPUT_TOKENS_PER_MINUTE: "30000",
        CLAUDE_OUTPUT_TOKENS_PER_MINUTE: "8000",
        CLAUDE_HEADROOM: "0.5",
        CLAUDE_CIRCUIT: "true",
        CLAUDE_CIRCUIT_FAILURE_RATE: "0.4",
        CLAUDE_CIRCUIT_MINIMUM_CALLS: "5",
        CLAUDE_CIRCUIT_OPEN_FOR: "10 seconds",
        CLAUDE_BUDGET: "true",
        CLAUDE_MONITOR: "true",
        CLAUDE_MONITOR_BELOW: "0.9"
      })
      assert.deepStrictEqual(guards, {
        account: "acme",
        concurrency: { max: 64, min: 4, queue: 100, maxWait: Duration.seconds(20) },
        quota: { requests: 50, inputTokens: 30_000, outputTokens: 8000, headroom: 0.5, per: "1 minute" },
        circuit: { failureRate: 0.4, minimumCalls: 5, openFor: Duration.seconds(10) },
        budget: {},
        monitor: { below: 0.9 }
      })
      assert.doesNotThrow(() => Guards.apply(guards))
    }))

  it.effect("leaves out guards that are switched off", () =>
    Effect.gen(function*() {
      const guards = yield* parse({ CLAUDE_CIRCUIT: "false", CLAUDE_BUDGET: "no", CLAUDE_MONITOR: "off" })
      assert.deepInclude(guards, { circuit: undefined, budget: false, monitor: false })
      // A switch also turns off a guard that other variables configure.
      const detailed = yield* parse({ CLAUDE_CIRCUIT: "false", CLAUDE_CIRCUIT_OPEN_FOR: "10 seconds" })
      assert.isUndefined(detailed.circuit)
    }))

  it.effect("fails with a message that names the wrong option or variable, if values are invalid or contradict each other", () =>
    Effect.gen(function*() {
      for (
        const [env, words] of [
          [{ CLAUDE_CONCURRENCY_MIN: "8", CLAUDE_CONCURRENCY_MAX: "4" }, "min (8) is more than max (4)"],
          [
            { CLAUDE_CIRCUIT_FAILURE_RATE: "50" },
            "Guards: circuit: failureRate is 50: it must be above 0 and at most 1"
          ],
          [{ CLAUDE_MONITOR_BELOW: "95" }, "Guards: monitor: below is 95: it must be above 0 and at most 1"],
          [{ CLAUDE_ACCOUNT: " " }, "account is empty"],
          [{ CLAUDE_QUEUE: "-1" }, "queue is -1: it must be a whole number"],
          [{ CLAUDE_REQUESTS_PER_MINUTE: "0" }, "requests is 0: it must be above 0 (set by the CLAUDE_ variables)"],
          [{ CLAUDE_HEADROOM: "0.5" }, "CLAUDE_HEADROOM is 0.5, but no limit is set"],
          [{ CLAUDE_CONCURRENCY_MAX: "many" }, "CLAUDE_CONCURRENCY_MAX"],
          [{ CLAUDE_CONCURRENCY_MAX: "1.5" }, "CLAUDE_CONCURRENCY_MAX"],
          [{ CLAUDE_MAX_WAIT: "soon" }, "CLAUDE_MAX_WAIT"],
          [{ CLAUDE_CIRCUIT: "perhaps" }, "CLAUDE_CIRCUIT"],
          [{ CLAUDE_REQUESTS_PER_MINUTE: "NaN" }, "CLAUDE_REQUESTS_PER_MINUTE"]
        ] as const
      ) {
        const error = yield* Effect.flip(parse(env))
        assert.instanceOf(error, Config.ConfigError)
        assert.include(String(error.message), words)
      }
    }))
})

describe("Guards.describe", () => {
  it("shows the defaults for an empty record", () => {
    expect(Guards.describe({})).toMatchInlineSnapshot(`
      "monitor   alerts when a circuit opens, or when fewer than 95% of at least 20 calls in the last 5m succeed
      budget    per model, 10 extra attempts may fail; each answer that begins allows one more, up to 10 again; when none is left, one extra attempt after a wait of 10s, which doubles with each failure up to 5m
      queue     per class of models, any number may run; any number may wait, until their deadline; interactive before default before background, tenants in turn
                after a 429 with a retry-after, its class of models pauses for that time, at most 1m; then one call tests the limit
      circuit   off"
    `)
    expect(Guards.describe({ budget: false, monitor: false })).toMatchInlineSnapshot(`
      "monitor   off
      budget    no limit on extra attempts
      queue     off: no limit on running calls
      circuit   off"
    `)
  })

  it("shows the standard guards", () => {
    expect(Guards.describe(Guards.standard)).toMatchInlineSnapshot(`
      "monitor   alerts when a circuit opens, or when fewer than 95% of at least 20 calls in the last 5m succeed
      budget    per model, 10 extra attempts may fail; each answer that begins allows one more, up to 10 again; when none is left, one extra attempt after a wait of 10s, which doubles with each failure up to 5m
      queue     per class of models, any number may run; any number may wait, until their deadline; interactive before default before background, tenants in turn
                after a 429 with a retry-after, its class of models pauses for that time, at most 1m; then one call tests the limit
      circuit   opens when 90% of at least 20 calls in the last 1m fail; stays open for 5s or a quarter of the outage so far, whichever is longer, at most 30s
                then sends one probe at a time; once the answer to a probe begins, waiting calls are sent at a rate that grows in 5s to twice the rate before the outage
                while it is open, calls that may wait for the probe do so in one line, by priority and then oldest first
                after the account reached its spend limit, calls fail immediately, and nothing is sent until the next probe"
    `)
  })

  it("shows the given options of every guard", () => {
    expect(Guards.describe({
      account: "acme",
      concurrency: { min: 4, max: 64, maxWait: "30 seconds" },
      quota: {
        requests: 50,
        inputTokens: 30_000,
        outputTokens: 8000,
        burst: 0.2,
        estimate: "count",
        classes: { haiku: { requests: 100 } }
      },
      circuit: { openFor: "20 seconds", slow: { after: "10 seconds", rate: 0.4 } },
      budget: { size: 20 },
      monitor: { below: 0.9 },
      extra: [own]
    })).toMatchInlineSnapshot(`
      "account   acme
      monitor   alerts when a circuit opens, or when fewer than 90% of at least 20 calls in the last 5m succeed
      budget    per model, 20 extra attempts may fail; each answer that begins allows one more, up to 20 again; when none is left, one extra attempt after a wait of 10s, which doubles with each failure up to 5m
      queue     per class of models, 4 to 64 run, fewer after rate limits, overload and time-outs; at most 200 may wait for 30s at most; interactive before default before background, tenants in turn
                after a 429 with a retry-after, its class of models pauses for that time, at most 1m; then one call tests the limit
      quota     per class of models, uses 83% of 50 requests, 30000 input tokens and 8000 output tokens per minute (95% while answers report the remaining quota), at most 20% of each limit in one burst; input tokens counted by the API
                haiku: 100 requests, 30000 input tokens and 8000 output tokens
      circuit   opens when 90% of at least 20 calls in the last 1m fail, or 40% are answered only after 10s; stays open for 20s or a quarter of the outage so far, whichever is longer, at most 30s
                then sends one probe at a time; once the answer to a probe begins, waiting calls are sent at a rate that grows in 5s to twice the rate before the outage
                while it is open, calls that may wait for the probe do so in one line, by priority and then oldest first
                after the account reached its spend limit, calls fail immediately, and nothing is sent until the next probe
      extra     custom guards: 1, asked last"
    `)
  })
})

// -----------------------------------------------------------------------------
// At work
// -----------------------------------------------------------------------------

const guarded = (guards: Guards.Guards, playable: Faults.Playable) =>
  FakeClaude.layer(playable).pipe(Guards.apply(guards), Layer.provideMerge(CallLog.layerMemory))

describe("Guards.status", () => {
  it.effect("is plain data about the models that were called", () =>
    Effect.gen(function*() {
      const json = Effect.map(Guards.status, (status) => JSON.parse(JSON.stringify(status)))
      assert.deepStrictEqual(yield* json, {
        account: { state: "closed", calls: 0, failures: 0, waiting: 0 },
        circuits: {},
        admission: {},
        budget: {},
        successRate: { rate: 1, calls: 0, failures: 0, causes: [], low: false },
        isDraining: false
      })
      yield* Claude.text("hi")
      yield* Effect.flip(Claude.text("hi", { model: "claude-haiku-5-5" }))
      const half = { rate: 0.5, calls: 2, failures: 1, causes: [{ tag: "Overloaded", count: 1 }], low: false }
      assert.deepStrictEqual(yield* json, {
        account: { state: "closed", calls: 0, failures: 0, waiting: 0 },
        circuits: {
          "claude-sonnet-5-5": { state: "closed", calls: 1, failures: 0, waiting: 0 },
          "claude-haiku-5-5": { state: "closed", calls: 1, failures: 1, waiting: 0 }
        },
        admission: {
          sonnet: { running: 0, waiting: 0, limit: 8 },
          haiku: { running: 0, waiting: 0, limit: 8 }
        },
        budget: {},
        successRate: half,
        isDraining: false
      })
    }).pipe(
      Effect.provide(guarded({ concurrency: { max: 8 }, circuit: {} }, [Faults.answer("well"), Faults.overloaded]))
    ))
})

describe("Guards.isolate", () => {
  const ask = (model: string) => Effect.map(Effect.result(Claude.text("hi", { model })), ({ _tag }) => _tag)
  const [haiku, sonnet] = ["claude-haiku-5-5", "claude-sonnet-5-5"] as const

  it.effect("blocks only the given model, until Guards.reset is called for the model", () =>
    Effect.gen(function*() {
      yield* Guards.isolate(haiku)
      yield* TestClock.adjust("1 day")
      const error = yield* Effect.flip(Claude.text("hi", { model: haiku }))
      assert.strictEqual(error._tag, "CircuitOpen")
      assert.strictEqual(yield* ask(sonnet), "Success")
      assert.strictEqual((yield* Guards.status).circuits[haiku]?.state, "isolated")
      yield* Guards.reset(haiku)
      assert.strictEqual(yield* ask(haiku), "Success")
    }).pipe(Effect.provide(guarded({ circuit: {} }, Faults.cycle(Faults.answer("well"))))))

  it.effect("with a duration blocks the given model for that time", () =>
    Effect.gen(function*() {
      yield* Guards.isolate(haiku, "1 minute")
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(yield* ask(haiku), "Failure")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* ask(haiku), "Success")
    }).pipe(Effect.provide(guarded({ circuit: {} }, Faults.cycle(Faults.answer("well"))))))

  it.effect("without a model blocks all models, until Guards.reset is called without a model", () =>
    Effect.gen(function*() {
      yield* Guards.isolate()
      assert.deepStrictEqual([yield* ask(haiku), yield* ask(sonnet)], ["Failure", "Failure"])
      assert.strictEqual((yield* Guards.status).account?.state, "isolated")
      yield* Guards.reset()
      assert.deepStrictEqual([yield* ask(haiku), yield* ask(sonnet)], ["Success", "Success"])
      assert.lengthOf(yield* FakeClaude.received, 2)
    }).pipe(Effect.provide(guarded({ circuit: {} }, Faults.cycle(Faults.answer("well"))))))

  it.effect("lets running calls finish", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(Claude.text("hi"))
      yield* TestClock.adjust("1 second")
      yield* Guards.isolate()
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(call), "well")
    }).pipe(Effect.provide(guarded({ circuit: {} }, [Faults.delayed(Faults.answer("well"), "5 seconds")]))))

  it.effect("fails without a circuit, as Guards.reset does, and with a duration of 0", () =>
    Effect.gen(function*() {
      const died = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.map(Effect.catchDefect(Effect.as(effect, "nothing"), (defect) => Effect.succeed(String(defect))), String)
      const sentence = "RangeError: Guards: there is no circuit to isolate or reset: add circuit: {} to the guards"
      assert.strictEqual(yield* died(Guards.isolate()), sentence)
      assert.strictEqual(yield* died(Guards.reset("claude-haiku-5-5")), sentence)
      assert.include(yield* died(Guards.isolate("claude-haiku-5-5", 0)), "Guards.isolate: duration is 0")
      assert.strictEqual(yield* ask(haiku), "Success")
    }).pipe(Effect.provide(guarded({}, Faults.cycle(Faults.answer("well"))))))
})

describe("the types of Guards", () => {
  class Missing extends Data.TaggedError("Missing") {}
  class Key extends Context.Service<Key, string>()("test/Key") {}
  const layer: Layer.Layer<Claude.Claude | FakeClaude.Received, Missing, Key> = Layer.unwrap(
    Effect.map(Key, (key) => key === "" ? Layer.effectContext(Effect.fail(new Missing())) : FakeClaude.layer([]))
  )

  it("keep the errors, requirements and services of a guarded layer, and add Control", () => {
    expectTypeOf(Guards.apply({})(layer)).toEqualTypeOf<
      Layer.Layer<Claude.Claude | FakeClaude.Received | Guards.Control, Missing, Key>
    >()
    expectTypeOf(layer.pipe(Guards.apply({ circuit: {} }))).toEqualTypeOf<
      Layer.Layer<Claude.Claude | FakeClaude.Received | Guards.Control, Missing, Key>
    >()
    expectTypeOf(Guards.status).toEqualTypeOf<Effect.Effect<Guards.Status, never, Guards.Control>>()
    expectTypeOf(Guards.isolate("claude-haiku-5-5")).toEqualTypeOf<Effect.Effect<void, never, Guards.Control>>()
    expectTypeOf(Guards.config).toEqualTypeOf<Config.Config<Guards.Guards>>()
    expectTypeOf(Claude.text("hi")).toEqualTypeOf<Effect.Effect<string, ClaudeError.ClaudeError, Claude.Claude>>()
  })

  it("accept no layer without a Claude, and no unknown field", () => {
    // @ts-expect-error there is no Claude in it
    const none: () => unknown = () => Guards.apply({})(Layer.succeed(Key, "key"))
    // @ts-expect-error there is no such field
    const slip: () => unknown = () => Guards.apply({ circuits: {} })
    assert.isFunction(none)
    assert.throws(slip, RangeError)
  })
})
