/** Requests and tokens per minute: what they are measured by, how they come back, and what the API says of them. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Layer, Ref, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, ClaudeError, Guards, type Message, Quota } from "../../../src/index.ts"
import { FakeClaude, Faults } from "../../../src/testing/index.ts"
import { classify } from "../../../src/wire/classify.ts"
import { type Call, caller, type End, failureOf, make, model, request, usage } from "../../support/admission.ts"
import { steppedBack } from "../../support/steppedBack.ts"

const finish = (call: Call, end: End) => Effect.andThen(Deferred.succeed(call.end, end), TestClock.adjust(0))
const failed = (error: ClaudeError.ClaudeError): End => ({ exit: Exit.fail(error) })

/** All of what is stated is used: numbers are easier to follow. */
const whole = { requests: 60, inputTokens: 6000, outputTokens: 1200, headroom: 1, estimate: "count" } as const

const limit = (limit: number | undefined, remaining: number | undefined) => ({ limit, remaining, reset: undefined })

/** An answer that has begun, with what its headers say. */
const answer = (rateLimits: Message.RateLimits): Claude.Opened => ({
  requestId: undefined,
  rateLimits,
  pull: Cause.done(),
  reply: () => assert.fail("nobody reads it"),
  usage: () => usage(0, 0),
  isComplete: () => true
})

const opened = (quota: Quota.Options, more: Partial<Parameters<typeof make>[0]> = {}) =>
  Effect.map(make({ quota, ...more }), (made) => ({
    ...made,
    left: Effect.map(made.admission.status, ({ remaining }) => remaining ?? assert.fail("there is no quota")),
    calls: caller(made.admission)
  }))

describe("a quota", () => {
  it.effect("is taken in all dimensions or in none", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      yield* calls.call(request(5000))
      assert.deepStrictEqual(yield* left, { requests: 59, input: 1000, output: 1100 })
      const waiter = yield* calls.call(request(2000))
      assert.deepStrictEqual(yield* left, { requests: 59, input: 1000, output: 1100 })
      yield* TestClock.adjust(9_999)
      assert.deepStrictEqual(calls.entered, [0])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(calls.entered, [0, waiter.id])
      assert.deepStrictEqual(yield* left, { requests: 59, input: 0, output: 1100 })
    }))

  it.effect("comes back continuously, and never to more than there is", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened({ ...whole, per: "10 seconds" })
      yield* calls.call(request(6000))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* left, { requests: 60, input: 3000, output: 1200 })
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* left, { requests: 60, input: 6000, output: 1200 })
    }))

  it.effect("keeps some of what is stated free, and lets as much of it as is said be used at once", () =>
    Effect.gen(function*() {
      const usual = yield* opened({ requests: 60 })
      assert.approximately((yield* usual.left).requests, 49.8, 1e-9)
      const sliding = yield* opened(
        { requests: 60, headroom: 0.83, burst: 0.17 },
        { concurrency: { maxWait: "2 minutes" } }
      )
      for (let i = 0; i < 200; i++) yield* sliding.calls.call(request(1))
      assert.lengthOf(sliding.calls.entered, 10)
      yield* TestClock.adjust("1 minute")
      assert.lengthOf(sliding.calls.entered, 60)
    }))

  it.effect("always has room for one request, however small the burst", () =>
    Effect.gen(function*() {
      const { calls } = yield* opened({ requests: 1 })
      yield* calls.call(request(1))
      assert.deepStrictEqual(calls.entered, [0])
    }))

  it.effect.each(["requests", "inputTokens", "outputTokens"] as const)(
    "of %s alone limits nothing else, and all its numbers are numbers",
    (dimension) =>
      Effect.gen(function*() {
        const of = dimension === "requests" ? "requests" : dimension === "inputTokens" ? "input" : "output"
        const { admission, calls, failures, left } = yield* opened({ [dimension]: 200, headroom: 1, estimate: "count" })
        const first = yield* calls.call(request(100))
        yield* finish(first, { exit: Exit.void, usage: usage(150, 60) })
        const second = yield* calls.call(request(20))
        yield* finish(second, failed(new ClaudeError.ServerFault({})))
        const third = yield* calls.call(request(20))
        yield* finish(third, failed(new ClaudeError.RateLimited({ retryAfter: Duration.seconds(1) })))
        yield* TestClock.adjust("90 seconds")
        // One looks whether the pause is over.
        yield* finish(yield* calls.call(request(0)), { exit: Exit.void, usage: usage(0, 0) })
        yield* TestClock.adjust("90 seconds")
        const levels = yield* left
        assert.deepStrictEqual(levels, { requests: Infinity, input: Infinity, output: Infinity, [of]: 200 })
        for (let i = 0; i < 300; i++) yield* calls.call(request(50))
        assert.strictEqual((yield* admission.status).running, { requests: 200, input: 4, output: 2 }[of])
        for (const call of calls.calls) {
          const error = failureOf(call)
          if (error?._tag !== "Saturated") continue
          assert.isTrue(Number.isFinite(Duration.toMillis(error.retryAfter ?? Duration.zero)))
        }
        assert.deepStrictEqual(failures, [])
      })
  )
})

