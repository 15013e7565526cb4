import { assert, describe, expect, it } from "@effect/vitest"
import {
  Arbitrary,
  Cause,
  Context,
  Data,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  ManagedRuntime,
  Ref,
  Schema
} from "effect"
import { TestClock } from "effect/testing"
import * as CallContext from "../../src/callContext.ts"
import {
  Anthropic,
  CallLog,
  Claude,
  ClaudeError,
  Current,
  Fallback,
  type Message,
  Policy,
  Retry
} from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { FakeClaude, FakeServer, Faults } from "../../src/testing/index.ts"
import { make, worthAnother } from "../support/errors.ts"

const models = Effect.map(FakeClaude.received, (all) => all.map(({ params }) => params.model))

describe("Fallback.models", () => {
  // Models "b" and "c" use the same account, and their context windows are unknown.
  const worth = { ...worthAnother, AuthenticationFailed: false, PermissionDenied: false, SpendLimitReached: false }
  for (const [tag, expected] of Object.entries(worth)) {
    it.effect(`${expected ? "asks" : "does not ask"} another model after ${tag}`, () =>
      Effect.gen(function*() {
        const asked: Array<string | undefined> = []
        const program = Effect.flatMap(CallContext.Substitute, (model) => {
          asked.push(model)
          return Effect.fail(make(tag as ClaudeError.Tag))
        })
        yield* Effect.flip(Fallback.models(["b", "c"])(program))
        assert.deepStrictEqual(asked, expected ? [undefined, "b", "c"] : [undefined])
      }))
  }

  it.effect("replaces the model that the call names, and logs the fallback", () =>
    Effect.gen(function*() {
      const text = yield* Claude.text("hi", { model: "claude-opus-5-5" }).pipe(
        Claude.withModel("claude-sonnet-5"),
        Fallback.models(["claude-haiku-5-5"])
      )
      assert.strictEqual(text, "hello")
      assert.deepStrictEqual(yield* models, ["claude-opus-5-5", "claude-haiku-5-5"])
      const change = (yield* Effect.flatMap(CallLog.Memory, Ref.get)).find(({ _tag }) => _tag === "FellBack")
      assert.deepInclude(change, { model: "claude-opus-5-5", to: "claude-haiku-5-5" })
    }).pipe(Effect.provide(Layer.provideMerge(
      FakeClaude.layer([Faults.overloaded, Faults.answer("hello")]),
      CallLog.layerMemory
    ))))

  it.effect("asks no other model after an error that `on` excludes", () =>
    Effect.gen(function*() {
      yield* Claude.text("hi").pipe(
        Fallback.models(["claude-haiku-5-5"], { on: { Overloaded: false } }),
        Effect.flip
      )
      assert.lengthOf(yield* models, 1)
    }).pipe(Effect.provide(FakeClaude.layer([Faults.overloaded]))))
})

/** An application error with a tag of this library. */
class Overloaded extends Data.TaggedError("Overloaded")<{ readonly by: string }> {}
class Mine extends Data.TaggedError("Mine") {}

const events = Effect.flatMap(CallLog.Memory, Ref.get)
const changes = Effect.map(
  events,
  (all) => all.flatMap((event) => event._tag === "FellBack" ? [[event.error._tag, event.to]] : [])
)
const tags = ClaudeError.ClaudeError.members.map((member) => make(member.identifier as ClaudeError.Tag)._tag)

