/** Streams that go on after a break: nothing twice, nothing lost. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Ref, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Anthropic, CallLog, Claude, type ClaudeError, type Message, Policy, Retry } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { FakeClaude, FakeServer, Faults } from "../../src/testing/index.ts"
import { effort } from "../support/effort.ts"

const newer = "claude-sonnet-5-5"
const older = "claude-haiku-4-5"
const user = (content: unknown) => ({ role: "user", content })
const assistant = (...content: ReadonlyArray<unknown>) => ({ role: "assistant", content })
const text = (text: string) => ({ type: "text", text, citations: null })

const goOn = (words: string) =>
  "Your answer was interrupted. Go on exactly where it ends: first repeat its last words, which are given below, letter by "
  + "letter and without anything before them, then write what follows. Repeat nothing else, and do not mention the "
  + `interruption.\n<last_words>\n${words}\n</last_words>`

const resume = { onBreak: "resume", retry: Retry.byTag({ PartialAnswer: Retry.backoff({ times: 3 }) }) } as const

/** Reads to the end, however long it waits: what was read, and how it ended. */
const read = (model: string, policy: Policy.Policy = resume) =>
  Effect.gen(function*() {
    const events: Array<Message.Event> = []
    const running = yield* Claude.events("hi", { model }).pipe(
      Policy.applyStream(policy),
      Stream.runForEach((event) => Effect.sync(() => void events.push(event))),
      Effect.result,
      Effect.forkChild
    )
    yield* TestClock.adjust("10 minutes")
    const exit = yield* Fiber.join(running)
    const shown = events.map((event) =>
      event.type === "content_block_delta" && event.delta.type === "text_delta" ? event.delta.text : ""
    ).join("")
    return { events, shown, exit, kinds: events.map(({ type }) => type) }
  })

const world = (playable: Faults.Playable) => Layer.provideMerge(FakeClaude.layer(playable), CallLog.layerMemory)
const asked = Effect.map(FakeClaude.received, (all) => all.map(({ params }) => params.messages))

