/** Streams: opening, reading in every way and at every pace, and the end that guards see. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Redacted, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Anthropic, CallLog, Claude, type ClaudeError, type Message, Policy, Retry } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { FakeClaude, FakeServer, Faults } from "../../src/testing/index.ts"
import { effort } from "../support/effort.ts"
import { ends, spied } from "../support/spied.ts"
import {
  added,
  asked,
  client,
  framed,
  heap,
  kindsOf,
  read,
  shownOf,
  started,
  stopped,
  unknownKinds,
  until
} from "../support/streams.ts"

const retry = Retry.linear({ times: 2, base: "1 second" })

// -----------------------------------------------------------------------------
// Opening
// -----------------------------------------------------------------------------

describe("opening an answer", () => {
  it.effect("settles the attempt as Refused if the model refuses, whether the answer is collected or streamed", () =>
    Effect.gen(function*() {
      yield* Effect.flip(Claude.text("hi"))
      yield* Effect.flip(Stream.runDrain(Claude.stream("hi")))
      assert.deepStrictEqual(yield* ends, ["Refused", "Refused"])
    }).pipe(Effect.provide(spied(Faults.cycle(Faults.refusal("no"))))))

  it.effect("waits for the first content, and settles the attempt as neutral if it is interrupted before that", () =>
    Effect.gen(function*() {
      const opening = yield* Claude.open("hi").pipe(Effect.scoped, Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("20 seconds")
      assert.isUndefined(opening.pollUnsafe())
      yield* Fiber.interrupt(opening)
      assert.deepStrictEqual(yield* ends, ["neutral"])
    }).pipe(Effect.provide(spied([Faults.pings()]))))

  it.effect("stops reading before it closes the connection if it is interrupted", () =>
    Effect.gen(function*() {
      const notes: Array<string> = []
      const note = (what: string) => Effect.sync(() => void notes.push(what))
      const claude = yield* Claude.make({
        countTokens: () => Effect.succeed(1),
        models: Effect.succeed([]),
        open: () =>
          Effect.as(Effect.addFinalizer(() => note("closed")), {
            requestId: undefined,
            rateLimits: {},
            read: Effect.onInterrupt(Effect.never, () => note("stopped"))
          })
      })
      const call = yield* Claude.text("hi").pipe(
        Effect.provideService(Claude.Claude, claude),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Fiber.interrupt(call)
      assert.deepStrictEqual(notes, ["stopped", "closed"])
    }))

  it.effect("settles the attempt at once if opening fails, before the caller's scope closes", () =>
    Effect.gen(function*() {
      yield* Effect.flip(Claude.open("hi"))
      assert.deepStrictEqual(yield* ends, ["Overloaded"])
    }).pipe(Effect.scoped, Effect.provide(spied([Faults.overloaded]))))
})

// -----------------------------------------------------------------------------
// The end of an answer, for every way to read it
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

describe("guards see the end of an answer once, no later than its reader", () => {
  for (const [name, read] of ways) {
    /** Runs the stream, and returns the ends that guards had seen when it was over. */
    const followed = (read: Read) => {
      let then: ReadonlyArray<string> | undefined
      const look = Stream.fromEffectDrain(Effect.map(ends, (ends) => then = ends))
      return Effect.as(Stream.runDrain(Stream.concat(read, look)), () => then)
    }

    it.effect(`${name}: a complete answer is a success`, () =>
      Effect.gen(function*() {
        const then = yield* followed(read)
        assert.deepStrictEqual(then(), ["success"])
        assert.deepStrictEqual(yield* ends, ["success"])
      }).pipe(Effect.provide(spied([Faults.answer("a b c")]))))

    it.effect(`${name}: an answer that breaks off is a failure, even if the reader catches the error`, () =>
      Effect.gen(function*() {
        const then = yield* followed(Stream.catch(read, () => Stream.empty))
        assert.deepStrictEqual(then(), ["PartialAnswer"])
        assert.deepStrictEqual(yield* ends, ["PartialAnswer"])
      }).pipe(Effect.provide(spied([Faults.breaks("half")]))))

    it.effect(`${name}: an answer whose reader fails is a success`, () =>
      Effect.gen(function*() {
        yield* Effect.flip(Stream.runForEach(read, () => Effect.fail("my disk is full")))
        assert.deepStrictEqual(yield* ends, ["success"])
      }).pipe(Effect.provide(spied([Faults.answer("a b c")]))))

    it.effect(`${name}: an answer whose reader stops early is a success`, () =>
      Effect.gen(function*() {
        const then = yield* followed(Stream.take(read, 1))
        assert.deepStrictEqual(then(), ["success"])
        assert.deepStrictEqual(yield* ends, ["success"])
      }).pipe(Effect.provide(spied([Faults.pings("a", "1 second")]))))

    it.effect(`${name}: an answer whose reader is interrupted is neutral`, () =>
      Effect.gen(function*() {
        const reader = yield* Stream.runDrain(read).pipe(Effect.forkChild({ startImmediately: true }))
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(yield* ends, [])
        yield* Fiber.interrupt(reader)
        assert.deepStrictEqual(yield* ends, ["neutral"])
      }).pipe(Effect.provide(spied([Faults.pings("a", "1 second")]))))

    it.effect(`${name}: an answer that is never read is ${name.startsWith("Claude.open") ? "neutral" : "not requested"}`, () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const opens = name.startsWith("Claude.open")
        // A stream sends its request when it is read, `Claude.open` at once.
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
    it.effect(`cannot read an answer twice, and no further request is sent, onBreak: ${onBreak}`, () =>
      Effect.gen(function*() {
        const { events } = yield* Claude.open("hi").pipe(Policy.apply(onBreak === "fail" ? {} : { onBreak, retry }))
        yield* Stream.runDrain(Stream.take(events, 2))
        const again = yield* Effect.exit(Stream.runDrain(events))
        assert.isTrue(Exit.isFailure(again) && Cause.hasDies(again.cause))
        assert.match(String(again), /can be read only once/)
        assert.strictEqual(yield* asked, 1)
        assert.deepStrictEqual(yield* ends, ["success"])
      }).pipe(Effect.scoped, Effect.provide(spied(Faults.cycle(Faults.pings("a", "1 second"))))))
  }

  for (const onBreak of ["fail", "restart", "resume"] as const) {
    it.effect(`is interrupted if another fiber closes its scope, and sends no further request, onBreak: ${onBreak}`, () =>
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

    it.effect(`is interrupted if it starts after the scope of the answer closes, and sends no further request, onBreak: ${onBreak}`, () =>
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

  it.effect("fails if another reader is reading the answer, and the other reader gets the whole answer", () =>
    Effect.gen(function*() {
      const opening = yield* Effect.forkChild(Claude.open("hi"), { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      const { events } = yield* Fiber.join(opening)
      const first = yield* Stream.runCollect(events).pipe(Effect.forkChild({ startImmediately: true }))
      const second = yield* Effect.exit(Stream.runDrain(events))
      assert.match(String(second), /can be read only once/)
      assert.deepStrictEqual(yield* ends, [])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(shownOf(yield* Fiber.join(first)), "a b c")
      assert.deepStrictEqual(yield* ends, ["success"])
    }).pipe(Effect.scoped, Effect.provide(spied([Faults.answer("a b c", { every: "1 second" })]))))

  it.effect("that interrupts each read after 3 seconds and reads again gets every event on time", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      const params = {
        model: "claude-sonnet-5-5",
        max_tokens: 99,
        messages: [{ role: "user" as const, content: "hi" }]
      }
      const reader = yield* claude.open({ params, limits: {} }).pipe(
        Effect.flatMap(({ isComplete, pull, reply }) =>
          Effect.map(
            Effect.ignore(Effect.forever(Effect.timeoutOption(pull, "3 seconds"))),
            () => [reply().text, isComplete()]
          )
        ),
        Effect.scoped,
        Effect.forkChild({ startImmediately: true })
      )
      // Nine events, four seconds apart.
      yield* TestClock.adjust("36 seconds")
      assert.deepStrictEqual(yield* Fiber.join(reader), ["a b c", true])
    }).pipe(Effect.provide(spied([Faults.answer("a b c", { every: "4 seconds" })]))))

  it.effect("that runs a stream twice sends two requests, and gets a whole answer each time", () =>
    Effect.gen(function*() {
      const stream = Claude.stream("hi").pipe(Policy.applyStream(policy))
      assert.strictEqual(yield* Stream.mkString(stream), "one")
      assert.strictEqual(yield* Stream.mkString(stream), "two")
      assert.deepStrictEqual(yield* ends, ["success", "success"])
    }).pipe(Effect.provide(spied([Faults.answer("one"), Faults.answer("two")]))))

  it.effect("that takes one event, inside or outside of the policy, ends the answer at once", () =>
    Effect.gen(function*() {
      const events = Claude.events("hi")
      assert.lengthOf(yield* Stream.runCollect(events.pipe(Stream.take(1), Policy.applyStream({ retry }))), 1)
      assert.lengthOf(yield* Stream.runCollect(events.pipe(Policy.applyStream({ retry }), Stream.take(1))), 1)
      assert.deepStrictEqual(yield* ends, ["success", "success"])
    }).pipe(Effect.provide(spied(Faults.cycle(Faults.pings("a", "1 second"))))))

  it.effect("that is interrupted at the first event ends the answer at once, even if the rest of the answer is available", () =>
    Effect.gen(function*() {
      const reader = yield* Claude.events("hi").pipe(
        Stream.runForEach(() => Effect.never),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Fiber.interrupt(reader)
      assert.lengthOf(yield* ends, 1)
    }).pipe(Effect.provide(spied([Faults.answer("a b c")]))))

  it.effect("that is busy when streamOverall expires does not keep the answer open", () =>
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
})

describe("events", () => {
  it.effect("of unknown types are passed on unchanged", () =>
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
      Faults.stream(framed([...unknownKinds, stopped(1)]))
    ]))))

  it.effect("contain the input of a tool in pieces, and the reply contains the input only when it is complete", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.Claude
      const params = { model: "claude-sonnet-5-5", max_tokens: 9, messages: [{ role: "user" as const, content: "hi" }] }
      const { pull, reply } = yield* claude.open({ params, limits: {} })
      const seen: Array<Message.Event> = []
      const error = yield* Stream.runForEach(Stream.fromPull(Effect.succeed(pull)), (event) =>
        Effect.sync(() => {
          seen.push(event)
          const { message, toolUses } = reply()
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
      // Read up to the last piece of the input.
      Effect.provide(spied([
        Faults.stream(Faults.events("Look", { tool: { name: "look", input: { at: "x" } } }).slice(0, 8), { end: "cut" })
      ]))
    ))

  it.effect("end with message_stop, even if the socket stays open and more bytes arrive", () =>
    Effect.gen(function*() {
      const events = yield* Stream.runCollect(Claude.events("hi"))
      assert.strictEqual(events.at(-1)?.type, "message_stop")
      assert.strictEqual(shownOf(events), "all of it")
      assert.deepStrictEqual(yield* ends, ["success"])
    }).pipe(Effect.provide(spied([
      Faults.stream([...Faults.events("all of it"), ...Faults.events(" and more")], { end: "silence" })
    ]))))

  it.effect("end with MalformedOutput if the input of a tool is not JSON", () =>
    Effect.gen(function*() {
      const { error } = yield* read({})
      assert.strictEqual(error?._tag, "MalformedOutput")
      assert.match(error?.message ?? "", /the input of look is not a JSON object/)
      assert.deepStrictEqual(yield* ends, ["MalformedOutput"])
    }).pipe(Effect.provide(spied([
      Faults.stream(framed([
        started(0, { type: "tool_use", id: "toolu_01Fake", name: "look", input: {} }),
        added(0, { type: "input_json_delta", partial_json: "{ nope" }),
        stopped(0)
      ], "tool_use"))
    ]))))
})

// -----------------------------------------------------------------------------
// Limits and ends
// -----------------------------------------------------------------------------

describe("streamOverall", () => {
  const slow = spied([Faults.answer("a b c d e f g h", { every: "10 seconds" })])

  it.effect("ends an opened stream at its deadline with DeadlineExceeded", () =>
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

  it.effect("is also the deadline for a retry, and does not affect a stream that is read in time", () =>
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
    }).pipe(Effect.provide(spied([Faults.rateLimited("20 seconds"), Faults.answer("quick")]))))
})

