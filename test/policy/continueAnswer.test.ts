/** Unfinished answers, tested by the exact requests that a server received. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted, Schedule, Schema } from "effect"
import { CallLog, Claude, type ClaudeError, Policy, Retry } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { FakeServer, Faults } from "../../src/testing/index.ts"
import { assistant, newer, older, text, user } from "../support/streams.ts"

const format = Schema.Struct({ city: Schema.String })

const goOn = (words: string) =>
  user(
    "Your answer was cut off because it reached its length limit. Go on exactly where it ends: first repeat its last "
      + "words, which are given below, letter by letter and without anything before them, then write what follows. "
      + `Repeat nothing else, and do not mention the interruption.\n<last_words>\n${words}\n</last_words>`
  )

/** The parameters without `stream`, which is in every request. */
const withoutStream = (params: object): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(params).filter(([name]) => name !== "stream"))

/** Runs against a server that plays the turns: the result, the bodies received, and the events logged. */
const play = <A, E>(self: Effect.Effect<A, E, Claude.Claude>, ...turns: ReadonlyArray<Faults.Turn>) =>
  playing(self, turns)

const playing = <A, E>(self: Effect.Effect<A, E, Claude.Claude>, turns: Faults.Playable) => {
  const log: Array<CallLog.Event> = []
  const sink = Layer.succeed(CallLog.CallLog, { emit: (event) => Effect.sync(() => void log.push(event)) })
  const world = Layer.unwrap(
    Effect.map(FakeServer.FakeServer, ({ url }) => NodeAnthropic.layer({ apiKey: "sk-ant-test", baseUrl: url }))
  ).pipe(Layer.provideMerge(FakeServer.layer(turns)), Layer.provide(sink))
  return Effect.gen(function*() {
    const exit = yield* Effect.result(self)
    const received = yield* Effect.flatMap(FakeServer.FakeServer, (server) => server.received)
    assert.isFalse(received.some(({ refused }) => refused), "the server refused a request as malformed")
    const bodies = received.map(({ params }) => withoutStream(params))
    return { exit, bodies, log, told: log.map(({ _tag }) => _tag) }
  }).pipe(Effect.provide(world))
}

const succeeded = <A>({ exit }: { readonly exit: { readonly _tag: string } }): A => {
  assert.strictEqual(exit._tag, "Success", JSON.stringify(exit))
  return (exit as unknown as { readonly success: A }).success
}
const failed = ({ exit }: { readonly exit: { readonly _tag: string } }): ClaudeError.ClaudeError => {
  assert.strictEqual(exit._tag, "Failure", JSON.stringify(exit))
  return (exit as unknown as { readonly failure: ClaudeError.ClaudeError }).failure
}

