/** The pause after a 429 with a retry-after: which calls it holds, how it ends, and which calls are rejected at once. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { type Claude, ClaudeError, type Message, type Quota } from "../../../src/index.ts"
import { type Call, caller, type End, failureOf, make, request, usage } from "../../support/admission.ts"

const seed = process.env["SEED"] ?? "resilient-claude"
const finish = (call: Call, end: End) => Effect.andThen(Deferred.succeed(call.end, end), TestClock.adjust(0))
const failed = (error: ClaudeError.ClaudeError): End => ({ exit: Exit.fail(error) })
const success: End = { exit: Exit.void, usage: usage(10, 10) }

const limited = (
  seconds: number | undefined,
  limits: Message.RateLimits = {},
  more: { readonly ramp?: boolean } = {}
) =>
  new ClaudeError.RateLimited({
    status: 429,
    retryAfter: seconds === undefined ? undefined : Duration.seconds(seconds),
    limits,
    ...more
  })

const left = (remaining: number): Message.RateLimit => ({ limit: undefined, remaining, reset: undefined })

const begun: Claude.Opened = {
  requestId: undefined,
  rateLimits: {},
  pull: Cause.done(),
  reply: () => assert.fail("nobody reads it"),
  usage: () => usage(0, 0),
  isComplete: () => true
}

/** A queue whose first call got an error. */
const refused = (error: ClaudeError.ClaudeError, quota?: Quota.Options, size = 10) =>
  Effect.gen(function*() {
    const { admission } = yield* make({
      ...quota !== undefined && { quota },
      concurrency: { queue: 1000, maxWait: Infinity }
    })
    const calls = caller(admission)
    const first = yield* calls.call(text(size))
    yield* finish(first, failed(error))
    return { admission, calls }
  })

/** A prompt with a number of characters, estimated as about a third as many tokens. */
const text = (characters: number): Message.Request =>
  request(0, { messages: [{ role: "user", content: "x".repeat(characters) }] })

const quota: Quota.Options = { requests: 6000, inputTokens: 6_000_000, headroom: 1 }