describe("messageStop", () => {
  const events = Faults.events("Hello.")
  const asking = (bodies: ReadonlyArray<string>, messageStop?: "optional") =>
    Effect.result(Claude.text("hi")).pipe(Effect.provide(FakeClaude.layer([Faults.stream(bodies)], { messageStop })))

  it.effect("is required by default, and can be made optional for a gateway", () =>
    Effect.gen(function*() {
      const without = events.slice(0, -1)
      assert.strictEqual((yield* asking(without))._tag, "Failure")
      const lenient = yield* asking(without, "optional")
      assert.strictEqual(lenient._tag === "Success" && lenient.success, "Hello.")
      assert.strictEqual((yield* asking(events, "optional"))._tag, "Success")
    }))

  it.live("is an option of NodeAnthropic.layer, and Anthropic.layer rejects an invalid value of it", () =>
    Effect.gen(function*() {
      const { url } = yield* FakeServer.FakeServer
      const ask = (messageStop?: "optional") =>
        Effect.result(Claude.text("hi")).pipe(
          Effect.provide(NodeAnthropic.layer({ apiKey: "sk-ant-test", baseUrl: url, messageStop }))
        )
      assert.strictEqual((yield* ask())._tag, "Failure")
      assert.strictEqual((yield* ask("optional"))._tag, "Success")
      assert.throws(() => Anthropic.layer({ apiKey: "k", messageStop: "no" as "optional" }), /messageStop is "no"/)
    }).pipe(
      Effect.provide([FakeServer.layer(Faults.cycle(Faults.stream(events.slice(0, -1)))), CallLog.layerNoop])
    ))

  it.effect("is always required for an answer without a stop reason or with an incomplete block", () =>
    Effect.gen(function*() {
      for (let end = 0; end < events.length - 2; end++) {
        assert.strictEqual((yield* asking(events.slice(0, end), "optional"))._tag, "Failure", `cut after ${end}`)
      }
      const open = [...events.slice(0, -3), ...events.slice(-2, -1)]
      assert.strictEqual((yield* asking(open, "optional"))._tag, "Failure")
    }))
})

