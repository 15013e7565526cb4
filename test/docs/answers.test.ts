/** Checks what docs/answers.md says. */
import { assert, describe, it } from "@effect/vitest"
import { Console, Effect, Fiber, Layer, Option, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, type ClaudeError, Current, Models, Policy, Tool, Validate } from "resilient-claude"
import { FakeClaude, Faults } from "resilient-claude/testing"
import { assertAlive } from "../support/docs.ts"
import { program } from "./programs/answers.ts"

const sent = Effect.map(FakeClaude.received, (all) => all.map(({ params }) => params))
const playing = (...turns: ReadonlyArray<Faults.Turn>) => Effect.provide(FakeClaude.layer(turns))
const finish = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const running = yield* Effect.forkChild(self)
    yield* TestClock.adjust("10 minutes")
    return yield* Fiber.join(running)
  })
const many = Faults.answer("hello")

it("every code block of docs/answers.md is in a test or an example", () => assertAlive("docs/answers.md"))

it.effect("the first program decodes the answer, and asks again after a malformed answer", () =>
  Effect.gen(function*() {
    assert.deepStrictEqual(yield* program, { mood: "mixed", summary: "late, but good" })
    assert.lengthOf(yield* sent, 2)
  }).pipe(playing(
    Faults.value({ mood: "great", summary: "late, but good" }),
    Faults.value({ mood: "mixed", summary: "late, but good" })
  )))

describe("prompts", () => {
  const chat = Claude.text([
    { role: "user", content: "My name is Ada." },
    { role: "assistant", content: "Hello, Ada." },
    { role: "user", content: "What is my name?" }
  ])

  const french = Claude.text("Good morning", {
    model: "claude-haiku-5-5",
    max_tokens: 200,
    system: "Translate into French."
  })

  const describePhoto = (base64: string) =>
    Claude.text([{
      role: "user",
      content: [
        { type: "image", source: { type: "base64", media_type: "image/png", data: base64 } },
        { type: "text", text: "What is in this picture?" }
      ]
    }])

  const summarizePdf = (base64: string) =>
    Claude.text([{
      role: "user",
      content: [
        { type: "document", source: { type: "base64", media_type: "application/pdf", data: base64 } },
        { type: "text", text: "Summarize this document." }
      ]
    }])

  it.effect("a string is sent with the default model and max_tokens", () =>
    Effect.gen(function*() {
      yield* Claude.text("Hello")
      assert.deepStrictEqual(yield* sent, [
        { model: "claude-sonnet-5-5", max_tokens: 4096, messages: [{ role: "user", content: "Hello" }] }
      ])
    }).pipe(playing(many)))

  it.effect("messages and options reach the API under their own names", () =>
    Effect.gen(function*() {
      yield* chat
      yield* french
      const [first, second] = yield* sent
      assert.lengthOf(first?.messages ?? [], 3)
      assert.deepInclude(second, { model: "claude-haiku-5-5", max_tokens: 200, system: "Translate into French." })
    }).pipe(playing(many, many)))

  it.effect("an option replaces a parameter of the prompt, unless it is undefined", () =>
    Effect.gen(function*() {
      const prompt = { messages: [{ role: "user" as const, content: "hi" }], max_tokens: 100, system: "Be brief." }
      yield* Claude.text(prompt, { max_tokens: 50, system: undefined })
      assert.deepInclude((yield* sent)[0], { max_tokens: 50, system: "Be brief." })
    }).pipe(playing(many)))

  it.effect("Claude.withModel applies to calls that name no model", () =>
    Effect.gen(function*() {
      yield* Claude.text("Hello").pipe(Claude.withModel("claude-haiku-5-5"))
      yield* Claude.text("Hello", { model: "claude-opus-5-5" }).pipe(Claude.withModel("claude-haiku-5-5"))
      yield* Claude.text("Hello").pipe(Effect.provideService(Current.Model, "claude-haiku-5-5"))
      assert.deepStrictEqual((yield* sent).map(({ model }) => model), [
        "claude-haiku-5-5",
        "claude-opus-5-5",
        "claude-haiku-5-5"
      ])
    }).pipe(playing(many, many, many)))

  it.effect("images and documents can be sent, and an image in a data URL is sent as plain base64", () =>
    Effect.gen(function*() {
      yield* describePhoto("iVBORw0KGgo=").pipe(Policy.apply(Policy.standard))
      yield* summarizePdf("JVBERi0xLjcK").pipe(Policy.apply(Policy.standard))
      yield* describePhoto("data:image/png;base64,iVBORw0KGgo=").pipe(Policy.apply(Policy.standard))
      const [first, , third] = yield* sent
      assert.deepStrictEqual(third?.messages, first?.messages)
    }).pipe(playing(many, many, many)))
})

