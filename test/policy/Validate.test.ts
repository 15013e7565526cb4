import type { ModelInfo } from "@anthropic-ai/sdk/resources/models"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Ref } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, ClaudeError, Models, Policy, Retry, Validate } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

const params = { model: "claude-sonnet-5-5", max_tokens: 100, messages: [{ role: "user" as const, content: "hi" }] }
const answers = Array.from({ length: 9 }, () => Faults.answer("hello"))

/** A fake `Claude` with its own catalogue and log. */
const world = (
  models: Parameters<typeof Models.layer>[0] = [],
  turns: ReadonlyArray<Faults.Turn> = answers,
  listed: FakeClaude.Options["models"] = []
) =>
  FakeClaude.layer(turns, { models: listed }).pipe(
    Layer.provide(Models.layer(models)),
    Layer.provideMerge(Layer.fresh(CallLog.layerMemory))
  )

const requests = Effect.map(FakeClaude.received, ({ length }) => length)
const warnings = Effect.map(
  Effect.flatMap(CallLog.Memory, Ref.get),
  (events) => events.flatMap((event) => event._tag === "Warning" ? [`${event.code}: ${event.message}`] : [])
)

const gone = { id: "claude-gone", lifecycle: "retired", capabilities: { prefill: false } } as const
const small = { id: "claude-small", contextWindow: 100, maxOutput: 50, lifecycle: "active" } as const

const refusedCount = new ClaudeError.RateLimited({})

/** A model as the API lists it. */
const info = (id: string, lifecycle: "active" | "retired"): ModelInfo => ({
  id,
  type: "model",
  display_name: id,
  created_at: "2026-01-01T00:00:00Z",
  lifecycle,
  line: null,
  deprecated_at: null,
  retires_at: null,
  max_input_tokens: null,
  max_tokens: null,
  capabilities: null
})
const listing = [info("claude-listed", "retired")]

