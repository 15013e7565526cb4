/** The reply of an opened answer: complete for every way to read the answer, or the error that the reader got. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Redacted, Ref, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, type ClaudeError, Guards, type Message, Policy, Retry } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"
import { ends, spied } from "../support/spied.ts"

const asked = Effect.map(FakeClaude.received, (all) => all.length)

const retry = Retry.linear({ times: 2, base: "1 second" })

const long = Array.from({ length: 2000 }, (_, i) => `word${i}`).join(" ")

/** Runs an effect, and moves the clock on while it waits. */
const soon = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const running = yield* Effect.forkChild(self)
    yield* TestClock.adjust("10 minutes")
    return yield* Fiber.join(running)
  })

/** An answer in pieces, one per second. */
const slow = Faults.answer("a b c", { every: "1 second" })

/** Opens an answer, and moves the clock on to its first content. */
const opened = Effect.gen(function*() {
  const opening = yield* Effect.forkChild(Claude.open("hi"), { startImmediately: true })
  yield* TestClock.adjust("3 seconds")
  return yield* Fiber.join(opening)
})

const begun = Faults.events("a").slice(0, 3).map((text): Message.WireEvent => JSON.parse(text.slice(text.indexOf("{"))))

const collected = (text: Stream.Stream<string, ClaudeError.ClaudeError>) => Stream.mkString(text)

