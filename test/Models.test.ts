import type { ModelInfo } from "@anthropic-ai/sdk/resources/models"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Option, Ref } from "effect"
import { TestClock } from "effect/testing"
import { Anthropic, CallLog, Claude, ClaudeError, Guards, Models, Policy, Retry } from "../src/index.ts"
import * as NodeAnthropic from "../src/NodeAnthropic.ts"
import { FakeClaude, FakeServer, Faults } from "../src/testing/index.ts"
import { info } from "./support/models.ts"

const [yes, no] = [{ supported: true }, { supported: false }]

const capabilities: NonNullable<ModelInfo["capabilities"]> = {
  batch: yes,
  citations: yes,
  code_execution: yes,
  context_management: {
    supported: true,
    clear_thinking_20251015: yes,
    clear_tool_uses_20250919: yes,
    compact_20260112: null
  },
  effort: { supported: true, low: yes, medium: no, high: yes, xhigh: null, max: yes },
  image_input: yes,
  pdf_input: no,
  server_tools: { supported: true, code_execution: yes, web_search: yes },
  structured_outputs: no,
  thinking: { supported: true, types: { adaptive: yes, between_tools: no, disabled: yes, enabled: no } }
}

/** The built-in entry of a model; fails if there is none. */
const one = (id: string) => Effect.map(Models.get(id), Option.getOrThrow)

/** A `Claude` whose catalogue has these models. */
const knowing = (models: Parameters<typeof Models.layer>[0], ...turns: ReadonlyArray<Faults.Turn>) =>
  Layer.provide(FakeClaude.layer(turns), Models.layer(models))

describe("the catalogue", () => {
  it.effect("lists all built-in models", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Models.all, Models.known)
      assert.isAbove(Models.known.length, 10)
    }).pipe(Effect.provide(knowing([]))))

  it.effect("finds a model by its id", () =>
    Effect.gen(function*() {
      const model = yield* one("claude-haiku-5-5")
      assert.strictEqual(model, Models.known.find(({ id }) => id === "claude-haiku-5-5"))
      assert.strictEqual(model.contextWindow, 1_000_000)
    }).pipe(Effect.provide(knowing([]))))

  it.effect("has no entry for an unknown model", () =>
    Effect.gen(function*() {
      assert.isTrue(Option.isNone(yield* Models.get("claude-nope-1")))
      assert.isTrue(Option.isNone(yield* Models.get("toString")))
    }).pipe(Effect.provide(knowing([]))))
})

const nothing = { capabilities: undefined, contextWindow: undefined, lifecycle: undefined, prices: undefined }

describe("Models.layer", () => {
  it.effect("overrides the given fields of a model and keeps its other fields", () =>
    Effect.gen(function*() {
      const before = Models.known.find(({ id }) => id === "claude-haiku-5-5")
      const model = yield* one("claude-haiku-5-5")
      assert.deepStrictEqual(model, { ...before, maxOutput: 1000 } as Models.Model)
      assert.lengthOf(yield* Models.all, Models.known.length)
    }).pipe(Effect.provide(knowing([{ id: "claude-haiku-5-5", maxOutput: 1000 }]))))

  it.effect("adds a model that is not built in", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* one("my-model"), {
        id: "my-model",
        lifecycle: "active",
        capabilities: {},
        contextWindow: 7
      })
      assert.lengthOf(yield* Models.all, Models.known.length + 1)
    }).pipe(Effect.provide(knowing([{ id: "my-model", contextWindow: 7 }]))))

  it.effect("ignores fields that are undefined", () =>
    Effect.gen(function*() {
      const before = yield* Effect.provide(one("claude-haiku-5-5"), knowing([]))
      assert.deepStrictEqual(yield* one("claude-haiku-5-5"), { ...before, maxOutput: 1 })
      assert.deepStrictEqual((yield* one("mine")).capabilities, {})
      assert.strictEqual(yield* Claude.text("hi", { model: "mine" }).pipe(Policy.apply(Policy.standard)), "hello")
    }).pipe(
      Effect.provide(
        knowing(
          // The types forbid some of these fields, but untyped code may pass them.
          ["claude-haiku-5-5", "mine"].map((
            id
          ) => ({ id, ...id === "mine" ? {} : { maxOutput: 1 }, ...nothing } as { readonly id: string })),
          Faults.answer("hello")
        )
      )
    ))

  it.effect("adds to the models of an outer layer", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* one("mine"), { contextWindow: 7, maxOutput: 2 })
      assert.isTrue(Option.isSome(yield* Models.get("yours")))
    }).pipe(
      Effect.provide(
        Layer.provide(
          knowing([{ id: "mine", maxOutput: 2 }]),
          Models.layer([{ id: "mine", contextWindow: 7, maxOutput: 1 }, { id: "yours" }])
        )
      )
    ))

  it("can be provided to the layer of Claude", () => {
    const ClaudeLive = NodeAnthropic.layerConfig().pipe(
      Layer.provide(Models.layer([{ id: "my-model", maxOutput: 8192 }]))
    )
    assert.isTrue(Layer.isLayer(ClaudeLive))
  })

  it.effect("has no effect if it is not provided to the layer of Claude", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* Effect.provide(Models.all, Models.layer([{ id: "mine" }])), Models.known)
    }).pipe(Effect.provide(knowing([]))))
})

