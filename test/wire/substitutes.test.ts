/** Fallback models and accounts that do not accept a request, over real sockets on every wire. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Ref, Result, Schema, Stream } from "effect"
import { CallLog, Claude, type ClaudeError, Fallback, Policy, Retry } from "../../src/index.ts"
import { FakeServer, Faults } from "../../src/testing/index.ts"
import { wires } from "../support/wires.ts"

const first = "claude-opus-5"
const models = ["claude-sonnet-4-6", "claude-sonnet-5"] as const
const invalid = (message: string) => Faults.fails(400, "invalid_request_error", message)

const question = { role: "user", content: "Where is the Louvre?" } as const

/** The request ends with a system message, which not every model accepts. */
const instructed: Claude.Prompt = {
  model: first,
  messages: [
    question,
    { role: "system", content: "Answer with the name of the city only." }
  ]
}
// github.com/anthropics/claude-code/issues/61412
const noSystem = invalid("role 'system' is not supported on this model")
const paris = Faults.answer("Paris")

type Turns = Readonly<Record<string, Faults.Turn>>

const tagOf = <A>(result: Result.Result<A, ClaudeError.ClaudeError>) =>
  Result.isFailure(result) ? result.failure._tag : result.success

describe.each(wires)("%s", (_, wire) => {
  /** Runs a call against a server that answers by model. Returns the result, the requests and the log. */
  const play = <A>(
    self: Effect.Effect<A, ClaudeError.ClaudeError, Claude.Claude>,
    turns: Turns | ((index: number) => Turns)
  ) => {
    const server = FakeServer.layer(
      Faults.by(({ index, params }) =>
        (typeof turns === "function" ? turns(index) : turns)[String(params["model"])] ?? Faults.overloaded
      )
    )
    const claude = Layer.unwrap(Effect.map(FakeServer.FakeServer, ({ url }) => wire(url)))
    return Effect.gen(function*() {
      const result = yield* Effect.result(self)
      const received = yield* Effect.flatMap(FakeServer.FakeServer, (server) => server.received)
      const events = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      return { result, events, received, asked: received.map(({ params }) => params["model"]) }
    }).pipe(Effect.provide(claude.pipe(Layer.provideMerge(server), Layer.provideMerge(CallLog.layerMemory))))
  }

  const retried = {
    retry: { Overloaded: Retry.backoff({ times: 1, base: "1 millis" }) },
    models
  } as const

  const image = { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" } as const
  it.live.each(
    [
      ["a system message in the conversation", instructed, noSystem],
      [
        "a cache mark of one hour",
        { model: first, cache_control: { type: "ephemeral", ttl: "1h" }, messages: [question] },
        invalid("cache_control: Extra inputs are not permitted")
      ],
      [
        "the version of a server tool",
        { model: first, tools: [{ type: "web_search_20260209", name: "web_search" }], messages: [question] },
        invalid("tools.0: 'web_search_20260209' is not supported on this model")
      ],
      [
        "images",
        { model: first, messages: [{ role: "user", content: [{ type: "image", source: image }] }] },
        invalid("this model does not support images")
      ]
    ] satisfies ReadonlyArray<readonly [string, Claude.Prompt, Faults.Turn]>
  )("asks the next model if a fallback model does not accept %s", ([, prompt, refusal]) =>
    Effect.gen(function*() {
      const { asked, result } = yield* play(Claude.text(prompt).pipe(Policy.apply({ models })), {
        "claude-sonnet-4-6": refusal,
        "claude-sonnet-5": paris
      })
      assert.deepStrictEqual(asked, [first, ...models])
      assert.deepStrictEqual(result, Result.succeed("Paris"))
    }))

  it.live("leaves out the parameter speed for a fallback model that does not support it, and logs a warning", () =>
    Effect.gen(function*() {
      const fast: Claude.Prompt = { model: first, speed: "fast", messages: [question] }
      const { events, received, result } = yield* play(
        Claude.text(fast).pipe(Policy.apply({ models: ["claude-opus-5-5", ...models] })),
        { "claude-sonnet-4-6": paris }
      )
      assert.deepStrictEqual(result, Result.succeed("Paris"))
      assert.deepStrictEqual(received.map(({ params }) => params["speed"]), ["fast", "fast", undefined])
      const warnings = events.flatMap((event) => event._tag === "Warning" ? [`${event.model}: ${event.message}`] : [])
      assert.deepStrictEqual(warnings, [
        "claude-sonnet-4-6: the request was changed for this model: speed fast → left out"
      ])
    }))

  it.live("reports the error of the first model, with the attempts of all models in its history, if no fallback model accepts the request", () =>
    Effect.gen(function*() {
      const turns = { "claude-sonnet-4-6": noSystem, "claude-sonnet-5": invalid("speed: not supported") }
      const { asked, events, result } = yield* play(Claude.text(instructed).pipe(Policy.apply(retried)), turns)
      assert.deepStrictEqual(asked, [first, first, ...models])
      const error = yield* Effect.flip(Effect.fromResult(result))
      assert.deepInclude({ ...error }, { _tag: "Overloaded", model: first, gaveUp: "RetriesSpent" })
      assert.deepStrictEqual(error.history?.map(({ error, model }) => [model, error]), [
        [first, "Overloaded"],
        [first, "Overloaded"],
        ["claude-sonnet-4-6", "InvalidRequest"],
        ["claude-sonnet-5", "InvalidRequest"]
      ])
      const gaveUp = events.filter((event) => event._tag === "GaveUp")
      assert.deepStrictEqual(gaveUp.map(({ model, error, reason }) => [model, error._tag, reason]), [
        [first, "Overloaded", "RetriesSpent"]
      ])
      const changes = events.flatMap((event) => event._tag === "FellBack" ? [[event.error._tag, event.to]] : [])
      assert.deepStrictEqual(changes, [["Overloaded", models[0]], ["InvalidRequest", models[1]]])
    }))

  it.live.each(
    [
      ["a 404", Faults.notFound],
      ["a 413", Faults.tooLarge],
      ["a 403", Faults.forbidden],
      ["a 401", Faults.unauthorized],
      ["a ContextWindowExceeded", Faults.promptTooLong],
      ["a refusal", Faults.refusal()],
      ["an empty answer", Faults.emptyAnswer],
      ["a 501", Faults.fails(501, "api_error", "this model is not served here")]
    ] as const
  )(
    "asks the next model after %s of a fallback model, and reports the error of the first model if all models fail",
    ([, turn]) =>
      Effect.gen(function*() {
        // The context window of the first fallback model is smaller.
        const others = ["claude-haiku-4-5", "claude-sonnet-5"]
        for (
          const call of [
            Claude.text("hi", { model: first }).pipe(Policy.apply({ models: others })),
            Claude.text("hi", { model: first }).pipe(Fallback.models(others)),
            Claude.stream("hi", { model: first }).pipe(Policy.applyStream({ models: others }), Stream.mkString)
          ]
        ) {
          const answered = yield* play(call, { "claude-haiku-4-5": turn, "claude-sonnet-5": paris })
          assert.strictEqual(tagOf(answered.result), "Paris")
          const failed = yield* play(call, { "claude-haiku-4-5": turn, "claude-sonnet-5": turn })
          assert.strictEqual(tagOf(failed.result), "Overloaded")
          assert.deepStrictEqual(failed.asked, [first, ...others])
        }
      })
  )

  it.live("reports the error of the first model if a fallback model returns a value that does not decode", () =>
    Effect.gen(function*() {
      const call = Claude.object(Schema.Struct({ city: Schema.String }), "where?", { model: first }).pipe(
        Policy.apply({ models: ["claude-sonnet-5"] })
      )
      const { result } = yield* play(call, { "claude-sonnet-5": Faults.answer("no JSON") })
      assert.strictEqual(tagOf(result), "Overloaded")
    }))

  it.live("logs a warning if a request is sent again without the thinking blocks that the first model or a fallback model refuses", () =>
    Effect.gen(function*() {
      const thought = { type: "thinking", thinking: "Hm", signature: "c2ln" } as const
      const use = { type: "tool_use", id: "toolu_1", name: "look", input: {} } as const
      const ask: Claude.Prompt = {
        model: first,
        tools: [{ name: "look", input_schema: { type: "object" } }],
        messages: [
          { role: "user", content: "hi" },
          { role: "assistant", content: [thought, use] },
          { role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_1", content: "a city" }] }
        ]
      }
      const forged = invalid("messages.1.content.0: Invalid `signature` in `thinking` block")
      for (const through of [Policy.apply({ models }), Fallback.models(models)]) {
        const warned = (turns: (index: number) => Turns, asking: Claude.Prompt) =>
          Effect.map(
            play(through(Claude.text(asking)), turns),
            ({ events, result }) => {
              assert.deepStrictEqual(result, Result.succeed("Paris"))
              return events.flatMap((event) => event._tag === "Warning" ? [`${event.model}: ${event.message}`] : [])
            }
          )
        const changed = "the request was changed for this model: thinking blocks → left out"
        assert.deepStrictEqual(yield* warned((index) => ({ [first]: index === 0 ? forged : paris }), ask), [
          `${first}: ${changed}`
        ])
        const fallback = (index: number) => ({ "claude-sonnet-4-6": index === 1 ? forged : paris })
        assert.deepStrictEqual(yield* warned(fallback, ask), [`claude-sonnet-4-6: ${changed}`])
        const enabled = {
          ...ask,
          model: "claude-opus-4-6",
          thinking: { type: "enabled", budget_tokens: 1024 }
        } as const
        assert.include(yield* warned(fallback, enabled), `claude-sonnet-4-6: ${changed}, thinking → left out`)
      }
    }))

  it.live.each(
    [
      ["the rest of an answer", Faults.maxTokens("Half"), { truncated: { continue: 2 } }, "Truncated"],
      ["a longer answer", Faults.maxTokens("Half"), { truncated: { raiseTo: 9000 } }, "Truncated"],
      ["more of a paused turn", Faults.paused("Half"), { paused: { continue: 2 } }, "Truncated"],
      ["an answer in place of an empty one", Faults.emptyAnswer, { empty: { nudge: 1 } }, "EmptyAnswer"]
    ] as const
  )(
    "fails with the error of the unfinished answer if the request for %s is refused",
    ([, turn, policy, tag]) =>
      Effect.gen(function*() {
        for (const refusal of [invalid("This model does not support assistant message prefill"), Faults.tooLarge]) {
          const { asked, result } = yield* play(
            Claude.text("hi", { model: first }).pipe(Policy.apply({ ...policy, retry: Retry.standard })),
            (index) => ({ [first]: index === 0 ? turn : refusal })
          )
          const error = yield* Effect.flip(Effect.fromResult(result))
          assert.strictEqual(error._tag, tag)
          assert.include(error.message, "the answer could not be continued")
          if (error._tag === "Truncated") assert.strictEqual(error.text && Redacted.value(error.text), "Half")
          assert.deepStrictEqual(error.history?.map(({ error }) => error), [
            tag,
            refusal === Faults.tooLarge ? "RequestTooLarge" : "InvalidRequest"
          ])
          assert.strictEqual(asked.length, 2)
        }
      })
  )

  it.live("lets Fallback.lastGood and Fallback.notice handle the error of the first model if the fallback models reject the request", () =>
    Effect.gen(function*() {
      let turns: Turns = { [first]: paris }
      const call = Claude.text(instructed).pipe(
        Policy.apply({ models }),
        Fallback.lastGood({ key: "louvre", schema: Schema.String, maxAge: "1 hour" })
      )
      const { result } = yield* play(
        Effect.gen(function*() {
          yield* call
          turns = { "claude-sonnet-4-6": noSystem, "claude-sonnet-5": noSystem }
          const stale = yield* call
          return [stale, yield* Claude.text(instructed).pipe(Policy.apply({ models }), Fallback.notice())] as const
        }),
        () => turns
      )
      const [stale, notice] = yield* Effect.fromResult(result)
      assert.deepInclude(stale, { _tag: "Stale", value: "Paris" })
      assert.deepInclude(notice, { _tag: "Notice", error: "Overloaded", retryable: true })
    }))

  it.live("asks the next account if a fallback account fails, and reports the error of the first account if all accounts fail", () =>
    Effect.gen(function*() {
      const on = (turn: Faults.Turn) =>
        Layer.unwrap(Effect.map(FakeServer.FakeServer, ({ url }) => wire(url))).pipe(
          Layer.provide(FakeServer.layer(Faults.cycle(turn)))
        )
      const ask = (...turns: ReadonlyArray<Faults.Turn>) =>
        Claude.text(instructed).pipe(
          Policy.apply({ retry: Retry.never }),
          Fallback.accounts(turns.map(on)),
          (call) => play(call, {}),
          Effect.map(({ result }) => result)
        )
      for (const turn of [noSystem, Faults.tooLarge, Faults.promptTooLong, Faults.hangUp, Faults.unauthorized]) {
        assert.strictEqual(tagOf(yield* ask(turn, paris)), "Paris")
      }
      const failed = yield* Effect.flip(Effect.fromResult(yield* ask(noSystem, Faults.tooLarge)))
      assert.deepInclude({ ...failed }, { _tag: "Overloaded", gaveUp: "NotRetried" })
      assert.deepStrictEqual(failed.history?.map(({ error }) => error), [
        "Overloaded",
        "InvalidRequest",
        "RequestTooLarge"
      ])
    }))
})
