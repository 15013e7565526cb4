/** Streams that break, at any byte and in any way, and what follows: nothing twice, nothing lost. */
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
// Going on
// -----------------------------------------------------------------------------

const goOn = (words: string) =>
  "Your answer was interrupted. Go on exactly where it ends: first repeat its last words, which are given below, letter by "
  + "letter and without anything before them, then write what follows. Repeat nothing else, and do not mention the "
  + `interruption.\n<last_words>\n${words}\n</last_words>`

const resume = { onBreak: "resume", retry: { PartialAnswer: Retry.backoff({ times: 3 }) } } as const

const retry = Retry.linear({ times: 2, base: "1 second" })

describe("onBreak: resume", () => {
  for (const [model, further] of [[older, "wn fox jumps."], [newer, "The quick brown fox jumps."]] as const) {
    it.effect(`asks ${model} for the rest in its own way, and shows nothing twice`, () =>
      Effect.gen(function*() {
        const { error, events, shown } = yield* read(resume, { model })
        assert.isUndefined(error)
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
      }).pipe(
        Effect.provide(
          Layer.provideMerge(
            FakeClaude.layer([Faults.breaks("The quick bro"), Faults.answer(further, { model })]),
            CallLog.layerMemory
          )
        )
      ))
  }

  it.effect("asks in the same way, if it broke off when it had said why it would stop", () =>
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

  it.effect("is for text, too, which needs no mark", () =>
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
    ["begins elsewhere", Faults.answer("Sure, here is the rest: brown fox.")],
    ["is too short", Faults.stream([...Faults.events("The").slice(0, 4), ...Faults.events("").slice(-2)])]
  ])(
    "shows nothing of a continuation that %s, nor its end, and asks again while it may",
    ([, misfit]) =>
      Effect.gen(function*() {
        const { error, events, shown } = yield* read(resume, { model: newer })
        assert.isUndefined(error)
        assert.strictEqual(shown, "The quick brown fox.")
        assert.lengthOf(events.filter(({ type }) => type === "message_delta"), 1)
      }).pipe(Effect.provide(spied([Faults.breaks("The quick"), misfit, Faults.answer("The quick brown fox.")])))
  )

  it.effect("ends when the retries do, with all that had arrived", () =>
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

  it.effect("refuses, with a reason, where nothing but thinking or a tool had arrived", () =>
    Effect.gen(function*() {
      for (const reason of [/nothing but thinking or a tool/, /a tool had been used after the text/]) {
        const { error } = yield* read(resume, { model: newer })
        assert.match(error?.detail ?? "", reason)
      }
      assert.strictEqual(yield* asked, 2)
    }).pipe(Effect.provide(spied([
      Faults.stream(Faults.events("", { thinking: "Let me see" }).slice(0, 5), { end: "cut" }),
      Faults.stream(Faults.events("Look", { tool: { name: "look", input: { at: "x" } } }).slice(0, 9), { end: "cut" })
    ]))))

  it.effect("says from which block on it goes, where a tool was lost", () =>
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

describe("a stream that goes on", () => {
  for (
    const [model, further] of [
      [older, "\n    return 1\n"],
      [newer, "def f():\n    return 1\n"]
    ] as const
  ) {
    for (const every of [1, 3, 1000]) {
      it.effect(`keeps the blanks of what it goes on with: ${model}, in pieces of ${every}`, () =>
        Effect.gen(function*() {
          const { error, shown } = yield* read({ onBreak: "resume", retry }, { model })
          assert.isUndefined(error)
          assert.strictEqual(shown, "def f():\n    return 1\n")
        }).pipe(Effect.provide(spied([Faults.breaks("def f():\n"), spelled(further, every)]))))
    }
  }

  it.effect("is refused, if what it was to go on with is a refusal", () =>
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

  it.effect("goes on with the next model, in the way that this one takes, with what the first had written", () =>
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

  it.effect("of kinds that are not known yet pass in a stream that goes on, too", () =>
    Effect.gen(function*() {
      const { error, events, shown } = yield* read({ onBreak: "resume", retry })
      assert.isUndefined(error)
      assert.strictEqual(shown, "Look here")
      const after = kindsOf(events.slice(events.findIndex(({ type }) => type === "resumed")))
      assert.deepStrictEqual<ReadonlyArray<string>>(after, [
        "resumed",
        "tea_time",
        // The blank after the word that was there, and the next word.
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

describe("a stream that breaks and cannot go on", () => {
  for (const onBreak of ["resume", "restart"] as const) {
    const reasons: ReadonlyArray<readonly [why: string, turn: Faults.Turn, policy: Policy.Policy]> = [
      ["the API is overloaded", Faults.overloaded, {}],
      ["the key is refused", Faults.unauthorized, {}],
      ["opening takes too long", Faults.pings(), { overall: "12 seconds" }]
    ]
    for (const [why, turn, more] of reasons) {
      it.effect(`fails with all that had arrived, where ${why}, onBreak: ${onBreak}`, () =>
        Effect.gen(function*() {
          const { error, marks, shown } = yield* read({ onBreak, retry: Retry.standard, ...more })
          assert.strictEqual(shown, "The quick")
          assert.deepStrictEqual(marks, [])
          assert.strictEqual(error?._tag, "PartialAnswer")
          assert.strictEqual(
            error?._tag === "PartialAnswer" && error.text !== undefined && Redacted.value(error.text),
            "The quick"
          )
          assert.match(error?.detail ?? "", /nothing came after it broke off: /)
          assert.isDefined(error?.gaveUp)
          assert.isAtLeast(error?.history?.length ?? 0, 1)
        }).pipe(Effect.provide(spied(Faults.untilLast(Faults.breaks("The quick"), turn)))))
    }
  }

  it.effect("says that a tool was to be used before its text, and sends nothing", () =>
    Effect.gen(function*() {
      const { error } = yield* read({ onBreak: "resume", retry })
      assert.strictEqual(error?._tag, "PartialAnswer")
      assert.match(error?.detail ?? "", /cannot be resumed: a tool was to be used before the text/)
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

  it.effect("is not one of which nothing had come but an empty text: it begins anew", () =>
    Effect.gen(function*() {
      const { error, marks, shown } = yield* read({ onBreak: "resume", retry })
      assert.isUndefined(error)
      assert.strictEqual(shown, "whole")
      assert.deepStrictEqual(marks, ["restarted"])
    }).pipe(Effect.provide(spied([
      cut(started(0, { type: "text", text: "" }), added(0, { type: "text_delta", text: "" })),
      Faults.answer("whole")
    ]))))

  it.effect("ends before its limit, and waits for nothing that would come after it", () =>
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

describe("a reader", () => {
  for (const seconds of [0.5, 1.5]) {
    it.effect(`whose scope is closed after a break is interrupted, and leaves nothing open: ${seconds} seconds after it`, () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { events } = yield* Claude.open("hi").pipe(
          Policy.apply({ onBreak: "restart", retry }),
          Scope.provide(scope)
        )
        const reader = yield* Stream.runDrain(events).pipe(Effect.exit, Effect.forkChild({ startImmediately: true }))
        // It waits for a second before it asks again, and then for an answer.
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
    ["while it waits to go on", Faults.answer("The quick fox."), 1, ["PartialAnswer"]],
    ["while the request to go on is on its way", Faults.silence, 2, ["PartialAnswer", "neutral"]],
    ["while nothing but pings comes of that", Faults.pings(), 2, ["PartialAnswer", "neutral"]],
    ["while the last words are repeated", Faults.pings("The ", "1 second"), 2, ["PartialAnswer", "neutral"]]
  ]
  for (const [when, second, requests, told] of moments) {
    it.effect(`who is interrupted ${when} leaves nothing open`, () =>
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
        assert.strictEqual(yield* asked, requests, "nobody asks for a reader who left")
        assert.deepStrictEqual(yield* ends, told)
      }).pipe(Effect.provide(spied([half, second, Faults.answer("never")]))))
  }

  it.effect("of an answer that is restarted causes two ends: once broken, once whole", () =>
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

  it.effect("who is interrupted while it begins anew leaves nothing open", () =>
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

/** What was given, what there is at the end, how it ended, and what was asked for it. */
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

/** The two ways in which a body can be too short, and how much of an event's end may be missing: the blank line. */
const tooShort = [["cut", 0, "Unreachable"], ["end", 2, "UnexpectedResponse"]] as const

/** Whether they are the same. The difference is looked for only where there is one: it costs more than the stream. */
const same = (actual: unknown, expected: unknown, where: string) => {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) assert.deepStrictEqual(actual, expected, where)
}

const hasBegun = (events: ReadonlyArray<Message.WireEvent>) => events.some(({ type }) => type === "content_block_start")

describe("a body that is cut at every byte, onBreak: fail", () => {
  for (const [name, blocks] of kinds) {
    for (const [end, missing, wire] of tooShort) {
      it.effect(`${name} (${end}): is whole, or fails with exactly what arrived`, () =>
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
        }), 30_000)
    }
  }
})

describe("a body that is cut at every byte, onBreak: restart", () => {
  for (const [name, blocks] of [...kinds, ["a tool only", toolOnly] as const]) {
    it.effect(`${name}: what comes after the mark is the whole answer, and no more`, () =>
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

/** A model that goes on as it is asked to: from where the assistant was, or by repeating the last words first. */
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
  // One that repeats its last words does so where the next ones are, and thinks first if it thought before.
  const [first, ...others] = rest
  const thought = blocks.filter(({ type }) => type === "thinking")
  return first?.type === "text"
    ? [...thought, { type: "text", text: last + first.text }, ...others]
    : [...thought, { type: "text", text: last }, ...rest]
}

/** What is to come of an answer of which these events are here. */
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
        `${name}: ${model} goes on, and nothing is there twice; or it says why not`,
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
              // What the reader has is what the answer says that it has.
              if (reply !== undefined) {
                same(reply.message.content, assembled(events), where)
              }
              if (expected === "refused") {
                assert.strictEqual(error?._tag, "PartialAnswer", where)
                assert.match(error?.detail ?? "", /cannot be resumed: \w+/, where)
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
// -----------------------------------------------------------------------------
// Real sockets
// -----------------------------------------------------------------------------

const story = "Once upon a time there was a fox, and a hen, and a 狐, and nobody was eaten. The end, dear reader."

/** What there is to say for a request: all, or what is missing. */
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

/** Built once for each text: bodies cost more than to send them. */
const built = new Map<string, Faults.Script>()

const troubles: Faults.Script = (question) => {
  const text = toSay(question.params)
  const script = built.get(text) ?? troublesOf(text)
  built.set(text, script)
  return script(question)
}

/** So many streams at once: how each ended, and how many requests that took. Nothing of it is left. */
const crowd = (count: number) =>
  Effect.gen(function*() {
    const server = yield* FakeServer.FakeServer
    // Long enough for a machine that has a thousand other things to do.
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
          // What was shown of one that broke is a beginning of it.
          assert.isTrue(story.startsWith(said), `stream ${i}: ${said}`)
          return end.failure._tag
        })
      )
    }
    const tally = yield* Effect.forEach(Array.from({ length: count }, (_, i) => i), one, { concurrency: "unbounded" })
      .pipe(
        // Nothing is left open for the layer to close.
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
  it.live("end in the answer or in a tag, and leave no socket and no memory behind", () =>
    Effect.gen(function*() {
      // Compiled code, and tables that are made when they are first needed, are not counted.
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