describe("Models.refresh against the fakes", () => {
  const refreshed = Effect.gen(function*() {
    const models = yield* Models.refresh.pipe(Policy.apply(Policy.standard))
    assert.deepStrictEqual(models.map(({ id }) => id), Models.known.map(({ id }) => id))
    const known = new Map(Models.known.map((model) => [model.id, model]))
    for (const model of yield* Models.all) {
      assert.deepStrictEqual(model.capabilities, known.get(model.id)?.capabilities)
      assert.deepStrictEqual(model.contextWindow, known.get(model.id)?.contextWindow)
    }
  })

  it.effect("returns the built-in models if FakeClaude has no models of its own", () =>
    refreshed.pipe(Effect.provide(FakeClaude.layer([]))))

  it.live.each([["Anthropic", Anthropic.layer], ["NodeAnthropic", NodeAnthropic.layer]] as const)(
    "returns the built-in models if FakeServer has no models of its own, with %s",
    ([, layer]) =>
      Effect.gen(function*() {
        const { url } = yield* FakeServer.FakeServer
        yield* Effect.provide(refreshed, layer({ apiKey: "key", baseUrl: url }))
      }).pipe(Effect.provide(FakeServer.layer([])))
  )

  const events = Effect.flatMap(CallLog.Memory, Ref.get)
  const guarded = (script: Faults.Playable, options?: FakeClaude.Options) =>
    FakeClaude.layer(script, options).pipe(Guards.apply({}), Layer.provideMerge(CallLog.layerMemory))

  it.effect("has the model * in its history and its events, and does not count in the success rate, if it fails", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Policy.apply({ overall: "1 minute" })(Models.refresh))
      assert.deepStrictEqual(error.history?.map(({ model }) => model), ["*"])
      assert.deepStrictEqual((yield* events).map(({ _tag, model }) => [_tag, model]), [["GaveUp", "*"]])
      assert.strictEqual((yield* Guards.status).successRate?.calls, 0)
    }).pipe(Effect.provide(guarded([], { models: [] }))))

  it.effect("does not run again for a fallback model if it fails, because it asks no model", () =>
    Effect.gen(function*() {
      const refresh = Policy.apply({ models: ["claude-haiku-5-5"], overall: "1 minute" })(Models.refresh)
      const error = yield* Effect.flip(refresh)
      assert.strictEqual(error.history?.length, 1)
      assert.deepStrictEqual((yield* events).map(({ _tag }) => _tag), ["GaveUp"])
    }).pipe(Effect.provide(guarded([], { models: [] }))))

  it.effect("does not count in the success rate if it succeeds, unless the effect under the same policy also sends a prompt", () =>
    Effect.gen(function*() {
      yield* Policy.apply({ overall: "1 minute" })(Models.refresh)
      assert.strictEqual((yield* Guards.status).successRate?.calls, 0)
      yield* Policy.apply({ overall: "1 minute" })(Effect.andThen(Models.refresh, Claude.text("hi")))
      assert.strictEqual((yield* Guards.status).successRate?.calls, 1)
      assert.strictEqual((yield* events).at(-1)?.model, "claude-sonnet-5-5")
    }).pipe(Effect.provide(guarded([Faults.answer("Paris")]))))
})

