/** Streams that break at any byte, and are restarted or resumed without repeating or losing text. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Redacted, Ref, Result, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, ClaudeError, type Message, Policy, Retry } from "../../src/index.ts"
import * as Runtime from "../../src/runtime.ts"
import { FakeClaude, FakeServer, Faults } from "../../src/testing/index.ts"
import { assembled, type Block, bodyOf, kinds, textIn, toolOnly, toolsIn, written } from "../support/blocks.ts"
import { describeLong } from "../support/effort.ts"
import { ends, spied } from "../support/spied.ts"
import {
  added,
  asked,
  assistant,
  client,
  cut,
  heap,
  kindsOf,
  newer,
  older,
  read,
  spelled,
  started,
  stopped,
  text,
  textOf,
  unknownKinds,
  until,
  user
} from "../support/streams.ts"

// -----------------------------------------------------------------------------
// Resuming
// -----------------------------------------------------------------------------

const goOn = (words: string) =>
  "Your answer was interrupted. Go on exactly where it ends: first repeat its last words, which are given below, letter by "
  + "letter and without anything before them, then write what follows. Repeat nothing else, and do not mention the "
  + `interruption.\n<last_words>\n${words}\n</last_words>`

const resume = { onBreak: "resume", retry: { PartialAnswer: Retry.backoff({ times: 3 }) } } as const

const retry = Retry.linear({ times: 2, base: "1 second" })

describe("a stream with onBreak: resume", () => {
  for (const [model, further] of [[older, "wn fox jumps."], [newer, "The quick brown fox jumps."]] as const) {
    it.effect(`asks ${model} for the rest in the way that the model supports, and repeats no text`, () =>
      Effect.gen(function*() {
        const { error, events, shown } = yield* read(resume, { model })
        assert.isUndefined(error)
        assert.strictEqual(shown, "The quick brown fox jumps.")
        const [whole, rest, ...others] = (yield* FakeClaude.received).map(({ params }) => params)
        assert.lengthOf(others, 0)
        // The requests differ only in their messages.
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
      }).pipe(
        Effect.provide(
          Layer.provideMerge(
            FakeClaude.layer([Faults.breaks("The quick bro"), Faults.answer(further, { model })]),
            CallLog.layerMemory
          )
        )
      ))
  }

  it.effect("asks for the rest even if it broke off after its stop reason", () =>
    Effect.gen(function*() {
      const { error, shown } = yield* read(resume, { model: newer })
      assert.isUndefined(error)
      assert.strictEqual(shown, "The quick brown fox.")
      const [, messages] = (yield* FakeClaude.received).map(({ params }) => params.messages)
      assert.deepStrictEqual<unknown>(messages, [user("hi"), assistant(text("The quick")), user(goOn("The quick"))])
    }).pipe(Effect.provide(spied([
      Faults.stream(Faults.events("The quick", { stopReason: "pause_turn" }).slice(0, -1), { end: "cut" }),
      Faults.answer("The quick brown fox.")
    ]))))

  it.effect("is also resumed if it is read as plain text", () =>
    Effect.gen(function*() {
      const running = yield* Claude.stream("hi", { model: older }).pipe(
        Policy.applyStream(resume),
        Stream.mkString,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(running), "The quick  \nbrown fox.")
    }).pipe(Effect.provide(spied([Faults.breaks("The quick  \n"), Faults.answer(" brown fox.")]))))

  it.effect.each<readonly [what: string, misfit: Faults.Turn]>([
    ["begins with other words", Faults.answer("Sure, here is the rest: brown fox.")],
    [
      "ends before it has repeated the last words",
      Faults.stream([...Faults.events("The").slice(0, 4), ...Faults.events("").slice(-2)])
    ]
  ])(
    "shows nothing of a continuation that %s, and asks for another continuation",
    ([, misfit]) =>
      Effect.gen(function*() {
        const { error, events, shown } = yield* read(resume, { model: newer })
        assert.isUndefined(error)
        assert.strictEqual(shown, "The quick brown fox.")
        assert.lengthOf(events.filter(({ type }) => type === "message_delta"), 1)
      }).pipe(Effect.provide(spied([Faults.breaks("The quick"), misfit, Faults.answer("The quick brown fox.")])))
  )

  it.effect("shows the text of all attempts, and fails after the last retry", () =>
    Effect.gen(function*() {
      const { error, shown } = yield* read(resume, { model: older })
      assert.strictEqual(shown, "a b c d")
      assert.deepInclude({ ...error }, { _tag: "PartialAnswer", gaveUp: "RetriesSpent" })
    }).pipe(Effect.provide(spied([
      Faults.breaks("a"),
      Faults.breaks(" b"),
      Faults.breaks(" c"),
      Faults.breaks(" d")
    ]))))

  it.effect("is not resumed if it breaks off after only thinking, or after a tool call, and its error gives this reason", () =>
    Effect.gen(function*() {
      for (const reason of [/only thinking or part of a tool call/, /a tool was called after the text/]) {
        const { error } = yield* read(resume, { model: newer })
        assert.match(error?.detail ?? "", reason)
      }
      assert.strictEqual(yield* asked, 2)
    }).pipe(Effect.provide(spied([
      Faults.stream(Faults.events("", { thinking: "Let me see" }).slice(0, 5), { end: "cut" }),
      Faults.stream(Faults.events("Look", { tool: { name: "look", input: { at: "x" } } }).slice(0, 9), { end: "cut" })
    ]))))

  it.effect("has the index of the resumed text block in its resumed event, even if the break cut a later tool call", () =>
    Effect.gen(function*() {
      const { error, events, shown } = yield* read(resume, { model: older })
      assert.isUndefined(error)
      assert.strictEqual(shown, "Look here.")
      assert.deepInclude(events.find((event) => event.type === "resumed"), { index: 0 })
      const tool = events.findLast((event) => event.type === "content_block_start")
      assert.deepInclude(tool, { index: 1 })
    }).pipe(Effect.provide(spied([
      Faults.stream(Faults.events("Look", { tool: { name: "look", input: { at: "x" } } }).slice(0, 7), { end: "cut" }),
      Faults.answer(" here.", { tool: { name: "look", input: { at: "x" } } })
    ]))))
})

describe("a resumed stream", () => {
  for (
    const [model, further] of [
      [older, "\n    return 1\n"],
      [newer, "def f():\n    return 1\n"]
    ] as const
  ) {
    for (const every of [1, 3, 1000]) {
      it.effect(`keeps the white space of a continuation by ${model} in pieces of ${every} characters`, () =>
        Effect.gen(function*() {
          const { error, shown } = yield* read({ onBreak: "resume", retry }, { model })
          assert.isUndefined(error)
          assert.strictEqual(shown, "def f():\n    return 1\n")
        }).pipe(Effect.provide(spied([Faults.breaks("def f():\n"), spelled(further, every)]))))
    }
  }

  it.effect("fails with Refused if the continuation is a refusal", () =>
    Effect.gen(function*() {
      for (const model of [newer, older]) {
        const { error } = yield* read({ onBreak: "resume", retry }, { model })
        assert.strictEqual(error?._tag, "Refused")
      }
      assert.strictEqual(yield* asked, 4)
    }).pipe(Effect.provide(spied([
      Faults.breaks("The quick"),
      Faults.refusal(),
      Faults.breaks("The quick"),
      Faults.refusal()
    ]))))

  it.effect("continues the text with the fallback model, in the way that this model supports", () =>
    Effect.gen(function*() {
      const { error, marks, shown } = yield* read({
        onBreak: "resume",
        retry: Retry.byTag({ PartialAnswer: retry }),
        models: [older]
      })
      assert.isUndefined(error)
      assert.strictEqual(shown, "The quick fox.")
      assert.deepStrictEqual(marks, ["resumed"])
      const requests = (yield* FakeClaude.received).map(({ params }) => params)
      assert.deepStrictEqual(requests.map(({ model }) => model), [newer, newer, older])
      assert.deepStrictEqual<unknown>(requests[2]?.messages, [user("hi"), assistant(text("The quick"))])
      assert.deepStrictEqual(yield* ends, ["PartialAnswer", "Overloaded", "success"])
    }).pipe(Effect.provide(spied([Faults.breaks("The quick"), Faults.overloaded, Faults.answer(" fox.")]))))

  it.effect("passes on unknown types of events", () =>
    Effect.gen(function*() {
      const { error, events, shown } = yield* read({ onBreak: "resume", retry })
      assert.isUndefined(error)
      assert.strictEqual(shown, "Look here")
      const after = kindsOf(events.slice(events.findIndex(({ type }) => type === "resumed")))
      assert.deepStrictEqual<ReadonlyArray<string>>(after, [
        "resumed",
        "tea_time",
        // The white space after the last word, and then the next word.
        "text_delta",
        "text_delta",
        "content_block_stop",
        "message_delta",
        "message_stop"
      ])
    }).pipe(Effect.provide(spied([
      cut(...unknownKinds),
      Faults.stream([
        ...Faults.events("Look here").slice(0, 1),
        Faults.event("tea_time", {}),
        ...Faults.events("Look here").slice(1)
      ])
    ]))))
})

describe("a stream that breaks off", () => {
  for (const onBreak of ["resume", "restart"] as const) {
    const reasons: ReadonlyArray<readonly [why: string, turn: Faults.Turn, policy: Policy.Policy]> = [
      ["the API is overloaded at each retry", Faults.overloaded, {}],
      ["the API key is refused at the retry", Faults.unauthorized, {}],
      ["the retry does not open before the deadline", Faults.pings(), { overall: "12 seconds" }]
    ]
    for (const [why, turn, more] of reasons) {
      it.effect(`fails with all text that has arrived if ${why}, onBreak: ${onBreak}`, () =>
        Effect.gen(function*() {
          const { error, marks, shown } = yield* read({ onBreak, retry: Retry.standard, ...more })
          assert.strictEqual(shown, "The quick")
          assert.deepStrictEqual(marks, [])
          assert.strictEqual(error?._tag, "PartialAnswer")
          assert.strictEqual(
            error?._tag === "PartialAnswer" && error.text !== undefined && Redacted.value(error.text),
            "The quick"
          )
          assert.match(error?.detail ?? "", /the answer could not be resumed: /)
          assert.isDefined(error?.gaveUp)
          assert.isAtLeast(error?.history?.length ?? 0, 1)
        }).pipe(Effect.provide(spied(Faults.untilLast(Faults.breaks("The quick"), turn)))))
    }
  }

  it.effect("is not resumed if a tool was called before the text, and its error gives this reason", () =>
    Effect.gen(function*() {
      const { error } = yield* read({ onBreak: "resume", retry })
      assert.strictEqual(error?._tag, "PartialAnswer")
      assert.match(error?.detail ?? "", /cannot be resumed \(a tool was called before the text\)/)
      assert.strictEqual(yield* asked, 1)
    }).pipe(Effect.provide(spied([
      cut(
        started(0, { type: "tool_use", id: "toolu_01Fake", name: "look", input: {} }),
        added(0, { type: "input_json_delta", partial_json: "{}" }),
        stopped(0),
        started(1, { type: "text", text: "" }),
        added(1, { type: "text_delta", text: "Then" })
      )
    ]))))

  it.effect("is restarted with onBreak: resume if only an empty text had arrived", () =>
    Effect.gen(function*() {
      const { error, marks, shown } = yield* read({ onBreak: "resume", retry })
      assert.isUndefined(error)
      assert.strictEqual(shown, "whole")
      assert.deepStrictEqual(marks, ["restarted"])
    }).pipe(Effect.provide(spied([
      cut(started(0, { type: "text", text: "" }), added(0, { type: "text_delta", text: "" })),
      Faults.answer("whole")
    ]))))

  it.effect("fails at once if the next retry would come after its deadline", () =>
    Effect.gen(function*() {
      const running = yield* Claude.events("hi").pipe(
        Policy.applyStream({
          onBreak: "resume",
          retry: Retry.linear({ base: "7 seconds", times: 100 }),
          streamOverall: "1 minute"
        }),
        Stream.runDrain,
        Effect.flip,
        Effect.forkChild({ startImmediately: true })
      )
      for (let second = 0; second < 60; second++) yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(running)
      assert.deepInclude({ ...error }, { _tag: "PartialAnswer", gaveUp: "DeadlineTooClose" })
      const requests = yield* asked
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* asked, requests)
      assert.strictEqual((yield* ends).length, requests)
    }).pipe(Effect.provide(spied(Faults.cycle(Faults.breaks("The quick"))))))
})

// -----------------------------------------------------------------------------
// Readers
// -----------------------------------------------------------------------------

describe("the reader of a broken stream", () => {
  for (const seconds of [0.5, 1.5]) {
    it.effect(`is interrupted if its scope closes ${seconds} seconds after the break, and leaves no attempt open`, () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { events } = yield* Claude.open("hi").pipe(
          Policy.apply({ onBreak: "restart", retry }),
          Scope.provide(scope)
        )
        const reader = yield* Stream.runDrain(events).pipe(Effect.exit, Effect.forkChild({ startImmediately: true }))
        // The stream waits for a second before the retry, and then for the answer.
        yield* TestClock.adjust(`${seconds} seconds`)
        assert.isUndefined(reader.pollUnsafe())
        yield* Scope.close(scope, Exit.void)
        assert.strictEqual((yield* ends).length, yield* asked)
        const before = yield* asked
        yield* TestClock.adjust("10 minutes")
        const exit = yield* Fiber.join(reader)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause), String(exit))
        assert.strictEqual(yield* asked, before)
      }).pipe(Effect.provide(spied([Faults.breaks("a"), Faults.delayed(Faults.answer("a b c"), "5 seconds")]))))
  }

  const half = Faults.breaks("The quick")
  const moments: ReadonlyArray<
    readonly [when: string, second: Faults.Turn, asked: number, told: ReadonlyArray<string>]
  > = [
    ["while it waits for the retry", Faults.answer("The quick fox."), 1, ["PartialAnswer"]],
    ["while the new request waits for headers", Faults.silence, 2, ["PartialAnswer", "neutral"]],
    ["while the new answer sends only pings", Faults.pings(), 2, ["PartialAnswer", "neutral"]],
    ["while the new answer repeats the last words", Faults.pings("The ", "1 second"), 2, ["PartialAnswer", "neutral"]]
  ]
  for (const [when, second, requests, told] of moments) {
    it.effect(`leaves no attempt open, and sends no further request, if it is interrupted ${when}`, () =>
      Effect.gen(function*() {
        const wait = Retry.linear({ times: 2, base: "10 seconds" })
        const reader = yield* Claude.events("hi").pipe(
          Policy.applyStream({ onBreak: "resume", retry: wait }),
          Stream.runDrain,
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust(requests === 1 ? "5 seconds" : "15 seconds")
        assert.isUndefined(reader.pollUnsafe())
        assert.strictEqual(yield* asked, requests)
        yield* Fiber.interrupt(reader)
        assert.deepStrictEqual(yield* ends, told)
        yield* TestClock.adjust("10 minutes")
        assert.strictEqual(yield* asked, requests, "a request was sent after the reader had left")
        assert.deepStrictEqual(yield* ends, told)
      }).pipe(Effect.provide(spied([half, second, Faults.answer("never")]))))
  }

  it.effect("settles both the broken attempt and the complete attempt if the stream is restarted", () =>
    Effect.gen(function*() {
      const reader = yield* Claude.events("hi").pipe(
        Policy.applyStream({ retry: Retry.standard, onBreak: "restart" }),
        Stream.runDrain,
        Effect.forkChild
      )
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(reader)
      assert.deepStrictEqual(yield* ends, ["PartialAnswer", "success"])
    }).pipe(Effect.provide(spied([Faults.breaks("half"), Faults.answer("whole")]))))

  it.effect("leaves no attempt open if it is interrupted during a restart", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      const budget = { charge: () => Effect.succeed({ settle: () => Effect.sleep("10 seconds") }) }
      const reader = yield* Claude.events("hi").pipe(
        Policy.applyStream({
          retry: Retry.byTag({ PartialAnswer: Retry.linear({ times: 1, base: "1 second" }) }),
          onBreak: "restart"
        }),
        Stream.runDrain,
        Effect.provideService(Claude.Claude, { ...claude, runtime: Runtime.replace(claude, { budget }) }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("5 seconds")
      reader.interruptUnsafe()
      yield* TestClock.adjust("1 minute")
      assert.isDefined(reader.pollUnsafe())
      assert.deepStrictEqual(yield* ends, ["PartialAnswer", "neutral"])
    }).pipe(Effect.provide(spied([Faults.breaks("half"), Faults.answer("whole")]))))
})

// -----------------------------------------------------------------------------
// Cut at every byte
// -----------------------------------------------------------------------------

const failureOf = <E>(result: Result.Result<unknown, E>) => Result.isFailure(result) ? result.failure : undefined

/** Reads an answer to its end. Returns its events, its reply, its error and the number of requests. */
const readWhole = (playable: Faults.Playable, policy: Policy.Policy = {}, model = newer) =>
  Effect.gen(function*() {
    const events: Array<Message.Event> = []
    const running = yield* Claude.open("hi", { model }).pipe(
      Policy.apply(policy),
      Effect.flatMap(({ events: stream, reply }) =>
        Stream.runForEach(stream, (event) => Effect.sync(() => void events.push(event))).pipe(
          Effect.result,
          Effect.flatMap((end) => Effect.map(Effect.result(reply), (reply) => ({ end, reply })))
        )
      ),
      Effect.scoped,
      Effect.result,
      Effect.forkChild({ startImmediately: true })
    )
    if (running.pollUnsafe() === undefined) yield* TestClock.adjust("10 minutes")
    const result = yield* Fiber.join(running)
    const opened = Result.getOrUndefined(result)
    const end: Result.Result<void, ClaudeError.ClaudeError> = Result.flatMap(result, ({ end }) => end)
    const error = failureOf(end)
    if (opened !== undefined) assert.strictEqual(failureOf(opened.reply), error)
    return {
      events,
      reply: opened && Result.getOrUndefined(opened.reply),
      error,
      asked: (yield* FakeClaude.received).length
    }
  }).pipe(Effect.provide(FakeClaude.layer(playable).pipe(Layer.provide(CallLog.layerNoop))))