describe("when the clock is set back, levels", () => {
  const hour = 3_600_000

  it.effect("are told who is turned away as if it had not been", () =>
    steppedBack((back) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("10 hours")
        const { calls } = yield* opened({ requests: 60, headroom: 1 }, { concurrency: { queue: 1 } })
        for (let i = 0; i < 61; i++) yield* calls.call(request(1))
        yield* back(hour)
        const late = yield* calls.call(request(1))
        // One waits before it.
        assert.deepInclude(failureOf(late), { by: "quota", retryAfter: Duration.seconds(2) })
      })
    ))

  it.effect("are there again when the pause is over that the API named", () =>
    steppedBack((back) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("10 hours")
        const { calls } = yield* opened({ requests: 60, headroom: 1 })
        const error = new ClaudeError.RateLimited({ retryAfter: Duration.seconds(20) })
        yield* finish(yield* calls.call(request(1)), failed(error))
        yield* back(hour)
        yield* calls.call(request(1))
        yield* TestClock.adjust(19_999)
        assert.deepStrictEqual(calls.entered, [0])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(calls.entered, [0, 1])
      })
    ))

  it.effect("let calls go on that wait for them", () =>
    steppedBack((back) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("10 hours")
        const { calls } = yield* opened({ requests: 60, headroom: 1 })
        for (let i = 0; i < 62; i++) yield* calls.call(request(1))
        assert.lengthOf(calls.entered, 60)
        yield* back(hour)
        yield* TestClock.adjust("3 seconds")
        assert.lengthOf(calls.entered, 62)
      })
    ))
})

describe("what a call used", () => {
  const settled = (end: End, input = 1000) =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      const call = yield* calls.call(request(input))
      assert.deepStrictEqual(yield* left, { requests: 59, input: 6000 - input, output: 1100 })
      yield* finish(call, end)
      const after = yield* left
      return [60 - after.requests, 6000 - after.input, 1200 - after.output]
    })
  const { InvalidRequest, ResourceNotFound, Overloaded, PartialAnswer, ServerFault, TimedOut, Unreachable } =
    ClaudeError

  const table: ReadonlyArray<readonly [string, End, readonly [requests: number, input: number, output: number]]> = [
    ["is what the API says", { exit: Exit.void, usage: usage(700, 30) }, [1, 700, 30]],
    ["is also more than was estimated", { exit: Exit.void, usage: usage(2500, 400) }, [1, 2500, 400]],
    [
      "is without what is read from the cache, and with what is written to it",
      { exit: Exit.void, usage: usage(10, 30, { cache_read_input_tokens: 900, cache_creation_input_tokens: 90 }) },
      [1, 100, 30]
    ],
    ["is what had come when it broke off", { ...failed(new PartialAnswer({})), usage: usage(900, 7) }, [1, 900, 7]],
    ["is what had come when it was interrupted", { exit: Exit.interrupt(), usage: usage(900, 7) }, [1, 900, 7]],
    ["may be its input, if it was interrupted before anything came", { exit: Exit.interrupt() }, [1, 1000, 0]],
    ["may be its input, if a defect ended it", { exit: Exit.die("a bug") }, [1, 1000, 0]],
    ["may be its input, if the API failed", failed(new ServerFault({ status: 500 })), [1, 1000, 0]],
    ["may be its input, if it was too slow", failed(new TimedOut({ scope: "firstToken" })), [1, 1000, 0]],
    ["may be its input, if the connection broke", failed(new Unreachable({ code: "ECONNRESET" })), [1, 1000, 0]],
    ["is a request, if it was refused", failed(new InvalidRequest({ status: 400, sent: true })), [1, 0, 0]],
    ["is a request, if there is no such model", failed(new ResourceNotFound({ status: 404 })), [1, 0, 0]],
    ["is a request, if the API is overloaded", failed(new Overloaded({ status: 529 })), [1, 0, 0]],
    ["is nothing, if nobody listened", failed(new Unreachable({ code: "ECONNREFUSED" })), [0, 0, 0]],
    ["is nothing, if the name is not known", failed(new Unreachable({ code: "ENOTFOUND" })), [0, 0, 0]],
    ["is nothing, if it could not be sent", failed(new InvalidRequest({ sent: false })), [0, 0, 0]],
    ["is nothing, if the circuit is open", failed(new ClaudeError.CircuitOpen({})), [0, 0, 0]]
  ]
  it.effect.each(table)("%s", ([, end, used]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* settled(end), [...used])
    }))

  it.effect("is nothing, if it left the queue", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      yield* calls.call(request(6000))
      const waiter = yield* calls.call(request(6000))
      waiter.fiber.interruptUnsafe()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* left, { requests: 60, input: 6000, output: 1200 })
    }))

  it.effect("beyond what there is becomes a debt, which is waited off", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      const call = yield* calls.call(request(1000))
      yield* finish(call, { exit: Exit.void, usage: usage(9000, 10) })
      assert.strictEqual((yield* left).input, -3000)
      const next = yield* calls.call(request(1000))
      yield* TestClock.adjust(39_999)
      assert.deepStrictEqual(calls.entered, [0])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(calls.entered, [0, next.id])
    }))

  it.effect("is known before it wakes those who wait: what comes back lets them go at once", () =>
    Effect.gen(function*() {
      const { calls } = yield* opened(whole)
      const call = yield* calls.call(request(6000))
      yield* calls.call(request(2000))
      assert.deepStrictEqual(calls.entered, [0])
      yield* finish(call, { exit: Exit.void, usage: usage(100, 10) })
      assert.deepStrictEqual(calls.entered, [0, 1])
    }))
})