describe("Models.refresh", () => {
  const listed = [
    info("claude-sonnet-4-5-20250929", {
      line: "sonnet",
      lifecycle: "retired",
      deprecated_at: "2026-09-30",
      retires_at: "2026-11-30",
      max_input_tokens: 1000,
      max_tokens: 100,
      capabilities
    }),
    info("claude-new-6")
  ]
  const told: Models.Model = {
    id: "claude-sonnet-4-5-20250929",
    line: "sonnet",
    lifecycle: "retired",
    deprecatedAt: "2026-09-30",
    retiresAt: "2026-11-30",
    contextWindow: 1000,
    maxOutput: 100,
    capabilities: {
      structuredOutputs: false,
      // The API does not send `prefill` and `fast`.
      prefill: true,
      fast: false,
      images: true,
      pdfs: false,
      effort: ["low", "high", "max"],
      thinking: ["adaptive", "disabled"]
    },
    prices: { input: 3, output: 15, cacheWrite: 3.75, cacheWriteHour: 6, cacheRead: 0.3 },
    source: "Models API",
    asOf: "2026-12-24",
    live: true
  }
  const sorted = (model: Models.Model | undefined) =>
    model && {
      ...model,
      capabilities: {
        ...model.capabilities,
        effort: model.capabilities.effort?.toSorted(),
        thinking: model.capabilities.thinking?.toSorted()
      }
    }

  it.effect("replaces the fields that the API sends, and keeps the other fields", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2026-12-24T12:00:00Z"))
      const models = yield* Models.refresh
      assert.deepStrictEqual(models.map(({ id }) => id), listed.map(({ id }) => id))
      assert.deepStrictEqual(sorted(models[0]), sorted(told))
      assert.strictEqual(yield* one("claude-sonnet-4-5-20250929"), models[0])
    }).pipe(Effect.provide(FakeClaude.layer([], { models: listed }))))

  it.effect("adds new models without a price", () =>
    Effect.gen(function*() {
      const [, added] = yield* Models.refresh
      assert.deepInclude(added, {
        id: "claude-new-6",
        lifecycle: "active",
        capabilities: {},
        prices: undefined,
        live: true
      })
      assert.deepStrictEqual((yield* Models.all).at(-1), added)
    }).pipe(Effect.provide(FakeClaude.layer([], { models: listed }))))

  it.effect("keeps entries that the API does not list, such as aliases", () =>
    Effect.gen(function*() {
      yield* Models.refresh
      for (const before of Models.known.filter(({ id }) => id !== "claude-sonnet-4-5-20250929")) {
        assert.strictEqual(yield* one(before.id), before)
      }
      assert.lengthOf(yield* Models.all, Models.known.length + 1)
    }).pipe(Effect.provide(FakeClaude.layer([], { models: listed }))))

  it.effect("changes which requests validation refuses", () =>
    Effect.gen(function*() {
      const ask = Claude.text("hi", { model: "claude-sonnet-4-5-20250929", max_tokens: 2000 }).pipe(
        Policy.apply(Policy.none)
      )
      assert.strictEqual(yield* ask, "Paris")
      yield* Models.refresh
      const error = yield* Effect.flip(ask)
      assert.deepInclude({ ...error }, { _tag: "InvalidRequest", sent: false })
      assert.lengthOf(yield* FakeClaude.received, 1)
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("Paris")], { models: listed }))))

  it.effect("affects only one layer of Claude in the process", () =>
    Effect.gen(function*() {
      const layerOf = () => FakeClaude.layer([], { models: listed })
      const [one, other] = [yield* Layer.build(layerOf()), yield* Layer.build(layerOf())]
      yield* Effect.provideContext(Models.refresh, one)
      assert.lengthOf(yield* Effect.provideContext(Models.all, one), Models.known.length + 1)
      assert.deepStrictEqual(yield* Effect.provideContext(Models.all, other), Models.known)
    }))

  it.effect("updates the catalogue of a guarded Claude", () =>
    Effect.gen(function*() {
      const inner = yield* Layer.build(FakeClaude.layer([], { models: listed }))
      const guarded = yield* Layer.build(Guards.apply({ circuit: {} })(Layer.succeedContext(inner)))
      yield* Effect.provideContext(Models.refresh, guarded)
      assert.lengthOf(yield* Effect.provideContext(Models.all, inner), Models.known.length + 1)
    }))

  it.effect("is retried by a policy", () =>
    Effect.gen(function*() {
      const call = yield* Models.refresh.pipe(
        Policy.apply({ retry: { Overloaded: Retry.linear({ times: 2, base: "1 second" }) } }),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(yield* Fiber.join(call), 2)
    }).pipe(Effect.provide(failing(2, listed))))

  it.effect("leaves the catalogue unchanged if its retries are spent", () =>
    Effect.gen(function*() {
      const call = yield* Models.refresh.pipe(
        Policy.apply({ retry: { Overloaded: Retry.linear({ times: 1, base: "1 second" }) } }),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      assert.deepInclude({ ...(yield* Fiber.join(call)) }, { _tag: "Overloaded", gaveUp: "RetriesSpent" })
      assert.deepStrictEqual(yield* Models.all, Models.known)
    }).pipe(Effect.provide(failing(2, listed))))

  const wires = [
    ["Anthropic", (url: string) => Anthropic.layer({ apiKey: "sk-ant-test", baseUrl: url })],
    ["NodeAnthropic", (url: string) => NodeAnthropic.layer({ apiKey: "sk-ant-test", baseUrl: url })]
  ] as const

  it.live.each(wires)("fetches the models over a socket with %s", ([, layerOf]) =>
    Effect.gen(function*() {
      const { received, url } = yield* FakeServer.FakeServer
      yield* Effect.gen(function*() {
        const [model] = yield* Models.refresh
        const asOf = new Date().toJSON().slice(0, 10)
        assert.deepStrictEqual(sorted(model), { ...sorted(told), asOf } as Models.Model)
        assert.strictEqual(yield* one(told.id), model)
      }).pipe(Effect.provide(layerOf(url)))
      const [request, ...more] = yield* received
      assert.deepInclude(request, { method: "GET", path: "/v1/models" })
      assert.strictEqual(request?.headers.authorization, "Bearer sk-ant-test")
      assert.deepStrictEqual(more, [])
    }).pipe(Effect.provide(FakeServer.layer([], { models: listed }))))

  it.live.each(wires)("leaves Claude.text usable, with %s", ([, layerOf]) =>
    Effect.gen(function*() {
      const { url } = yield* FakeServer.FakeServer
      yield* Effect.gen(function*() {
        yield* Models.refresh
        assert.strictEqual(yield* Claude.text("hi"), "Paris")
      }).pipe(Effect.provide(layerOf(url)))
    }).pipe(Effect.provide(FakeServer.layer([Faults.answer("Paris")], { models: listed }))))

  const answering = (...bodies: ReadonlyArray<unknown>) => {
    const urls: Array<string> = []
    const layer = Anthropic.layer({
      apiKey: "sk-ant-test",
      fetch: (url) => Promise.resolve(Response.json(bodies[urls.push(String(url)) - 1]))
    })
    return { layer, urls }
  }

  it.effect("reads all pages, retired models included", () => {
    const { layer, urls } = answering(
      { data: [listed[0]], has_more: true, first_id: listed[0]?.id, last_id: listed[0]?.id },
      { data: [listed[1]], has_more: false, first_id: listed[1]?.id, last_id: listed[1]?.id }
    )
    return Effect.gen(function*() {
      assert.deepStrictEqual((yield* Models.refresh).map(({ id }) => id), listed.map(({ id }) => id))
      assert.lengthOf(urls, 2)
      assert.include(urls[0], "retired")
      assert.notInclude(urls[0], "after_id")
      assert.include(urls[1], `after_id=${told.id}`)
    }).pipe(Effect.provide(layer))
  })

  it.effect.each<readonly [what: string, body: unknown]>([
    ["null", null],
    ["a text", "models"],
    ["a list", listed],
    ["an object of another kind", { type: "message" }],
    ["an object whose data is not a list", { data: {}, has_more: false }],
    ["an empty list of models", { data: [], has_more: false }],
    ["a list with a model without an id", { data: [listed[0], { lifecycle: "active" }], has_more: false }],
    ["a list with a model without a lifecycle", { data: [listed[0], { id: "a" }], has_more: false }],
    ["a list with a model of an unknown lifecycle", { data: [{ ...listed[0], lifecycle: "asleep" }], has_more: false }],
    ["a list with null among the models", { data: [listed[0], null], has_more: false }]
  ])("fails and leaves the catalogue unchanged if the response is %s", ([, body]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Models.refresh)
      assert.strictEqual(error._tag, "UnexpectedResponse")
      assert.match(error.message, /the response is not a list of models/)
      assert.deepStrictEqual(yield* Models.all, Models.known)
    }).pipe(Effect.provide(answering(body).layer)))

  it.effect("fails and leaves the catalogue unchanged if a later page is not a list", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Models.refresh)
      assert.strictEqual(error._tag, "UnexpectedResponse")
      assert.deepStrictEqual(yield* Models.all, Models.known)
    }).pipe(
      Effect.provide(answering({ data: [listed[0]], has_more: true, last_id: listed[0]?.id }, { data: null }).layer)
    ))
})