/** Two ways to end a body early, how many last bytes may be missing without an error, and the error of the wire. */
const tooShort = [["cut", 0, "Unreachable"], ["end", 2, "UnexpectedResponse"]] as const

/** Asserts that both are equal. Computes a difference only on failure, because that takes longer than the stream. */
const same = (actual: unknown, expected: unknown, where: string) => {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) assert.deepStrictEqual(actual, expected, where)
}

const hasBegun = (events: ReadonlyArray<Message.WireEvent>) => events.some(({ type }) => type === "content_block_start")

describe("a body that is cut at every byte, onBreak: fail", () => {
  for (const [name, blocks] of kinds) {
    for (const [end, missing, wire] of tooShort) {
      it.effect(
        `is complete, or fails with exactly the text that arrived: ${name}, ${
          end === "cut" ? "connection cut" : "body ended early"
        }`,
        () =>
          Effect.gen(function*() {
            const { arrived: arrivedAt, cutAt, length, places } = bodyOf(blocks)
            for (const at of [...places, length]) {
              const where = `cut at ${at} of ${length}`
              const { asked, error, events, reply } = yield* readWhole([cutAt(at, end)], { onBreak: "fail" })
              const arrived = arrivedAt(at, missing)
              const isWhole = at >= length - missing
              assert.strictEqual(asked, 1, where)
              if (!hasBegun(arrived)) {
                assert.strictEqual(error?._tag, wire, where)
                same(events, [], where)
                assert.isFalse(error !== undefined && "text" in error, where)
                continue
              }
              same(events, arrived, where)
              if (isWhole) {
                assert.isUndefined(error, where)
                same(reply?.message.content, assembled(arrived), where)
                same(reply?.toolUses.map(({ input }) => input), toolsIn(assembled(arrived)), where)
                assert.strictEqual(reply?.text, textIn(blocks), where)
              } else if (error?._tag === "PartialAnswer") {
                assert.strictEqual(error.text && Redacted.value(error.text), textOf(arrived), where)
                same(error.blocks && Redacted.value(error.blocks), assembled(arrived), where)
                assert.strictEqual((error.cause as ClaudeError.ClaudeError)._tag, wire, where)
              } else {
                assert.fail(`${where}: ${error?._tag}`)
              }
            }
          }),
        30_000
      )
    }
  }
})