// -----------------------------------------------------------------------------
// Real sockets
// -----------------------------------------------------------------------------

const wires = [
  ["undici", (url: string) => client(url, 1)],
  [
    "fetch",
    (url: string) => Layer.provide(Anthropic.layer({ apiKey: "sk-ant-test", baseUrl: url }), CallLog.layerNoop)
  ]
] as const

describe("a slow reader", () => {
  for (const [name, wire] of effort<ReadonlyArray<typeof wires[number]>>(wires, wires.slice(0, 1))) {
    it.live(
      `slows down a fast server, fills no memory, and causes no time-out, with ${name}`,
      () => {
        const total = 64_000_000
        const piece = Faults.event("content_block_delta", {
          index: 0,
          delta: { type: "text_delta", text: "x".repeat(15_900) }
        })
        let sent = 0
        // Counts the bytes that the server sends.
        const noted: Faults.Piece = {
          after: 0,
          get bytes() {
            sent += piece.length
            return piece
          }
        }
        const plain = Faults.stream(Faults.events("x").slice(0, 2))
        const body = [
          ...plain.body,
          ...Array.from({ length: Math.ceil(total / piece.length) }, () => noted),
          ...Faults.stream(Faults.events("x").slice(-3)).body
        ]
        return Effect.gen(function*() {
          const server = yield* FakeServer.FakeServer
          let read = 0
          const reader = yield* Claude.events("hi").pipe(
            Policy.applyStream({ idle: "1500 millis", contentIdle: "1500 millis" }),
            Stream.runForEach(() => {
              read++
              return Effect.sleep("100 millis")
            }),
            Effect.forkChild
          )
          yield* until(Effect.sync(() => read > 0), 5000, "nothing came")
          yield* Effect.sleep("1 second")
          const [before] = yield* server.received
          assert.isDefined(before)
          assert.isUndefined(before.closedAt)
          assert.isFalse(before.complete)
          const early = sent
          // Two sockets of the operating system buffer at most a quarter of the body.
          assert.isBelow(early, total / 4, "more than sockets hold was sent")
          assert.isBelow(read, 20)
          const held = yield* heap

          // The server sends only as much as the client reads, plus buffers.
          yield* Effect.sleep("2 seconds")
          assert.isUndefined(reader.pollUnsafe(), "a slow reader is not a slow model")
          assert.isAbove(read, 10)
          assert.isBelow(sent - early, 4_000_000)
          assert.isBelow((yield* heap) - held, 2, "megabytes")

          const left = performance.now()
          yield* Fiber.interrupt(reader)
          assert.isBelow(performance.now() - left, 5000)
          yield* until(
            Effect.map(server.received, ([request]) => request?.closedAt !== undefined),
            10_000,
            "the socket was not closed"
          )
          assert.isFalse(before.complete)
          const after = sent
          yield* Effect.sleep("100 millis")
          assert.strictEqual(sent, after, "nothing is sent to nobody")
        }).pipe(
          Effect.provide(
            Layer.unwrap(Effect.map(FakeServer.FakeServer, ({ url }) => wire(url))).pipe(
              Layer.provideMerge(FakeServer.layer([{ ...plain, body }]))
            )
          )
        )
      },
      60_000
    )
  }
})