describe("a truncated answer with raiseTo", () => {
  const raise = (raiseTo: number) => Policy.apply({ truncated: { raiseTo } })

  it.live("is asked for once more, with a higher max_tokens", () =>
    Effect.gen(function*() {
      const played = yield* play(
        Claude.text("hi", { model: newer, max_tokens: 100 }).pipe(raise(500)),
        Faults.maxTokens("Once upon"),
        Faults.answer("Once upon a time.")
      )
      assert.strictEqual(succeeded(played), "Once upon a time.")
      const ask = { model: newer, messages: [user("hi")] }
      assert.deepStrictEqual(played.bodies, [{ ...ask, max_tokens: 100 }, { ...ask, max_tokens: 500 }])
      assert.deepInclude(played.log.find(({ _tag }) => _tag === "Continued"), { how: "raise", attempt: 2 })
    }))

  it.live("is asked for again with the maximum of the model if raiseTo is higher, and fails if the second answer is also truncated", () =>
    Effect.gen(function*() {
      const played = yield* play(
        Claude.text("hi", { model: older, max_tokens: 100 }).pipe(raise(1_000_000)),
        Faults.maxTokens("Once"),
        Faults.maxTokens("Once upon")
      )
      const error = failed(played)
      assert.deepStrictEqual(played.bodies.map(({ max_tokens }) => max_tokens), [100, 64_000])
      assert.deepInclude({ ...error }, {
        _tag: "Truncated",
        gaveUp: "RetriesSpent",
        detail: `max_tokens was 64000, and ${older} writes at most 64000: use truncated: { continue }`
      })
      assert.lengthOf(error.history ?? [], 2)
    }))

  it.live("fails at once if max_tokens is already as high as raiseTo", () =>
    Effect.gen(function*() {
      for (const max_tokens of [500, 501]) {
        const played = yield* play(
          Claude.text("hi", { model: newer, max_tokens }).pipe(raise(500)),
          Faults.maxTokens("Once")
        )
        assert.lengthOf(played.bodies, 1)
        assert.deepInclude({ ...failed(played) }, { _tag: "Truncated", gaveUp: "NotRetried" })
      }
    }))

  it.live("is asked for again if it is a value with a schema", () =>
    Effect.gen(function*() {
      const played = yield* play(
        Claude.object(format, "where?", { model: newer, max_tokens: 5 }).pipe(raise(50)),
        Faults.maxTokens(`{"city":"Pa`),
        Faults.value({ city: "Paris" })
      )
      assert.deepStrictEqual(succeeded(played), { city: "Paris" })
      const [first, second] = played.bodies
      assert.deepStrictEqual({ ...first, max_tokens: 50 }, second)
    }))
})