describe("a body that is cut at every byte, onBreak: restart", () => {
  for (const [name, blocks] of [...kinds, ["a tool only", toolOnly] as const]) {
    it.effect(`has exactly the whole answer after the restarted event: ${name}`, () =>
      Effect.gen(function*() {
        const { arrived: arrivedAt, cutAt, length, places, turn, whole } = bodyOf(blocks)
        for (const at of places) {
          const where = `cut at ${at} of ${length}`
          const turns = [cutAt(at), turn]
          const { asked, error, events, reply } = yield* readWhole(turns, { onBreak: "restart", retry })
          const arrived = arrivedAt(at)
          assert.isUndefined(error, where)
          assert.strictEqual(asked, 2, where)
          const mark = { type: "restarted", attempt: 2, because: "PartialAnswer" } as const
          same(events, hasBegun(arrived) ? [...arrived, mark, ...whole] : whole, where)
          same(reply?.message.content, assembled(whole), where)
        }
      }), 30_000)
  }
})

/** A model that continues as requested: from a prefill, or after repeating the last words. */
const goesOn = (blocks: ReadonlyArray<Block>, cut: Faults.Turn): Faults.Script => ({ index, params }) =>
  Effect.sync(() => index === 0 ? cut : Faults.stream(written(restOf(blocks, params))))

