/** Checks what docs/policies.md says. */
import { assert, describe, it } from "@effect/vitest"
import { Data, type Duration, Effect, Fiber, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as fs from "node:fs"
import * as path from "node:path"
import { CallLog, Claude, ClaudeError, Guards, Policy, Retry } from "resilient-claude"
import { FakeClaude, Faults } from "resilient-claude/testing"
import { assertAlive } from "../support/docs.ts"
import { patient, program } from "./programs/policies.ts"

const fake = (...turns: ReadonlyArray<Faults.Turn>) => Effect.provide(FakeClaude.layer(turns))
const always = (turn: Faults.Turn) => Effect.provide(FakeClaude.layer(Faults.cycle(turn)))
const requests = Effect.map(FakeClaude.received, (all) => all.length)

const finish = <A, E, R>(self: Effect.Effect<A, E, R>, within: Duration.Input = "1 hour") =>
  Effect.gen(function*() {
    const running = yield* Effect.forkChild(self)
    yield* TestClock.adjust(within)
    return yield* Fiber.join(running)
  })

const ask = Claude.text("Write a haiku about patience.")
const page = fs.readFileSync(path.resolve(import.meta.dirname, "../../docs/policies.md"), "utf8")

it("every code block of docs/policies.md is in a test or an example", () => assertAlive("docs/policies.md"))

it.effect("the first program waits out eleven rate limits", () =>
  Effect.gen(function*() {
    assert.strictEqual(yield* finish(program), "slow water")
    assert.strictEqual(yield* requests, 12)
  }).pipe(fake(...Array.from({ length: 11 }, () => Faults.rateLimited()), Faults.answer("slow water"))))

describe("retry", () => {
  it.effect("applies only to the listed kinds of error", () =>
    Effect.gen(function*() {
      const waits = Retry.backoff({ times: 2, base: "1 second" })
      const twice = Policy.apply({ retry: { RateLimited: waits, Overloaded: waits }, maxRetries: 2 })
      assert.strictEqual((yield* finish(Effect.flip(ask.pipe(twice))))._tag, "ServerFault")
      assert.strictEqual(yield* requests, 2)
    }).pipe(fake(Faults.overloaded, Faults.serverError)))

  it.effect("without an entry for CircuitOpen fails at once at an open circuit", () =>
    Effect.gen(function*() {
      const fast = Policy.apply({
        ...Policy.standard,
        retry: { ...Retry.standard, CircuitOpen: undefined }
      })
      yield* Effect.flip(ask)
      const error = yield* Effect.flip(ask.pipe(fast))
      assert.deepStrictEqual([error._tag, error.gaveUp], ["CircuitOpen", "NotRetried"])
      assert.strictEqual(yield* requests, 1)
    }).pipe(Effect.provide(
      FakeClaude.layer(Faults.cycle(Faults.overloaded)).pipe(
        Guards.apply({ circuit: { minimumCalls: 1 } }),
        Layer.provide(CallLog.layerNoop)
      )
    )))

  it.effect("does not apply to a permanent error if retry is a record", () =>
    Effect.gen(function*() {
      const stubborn = Policy.apply({ retry: { InvalidRequest: Schedule.recurs(3) } })
      assert.strictEqual((yield* Effect.flip(ask.pipe(stubborn))).gaveUp, "NotRetried")
      assert.strictEqual(yield* requests, 1)
    }).pipe(always(Faults.fails(400, "invalid_request_error", "no"))))

  it.effect("also applies to a permanent error if retry is one schedule", () =>
    Effect.gen(function*() {
      const blunt = Policy.apply({ retry: Schedule.recurs(3) })
      yield* Effect.flip(ask.pipe(blunt))
      assert.strictEqual(yield* requests, 4)
    }).pipe(always(Faults.fails(400, "invalid_request_error", "no"))))

  it.effect("stops at maxRetries, counted over all kinds of error", () =>
    Effect.gen(function*() {
      const few = Policy.apply({ ...Policy.standard, maxRetries: 3 })
      yield* finish(Effect.flip(ask.pipe(few)))
      assert.strictEqual(yield* requests, 4)
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.overloaded, Faults.serverError)))))

  it.effect("waits at least as long as the server asks", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(ask.pipe(Policy.apply(Policy.standard)))
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* requests, 1)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(call), "late")
    }).pipe(fake(Faults.rateLimited("20 seconds"), Faults.answer("late"))))

  it.effect("ignores a retry-after of more than a day", () =>
    Effect.gen(function*() {
      yield* finish(ask.pipe(Policy.apply(Policy.standard)))
      assert.strictEqual(yield* requests, 2)
    }).pipe(fake(Faults.rateLimited("25 hours"), Faults.answer("slow water"))))

  it.effect("gives up at once if the wait would end after the deadline", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ask.pipe(Policy.apply(Policy.standard)))
      assert.deepStrictEqual([error._tag, error.gaveUp], ["RateLimited", "DeadlineTooClose"])
    }).pipe(fake(Faults.rateLimited("6 minutes"))))
})

