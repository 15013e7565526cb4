import type { ContentBlock } from "@anthropic-ai/sdk/resources/messages"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Duration, Effect, Equal, Redacted, Schema } from "effect"
import { ClaudeError, type Message } from "../src/index.ts"
import { runs } from "./support/effort.ts"

const make = (member: unknown, fields: object = { scope: "idle" }) =>
  new (member as new(fields: object) => ClaudeError.ClaudeError)(fields)

/** Values of the wrong type, as a faulty server may send them. */
const odd = {
  model: 7,
  requestId: null,
  status: "529",
  errorCode: {},
  detail: [],
  retryAfter: "soon",
  limits: 1,
  scope: 3,
  code: 1n,
  sent: "no",
  reason: new Map([[1, 2]]),
  usage: () => "x",
  history: [{ attempt: "first" }],
  gaveUp: NaN,
  regainsAt: new Date(NaN),
  cause: Symbol("odd")
}

describe("ClaudeError", () => {
  it("has 21 kinds, each with a message", () => {
    assert.lengthOf(ClaudeError.ClaudeError.members, 21)
    for (const member of ClaudeError.ClaudeError.members) {
      assert.match(make(member).message, /^[A-Z].*\.$/)
      assert.isTrue(ClaudeError.is(make(member)))
    }
  })

  it("has messages that fit the limit that was reached", () => {
    const [model, limit] = ["claude-x", Duration.seconds(2)]
    const full = (by: ClaudeError.Saturated["by"]) =>
      new ClaudeError.Saturated({ model, by, retryAfter: limit }).message
    assert.strictEqual(
      full("quota"),
      "The guards' quota leaves no room in time for a call to claude-x, so nothing was sent; try again in 2 s."
    )
    assert.strictEqual(
      full("pause"),
      "The pause after a 429 leaves no room in time for a call to claude-x, so nothing was sent; try again in 2 s."
    )
    assert.strictEqual(
      full("concurrency"),
      "Too many calls to claude-x are running or waiting (concurrency limit), so nothing was sent; try again in 2 s."
    )
    assert.strictEqual(
      full("ramp"),
      "The slow start after a 429 leaves no room in time for a call to claude-x, so nothing was sent; try again in 2 s."
    )
    assert.strictEqual(
      new ClaudeError.Saturated({ model, by: "drain" }).message,
      "This process is about to stop and takes no new calls, so nothing was sent."
    )
    assert.strictEqual(new ClaudeError.Saturated({ detail: "our own cap" }).message, "Nothing was sent: our own cap")
    assert.strictEqual(new ClaudeError.DeadlineExceeded({ limit }).message, "The call reached its time limit of 2s.")
  })

  it("has the kind of its own tag, unless it is a PartialAnswer with a cause", () => {
    for (const member of ClaudeError.ClaudeError.members) {
      const error = make(member)
      assert.strictEqual(ClaudeError.kindOf(error), error._tag)
    }
    assert.strictEqual(ClaudeError.kindOf(new ClaudeError.PartialAnswer({ because: "Overloaded" })), "Overloaded")
  })

  it("has a type Table with an entry for every kind", () => {
    // @ts-expect-error: the other kinds are missing
    const table: ClaudeError.Table<number> = { Overloaded: 503 }
    assert.strictEqual(table.Overloaded, 503)
  })

  it("has constructors that accept fields of the wrong type", () => {
    for (const member of ClaudeError.ClaudeError.members) assert.isString(make(member, odd).message)
  })

  it("has a function is() that is false for an application's error with a tag of this library", () =>
    assert.isFalse(ClaudeError.is({ _tag: "ResourceNotFound" })))

  it.effect("is encoded with its request id, but without the text of the answer", () =>
    Effect.gen(function*() {
      const error = new ClaudeError.PartialAnswer({ requestId: "req_1", text: ClaudeError.redact("secret") })
      const encoded = JSON.stringify(yield* Schema.encodeEffect(ClaudeError.ClaudeError)(error))
      assert.include(encoded, "req_1")
      assert.notInclude(encoded, "secret")
    }))

  it.effect("loses a tag in its type when Effect.catchTag handles this tag", () =>
    Effect.gen(function*() {
      const call: Effect.Effect<string, ClaudeError.ClaudeError> = Effect.fail(new ClaudeError.Refused({}))
      const caught = Effect.catchTag(call, "Refused", () => Effect.succeed("declined"))
      const typed: Effect.Effect<string, Exclude<ClaudeError.ClaudeError, ClaudeError.Refused>> = caught
      assert.strictEqual(yield* typed, "declined")
    }))

  it("has public types for the fields limits, usage and blocks of a PartialAnswer", () => {
    const typed = (error: ClaudeError.PartialAnswer) => {
      const limits: Message.RateLimits | undefined = error.limits
      const usage: Message.Usage | undefined = error.usage
      const blocks: Redacted.Redacted<ReadonlyArray<ContentBlock>> | undefined = error.blocks
      return { limits, usage, blocks }
    }
    assert.deepStrictEqual(typed(new ClaudeError.PartialAnswer({})), {
      limits: undefined,
      usage: undefined,
      blocks: undefined
    })
  })
})