describe("a request that is too large", () => {
  it.effect("for the account fails at once, is not sent, and says what to change", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      const error = failureOf(yield* calls.call(request(6001)))
      if (error?._tag !== "InvalidRequest") return assert.fail(`it is ${error?._tag}`)
      assert.isFalse(error.sent)
      assert.include(
        error.message,
        "it has at least 6001 tokens, and the account may send 6000 in 1m: make it shorter, or raise the limit"
      )
      assert.strictEqual((yield* left).input, 6000)
    }))

  it.effect("by its characters fails too, if no text has so few tokens", () =>
    Effect.gen(function*() {
      const { calls } = yield* opened({ inputTokens: 6000 })
      const content = (length: number) => request(0, { messages: [{ role: "user", content: "x".repeat(length) }] })
      assert.strictEqual(failureOf(yield* calls.call(content(37_000)))?._tag, "InvalidRequest")
      // Estimated as 12,000, but it may be less: it goes, when all is there.
      yield* calls.call(content(35_000))
      assert.deepStrictEqual(calls.entered, [1])
    }))

  it.effect("only because of what is in the cache goes, when all is there", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      const cached = request(50_000, { cache_control: { type: "ephemeral" } })
      const call = yield* calls.call(cached)
      assert.deepStrictEqual(calls.entered, [0])
      assert.strictEqual((yield* left).input, 0)
      yield* finish(call, { exit: Exit.void, usage: usage(50, 10, { cache_read_input_tokens: 49_950 }) })
      assert.strictEqual((yield* left).input, 5950)
      // What is in it is known from then on.
      yield* calls.call(cached)
      assert.lengthOf(calls.entered, 2)
      assert.strictEqual((yield* left).input, 5900)
    }))

  it.effect("only for what may be used at once goes, when all of that is there", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened({ ...whole, burst: 0.5 })
      yield* calls.call(request(5000))
      assert.deepStrictEqual(calls.entered, [0])
      assert.strictEqual((yield* left).input, 0)
    }))

  it.effect.each([NaN, 0, -5])("max_tokens of %d spoils no numbers", (max_tokens) =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened({ ...whole, outputTokens: 12_000 })
      yield* calls.call(request(10, { max_tokens }))
      assert.deepStrictEqual(yield* left, { requests: 59, input: 5990, output: 12_000 - 1024 })
    }))
})

describe("the estimate", () => {
  it.effect("is the count of the API, and the characters where that fails", () =>
    Effect.gen(function*() {
      const countTokens = () => Effect.fail(new ClaudeError.Overloaded({}))
      const { calls, left } = yield* opened({ inputTokens: 6000, headroom: 1, estimate: "count" }, { countTokens })
      yield* calls.call(request(0, { messages: [{ role: "user", content: "x".repeat(2991) }] }))
      assert.approximately((yield* left).input, 5000, 5)
    }))

  it.effect("can be interrupted while it is counted, and holds nothing then", () =>
    Effect.gen(function*() {
      const { admission, calls, left } = yield* opened(whole, { countTokens: () => Effect.never })
      const call = yield* calls.call(request(10))
      call.fiber.interruptUnsafe()
      yield* TestClock.adjust(0)
      assert.isDefined(call.fiber.pollUnsafe())
      assert.include(yield* admission.status, { running: 0, waiting: 0 })
      assert.strictEqual((yield* left).input, 6000)
    }))

  it.effect.each([1, 2, 3.5, 5])("learns how many characters a token has: %d", (characters) =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened({ inputTokens: 1_000_000, outputTokens: 1_000_000, headroom: 1 })
      const asked = request(0, { max_tokens: 4000, messages: [{ role: "user", content: "x".repeat(7000) }] })
      const tokens = 7000 / characters
      for (let i = 0; i < 60; i++) {
        yield* finish(yield* calls.call(asked), { exit: Exit.void, usage: usage(tokens, 300) })
        yield* TestClock.adjust("1 minute")
      }
      yield* calls.call(asked)
      const { input, output } = yield* left
      assert.approximately(1_000_000 - input, tokens, tokens * 0.02)
      // Twice what answers have on average.
      assert.approximately(1_000_000 - output, 600, 10)
    }))

  it.effect("learns nothing of what failed", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened({ outputTokens: 100_000, headroom: 1 })
      const asked = request(10, { max_tokens: 4000 })
      for (let i = 0; i < 20; i++) {
        const end = { ...failed(new ClaudeError.PartialAnswer({})), usage: usage(1, 1) }
        yield* finish(yield* calls.call(asked), end)
      }
      yield* TestClock.adjust("1 minute")
      yield* calls.call(asked)
      assert.strictEqual((yield* left).output, 100_000 - 1024)
    }))
})