describe("onBreak: resume", () => {
  for (const [model, further] of [[older, "wn fox jumps."], [newer, "The quick brown fox jumps."]] as const) {
    it.effect(`asks ${model} for the rest in its own way, and shows nothing twice`, () =>
      Effect.gen(function*() {
        const { events, exit, shown } = yield* read(model)
        assert.strictEqual(exit._tag, "Success")
        assert.strictEqual(shown, "The quick brown fox jumps.")
        const [whole, rest, ...others] = (yield* FakeClaude.received).map(({ params }) => params)
        assert.lengthOf(others, 0)
        // The same request in all but its messages.
        assert.deepStrictEqual<object>({ ...rest, messages: [] }, { ...whole, messages: [] })
        const begun = assistant(text("The quick bro"))
        assert.deepStrictEqual<unknown>(
          rest?.messages,
          model === older ? [user("hi"), begun] : [user("hi"), begun, user(goOn("The quick bro"))]
        )
        const seam = events.find((event) => event.type === "resumed")
        assert.deepStrictEqual(seam, { type: "resumed", attempt: 2, because: "PartialAnswer", index: 0 })
        assert.lengthOf(events.filter(({ type }) => type === "message_start"), 1)
        assert.lengthOf(events.filter(({ type }) => type === "content_block_start"), 1)
        assert.lengthOf(events.filter(({ type }) => type === "content_block_stop"), 1)
        const end = events.find((event) => event.type === "message_delta")
        assert.strictEqual(end?.usage.input_tokens, 28)
        const log = yield* Effect.flatMap(CallLog.Memory, Ref.get)
        assert.isTrue(log.some(({ _tag }) => _tag === "Resumed"))
      }).pipe(Effect.provide(world([Faults.breaks("The quick bro"), Faults.answer(further, { model })]))))
  }

  it.effect("asks in the same way, if it broke off when it had said why it would stop", () =>
    Effect.gen(function*() {
      const { exit, shown } = yield* read(newer)
      assert.strictEqual(exit._tag, "Success")
      assert.strictEqual(shown, "The quick brown fox.")
      const [, messages] = yield* asked
      assert.deepStrictEqual<unknown>(messages, [user("hi"), assistant(text("The quick")), user(goOn("The quick"))])
    }).pipe(Effect.provide(world([
      Faults.stream(Faults.events("The quick", { stopReason: "pause_turn" }).slice(0, -1), { end: "cut" }),
      Faults.answer("The quick brown fox.")
    ]))))

  it.effect("is for text, too, which needs no mark", () =>
    Effect.gen(function*() {
      const running = yield* Claude.stream("hi", { model: older }).pipe(
        Policy.applyStream(resume),
        Stream.mkString,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(running), "The quick  \nbrown fox.")
    }).pipe(Effect.provide(world([Faults.breaks("The quick  \n"), Faults.answer(" brown fox.")]))))

  it.effect("shows nothing of a continuation that begins elsewhere, and asks again while it may", () =>
    Effect.gen(function*() {
      const { exit, shown } = yield* read(newer)
      assert.strictEqual(exit._tag, "Success")
      assert.strictEqual(shown, "The quick brown fox.")
    }).pipe(Effect.provide(world([
      Faults.breaks("The quick"),
      Faults.answer("Sure, here is the rest: brown fox."),
      Faults.answer("The quick brown fox.")
    ]))))

  it.effect("ends when the retries do, with all that had arrived", () =>
    Effect.gen(function*() {
      const { exit, shown } = yield* read(older)
      assert.strictEqual(shown, "a b c d")
      const error = (exit as unknown as { readonly failure: ClaudeError.ClaudeError }).failure
      assert.deepInclude({ ...error }, { _tag: "PartialAnswer", gaveUp: "RetriesSpent" })
    }).pipe(Effect.provide(world([
      Faults.breaks("a"),
      Faults.breaks(" b"),
      Faults.breaks(" c"),
      Faults.breaks(" d")
    ]))))

  it.effect("refuses, with a reason, where nothing but thinking or a tool had arrived", () =>
    Effect.gen(function*() {
      for (const reason of [/nothing but thinking or a tool/, /a tool had been used after the text/]) {
        const { exit } = yield* read(newer)
        const error = (exit as unknown as { readonly failure: ClaudeError.ClaudeError }).failure
        assert.match(error.detail ?? "", reason)
      }
      assert.lengthOf(yield* asked, 2)
    }).pipe(Effect.provide(world([
      Faults.stream(Faults.events("", { thinking: "Let me see" }).slice(0, 5), { end: "cut" }),
      Faults.stream(Faults.events("Look", { tool: { name: "look", input: { at: "x" } } }).slice(0, 9), { end: "cut" })
    ]))))

  it.effect("says from which block on it goes, where a tool was lost", () =>
    Effect.gen(function*() {
      const { events, exit, shown } = yield* read(older)
      assert.strictEqual(exit._tag, "Success")
      assert.strictEqual(shown, "Look here.")
      assert.deepInclude(events.find((event) => event.type === "resumed"), { index: 0 })
      const tool = events.findLast((event) => event.type === "content_block_start")
      assert.deepInclude(tool, { index: 1 })
    }).pipe(Effect.provide(world([
      Faults.stream(Faults.events("Look", { tool: { name: "look", input: { at: "x" } } }).slice(0, 7), { end: "cut" }),
      Faults.answer(" here.", { tool: { name: "look", input: { at: "x" } } })
    ]))))
})

/** A model that goes on as it is asked to. */
const whole = "Once upon a time there was a fox — 狐 — and it said: \"Hi\". \n\nThe end, dear 👩‍👧 reader."
const goesOn = (cut: Faults.Turn): Faults.Script => ({ index, params }) =>
  Effect.sync(() => {
    if (index === 0) return cut
    const messages = params["messages"] as ReadonlyArray<{ role: string; content: unknown }>
    const begun = messages.findLast(({ role }) => role === "assistant")
    const so = ((begun?.content ?? []) as ReadonlyArray<{ text: string }>).map(({ text }) => text).join("")
    const words = /<last_words>\n([^]*)\n<\/last_words>/.exec(String(messages.at(-1)?.content))?.[1] ?? ""
    return Faults.answer(words + whole.slice(so.length))
  })

