/** Checks what docs/fallbacks.md says. */
import { assert, describe, it } from "@effect/vitest"
import { Data, type Duration, Effect, Fiber, Layer, Predicate, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Claude, ClaudeError, Current, Fallback, Policy } from "resilient-claude"
import { FakeClaude, Faults } from "resilient-claude/testing"
import { decisions, decisive } from "../../src/policy/decisions.ts"
import { assertAlive } from "../support/docs.ts"
import { program, reply } from "./programs/fallbacks.ts"

const fake = (...turns: ReadonlyArray<Faults.Turn>) => Effect.provide(FakeClaude.layer(turns))
const models = Effect.map(FakeClaude.received, (all) => all.map(({ params }) => params.model))

const finish = <A, E, R>(self: Effect.Effect<A, E, R>, within: Duration.Input = "1 hour") =>
  Effect.gen(function*() {
    const running = yield* Effect.forkChild(self)
    yield* TestClock.adjust(within)
    return yield* Fiber.join(running)
  })

const ask = Claude.text("When do you open?")

it("every code block of docs/fallbacks.md is in a test or an example", () => assertAlive("docs/fallbacks.md"))

describe("the first program", () => {
  it.effect("gives the answer, or else the last good answer, or else a notice", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* program, "At nine.")
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(yield* finish(program, "1 minute"), "At nine.")
      const stale = yield* finish(reply, "1 minute")
      assert.isTrue(!Predicate.isString(stale) && stale._tag === "Stale")
      yield* TestClock.adjust("1 day")
      assert.strictEqual(
        yield* finish(program, "1 minute"),
        "The assistant is not available for this account. Trying again will not help: please ask for access. " +
          "Reference: req_fake_0004"
      )
    }).pipe(fake(Faults.answer("At nine."), Faults.forbidden, Faults.forbidden, Faults.forbidden)))

  it.effect("asks the second model when the first model is overloaded", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* finish(program, "20 seconds"), "At nine.")
      const asked = yield* models
      assert.deepStrictEqual([asked[0], asked.at(-1)], ["claude-sonnet-5-5", "claude-haiku-5-5"])
    }).pipe(Effect.provide(FakeClaude.layer(
      Faults.by(({ params }) => params["model"] === "claude-haiku-5-5" ? Faults.answer("At nine.") : Faults.overloaded)
    ))))
})

describe("another model", () => {
  const answering = (error: Faults.Turn) =>
    Effect.provide(FakeClaude.layer(
      Faults.by(({ params }) => params["model"] === "claude-opus-5" ? Faults.answer("At nine.") : error)
    ))

  it.effect("is asked after a refusal if `refused` names it", () =>
    Effect.gen(function*() {
      const careful = Policy.apply({ ...Policy.standard, refused: ["claude-opus-5"] })
      assert.strictEqual(yield* ask.pipe(careful), "At nine.")
      assert.deepStrictEqual(yield* models, ["claude-sonnet-5-5", "claude-opus-5"])
    }).pipe(answering(Faults.refusal("I would"))))

  it.effect("is not asked after a refusal if `refused` is \"fail\"", () =>
    Effect.gen(function*() {
      const final = Policy.apply({ ...Policy.standard, models: ["claude-opus-5"], refused: "fail" })
      assert.strictEqual((yield* Effect.flip(ask.pipe(final)))._tag, "Refused")
      assert.deepStrictEqual(yield* models, ["claude-sonnet-5-5"])
    }).pipe(answering(Faults.refusal())))

  it.effect("is asked when only its reserved time is left, if the first model is slow", () =>
    Effect.gen(function*() {
      const timed = Policy.apply({
        models: ["claude-opus-5"],
        overall: "1 minute",
        reserve: "20 seconds"
      })
      const call = yield* Effect.forkChild(ask.pipe(timed))
      yield* TestClock.adjust("39999 millis")
      assert.lengthOf(yield* models, 1)
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(call), "At nine.")
    }).pipe(answering(Faults.answer("word ".repeat(100), { every: "2 seconds" }))))

  it.effect("is asked at once if the retry-after of the first model ends after the deadline", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* ask.pipe(Policy.apply({ ...Policy.standard, models: ["claude-opus-5"], overall: "1 minute" })),
        "At nine."
      )
    }).pipe(answering(Faults.rateLimited("2 minutes"))))

  it("can be asked after a transient error broke off an answer, but not after a permanent error broke off the first model's answer", () => {
    const broken = new ClaudeError.PartialAnswer({ because: "Overloaded" })
    const wrong = new ClaudeError.PartialAnswer({ because: "InvalidRequest", permanent: true })
    assert.deepStrictEqual([broken, wrong].map((error) => decisions[decisive(error)].otherModel), [true, "substitute"])
  })

  it.effect("is asked by Fallback.models without a policy, after a kind of error that `on` sets to true", () =>
    Effect.gen(function*() {
      const other = ask.pipe(
        Fallback.models(["claude-opus-5"], { on: { Unreachable: true, Refused: false } })
      )
      assert.strictEqual(yield* other, "At nine.")
    }).pipe(answering(Faults.reset)))
})