// -----------------------------------------------------------------------------
// JSON
// -----------------------------------------------------------------------------

const codec = Schema.toCodecJson(ClaudeError.ClaudeError)

const sent = (error: ClaudeError.ClaudeError) =>
  Effect.map(Schema.encodeEffect(codec)(error), (json): unknown => JSON.parse(JSON.stringify(json)))

const thereAndBack = (error: ClaudeError.ClaudeError) => Effect.flatMap(sent(error), Schema.decodeUnknownEffect(codec))

/** All fields of an error except its stack, with `Redacted` and `Duration` values as plain data. */
const contentOf = (error: ClaudeError.ClaudeError) => ({
  ...Object.fromEntries(
    Object.entries(error).map(([name, value]: [string, unknown]) => [
      name,
      Redacted.isRedacted(value)
        ? [Redacted.value(value)]
        : Duration.isDuration(value)
        ? Duration.toNanos(value)
        : value
    ])
  ),
  message: error.message,
  // JSON has no undefined, so a missing cause equals a null cause here.
  cause: Schema.encodeSync(Schema.Defect())(error.cause ?? null)
})

/** A sample value for each field of any kind of error. */
const full = {
  model: "claude-sonnet-5-5",
  requestId: "req_1",
  status: 529,
  errorCode: "overloaded",
  shouldRetry: true,
  detail: "busy",
  limits: {
    requests: { limit: 50, remaining: undefined, reset: undefined },
    inputTokens: { limit: undefined, remaining: 0, reset: "2026-01-01T00:00:00Z" }
  },
  gaveUp: "RetriesSpent",
  history: [{ attempt: 1, model: "claude-sonnet-5-5", error: "Overloaded", message: "busy", waited: 20 }],
  cause: new TypeError("socket hang up"),
  sent: false,
  issues: [{ path: ["messages", 0], message: "it is blank" }],
  text: ClaudeError.redact("Once upon"),
  blocks: Redacted.make([{ type: "text", text: "Once upon", citations: null }]),
  usage: { input_tokens: 3, output_tokens: 4, cache_creation: null },
  toolUses: Redacted.make([{ id: "toolu_1", name: "look", json: "{ nope" }]),
  regainsAt: "2026-02-01T00:00:00Z",
  retryAfter: Duration.seconds(3),
  ramp: true,
  code: "ECONNRESET",
  because: "Overloaded",
  permanent: true,
  contradiction: true,
  category: "cyber",
  reason: "max_tokens",
  stopReason: "end_turn",
  question: "1a2b",
  scope: "idle",
  limit: Duration.millis(1.5),
  why: "18 of 20 calls failed",
  by: "quota"
}

const members = ClaudeError.ClaudeError.members.map((member) => [member.identifier, member] as const)

/** The sample values of the fields of one kind of error. */
const fieldsOf = ({ fields }: (typeof members)[number][1]) =>
  Object.fromEntries(
    Object.keys(fields).filter((name) => name !== "_tag").map((name) => {
      const value: unknown = name === "issues" && "stopReason" in fields
        ? Redacted.make(full.issues)
        : Object.entries(full).find(([known]) => known === name)?.[1]
      assert.isDefined(value, name)
      return [name, value]
    })
  )

describe.each(members)("the JSON codec of %s", (tag, member) => {
  it.effect("round-trips all fields", () =>
    Effect.gen(function*() {
      const error = make(member, fieldsOf(member))
      const back = yield* thereAndBack(error)
      assert.strictEqual(back._tag, tag)
      assert.isTrue(ClaudeError.is(back))
      assert.deepStrictEqual(contentOf(back), contentOf(error))
    }))

  it.effect("round-trips fields that are undefined", () =>
    Effect.gen(function*() {
      const nothing = Object.fromEntries(Object.keys(fieldsOf(member)).map((name) => [name, undefined]))
      const error = make(member, { ...nothing, scope: "idle" })
      assert.deepStrictEqual(contentOf(yield* thereAndBack(error)), contentOf(error))
    }))

  it.effect("encodes and decodes an error whose fields have the wrong type, and keeps its tag and its status", () =>
    Effect.gen(function*() {
      const back = yield* thereAndBack(make(member, odd))
      assert.strictEqual(back._tag, tag)
      assert.strictEqual(back.status as unknown, odd.status)
    }))

  it.effect.prop(
    "round-trips arbitrary fields",
    { error: Arbitrary.schema(member) },
    ({ error }) =>
      // JSON turns -0 into 0. `Equal` treats them as equal, unlike `assert.deepStrictEqual`.
      Effect.map(thereAndBack(error), (back) => Equal.equals(contentOf(back), contentOf(error))),
    { arbitrary: { runs: runs(200) } }
  )
})