describe("reask", () => {
  const Mood = Schema.Struct({ mood: Schema.Literals(["good", "bad"]) })

  it.effect("asks again after a malformed answer, and tells Claude the mistakes", () =>
    Effect.gen(function*() {
      const judged = Claude.object(Mood, "How does the customer feel? Late, but what a machine!").pipe(
        Policy.apply({ reask: 2 })
      )
      assert.deepStrictEqual(yield* judged, { mood: "good" })
      const [, second] = yield* FakeClaude.received
      assert.lengthOf(second?.params.messages ?? [], 3)
    }).pipe(fake(Faults.value({ mood: "great" }), Faults.value({ mood: "good" }))))
})

describe("time limits", () => {
  it.effect("for an attempt cause TimedOut, which can be retried", () =>
    Effect.gen(function*() {
      const brisk = Policy.apply({ ...Policy.standard, firstToken: "15 seconds", idle: "20 seconds" })
      assert.strictEqual(yield* finish(ask.pipe(brisk)), "here")
      assert.strictEqual(yield* requests, 2)
    }).pipe(fake(Faults.pings(), Faults.answer("here"))))

  it.effect("for the whole call cause DeadlineExceeded exactly at their end", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(Effect.flip(ask.pipe(Policy.apply({ overall: "20 seconds" }))))
      yield* TestClock.adjust("19999 millis")
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(call))._tag, "DeadlineExceeded")
    }).pipe(fake(Faults.pings("a", "1 second"))))

  it("for an attempt default to a third of a short overall limit, but at least 5 seconds", () => {
    const shown = (overall: Duration.Input) => Policy.describe({ ...Policy.standard, overall })
    assert.include(
      shown("24 seconds"),
      "headers in 8s, first token in 8s (120s thinking), silence up to 8s (45s thinking), no content up to 8s (180s thinking)"
    )
    assert.include(
      shown("9 seconds"),
      "headers in 5s, first token in 5s (120s thinking), silence up to 5s (45s thinking), no content up to 5s (180s thinking)"
    )
    assert.include(
      shown("5 minutes"),
      "headers in 10s, first token in 30s (120s thinking), silence up to 30s (45s thinking), no content up to 60s (180s thinking)"
    )
  })

  it("for an attempt default to a third of the time of the first model, without the time that later models reserve", () => {
    const shown = (more: Policy.Policy) => Policy.describe({ overall: "30 seconds", ...more })
    assert.include(shown({ models: ["claude-haiku-5-5"] }), "first token in 6.7s")
    assert.include(shown({ models: ["claude-haiku-5-5"], reserve: "3 seconds" }), "first token in 9s")
    assert.include(shown({ models: ["claude-haiku-5-5", "claude-opus-5"] }), "first token in 5s")
    assert.include(shown({ retry: Retry.standard, refused: ["claude-opus-5"] }), "first token in 10s")
  })

  it.effect("end an attempt of the first model at the time that Policy.describe prints", () =>
    Effect.gen(function*() {
      const policy = { overall: "30 seconds", models: ["claude-haiku-5-5"] } as const
      const call = yield* Effect.forkChild(ask.pipe(Policy.apply(policy)))
      yield* TestClock.adjust("6665 millis")
      assert.strictEqual(yield* requests, 1)
      yield* TestClock.adjust("2 millis")
      assert.strictEqual(yield* requests, 2)
      assert.strictEqual(yield* Fiber.join(call), "here")
    }).pipe(fake(Faults.silence, Faults.answer("here"))))
})