const restOf = (blocks: ReadonlyArray<Block>, params: Readonly<Record<string, unknown>>): ReadonlyArray<Block> => {
  const messages = params["messages"] as ReadonlyArray<{ readonly role: string; readonly content: unknown }>
  const begun = messages.findLast(({ role }) => role === "assistant")
  if (begun === undefined) return blocks
  const sent = begun.content as ReadonlyArray<Block>
  const last = /<last_words>\n([^]*)\n<\/last_words>/.exec(String(messages.at(-1)?.content))?.[1]
  assert.strictEqual(params["model"] === newer, last !== undefined, "each is asked in its own way")
  let said = textIn(sent).length
  const rest = blocks.flatMap((block): ReadonlyArray<Block> => {
    if (block.type !== "text") return block.type === "tool_use" ? [block] : []
    const text = block.text.slice(said)
    said = Math.max(0, said - block.text.length)
    return text === "" ? [] : [{ type: "text", text }]
  })
  if (last === undefined) return rest
  // A model that repeats the last words puts them into the block of the next words, and thinks again first.
  const [first, ...others] = rest
  const thought = blocks.filter(({ type }) => type === "thinking")
  return first?.type === "text"
    ? [...thought, { type: "text", text: last + first.text }, ...others]
    : [...thought, { type: "text", text: last }, ...rest]
}