describe("an estimate of what cannot be counted", () => {
  const limits = { inputTokens: 1_000_000, headroom: 1 }
  const blocks = (...content: ReadonlyArray<unknown>): Message.Request =>
    request(0, { messages: [{ role: "user", content: content as never }] })
  const text = (length: number) => ({ type: "text", text: "x".repeat(length) })
  const document = { type: "document", source: { type: "file", file_id: "file_1" } }
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "a".repeat(9000) } }
  const search = { type: "web_search_20250305", name: "web_search" } as const

  /** What is reserved for a request, after others that used so much. */
  const reserved = (asked: Message.Request, before: ReadonlyArray<readonly [Message.Request, tokens: number]> = []) =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(limits)
      for (const [asked, tokens] of before) {
        yield* finish(yield* calls.call(asked), { exit: Exit.void, usage: usage(tokens, 10) })
        yield* TestClock.adjust("10 minutes")
      }
      yield* calls.call(asked)
      return 1_000_000 - (yield* left).input
    })

  it.effect("has a default for images, documents and server tools, and their text besides", () =>
    Effect.gen(function*() {
      assert.approximately(yield* reserved(blocks(image, image)), 3200, 20)
      assert.approximately(yield* reserved(blocks(document, text(3000))), 11_000, 20)
      assert.approximately(yield* reserved(request(0, { tools: [search] })), 5000, 50)
      const found = {
        type: "web_search_tool_result",
        tool_use_id: "a",
        content: [{ encrypted_content: "x".repeat(9999) }]
      }
      assert.approximately(yield* reserved(blocks(found)), 10_000, 20)
      // A text is one wherever it is.
      const inline = { type: "document", source: { type: "text", media_type: "text/plain", data: "x".repeat(3000) } }
      assert.approximately(yield* reserved(blocks(inline)), 1000, 20)
    }))

  it.effect.each(
    [
      ["documents", blocks(document, text(30)), 80_000],
      ["images", blocks(image, text(30)), 9000],
      ["server tools", request(0, { tools: [search] }), 15_000]
    ] as const
  )("teaches nothing of texts: %s", ([, asked, tokens]) =>
    Effect.gen(function*() {
      const chat = blocks(text(3000))
      const before = Array.from({ length: 20 }, () => [asked, tokens] as const)
      assert.strictEqual(yield* reserved(chat, before), yield* reserved(chat))
    }))

  it.effect("learns what documents have, and what server tools read", () =>
    Effect.gen(function*() {
      const learned = (asked: Message.Request, tokens: number) =>
        reserved(asked, Array.from({ length: 20 }, () => [asked, tokens] as const))
      assert.approximately(yield* learned(blocks(document, text(30)), 80_000), 80_000, 800)
      assert.approximately(yield* learned(request(0, { tools: [search] }), 15_000), 15_000, 150)
    }))

  const cached = (length: number, question: string): Message.Request =>
    request(0, {
      system: [{ type: "text", text: "y".repeat(length), cache_control: { type: "ephemeral" } }],
      messages: [{ role: "user", content: question }]
    })
  const read = (input: number, read: number, written = 0) =>
    usage(input, 10, { cache_read_input_tokens: read, cache_creation_input_tokens: written })

  it.effect("is the rest, once an answer began that has read the same beginning from the cache", () =>
    Effect.gen(function*() {
      const { admission, calls } = yield* opened({ inputTokens: 30_000 })
      const first = yield* admission.admit(cached(90_000, "What is it?"))
      const others = yield* Effect.forEach([1, 2, 3], (i) => calls.call(cached(90_000, `Question ${i}`)))
      assert.deepStrictEqual(calls.entered, [])
      const begun = { ...answer({}), usage: () => read(10, 28_000) }
      yield* first.opened?.(begun) ?? Effect.void
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(calls.entered, others.map(({ id }) => id))
      // Another beginning is not in it.
      yield* calls.call(cached(89_999, "What is it?"))
      assert.lengthOf(calls.entered, 3)
    }))

  it.effect("is the rest for five minutes after the last use, and for an hour where that is asked for", () =>
    Effect.gen(function*() {
      const long = request(0, { ...cached(90_000, "").params, cache_control: { type: "ephemeral", ttl: "1h" } })
      for (const [asked, minutes] of [[cached(90_000, "What?"), 5], [long, 60]] as const) {
        const { calls, left } = yield* opened(limits)
        yield* finish(yield* calls.call(asked), { exit: Exit.void, usage: read(10, 0, 28_000) })
        const used = Effect.gen(function*() {
          yield* TestClock.adjust("10 millis")
          const before = (yield* left).input
          const call = yield* calls.call(asked)
          const after = (yield* left).input
          yield* finish(call, failed(new ClaudeError.CircuitOpen({})))
          return before - after
        })
        yield* TestClock.adjust(`${minutes - 1} minutes`)
        assert.isBelow(yield* used, 100)
        yield* TestClock.adjust("2 minutes")
        assert.isAbove(yield* used, 25_000)
      }
    }))

  it.effect("grows with a conversation by what is new in it", () =>
    Effect.gen(function*() {
      const turn = (n: number): Message.Request =>
        request(0, {
          cache_control: { type: "ephemeral" },
          messages: Array.from({ length: 2 * n + 1 }, (_, i) => ({
            role: i % 2 === 0 ? "user" as const : "assistant" as const,
            content: `${i}`.padEnd(3000, "x")
          }))
        })
      const { calls, left } = yield* opened(limits)
      yield* finish(yield* calls.call(turn(5)), { exit: Exit.void, usage: read(3, 0, 11_000) })
      yield* TestClock.adjust("1 minute")
      yield* calls.call(turn(6))
      assert.approximately(1_000_000 - (yield* left).input, 2000, 100)
    }))

  it.effect("learns from a cached prompt what texts are, by all that was read", () =>
    Effect.gen(function*() {
      const before = Array.from({ length: 50 }, () => [cached(9000, "What?"), 0] as const)
      const { calls, left } = yield* opened(limits)
      for (const [asked] of before) {
        yield* finish(yield* calls.call(asked), { exit: Exit.void, usage: read(3, 3000) })
        yield* TestClock.adjust("1 minute")
      }
      yield* TestClock.adjust("10 minutes")
      yield* calls.call(blocks(text(9000)))
      assert.approximately(1_000_000 - (yield* left).input, 3000, 50)
    }))
})

