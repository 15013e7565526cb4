/** Checks what docs/errors.md says. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as fs from "node:fs"
import * as path from "node:path"
import { Claude, ClaudeError, Policy, Retry } from "resilient-claude"
import { FakeClaude, Faults } from "resilient-claude/testing"
import { assertAlive } from "../support/docs.ts"
import { program } from "./programs/errors.ts"

const fake = (...turns: ReadonlyArray<Faults.Turn>) => Effect.provide(FakeClaude.layer(turns))

const finish = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const running = yield* Effect.forkChild(self)
    yield* TestClock.adjust("10 minutes")
    return yield* Fiber.join(running)
  })

const ask = Claude.text("Write a haiku about patience.").pipe(Policy.apply(Policy.standard))

// The compiler reports a kind that is missing here.
const status: ClaudeError.Table<number> = {
  InvalidRequest: 400,
  AuthenticationFailed: 500,
  PermissionDenied: 500,
  ResourceNotFound: 500,
  RequestTooLarge: 413,
  ContextWindowExceeded: 413,
  SpendLimitReached: 503,
  RateLimited: 503,
  Overloaded: 503,
  ServerFault: 502,
  Unreachable: 502,
  PartialAnswer: 502,
  UnexpectedResponse: 502,
  Refused: 422,
  Truncated: 502,
  EmptyAnswer: 502,
  MalformedOutput: 502,
  TimedOut: 504,
  DeadlineExceeded: 504,
  CircuitOpen: 503,
  Saturated: 503
}

const withStatus = Effect.mapError(ask, (error) => ({ status: status[error._tag], message: error.message }))

const report = ({ gaveUp, history = [], message }: ClaudeError.ClaudeError): string =>
  [
    message,
    ...history.map(({ attempt, error, model, waited = 0 }) => `${attempt}. ${model}: ${error}, waited ${waited} ms`),
    `gave up: ${gaveUp}`
  ].join("\n")

const arrived = (error: ClaudeError.ClaudeError): string | undefined =>
  "text" in error && error.text !== undefined ? Redacted.value(error.text) : undefined

const retryAfterHeader = (error: ClaudeError.ClaudeError) => {
  const wait = ClaudeError.retryAfter(error)
  return wait === undefined ? {} : { "retry-after": String(Math.ceil(Duration.toSeconds(wait))) }
}

const codec = Schema.toCodecJson(ClaudeError.ClaudeError)

const page = fs.readFileSync(path.resolve(import.meta.dirname, "../../docs/errors.md"), "utf8")

it("every code block of docs/errors.md is in a test or an example", () => assertAlive("docs/errors.md"))

describe("the first program", () => {
  it.effect("prints the answer", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* program, "slow water")
    }).pipe(fake(Faults.answer("slow water"))))

  it.effect("handles Refused by its tag, and all other errors together", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* program, "Claude declined to answer.")
      assert.strictEqual(
        yield* program,
        "AuthenticationFailed: The credentials were not accepted (401): Invalid bearer token"
      )
    }).pipe(fake(Faults.refusal(), Faults.unauthorized)))
})

describe("code that catches errors", () => {
  it.effect("catches errors with the listed tags, and passes on all other errors", () =>
    Effect.gen(function*() {
      const answer = ask.pipe(
        Effect.catchTag(["RateLimited", "Overloaded"], () => Effect.succeed("Claude is busy."))
      )
      const typed: Effect.Effect<
        string,
        Exclude<ClaudeError.ClaudeError, ClaudeError.RateLimited | ClaudeError.Overloaded>,
        Claude.Claude
      > = answer
      assert.strictEqual(yield* finish(typed), "Claude is busy.")
      assert.strictEqual((yield* Effect.flip(typed))._tag, "PermissionDenied")
    }).pipe(fake(Faults.rateLimited("1 hour"), Faults.forbidden)))

  it.effect("can use a table with an entry for every kind", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(withStatus)).status, 422)
    }).pipe(fake(Faults.refusal())))
})

describe("the history of attempts", () => {
  const twice = Policy.apply({
    retry: { Overloaded: Retry.linear({ times: 1, base: "2 seconds" }) },
    models: ["claude-haiku-5-5"]
  })

  it.effect("is on the error, with the reason why the call gave up", () =>
    Effect.gen(function*() {
      const reported = report(yield* finish(Effect.flip(twice(Claude.text("hi")))))
      assert.match(reported, /^The API is overloaded[^]*gave up: RetriesSpent$/)
      assert.include(page, `\`\`\`text\n${reported}\n\`\`\``)
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.overloaded)))))

  it.effect("is missing without a policy", () =>
    Effect.gen(function*() {
      const { gaveUp, history } = yield* Effect.flip(Claude.text("hi"))
      assert.deepStrictEqual([gaveUp, history], [undefined, undefined])
    }).pipe(fake(Faults.overloaded)))
})

describe("the content in an error", () => {
  it.effect("is redacted, and readable only with Redacted.value", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Claude.text("hi"))
      assert.strictEqual(error._tag, "PartialAnswer")
      assert.notInclude(`${error} ${JSON.stringify(error)} ${error.message}`, "my secret")
      assert.strictEqual(arrived(error), "my secret ")
    }).pipe(fake(Faults.breaks("my secret "))))

  it.effect("is missing if nothing had arrived", () =>
    Effect.gen(function*() {
      assert.isUndefined(arrived(yield* Effect.flip(Claude.text("hi"))))
    }).pipe(fake(Faults.overloaded)))

  it("is a field of only the kinds that this test lists, and the same holds for usage, retryAfter, regainsAt, issues and toolUses", () => {
    const having = (field: string) =>
      ClaudeError.ClaudeError.members.filter(({ fields }) => field in fields).map(({ identifier }) => identifier)
    assert.deepStrictEqual(having("text"), [
      "ContextWindowExceeded",
      "PartialAnswer",
      "Refused",
      "Truncated",
      "MalformedOutput",
      "TimedOut",
      "DeadlineExceeded"
    ])
    assert.deepStrictEqual(having("blocks"), having("text"))
    assert.deepStrictEqual(having("usage"), [
      ...having("text").slice(0, 4),
      "EmptyAnswer",
      ...having("text").slice(4)
    ])
    assert.deepStrictEqual(having("retryAfter"), [
      "RateLimited",
      "Overloaded",
      "ServerFault",
      "CircuitOpen",
      "Saturated"
    ])
    assert.deepStrictEqual(having("regainsAt"), ["SpendLimitReached", "PartialAnswer"])
    assert.deepStrictEqual(having("issues"), ["InvalidRequest", "MalformedOutput"])
    assert.deepStrictEqual(having("toolUses"), ["MalformedOutput"])
  })
})

describe("the fields of every kind", () => {
  it("are those that the page lists", () => {
    const [, table = ""] = /\nEvery kind has these fields[^]*?\n\n([^]*?)\n\n/.exec(page) ?? []
    const listed = [...table.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, names = ""]) =>
      [...names.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name)
    )
    const [first, ...others] = ClaudeError.ClaudeError.members.map(({ fields }) => new Set(Object.keys(fields)))
    const shared = [...first ?? []].filter((field) => others.every((fields) => fields.has(field)))
    assert.sameMembers([...shared, "message"], [...listed, "_tag"])
  })
})

describe("an answer that broke off", () => {
  it.effect("fails with PartialAnswer, and ClaudeError.kindOf returns the kind of the error that broke it off", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Claude.text("hi"))
      assert.deepStrictEqual([error._tag, ClaudeError.kindOf(error)], ["PartialAnswer", "Overloaded"])
    }).pipe(fake(Faults.errorAfter("Once upon "))))
})

describe("the wait that the server asks for", () => {
  it.effect("becomes a retry-after header in whole seconds, rounded up, and an error without a wait gives no header", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(retryAfterHeader(yield* Effect.flip(Claude.text("hi"))), { "retry-after": "17" })
      assert.deepStrictEqual(retryAfterHeader(yield* Effect.flip(Claude.text("hi"))), {})
    }).pipe(fake(Faults.rateLimited("16.2 seconds"), Faults.unauthorized)))

  it.effect("is a date, which ClaudeError.regainsAt returns, if a spend limit is reached", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Claude.text("hi"))
      assert.strictEqual(ClaudeError.regainsAt(error)?.slice(0, 10), "2026-12-01")
    }).pipe(fake(Faults.spendLimited)))
})

describe("JSON", () => {
  it.effect("of an error can be decoded again, and contains the content of the error in plain text", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Claude.text("hi"))
      const json = yield* Schema.encodeEffect(codec)(error)
      const back = yield* Schema.decodeUnknownEffect(codec)(json)
      assert.include(JSON.stringify(json), "my secret")
      assert.strictEqual(back._tag, "PartialAnswer")
      assert.strictEqual(arrived(back), "my secret ")
    }).pipe(fake(Faults.breaks("my secret "))))
})

describe("an error in a test", () => {
  it.effect("is created with its class", () =>
    Effect.gen(function*() {
      const busy = Effect.fail(new ClaudeError.Overloaded({ status: 529, model: "claude-sonnet-5-5" }))
      assert.strictEqual((yield* Effect.flip(busy)).message, "The API is overloaded (529).")
    }))

  it("passes ClaudeError.is, unlike another object with the same tag", () => {
    assert.isTrue(ClaudeError.is(new ClaudeError.Overloaded({})))
    assert.isFalse(ClaudeError.is({ _tag: "Overloaded" }))
  })
})