describe("a truncated answer with continue", () => {
  const go = (n: number) => Policy.apply({ truncated: { continue: n } })

  it.live("is continued by a request to repeat the last words if the model supports no prefill, and the joined text has them only once", () =>
    Effect.gen(function*() {
      const played = yield* play(
        Claude.text("hi", { model: newer, max_tokens: 10 }).pipe(go(3)),
        Faults.maxTokens("The quick brown fo"),
        Faults.maxTokens("The quick brown fox jumps \n"),
        Faults.answer("The quick brown fox jumps over the dog.")
      )
      assert.strictEqual(succeeded(played), "The quick brown fox jumps over the dog.")
      const ask = { model: newer, max_tokens: 10 }
      assert.deepStrictEqual(played.bodies, [
        { ...ask, messages: [user("hi")] },
        { ...ask, messages: [user("hi"), assistant(text("The quick brown fo")), goOn("The quick brown fo")] },
        {
          ...ask,
          messages: [user("hi"), assistant(text("The quick brown fox jumps")), goOn("The quick brown fox jumps")]
        }
      ])
    }))

  it.live("is sent to an older model as a prefill, without trailing white space", () =>
    Effect.gen(function*() {
      const played = yield* play(
        Claude.text("hi", { model: older, max_tokens: 10 }).pipe(go(3)),
        Faults.maxTokens("The quick \n"),
        Faults.maxTokens(" brown fo"),
        Faults.answer("x jumps.")
      )
      assert.strictEqual(succeeded(played), "The quick brown fox jumps.")
      const ask = { model: older, max_tokens: 10 }
      assert.deepStrictEqual(played.bodies, [
        { ...ask, messages: [user("hi")] },
        { ...ask, messages: [user("hi"), assistant(text("The quick"))] },
        { ...ask, messages: [user("hi"), assistant(text("The quick brown fo"))] }
      ])
    }))

  it.live("is not sent as a prefill to an older model that thinks, because the API does not allow both", () =>
    Effect.gen(function*() {
      const played = yield* play(
        Claude.text("hi", { model: older, max_tokens: 2000, thinking: { type: "enabled", budget_tokens: 1024 } }).pipe(
          go(1)
        ),
        Faults.answer("The quick", { thinking: "Animals?", stopReason: "max_tokens" }),
        Faults.answer("The quick fox.", { thinking: "Where was I?" })
      )
      assert.strictEqual(succeeded(played), "The quick fox.")
      assert.deepStrictEqual(played.bodies[1]?.["messages"], [
        user("hi"),
        assistant({ type: "thinking", thinking: "Animals?", signature: "c2lnbmF0dXJl" }, text("The quick")),
        goOn("The quick")
      ])
    }))

  it.live("is one message, with the sum of the usage and cost of its pieces", () =>
    Effect.gen(function*() {
      const played = yield* play(
        Claude.message("hi", { model: older }).pipe(go(1)),
        Faults.answer("One,", { model: older, stopReason: "max_tokens", inputTokens: 10, outputTokens: 2 }),
        Faults.answer(" two.", { model: older, inputTokens: 12, outputTokens: 3 })
      )
      const reply = succeeded<Effect.Success<ReturnType<typeof Claude.message>>>(played)
      assert.deepStrictEqual(reply.message.content, [{ ...text("One, two."), type: "text" }] as never)
      assert.deepInclude(reply.usage, { input_tokens: 22, output_tokens: 5, service_tier: "standard" })
      assert.deepStrictEqual(reply.message.usage, reply.usage)
      assert.isFalse(reply.cost?.atLeast)
      assert.closeTo(reply.cost?.dollars ?? 0, (22 * 1 + 5 * 5) / 1e6, 1e-12)
      assert.strictEqual(reply.stopReason, "end_turn")
      const spent = played.log.find(({ _tag }) => _tag === "CallSucceeded")
      assert.deepInclude(spent, { attempts: 2 })
    }))

  it.live("is continued again if a continuation does not begin with the last words, and fails with this reason after the last continuation", () =>
    Effect.gen(function*() {
      const lost = yield* play(
        Claude.text("hi", { model: newer, max_tokens: 10 }).pipe(go(2)),
        Faults.maxTokens("The quick brown"),
        Faults.answer("Sure! Here is the rest: fox jumps."),
        Faults.answer(" fox jumps.")
      )
      const error = failed(lost) as ClaudeError.Truncated
      assert.deepInclude({ ...error }, {
        _tag: "Truncated",
        detail: "the continuation is empty or does not repeat the last words of the answer, so it was discarded",
        gaveUp: "RetriesSpent"
      })
      assert.strictEqual(error.text && Redacted.value(error.text), "The quick brown")
      assert.deepStrictEqual(lost.bodies[1], lost.bodies[2])

      const found = yield* play(
        Claude.text("hi", { model: newer, max_tokens: 10 }).pipe(go(2)),
        Faults.maxTokens("The quick brown"),
        Faults.answer("Sure! Here is the rest: fox jumps."),
        Faults.answer("The quick brown fox jumps.")
      )
      assert.strictEqual(succeeded(found), "The quick brown fox jumps.")
    }))

  it.live("fails after the maximum number of pieces, with the text of all pieces", () =>
    Effect.gen(function*() {
      const played = yield* play(
        Claude.text("hi", { model: older, max_tokens: 10 }).pipe(go(1)),
        Faults.maxTokens("One,"),
        Faults.maxTokens(" two,")
      )
      const error = failed(played) as ClaudeError.Truncated
      assert.strictEqual(error.text && Redacted.value(error.text), "One, two,")
      assert.strictEqual(error.detail, "the limit of continuations is reached: raise truncated.continue, which is 1")
    }))

  it.live("fails at once if it has a schema, or was cut off in thinking or in a tool call", () =>
    Effect.gen(function*() {
      const held = yield* play(
        Claude.object(format, "where?", { model: newer }).pipe(go(2)),
        Faults.maxTokens(`{"city":`)
      )
      assert.match(failed(held).detail ?? "", /^an answer with an output schema cannot be continued/)
      const thinking = yield* play(
        Claude.text("hi", { model: newer }).pipe(go(2)),
        Faults.answer("", { thinking: "Hm", stopReason: "max_tokens" })
      )
      assert.match(failed(thinking).detail ?? "", /^the answer does not end with text/)
      const tool = yield* play(
        Claude.message("hi", { model: newer }).pipe(go(2)),
        Faults.answer("Look:", { tool: { name: "look", input: { at: "x" } }, stopReason: "max_tokens" })
      )
      assert.match(failed(tool).detail ?? "", /^the answer contains a tool call/)
    }))

  it.live("retries only the piece that failed", () =>
    Effect.gen(function*() {
      const played = yield* play(
        Claude.text("hi", { model: older, max_tokens: 10 }).pipe(
          Policy.apply({
            truncated: { continue: 1 },
            retry: { Overloaded: Retry.backoff({ times: 1, base: "1 millis" }) }
          })
        ),
        Faults.maxTokens("One,"),
        Faults.overloaded,
        Faults.answer(" two.")
      )
      assert.strictEqual(succeeded(played), "One, two.")
      assert.deepStrictEqual(played.bodies[1], played.bodies[2])
      assert.deepStrictEqual(played.bodies[2]?.["messages"], [user("hi"), assistant(text("One,"))])
    }))

  it.live("fails as Refused if a piece is refused, and a second call with the same question starts anew", () =>
    Effect.gen(function*() {
      const refused = yield* play(
        Claude.text("hi", { model: newer }).pipe(go(2)),
        Faults.maxTokens("The quick"),
        Faults.refusal("I will not")
      )
      assert.strictEqual(failed(refused)._tag, "Refused")
      const twice = yield* play(
        Effect.all([Claude.text("hi", { model: older }), Claude.text("hi", { model: older })]).pipe(go(2)),
        Faults.maxTokens("One,"),
        Faults.answer(" two."),
        Faults.answer("Three.")
      )
      assert.deepStrictEqual(succeeded(twice), ["One, two.", "Three."])
      assert.deepStrictEqual(twice.bodies[2]?.["messages"], [user("hi")])
    }))
})