// -----------------------------------------------------------------------------
// Costs
// -----------------------------------------------------------------------------

interface Used {
  readonly input: number
  readonly output: number
  readonly read?: number
  readonly written?: number
  readonly hour?: number
  readonly more?: object
}

/**
 * An answer with this usage. The API reports input tokens at the beginning of an answer, and server tools at its end.
 */
const answer = (model: string, { hour = 0, input, more = {}, output, read = 0, written = 0 }: Used): Faults.Turn => {
  const [start, ...rest] = Faults.events("Paris", { model })
  const begun: { readonly message: { readonly usage: object } } = JSON.parse(
    /^data: (.*)$/m.exec(start ?? "")?.[1] ?? ""
  )
  const usage = {
    input_tokens: input,
    cache_creation_input_tokens: written,
    cache_read_input_tokens: read,
    cache_creation: { ephemeral_5m_input_tokens: written - hour, ephemeral_1h_input_tokens: hour }
  }
  return Faults.stream([
    Faults.event("message_start", {
      message: { ...begun.message, usage: { ...begun.message.usage, ...usage, ...more } }
    }),
    ...rest.slice(0, -2),
    Faults.event("message_delta", {
      delta: { stop_reason: "end_turn", stop_sequence: null, stop_details: null, container: null },
      usage: { output_tokens: output, server_tool_use: null, ...more }
    }),
    Faults.event("message_stop", {})
  ])
}

