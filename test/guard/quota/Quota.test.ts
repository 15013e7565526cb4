/** Requests and tokens per minute: estimates, refills, and the API's own count. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Layer, Ref, Stream } from "effect"
import { TestClock } from "effect/testing"
import { inspect } from "node:util"
import * as Settings from "../../../src/guard/quota/settings.ts"
import { CallLog, Claude, ClaudeError, Guards, type Message, Quota } from "../../../src/index.ts"
import { FakeClaude, Faults } from "../../../src/testing/index.ts"
import { classify } from "../../../src/wire/classify.ts"
import { type Call, caller, type End, failureOf, make, model, request, usage } from "../../support/admission.ts"
import { steppedBack } from "../../support/steppedBack.ts"

const finish = (call: Call, end: End) => Effect.andThen(Deferred.succeed(call.end, end), TestClock.adjust(0))
const failed = (error: ClaudeError.ClaudeError): End => ({ exit: Exit.fail(error) })

/** Uses the whole limit, so that the numbers are easy to follow. */
const whole = { requests: 60, inputTokens: 6000, outputTokens: 1200, headroom: 1, estimate: "count" } as const

const limit = (limit: number | undefined, remaining: number | undefined) => ({ limit, remaining, reset: undefined })

/** An answer that has begun, with its rate-limit headers. */
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
  it.effect("is reserved in all dimensions or in none", () =>
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

  it.effect("refills continuously, up to its capacity", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened({ ...whole, per: "10 seconds" })
      yield* calls.call(request(6000))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* left, { requests: 60, input: 3000, output: 1200 })
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* left, { requests: 60, input: 6000, output: 1200 })
    }))

  it.effect("lets calls use the share `burst` of a limit at once (83 % by default), and then the share `headroom` of that limit in each minute", () =>
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

  it.effect("lets one request begin even if its burst is less than one request", () =>
    Effect.gen(function*() {
      const { calls } = yield* opened({ requests: 1 })
      yield* calls.call(request(1))
      assert.deepStrictEqual(calls.entered, [0])
    }))

  it.effect.each(["requests", "inputTokens", "outputTokens"] as const)(
    "that sets only %s limits no other dimension, and all its numbers are finite or Infinity",
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
        // One call tests whether the pause is over.
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

describe("when the clock is set back, a quota", () => {
  const hour = 3_600_000

  it.effect("gives a rejected call the same retryAfter as before", () =>
    steppedBack((back) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("10 hours")
        const { calls } = yield* opened({ requests: 60, headroom: 1 }, { concurrency: { queue: 1 } })
        for (let i = 0; i < 61; i++) yield* calls.call(request(1))
        yield* back(hour)
        const late = yield* calls.call(request(1))
        // One call waits before it.
        assert.deepInclude(failureOf(late), { by: "quota", retryAfter: Duration.seconds(2) })
      })
    ))

  it.effect("lets the next call begin when the pause that the API asked for is over", () =>
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

  it.effect("goes on serving waiting calls", () =>
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

describe("the usage of a call", () => {
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
    ["is what the API reports", { exit: Exit.void, usage: usage(700, 30) }, [1, 700, 30]],
    ["may exceed the estimate", { exit: Exit.void, usage: usage(2500, 400) }, [1, 2500, 400]],
    [
      "excludes input read from the cache, and includes input written to it",
      { exit: Exit.void, usage: usage(10, 30, { cache_read_input_tokens: 900, cache_creation_input_tokens: 90 }) },
      [1, 100, 30]
    ],
    ["is what was reported before the answer broke off", { ...failed(new PartialAnswer({})), usage: usage(900, 7) }, [
      1,
      900,
      7
    ]],
    ["is what was reported before the call was interrupted", { exit: Exit.interrupt(), usage: usage(900, 7) }, [
      1,
      900,
      7
    ]],
    ["is its estimated input if the call was interrupted before the answer", { exit: Exit.interrupt() }, [1, 1000, 0]],
    ["is its estimated input after a defect", { exit: Exit.die("a bug") }, [1, 1000, 0]],
    ["is its estimated input if the API failed", failed(new ServerFault({ status: 500 })), [1, 1000, 0]],
    ["is its estimated input after a time-out", failed(new TimedOut({ scope: "firstToken" })), [1, 1000, 0]],
    ["is its estimated input if the connection broke", failed(new Unreachable({ code: "ECONNRESET" })), [1, 1000, 0]],
    ["is one request if the API rejected the request", failed(new InvalidRequest({ status: 400, sent: true })), [
      1,
      0,
      0
    ]],
    ["is one request if the model does not exist", failed(new ResourceNotFound({ status: 404 })), [1, 0, 0]],
    ["is one request if the API is overloaded", failed(new Overloaded({ status: 529 })), [1, 0, 0]],
    ["is nothing if the connection was refused", failed(new Unreachable({ code: "ECONNREFUSED" })), [0, 0, 0]],
    ["is nothing if the host name is unknown", failed(new Unreachable({ code: "ENOTFOUND" })), [0, 0, 0]],
    ["is nothing if the request was rejected locally", failed(new InvalidRequest({ sent: false })), [0, 0, 0]],
    ["is nothing if the circuit is open", failed(new ClaudeError.CircuitOpen({})), [0, 0, 0]]
  ]
  it.effect.each(table)("%s", ([, end, used]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* settled(end), [...used])
    }))

  it.effect("is nothing if the call left the queue before its turn", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      yield* calls.call(request(6000))
      const waiter = yield* calls.call(request(6000))
      waiter.fiber.interruptUnsafe()
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* left, { requests: 60, input: 6000, output: 1200 })
    }))

  it.effect("becomes a debt if it exceeds the quota that is left, and later calls wait until the debt is refilled", () =>
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

  it.effect("is settled before waiting calls are checked, so that a call that needs the returned tokens begins at once", () =>
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
  it.effect("for the account's limit fails at once, without being sent, with a message that says what to change", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      const error = failureOf(yield* calls.call(request(6001)))
      if (error?._tag !== "InvalidRequest") return assert.fail(`it is ${error?._tag}`)
      assert.isFalse(error.sent)
      assert.include(
        error.message,
        "the request has at least 6001 input tokens, but the quota allows only 6000 per minute: shorten the request, or raise inputTokens in the quota if the account has a higher limit"
      )
      assert.strictEqual((yield* left).input, 6000)
    }))

  it.effect("for the account's limit fails, if its tokens are only estimated, only if even the lowest estimate exceeds the limit", () =>
    Effect.gen(function*() {
      const { calls } = yield* opened({ inputTokens: 6000 })
      const content = (length: number) => request(0, { messages: [{ role: "user", content: "x".repeat(length) }] })
      assert.strictEqual(failureOf(yield* calls.call(content(37_000)))?._tag, "InvalidRequest")
      // Estimated as 12,000 tokens, but possibly less: the request leaves when the bucket is full.
      yield* calls.call(content(35_000))
      assert.deepStrictEqual(calls.entered, [1])
    }))

  it.effect("only because of its cached part is sent when the bucket is full", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      const cached = request(50_000, { cache_control: { type: "ephemeral" } })
      const call = yield* calls.call(cached)
      assert.deepStrictEqual(calls.entered, [0])
      assert.strictEqual((yield* left).input, 0)
      yield* finish(call, { exit: Exit.void, usage: usage(50, 10, { cache_read_input_tokens: 49_950 }) })
      assert.strictEqual((yield* left).input, 5950)
      // From then on the cached part is known.
      yield* calls.call(cached)
      assert.lengthOf(calls.entered, 2)
      assert.strictEqual((yield* left).input, 5900)
    }))

  it.effect("for the burst, but not for the account's limit, is sent when the bucket is full", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened({ ...whole, burst: 0.5 })
      yield* calls.call(request(5000))
      assert.deepStrictEqual(calls.entered, [0])
      assert.strictEqual((yield* left).input, 0)
    }))

  it.effect.each([NaN, 0, -5])(
    "is not recognized from an invalid max_tokens (%d): the default of 1024 output tokens is reserved",
    (max_tokens) =>
      Effect.gen(function*() {
        const { calls, left } = yield* opened({ ...whole, outputTokens: 12_000 })
        yield* calls.call(request(10, { max_tokens }))
        assert.deepStrictEqual(yield* left, { requests: 59, input: 5990, output: 12_000 - 1024 })
      })
  )
})