describe("a paused answer", () => {
  const search = { type: "server_tool_use", id: "srvtoolu_01Fake", name: "web_search", caller: { type: "direct" } }
  const said = (words: string) => [text(words), { ...search, input: { query: "news" } }]

  it.live("is sent back unchanged until the turn ends", () =>
    Effect.gen(function*() {
      const played = yield* play(
        Claude.message("news?", { model: newer }).pipe(Policy.apply(Policy.none)),
        Faults.paused("Let me look. "),
        Faults.paused("And there. "),
        Faults.answer("Nothing new.")
      )
      const reply = succeeded<Effect.Success<ReturnType<typeof Claude.message>>>(played)
      assert.strictEqual(reply.text, "Let me look. And there. Nothing new.")
      assert.deepStrictEqual(reply.usage.input_tokens, 3 * 14)
      const ask = { model: newer, max_tokens: 4096 }
      assert.deepStrictEqual(played.bodies, [
        { ...ask, messages: [user("news?")] },
        { ...ask, messages: [user("news?"), assistant(...said("Let me look. "))] },
        { ...ask, messages: [user("news?"), assistant(...said("Let me look. "), ...said("And there. "))] }
      ])
    }))

  it.live("fails after five continuations, or as many as the policy says", () =>
    Effect.gen(function*() {
      const pauses = Array.from({ length: 7 }, () => Faults.paused("And. "))
      const usual = yield* play(Claude.message("news?", { model: newer }).pipe(Policy.apply(Policy.none)), ...pauses)
      assert.lengthOf(usual.bodies, 6)
      assert.deepInclude({ ...failed(usual) }, {
        _tag: "Truncated",
        reason: "pause_turn",
        detail: "the limit of continuations is reached: raise paused.continue, which is 5",
        gaveUp: "RetriesSpent"
      })
      const never = yield* play(
        Claude.message("news?", { model: newer }).pipe(Policy.apply({ paused: { continue: 0 } })),
        ...pauses
      )
      assert.lengthOf(never.bodies, 1)
      const bare = yield* play(Claude.message("news?", { model: newer }), ...pauses)
      assert.lengthOf(bare.bodies, 1, "without a policy, a call is one attempt")
    }))
})