describe("a call that could only be sent just before its deadline", () => {
  it.effect("G6, G8: is told so on arrival, by its place in the queue, with when it could go", () =>
    Effect.gen(function*() {
      const { calls } = yield* opened({ requests: 60, headroom: 1 })
      // Answers of four seconds.
      for (let i = 0; i < 60; i++) {
        const call = yield* calls.call(request(1))
        yield* TestClock.adjust("4 seconds")
        yield* finish(call, { exit: Exit.void, usage: usage(1, 1) })
      }
      const start = 240_000
      for (let i = 0; i < 70; i++) yield* calls.call(request(1))
      assert.lengthOf(calls.entered, 120)
      // Ten wait: it could go in 11 seconds, and twice what answers took is kept.
      const late = yield* calls.call(request(1), "default", start + 18_900)
      assert.deepInclude(failureOf(late), { _tag: "Saturated", by: "quota", retryAfter: Duration.seconds(11) })
      const inTime = yield* calls.call(request(1), "default", start + 19_100)
      assert.isUndefined(failureOf(inTime))
      // It is never kept more than a half: answers may be longer than the deadline.
      const short = yield* calls.call(request(1), "interactive", start + 2000)
      assert.isUndefined(failureOf(short))
      assert.deepInclude(failureOf(yield* calls.call(request(1), "interactive", start + 2000)), { by: "quota" })
    }))
})

describe("an answer that its reader leaves", () => {
  it.effect("teaches nothing of how long answers are", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 20; i++) yield* Stream.runDrain(Stream.take(Claude.events("hi"), 2))
      yield* TestClock.adjust("1 minute")
      yield* Claude.open("hi")
      const { admission } = yield* Guards.status
      assert.strictEqual(admission["sonnet"]?.quota?.["output"]?.remaining, 100_000 - 1024)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        FakeClaude.layer(Faults.cycle(Faults.answer("one two three", { outputTokens: 5 }))).pipe(
          Guards.apply({ quota: { outputTokens: 100_000, headroom: 1 } })
        )
      )
    ))
})