describe("a body that is cut at every byte", () => {
  const bytes = new TextEncoder().encode(Faults.events(whole).join(""))
  for (const model of [newer, older]) {
    it.effect(`is whole in the end, for ${model}`, () =>
      Effect.gen(function*() {
        for (let end = 0; end < bytes.length; end += effort(3, 17)) {
          const cut = Faults.stream([bytes.slice(0, end)], { end: "cut" })
          const { events, exit, shown } = yield* read(model, {
            ...resume,
            retry: Retry.backoff({ times: 3 })
          }).pipe(Effect.provide(world(goesOn(cut))))
          assert.strictEqual(exit._tag, "Success", `cut at ${end}`)
          assert.strictEqual(shown.replaceAll(/\s+/g, " "), whole.replaceAll(/\s+/g, " "), `cut at ${end}`)
          assert.isAtMost(events.filter(({ type }) => type === "resumed").length, 1)
        }
      }), 60_000)
  }
})

describe("streamOverall", () => {
  const slow = world([Faults.answer("a b c d e f g h", { every: "10 seconds" })])

  it.effect("ends a stream on time, opened or not, and says so in the type", () =>
    Effect.gen(function*() {
      const shown: Array<string> = []
      const running = yield* Claude.stream("hi").pipe(
        Policy.applyStream({ streamOverall: "55 seconds" }),
        Stream.runForEach((text) => Effect.sync(() => void shown.push(text))),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("54999 millis")
      assert.isUndefined(running.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(running)
      assert.deepInclude({ ...error }, { _tag: "DeadlineExceeded" })
      assert.deepStrictEqual(shown, ["a ", "b "])
    }).pipe(Effect.provide(slow)))

  it.effect("leaves one that is read in time alone, and is the deadline of what is inside", () =>
    Effect.gen(function*() {
      const running = yield* Claude.stream("hi").pipe(
        Policy.applyStream({
          streamOverall: "15 seconds",
          retry: Retry.byTag({ RateLimited: Retry.backoff({ times: 3 }) })
        }),
        Stream.mkString,
        Effect.result,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.join(running)
      assert.strictEqual(exit._tag === "Failure" && exit.failure._tag, "RateLimited", "20 seconds would be too long")
      assert.strictEqual(
        yield* Stream.mkString(Claude.stream("hi").pipe(Policy.applyStream({ streamOverall: "15 seconds" }))),
        "quick"
      )
    }).pipe(Effect.provide(world([Faults.rateLimited("20 seconds"), Faults.answer("quick")]))))
})

describe("messageStop", () => {
  const events = Faults.events("Hello.")
  const ends = (bodies: ReadonlyArray<string>, messageStop?: "optional") =>
    Effect.result(Claude.text("hi")).pipe(Effect.provide(FakeClaude.layer([Faults.stream(bodies)], { messageStop })))

  it.effect("is required, unless a gateway is known to leave it out", () =>
    Effect.gen(function*() {
      const without = events.slice(0, -1)
      assert.strictEqual((yield* ends(without))._tag, "Failure")
      const lenient = yield* ends(without, "optional")
      assert.strictEqual(lenient._tag === "Success" && lenient.success, "Hello.")
      assert.strictEqual((yield* ends(events, "optional"))._tag, "Success")
    }))

  it.live("is an option of the wires", () =>
    Effect.gen(function*() {
      const { url } = yield* FakeServer.FakeServer
      const ask = (messageStop?: "optional") =>
        Effect.result(Claude.text("hi")).pipe(
          Effect.provide(NodeAnthropic.layer({ apiKey: "sk-ant-test", baseUrl: url, messageStop }))
        )
      assert.strictEqual((yield* ask())._tag, "Failure")
      assert.strictEqual((yield* ask("optional"))._tag, "Success")
      assert.throws(() => Anthropic.layer({ apiKey: "k", messageStop: "no" as "optional" }), /messageStop is no/)
    }).pipe(
      Effect.provide([FakeServer.layer(Faults.cycle(Faults.stream(events.slice(0, -1)))), CallLog.layerNone])
    ))

  it.effect("is never left out of an answer without a stop reason, or with half a block", () =>
    Effect.gen(function*() {
      for (let end = 0; end < events.length - 2; end++) {
        assert.strictEqual((yield* ends(events.slice(0, end), "optional"))._tag, "Failure", `cut after ${end}`)
      }
      const open = [...events.slice(0, -3), ...events.slice(-2, -1)]
      assert.strictEqual((yield* ends(open, "optional"))._tag, "Failure")
    }))
})