describe("the estimate of a request", () => {
  it.effect("uses the number of characters if the API fails to count the tokens", () =>
    Effect.gen(function*() {
      const countTokens = () => Effect.fail(new ClaudeError.Overloaded({}))
      const { calls, left } = yield* opened({ inputTokens: 6000, headroom: 1, estimate: "count" }, { countTokens })
      yield* calls.call(request(0, { messages: [{ role: "user", content: "x".repeat(2991) }] }))
      assert.approximately((yield* left).input, 5000, 5)
    }))

  it.effect("can be interrupted while the API counts the tokens, and its call then neither waits nor runs nor uses quota", () =>
    Effect.gen(function*() {
      const { admission, calls, left } = yield* opened(whole, { countTokens: () => Effect.never })
      const call = yield* calls.call(request(10))
      call.fiber.interruptUnsafe()
      yield* TestClock.adjust(0)
      assert.isDefined(call.fiber.pollUnsafe())
      assert.include(yield* admission.status, { running: 0, waiting: 0 })
      assert.strictEqual((yield* left).input, 6000)
    }))

  it.effect.each([1, 2, 3.5, 5])(
    "learns from answers how many characters a token has (%d), and how long answers are",
    (characters) =>
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
        // Twice the average of the answers.
        assert.approximately(1_000_000 - output, 600, 10)
      })
  )

  it.effect("learns nothing from failures", () =>
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

describe("the estimate of content that cannot be counted", () => {
  const limits = { inputTokens: 1_000_000, headroom: 1 }
  const blocks = (...content: ReadonlyArray<unknown>): Message.Request =>
    request(0, { messages: [{ role: "user", content: content as never }] })
  const text = (length: number) => ({ type: "text", text: "x".repeat(length) })
  const document = { type: "document", source: { type: "file", file_id: "file_1" } }
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "a".repeat(9000) } }
  const search = { type: "web_search_20250305", name: "web_search" } as const

  /** The reserved input tokens of a request, after earlier requests with the given usage. */
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

  it.effect("has defaults for images, documents, server tools and their results, and adds the estimate of the text, also of a plain-text document", () =>
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
      // Text counts as text wherever it is.
      const inline = { type: "document", source: { type: "text", media_type: "text/plain", data: "x".repeat(3000) } }
      assert.approximately(yield* reserved(blocks(inline)), 1000, 20)
    }))

  it.effect.each(
    [
      ["documents", blocks(document, text(30)), 80_000],
      ["images", blocks(image, text(30)), 9000],
      ["server tools", request(0, { tools: [search] }), 15_000]
    ] as const
  )("does not change the estimate of texts after 20 requests with %s", ([, asked, tokens]) =>
    Effect.gen(function*() {
      const chat = blocks(text(3000))
      const before = Array.from({ length: 20 }, () => [asked, tokens] as const)
      assert.strictEqual(yield* reserved(chat, before), yield* reserved(chat))
    }))

  it.effect("learns the size of documents and of the results of server tools", () =>
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

  it.effect("excludes the cached prefix, once an answer has read the same prefix from the cache", () =>
    Effect.gen(function*() {
      const { admission, calls } = yield* opened({ inputTokens: 30_000 })
      const first = yield* admission.admit(cached(90_000, "What is it?"))
      const others = yield* Effect.forEach([1, 2, 3], (i) => calls.call(cached(90_000, `Question ${i}`)))
      assert.deepStrictEqual(calls.entered, [])
      const begun = { ...answer({}), usage: () => read(10, 28_000) }
      yield* first.opened?.(begun) ?? Effect.void
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(calls.entered, others.map(({ id }) => id))
      // Another prefix is not cached.
      yield* calls.call(cached(89_999, "What is it?"))
      assert.lengthOf(calls.entered, 3)
    }))

  it.effect("excludes the cached prefix for five minutes after its last use, or for an hour if the request asks for that", () =>
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

  it.effect("grows with a conversation by its new messages only", () =>
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

  it.effect("learns tokens per character from all input of a cached prompt, including the input that was read from the cache", () =>
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
  it.effect("G6, G8: is rejected on arrival because of its place in the queue, with a retryAfter that ends at its turn", () =>
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
      // Ten calls wait: its turn comes in 11 seconds, and twice the average answer time is kept.
      const late = yield* calls.call(request(1), "default", start + 18_900)
      assert.deepInclude(failureOf(late), { _tag: "Saturated", by: "quota", retryAfter: Duration.seconds(11) })
      const inTime = yield* calls.call(request(1), "default", start + 19_100)
      assert.isUndefined(failureOf(inTime))
      // At most half of the time is kept, because answers may take longer than the deadline.
      const short = yield* calls.call(request(1), "interactive", start + 2000)
      assert.isUndefined(failureOf(short))
      assert.deepInclude(failureOf(yield* calls.call(request(1), "interactive", start + 2000)), { by: "quota" })
    }))
})

