/** What readers do to an answer that is being written, and what they can rely on while it breaks. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Redacted, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Claude, type ClaudeError, type Message, Policy, Retry } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"
import { ends, spied } from "../support/spied.ts"

const newer = "claude-sonnet-5-5"
const older = "claude-haiku-4-5"

const asked = Effect.map(FakeClaude.received, (all) => all.length)

/** The text as a reader shows it who heeds the marks. */
const shownOf = (events: ReadonlyArray<Message.Event>) =>
  events.reduce(
    (shown, event) =>
      event.type === "restarted"
        ? ""
        : event.type === "content_block_delta" && event.delta.type === "text_delta"
        ? shown + event.delta.text
        : shown,
    ""
  )

const marksOf = (events: ReadonlyArray<Message.Event>) =>
  events.map(({ type }) => type).filter((type) => type === "restarted" || type === "resumed")

const retry = Retry.linear({ times: 2, base: "1 second" })

/** Reads to the end, however long it waits: what was read, and the error, if there was one. */
const read = (policy: Policy.Policy, options?: Claude.Options) =>
  Effect.gen(function*() {
    const events: Array<Message.Event> = []
    const running = yield* Claude.events("hi", options).pipe(
      Policy.applyStream(policy),
      Stream.runForEach((event) => Effect.sync(() => void events.push(event))),
      Effect.result,
      Effect.forkChild
    )
    yield* TestClock.adjust("10 minutes")
    const result = yield* Fiber.join(running)
    const error = result._tag === "Failure" ? result.failure : undefined
    return { events, error, shown: shownOf(events), marks: marksOf(events) }
  })

/** An answer whose events are these, and then nothing more. */
const cut = (...events: ReadonlyArray<string>) =>
  Faults.stream([...Faults.events("").slice(0, 1), ...events], { end: "cut" })
const started = (index: number, content_block: object) => Faults.event("content_block_start", { index, content_block })
const added = (index: number, delta: object) => Faults.event("content_block_delta", { index, delta })
const stopped = (index: number) => Faults.event("content_block_stop", { index })

// -----------------------------------------------------------------------------
// How it ended, for every way to read it
// -----------------------------------------------------------------------------

type Read = Stream.Stream<unknown, ClaudeError.ClaudeError, Claude.Claude>

const policy = { retry: Retry.standard, overall: "1 minute" } as const

const ways: ReadonlyArray<readonly [name: string, read: Read]> = [
  ["Claude.stream", Claude.stream("hi")],
  ["Claude.events", Claude.events("hi")],
  ["Claude.open", Stream.unwrap(Effect.map(Claude.open("hi"), ({ events }) => events))],
  ["Claude.stream with a policy", Claude.stream("hi").pipe(Policy.applyStream(policy))],
  ["Claude.events with a policy", Claude.events("hi").pipe(Policy.applyStream(policy))],
  ["Claude.events with a limit", Claude.events("hi").pipe(Policy.applyStream({ ...policy, streamOverall: "1 hour" }))],
  [
    "Claude.open with a policy",
    Stream.unwrap(Effect.map(Claude.open("hi").pipe(Policy.apply(policy)), ({ events }) => events))
  ]
]

describe("the end of an answer is told once, with how it ended, and not later than its reader knows", () => {
  for (const [name, read] of ways) {
    /** The same, and what had been told when it was over. */
    const followed = (read: Read) => {
      let then: ReadonlyArray<string> | undefined
      const look = Stream.fromEffectDrain(Effect.map(ends, (ends) => then = ends))
      return Effect.as(Stream.runDrain(Stream.concat(read, look)), () => then)
    }

    it.effect(`${name}: complete`, () =>
      Effect.gen(function*() {
        const then = yield* followed(read)
        assert.deepStrictEqual(then(), ["success"])
        assert.deepStrictEqual(yield* ends, ["success"])
      }).pipe(Effect.provide(spied([Faults.answer("a b c")]))))

    it.effect(`${name}: broken, and caught by its reader`, () =>
      Effect.gen(function*() {
        const then = yield* followed(Stream.catch(read, () => Stream.empty))
        assert.deepStrictEqual(then(), ["PartialAnswer"])
        assert.deepStrictEqual(yield* ends, ["PartialAnswer"])
      }).pipe(Effect.provide(spied([Faults.breaks("half")]))))

    it.effect(`${name}: left early`, () =>
      Effect.gen(function*() {
        const then = yield* followed(Stream.take(read, 1))
        assert.deepStrictEqual(then(), ["success"])
        assert.deepStrictEqual(yield* ends, ["success"])
      }).pipe(Effect.provide(spied([Faults.pings("a", "1 second")]))))

    it.effect(`${name}: interrupted`, () =>
      Effect.gen(function*() {
        const reader = yield* Stream.runDrain(read).pipe(Effect.forkChild({ startImmediately: true }))
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(yield* ends, [])
        yield* Fiber.interrupt(reader)
        assert.deepStrictEqual(yield* ends, ["neutral"])
      }).pipe(Effect.provide(spied([Faults.pings("a", "1 second")]))))

    it.effect(`${name}: never read`, () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const opens = name.startsWith("Claude.open")
        // A stream that nobody reads has asked nothing; an answer that is opened has.
        yield* opens
          ? Scope.provide(Claude.open("hi").pipe(Policy.apply(policy)), scope)
          : Scope.provide(Stream.toPull(read), scope)
        assert.deepStrictEqual(yield* ends, [])
        yield* Scope.close(scope, Exit.void)
        assert.deepStrictEqual(yield* ends, opens ? ["neutral"] : [])
        assert.strictEqual(yield* asked, opens ? 1 : 0)
      }).pipe(Effect.provide(spied([Faults.answer("a b c")]))))
  }
})