describe("Fallback.notice", () => {
  const run = (error: unknown, on?: ReadonlyArray<ClaudeError.Tag>) =>
    Effect.exit(Fallback.notice({ on })(Effect.fail(error)))

  it.effect("without `on` answers with a notice after every kind of error", () =>
    Effect.gen(function*() {
      for (const tag of tags) assert.isTrue(Exit.isSuccess(yield* run(make(tag))), tag)
    }))

  it.effect("with `on` answers with a notice only after the kinds of error in `on`", () =>
    Effect.gen(function*() {
      for (const tag of tags) {
        const error = make(tag)
        const exit = yield* run(error, ["Refused", "Truncated"])
        if (tag === "Refused" || tag === "Truncated") assert.isTrue(Exit.isSuccess(exit), tag)
        else assert.deepStrictEqual(exit, Exit.fail(error))
        assert.deepStrictEqual(yield* run(error, []), Exit.fail(error))
      }
    }))

  it.effect("passes on application errors, even one with a tag of this library", () =>
    Effect.gen(function*() {
      for (const error of ["mine", new Mine(), new Overloaded({ by: "me" }), { _tag: "Overloaded" }, undefined]) {
        assert.deepStrictEqual(yield* run(error), Exit.fail(error))
        assert.deepStrictEqual(yield* run(error, ["Overloaded"]), Exit.fail(error))
      }
    }))

  it.effect("passes on answers, defects and interrupts unchanged", () =>
    Effect.gen(function*() {
      const notice = Fallback.notice()
      assert.strictEqual(yield* notice(Effect.succeed(1)), 1)
      assert.deepStrictEqual(yield* Effect.exit(notice(Effect.die("bug"))), Exit.die("bug"))
      const interrupted = yield* Effect.exit(notice(Effect.interrupt))
      assert.isTrue(Exit.isFailure(interrupted) && Cause.hasInterruptsOnly(interrupted.cause))
    }))

  it.effect("logs the fallback only if it answers with a notice", () =>
    Effect.gen(function*() {
      yield* Fallback.notice()(Claude.text("hi"))
      yield* Effect.flip(Fallback.notice({ on: ["Refused"] })(Claude.text("hi")))
      assert.deepStrictEqual(yield* changes, [["Overloaded", "notice"]])
    }).pipe(Effect.provide(Layer.provideMerge(
      FakeClaude.layer(Faults.cycle(Faults.overloaded)),
      CallLog.layerMemory
    ))))
})

describe("Effect's own recovery", () => {
  it.effect("catches every error of this library with ClaudeError.is, and no application error", () =>
    Effect.gen(function*() {
      const run = (error: unknown) =>
        Effect.exit(Effect.catchIf(Effect.fail(error), ClaudeError.is, ({ _tag }) => Effect.succeed(_tag)))
      for (const tag of tags) assert.deepStrictEqual(yield* run(make(tag)), Exit.succeed(tag))
      for (const error of ["mine", new Mine(), new Overloaded({ by: "me" }), { _tag: "Overloaded" }, undefined]) {
        assert.deepStrictEqual(yield* run(error), Exit.fail(error))
      }
    }))
})