describe("an empty answer under the option nudge", () => {
  it.live("is followed by one request to continue, in a new user turn, and fails if the second answer is empty too", () =>
    Effect.gen(function*() {
      const nudge = Policy.apply({ empty: { nudge: 1 } })
      const ask = Claude.text("hi", { model: newer })
      const played = yield* play(nudge(ask), Faults.emptyAnswer, Faults.answer("Hello."))
      assert.strictEqual(succeeded(played), "Hello.")
      const rest = { model: newer, max_tokens: 4096 }
      assert.deepStrictEqual(played.bodies, [
        { ...rest, messages: [user("hi")] },
        { ...rest, messages: [user("hi"), user("Please continue.")] }
      ])
      const twice = yield* play(nudge(ask), Faults.emptyAnswer, Faults.emptyAnswer)
      assert.strictEqual(failed(twice)._tag, "EmptyAnswer")
      assert.lengthOf(twice.bodies, 2)
    }))
})

describe("a refused answer", () => {
  it.live("is discarded, and the `refused` models are asked", () =>
    Effect.gen(function*() {
      const played = yield* play(
        Claude.text("hi", { model: newer }).pipe(
          Policy.apply({ models: ["claude-haiku-5-5"], refused: ["claude-opus-5-5", "claude-opus-5"] })
        ),
        Faults.refusal("I might"),
        Faults.refusal(),
        Faults.answer("Hello.", { model: "claude-opus-5" })
      )
      assert.strictEqual(succeeded(played), "Hello.")
      const ask = { max_tokens: 4096, messages: [user("hi")] }
      assert.deepStrictEqual(played.bodies, [
        { ...ask, model: newer },
        { ...ask, model: "claude-opus-5-5" },
        { ...ask, model: "claude-opus-5" }
      ])
    }))

  it.live("ends the call with Refused under `refused: \"fail\"`, even if other models are left", () =>
    Effect.gen(function*() {
      const policy = { models: ["claude-haiku-5-5"], refused: "fail" } as const
      const played = yield* play(Claude.text("hi").pipe(Policy.apply(policy)), Faults.refusal("I might"))
      assert.strictEqual(failed(played)._tag, "Refused")
      assert.lengthOf(played.bodies, 1)
    }))
})

/** An answer with these content blocks, each in one event. */
const made = (content: ReadonlyArray<object>, stopReason: string, message: object = {}): Faults.Turn => {
  const [start = "", delta = "", stop = ""] = [0, -2, -1].map((at) => Faults.events("", { stopReason }).at(at))
  return Faults.stream([
    start.replace(`"container":null`, JSON.stringify(message).slice(1, -1) || `"container":null`),
    ...content.flatMap((block, index) => [
      Faults.event("content_block_start", { index, content_block: block }),
      Faults.event("content_block_stop", { index })
    ]),
    delta.replace(`"container":null`, JSON.stringify(message).slice(1, -1) || `"container":null`),
    stop
  ])
}
const cited = (words: string, source: string) => ({ ...text(words), citations: [{ type: "char_location", source }] })
const toolUse = { type: "tool_use", id: "toolu_1", name: "look", input: {}, caller: { type: "direct" } }
const contentOf = (played: { readonly exit: { readonly _tag: string } }) =>
  succeeded<Effect.Success<ReturnType<typeof Claude.message>>>(played).message.content as ReadonlyArray<unknown>