// -----------------------------------------------------------------------------
// Readers
// -----------------------------------------------------------------------------

describe("a reader", () => {
  for (const onBreak of ["fail", "restart", "resume"] as const) {
    it.effect(`who reads an answer twice is told, and nothing is asked again, onBreak: ${onBreak}`, () =>
      Effect.gen(function*() {
        const { events } = yield* Claude.open("hi").pipe(Policy.apply(onBreak === "fail" ? {} : { onBreak, retry }))
        yield* Stream.runDrain(Stream.take(events, 2))
        const again = yield* Effect.exit(Stream.runDrain(events))
        assert.isTrue(Exit.isFailure(again) && Cause.hasDies(again.cause))
        assert.match(String(again), /can be read once/)
        assert.strictEqual(yield* asked, 1)
        assert.deepStrictEqual(yield* ends, ["success"])
      }).pipe(Effect.scoped, Effect.provide(spied(Faults.cycle(Faults.pings("a", "1 second"))))))
  }

  for (const onBreak of ["fail", "restart", "resume"] as const) {
    it.effect(`whose scope is closed elsewhere is interrupted, and nothing is asked again, onBreak: ${onBreak}`, () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const opening = yield* Claude.open("hi").pipe(
          Policy.apply(onBreak === "fail" ? {} : { onBreak, retry }),
          Scope.provide(scope),
          Effect.forkChild
        )
        yield* TestClock.adjust("2 seconds")
        const { events } = yield* Fiber.join(opening)
        const reader = yield* Stream.runDrain(events).pipe(Effect.exit, Effect.forkChild({ startImmediately: true }))
        yield* TestClock.adjust("2 seconds")
        assert.isUndefined(reader.pollUnsafe())
        yield* Scope.close(scope, Exit.void)
        yield* TestClock.adjust("10 minutes")
        const exit = yield* Fiber.join(reader)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause), String(exit))
        assert.deepStrictEqual(yield* ends, ["neutral"])
        assert.strictEqual(yield* asked, 1)
      }).pipe(Effect.provide(spied(Faults.cycle(Faults.delayed(Faults.breaks("a", "silence"), "1 second"))))))

    it.effect(`who comes when the scope is closed is interrupted, and nothing is asked again, onBreak: ${onBreak}`, () =>
      Effect.gen(function*() {
        const { events } = yield* Claude.open("hi").pipe(
          Policy.apply(onBreak === "fail" ? {} : { onBreak, retry }),
          Effect.scoped
        )
        const read: Array<Message.Event> = []
        const exit = yield* Effect.exit(Stream.runForEach(events, (event) => Effect.sync(() => void read.push(event))))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause), String(exit))
        assert.deepStrictEqual(read, [])
        assert.strictEqual(yield* asked, 1)
      }).pipe(Effect.provide(spied(Faults.cycle(Faults.breaks("a"))))))
  }

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

  it.effect("who reads an answer in two places at once is told in the second, and the first goes on", () =>
    Effect.gen(function*() {
      const opening = yield* Effect.forkChild(Claude.open("hi"), { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      const { events } = yield* Fiber.join(opening)
      const first = yield* Stream.runCollect(events).pipe(Effect.forkChild({ startImmediately: true }))
      const second = yield* Effect.exit(Stream.runDrain(events))
      assert.match(String(second), /can be read once/)
      assert.deepStrictEqual(yield* ends, [])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(shownOf(yield* Fiber.join(first)), "a b c")
      assert.deepStrictEqual(yield* ends, ["success"])
    }).pipe(Effect.scoped, Effect.provide(spied([Faults.answer("a b c", { every: "1 second" })]))))

  it.effect("who gives up a read and comes again loses nothing, and waits no longer for it", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      const params = {
        model: "claude-sonnet-5-5",
        max_tokens: 99,
        messages: [{ role: "user" as const, content: "hi" }]
      }
      const reader = yield* claude.open({ params, limits: {} }).pipe(
        Effect.flatMap(({ isWhole, pull, reply }) =>
          Effect.map(
            Effect.ignore(Effect.forever(Effect.timeoutOption(pull, "3 seconds"))),
            () => [reply().text, isWhole()]
          )
        ),
        Effect.scoped,
        Effect.forkChild({ startImmediately: true })
      )
      // Nine events, four seconds apart.
      yield* TestClock.adjust("36 seconds")
      assert.deepStrictEqual(yield* Fiber.join(reader), ["a b c", true])
    }).pipe(Effect.provide(spied([Faults.answer("a b c", { every: "4 seconds" })]))))

  it.effect("who runs a stream twice asks twice, and gets all of it each time", () =>
    Effect.gen(function*() {
      const stream = Claude.stream("hi").pipe(Policy.applyStream(policy))
      assert.strictEqual(yield* Stream.mkString(stream), "one")
      assert.strictEqual(yield* Stream.mkString(stream), "two")
      assert.deepStrictEqual(yield* ends, ["success", "success"])
    }).pipe(Effect.provide(spied([Faults.answer("one"), Faults.answer("two")]))))

  it.effect("who takes one event inside of the policy, or outside, leaves at once", () =>
    Effect.gen(function*() {
      const events = Claude.events("hi")
      assert.lengthOf(yield* Stream.runCollect(events.pipe(Stream.take(1), Policy.applyStream({ retry }))), 1)
      assert.lengthOf(yield* Stream.runCollect(events.pipe(Policy.applyStream({ retry }), Stream.take(1))), 1)
      assert.deepStrictEqual(yield* ends, ["success", "success"])
    }).pipe(Effect.provide(spied(Faults.cycle(Faults.pings("a", "1 second"))))))

  it.effect("who is interrupted in the beginning, which is replayed, leaves all the same", () =>
    Effect.gen(function*() {
      const reader = yield* Claude.events("hi").pipe(
        Stream.runForEach(() => Effect.never),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Fiber.interrupt(reader)
      assert.lengthOf(yield* ends, 1)
    }).pipe(Effect.provide(spied([Faults.answer("a b c")]))))

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

  it.effect("who is busy when streamOverall is over holds nothing open any longer", () =>
    Effect.gen(function*() {
      const running = yield* Claude.events("hi").pipe(
        Policy.applyStream({ streamOverall: "15 seconds" }),
        Stream.runForEach(() => Effect.sleep("1 hour")),
        Effect.flip,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("14999 millis")
      assert.deepStrictEqual(yield* ends, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* ends, ["neutral"])
      yield* TestClock.adjust("1 day")
      assert.strictEqual((yield* Fiber.join(running))._tag, "DeadlineExceeded")
      assert.deepStrictEqual(yield* ends, ["neutral"])
    }).pipe(Effect.provide(spied([Faults.pings("a", "1 second")]))))

  it.effect("who takes longer than streamOverall is told so with the next event", () =>
    Effect.gen(function*() {
      const running = yield* Claude.events("hi").pipe(
        Policy.applyStream({ streamOverall: "15 seconds" }),
        Stream.runForEach(() => Effect.sleep("20 seconds")),
        Effect.flip,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* Fiber.join(running))._tag, "DeadlineExceeded")
      assert.lengthOf(yield* ends, 1)
    }).pipe(Effect.provide(spied([Faults.pings("a", "1 second")]))))
})