describe("the text of a notice", () => {
  const said = (tag: ClaudeError.Tag, fields?: object) => Fallback.toNotice(make(tag, fields)).text

  it("says for every kind what happened, and whether to try again or what to do instead", () => {
    expect(tags.map((tag) => `${tag}: ${said(tag)}`)).toMatchInlineSnapshot(`
      [
        "InvalidRequest: The assistant could not understand this request. Please put it in another way.",
        "AuthenticationFailed: The assistant is not set up correctly. Trying again will not help: please contact the team that runs it.",
        "PermissionDenied: The assistant is not available for this account. Trying again will not help: please ask for access.",
        "ResourceNotFound: The assistant is not set up correctly. Trying again will not help: please contact the team that runs it.",
        "RequestTooLarge: That is more than the assistant can take at once. Please shorten it.",
        "ContextWindowExceeded: This conversation has become too long for the assistant. Please start a new one.",
        "SpendLimitReached: The assistant has reached its spending limit. Trying again will not help for now.",
        "RateLimited: The assistant is very busy right now. Please try again in a moment.",
        "Overloaded: The assistant is very busy right now. Please try again in a moment.",
        "ServerFault: The assistant had a problem answering. Please try again in a moment.",
        "Unreachable: The assistant could not be reached. Please try again in a moment.",
        "PartialAnswer: The assistant was interrupted while answering. Please try again in a moment.",
        "UnexpectedResponse: The assistant had a problem answering. Please try again in a moment.",
        "Refused: The assistant cannot help with this request. Please ask for something else.",
        "Truncated: The answer became too long. Please ask for a shorter one.",
        "EmptyAnswer: The assistant had no answer this time. Please try again in a moment.",
        "MalformedOutput: The assistant gave an answer that could not be used. Please try again in a moment.",
        "TimedOut: The assistant took too long to answer. Please try again in a moment.",
        "DeadlineExceeded: The assistant took too long to answer. Please try again in a moment.",
        "CircuitOpen: The assistant is having problems at the moment. Please try again in a moment.",
        "Saturated: The assistant is very busy right now. Please try again in a moment.",
      ]
    `)
  })

  it("has no technical terms and no details of the error, for every kind", () => {
    for (const tag of tags) {
      const odd = { detail: "secret", text: ClaudeError.redact("secret"), model: "claude-opus-5-5", status: 429 }
      const { error, retryable, text } = Fallback.toNotice(
        make(tag, { ...odd, requestId: "req_011CQabcdefghijklmnopqr1", retryAfter: Duration.hours(40) })
      )
      assert.strictEqual(error, tag)
      assert.match(text, /^[A-Z].*\. Reference: req_011CQabcdefghijklmnopqr1$/)
      assert.isBelow(text.length, 200)
      assert.notMatch(text, /Claude|opus|secret|\bAPI\b|HTTP|429|Error|model|token|schema|JSON|undefined|\n/i)
      assert.strictEqual(retryable, /Please try again in/.test(text))
      assert.strictEqual(retryable, Fallback.isRetryable(make(tag)))
      assert.isTrue(retryable || /Trying again will not help|Please/.test(text), tag)
    }
  })

  it.effect.each<readonly [string, ClaudeError.ClaudeError]>([
    ...[
      "CERT_HAS_EXPIRED",
      "CERT_NOT_YET_VALID",
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      "SELF_SIGNED_CERT_IN_CHAIN",
      "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
      "ERR_TLS_CERT_ALTNAME_INVALID",
      "INVALID_PURPOSE",
      "PATH_LENGTH_EXCEEDED",
      "ERROR_IN_CRL_NEXT_UPDATE_FIELD",
      "PROXY_407"
    ].map((code) => [code, make("Unreachable", { code })] as const),
    ["a 501", make("ServerFault", { status: 501 })],
    ["a 505", make("ServerFault", { status: 505 })],
    ["a 529 with x-should-retry: false", make("Overloaded", { status: 529, shouldRetry: false })],
    ["a 429 with x-should-retry: false", make("RateLimited", { shouldRetry: false, retryAfter: Duration.seconds(9) })],
    ["a contradiction", make("UnexpectedResponse", { contradiction: true })],
    ["an answer that a 501 broke off", make("PartialAnswer", { because: "ServerFault", permanent: true })]
  ])(
    "says that trying again will not help after a permanent failure: %s",
    ([, error]) =>
      Effect.gen(function*() {
        let runs = 0
        const ask = Effect.suspend(() => {
          runs++
          return Effect.fail(error)
        })
        yield* Effect.flip(Policy.apply({ retry: Retry.standard })(ask))
        const notice = Fallback.toNotice(error)
        assert.strictEqual(runs, 1)
        assert.isFalse(Fallback.isRetryable(error))
        assert.isFalse(notice.retryable)
        assert.match(notice.text, /Trying again will not help for now\.$/)
        assert.notMatch(notice.text, /Please try again/)
      })
  )

  it("has the request id, and says when to try again", () => {
    const notice = Fallback.toNotice(make("RateLimited", { requestId: "req_1", retryAfter: Duration.millis(1500) }))
    assert.deepInclude({ ...notice }, {
      text: "The assistant is very busy right now. Please try again in 2 seconds. Reference: req_1",
      requestId: "req_1",
      retryable: true,
      retryAfter: Duration.millis(1500),
      error: "RateLimited"
    })
  })

  it.each(
    [
      ["0 millis", "in a moment"],
      ["1 milli", "in 1 second"],
      ["20 seconds", "in 20 seconds"],
      ["59 seconds", "in 59 seconds"],
      ["59001 millis", "in about 1 minute"],
      ["60 seconds", "in about 1 minute"],
      ["61 seconds", "in about 2 minutes"],
      ["150 seconds", "in about 3 minutes"],
      ["59 minutes", "in about 59 minutes"],
      ["3541 seconds", "in about 1 hour"],
      ["61 minutes", "in about 2 hours"],
      ["47 hours", "in about 47 hours"],
      ["48 hours", "in about 2 days"],
      ["400 days", "in about 400 days"],
      ["401 days", "in a moment"],
      ["Infinity", "in a moment"]
    ] as const
  )("shows a wait of %s as \"%s\"", (wait, words) => {
    assert.strictEqual(
      said("Overloaded", { retryAfter: Duration.fromInputUnsafe(wait) }),
      `The assistant is very busy right now. Please try again ${words}.`
    )
  })

  it.each([
    ["2026-12-01T00:00:00Z", " It should be available again on 1 December 2026."],
    ["2026-12-01", " It should be available again on 1 December 2026."],
    ["2026-12-01T23:30:00-02:00", " It should be available again on 2 December 2026."],
    ["2026-02-30T00:00:00Z", ""],
    ["2026-12-01T99:00:00Z", ""],
    ["2026-13-01", ""],
    ["tomorrow", ""],
    ["", ""],
    [12, ""],
    [{ toString: "x" }, ""],
    [undefined, ""]
  ])("shows the day for a spend limit that ends at %j only if this is a valid date", (regainsAt, words) => {
    assert.strictEqual(
      said("SpendLimitReached", { regainsAt }),
      `The assistant has reached its spending limit. Trying again will not help for now.${words}`
    )
  })

  it.effect("leaves out the end of a spend limit if it is in the past", () =>
    Effect.gen(function*() {
      const error = make("SpendLimitReached", { regainsAt: "2026-12-01T00:00:00Z" })
      const notice = Effect.map(Fallback.notice()(Effect.fail(error)), ({ text }) => text)
      const end = Date.parse("2026-12-01T00:00:00Z")
      yield* TestClock.setTime(end - 1)
      assert.include(yield* notice, "available again on 1 December 2026.")
      assert.strictEqual(yield* notice, Fallback.toNotice(error, { now: end - 1 }).text)
      yield* TestClock.setTime(end)
      assert.strictEqual(yield* notice, said("SpendLimitReached"))
      assert.strictEqual(yield* notice, Fallback.toNotice(error, { now: end }).text)
    }))

  it("leaves out a malformed request id", () => {
    for (const requestId of ["", "a b", "<script>", "x".repeat(65), 12, {}, null]) {
      assert.notInclude(said("Refused", { requestId }), "Reference")
      assert.isUndefined(Fallback.toNotice(make("Refused", { requestId })).requestId)
    }
  })

  it("comes without a `retryAfter` in the notice if the `retryAfter` of the error is invalid, zero, negative or infinite", () => {
    for (const retryAfter of [Duration.zero, Duration.millis(-5), Duration.infinity, 5, "5 seconds", null]) {
      assert.isUndefined(Fallback.toNotice(make("Overloaded", { retryAfter })).retryAfter)
    }
  })

  it("is the default text if `words` throws, or returns a blank text or no string", () => {
    const fails = () => {
      throw new Error("mine")
    }
    for (const words of [() => "", () => " \n", fails, () => undefined, () => 12 as never, "no" as never]) {
      assert.strictEqual(Fallback.toNotice(make("Refused"), { words }).text, said("Refused"))
    }
  })

  it.effect("is exactly the text that `words` returns", () =>
    Effect.gen(function*() {
      const words = (error: ClaudeError.ClaudeError) =>
        error._tag === "Overloaded"
          ? "Zu viel los."
          : error._tag === "SpendLimitReached"
          ? `Kein Geld bis ${error.regainsAt}.`
          : undefined
      const fields = { requestId: "req_1", retryAfter: Duration.seconds(1), regainsAt: "morgen" }
      const notice = (tag: ClaudeError.Tag) => Fallback.notice({ words })(Effect.fail(make(tag, fields)))
      assert.deepInclude({ ...(yield* notice("Overloaded")) }, {
        text: "Zu viel los.",
        requestId: "req_1",
        retryable: true,
        retryAfter: Duration.seconds(1)
      })
      assert.strictEqual((yield* notice("SpendLimitReached")).text, "Kein Geld bis morgen.")
      assert.strictEqual((yield* notice("Refused")).text, said("Refused", fields))
      assert.strictEqual(Fallback.toNotice(make("Overloaded"), { words }).text, "Zu viel los.")
    }))

  const values = [{ toString: 1, valueOf: 1 }, NaN, null, Duration.infinity, Duration.millis(-5), "2026-99-99T25:00"]
  const odd = Arbitrary.flatMap(
    Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: values.length }))),
    (i): Arbitrary.Arbitrary<unknown> =>
      i < values.length ? Arbitrary.Constant(values[i]) : Arbitrary.schema(Schema.Json)
  )
  it.prop("is complete and short for an error with any field values", {
    tag: Schema.Literals(tags),
    requestId: odd,
    retryAfter: odd,
    regainsAt: odd,
    model: odd
  }, ({ tag, ...fields }) => {
    const { text } = Fallback.toNotice(make(tag, fields))
    assert.match(text, /\.$|\. Reference: \S+$/)
    assert.isBelow(text.length, 250)
  }, { arbitrary: { runs: 500 } })
})

