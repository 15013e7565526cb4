/** Checks what docs/streams.md says. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Redacted, Ref, Result, Stream } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { CallLog, Claude, ClaudeError, Fallback, type Message, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"
import { FakeClaude, Faults } from "resilient-claude/testing"
import { assertAlive } from "../support/docs.ts"
import { program } from "./programs/streams.ts"

const requests = Effect.map(FakeClaude.received, (all) => all.length)
const playing = (...turns: ReadonlyArray<Faults.Turn>) => Effect.provide(FakeClaude.layer(turns))

const finish = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const running = yield* Effect.forkChild(Effect.result(self))
    yield* TestClock.adjust("10 minutes")
    return yield* Fiber.join(running)
  })

const screen = () => {
  const shown: Array<string> = []
  return {
    shown,
    show: (text: string) => Effect.sync(() => void shown.push(text)),
    clearScreen: Effect.sync(() => void shown.splice(0))
  }
}

it("every code block of docs/streams.md is in a test or an example", () => assertAlive("docs/streams.md"))

it.effect("the first program retries until the answer begins, and prints it", () =>
  Effect.gen(function*() {
    const written: Array<string> = []
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const { write } = process.stdout
        process.stdout.write = (text) => written.push(String(text)) > 0
        return write
      }),
      (write) => Effect.sync(() => void (process.stdout.write = write))
    )
    yield* finish(program)
    assert.strictEqual(written.join(""), "Once upon a time.")
    assert.strictEqual(yield* requests, 2)
  }).pipe(playing(Faults.overloaded, Faults.answer("Once upon a time."))))

describe("Claude.open", () => {
  const { show, shown } = screen()
  const told = Effect.gen(function*() {
    const answer = yield* Claude.open("Tell me a story.").pipe(Policy.apply(Policy.standard))
    yield* Stream.runForEach(answer.text, show)
    const { cost, usage } = yield* answer.reply
    yield* Effect.logInfo(`${usage.output_tokens} tokens, $${cost?.dollars}`)
    return usage
  }).pipe(Effect.scoped)

  it.effect("gives an answer whose text can be read, and after it the reply with the usage", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* told, { output_tokens: 50 })
      assert.strictEqual(shown.join(""), "Once upon a time.")
    }).pipe(playing(Faults.answer("Once upon a time.", { outputTokens: 50 }))))

  it.effect("gives an answer that can be read only once: a second reading dies, and sends no request", () =>
    Effect.gen(function*() {
      const exit = yield* Claude.open("hi").pipe(
        Effect.flatMap(({ text }) => Effect.andThen(Stream.runDrain(text), Stream.runDrain(text))),
        Effect.scoped,
        Effect.exit
      )
      assert.isTrue(Exit.isFailure(exit) && exit.cause.reasons.some(({ _tag }) => _tag === "Die"))
      assert.strictEqual(yield* requests, 1)
    }).pipe(playing(Faults.answer("hello"), Faults.answer("hello"))))

  it.effect("differs from Claude.stream, which sends a request each time it is run", () =>
    Effect.gen(function*() {
      const stream = Claude.stream("hi")
      yield* Stream.runDrain(stream)
      yield* Stream.runDrain(stream)
      assert.strictEqual(yield* requests, 2)
    }).pipe(playing(Faults.answer("hello"), Faults.answer("hello"))))
})

describe("a policy around the reader", () => {
  it.effect("runs the reader again from the start, so the same text is shown twice", () =>
    Effect.gen(function*() {
      const { show, shown } = screen()
      yield* finish(Claude.stream("hi").pipe(Stream.runForEach(show), Policy.apply(Policy.standard)))
      assert.strictEqual(shown.join(""), "Once upon Once upon a time.")
    }).pipe(playing(Faults.breaks("Once upon "), Faults.answer("Once upon a time."))))
})

describe("onBreak: fail", () => {
  const rescued = Claude.text("Tell me a story.").pipe(
    Effect.catchTag(
      "PartialAnswer",
      ({ text }) => Effect.succeed(text === undefined ? "" : `${Redacted.value(text)} …`)
    )
  )

  it.effect("the error holds the text that had arrived", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* rescued, "Once upon …")
    }).pipe(playing(Faults.breaks("Once upon"))))

  it.effect("the stream emits no text twice, and fails", () =>
    Effect.gen(function*() {
      const { show, shown } = screen()
      const result = yield* finish(
        Claude.stream("hi").pipe(
          Policy.applyStream(Policy.standard),
          Stream.runForEach(show)
        )
      )
      assert.isTrue(result._tag === "Failure" && result.failure._tag === "PartialAnswer")
      assert.strictEqual(shown.join(""), "Once upon")
      assert.strictEqual(yield* requests, 1)
    }).pipe(playing(Faults.breaks("Once upon"))))
})

describe("onBreak: restart", () => {
  const { clearScreen, show, shown } = screen()
  const reader = Claude.events("Tell me a story.").pipe(
    Policy.applyStream({ ...Policy.standard, onBreak: "restart" }),
    Stream.runForEach((event) => {
      if (event.type === "restarted") return clearScreen
      return event.type === "content_block_delta" && event.delta.type === "text_delta"
        ? show(event.delta.text)
        : Effect.void
    })
  )

  it.effect("a reader that clears its output at the restarted event shows the whole answer once", () =>
    Effect.gen(function*() {
      yield* finish(reader)
      assert.strictEqual(shown.join(""), "Once upon a time.")
      assert.strictEqual(yield* requests, 2)
    }).pipe(playing(Faults.breaks("Once upon"), Faults.answer("Once upon a time."))))

  it.effect("a stream of text fails instead of restarting", () =>
    Effect.gen(function*() {
      const result = yield* finish(
        Claude.stream("hi").pipe(
          Policy.applyStream({ ...Policy.standard, onBreak: "restart" }),
          Stream.mkString
        )
      )
      assert.isTrue(result._tag === "Failure" && result.failure._tag === "PartialAnswer")
      assert.strictEqual(yield* requests, 1)
    }).pipe(playing(Faults.breaks("Once upon"))))
})

describe("onBreak: resume", () => {
  const story = Claude.stream("Tell me a story.").pipe(
    Policy.applyStream({ ...Policy.standard, onBreak: "resume" }),
    Stream.mkString
  )

  it.effect("the stream asks for the rest, and emits no text twice", () =>
    Effect.gen(function*() {
      assert.deepInclude(yield* finish(story), { success: "Once upon a time." })
      assert.strictEqual(yield* requests, 2)
    }).pipe(playing(Faults.breaks("Once upon"), Faults.answer("Once upon a time."))))

  it.effect("the events contain a resumed event where the rest begins", () =>
    Effect.gen(function*() {
      const result = yield* finish(
        Claude.events("hi").pipe(
          Policy.applyStream({ ...Policy.standard, onBreak: "resume" }),
          Stream.runCollect
        )
      )
      const marks: ReadonlyArray<Message.Event> = result._tag === "Success" ? result.success : []
      assert.deepInclude(marks.find(({ type }) => type === "resumed"), {
        attempt: 2,
        because: "PartialAnswer",
        index: 0
      })
    }).pipe(playing(Faults.breaks("Once upon"), Faults.answer("Once upon a time."))))

  it("a policy without retry is rejected", () => {
    assert.throws(() => Policy.applyStream({ onBreak: "resume" }), RangeError, /without retry it does nothing/)
  })
})

describe("time limits", () => {
  const story = Claude.stream("Tell me a story.").pipe(
    Policy.applyStream({ ...Policy.standard, overall: "1 minute", streamOverall: "5 minutes" })
  )

  it.effect("streamOverall ends a stream that takes longer, and overall does not end it", () =>
    Effect.gen(function*() {
      const { show, shown } = screen()
      const result = yield* finish(Stream.runForEach(story, show))
      const error = result._tag === "Failure" ? result.failure : undefined
      assert.isAtLeast(shown.length, 10)
      if (error?._tag !== "DeadlineExceeded") return assert.fail("it ended without DeadlineExceeded")
      assert.strictEqual(error.text && Redacted.value(error.text), shown.join(""))
    }).pipe(playing(Faults.answer("a ".repeat(100), { every: "5 seconds" }))))

  it.effect("the time that a slow reader takes does not count in the limits of an attempt", () =>
    Effect.gen(function*() {
      const { shown } = screen()
      const result = yield* finish(
        Claude.stream("hi").pipe(
          Stream.runForEach((text) =>
            Effect.andThen(Effect.sleep("2 minutes"), Effect.sync(() => void shown.push(text)))
          )
        )
      )
      assert.strictEqual(result._tag, "Success")
      assert.strictEqual(shown.join(""), "a b")
    }).pipe(playing(Faults.answer("a b"))))
})

describe("a stream that reaches max_tokens", () => {
  it.effect("fails with Truncated, even if the policy has truncated: { continue: 3 }, which applies only to collected answers", () =>
    Effect.gen(function*() {
      const result = yield* finish(
        Claude.stream("hi").pipe(
          Policy.applyStream({ ...Policy.standard, truncated: { continue: 3 } }),
          Stream.runDrain
        )
      )
      assert.isTrue(result._tag === "Failure" && result.failure._tag === "Truncated")
      assert.strictEqual(yield* requests, 1)
    }).pipe(playing(Faults.maxTokens("Once"))))
})

/** Fails if the text is not complete after five minutes. */
const inTime = <E, R>(text: Stream.Stream<string, E, R>) =>
  Stream.interruptWhen(text, Effect.andThen(Effect.sleep("5 minutes"), Effect.fail("the story took too long")))