describe("questions under one policy", () => {
  const once = Policy.apply({ truncated: { continue: 1 } })

  it.live("keep their own answers, even if only their system prompts differ", () =>
    Effect.gen(function*() {
      const ask = (system: string) => Claude.text("Cats.", { system, model: older })
      const played = yield* play(
        Effect.all([ask("In French."), ask("In German.")]).pipe(once),
        Faults.answer("Les chats."),
        Faults.maxTokens("Katzen sind"),
        Faults.answer(" Tiere.")
      )
      assert.deepStrictEqual(succeeded(played), ["Les chats.", "Katzen sind Tiere."])
    }))

  it.live("each continue their own answer, even in parallel and with the same prompt", () =>
    Effect.gen(function*() {
      for (const questions of [["joke", "joke"], ["a", "b", "c", "d", "e", "f", "g", "h"]]) {
        for (const concurrency of [1, "unbounded"] as const) {
          const ask = (question: string) => Claude.text(question, { model: older })
          // A request with a prefill is a continuation.
          const script = Faults.by(({ params: { messages } }) =>
            (messages as ReadonlyArray<unknown>).length > 1 ? Faults.answer(" end.") : Faults.maxTokens("begin,")
          )
          const played = yield* playing(Effect.forEach(questions, ask, { concurrency }).pipe(once), script)
          assert.deepStrictEqual(succeeded(played), questions.map(() => "begin, end."))
          assert.lengthOf(played.bodies, questions.length * 2)
        }
      }
    }))

  it.live("are not retried from the start when their continuations are used up", () =>
    Effect.gen(function*() {
      const played = yield* play(
        Claude.text("hi", { model: older }).pipe(
          Policy.apply({ truncated: { continue: 1 }, retry: Schedule.recurs(3) })
        ),
        Faults.maxTokens("One,"),
        Faults.maxTokens(" two,")
      )
      assert.deepInclude({ ...failed(played) }, { _tag: "Truncated", gaveUp: "RetriesSpent" })
      assert.lengthOf(played.bodies, 2)
    }))

  it.live("are not retried from the start when the retries of a piece are used up", () =>
    Effect.gen(function*() {
      const retry = Retry.byTag({ Overloaded: Retry.backoff({ times: 1, base: "1 millis" }) })
      const played = yield* play(
        Claude.text("hi", { model: older }).pipe(Policy.apply({ truncated: { continue: 3 }, retry })),
        Faults.maxTokens("One,"),
        Faults.overloaded,
        Faults.overloaded
      )
      assert.deepInclude({ ...failed(played) }, { _tag: "Overloaded", gaveUp: "RetriesSpent" })
      assert.lengthOf(played.bodies, 3)
      assert.deepStrictEqual(failed(played).history?.map(({ attempt, error }) => [attempt, error]), [
        [1, "Truncated"],
        [2, "Overloaded"],
        [3, "Overloaded"]
      ])
    }))
})