describe("a reply", () => {
  it.effect("contains its usage and its cost", () =>
    Effect.gen(function*() {
      const reply = yield* Claude.message("Tell me a story.")
      yield* Effect.logInfo(`${reply.usage.output_tokens} tokens, ${reply.requestId}`)
      assert.deepInclude(reply, { text: "Once.", stopReason: "end_turn", requestId: "req_fake_0001", attempt: 1 })
      assert.deepStrictEqual(reply.cost, { dollars: (100 * 2 + 50 * 10) / 1e6, atLeast: false })
    }).pipe(playing(Faults.answer("Once.", { inputTokens: 100, outputTokens: 50 }))))
})

describe("values", () => {
  const Point = Schema.Struct({ x: Schema.Int, label: Schema.optional(Schema.String) })
  const ask = Claude.object(Point, "Where?")

  const accepted: ReadonlyArray<readonly [what: string, text: string]> = [
    ["bare JSON", `{"x": 1}`],
    ["JSON in a fence", "```json\n{\"x\": 1}\n```"],
    ["JSON between words", `Here it is: {"x": 1}. Anything else?`],
    ["JSON with more fields", `{"x": 1, "y": 2}`],
    ["JSON with null for an optional field", `{"x": 1, "label": null}`]
  ]
  it.effect.each(accepted)("are accepted if the answer is %s", ([, text]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* ask, { x: 1 })
    }).pipe(playing(Faults.answer(text))))

  const refused: ReadonlyArray<readonly [what: string, text: string]> = [
    ["two JSON objects", `{"x": 1} {"x": 2}`],
    ["cut JSON", `{"x": 1`],
    ["JSON with an unquoted key", `{x: 1}`],
    ["an object with a string in place of a number", `{"x": "1"}`]
  ]
  it.effect.each(refused)(
    "are rejected with MalformedOutput if the answer is %s",
    ([, text]) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(ask)
        assert.strictEqual(error._tag, "MalformedOutput")
      }).pipe(playing(Faults.answer(text)))
  )

  it.effect("that do not fit the schema fail with issues that Redacted.value makes readable", () =>
    Effect.gen(function*() {
      const readable = ask.pipe(
        Effect.catchTag(
          "MalformedOutput",
          ({ issues }) => Effect.succeed(issues === undefined ? [] : Redacted.value(issues).map(Validate.show))
        )
      )
      assert.deepStrictEqual(yield* readable, ["x: Missing key"])
    }).pipe(playing(Faults.answer("{}"))))

  it.effect("are asked for in the prompt if the model has no structured output", () =>
    Effect.gen(function*() {
      yield* Claude.object(Point, "Where?", { model: "words-only" })
      assert.isUndefined((yield* sent)[0]?.output_config)
    }).pipe(Effect.provide(
      FakeClaude.layer([Faults.value({ x: 1 })]).pipe(
        Layer.provide(Models.layer([{ id: "words-only", capabilities: { structuredOutputs: false } }]))
      )
    )))
})