describe("what the API says", () => {
  const opening = (quota: Quota.Options, rateLimits: Message.RateLimits) =>
    Effect.gen(function*() {
      const { admission, left } = yield* opened(quota)
      const lease = yield* admission.admit(request(10))
      if (lease.opened) yield* lease.opened(answer(rateLimits))
      yield* lease.settle(Exit.void, usage(10, 100))
      return { admission, levels: yield* left }
    })

  it.effect("lowers what is left, less what is kept free, and never raises it", () =>
    Effect.gen(function*() {
      const quota = { ...whole, headroom: 0.8 }
      const { levels } = yield* opening(quota, { requests: limit(60, 20), inputTokens: limit(6000, 6000) })
      assert.approximately(levels.requests, 16, 1e-9)
      assert.approximately(levels.input, 4790, 1e-9)
      const { levels: none } = yield* opening(quota, { requests: limit(60, 0) })
      assert.strictEqual(none.requests, 0)
    }))

  it.effect("of its limits is learned, if they are lower than was set, and forgotten when they are raised", () =>
    Effect.gen(function*() {
      const { admission, left } = yield* opened(whole)
      const say = (inputTokens: Message.RateLimit) =>
        Effect.flatMap(
          admission.admit(request(1)),
          (lease) =>
            Effect.andThen(lease.opened?.(answer({ inputTokens })) ?? Effect.void, lease.settle(Exit.void, usage(1, 1)))
        )
      yield* say(limit(600, 500))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* left, { requests: 60, input: 600, output: 1200 })
      assert.strictEqual((yield* Effect.flip(admission.admit(request(601))))._tag, "InvalidRequest")
      yield* say(limit(60_000, 60_000))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* left, { requests: 60, input: 6000, output: 1200 })
    }))

  it.effect("holds up nobody who waits for more than there is now", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole, { concurrency: { maxWait: "5 minutes" } })
      const first = yield* calls.call(request(6000))
      const large = yield* calls.call(request(5000))
      const small = yield* calls.call(request(10))
      const limits = { inputTokens: limit(600, 0) }
      yield* finish(first, failed(new ClaudeError.RateLimited({ limits })))
      // All that there is now comes back in a minute, and what the small one takes in another second.
      yield* TestClock.adjust("61 seconds")
      assert.deepStrictEqual(calls.entered, [first.id, large.id, small.id])
      yield* finish(large, { exit: Exit.interrupt() })
      yield* finish(small, { exit: Exit.interrupt() })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* left).input, 600)
    }))

  it.effect("is per minute, whatever the time is in which the quota was given", () =>
    Effect.gen(function*() {
      const { admission, levels } = yield* opening(
        { requests: 1000, per: "1 hour", headroom: 0.8 },
        { requests: limit(60, 50) }
      )
      // A fifth of 1000 an hour, which are 17 a minute, is kept free.
      assert.approximately(levels.requests, 50 - 1000 / 60 / 5, 1e-9)
      yield* TestClock.adjust("1 hour")
      // The API showed no more in a minute.
      assert.strictEqual((yield* admission.status).remaining?.requests, 51)
    }))

  it.effect.each([
    limit(0, undefined),
    limit(-5, -5),
    limit(NaN, NaN),
    limit(undefined, undefined)
  ])("is passed over where it cannot be meant: %j", (requests) =>
    Effect.gen(function*() {
      const { levels } = yield* opening(whole, { requests, inputTokens: requests })
      assert.deepStrictEqual(levels, { requests: 59, input: 5990, output: 1100 })
    }))

  it.effect.each([null, "none", { requests: null }, { requests: "x" }, { requests: { limit: "x", remaining: {} } }, [
    1
  ]])(
    "G16: is passed over in an error that holds anything: %j",
    (limits) =>
      Effect.gen(function*() {
        const { calls, left } = yield* opened(whole)
        yield* finish(yield* calls.call(request(10)), failed(new ClaudeError.RateLimited({ limits: limits as never })))
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(yield* left, { requests: 60, input: 6000, output: 1200 })
      })
  )

  it.effect("raises what is used of the limits to 95 % while it is fresh, and only of the buckets it names", () =>
    Effect.gen(function*() {
      const { admission, left } = yield* opened({ requests: 60, inputTokens: 6000 })
      const lease = yield* admission.admit(request(10))
      yield* lease.opened?.(answer({ requests: limit(60, 60) })) ?? Effect.void
      yield* lease.settle(Exit.void, usage(10, 100))
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual(yield* left, { requests: 57, input: 4980, output: Infinity })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* left, { requests: 49.8, input: 4980, output: Infinity })
    }))

  it.effect("shows how many requests a bucket holds: more are not sent at once", () =>
    Effect.gen(function*() {
      const { admission, calls } = yield* opened({ requests: 180 })
      const lease = yield* admission.admit(request(10))
      yield* lease.opened?.(answer({ requests: limit(180, 3) })) ?? Effect.void
      yield* TestClock.adjust("30 seconds")
      for (let i = 0; i < 20; i++) yield* calls.call(request(1))
      assert.lengthOf(calls.entered, 4)
      // An error shows nothing: its bucket may be empty for a while.
      yield* lease.settle(Exit.fail(new ClaudeError.Overloaded({ limits: { requests: limit(180, 0) } })))
      yield* TestClock.adjust("2 seconds")
      assert.isAtLeast(calls.entered.length, 8)
    }))

  it.effect("is never taken for more than was stated", () =>
    Effect.gen(function*() {
      const { admission, left } = yield* opened({ requests: 60 })
      const lease = yield* admission.admit(request(10))
      yield* lease.opened?.(answer({ requests: limit(6000, 6000) })) ?? Effect.void
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual((yield* left).requests, 57)
    }))

  it.effect("does not take away what has come back since, however often it says that nothing is left", () =>
    Effect.gen(function*() {
      const { calls } = yield* opened({ requests: 60 }, { concurrency: { maxWait: "10 minutes" } })
      // One request a second comes back, and each answer begins half a second after it was asked for.
      for (let i = 0; i < 200; i++) yield* calls.call(request(1))
      const sent = calls.entered.length
      for (let second = 0; second < 60; second++) {
        for (const call of calls.calls) {
          if (calls.running.has(call.id)) yield* Deferred.succeed(call.end, failed(next429(0)))
        }
        yield* TestClock.adjust("1 second")
      }
      assert.isAtLeast(calls.entered.length - sent, 54)
    }))

  const next429 = (remaining: number) =>
    new ClaudeError.Overloaded({ status: 529, limits: { requests: limit(60, remaining) } })

  it.effect("counts what was sent after the request that it answers", () =>
    Effect.gen(function*() {
      const { admission, left } = yield* opened({ requests: 60, headroom: 1 })
      const first = yield* admission.admit(request(1))
      for (let i = 0; i < 9; i++) yield* admission.admit(request(1))
      yield* first.opened?.(answer({ requests: limit(60, 20) })) ?? Effect.void
      assert.strictEqual((yield* left).requests, 11)
    }))

  it.effect("in a 429 that there is nothing left is believed, until it says to come back", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      const limits = { requests: limit(60, 30), inputTokens: limit(6000, 0) }
      const error = new ClaudeError.RateLimited({ retryAfter: Duration.seconds(20), limits })
      yield* finish(yield* calls.call(request(10)), failed(error))
      assert.deepStrictEqual(yield* left, { requests: 30, input: 0, output: 1200 })
      yield* calls.call(request(1000))
      yield* TestClock.adjust(19_999)
      assert.deepStrictEqual(calls.entered, [0])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(calls.entered, [0, 1])
    }))

  it.effect("in a 429 that does not say what was used up, is that there are no requests left", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      yield* finish(yield* calls.call(request(10)), failed(new ClaudeError.RateLimited({})))
      assert.deepStrictEqual(yield* left, { requests: 0, input: 6000, output: 1200 })
    }))

  it.effect("in a 429 that does not say what was used up, is heard besides", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      const first = yield* calls.call(request(10))
      yield* finish(first, failed(new ClaudeError.RateLimited({ limits: { inputTokens: limit(600, 500) } })))
      assert.deepStrictEqual(yield* left, { requests: 0, input: 500, output: 1200 })
    }))

  it.effect("in a 429 that the traffic grew too fast, is not that anything was used up", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      yield* finish(yield* calls.call(request(10)), failed(new ClaudeError.RateLimited({ ramp: true })))
      assert.deepStrictEqual(yield* left, { requests: 59, input: 6000, output: 1200 })
    }))

  const remaining = (tokens: number) => ({
    "anthropic-ratelimit-input-tokens-limit": "6000",
    "anthropic-ratelimit-input-tokens-remaining": `${tokens}`
  })
  it.effect.each([400, 401, 404, 413, 500, 529])(
    "next to any other error is heard too: %d",
    (status) =>
      Effect.gen(function*() {
        const { calls, left } = yield* opened(whole)
        const error = classify({ status, headers: new Headers(remaining(120)) }, { model, now: 0 })
        yield* finish(yield* calls.call(request(10)), failed(error))
        assert.strictEqual((yield* left).input, 120)
      })
  )

  it.effect("is heard by a guarded Claude, in answers and in errors", () =>
    Effect.gen(function*() {
      const input = Effect.map(Guards.status, ({ admission }) => admission["sonnet"]?.quota?.["input"]?.remaining)
      yield* Claude.text("hi")
      assert.isAtMost((yield* input) ?? NaN, 1000)
      yield* Effect.flip(Claude.text("hi"))
      assert.strictEqual(yield* input, 70)
    }).pipe(Effect.provide(
      FakeClaude.layer([
        Faults.stream(Faults.events("hello"), { name: "an answer", headers: remaining(1000) }),
        Faults.fails(529, "overloaded_error", "Overloaded", { headers: remaining(70) })
      ]).pipe(Guards.apply({ quota: { inputTokens: 6000, headroom: 1 } }), Layer.provideMerge(CallLog.layerMemory))
    )))
})