describe("a 429 with a retry-after", () => {
  it.effect.each([["without a quota", undefined], ["with a quota", quota]] as const)(
    "that names no rate limit holds every call for its retry-after, %s, and then lets one call test the limit",
    ([, quota]) =>
      Effect.gen(function*() {
        const { calls } = yield* refused(limited(20), quota)
        for (let i = 0; i < 5; i++) yield* calls.call(text(10))
        yield* TestClock.adjust(19_999)
        assert.deepStrictEqual(calls.entered, [0])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(calls.entered, [0, 1])
        const [, look] = calls.calls
        if (look) yield* finish(look, success)
        // The other calls follow at the earlier rate and then faster, not in one burst.
        yield* TestClock.adjust(100)
        assert.isAtMost(calls.entered.length, 3)
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(calls.entered, [0, 1, 2, 3, 4, 5])
      })
  )

  it.effect("lets one call test the limit after at most a minute, however long the retry-after is", () =>
    Effect.gen(function*() {
      const { calls } = yield* refused(limited(3600))
      yield* calls.call(text(10))
      yield* calls.call(text(10))
      yield* TestClock.adjust(59_999)
      assert.deepStrictEqual(calls.entered, [0])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(calls.entered, [0, 1])
      const [, look] = calls.calls
      if (look) yield* finish(look, failed(limited(3600)))
      yield* TestClock.adjust(59_999)
      assert.deepStrictEqual(calls.entered, [0, 1])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(calls.entered, [0, 1, 2])
    }))

  it.effect("releases no burst: the answer that ends the pause admits at most two more calls", () =>
    Effect.gen(function*() {
      const { admission } = yield* make({ concurrency: { queue: 1000, maxWait: Infinity } })
      const calls = caller(admission)
      const lease = yield* admission.admit(text(10))
      yield* lease.settle(Exit.fail(limited(10)))
      const look = yield* Effect.forkChild(admission.admit(text(10)))
      yield* TestClock.adjust(0)
      for (let i = 0; i < 50; i++) yield* calls.call(text(10))
      yield* TestClock.adjust("10 seconds")
      const { opened } = yield* Fiber.join(look)
      assert.lengthOf(calls.entered, 0)
      yield* opened?.(begun) ?? Effect.void
      yield* TestClock.adjust(0)
      assert.isAtLeast(calls.entered.length, 1)
      assert.isAtMost(calls.entered.length, 2)
    }))

  it.effect("lets another call test the limit after five seconds, if the first test has no answer yet", () =>
    Effect.gen(function*() {
      const { calls } = yield* refused(limited(10))
      for (let i = 0; i < 3; i++) yield* calls.call(text(10))
      yield* TestClock.adjust("10 seconds")
      assert.lengthOf(calls.entered, 2)
      yield* TestClock.adjust(4999)
      assert.lengthOf(calls.entered, 2)
      yield* TestClock.adjust(1)
      assert.lengthOf(calls.entered, 3)
    }))

  it.effect("G4: lets another call test the limit at once if the first test was interrupted", () =>
    Effect.gen(function*() {
      const { calls } = yield* refused(limited(10))
      for (let i = 0; i < 3; i++) yield* calls.call(text(10))
      yield* TestClock.adjust("10 seconds")
      const [, look] = calls.calls
      look?.fiber.interruptUnsafe()
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(calls.entered, [0, 1, 2])
    }))

  it.effect("no longer holds calls once the call that tests the limit has ended with InvalidRequest", () =>
    Effect.gen(function*() {
      const { admission, calls } = yield* refused(limited(10))
      for (let i = 0; i < 2; i++) yield* calls.call(text(10))
      yield* TestClock.adjust("10 seconds")
      const [, look] = calls.calls
      if (look) yield* finish(look, failed(new ClaudeError.InvalidRequest({ status: 400 })))
      assert.deepStrictEqual(calls.entered, [0, 1, 2])
      assert.include(yield* admission.status, { waiting: 0 })
    }))

  it.effect("rejects a new call at once if its deadline comes before the pause ends, with the rest of the pause as `retryAfter`", () =>
    Effect.gen(function*() {
      const { calls } = yield* refused(limited(20))
      yield* TestClock.adjust("5 seconds")
      const late = yield* calls.call(text(10), "default", 19_999)
      assert.deepInclude(failureOf(late), { _tag: "Saturated", by: "pause", retryAfter: Duration.seconds(15) })
      const inTime = yield* calls.call(text(10), "default", 20_000)
      assert.isUndefined(failureOf(inTime))
    }))

  it.effect("rejects waiting calls at once if their turn cannot come before their deadline", () =>
    Effect.gen(function*() {
      const { admission } = yield* make({ concurrency: { max: 1, maxWait: Infinity } })
      const calls = caller(admission)
      const first = yield* calls.call(text(10))
      const hopeless = yield* calls.call(text(10), "default", 10_000)
      const patient = yield* calls.call(text(10), "default", 30_000)
      yield* finish(first, failed(limited(20)))
      assert.deepInclude(failureOf(hopeless), { by: "pause", retryAfter: Duration.seconds(20) })
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(calls.entered, [0, patient.id])
    }))
})

describe("a 429 without a retry-after, or for a spend limit", () => {
  it.effect("holds no call", () =>
    Effect.gen(function*() {
      for (const error of [new ClaudeError.SpendLimitReached({ status: 429 }), limited(undefined)]) {
        const { calls } = yield* refused(error)
        yield* calls.call(text(10))
        assert.deepStrictEqual(calls.entered, [0, 1])
      }
    }))
})