/** What must happen to an answer that broke off after these events. */
const fate = (arrived: ReadonlyArray<Message.WireEvent>): "again" | "refused" | "resumed" => {
  if (!hasBegun(arrived)) return "again"
  const content = assembled(arrived)
  const isTool = arrived.some((event) =>
    event.type === "content_block_start" && event.content_block.type === "tool_use"
  )
  if (toolsIn(content).length > 0) return "refused"
  if (textOf(arrived).trim() !== "") return "resumed"
  return isTool || content.some((block) => "thinking" in block) ? "refused" : "again"
}

describe("a body that is cut at every byte, onBreak: resume", () => {
  for (const model of [older, newer]) {
    for (const [name, blocks] of [...kinds, ["a tool only", toolOnly] as const]) {
      it.effect(
        `is resumed by ${model} without repeated text, or fails with an error that says why it cannot be resumed: ${name}`,
        () =>
          Effect.gen(function*() {
            const { arrived: arrivedAt, cutAt, length, places, whole } = bodyOf(blocks)
            const wholeTools = toolsIn(assembled(whole))
            const seen = new Set<string>()
            for (const at of places) {
              const where = `cut at ${at} of ${length}`
              const script = goesOn(blocks, cutAt(at))
              const { asked, error, events, reply } = yield* readWhole(script, { onBreak: "resume", retry }, model)
              const arrived = arrivedAt(at)
              const expected = fate(arrived)
              seen.add(expected)
              assert.strictEqual(asked, expected === "refused" ? 1 : 2, `${where}: ${error?.detail}`)
              // The events of the reader make the same message as the reply.
              if (reply !== undefined) {
                same(reply.message.content, assembled(events), where)
              }
              if (expected === "refused") {
                assert.strictEqual(error?._tag, "PartialAnswer", where)
                assert.match(error?.detail ?? "", /cannot be resumed \(\w+/, where)
                same(events, arrived, where)
                continue
              }
              assert.isUndefined(error, where)
              if (expected === "resumed") {
                const marks = events.filter(({ type }) => type === "resumed" || type === "restarted")
                assert.deepStrictEqual(marks.map(({ type }) => type), ["resumed"], where)
                assert.strictEqual(textOf(events), textIn(blocks), where)
                assert.lengthOf(events.filter(({ type }) => type === "message_start"), 1, where)
              }
              assert.lengthOf(events.filter(({ type }) => type === "message_stop"), 1, where)
              assert.strictEqual(reply?.text, textIn(blocks), where)
              same(reply?.toolUses.map(({ input }) => input), wholeTools, where)
            }
            assert.deepStrictEqual([...seen].toSorted(), fates[name] ?? ["again", "resumed"])
          }),
        30_000
      )
    }
  }
})

const fates: Readonly<Record<string, ReadonlyArray<string>>> = {
  "thinking, then text": ["again", "refused", "resumed"],
  "text, then a tool": ["again", "refused", "resumed"],
  "a tool only": ["again", "refused"]
}

// -----------------------------------------------------------------------------
// Real sockets
// -----------------------------------------------------------------------------

const story = "Once upon a time there was a fox, and a hen, and a 狐, and nobody was eaten. The end, dear reader."

/** The whole story, or the rest of it that the request asks for. */
const toSay = (params: Readonly<Record<string, unknown>>) => textIn(restOf([{ type: "text", text: story }], params))

const half = (text: string) => text.slice(0, Math.ceil(text.length / 2)).replace(/[\uD800-\uDBFF]$/, "")

const troublesOf = (text: string) =>
  Faults.random({
    seed: "a thousand streams",
    otherwise: Faults.answer(text),
    faults: [
      [0.05, Faults.reset],
      [0.05, Faults.breaks(half(text), "reset")],
      [0.06, Faults.breaks(half(text), "cut")],
      [0.05, Faults.breaks(half(text), "end")],
      [0.05, Faults.errorAfter(half(text))],
      [0.04, Faults.errorAfter("")],
      [0.02, Faults.breaks(half(text), "silence")],
      [0.02, Faults.pings(half(text), "100 millis")],
      [0.005, Faults.silence],
      [0.03, Faults.garbage],
      [0.05, Faults.overloaded],
      [0.05, Faults.drip(Faults.answer(text), 100)],
      [0.05, Faults.answer(text, { every: "5 millis" })],
      [0.05, Faults.lingers(text)]
    ]
  })

/** A script for each text. Each is built once, because building a body takes longer than sending it. */
const built = new Map<string, Faults.Script>()

const troubles: Faults.Script = (question) => {
  const text = toSay(question.params)
  const script = built.get(text) ?? troublesOf(text)
  built.set(text, script)
  return script(question)
}

/** Runs this many streams at once. Returns how each ended and the number of requests, after all sockets are closed. */
const crowd = (count: number) =>
  Effect.gen(function*() {
    const server = yield* FakeServer.FakeServer
    // Long enough for a busy machine.
    const limits = {
      connect: "10 seconds",
      firstToken: "10 seconds",
      idle: "2 seconds",
      contentIdle: "3 seconds"
    } as const
    const policies = (["resume", "restart"] as const).map((onBreak): Policy.Policy => ({
      ...limits,
      onBreak,
      retry: Retry.backoff({ times: 3, base: "50 millis" })
    }))
    const one = (i: number) => {
      let said = ""
      const isSlow = i % 10 === 0
      return Claude.events("hi", { model: i % 4 < 2 ? newer : older }).pipe(
        Policy.applyStream(policies[i % 2] ?? {}),
        Stream.runForEach((event) => {
          said = event.type === "restarted" ? "" : said + textOf([event])
          return isSlow ? Effect.sleep("10 millis") : Effect.void
        }),
        Effect.result,
        Effect.timeout("2 minutes"),
        Effect.map((end) => {
          if (Result.isSuccess(end)) {
            assert.strictEqual(said, story, `stream ${i}`)
            return "whole"
          }
          assert.isTrue(ClaudeError.is(end.failure), `stream ${i}`)
          // A broken stream has shown the beginning of its text.
          assert.isTrue(story.startsWith(said), `stream ${i}: ${said}`)
          return end.failure._tag
        })
      )
    }
    const tally = yield* Effect.forEach(Array.from({ length: count }, (_, i) => i), one, { concurrency: "unbounded" })
      .pipe(
        // Checks this before the end of the layer, which closes all sockets.
        Effect.tap(until(
          Effect.map(server.received, (all) => all.every(({ closedAt }) => closedAt !== undefined)),
          20_000,
          "a response was left open"
        )),
        Effect.provide(client(server.url, count))
      )
    const requests = yield* server.received
    assert.isFalse(requests.some(({ refused }) => refused))
    yield* until(Effect.map(server.openSockets, (open) => open === 0), 20_000, "a socket was left open")
    return {
      tally,
      requests: requests.length,
      resumed: requests.some(({ params }) => JSON.stringify(params).includes("last_words"))
    }
  }).pipe(Effect.provide(FakeServer.layer(troubles)))

describeLong("a thousand streams at once", () => {
  it.live("end with the answer or an error, and leave no socket and no memory behind", () =>
    Effect.gen(function*() {
      // The first run compiles code and fills lazy tables, which must not count as a leak.
      yield* crowd(200)
      const before = yield* heap
      const { requests, resumed, tally } = yield* crowd(1000)
      const after = yield* heap
      assert.lengthOf(tally, 1000)
      assert.isAbove(tally.filter((end) => end === "whole").length, 100, JSON.stringify([...new Set(tally)]))
      assert.isAbove(requests, 1000)
      assert.isTrue(resumed)
      assert.isBelow(after - before, 10, "megabytes")
    }), 300_000)
})