describe("tools", () => {
  const Book = Schema.Struct({ title: Schema.String })
  const lookUp = Tool.make("look_up", { description: "Looks up a book.", input: Book })

  it.effect("malformed input fails with an error that names the tool, without a second request", () =>
    Effect.gen(function*() {
      const error = yield* Claude.message("Which?", { tools: [lookUp] }).pipe(
        Policy.apply({ reask: 2 }),
        Effect.flip
      )
      assert.strictEqual(error._tag, "MalformedOutput")
      assert.deepStrictEqual(error._tag === "MalformedOutput" && error.issues && Redacted.value(error.issues), [
        { path: ["look_up", "title"], message: "Missing key" }
      ])
      assert.lengthOf(yield* sent, 1)
    }).pipe(playing(Faults.answer("", { tool: { name: "look_up", input: {} } }))))

  it.effect("Claude.text fails if the answer is a tool call", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Claude.text("Which?", { tools: [lookUp] }))
      assert.strictEqual(error._tag, "EmptyAnswer")
      assert.match(error.message, /use Claude\.message/)
    }).pipe(playing(Faults.answer("", { tool: { name: "look_up", input: { title: "Emma" } } }))))

  /** A message that lists the mistakes in the input of a tool. Append it to the conversation, and ask again. */
  const correction = ({ issues }: ClaudeError.MalformedOutput) => {
    const mistakes = issues === undefined ? [] : Redacted.value(issues).map(Validate.show)
    return { role: "user", content: `Your tool call had mistakes:\n${mistakes.join("\n")}` } as const
  }

  it.effect("a second request that lists the mistakes in the input of a tool gets valid input", () =>
    Effect.gen(function*() {
      const ask = (prompt: Claude.Prompt) => Claude.message(prompt, { tools: [lookUp] })
      const question = { role: "user", content: "Which?" } as const
      const reply = yield* ask([question]).pipe(
        Effect.catchTag("MalformedOutput", (error) => ask([question, correction(error)]))
      )
      assert.deepStrictEqual((yield* lookUp.uses(reply)).map(({ input }) => input), [{ title: "Emma" }])
      const [, second] = yield* sent
      assert.deepStrictEqual(second?.messages, [
        { role: "user", content: "Which?" },
        { role: "user", content: "Your tool call had mistakes:\nlook_up.title: Missing key" }
      ])
    }).pipe(playing(
      Faults.answer("", { tool: { name: "look_up", input: {} } }),
      Faults.answer("", { tool: { name: "look_up", input: { title: "Emma" } } })
    )))

  it("Tool.make rejects strict: true if the API would not accept the schema", () => {
    const anything = Schema.Struct({ value: Schema.Json })
    assert.throws(() => Tool.make("save", { input: anything, strict: true }), RangeError, /remove strict/)
  })
})