describe("a 429 for tokens", () => {
  const spent = { requests: left(10), inputTokens: left(0) }

  it.effect.each(
    [
      ["holds only requests of at least the rejected size if the queue has no quota", undefined],
      ["holds requests of every size if the queue has a quota", quota]
    ] as const
  )(
    "until its retry-after ends, %s",
    ([, quota]) =>
      Effect.gen(function*() {
        const { calls } = yield* refused(limited(20, spent), quota, 30_000)
        const large = yield* calls.call(text(40_000), "interactive")
        const same = yield* calls.call(text(30_000))
        const small = yield* calls.call(text(3000), "background")
        assert.deepStrictEqual(calls.entered, quota === undefined ? [0, small.id] : [0])
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(calls.entered, [0, small.id, large.id])
        yield* finish(large, { exit: Exit.void, usage: usage(10_000, 10) })
        yield* finish(small, success)
        assert.deepStrictEqual(calls.entered, [0, small.id, large.id, same.id])
      })
  )

  it.effect("holds every call if its headers say that no requests are left either", () =>
    Effect.gen(function*() {
      const { calls } = yield* refused(limited(20, { requests: left(0), inputTokens: left(0) }), undefined, 30_000)
      yield* calls.call(text(30))
      assert.deepStrictEqual(calls.entered, [0])
    }))

  it.effect("is recognized by the headers: the rejected request needs more tokens than are left", () =>
    Effect.gen(function*() {
      const limits = { requests: left(10), inputTokens: left(5000) }
      const { calls } = yield* refused(limited(20, limits), undefined, 30_000)
      yield* calls.call(text(30))
      assert.deepStrictEqual(calls.entered, [0, 1])
    }))
})

describe("a pause, with random calls", () => {
  const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
  const Op = Schema.Union([
    Schema.Struct({ do: Schema.Literals(["arrive"]), size: int(1, 9000), tenant: Schema.Literals(["one", "two"]) }),
    Schema.Struct({ do: Schema.Literals(["pass"]), ms: Schema.Literals([1, 1000, 5000, 60_000, 600_000]) }),
    Schema.Struct({ do: Schema.Literals(["end"]), pick: int(0, 99), how: Schema.Literals(["success", "fault"]) }),
    Schema.Struct({
      do: Schema.Literals(["limit"]),
      pick: int(0, 99),
      seconds: Schema.Literals([1, 20, 3600]),
      isOfTokens: Schema.Boolean
    }),
    Schema.Struct({ do: Schema.Literals(["cancel"]), pick: int(0, 99) })
  ])
  let steps = 0

  it.effect.prop(
    "G2, G5: lets every call that is not cancelled be sent in the end, and lets at most three calls (`concurrency.max`) run at once",
    { ops: Schema.Array(Op).check(Schema.isMinLength(100), Schema.isMaxLength(100)) },
    ({ ops }) =>
      Effect.gen(function*() {
        const { admission } = yield* make({ concurrency: { max: 3, queue: 1000, maxWait: Infinity } })
        const calls = caller(admission)
        const among = (isRunning: boolean) =>
          calls.calls.filter(({ fiber, id }) => fiber.pollUnsafe() === undefined && calls.running.has(id) === isRunning)
        for (const op of ops) {
          steps++
          if (op.do === "arrive") yield* calls.call(text(op.size), "default", Infinity, op.tenant)
          else if (op.do === "pass") yield* TestClock.adjust(op.ms)
          else {
            const all = among(op.do !== "cancel")
            const one = all[op.pick % Math.max(1, all.length)]
            if (one === undefined) continue
            if (op.do === "cancel") one.fiber.interruptUnsafe()
            else if (op.do === "end") {
              yield* finish(one, op.how === "success" ? success : failed(new ClaudeError.ServerFault({ status: 500 })))
            } else {
              const limits = op.isOfTokens ? { requests: left(1), inputTokens: left(0) } : {}
              yield* finish(one, failed(limited(op.seconds, limits)))
            }
          }
          yield* TestClock.adjust(0)
          assert.isAtMost((yield* admission.status).running, 3)
        }
        // A pause lasts a minute at most, and each answer admits more calls.
        for (let i = 0; i < 300 && among(false).length + among(true).length > 0; i++) {
          yield* TestClock.adjust("1 minute")
          yield* Effect.forEach(among(true), (call) => finish(call, success))
        }
        assert.include(yield* admission.status, { running: 0, waiting: 0 })
        assert.strictEqual(new Set(calls.entered).size, calls.entered.length)
      }).pipe(Effect.scoped, Effect.provide(TestClock.layer())),
    { arbitrary: { runs: 101, seed, size: 100 }, timeout: 60_000 }
  )

  it("was tested in 10,000 steps", () => assert.isAtLeast(steps, 10_000))
})