describe("Fallback.accounts", () => {
  /** A fake account and the requests it received. Pushes `+name` to `life` when it is built, `-name` when it is closed. */
  const account = (playable: Faults.Playable, life: Array<string> = [], name = "b") => {
    const requests: Array<Message.Request> = []
    const wire = FakeClaude.wire(playable, (request) => Effect.sync(() => void requests.push(request)))
    const layer = Layer.effect(
      Claude.Claude,
      Effect.acquireRelease(
        Effect.tap(Effect.flatMap(wire, Claude.make), () => Effect.sync(() => life.push(`+${name}`))),
        () => Effect.sync(() => life.push(`-${name}`))
      )
    )
    return { layer, requests }
  }
  const logged = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.provide(self, CallLog.layerMemory)
  const refused = Faults.spendLimited

  it.effect.each(tags.map((tag) => [worthAnother[tag] ? "asks" : "does not ask", tag] as const))(
    "%s another account after %s, unless `on` overrides this default",
    ([, tag]) =>
      Effect.gen(function*() {
        let runs = 0
        const program = Effect.suspend(() => {
          runs++
          return Effect.fail(make(tag))
        })
        const { layer } = account([])
        yield* Effect.flip(Fallback.accounts([layer, layer])(program))
        assert.strictEqual(runs, worthAnother[tag] ? 3 : 1)
        yield* Effect.flip(Fallback.accounts([layer], { on: { [tag]: !worthAnother[tag] } })(program))
        assert.strictEqual(runs, worthAnother[tag] ? 4 : 3)
        yield* Effect.flip(Fallback.accounts([layer], { on: { [tag]: undefined } })(program))
        assert.strictEqual(runs, worthAnother[tag] ? 6 : 4)
      })
  )

  it.effect("sends the same request to each account in turn, until one answers", () =>
    logged(Effect.gen(function*() {
      const a = account([refused])
      const b = account([Faults.rateLimited()])
      const c = account([Faults.answer("hello")])
      const d = account([])
      const text = yield* Claude.text("hi", { system: "Be brief.", max_tokens: 100 }).pipe(
        Fallback.accounts([b.layer, c.layer, d.layer]),
        Effect.provide(a.layer)
      )
      assert.strictEqual(text, "hello")
      assert.lengthOf(a.requests, 1)
      assert.deepStrictEqual(b.requests.map(({ params }) => params), a.requests.map(({ params }) => params))
      assert.deepStrictEqual(c.requests.map(({ params }) => params), a.requests.map(({ params }) => params))
      assert.deepStrictEqual(d.requests, [])
      assert.deepStrictEqual(yield* changes, [["SpendLimitReached", "account 2"], ["RateLimited", "account 3"]])
    })))

  it.effect("logs FellBack to the log of the account that failed, or only calls `onChange` if it is set", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const log = (name: string) =>
        Layer.succeed(CallLog.CallLog, {
          emit: (event) => Effect.sync(() => event._tag === "FellBack" && told.push(`${name}: ${event.to}`))
        })
      const on = (name: string) => Layer.provide(account(Faults.cycle(refused)).layer, log(name))
      const call = Effect.flip(Fallback.accounts([on("b"), on("c")])(Claude.text("hi")))
      yield* Effect.provide(call, on("a"))
      assert.deepStrictEqual(told, ["a: account 2", "b: account 3"])
      const onChange: Fallback.OnAccount = ({ error, to }) => Effect.sync(() => told.push(`${error._tag} ${to}`))
      yield* Effect.flip(Fallback.accounts([on("b"), on("c")], { onChange })(Claude.text("hi"))).pipe(
        Effect.provide(on("a"))
      )
      assert.deepStrictEqual(told.slice(2), ["SpendLimitReached 2", "SpendLimitReached 3"])
    }))

  it.effect("G11: fails with the history of all accounts", () =>
    logged(Effect.gen(function*() {
      const call = Claude.text("hi").pipe(
        Policy.apply({ retry: { Overloaded: Retry.backoff({ times: 1 }) } })
      )
      const running = yield* call.pipe(
        Fallback.accounts([account([Faults.forbidden]).layer, account([Faults.overloaded, Faults.refusal()]).layer]),
        Effect.provide(account([Faults.overloaded, Faults.overloaded]).layer),
        Effect.flip,
        Effect.forkChild
      )
      yield* TestClock.adjust("10 seconds")
      const error = yield* Fiber.join(running)
      const history = error.history?.map(({ attempt, error }) => [attempt, error])
      assert.deepStrictEqual(history, [
        [1, "Overloaded"],
        [2, "Overloaded"],
        [1, "PermissionDenied"],
        [1, "Overloaded"],
        [2, "Refused"]
      ])
      assert.deepInclude({ ...error }, { _tag: "Overloaded", gaveUp: "RetriesSpent" }, "the first error stands")
    })))

  it.effect("without a policy adds one entry to the history for each account, with the model of the error or else the model of the call", () =>
    Effect.gen(function*() {
      const failures = [make("Refused", { requestId: "req_1" }), make("Overloaded", { model: "m" })]
      const error = yield* Effect.suspend(() => Effect.fail(failures.shift() ?? make("Truncated"))).pipe(
        Fallback.accounts([account([]).layer, account([]).layer]),
        Claude.withModel("claude-haiku-5-5"),
        Effect.flip
      )
      assert.deepInclude({ ...error }, { _tag: "Truncated", gaveUp: "NotRetried" })
      assert.deepStrictEqual(
        error.history?.map(({ attempt, error, model, requestId }) => [attempt, error, model, requestId]),
        [
          [1, "Refused", "claude-haiku-5-5", "req_1"],
          [1, "Overloaded", "m", undefined],
          [1, "Truncated", "claude-haiku-5-5", undefined]
        ]
      )
    }))

  it.effect("limits the history to the last 100 entries", () =>
    Effect.gen(function*() {
      const tried = (error: string) =>
        Array.from({ length: 60 }, (_, i) => ({ attempt: i + 1, model: "m", error, message: "" }))
      let account1 = true
      const error = yield* Effect.suspend(() => {
        const error = make("Overloaded", { history: tried(account1 ? "first" : "second"), gaveUp: "BudgetSpent" })
        account1 = false
        return Effect.fail(error)
      }).pipe(Fallback.accounts([account([]).layer]), Effect.flip)
      assert.deepStrictEqual(error.history, [...tried("first").slice(20), ...tried("second")])
      assert.strictEqual(error.gaveUp, "BudgetSpent")
    }))

  it.effect("passes on the error of a single account, and any application error, unchanged", () =>
    Effect.gen(function*() {
      const { layer } = account([])
      for (const error of [make("Truncated"), new Mine(), new Overloaded({ by: "me" })]) {
        assert.strictEqual(yield* Effect.flip(Fallback.accounts([layer])(Effect.fail(error))), error)
      }
    }))

  describe("with a layer that fails to build", () => {
    class NoKey extends Data.TaggedError("NoKey")<{ readonly message: string }> {}
    const unbuilt = Layer.effect(Claude.Claude, Effect.fail(new NoKey({ message: "secret" })))
    const warnings = Effect.map(
      events,
      (all) => all.flatMap((event) => event._tag === "Warning" ? [`${event.code}: ${event.message}`] : [])
    )

    it.effect("skips the account, with a warning that names it and leaves out the error message (G14)", () =>
      Effect.gen(function*() {
        const { layer } = account([Faults.answer("hello")])
        assert.strictEqual(yield* Fallback.accounts([unbuilt, layer])(Claude.text("hi")), "hello")
        assert.deepStrictEqual(yield* warnings, [
          "AccountNotBuilt: the layer of account 2 failed to build (NoKey), so this account was skipped: check this layer"
        ])
        assert.deepStrictEqual(yield* changes, [["SpendLimitReached", "account 2"], ["SpendLimitReached", "account 3"]])
      }).pipe(Effect.provide(Layer.provideMerge(FakeClaude.layer([refused]), CallLog.layerMemory))))

    it.effect("fails with the error of an account whose layer was built", () =>
      Effect.gen(function*() {
        const error = make("SpendLimitReached")
        const only = Fallback.accounts([unbuilt, unbuilt])(Effect.fail(error))
        assert.strictEqual(yield* Effect.flip(only), error)

        const { layer } = account([])
        const errors = [make("PermissionDenied"), make("Overloaded")]
        const tried = Fallback.accounts([unbuilt, layer, unbuilt])(
          Effect.suspend(() => Effect.fail(errors.shift() ?? make("Truncated")))
        )
        const last = yield* Effect.flip(tried)
        assert.strictEqual(last._tag, "Overloaded")
        assert.deepStrictEqual(last.history?.map(({ error }) => error), ["PermissionDenied", "Overloaded"])
      }))

    it.effect("passes on a defect or an interrupt of the layer", () =>
      Effect.gen(function*() {
        const { layer } = account([Faults.answer("hello")])
        const building = (effect: Effect.Effect<never, NoKey>) =>
          Effect.exit(Fallback.accounts([Layer.effect(Claude.Claude, effect), layer])(Effect.fail(make("Refused"))))
        assert.deepStrictEqual(yield* building(Effect.die("bug")), Exit.die("bug"))
        const both = yield* building(Effect.ensuring(Effect.fail(new NoKey({ message: "" })), Effect.die("bug")))
        assert.isTrue(Exit.hasDies(both))
        assert.isTrue(Exit.hasInterrupts(yield* building(Effect.interrupt)))
      }))
  })

  it.effect("asks no other account after a defect or an interrupt", () =>
    Effect.gen(function*() {
      const life: Array<string> = []
      const switching = Fallback.accounts([account([Faults.answer("hello")], life).layer])
      const asked = <E>(self: Effect.Effect<never, E>) => Effect.exit(switching(self))
      assert.deepStrictEqual(yield* asked(Effect.die("bug")), Exit.die("bug"))
      const interrupted = yield* asked(Effect.interrupt)
      assert.isTrue(Exit.isFailure(interrupted) && Cause.hasInterruptsOnly(interrupted.cause))
      yield* asked(Effect.ensuring(Effect.fail(make("Refused")), Effect.die("bug")))

      const fiber = yield* Effect.forkChild(switching(Effect.never))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(life, [])
    }))

  it.effect("G1: closes the layer of the second account when the call is interrupted, and asks no third account", () =>
    Effect.gen(function*() {
      const life: Array<string> = []
      const fiber = yield* Claude.text("hi").pipe(
        Fallback.accounts([account([Faults.silence], life).layer, account([], life, "c").layer]),
        Effect.provide(account([refused]).layer),
        Effect.forkChild
      )
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(life, ["+b"])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(life, ["+b", "-b"])
    }))

  it("returns the same effect for an empty list, and refuses a value that is not a list of layers", () => {
    const self = Effect.fail(make("Refused"))
    assert.strictEqual(Fallback.accounts([])(self), self)
    for (const wrong of [undefined, "b", account([]).layer, ["b"], [undefined]]) {
      // Untyped code may pass a wrong value.
      assert.throws(() => Fallback.accounts(wrong as unknown as []), RangeError, /list of layers/)
    }
  })

  it.effect("runs the program with the same model, call, tenant and deadline on each account", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const call = { id: "mine" }
      const current = Effect.gen(function*() {
        seen.push([
          yield* CallContext.Substitute,
          (yield* Current.Call)?.id,
          yield* Current.Tenant,
          yield* Current.Deadline
        ])
        return yield* make("Refused")
      })
      yield* Fallback.accounts([account([]).layer])(current).pipe(
        Effect.provideService(CallContext.Substitute, "claude-haiku-5-5"),
        // Safe cast: the test reads only the id.
        Effect.provideService(CallContext.Call, call as unknown as CallContext.Call),
        Effect.provideService(Current.Tenant, "tenant"),
        Effect.provideService(Current.Deadline, 5),
        Effect.flip
      )
      assert.deepStrictEqual(seen, [["claude-haiku-5-5", "mine", "tenant", 5], [
        "claude-haiku-5-5",
        "mine",
        "tenant",
        5
      ]])
    }))

  describe("with layers", () => {
    const twice = (Backup: Layer.Layer<Claude.Claude>) =>
      Effect.forEach([1, 2], () => Fallback.accounts([Backup])(Claude.text("hi")))
    const setup = () => {
      const life: Array<string> = []
      const quiet = Layer.provide(CallLog.layerNoop)
      const Main = quiet(account(Faults.cycle(refused), life, "main").layer)
      const Backup = quiet(account(Faults.cycle(Faults.answer("hello")), life, "backup").layer)
      return { life, Main, Backup }
    }

    it.effect("builds a layer when its account is asked, and closes it afterwards", () =>
      Effect.gen(function*() {
        const { Backup, Main, life } = setup()
        yield* Effect.provide(Fallback.accounts([Backup])(Effect.succeed(1)), Main)
        assert.deepStrictEqual(life, ["+main", "-main"])
        yield* Effect.provide(twice(Backup), Main)
        assert.deepStrictEqual(life.slice(2), ["+main", "+backup", "-backup", "+backup", "-backup", "-main"])
      }))

    it.effect("closes a layer before the next account is asked", () =>
      Effect.gen(function*() {
        const life: Array<string> = []
        const on = (name: string, turn: Faults.Turn) => account([turn], life, name).layer
        yield* Claude.text("hi").pipe(
          Fallback.accounts([on("b", refused), on("c", Faults.answer("hello"))]),
          Effect.provide(on("a", refused))
        )
        assert.deepStrictEqual(life, ["+a", "+b", "-b", "+c", "-c", "-a"])
      }))

    it.effect("reuses a layer that is also provided around the program", () =>
      Effect.gen(function*() {
        const { Backup, Main, life } = setup()
        const Accounts = Layer.merge(Main, Layer.provide(Layer.empty, Backup))
        assert.deepStrictEqual(yield* Effect.provide(twice(Backup), Accounts), ["hello", "hello"])
        assert.deepStrictEqual(life, ["+main", "+backup", "-backup", "-main"])

        const runtime = ManagedRuntime.make(Accounts)
        yield* Effect.promise(() => runtime.runPromise(twice(Backup)))
        yield* Effect.promise(() => runtime.runPromise(twice(Backup)))
        yield* Effect.promise(() => runtime.dispose())
        assert.deepStrictEqual(life.slice(4), ["+main", "+backup", "-backup", "-main"])
      }))

    it.effect("accepts Layer.succeedContext with a context that the caller built", () =>
      Effect.gen(function*() {
        const { Backup, Main, life } = setup()
        yield* Effect.scoped(
          Effect.flatMap(Layer.build(Backup), (context) => Effect.provide(twice(Layer.succeedContext(context)), Main))
        )
        assert.deepStrictEqual(life, ["+backup", "+main", "-main", "-backup"])
      }))
  })

  it.live("G14: sends the same bytes to each account over sockets, with the API key of the account", () =>
    Effect.gen(function*() {
      const server = (turn: Faults.Turn) =>
        Effect.map(Layer.build(FakeServer.layer([turn])), Context.get(FakeServer.FakeServer))
      const [a, b] = [yield* server(refused), yield* server(Faults.answer("hello"))]
      const text = yield* Claude.text("Schöne Grüße", { system: "Be brief." }).pipe(
        Policy.apply(Policy.standard),
        Fallback.accounts([Anthropic.layer({ apiKey: "sk-ant-b", baseUrl: b.url })]),
        Effect.provide(NodeAnthropic.layer({ apiKey: "sk-ant-a", baseUrl: a.url }))
      )
      assert.strictEqual(text, "hello")
      const [first, ...more] = yield* a.received
      const [second, ...others] = yield* b.received
      assert.deepStrictEqual([more, others], [[], []])
      assert.include(first?.body, "Schöne Grüße")
      assert.strictEqual(second?.body, first?.body)
      assert.deepStrictEqual(
        [first, second].map((request) => request?.headers.authorization),
        ["Bearer sk-ant-a", "Bearer sk-ant-b"]
      )
    }).pipe(Effect.provide(CallLog.layerNoop)))
})