const sonnet = "claude-sonnet-5-5"
const haiku = "claude-haiku-5-5"

/** A usage whose `iterations` are these requests, which the API made for one answer. */
const by = (...iterations: ReadonlyArray<object>) => ({
  iterations: iterations.map((iteration) => ({ input_tokens: 1000, output_tokens: 200, ...iteration }))
})

/** Two iterations of the answer with the same usage. */
const twice = (usage: object) => [{ type: "message", ...usage }, { type: "message", ...usage }]

/**
 * Costs in US dollars, calculated by hand. Prices per million tokens of input, output, cache writes for five minutes
 * and for an hour, and cache reads: Sonnet 5.5: 2, 10, 2.50, 4, 0.10; Haiku 5.5: 0.10, 0.50, 0.125, 0.20, 0.01.
 */
const costs: ReadonlyArray<
  readonly [what: string, model: string, used: Used, dollars: number | undefined, atLeast?: boolean]
> = [
  ["input and output tokens", sonnet, { input: 1000, output: 200 }, 0.004],
  ["zero tokens", sonnet, { input: 0, output: 0 }, 0],
  ["input tokens alone", sonnet, { input: 1_000_000, output: 0 }, 2],
  ["output tokens alone", sonnet, { input: 0, output: 1_000_000 }, 10],
  ["tokens read from the cache", sonnet, { input: 0, output: 0, read: 1_000_000 }, 0.1],
  ["tokens written to the cache for five minutes", sonnet, { input: 0, output: 0, written: 1_000_000 }, 2.5],
  ["tokens written to the cache for an hour", sonnet, { input: 0, output: 0, written: 1_000_000, hour: 1_000_000 }, 4],
  ["tokens written to the cache for five minutes and for an hour", sonnet, {
    input: 0,
    output: 0,
    written: 1_000_000,
    hour: 400_000
  }, 3.1],
  ["all kinds of tokens", sonnet, { input: 100, output: 50, read: 2000, written: 3000, hour: 1000 }, 0.0099],
  ["a model with another price for cache reads", "claude-opus-5", { input: 100, output: 50, read: 2000 }, 0.00275],
  ["a long prompt of a model with one price", sonnet, { input: 900_000, output: 0 }, 1.8],

  ["a short prompt", haiku, { input: 100_000, output: 1000 }, 0.0105],
  ["a prompt one token above the limit of the lower price", haiku, { input: 100_001, output: 1000 }, 0.0525005],
  ["a prompt that is long because of cache reads", haiku, { input: 1000, output: 0, read: 100_000 }, 0.0055],
  ["a prompt that is long because of cache writes", haiku, { input: 1000, output: 0, written: 100_000 }, 0.063],
  ["a prompt that is long because of cache writes for an hour", haiku, {
    input: 0,
    output: 0,
    written: 200_000,
    hour: 200_000
  }, 0.2],
  ["a long answer to a short prompt", haiku, { input: 1000, output: 120_000 }, 0.0601],

  ["a web search, as a lower bound,", sonnet, { input: 1000, output: 200, more: tools(1, 0) }, 0.004, true],
  ["a web fetch, as a lower bound,", sonnet, { input: 1000, output: 200, more: tools(0, 2) }, 0.004, true],
  ["zero server tools", sonnet, { input: 1000, output: 200, more: tools(0, 0) }, 0.004],
  ["fast mode, as a lower bound,", sonnet, { input: 1000, output: 200, more: { speed: "fast" } }, 0.004, true],
  ["standard speed", sonnet, { input: 1000, output: 200, more: { speed: "standard" } }, 0.004],
  [
    "the priority tier, as a lower bound,",
    sonnet,
    { input: 1000, output: 200, more: { service_tier: "priority" } },
    0.004,
    true
  ],
  ["a region, as a lower bound,", sonnet, { input: 1000, output: 200, more: { inference_geo: "us" } }, 0.004, true],
  ["the global region", sonnet, { input: 1000, output: 200, more: { inference_geo: "global" } }, 0.004],
  ["an unknown speed, as a lower bound,", sonnet, { input: 1000, output: 200, more: { speed: "turbo" } }, 0.004, true],
  [
    "tokens of an unknown kind, as a lower bound,",
    sonnet,
    { input: 1000, output: 200, more: { audio_tokens: 5 } },
    0.004,
    true
  ],
  ["zero tokens of an unknown kind", sonnet, { input: 1000, output: 200, more: { audio_tokens: 0 } }, 0.004],

  ["an iteration of the model", sonnet, { input: 1000, output: 200, more: by({ type: "message" }) }, 0.004],
  ["two short prompts that are long together", haiku, {
    input: 160_000,
    output: 2000,
    more: by(...twice({ input_tokens: 80_000, output_tokens: 1000 }))
  }, 0.017],
  ["a short prompt and a long one", haiku, {
    input: 280_000,
    output: 2000,
    more: by(
      { type: "message", input_tokens: 80_000, output_tokens: 1000 },
      { type: "message", input_tokens: 200_000, output_tokens: 1000 }
    )
  }, 0.111],
  ["two short prompts that are long together because of cache reads", haiku, {
    input: 2000,
    output: 400,
    read: 120_000,
    more: by(...twice({ cache_read_input_tokens: 60_000 }))
  }, 0.0016],
  ["an iteration of another model", sonnet, {
    input: 2000,
    output: 400,
    more: by({ type: "message", model: sonnet }, { type: "message", model: haiku })
  }, 0.0042],
  ["an iteration of a fallback of the API", haiku, {
    input: 1000,
    output: 200,
    more: by({ type: "message", model: sonnet }, { type: "fallback_message", model: haiku })
  }, 0.0042],
  ["an iteration whose model is null", sonnet, {
    input: 1000,
    output: 200,
    more: by({ type: "message", model: null })
  }, 0.004],
  [
    "an iteration of an unknown model, as a lower bound,",
    sonnet,
    {
      input: 2000,
      output: 400,
      more: by({ type: "message" }, { type: "message", model: "claude-nope-1" })
    },
    0.004,
    true
  ],
  [
    "an iteration without output tokens, as a lower bound,",
    sonnet,
    {
      input: 2000,
      output: 400,
      more: by({ type: "message" }, { type: "message", output_tokens: undefined })
    },
    0.006,
    true
  ],
  // Each compaction or advisor below adds 1,000 input and 200 output tokens, at the prices of its model.
  ["a compaction", sonnet, { input: 1000, output: 200, more: by({ type: "compaction" }) }, 0.008],
  [
    "two compactions",
    sonnet,
    { input: 1000, output: 200, more: by({ type: "message" }, { type: "compaction" }, { type: "compaction" }) },
    0.012
  ],
  ["an advisor", sonnet, { input: 1000, output: 200, more: by({ type: "advisor_message", model: haiku }) }, 0.0042],
  [
    "a compaction with a text for its input tokens, as a lower bound,",
    sonnet,
    {
      input: 1000,
      output: 200,
      more: by({ type: "compaction", input_tokens: "180000" })
    },
    0.006,
    true
  ],
  [
    "a compaction without output tokens, as a lower bound,",
    sonnet,
    {
      input: 1000,
      output: 200,
      more: by({ type: "compaction", output_tokens: undefined })
    },
    0.006,
    true
  ],
  [
    "a compaction with cache writes for an unknown time, as a lower bound,",
    sonnet,
    {
      input: 1000,
      output: 200,
      more: by({ type: "compaction", cache_creation_input_tokens: 1000 })
    },
    0.0105,
    true
  ],
  [
    "an unknown advisor, as a lower bound,",
    sonnet,
    { input: 1000, output: 200, more: by({ type: "advisor_message", model: "claude-nope-1" }) },
    0.004,
    true
  ],
  [
    "an iteration of an unknown type, as a lower bound,",
    sonnet,
    { input: 1000, output: 200, more: by({ type: "dream" }) },
    0.004,
    true
  ],
  [
    "iterations that are a text, as a lower bound,",
    sonnet,
    { input: 1000, output: 200, more: { iterations: "many" } },
    0.004,
    true
  ],

  ["a model without a price, as a lower bound of zero,", "free", { input: 1000, output: 200 }, undefined],
  ["an unknown model, as a lower bound of zero,", "claude-nope-1", { input: 1000, output: 200 }, undefined],
  ["a model added by the application", "mine", { input: 1_000_000, output: 1_000_000 }, 8]
]

