import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Ref } from "effect"
import { CallLog, Claude, ClaudeError, Current, Fallback } from "../../src/index.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

const models = Effect.map(FakeClaude.received, (all) => all.map(({ params }) => params.model))
const make = (tag: ClaudeError.Tag, fields: object = {}) => {
  const member = ClaudeError.ClaudeError.members.find((member) => member.identifier.endsWith(tag))
  return new (member as unknown as new(fields: object) => ClaudeError.ClaudeError)({ scope: "idle", ...fields })
}

describe("models", () => {
  const worth: ClaudeError.Table<boolean> = {
    InvalidRequest: false,
    Unauthorized: false,
    Forbidden: false,
    NotFound: true,
    RequestTooLarge: false,
    ContextWindowExceeded: false,
    SpendLimitReached: false,
    RateLimited: true,
    Overloaded: true,
    ServerFault: true,
    Unreachable: false,
    PartialAnswer: true,
    UnexpectedResponse: true,
    Refused: true,
    Truncated: false,
    EmptyAnswer: true,
    MalformedOutput: true,
    TimedOut: true,
    DeadlineExceeded: false,
    CircuitOpen: true,
    Saturated: true
  }
  for (const [tag, expected] of Object.entries(worth)) {
    it.effect(`${tag} is ${expected ? "" : "not "}worth another model`, () =>
      Effect.gen(function*() {
        const asked: Array<string | undefined> = []
        const program = Effect.flatMap(Current.Substitute, (model) => {
          asked.push(model)
          return Effect.fail(make(tag as ClaudeError.Tag))
        })
        yield* Effect.flip(Fallback.models(["b", "c"])(program))
        assert.deepStrictEqual(asked, expected ? [undefined, "b", "c"] : [undefined])
      }))
  }

  it.effect("the model stands in for whatever the call names, and the log says so", () =>
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

  it.effect("what is worth another model can be decided otherwise", () =>
    Effect.gen(function*() {
      yield* Claude.text("hi").pipe(
        Fallback.models(["claude-haiku-5-5"], { on: { Overloaded: false } }),
        Effect.flip
      )
      assert.lengthOf(yield* models, 1)
    }).pipe(Effect.provide(FakeClaude.layer([Faults.overloaded]))))
})

describe("value and notice", () => {
  it.effect("answer for our errors, and leave the others", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Fallback.value("sorry")(Effect.fail(make("Overloaded"))), "sorry")
      assert.strictEqual(yield* Effect.flip(Fallback.value("sorry")(Effect.fail("mine"))), "mine")
      assert.strictEqual(yield* Effect.flip(Fallback.notice()(Effect.fail("mine"))), "mine")
    }))

  it("a notice has plain words, the request id, and whether and when to try again", () => {
    const error = make("RateLimited", { requestId: "req_1", retryAfter: Duration.millis(1500) })
    const notice = Fallback.toNotice(error)
    assert.strictEqual(notice.text, "The assistant is very busy right now. Please try again in 2s.")
    assert.deepInclude(notice, { requestId: "req_1", retryable: true, error: "RateLimited" })
    assert.strictEqual(Fallback.toNotice(error, { RateLimited: "Zu viel los." }).text, "Zu viel los.")
  })

  it("every kind has words for a person, without a word of ours", () => {
    for (const member of ClaudeError.ClaudeError.members) {
      const error = new (member as new(fields: object) => ClaudeError.ClaudeError)({ scope: "idle", detail: "secret" })
      const { retryable, text } = Fallback.toNotice(error)
      assert.match(text, /^[A-Z].*\.$/)
      assert.notMatch(text, /Claude|secret|API|\d{3}|Error/)
      assert.strictEqual(retryable, /try again/.test(text))
    }
  })
})