describe("an answer that its reader leaves", () => {
  it.effect("does not change the estimated length of answers", () =>
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

describe("the count in the rate-limit headers", () => {
  const opening = (quota: Quota.Options, rateLimits: Message.RateLimits) =>
    Effect.gen(function*() {
      const { admission, left } = yield* opened(quota)
      const lease = yield* admission.admit(request(10))
      if (lease.opened) yield* lease.opened(answer(rateLimits))
      yield* lease.settle(Exit.void, usage(10, 100))
      return { admission, levels: yield* left }
    })

  it.effect("lowers the remaining quota to the reported `remaining`, minus the part of the API's bucket that `headroom` keeps free, and never raises the quota", () =>
    Effect.gen(function*() {
      const quota = { ...whole, headroom: 0.8 }
      const { levels } = yield* opening(quota, { requests: limit(60, 20), inputTokens: limit(6000, 6000) })
      assert.approximately(levels.requests, 16, 1e-9)
      assert.approximately(levels.input, 4790, 1e-9)
      const { levels: none } = yield* opening(quota, { requests: limit(60, 0) })
      assert.strictEqual(none.requests, 0)
    }))

  it.effect("comes with a limit, which the quota uses while it is lower than the limit in the options", () =>
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

  it.effect("may lower a limit below the need of a waiting call, which is then sent when the bucket is full", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole, { concurrency: { maxWait: "5 minutes" } })
      const first = yield* calls.call(request(6000))
      const large = yield* calls.call(request(5000))
      const small = yield* calls.call(request(10))
      const limits = { inputTokens: limit(600, 0) }
      yield* finish(first, failed(new ClaudeError.RateLimited({ limits })))
      // The whole new capacity refills in a minute, and the need of the small call in another second.
      yield* TestClock.adjust("61 seconds")
      assert.deepStrictEqual(calls.entered, [first.id, large.id, small.id])
      yield* finish(large, { exit: Exit.interrupt() })
      yield* finish(small, { exit: Exit.interrupt() })
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* left).input, 600)
    }))

  it.effect("is taken as a quota per minute, whatever the option `per` is", () =>
    Effect.gen(function*() {
      const { admission, levels } = yield* opening(
        { requests: 1000, per: "1 hour", headroom: 0.8 },
        { requests: limit(60, 50) }
      )
      // A fifth of 1000 per hour (17 per minute) stays free.
      assert.approximately(levels.requests, 50 - 1000 / 60 / 5, 1e-9)
      yield* TestClock.adjust("1 hour")
      // The API has shown that at most 51 requests fit into its bucket.
      assert.strictEqual((yield* admission.status).remaining?.requests, 51)
    }))

  it.effect.each(
    [
      ["a limit of 0", limit(0, undefined)],
      ["negative numbers", limit(-5, -5)],
      ["NaN", limit(NaN, NaN)],
      ["no numbers", limit(undefined, undefined)]
    ] as const
  )("is ignored if it contains %s", ([, requests]) =>
    Effect.gen(function*() {
      const { levels } = yield* opening(whole, { requests, inputTokens: requests })
      assert.deepStrictEqual(levels, { requests: 59, input: 5990, output: 1100 })
    }))

  it.effect.each([
    ["null", null],
    ["a text", "none"],
    ["a list", [1]],
    ["requests that are null", { requests: null }],
    ["requests that are a text", { requests: "x" }],
    ["counts that are no numbers", { requests: { limit: "x", remaining: {} } }]
  ])("G16: is ignored in an error whose limits are malformed: %s", ([, limits]) =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      yield* finish(yield* calls.call(request(10)), failed(new ClaudeError.RateLimited({ limits: limits as never })))
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* left, { requests: 60, input: 6000, output: 1200 })
    }))

  it.effect("raises the default headroom to 95 % for a minute, only in the dimensions that it names", () =>
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

  it.effect("limits later bursts to one request more than an answer's `remaining`, even after an error that reports 0", () =>
    Effect.gen(function*() {
      const { admission, calls } = yield* opened({ requests: 180 })
      const lease = yield* admission.admit(request(10))
      yield* lease.opened?.(answer({ requests: limit(180, 3) })) ?? Effect.void
      yield* TestClock.adjust("30 seconds")
      for (let i = 0; i < 20; i++) yield* calls.call(request(1))
      assert.lengthOf(calls.entered, 4)
      // An error does not lower the known size: the bucket may be empty for a while.
      yield* lease.settle(Exit.fail(new ClaudeError.Overloaded({ limits: { requests: limit(180, 0) } })))
      yield* TestClock.adjust("2 seconds")
      assert.isAtLeast(calls.entered.length, 8)
    }))

  it.effect("never raises a limit above the options", () =>
    Effect.gen(function*() {
      const { admission, left } = yield* opened({ requests: 60 })
      const lease = yield* admission.admit(request(10))
      yield* lease.opened?.(answer({ requests: limit(6000, 6000) })) ?? Effect.void
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual((yield* left).requests, 57)
    }))

  it.effect("does not remove quota that was refilled, even if every error reports that nothing is left", () =>
    Effect.gen(function*() {
      const { calls } = yield* opened({ requests: 60 }, { concurrency: { maxWait: "10 minutes" } })
      // One request per second refills, and each answer begins half a second after its request.
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

  it.effect("is reduced by the requests that were sent after the answered request", () =>
    Effect.gen(function*() {
      const { admission, left } = yield* opened({ requests: 60, headroom: 1 })
      const first = yield* admission.admit(request(1))
      for (let i = 0; i < 9; i++) yield* admission.admit(request(1))
      yield* first.opened?.(answer({ requests: limit(60, 20) })) ?? Effect.void
      assert.strictEqual((yield* left).requests, 11)
    }))

  it.effect("that is 0 in a 429 makes calls wait until the retry-after is over", () =>
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

  it.effect("of remaining requests is assumed to be 0 after a 429 that does not say that anything ran out", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      yield* finish(yield* calls.call(request(10)), failed(new ClaudeError.RateLimited({})))
      assert.deepStrictEqual(yield* left, { requests: 0, input: 6000, output: 1200 })
    }))

  it.effect("is used for tokens in a 429 even if the 429 does not say that anything ran out", () =>
    Effect.gen(function*() {
      const { calls, left } = yield* opened(whole)
      const first = yield* calls.call(request(10))
      yield* finish(first, failed(new ClaudeError.RateLimited({ limits: { inputTokens: limit(600, 500) } })))
      assert.deepStrictEqual(yield* left, { requests: 0, input: 500, output: 1200 })
    }))

  it.effect("of remaining requests is not assumed to be 0 after a 429 that says that traffic grew too fast", () =>
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
    "is also read from errors with the status %d",
    (status) =>
      Effect.gen(function*() {
        const { calls, left } = yield* opened(whole)
        const error = classify({ status, headers: new Headers(remaining(120)) }, { model, now: 0 })
        yield* finish(yield* calls.call(request(10)), failed(error))
        assert.strictEqual((yield* left).input, 120)
      })
  )

  it.effect("is read by a guarded Claude, from answers and from errors", () =>
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

  it.effect("have one queue each, which all models of the same line (such as Sonnet) share", () =>
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
      // No quota is left for opus, and calls to other models go on.
      assert.isTrue(Exit.isFailure(yield* ask("claude-opus-4-5")))
      assert.isTrue(Exit.isSuccess(yield* ask("claude-sonnet-5-5")))
    }).pipe(Effect.provide(guarded({ requests: 10, headroom: 1, classes: { opus: { requests: 2 } } }))))

  it.effect("may consist of one model, even if another model of the same line is called first", () =>
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

  it("inherit the limits that they do not set", () => {
    const { classOf } = Settings.settings({
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

describe("a quota store", () => {
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
    "G15: that %s neither makes a call fail nor delays it, and is reported",
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
    "G15: that returns a wait of %d ms delays no call",
    (wait) =>
      Effect.gen(function*() {
        const store = { ...Quota.memory(), take: () => Effect.succeed(wait) }
        const { admission, calls } = yield* opened(whole, { store, concurrency: { max: 2 } })
        for (let i = 0; i < 3; i++) yield* calls.call(request(10))
        assert.deepStrictEqual(calls.entered, [0, 1])
        assert.include(yield* admission.status, { running: 2, waiting: 1 })
      })
  )

  it.effect("G15: that fails causes one warning a minute, which does not contain the message of the error", () =>
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

describe("the settings of a quota", () => {
  const above = "it must be above 0"
  const slip = { requests: undefined, request: 5 }
  const otherSlip = { input_tokens: 5 }
  const refused: ReadonlyArray<readonly [Quota.Options, string]> = [
    [{}, "Guards: quota limits nothing: give requests, inputTokens or outputTokens, or remove quota"],
    [
      { requests: Infinity },
      "Guards: quota limits nothing: give requests, inputTokens or outputTokens, or remove quota"
    ],
    [
      { classes: { opus: {} } },
      "Guards: quota limits nothing: give requests, inputTokens or outputTokens, or remove quota"
    ],
    [{ requests: 0 }, `Guards: quota.requests is 0: ${above}`],
    [{ requests: -1 }, `Guards: quota.requests is -1: ${above}`],
    [{ inputTokens: NaN }, `Guards: quota.inputTokens is NaN: ${above}`],
    [{ outputTokens: 0 }, `Guards: quota.outputTokens is 0: ${above}`],
    [{ requests: 1, classes: { opus: { requests: 0 } } }, `Guards: quota: classes.opus.requests is 0: ${above}`],
    [
      { requests: 1, classes: { opus: slip } },
      "Guards: quota: classes.opus has no field request: it has requests, inputTokens, outputTokens"
    ],
    [{ requests: 1, headroom: 0 }, "Guards: quota: headroom is 0: it must be above 0 and at most 1, such as 0.5"],
    [{ requests: 1, headroom: 83 }, "Guards: quota: headroom is 83: it must be above 0 and at most 1, such as 0.5"],
    [{ requests: 1, burst: 0 }, "Guards: quota: burst is 0: it must be above 0 and at most 1, such as 0.5"],
    [{ requests: 1, burst: NaN }, "Guards: quota: burst is NaN: it must be above 0 and at most 1, such as 0.5"],
    [
      { requests: 1, burst: 0.9 },
      "Guards: quota: burst (0.9) is more than headroom (0.83), the share of the limits that may be used: lower burst or raise headroom"
    ],
    [{ requests: 1, per: 0 }, "Guards: quota: per is 0: it must be a duration above 0"],
    [{ requests: 1, per: "-1 minute" }, "Guards: quota: per is \"-1 minute\": it must be a duration above 0"],
    [{ requests: 1, per: Infinity }, "Guards: quota: per is infinite: it must be a finite duration"],
    [
      // Values may come from a file without types.
      { requests: 1, estimate: "tokens" as "count" },
      "Guards: quota: estimate is \"tokens\": it must be \"characters\" or \"count\""
    ],
    [
      { requests: 1, ...otherSlip },
      "Guards: quota has no field input_tokens: it has requests, inputTokens, outputTokens, per, headroom, burst, classes, estimate"
    ]
  ]

  for (const [options, sentence] of refused) {
    it(`G12: reject ${inspect(options)} with a message that names the field and the remedy`, () => {
      assert.throws(() => Settings.settings(options), RangeError, sentence)
    })
  }

  it("give every option its default", () => {
    const { classOf: _, ...usual } = Settings.settings({ requests: 60 })
    const [own, told] = [{ headroom: 0.83, burst: 0.83 }, { headroom: 0.95, burst: 0.95 }]
    assert.deepStrictEqual(usual, { per: 60_000, own, told, estimate: "characters" })
    // An explicit share holds even while the API reports its count.
    const half = { headroom: 0.5, burst: 0.5 }
    assert.deepInclude(Settings.settings({ requests: 60, headroom: 0.5 }), { own: half, told: half })
  })
})