describe("the reply of an answer", () => {
  it.effect("is available after the text was read, with its usage", () =>
    Effect.gen(function*() {
      const prompt = "Tell me a story."
      const pieces: Array<string> = []
      const print = (piece: string) => Effect.sync(() => pieces.push(piece))
      const answer = yield* Claude.open(prompt)
      yield* Stream.runForEach(answer.text, print)
      const { usage } = yield* answer.reply
      assert.strictEqual(pieces.join(""), long)
      assert.isAbove(usage.output_tokens, 0)
      assert.strictEqual((yield* answer.reply).text, long)
      assert.deepStrictEqual(yield* ends, ["success"])
    }).pipe(Effect.scoped, Effect.provide(spied([Faults.answer(long)]))))

  it.effect("reads the answer itself if there is no reader, with one request, and answer.text cannot be read afterwards", () =>
    Effect.gen(function*() {
      const answer = yield* Claude.open("hi")
      assert.deepStrictEqual(yield* ends, [])
      assert.strictEqual((yield* answer.reply).text, long)
      assert.deepStrictEqual(yield* ends, ["success"])
      const text = yield* Effect.exit(collected(answer.text))
      assert.match(String(text), /can be read only once/)
      assert.strictEqual((yield* answer.reply).text, long)
      assert.strictEqual(yield* asked, 1)
    }).pipe(Effect.scoped, Effect.provide(spied([Faults.answer(long)]))))

  it.effect("waits for a reader that has begun, and the reader still receives the whole text", () =>
    Effect.gen(function*() {
      const answer = yield* opened
      const reader = yield* Effect.forkChild(collected(answer.text), { startImmediately: true })
      const replies = yield* Effect.forkChild(Effect.all([answer.reply, answer.reply], { concurrency: 2 }), {
        startImmediately: true
      })
      assert.isUndefined(replies.pollUnsafe())
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* Fiber.join(reader), "a b c")
      assert.deepStrictEqual((yield* Fiber.join(replies)).map(({ text }) => text), ["a b c", "a b c"])
      assert.deepStrictEqual(yield* ends, ["success"])
    }).pipe(Effect.scoped, Effect.provide(spied([slow]))))

  it.effect("is the same for two fibers that wait for it", () =>
    Effect.gen(function*() {
      const answer = yield* opened
      const [one, other] = yield* soon(Effect.all([answer.reply, answer.reply], { concurrency: 2 }))
      assert.strictEqual(one.text, "a b c")
      assert.strictEqual(other.text, "a b c")
      assert.deepStrictEqual(yield* ends, ["success"])
      assert.strictEqual(yield* asked, 1)
    }).pipe(Effect.scoped, Effect.provide(spied([slow]))))

  it.effect("G2: fails with the text so far if the reader stops early, and the answer ends at once", () =>
    Effect.gen(function*() {
      const answer = yield* opened
      const leaver = yield* Effect.forkChild(Stream.runDrain(Stream.take(answer.text, 1)), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(leaver)
      assert.deepStrictEqual(yield* ends, ["success"])
      assert.deepStrictEqual(Object.values((yield* Guards.status).admission).map(({ running }) => running), [0])
      const error = yield* Effect.flip(answer.reply)
      assert.isTrue(
        error._tag === "PartialAnswer" && error.text !== undefined && Redacted.value(error.text).trim() === "a"
      )
      assert.match(error.message, /the reader stopped early/)
      assert.strictEqual(yield* asked, 1)
    }).pipe(
      Effect.scoped,
      Effect.provide(spied([slow]).pipe(Guards.apply({ concurrency: { max: 1 } })))
    ))

  it.effect("is complete if the reader stops at message_stop", () =>
    Effect.gen(function*() {
      const answer = yield* Claude.open("hi")
      yield* Stream.runDrain(Stream.takeUntil(answer.events, ({ type }) => type === "message_stop"))
      assert.strictEqual((yield* answer.reply).text, "a b c")
    }).pipe(Effect.scoped, Effect.provide(spied([Faults.answer("a b c")]))))

  for (const how of ["text", "events", "reply"] as const) {
    it.effect(`fails with the same error as the reader of answer.${how}`, () =>
      Effect.gen(function*() {
        const answer = yield* Policy.apply({ retry })(Claude.open("hi"))
        const error = yield* Effect.flip<unknown, ClaudeError.ClaudeError, never>(
          how === "reply" ? answer.reply : Stream.runDrain<unknown, ClaudeError.ClaudeError, never>(answer[how])
        )
        assert.strictEqual(error._tag, "Refused")
        assert.strictEqual(error.gaveUp, "NotRetried")
        assert.strictEqual(yield* Effect.flip(answer.reply), error)
        assert.deepStrictEqual(yield* ends, ["Refused"])
      }).pipe(Effect.scoped, Effect.provide(spied([Faults.refusal("no")]))))
  }

  it.effect("dies with the same defect if the wire dies while the answer is read", () =>
    Effect.gen(function*() {
      const claude = yield* Claude.make({
        countTokens: () => Effect.succeed(1),
        models: Effect.succeed([]),
        open: () => {
          let reads = 0
          return Effect.succeed({
            requestId: undefined,
            rateLimits: {},
            read: Effect.suspend(() =>
              reads++ === 0 ? Effect.succeed({ bytes: 1, events: begun }) : Effect.die("a bug")
            )
          })
        }
      })
      const answer = yield* Effect.provideService(Claude.open("hi"), Claude.Claude, claude)
      const exits = [yield* Effect.exit(answer.reply), yield* Effect.exit(answer.reply)]
      for (const exit of exits) assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === "a bug")
    }).pipe(Effect.scoped))

  it.effect("G13: is complete after a break that was resumed, and no text is repeated", () =>
    Effect.gen(function*() {
      const answer = yield* Policy.apply({ onBreak: "resume", retry })(Claude.open("hi", { model: "claude-haiku-4-5" }))
      const text = yield* soon(collected(answer.text))
      assert.strictEqual(text, "one two three")
      const reply = yield* answer.reply
      assert.strictEqual(reply.text, text)
      assert.strictEqual(reply.attempt, 2)
      assert.deepStrictEqual(yield* ends, ["PartialAnswer", "success"])
    }).pipe(Effect.scoped, Effect.provide(spied([Faults.breaks("one two"), Faults.answer(" three")]))))

  it.effect("G13: fails after a break with the same PartialAnswer as answer.text, because onBreak: restart does not restart a stream of text", () =>
    Effect.gen(function*() {
      const answer = yield* Policy.apply({ onBreak: "restart", retry })(Claude.open("hi"))
      const error = yield* soon(Effect.flip(collected(answer.text)))
      assert.strictEqual(error._tag, "PartialAnswer")
      assert.strictEqual(yield* Effect.flip(answer.reply), error)
      assert.strictEqual(yield* asked, 1)
    }).pipe(Effect.scoped, Effect.provide(spied([Faults.breaks("half"), Faults.answer("whole")]))))

  it.effect("is the restarted answer if there is no reader and the first answer breaks off under onBreak: restart", () =>
    Effect.gen(function*() {
      const answer = yield* Policy.apply({ onBreak: "restart", retry })(Claude.open("hi"))
      assert.strictEqual((yield* soon(answer.reply)).text, "whole")
      assert.deepStrictEqual(yield* ends, ["PartialAnswer", "success"])
    }).pipe(Effect.scoped, Effect.provide(spied([Faults.breaks("half"), Faults.answer("whole")]))))

  it.effect("G1 G2: ends the answer at once and sends no retry if the fiber that reads the reply is interrupted", () =>
    Effect.gen(function*() {
      const answer = yield* Policy.apply({ onBreak: "restart", retry })(Claude.open("hi"))
      const reading = yield* Effect.forkChild(answer.reply, { startImmediately: true })
      const waiting = yield* Effect.forkChild(Effect.flip(answer.reply), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* ends, [])
      yield* Fiber.interrupt(reading)
      assert.deepStrictEqual(yield* ends, ["neutral"])
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "PartialAnswer")
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual(yield* asked, 1)
    }).pipe(Effect.scoped, Effect.provide(spied(Faults.cycle(Faults.pings("a", "1 second"))))))

  it.effect("is interrupted if the scope closes before the answer is complete", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const answer = yield* Scope.provide(Claude.open("hi"), scope)
      const reader = yield* Effect.forkChild(Effect.exit(collected(answer.text)), { startImmediately: true })
      const waiting = yield* Effect.forkChild(Effect.exit(answer.reply), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Scope.close(scope, Exit.void)
      const exits: ReadonlyArray<Exit.Exit<unknown, unknown>> = [
        yield* Fiber.join(waiting),
        yield* Fiber.join(reader),
        yield* Effect.exit(answer.reply)
      ]
      for (const exit of exits) {
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause), String(exit))
      }
      assert.deepStrictEqual(yield* ends, ["neutral"])
    }).pipe(Effect.provide(spied([Faults.pings("a", "1 second")]))))

  it.effect("ends its call only once if the reply is used twice", () =>
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        const answer = yield* Policy.apply({ retry })(Claude.open("hi"))
        yield* answer.reply
        yield* answer.reply
      }))
      const tags = (yield* Effect.flatMap(CallLog.Memory, Ref.get)).map(({ _tag }) => _tag)
      assert.deepStrictEqual(tags, ["AttemptStarted", "AttemptSucceeded", "CallSucceeded"])
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("a b c")]).pipe(Layer.provideMerge(CallLog.layerMemory)))))
})