// -----------------------------------------------------------------------------
// What passes through
// -----------------------------------------------------------------------------

describe("events", () => {
  const odd = [
    Faults.event("tea_time", { of: "day" }),
    started(0, { type: "hologram", colour: "blue" }),
    added(0, { type: "hologram_delta", turn: 1 }),
    stopped(0),
    started(1, { type: "text", text: "", citations: null }),
    added(1, { type: "text_delta", text: "" }),
    added(1, { type: "text_delta", text: "Look" }),
    added(1, { type: "gloss_delta", gloss: "!" })
  ]
  const kindsOf = (events: ReadonlyArray<Message.Event>) =>
    events.map((event) => event.type === "content_block_delta" ? event.delta.type : event.type)

  it.effect("of kinds that are not known yet pass as they are", () =>
    Effect.gen(function*() {
      const { error, events } = yield* read({})
      assert.isUndefined(error)
      assert.deepStrictEqual<ReadonlyArray<string>>(kindsOf(events), [
        "message_start",
        "tea_time",
        "content_block_start",
        "hologram_delta",
        "content_block_stop",
        "content_block_start",
        "text_delta",
        "text_delta",
        "gloss_delta",
        "content_block_stop",
        "message_delta",
        "message_stop"
      ])
      assert.deepInclude<object>({ ...events[1] }, { of: "day" })
      assert.deepInclude<object>({ ...events[2] }, { content_block: { type: "hologram", colour: "blue" } })
    }).pipe(Effect.provide(spied([
      Faults.stream([...Faults.events("").slice(0, 1), ...odd, stopped(1), ...Faults.events("").slice(1)])
    ]))))

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
      cut(...odd),
      Faults.stream([
        ...Faults.events("Look here").slice(0, 1),
        Faults.event("tea_time", {}),
        ...Faults.events("Look here").slice(1)
      ])
    ]))))

  it.effect("show the input of a tool as it is written, and nothing else has it before it is whole", () =>
    Effect.gen(function*() {
      const { events, reply } = yield* Claude.open("hi")
      const seen: Array<Message.Event> = []
      const error = yield* Stream.runForEach(events, (event) =>
        Effect.gen(function*() {
          seen.push(event)
          const { message, toolUses } = yield* reply
          assert.deepStrictEqual(toolUses, [])
          assert.isFalse(message.content.some(({ type }) => type === "tool_use"))
        })).pipe(Effect.flip)
      assert.include(kindsOf(seen), "input_json_delta")
      assert.isTrue(
        error._tag === "PartialAnswer" && error.blocks !== undefined
          && !JSON.stringify(Redacted.value(error.blocks)).includes("tool_use")
      )
    }).pipe(
      Effect.scoped,
      // As far as the last piece of the input, and no further.
      Effect.provide(spied([
        Faults.stream(Faults.events("Look", { tool: { name: "look", input: { at: "x" } } }).slice(0, 8), { end: "cut" })
      ]))
    ))

  it.effect("end with message_stop, although the socket stays open and more comes", () =>
    Effect.gen(function*() {
      const events = yield* Stream.runCollect(Claude.events("hi"))
      assert.strictEqual(events.at(-1)?.type, "message_stop")
      assert.strictEqual(shownOf(events), "all of it")
      assert.deepStrictEqual(yield* ends, ["success"])
    }).pipe(Effect.provide(spied([
      Faults.stream([...Faults.events("all of it"), ...Faults.events(" and more")], { end: "silence" })
    ]))))
})