describe("another account", () => {
  it.effect("answers when the first account has reached its spend limit", () =>
    Effect.gen(function*() {
      const Backup = FakeClaude.layer([Faults.answer("At nine.")])
      const elsewhere = ask.pipe(
        Policy.apply(Policy.standard),
        Fallback.accounts([Backup])
      )
      assert.strictEqual(yield* elsewhere, "At nine.")
    }).pipe(fake(Faults.spendLimited)))
})

describe("the last good answer", () => {
  const forCustomer = (customer: string) =>
    ask.pipe(
      Policy.apply(Policy.standard),
      Fallback.lastGood({ key: "help/opening-hours", schema: Schema.String, maxAge: "1 day" }),
      Effect.provideService(Current.Tenant, customer)
    )

  it.effect("is not given to another tenant", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* forCustomer("acme"), "At nine.")
      assert.instanceOf(yield* forCustomer("acme"), Fallback.Stale)
      assert.strictEqual((yield* Effect.flip(forCustomer("initech")))._tag, "PermissionDenied")
    }).pipe(fake(Faults.answer("At nine."), Faults.forbidden, Faults.forbidden)))

  it.effect("is given after a refusal if `on` sets Refused to true", () =>
    Effect.gen(function*() {
      const kept = ask.pipe(
        Policy.apply(Policy.standard),
        Fallback.lastGood({
          key: "help/opening-hours",
          schema: Schema.String,
          maxAge: "1 day",
          on: { Refused: true }
        })
      )
      yield* kept
      assert.instanceOf(yield* kept, Fallback.Stale)
    }).pipe(fake(Faults.answer("At nine."), Faults.refusal())))

  it.effect("is lost when a store that holds only one answer stores the answer of another key", () =>
    Effect.gen(function*() {
      const Small = Layer.succeed(Fallback.Store, Fallback.memoryStore(1))
      const about = (key: string) => ask.pipe(Fallback.lastGood({ key, schema: Schema.String, maxAge: "1 day" }))
      yield* Effect.gen(function*() {
        yield* about("a")
        yield* about("b")
        assert.strictEqual((yield* Effect.flip(about("a")))._tag, "Overloaded")
        assert.instanceOf(yield* about("b"), Fallback.Stale)
      }).pipe(Effect.provide(Small))
    }).pipe(Effect.provide(FakeClaude.layer(
      Faults.untilLast(Faults.answer("one"), Faults.answer("two"), Faults.overloaded)
    ))))
})

describe("a notice", () => {
  const german = (error: ClaudeError.ClaudeError) =>
    error._tag === "RateLimited" ? "Gerade ist viel los. Bitte gleich noch einmal versuchen." : undefined

  it.effect("has the application's text if `words` returns one for the error, and otherwise the default text", () =>
    Effect.gen(function*() {
      const told = ask.pipe(Fallback.notice({ words: german }))
      const notice = yield* told
      assert.isTrue(!Predicate.isString(notice) && notice.text.startsWith("Gerade ist viel los."))
      const other = yield* told
      assert.isTrue(!Predicate.isString(other) && other.text.startsWith("The assistant is very busy right now."))
    }).pipe(fake(Faults.rateLimited("17 seconds"), Faults.overloaded)))

  it.effect("replaces only the kinds of error in `on`", () =>
    Effect.gen(function*() {
      const busy = ask.pipe(
        Fallback.notice({ on: ["RateLimited", "Overloaded", "CircuitOpen", "Saturated"] })
      )
      const notice = yield* busy
      assert.deepStrictEqual(
        Predicate.isString(notice) ? undefined : [notice.text, notice.retryable, notice.error],
        [
          "The assistant is very busy right now. Please try again in 17 seconds. Reference: req_fake_0001",
          true,
          "RateLimited"
        ]
      )
      assert.strictEqual((yield* Effect.flip(busy))._tag, "PermissionDenied")
    }).pipe(fake(Faults.rateLimited("17 seconds"), Faults.forbidden)))

  it("is made from an error by Fallback.toNotice", () => {
    const notice = Fallback.toNotice(new ClaudeError.TimedOut({ scope: "idle" }))
    assert.strictEqual(notice.text, "The assistant took too long to answer. Please try again in a moment.")
  })
})

class OutOfHours extends Data.TaggedError("OutOfHours")<{}> {}

describe("error handling in the application", () => {
  const askPerson = (reason: string) => Effect.succeed(`A person will answer (${reason}).`)

  it.effect("recovers from the listed kinds of error, and replaces all other errors by an error of the application", () =>
    Effect.gen(function*() {
      const handled = ask.pipe(
        Policy.apply(Policy.standard),
        Effect.catchTag(["Refused", "Truncated"], ({ _tag }) => askPerson(_tag)),
        Effect.catchIf(ClaudeError.is, () => Effect.fail(new OutOfHours()))
      )
      const typed: Effect.Effect<string, OutOfHours, Claude.Claude> = handled
      assert.strictEqual(yield* typed, "A person will answer (Refused).")
      assert.instanceOf(yield* Effect.flip(typed), OutOfHours)
    }).pipe(fake(Faults.refusal(), Faults.forbidden)))
})