// -----------------------------------------------------------------------------
// Classes
// -----------------------------------------------------------------------------

describe("classes of models", () => {
  const ask = (model: string) => Effect.exit(Claude.text("hi", { model }))
  const admission = Effect.map(Guards.status, ({ admission }) => admission)
  const guarded = (quota: Quota.Options) =>
    FakeClaude.layer(Faults.by(() => Faults.answer("hello"))).pipe(
      Guards.apply({ quota, concurrency: { maxWait: "1 second" } }),
      Layer.provideMerge(CallLog.layerMemory)
    )

  it.effect("have a queue each: models of one line share theirs", () =>
    Effect.gen(function*() {
      yield* ask("claude-sonnet-5-5")
      yield* ask("claude-sonnet-4-5")
      yield* ask("claude-opus-4-5")
      yield* ask("somebody-elses-model")
      const queues = yield* admission
      assert.deepStrictEqual(
        Object.fromEntries(Object.entries(queues).map(([name, { quota }]) => [name, quota?.["requests"]?.remaining])),
        { sonnet: 8, opus: 1, "somebody-elses-model": 9 }
      )
      assert.isTrue(Exit.isSuccess(yield* ask("claude-opus-4-5")))
      // None is left for opus, and all others go on.
      assert.isTrue(Exit.isFailure(yield* ask("claude-opus-4-5")))
      assert.isTrue(Exit.isSuccess(yield* ask("claude-sonnet-5-5")))
    }).pipe(Effect.provide(guarded({ requests: 10, headroom: 1, classes: { opus: { requests: 2 } } }))))

  it.effect("may be one model, whichever of its line is asked first", () =>
    Effect.gen(function*() {
      yield* ask("claude-sonnet-5-5")
      yield* ask("claude-sonnet-4-5")
      yield* ask("claude-sonnet-4-5")
      const queues = yield* admission
      assert.deepStrictEqual(
        Object.fromEntries(Object.entries(queues).map(([name, { quota }]) => [name, quota?.["requests"]?.remaining])),
        { sonnet: 9, "claude-sonnet-4-5": 1 }
      )
    }).pipe(Effect.provide(guarded({ requests: 10, headroom: 1, classes: { "claude-sonnet-4-5": { requests: 3 } } }))))

  it("have what they do not say themselves like all others", () => {
    const { classOf } = Quota.settings({
      requests: 10,
      inputTokens: 1000,
      classes: { opus: { requests: 2, inputTokens: undefined }, "claude-opus-4-5": { outputTokens: 5 } }
    })
    assert.deepStrictEqual(classOf("opus", "claude-opus-5"), {
      name: "opus",
      limits: { requests: 2, input: 1000, output: Infinity }
    })
    assert.deepStrictEqual(classOf("opus", "claude-opus-4-5"), {
      name: "claude-opus-4-5",
      limits: { requests: 10, input: 1000, output: 5 }
    })
    const usual = { requests: 10, input: 1000, output: Infinity }
    assert.deepStrictEqual(classOf("haiku", "claude-haiku-4-5"), { name: "haiku", limits: usual })
    assert.deepStrictEqual(classOf(undefined, "toString"), { name: "toString", limits: usual })
  })
})

// -----------------------------------------------------------------------------
// Stores
// -----------------------------------------------------------------------------