describe("an invalid option `on`", () => {
  // Untyped code may pass misspelt kinds.
  const slip = ["OverLoaded"] as unknown as ReadonlyArray<never>
  const table = { OverLoaded: true } as {}
  const place = { key: "refusals", schema: Schema.String, maxAge: "1 hour" } as const
  it.each<readonly [build: () => unknown, sentence: RegExp]>([
    [() => Fallback.notice({ on: slip }), /Fallback.notice: on has "OverLoaded", which is not a kind of error/],
    [() => Fallback.notice({ on: "Overloaded" as never }), /Fallback.notice: on is "Overloaded": it must be a list/],
    [() => Fallback.models(["a"], { on: table }), /Fallback.models: on has no field OverLoaded: it has InvalidRequest/],
    [
      () => Fallback.models(["a"], { on: ["Overloaded"] as {} }),
      /Fallback.models: on takes an object, like .*, not a list$/
    ],
    [() => Fallback.accounts([], { on: table }), /Fallback.accounts: on has no field OverLoaded/],
    [() => Fallback.lastGood({ ...place, on: table }), /Fallback.lastGood "refusals": on has no field OverLoaded/]
  ])("G12: is refused with an error that matches $1", (build, sentence) => assert.throws(build, RangeError, sentence))

  it("is not reported if `on` is undefined", () => {
    assert.doesNotThrow(() => Fallback.notice({ on: undefined }))
    assert.doesNotThrow(() => Fallback.models(["a"], { on: undefined }))
  })
})