const priced = Models.layer([
  { id: "free" },
  { id: "mine", prices: { input: 1, output: 7, cacheRead: 0, cacheWrite: 0, cacheWriteHour: 0 } }
])

describe("the cost", () => {
  // A usage with zero input or output tokens is incomplete, because every prompt and every answer has tokens.
  const isCounted = ({ input, output, read = 0, written = 0 }: Used) => input + read + written > 0 && output > 0
  it.effect.each(costs)(
    "of %s follows the prices of the catalogue",
    ([, model, used, dollars, atLeast = dollars === undefined || !isCounted(used)]) =>
      Effect.gen(function*() {
        const { cost } = yield* Claude.message("hi", { model })
        if (dollars === undefined) {
          assert.isUndefined(cost)
        } else {
          assert.closeTo(cost?.dollars ?? NaN, dollars, 1e-12)
          assert.strictEqual(cost?.atLeast, atLeast)
        }

        const outcome = yield* Policy.outcome(Claude.text("hi", { model }))
        assert.strictEqual(outcome.status, "success")
        assert.closeTo(outcome.cost.dollars, dollars ?? 0, 1e-12)
        assert.strictEqual(outcome.cost.atLeast, atLeast)
        const { input, output, read = 0, written = 0 } = used
        assert.deepStrictEqual(outcome.tokens, { input: input + read + written, output })
      }).pipe(Effect.provide(Layer.provide(FakeClaude.layer(Faults.cycle(answer(model, used))), priced)))
  )

  const odd: ReadonlyArray<readonly [what: string, more: object]> = [
    ["a text for cache writes", { cache_creation: { ephemeral_1h_input_tokens: "many" } }],
    ["a negative number of cache writes", { cache_creation: { ephemeral_1h_input_tokens: -5 } }],
    ["a list for cache writes", { cache_creation: { ephemeral_1h_input_tokens: [5] } }],
    ["a text in place of the record of cache writes", { cache_creation: "much" }],
    ["an object for a server tool", { server_tool_use: { web_search_requests: { valueOf: 1, toString: 1 } } }],
    ["a text for a server tool", { server_tool_use: { web_search_requests: "5" } }],
    ["nested server tools", { server_tool_use: { web_search: { requests: 5 } } }],
    ["a number in place of server tools", { server_tool_use: 5 }],
    ["cache writes for an unknown time", { cache_creation: null }],
    ["cache writes for a time that has no price", { cache_creation: { ephemeral_24h_input_tokens: 1_000_000 } }],
    ["a text for input tokens", { input_tokens: "900" }],
    ["a negative number of input tokens", { input_tokens: -900 }],
    ["too large a number of input tokens", { input_tokens: 1e300 }],
    ["null for input tokens", { input_tokens: null }],
    ["a text for cache reads", { cache_read_input_tokens: "900" }]
  ]
  it.effect.each(odd)(
    "G16: is a lower bound that leaves out the invalid count if the usage has %s",
    ([, more]) =>
      Effect.gen(function*() {
        const { cost } = yield* Claude.message("hi")
        assert.closeTo(cost?.dollars ?? NaN, 2.5 + 0.00001, 1e-12)
        assert.isTrue(cost?.atLeast)
      }).pipe(Effect.provide(FakeClaude.layer([answer(sonnet, { input: 0, output: 1, written: 1_000_000, more })])))
  )

  it.effect.each(
    [
      ["missing", "\"output\":1"],
      ["null", "\"output_tokens\":null"],
      ["a text", "\"output_tokens\":\"200\""],
      ["zero", "\"output_tokens\":0"]
    ] as const
  )("is a lower bound if the number of output tokens at the end of the answer is %s", ([, count]) => {
    const events = Faults.events("Paris", { model: sonnet }).map((event) =>
      event.includes("message_delta") ? event.replace(/"output_tokens":\d+/, count) : event
    )
    return Effect.gen(function*() {
      assert.isTrue((yield* Claude.message("hi")).cost?.atLeast)
      const outcome = yield* Policy.outcome(Claude.text("hi").pipe(Policy.apply({ models: [haiku] })))
      assert.isTrue(outcome.cost.atLeast)
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.stream(events)))))
  })

  it.effect("of cache writes is computed from the tokens of each time to live if a gateway leaves out the total of these tokens", () =>
    Effect.gen(function*() {
      const { cost } = yield* Claude.message("hi")
      assert.closeTo(cost?.dollars ?? NaN, 0.004 + 2.5 + 4, 1e-12)
    }).pipe(Effect.provide(FakeClaude.layer([answer(sonnet, {
      input: 1000,
      output: 200,
      more: {
        cache_creation_input_tokens: null,
        cache_creation: { ephemeral_5m_input_tokens: 1_000_000, ephemeral_1h_input_tokens: 1_000_000 }
      }
    })]))))

  it.effect("of an answer that names an unknown model is computed with the prices of the requested model", () =>
    Effect.gen(function*() {
      const { cost, model } = yield* Claude.message("hi", { model: sonnet })
      assert.strictEqual(model, "claude-sonnet-5-5-20261101")
      assert.closeTo(cost?.dollars ?? NaN, 0.004, 1e-12)
    }).pipe(Effect.provide(FakeClaude.layer([answer("claude-sonnet-5-5-20261101", { input: 1000, output: 200 })]))))

  it.effect("of all attempts is the sum over all models, and a lower bound if an attempt broke off", () =>
    Effect.gen(function*() {
      const policy = Policy.apply({ retry: { EmptyAnswer: Retry.linear({ times: 1, base: "1 milli" }) } })
      const outcome = (turns: ReadonlyArray<Faults.Turn>) =>
        Effect.gen(function*() {
          const call = yield* Claude.text("hi").pipe(policy, Policy.outcome, Effect.forkChild)
          yield* TestClock.adjust("1 minute")
          return yield* Fiber.join(call)
        }).pipe(Effect.provide(FakeClaude.layer(turns)))

      const empty = Faults.answer("", { inputTokens: 1000, outputTokens: 0 })
      const both = yield* outcome([empty, answer(haiku, { input: 1000, output: 200 })])
      assert.strictEqual(both.status, "success")
      assert.closeTo(both.cost.dollars, 0.002 + 0.0002, 1e-12)
      assert.isFalse(both.cost.atLeast)
      assert.deepStrictEqual(both.tokens, { input: 2000, output: 200 })

      const failed = yield* outcome([empty, Faults.answer("", { inputTokens: 500, outputTokens: 0 })])
      assert.strictEqual(failed.status, "error")
      assert.closeTo(failed.cost.dollars, 0.003, 1e-12)

      const broken = yield* outcome([Faults.breaks("Par", "cut", { inputTokens: 1000 })])
      assert.strictEqual(broken.status, "error")
      assert.closeTo(broken.cost.dollars, 0.00201, 1e-12)
      assert.isTrue(broken.cost.atLeast)

      const refused = yield* outcome([Faults.unauthorized])
      assert.deepStrictEqual(refused.cost, { dollars: 0, atLeast: false })
    }))

  it.effect("of an answer is computed with the prices that Models.layer gives to its Claude", () =>
    Effect.gen(function*() {
      const { cost } = yield* Claude.message("hi")
      assert.closeTo(cost?.dollars ?? NaN, 0.0012, 1e-12)
    }).pipe(
      Effect.provide(knowing(
        [{ id: sonnet, prices: { input: 1, output: 1, cacheRead: 0, cacheWrite: 0, cacheWriteHour: 0 } }],
        answer(sonnet, { input: 1000, output: 200 })
      ))
    ))
})

function tools(web_search_requests: number, web_fetch_requests: number) {
  return { server_tool_use: { web_search_requests, web_fetch_requests } }
}

/** A `Claude` that lists `models` after `times` failures. */
function failing(times: number, models: ReadonlyArray<ModelInfo>) {
  return Layer.unwrap(Effect.gen(function*() {
    let left = times
    const wire = yield* FakeClaude.wire([])
    return Claude.layer({
      ...wire,
      models: Effect.suspend(() =>
        left-- > 0 ? Effect.fail(new ClaudeError.Overloaded({ status: 529 })) : Effect.succeed(models)
      )
    })
  }))
}