describe("the text of an opened answer with a limit of five minutes", () => {
  it.effect.each(
    [
      ["is complete if it takes less", Faults.answer("Once upon a time.", { every: "9 seconds" }), false],
      ["fails if it takes more, and the request is stopped", Faults.pings("Once upon", "20 seconds"), true]
    ] as const
  )("%s", ([, turn, isLate]) =>
    Effect.gen(function*() {
      const read = yield* Claude.open("Tell me a story.").pipe(
        Policy.apply({ contentIdle: Infinity }),
        Effect.flatMap(({ text }) => Stream.mkString(inTime(text))),
        Effect.scoped,
        finish
      )
      assert.deepStrictEqual(
        read,
        isLate ? Result.fail("the story took too long") : Result.succeed("Once upon a time.")
      )
      const events = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      assert.strictEqual(events.some(({ _tag }) => _tag === "AttemptAbandoned"), isLate)
    }).pipe(Effect.provide(Layer.provideMerge(FakeClaude.layer([turn]), CallLog.layerMemory))))
})

describe("a route that opens the answer before it responds", () => {
  const story = Effect.gen(function*() {
    const answer = yield* Claude.open("Tell me a story.").pipe(
      Policy.apply({ ...Policy.standard, overall: "30 seconds", onBreak: "resume" })
    )
    return HttpServerResponse.stream(Stream.encodeText(answer.text))
  }).pipe(
    Effect.catchIf(ClaudeError.is, (error) => {
      const { retryable, text } = Fallback.toNotice(error)
      return Effect.succeed(HttpServerResponse.text(text, { status: retryable ? 503 : 500 }))
    })
  )

  const get = (...turns: ReadonlyArray<Faults.Turn>) =>
    Effect.gen(function*() {
      const routes = HttpRouter.add("GET", "/story", story).pipe(
        Layer.provideMerge(FakeClaude.layer(turns)),
        Layer.provide(HttpServer.layerServices)
      )
      const { dispose, handler } = HttpRouter.toWebHandler(routes)
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const response = yield* Effect.promise(() => handler(new Request("http://localhost/story")))
      return { status: response.status, text: yield* Effect.exit(Effect.tryPromise(() => response.text())) }
    }).pipe(Effect.scoped)

  it.live("responds with 503 or 500 if the answer does not begin", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* get(Faults.rateLimited("1 hour"))).status, 503)
      assert.strictEqual((yield* get(Faults.unauthorized)).status, 500)
    }))

  it.live("resumes a text that broke off, and cuts the response if that is not possible", () =>
    Effect.gen(function*() {
      const whole = yield* get(Faults.breaks("Once upon"), Faults.answer("Once upon a time."))
      assert.deepStrictEqual(whole, { status: 200, text: Exit.succeed("Once upon a time.") })
      const cut = yield* get(Faults.breaks("Once upon"), Faults.unauthorized)
      assert.strictEqual(cut.status, 200)
      assert.isTrue(Exit.isFailure(cut.text))
    }))

  it.effect("may read the opened answer for longer than streamOverall", () =>
    Effect.gen(function*() {
      const read = Claude.open("hi").pipe(
        Policy.apply({ ...Policy.standard, overall: "10 seconds", streamOverall: "20 seconds" }),
        Effect.flatMap(({ text }) => Stream.mkString(text)),
        Effect.scoped
      )
      assert.deepInclude(yield* finish(read), { success: "a ".repeat(40) })
    }).pipe(playing(Faults.answer("a ".repeat(40), { every: "1 second" }))))
})

describe("leaving a stream early", () => {
  const firstWords = Claude.stream("Tell me a story.").pipe(Stream.take(3), Stream.mkString)

  it.effect("ends the stream with success", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* firstWords, "Once upon a ")
    }).pipe(playing(Faults.answer("Once upon a time."))))
})

describe("gateways", () => {
  const ClaudeLive = NodeAnthropic.layer({ apiKey: "sk-ant-test", messageStop: "optional" })

  it.effect("the layer accepts the option messageStop", () => Effect.scoped(Layer.build(ClaudeLive)))

  const cut = Faults.stream(Faults.events("Hello.").slice(0, -1))

  it.effect("an answer without message_stop causes PartialAnswer, unless messageStop is optional", () =>
    Effect.gen(function*() {
      const strict = yield* Effect.flip(Claude.text("hi").pipe(playing(cut)))
      assert.strictEqual(strict._tag, "PartialAnswer")
      const text = yield* Claude.text("hi").pipe(Effect.provide(FakeClaude.layer([cut], { messageStop: "optional" })))
      assert.strictEqual(text, "Hello.")
    }))
})