describe("a malformed request", () => {
  it.effect("fails with all its issues at once, and is neither sent nor retried", () =>
    Effect.gen(function*() {
      const bad = { max_tokens: 0, messages: [{ role: "user" as const, content: " " }] }
      const error = yield* Claude.message(bad).pipe(Policy.apply({ retry: Retry.backoff({ times: 3 }) }), Effect.flip)
      if (error._tag !== "InvalidRequest") return assert.fail(error._tag)
      assert.isFalse(error.sent)
      assert.deepStrictEqual(error.issues?.map(({ path }) => path.join(".")).toSorted(), [
        "max_tokens",
        "messages.0.content"
      ])
      assert.match(error.message, /and was not sent: .*max_tokens: .*; /)
      assert.strictEqual(yield* requests, 0)
    }).pipe(Effect.provide(world())))

  it.effect("is sent if the policy does not validate, unless a required parameter is missing", () =>
    Effect.gen(function*() {
      const blind = Policy.apply({ validate: false })
      const odd = { ...params, stop_sequences: [" "] }
      assert.strictEqual((yield* blind(Claude.message(odd))).text, "hello")
      assert.strictEqual((yield* Effect.flip(blind(Claude.text(" "))))._tag, "InvalidRequest")
      assert.strictEqual((yield* Effect.flip(Policy.apply(Policy.none)(Claude.message(odd))))._tag, "InvalidRequest")
      assert.strictEqual(yield* requests, 1)
    }).pipe(Effect.provide(world())))

  it.effect("for a retired fallback model is not sent under a strict policy, and is an InvalidRequest in the history of the error", () =>
    Effect.gen(function*() {
      const call = yield* Claude.text("hi").pipe(
        Policy.apply({ models: ["claude-gone"], strict: true }),
        Claude.withModel("claude-sonnet-5-5"),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      const error = yield* Fiber.join(call)
      assert.strictEqual(error._tag, "Overloaded")
      assert.deepInclude(error.history?.[1], { error: "InvalidRequest", model: "claude-gone" })
      assert.strictEqual(yield* requests, 1)
    }).pipe(Effect.provide(world([gone], [Faults.overloaded]))))
})

describe("validation", () => {
  it.effect("by default, logs a warning and does not stop the request if the model is unknown, retired or deprecated, or max_tokens is too high", () =>
    Effect.gen(function*() {
      const ask = (model: string) => Claude.text("hi", { model, max_tokens: 60 }).pipe(Policy.apply(Policy.standard))
      for (const model of ["claude-of-tomorrow", "claude-gone", "claude-late", "claude-small"]) {
        assert.strictEqual(yield* ask(model), "hello")
      }
      const told = yield* warnings
      assert.lengthOf(told, 4)
      assert.match(told[0] ?? "", /^Validation: model: .*claude-of-tomorrow/)
      assert.match(told[1] ?? "", /^Validation: model: .*retired/)
      assert.strictEqual(
        told[2],
        "DeprecatedModel: claude-late is deprecated and retires on 2020-01-01: move to a newer model"
      )
      assert.match(told[3] ?? "", /^Validation: max_tokens: /)
    }).pipe(Effect.provide(world([
      gone,
      small,
      { id: "claude-late", lifecycle: "deprecated", retiresAt: "2020-01-01" }
    ]))))

  it("gives a warning and no error about a new type of tool choice, even under `strict`", () => {
    const choice: object = { tool_choice: { type: "required" } }
    for (const strict of [false, true]) {
      const { errors, warnings } = Validate.check({ ...params, ...choice }, { models: [], strict })
      assert.notInclude(errors.map(({ path }) => path.join(".")), "tool_choice.type")
      assert.include(
        warnings.map(Validate.show),
        "tool_choice.type: the type of tool_choice is \"required\": it should be \"auto\", \"any\", \"tool\" or \"none\""
      )
    }
  })

  it.effect("warns about a deprecated model only in the first call, but about the same issue of a request in each call", () =>
    Effect.gen(function*() {
      const late = { model: "claude-late", max_tokens: 60 }
      for (let i = 0; i < 3; i++) yield* Claude.text("hi", late).pipe(Policy.apply(Policy.standard))
      const told = yield* warnings
      assert.lengthOf(told.filter((warning) => warning.startsWith("DeprecatedModel")), 1)
      assert.lengthOf(told.filter((warning) => warning.startsWith("Validation: max_tokens")), 3)
    }).pipe(Effect.provide(world([{ id: "claude-late", lifecycle: "deprecated", maxOutput: 50 }]))))

  it.effect("warns about an issue only once in a call of several attempts, in at most 200 characters", () =>
    Effect.gen(function*() {
      const model = "claude-".padEnd(400, "x")
      const call = yield* Claude.text("hi", { model: "claude-small", max_tokens: 60 }).pipe(
        Policy.apply({ retry: Retry.backoff({ times: 2 }), models: [model] }),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(call)
      const told = yield* warnings
      // The max_tokens warning is about claude-small. The fallback model logs one warning that its request was adapted.
      assert.lengthOf(told.filter((warning) => warning.startsWith("Validation: max_tokens")), 1)
      assert.lengthOf(told.filter((warning) => warning.startsWith("Adapted: ")), 1)
      for (const warning of told) assert.isAtMost(warning.length, "Validation: ".length + 200)
    }).pipe(Effect.provide(world([small, { id: "claude-".padEnd(400, "x"), maxOutput: 50 }], [
      Faults.overloaded,
      Faults.overloaded,
      Faults.overloaded,
      ...answers
    ]))))

  it.effect("fails a call to an unknown or retired model if the policy is strict", () =>
    Effect.gen(function*() {
      const strict = Policy.apply({ strict: true })
      for (const model of ["claude-of-tomorrow", "claude-gone"]) {
        const error = yield* Effect.flip(strict(Claude.text("hi", { model })))
        assert.deepInclude({ ...error }, { _tag: "InvalidRequest", sent: false, model })
      }
      assert.strictEqual(yield* strict(Claude.text("hi")), "hello")
      assert.strictEqual(yield* requests, 1)
    }).pipe(Effect.provide(world([gone]))))

  it.effect("fails a call to a model that is unknown or retired if the catalogue came from the API", () =>
    Effect.gen(function*() {
      const ask = (model: string) => Claude.text("hi", { model }).pipe(Policy.apply(Policy.standard))
      assert.strictEqual(yield* ask("claude-of-tomorrow"), "hello")
      yield* Models.refresh
      const unknown = yield* Effect.flip(ask("claude-of-tomorrow"))
      assert.deepInclude({ ...unknown }, { _tag: "InvalidRequest", sent: false })
      const retired = yield* Effect.flip(ask("claude-listed"))
      assert.match(retired.message, /retired/)
      // Built-in models that the API did not list still only warn.
      assert.strictEqual(yield* ask("claude-gone"), "hello")
      assert.strictEqual(yield* ask("claude-sonnet-5-5"), "hello")
      assert.strictEqual(yield* requests, 3)
    }).pipe(Effect.provide(world([gone], answers, listing))))

  it.effect("uses the catalogue of the Claude that gets the call, even if no Claude is in the context of the policy", () =>
    Effect.gen(function*() {
      const [refreshed, other] = [yield* Layer.build(world([], answers, listing)), yield* Layer.build(world())]
      yield* Effect.provideContext(Models.refresh, refreshed)
      const ask = (context: typeof other) =>
        Claude.text("hi", { model: "claude-of-tomorrow" }).pipe(
          Effect.provideContext(context),
          Policy.apply(Policy.standard)
        )
      assert.strictEqual((yield* Effect.flip(ask(refreshed)))._tag, "InvalidRequest")
      assert.strictEqual(yield* ask(other), "hello")
    }))

  it.effect("accepts an alias of a listed model", () =>
    Effect.gen(function*() {
      yield* Models.refresh
      const ask = (model: string) => Claude.text("hi", { model }).pipe(Policy.apply(Policy.standard))
      assert.strictEqual(yield* ask("claude-nova-6"), "hello")
      assert.strictEqual((yield* Effect.flip(ask("claude-nova")))._tag, "InvalidRequest")
    }).pipe(Effect.provide(world([], answers, [info("claude-nova-6-20270101", "active")]))))

  it.effect.each([
    { capabilities: {} },
    { capabilities: undefined },
    { capabilities: { structured_outputs: { supported: true }, effort: null, thinking: { types: 5 } } },
    { retires_at: 5, deprecated_at: {}, max_tokens: "many", line: 7 }
  ])(
    "knows a model from Models.refresh even if fields of the model are missing or unreadable: %o",
    (odd) =>
      Effect.gen(function*() {
        const [model] = yield* Models.refresh
        assert.deepInclude(model, { id: "claude-odd", lifecycle: "active", retiresAt: undefined })
      }).pipe(Effect.provide(world([], answers, [{ ...info("claude-odd", "active"), ...odd } as never])))
  )
})

describe("precheck", () => {
  const long = "word ".repeat(200)
  const counting = Policy.apply({ precheck: "count", retry: Retry.backoff({ times: 2 }) })

  it.effect("sends the request with a warning if the estimate says that the prompt does not fit", () =>
    Effect.gen(function*() {
      yield* Claude.text(long, { model: "claude-small", max_tokens: 10 }).pipe(Policy.apply(Policy.standard))
      assert.match((yield* warnings).join("\n"), /^Validation: the prompt seems to have .*estimate/)
      assert.strictEqual(yield* requests, 1)
    }).pipe(Effect.provide(world([small]))))

  it.effect("fails if the count says that the prompt does not fit", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(counting(Claude.text(long, { model: "claude-small", max_tokens: 10 })))
      assert.strictEqual(error._tag, "ContextWindowExceeded")
      assert.match(
        error.message,
        /the prompt has 2\d\d tokens, but the context window has only 100, so nothing was sent: shorten the prompt/
      )
      assert.strictEqual(yield* requests, 0)
    }).pipe(Effect.provide(world([small]))))

  it.effect("G16: fails before it counts the prompt if the request is circular or contains a BigInt", () =>
    Effect.gen(function*() {
      const text: Record<string, unknown> = { type: "text", text: "hi" }
      text["cache_control"] = { of: text }
      for (const content of [text, { type: "text", text: "hi", cache_control: { ttl: 1n } }]) {
        const error = yield* Effect.flip(counting(Claude.text([{ role: "user", content: [content] }] as never)))
        assert.strictEqual(error._tag, "InvalidRequest")
      }
      assert.strictEqual(yield* requests, 0)
    }).pipe(Effect.provide(world())))

  it.effect("counts the prompt once for all attempts on a model, and logs a warning and does not stop the request if the count fails", () =>
    Effect.gen(function*() {
      let counts = 0
      const claude = yield* Claude.Claude
      const busy = Claude.Claude.of({
        ...claude,
        countTokens: () =>
          Effect.suspend(() => {
            counts++
            return Effect.fail(refusedCount)
          })
      })
      const call = yield* counting(Claude.text("hi")).pipe(
        Effect.provideService(Claude.Claude, busy),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(call), "hello")
      assert.strictEqual(counts, 1)
      assert.match(
        (yield* warnings).join("\n"),
        /^PrecheckFailed: the tokens of the prompt could not be counted, so it is sent without this check: /
      )
    }).pipe(Effect.provide(world([], [Faults.overloaded, ...answers]))))
})

describe("Validate.check", () => {
  it("checks the model only if `models` is given and the rest of the request is valid, and returns an error instead of a warning under `strict`", () => {
    const models = [{ ...gone, source: "here", asOf: "2026-11-23" }]
    const asked = { ...params, model: "claude-gone" }
    assert.deepStrictEqual(Validate.check(asked), { errors: [], warnings: [] })
    assert.lengthOf(Validate.check(asked, { models }).warnings, 1)
    assert.lengthOf(Validate.check(asked, { models, strict: true }).errors, 1)
    assert.deepStrictEqual(Validate.check({ ...asked, messages: [] }, { models }).warnings, [])
  })
})

describe("a policy with invalid options for validation", () => {
  it.each([
    [() => Policy.apply({ validate: false, strict: true }), /validate is false, so strict and precheck do nothing/],
    [() => Policy.apply({ precheck: "guess" as "count" }), /precheck is "guess": it must be "count" or "estimate"/],
    [() => Policy.apply({ strict: "yes" as never }), /strict is "yes": it must be true or false/]
  ])(
    "is refused with an error that matches $1",
    (build, sentence) => assert.throws(build, RangeError, sentence)
  )
})