describe("requests", () => {
  it.effect("that are invalid are not sent", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Claude.text(" ").pipe(Policy.apply(Policy.none)))
      assert.deepInclude({ ...error }, { _tag: "InvalidRequest", sent: false })
      assert.strictEqual(yield* requests, 0)
    }).pipe(fake()))

  it.effect("are checked against the catalogue if the policy is strict", () =>
    Effect.gen(function*() {
      const strict = Policy.apply({ ...Policy.standard, strict: true })
      const error = yield* Effect.flip(Claude.text("hi", { model: "claude-nope-1" }).pipe(strict))
      assert.deepInclude({ ...error }, { _tag: "InvalidRequest", sent: false })
      assert.strictEqual(yield* requests, 0)
    }).pipe(fake()))

  it.effect("that are too long are not sent if precheck is \"count\"", () =>
    Effect.gen(function*() {
      const counted = Policy.apply({ ...Policy.standard, precheck: "count" })
      const long = "word ".repeat(1_000_000)
      assert.strictEqual((yield* Effect.flip(Claude.text(long).pipe(counted)))._tag, "ContextWindowExceeded")
      assert.strictEqual(yield* requests, 0)
    }).pipe(fake()))
})

describe("describe", () => {
  it("prints the plan exactly as the page shows it", () => {
    const plan = Policy.describe(patient)
    assert.include(page, `\`\`\`text\n${plan}\n\`\`\``)
  })
})

describe("outcome", () => {
  it.effect("turns an answer, a permanent error and a retryable error into a value", () =>
    Effect.gen(function*() {
      const shown = ask.pipe(
        Policy.apply(Policy.standard),
        Policy.outcome,
        Effect.map((outcome) =>
          outcome.status === "success"
            ? `${outcome.data} (${outcome.tokens.output} tokens)`
            : `${outcome.error._tag}${outcome.retryable ? ", try again later" : ""}`
        )
      )
      const typed: Effect.Effect<string, never, Claude.Claude> = shown
      assert.strictEqual(yield* typed, "slow water (7 tokens)")
      assert.strictEqual(yield* typed, "PermissionDenied")
      assert.strictEqual(yield* finish(typed), "RateLimited, try again later")
    }).pipe(fake(
      Faults.answer("slow water", { outputTokens: 7 }),
      Faults.forbidden,
      Faults.rateLimited("1 hour")
    )))
})

class Busy extends Data.TaggedError("Busy")<{}> {}

describe("errors of the application", () => {
  const check = (text: string) => text === "busy" ? Effect.fail(new Busy()) : Effect.succeed(text)

  it.effect("are retried if their class is passed to Retry.byTag", () =>
    Effect.gen(function*() {
      const checked = ask.pipe(
        Effect.flatMap(check),
        Policy.apply({
          ...Policy.standard,
          retry: Retry.byTag({ ...Retry.standard, Busy: Retry.linear({ times: 3 }) }, Busy)
        })
      )
      assert.strictEqual(yield* finish(checked), "free")
      assert.strictEqual(yield* requests, 2)
    }).pipe(fake(Faults.answer("busy"), Faults.answer("free"))))

  it.effect("are not retried without Retry.byTag", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ask.pipe(Effect.flatMap(check), Policy.apply(Policy.standard)))
      assert.instanceOf(error, Busy)
      assert.strictEqual(yield* requests, 1)
    }).pipe(fake(Faults.answer("busy"))))
})