// -----------------------------------------------------------------------------
// What is left of a break
// -----------------------------------------------------------------------------

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

  it.effect("is none whose tool was given what is not JSON: that is no answer, also where it is read", () =>
    Effect.gen(function*() {
      const { error } = yield* read({})
      assert.strictEqual(error?._tag, "UnexpectedResponse")
      assert.match(error?.message ?? "", /the input of a tool is not JSON/)
      assert.deepStrictEqual(yield* ends, ["UnexpectedResponse"])
    }).pipe(Effect.provide(spied([
      Faults.stream([
        ...Faults.events("", { stopReason: "tool_use" }).slice(0, 1),
        started(0, { type: "tool_use", id: "toolu_01Fake", name: "look", input: {} }),
        added(0, { type: "input_json_delta", partial_json: "{ nope" }),
        stopped(0),
        ...Faults.events("", { stopReason: "tool_use" }).slice(-2)
      ])
    ]))))

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
// The seam
// -----------------------------------------------------------------------------

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

  it.effect("tells no end of a continuation that is not used", () =>
    Effect.gen(function*() {
      const { error, events, shown } = yield* read({ onBreak: "resume", retry }, { model: newer })
      assert.isUndefined(error)
      assert.strictEqual(shown, "The quick fox.")
      assert.lengthOf(events.filter(({ type }) => type === "message_delta"), 1)
    }).pipe(Effect.provide(spied([
      Faults.breaks("The quick"),
      Faults.stream([...Faults.events("The").slice(0, 4), ...Faults.events("").slice(-2)]),
      Faults.answer("The quick fox.")
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
      assert.deepStrictEqual<unknown>(requests[2]?.messages, [
        { role: "user", content: "hi" },
        { role: "assistant", content: [{ type: "text", text: "The quick", citations: null }] }
      ])
      assert.deepStrictEqual(yield* ends, ["PartialAnswer", "Overloaded", "success"])
    }).pipe(Effect.provide(spied([Faults.breaks("The quick"), Faults.overloaded, Faults.answer(" fox.")]))))
})

/** An answer in text deltas of so many characters. */
const spelled = (text: string, size: number) =>
  Faults.stream([
    ...Faults.events("").slice(0, 1),
    started(0, { type: "text", text: "", citations: null }),
    ...Array.from({ length: Math.ceil(text.length / size) }, (_, i) =>
      added(0, { type: "text_delta", text: text.slice(i * size, (i + 1) * size) })),
    stopped(0),
    ...Faults.events("").slice(1)
  ])