describe("a store that does not work", () => {
  const all = (answer: () => Effect.Effect<never, unknown>): Quota.Store => ({
    take: answer,
    add: answer,
    sync: answer,
    levels: answer
  })
  const broken: ReadonlyArray<readonly [string, Quota.Store]> = [
    ["fails", all(() => Effect.fail("down"))],
    ["dies", all(() => Effect.die(new Error("down")))],
    [
      "throws",
      all(() => {
        throw new Error("down")
      })
    ]
  ]

  it.effect.each(broken)(
    "G15: because it %s fails no call, holds up none, and is reported",
    ([, store]) =>
      Effect.gen(function*() {
        const { admission, calls, failures } = yield* opened(whole, { store, concurrency: { max: 2 } })
        for (let i = 0; i < 4; i++) yield* calls.call(request(6000))
        assert.deepStrictEqual(calls.entered, [0, 1])
        for (const end of [{ exit: Exit.void, usage: usage(9, 9) }, failed(new ClaudeError.RateLimited({}))]) {
          const call = calls.calls.find(({ id }) => calls.running.has(id))
          if (call) yield* finish(call, end)
        }
        assert.deepStrictEqual(calls.entered, [0, 1, 2, 3])
        assert.deepStrictEqual(yield* admission.status, { running: 2, waiting: 0, limit: 2, remaining: undefined })
        assert.isAbove(failures.length, 4)
        for (const { fiber } of calls.calls) fiber.interruptUnsafe()
        yield* TestClock.adjust(0)
        assert.include(yield* admission.status, { running: 0 })
      })
  )

  it.effect.each([NaN, -1, -Infinity])(
    "G15: and one that says to wait %d ms is taken to have nothing against it",
    (wait) =>
      Effect.gen(function*() {
        const store = { ...Quota.memory(), take: () => Effect.succeed(wait) }
        const { admission, calls } = yield* opened(whole, { store, concurrency: { max: 2 } })
        for (let i = 0; i < 3; i++) yield* calls.call(request(10))
        assert.deepStrictEqual(calls.entered, [0, 1])
        assert.include(yield* admission.status, { running: 2, waiting: 1 })
      })
  )

  it.effect("G15: that is said in the log, once a minute, by the name of the error", () =>
    Effect.gen(function*() {
      for (let i = 0; i < 3; i++) assert.strictEqual(yield* Claude.text("hi"), "hello")
      yield* TestClock.adjust("1 minute")
      yield* Claude.text("hi")
      const warnings = (yield* Effect.flatMap(CallLog.Memory, Ref.get)).filter(({ _tag }) => _tag === "Warning")
      assert.lengthOf(warnings, 2)
      assert.include(warnings[0], { code: "GuardStoreFailed" })
      assert.notInclude(JSON.stringify(warnings), "secret")
    }).pipe(Effect.provide(
      FakeClaude.layer(Faults.by(() => Faults.answer("hello"))).pipe(
        Guards.apply({ quota: { requests: 1 } }),
        Layer.provide(Layer.succeed(Quota.Store, all(() => Effect.die(new Error("redis://user:secret@host"))))),
        Layer.provideMerge(CallLog.layerMemory)
      )
    )))
})

// -----------------------------------------------------------------------------
// Settings
// -----------------------------------------------------------------------------

describe("Quota.settings", () => {
  const above = "it must be above 0"
  const slip = { requests: undefined, request: 5 }
  const otherSlip = { input_tokens: 5 }
  const refused: ReadonlyArray<readonly [Quota.Options, string]> = [
    [{}, "quota limits nothing: give requests, inputTokens or outputTokens, or leave it out"],
    [{ requests: Infinity }, "quota limits nothing: give requests, inputTokens or outputTokens, or leave it out"],
    [{ classes: { opus: {} } }, "quota limits nothing: give requests, inputTokens or outputTokens, or leave it out"],
    [{ requests: 0 }, `quota.requests is 0: ${above}`],
    [{ requests: -1 }, `quota.requests is -1: ${above}`],
    [{ inputTokens: NaN }, `quota.inputTokens is NaN: ${above}`],
    [{ outputTokens: 0 }, `quota.outputTokens is 0: ${above}`],
    [{ requests: 1, classes: { opus: { requests: 0 } } }, `quota: classes.opus.requests is 0: ${above}`],
    [
      { requests: 1, classes: { opus: slip } },
      "quota: classes.opus has no field request: it has requests, inputTokens, outputTokens"
    ],
    [{ requests: 1, headroom: 0 }, "quota: headroom is 0: it must be a share, above 0 and at most 1"],
    [{ requests: 1, headroom: 83 }, "quota: headroom is 83: it must be a share, above 0 and at most 1"],
    [{ requests: 1, burst: 0 }, "quota: burst is 0: it must be a share, above 0 and at most 1"],
    [{ requests: 1, burst: NaN }, "quota: burst is NaN: it must be a share, above 0 and at most 1"],
    [
      { requests: 1, burst: 0.9 },
      "quota: burst (0.9) is more than headroom (0.83), which is all there is: lower burst"
    ],
    [{ requests: 1, per: 0 }, "quota: per is 0: it must be a duration longer than nothing"],
    [{ requests: 1, per: "-1 minute" }, "quota: per is \"-1 minute\": it must be a duration longer than nothing"],
    [{ requests: 1, per: Infinity }, "quota: per is without end: name a time"],
    [
      // As it may come from a file.
      { requests: 1, estimate: "tokens" as "count" },
      "quota: estimate is tokens: it must be \"characters\" or \"count\""
    ],
    [
      { requests: 1, ...otherSlip },
      "quota has no field input_tokens: it has requests, inputTokens, outputTokens, per, headroom, burst, classes, estimate"
    ]
  ]

  it.each(refused)(
    "G12: %j is refused, with a sentence that names the field and what to change",
    (options, sentence) => {
      assert.throws(() => Quota.settings(options), RangeError, sentence)
    }
  )

  it("what is not said has its default", () => {
    const { classOf: _, ...usual } = Quota.settings({ requests: 60 })
    const [own, told] = [{ headroom: 0.83, burst: 0.83 }, { headroom: 0.95, burst: 0.95 }]
    assert.deepStrictEqual(usual, { per: 60_000, own, told, estimate: "characters" })
    // What is said is kept, whatever the API says.
    const half = { headroom: 0.5, burst: 0.5 }
    assert.deepInclude(Quota.settings({ requests: 60, headroom: 0.5 }), { own: half, told: half })
  })
})
