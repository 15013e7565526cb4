import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { ClaudeError } from "../src/index.ts"

const make = (member: unknown, fields: object = { scope: "idle" }) =>
  new (member as new(fields: object) => ClaudeError.ClaudeError)(fields)

describe("ClaudeError", () => {
  it("has 21 kinds, each with a sentence", () => {
    assert.lengthOf(ClaudeError.ClaudeError.members, 21)
    for (const member of ClaudeError.ClaudeError.members) {
      assert.match(make(member).message, /^[A-Z].*\.$/)
      assert.isTrue(ClaudeError.is(make(member)))
    }
  })

  it("no constructor throws on odd data", () => {
    const odd = {
      model: 7,
      requestId: null,
      status: "529",
      errorCode: {},
      detail: [],
      retryAfter: "soon",
      limits: 1,
      scope: 3,
      code: 1,
      sent: "no",
      reason: {},
      usage: "x",
      cause: Symbol("odd")
    }
    for (const member of ClaudeError.ClaudeError.members) assert.isString(make(member, odd).message)
  })

  it("an application's error with one of our tags is not ours", () =>
    assert.isFalse(ClaudeError.is({ _tag: "ResourceNotFound" })))

  it.effect("is encoded without its content", () =>
    Effect.gen(function*() {
      const error = new ClaudeError.PartialAnswer({ requestId: "req_1", text: ClaudeError.redact("secret") })
      const encoded = JSON.stringify(yield* Schema.encodeEffect(ClaudeError.ClaudeError)(error))
      assert.include(encoded, "req_1")
      assert.notInclude(encoded, "secret")
    }))

  it.effect("a tag can be caught, and leaves the type", () =>
    Effect.gen(function*() {
      const call: Effect.Effect<string, ClaudeError.ClaudeError> = Effect.fail(new ClaudeError.Refused({}))
      const caught = Effect.catchTag(call, "Refused", () => Effect.succeed("declined"))
      const typed: Effect.Effect<string, Exclude<ClaudeError.ClaudeError, ClaudeError.Refused>> = caught
      assert.strictEqual(yield* typed, "declined")
    }))
})