describe("before a request is sent", () => {
  const blank = Claude.text(" ").pipe(Policy.apply(Policy.standard))

  const explained = blank.pipe(
    Effect.catchTag("InvalidRequest", ({ issues = [] }) => Effect.succeed(issues.map(Validate.show).join("\n")))
  )

  it.effect("a request with a blank message fails with an issue that says so, and is not sent", () =>
    Effect.gen(function*() {
      assert.match(String(yield* explained), /^messages\.0\.content: the text of a message is blank/)
      assert.lengthOf(yield* sent, 0)
    }).pipe(playing()))

  it.effect("a model that is not in the catalogue is sent, or is an error if the policy is strict", () =>
    Effect.gen(function*() {
      const unknown = Claude.text("Hello", { model: "claude-nope-1" })
      yield* unknown.pipe(Policy.apply(Policy.standard))
      const strict = yield* Effect.flip(unknown.pipe(Policy.apply({ ...Policy.standard, strict: true })))
      assert.strictEqual(strict._tag, "InvalidRequest")
      assert.lengthOf(yield* sent, 1)
    }).pipe(playing(many)))

  it.effect("Validate.check checks a request without sending it", () =>
    Effect.gen(function*() {
      const params = {
        model: "claude-nope-1",
        max_tokens: 100,
        messages: [{ role: "user" as const, content: "Hello" }]
      }
      const { errors, warnings } = Validate.check(params, { models: yield* Models.all })
      assert.lengthOf(errors, 0)
      assert.lengthOf(warnings, 1)
      assert.lengthOf(yield* sent, 0)
    }).pipe(playing()))

  it.effect("Claude.countTokens counts a prompt without asking for an answer", () =>
    Effect.gen(function*() {
      const tokens = yield* Claude.countTokens("Write a haiku about patience.")
      assert.isAbove(tokens, 0)
      assert.lengthOf(yield* sent, 0)
    }).pipe(playing()))

  const counted = { ...Policy.standard, precheck: "count" } as const

  it.effect("a prompt that does not fit the context window fails before it is sent", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        Claude.text("word ".repeat(200), { model: "tiny" }).pipe(Policy.apply(counted))
      )
      assert.strictEqual(error._tag, "ContextWindowExceeded")
      assert.lengthOf(yield* sent, 0)
    }).pipe(Effect.provide(
      FakeClaude.layer([]).pipe(
        Layer.provide(Models.layer([{ id: "tiny", contextWindow: 100 }]))
      )
    )))
})

describe("models and costs", () => {
  // Run this when the program starts. If it fails, the built-in models stay.
  const refreshed = Models.refresh.pipe(
    Policy.apply(Policy.standard),
    Effect.catch((error) => Effect.logWarning(`The models are as they were: ${error.message}`))
  )

  const window = Effect.map(Models.get("claude-sonnet-5-5"), (model) => Option.getOrUndefined(model)?.contextWindow)

  const ownModels = Models.layer([{ id: "my-model", maxOutput: 8192, prices: cheap }])

  it.effect("the catalogue is unchanged if the model list cannot be fetched", () =>
    Effect.gen(function*() {
      const before = yield* window
      yield* finish(refreshed)
      assert.strictEqual(yield* window, before)
      assert.strictEqual(before, 1_000_000)
    }).pipe(Effect.provide(Layer.provide(FakeClaude.layer([]), CallLog.layerNoop))))

  it.effect("a custom model can have a price", () =>
    Effect.gen(function*() {
      const { cost } = yield* Claude.message("Hello", { model: "my-model" })
      assert.deepStrictEqual(cost, { dollars: 150 / 1e6, atLeast: false })
      const { cost: none } = yield* Claude.message("Hello", { model: "claude-nope-1" })
      assert.isUndefined(none)
    }).pipe(Effect.provide(
      FakeClaude.layer(Faults.cycle(Faults.answer("Hi", { inputTokens: 100, outputTokens: 50 }))).pipe(
        Layer.provide(ownModels)
      )
    )))

  const bill = Effect.gen(function*() {
    const outcome = yield* Claude.text("Tell me a story.").pipe(Policy.apply(Policy.standard), Policy.outcome)
    const { atLeast, dollars } = outcome.cost
    yield* Console.log(`${outcome.status}: ${atLeast ? "at least " : ""}$${dollars.toFixed(4)}`)
    return outcome
  })

  it.effect("an outcome has the cost of all attempts", () =>
    Effect.gen(function*() {
      const outcome = yield* finish(bill)
      assert.strictEqual(outcome.status, "success")
      assert.isTrue(outcome.cost.atLeast)
      assert.closeTo(outcome.cost.dollars, (200 * 2 + 51 * 10) / 1e6, 1e-5)
    }).pipe(playing(
      Faults.breaks("Once", "cut", { inputTokens: 100 }),
      Faults.answer("Once.", { inputTokens: 100, outputTokens: 50 })
    )))
})

/** Prices in US dollars per million tokens. */
const cheap = { input: 1, output: 1, cacheWrite: 1.25, cacheWriteHour: 2, cacheRead: 0.1 }