describe("a continued answer", () => {
  const go = Policy.apply({ truncated: { continue: 2 } })
  const ask = (model: string) => Claude.message("hi", { model })

  it.live("sends the container of a paused turn with the next request, and returns it in the message", () =>
    Effect.gen(function*() {
      const container = { id: "container_1", expires_at: "2026-01-01T00:00:00Z" }
      const played = yield* play(
        ask(newer).pipe(Policy.apply(Policy.none)),
        made([{ type: "server_tool_use", id: "srv_1", name: "code_execution", input: {} }], "pause_turn", {
          container
        }),
        made([text("Done.")], "end_turn")
      )
      assert.strictEqual(played.bodies[1]?.["container"], "container_1")
      const reply = succeeded<Effect.Success<ReturnType<typeof Claude.message>>>(played)
      assert.deepStrictEqual(reply.message.container as unknown, container)
    }))

  it.live("fails as EmptyAnswer if no content follows a paused turn", () =>
    Effect.gen(function*() {
      const played = yield* play(
        Claude.text("hi", { model: newer }).pipe(Policy.apply({ empty: { nudge: 1 } })),
        Faults.paused("Let me look."),
        Faults.emptyAnswer
      )
      assert.deepInclude({ ...failed(played) }, {
        _tag: "EmptyAnswer",
        detail: "the paused turn ended without further content"
      })
      assert.lengthOf(played.bodies, 2)
    }))

  it.live("is complete if the continuation of an older model is empty, or is only a tool call", () =>
    Effect.gen(function*() {
      for (const stop of ["end_turn", "stop_sequence"]) {
        const played = yield* play(ask(older).pipe(go), Faults.maxTokens("One two"), made([], stop))
        assert.deepStrictEqual(contentOf(played), [text("One two")])
      }
      const played = yield* play(ask(older).pipe(go), Faults.maxTokens("Let me look."), made([toolUse], "tool_use"))
      assert.deepStrictEqual(contentOf(played), [text("Let me look."), toolUse])
    }))

  it.live("is joined if the continuation repeats only the text after the last tool use, even in several blocks", () =>
    Effect.gen(function*() {
      const tool = { type: "server_tool_use", id: "srv_1", name: "web_search", input: {}, caller: { type: "direct" } }
      const played = yield* play(
        ask(newer).pipe(go),
        made([text("I will search."), tool, text("The weather is")], "max_tokens"),
        made([text("The weath"), text("er is fine."), text(" Go out.")], "end_turn")
      )
      assert.deepStrictEqual(contentOf(played), [
        text("I will search."),
        tool,
        text("The weather is fine."),
        text(" Go out.")
      ])
      assert.include(JSON.stringify(played.bodies[1]), String.raw`<last_words>\nThe weather is\n</last_words>`)
    }))

  it.live("keeps a block with citations separate from the text before it", () =>
    Effect.gen(function*() {
      const played = yield* play(
        ask(older).pipe(go),
        made([text("My opinion.")], "max_tokens"),
        made([cited(" Theirs.", "a")], "end_turn")
      )
      assert.deepStrictEqual(contentOf(played), [text("My opinion."), cited(" Theirs.", "a")])
    }))

  it.live("falls back to a model with a larger context window if a continuation fills the window", () =>
    Effect.gen(function*() {
      const played = yield* play(
        ask(older).pipe(Policy.apply({ truncated: { continue: 2 }, models: ["claude-sonnet-5"] })),
        Faults.maxTokens("One two"),
        made([], "model_context_window_exceeded"),
        Faults.answer("One two three.")
      )
      assert.deepStrictEqual(contentOf(played), [text("One two three.")])
      assert.deepStrictEqual(played.bodies.map(({ model }) => model), [older, older, "claude-sonnet-5"])
    }))

  it.live("is sent back without empty text blocks", () =>
    Effect.gen(function*() {
      const played = yield* play(
        ask(older).pipe(go),
        made([text(""), text("One")], "max_tokens"),
        Faults.answer(" two.")
      )
      assert.deepStrictEqual(played.bodies[1]?.["messages"], [user("hi"), assistant(text("One"))])
    }))

  it.live("is logged with the model that was asked", () =>
    Effect.gen(function*() {
      const played = yield* play(ask(older).pipe(go), Faults.maxTokens("One"), Faults.answer(" two."))
      assert.deepInclude(played.log.find(({ _tag }) => _tag === "Continued"), { model: older })
    }))

  it.live("has its prompt counted by precheck only before the first request", () =>
    Effect.gen(function*() {
      const counted: Array<unknown> = []
      const spy = Effect.updateService(Claude.Claude, (claude) => ({
        ...claude,
        countTokens: (params) => {
          counted.push(params)
          return Effect.succeed(1)
        }
      }))
      const played = yield* play(
        ask(older).pipe(Policy.apply({ truncated: { continue: 2 }, precheck: "count" }), spy),
        Faults.maxTokens("One"),
        Faults.answer(" two.")
      )
      assert.strictEqual(played.exit._tag, "Success")
      assert.lengthOf(counted, 1)
    }))
})

it.live("a continued answer has one deadline for all its pieces", () =>
  Effect.gen(function*() {
    const start = performance.now()
    const played = yield* play(
      Claude.text("hi", { model: older }).pipe(
        Policy.apply({ truncated: { continue: 9 }, overall: "300 millis" })
      ),
      Faults.maxTokens("One,"),
      Faults.delayed(Faults.answer(" two."), "1 minute")
    )
    assert.deepInclude({ ...failed(played) }, { _tag: "DeadlineExceeded", limit: Duration.millis(300) })
    assert.isBelow(performance.now() - start, 5000)
    assert.deepStrictEqual(failed(played).history?.map(({ error }) => error), ["Truncated", "DeadlineExceeded"])
  }))