describe("Effect.retry", () => {
  it.effect("accepts Retry.standard through Retry.byTag", () =>
    Effect.gen(function*() {
      const retried = Effect.retry(ask, Retry.byTag(Retry.standard))
      assert.strictEqual(yield* finish(retried), "slow water")
      assert.strictEqual(yield* requests, 2)
    }).pipe(fake(Faults.overloaded, Faults.answer("slow water"))))
})

describe("the bound of maxRetries", () => {
  it.effect("is 8 in Policy.standard", () =>
    Effect.gen(function*() {
      yield* finish(Effect.flip(ask.pipe(Policy.apply(Policy.standard))))
      assert.strictEqual(yield* requests, 9)
    }).pipe(always(Faults.overloaded)))

  it.effect("does not count continuations", () =>
    Effect.gen(function*() {
      const policy = { retry: Retry.standard, maxRetries: 1, truncated: { continue: 3 } } as const
      assert.strictEqual(yield* finish(Claude.text("Count.").pipe(Policy.apply(policy))), "one two three four")
      assert.strictEqual(yield* requests, 4)
    }).pipe(fake(
      Faults.maxTokens("one "),
      Faults.maxTokens("one two "),
      Faults.maxTokens("one two three "),
      Faults.answer("one two three four")
    )))

  it.effect("does not count the request that follows when the API refuses a schema", () =>
    Effect.gen(function*() {
      const point = Claude.object(Schema.Struct({ x: Schema.Finite }), "Where?")
      assert.deepStrictEqual(yield* point.pipe(Policy.apply({ retry: Retry.standard, maxRetries: 0 })), { x: 1 })
      assert.strictEqual(yield* requests, 2)
    }).pipe(fake(
      Faults.fails(400, "invalid_request_error", "output_config.format.schema: schema is too complex"),
      Faults.value({ x: 1 })
    )))

  it.effect.each<readonly [ClaudeError.Tag, Faults.Turn]>([
    ["RequestTooLarge", Faults.tooLarge],
    ["ContextWindowExceeded", Faults.promptTooLong],
    ["SpendLimitReached", Faults.spendLimited],
    ["Truncated", Faults.maxTokens("one ")]
  ])("is never used for %s, whatever its entry in `retry`", ([tag, turn]) =>
    Effect.gen(function*() {
      const thrice = Retry.linear({ times: 3 })
      const retry = {
        RequestTooLarge: thrice,
        ContextWindowExceeded: thrice,
        SpendLimitReached: thrice,
        Truncated: thrice
      }
      assert.strictEqual((yield* Effect.flip(ask.pipe(Policy.apply({ retry }))))._tag, tag)
      assert.strictEqual(yield* requests, 1)
    }).pipe(always(turn)))
})

describe("a policy", () => {
  it("that contradicts itself throws a RangeError", () => {
    assert.throws(
      () => Policy.apply({ attempt: "10 minutes", overall: "5 minutes" }),
      RangeError,
      "Policy: attempt (10m) is longer than overall (5m), so it is never reached: lower attempt or raise overall"
    )
  })

  it.effect("around another policy multiplies the retries", () =>
    Effect.gen(function*() {
      const once = Policy.apply({ retry: { Overloaded: Retry.linear({ times: 1 }) } })
      yield* finish(Effect.flip(ask.pipe(once, once)))
      assert.strictEqual(yield* requests, 4)
    }).pipe(always(Faults.overloaded)))

  it.effect("is optional: a call without a policy sends one request", () =>
    Effect.gen(function*() {
      assert.isTrue(ClaudeError.is(yield* Effect.flip(ask)))
      assert.strictEqual(yield* requests, 1)
    }).pipe(always(Faults.overloaded)))
})
