/**
 * G16 as properties: a call ends with a ClaudeError or with the complete answer, whatever the server sends.
 *
 * `SEED=anything vitest run test/properties.test.ts` tries other values.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Duration, Effect, Exit, Fiber, Layer, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Anthropic, CallLog, Claude, ClaudeError, type Message } from "../src/index.ts"
import { FakeClaude, Faults } from "../src/testing/index.ts"
import { oneIn, runs } from "./support/effort.ts"
import { places, put } from "./support/places.ts"

const seed = process.env["SEED"] ?? "resilient-claude"
const often = (all: number) => ({ arbitrary: { runs: runs(all), seed }, timeout: 30_000 })

/** Plays one turn to a call. Fails if the call has not ended after an hour of virtual time. */
const play = <A>(turn: Faults.Turn, call: Effect.Effect<A, ClaudeError.ClaudeError, Claude.Claude>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(call, { startImmediately: true })
    yield* TestClock.adjust("1 hour")
    const exit = fiber.pollUnsafe()
    if (exit !== undefined) {
      // All turns except silence end at once, so they must not reach a time-out.
      if (turn.end !== "silence") assert.notStrictEqual(errorOf(exit)?._tag, "TimedOut")
      return exit
    }
    yield* Fiber.interrupt(fiber)
    return assert.fail("the call hangs")
  }).pipe(Effect.provide(Layer.provide(FakeClaude.layer([turn]), CallLog.layerNoop)))

const ask = Claude.message("hi")

/** The error of a failed call. Fails the test if it is a defect, an interrupt or not a ClaudeError. */
const errorOf = (exit: Exit.Exit<unknown, ClaudeError.ClaudeError>): ClaudeError.ClaudeError | undefined => {
  if (Exit.isSuccess(exit)) return undefined
  const [reason, ...more] = exit.cause.reasons
  if (reason?._tag !== "Fail" || more.length > 0) return assert.fail(Cause.pretty(exit.cause))
  assert.isTrue(ClaudeError.is(reason.error))
  assert.isString(reason.error.message)
  return reason.error
}

/** The part of the answer that an error holds. */
const arrived = (error: ClaudeError.ClaudeError): string =>
  "text" in error && error.text !== undefined ? Redacted.value(error.text) : ""

// -----------------------------------------------------------------------------
// Generators
// -----------------------------------------------------------------------------

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))
const bytes = Arbitrary.schema(Schema.Uint8Array)
const json = Arbitrary.schema(Schema.Json)
const oneOf = <A>(first: A, ...rest: ReadonlyArray<A>): Arbitrary.Arbitrary<A> =>
  Arbitrary.map(int(0, rest.length), (i) => i === 0 ? first : rest[i - 1] ?? first)

/** JSON values that code may misread, for example an object whose `toString` is a number. */
const odd = Arbitrary.flatMap(
  oneOf<Arbitrary.Arbitrary<unknown>>(
    json,
    Arbitrary.Constant(null),
    Arbitrary.Constant({ toString: 1, valueOf: 1, toJSON: 1, length: 3 }),
    Arbitrary.Constant("length"),
    Arbitrary.Constant("__proto__"),
    Arbitrary.Constant(-1),
    Arbitrary.Constant(0.5),
    Arbitrary.Constant([]),
    Arbitrary.Constant(""),
    Arbitrary.Constant(0)
  ),
  (arbitrary) => arbitrary
)

const kinds: ReadonlyArray<readonly [name: string, text: string, options: Faults.AnswerOptions]> = [
  ["text", "Zürich is not 東京 🚀.", {}],
  ["thinking", "So it is.", { thinking: "let me think about 東京" }],
  ["a tool", "Let me see.", { tool: { name: "get_weather", input: { city: "Oslo \"north\"", days: [1, 2] } } }]
]

/** The events of each kind of answer, parsed from JSON; the text answer also has a citation. */
const bodies = kinds.map(([, text, options]) =>
  Faults.events(text, options).map((event): unknown => JSON.parse(/^data: (.*)$/m.exec(event)?.[1] ?? ""))
).map((body, i) =>
  i > 0 ? body : body.toSpliced(4, 0, {
    type: "content_block_delta",
    index: 0,
    delta: { type: "citations_delta", citation: { type: "char_location", cited_text: "Zürich", document_index: 0 } }
  })
)

const written = (values: ReadonlyArray<unknown>) =>
  Faults.stream(values.map((value) => `data: ${JSON.stringify(value)}\n\n`))

/** The text before the first `message_stop`: a successful call must return all of it. */
const textOf = (values: ReadonlyArray<unknown>): string => {
  const end = values.findIndex((value) => property(value, "type") === "message_stop")
  const blocks = new Map<unknown, string>()
  for (const value of values.slice(0, end === -1 ? undefined : end)) {
    const index = property(value, "index")
    const block = property(value, "content_block")
    const delta = property(value, "delta")
    if (property(value, "type") === "content_block_start" && property(block, "type") === "text") {
      blocks.set(index, String(property(block, "text") ?? ""))
    }
    const before = blocks.get(index)
    const isText = property(value, "type") === "content_block_delta" && property(delta, "type") === "text_delta"
    if (before !== undefined && isText) blocks.set(index, before + String(property(delta, "text") ?? ""))
  }
  return [...blocks.values()].join("")
}

const property = (value: unknown, key: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, key)
    ? (value as Readonly<Record<string, unknown>>)[key]
    : undefined

// -----------------------------------------------------------------------------
// Bodies
// -----------------------------------------------------------------------------

describe("G16: a 200 event stream ends with a ClaudeError or with the complete answer", () => {
  it.effect.prop("for random bytes", {
    chunks: Arbitrary.array(bytes),
    end: oneOf<Faults.End>("end", "cut", "reset", "silence")
  }, ({ chunks, end }) =>
    Effect.map(play(Faults.stream(chunks, { end }), Claude.text("hi")), (exit) => {
      assert.isDefined(errorOf(exit))
    }), often(300))

  it.effect.prop("for random lines", {
    lines: Arbitrary.array(
      oneOf(
        "data: ",
        "data",
        ":",
        "event: error\n",
        "event: message_stop\n",
        "id: 1\n",
        "retry: 1\n",
        "\n",
        "\n\n",
        "\r",
        "\r\n\r\n",
        "{\"type\":\"message_stop\"}",
        "{\"type\":\"error\"}",
        "{",
        "}",
        "[]",
        "\"",
        "null",
        "\uFEFF",
        ...Faults.events("Paris")
      ),
      { maxLength: 40 }
    )
  }, ({ lines }) =>
    Effect.map(play(Faults.stream([lines.join("")]), Claude.message("hi")), (exit) => {
      if (errorOf(exit) === undefined) assert.isTrue(Exit.isSuccess(exit) && exit.value.text === "Paris")
    }), { arbitrary: { runs: runs(300), seed, size: 40 } })

  it.effect.prop(
    "always with a ClaudeError for random JSON in place of its events",
    { values: Arbitrary.array(odd) },
    ({ values }) =>
      Effect.map(play(written(values), ask), (exit) => {
        assert.isDefined(errorOf(exit))
      }),
    often(300)
  )

  it.effect.prop(
    "for random values in one or two places of its events",
    { kind: int(0, 2), at: int(0, 100_000), other: odd, more: odd },
    ({ at, kind, more, other }) => {
      const events = bodies[kind] ?? []
      const all = places(events).slice(1)
      // Half of the cases have a second random value.
      const one = put(events, all[at % all.length] ?? [], other)
      const again = places(one).slice(1)
      const values = at % 2 === 0 ? one : put(one, again[(at * 31) % again.length] ?? [], more)
      return Effect.map(play(written(values as ReadonlyArray<unknown>), ask), (exit) => {
        if (errorOf(exit) === undefined && Exit.isSuccess(exit)) {
          assert.strictEqual(exit.value.text, textOf(values as ReadonlyArray<unknown>))
        }
      })
    },
    often(800)
  )

  const index = int(0, 2)
  const plausible = Arbitrary.flatMap(
    oneOf<Arbitrary.Arbitrary<object>>(
      Arbitrary.Constant(Object(bodies[0]?.[0])),
      Arbitrary.map(index, (index) => ({
        type: "content_block_start",
        index,
        content_block: { type: "text", text: "" }
      })),
      Arbitrary.map(index, (index) => ({
        type: "content_block_start",
        index,
        content_block: { type: "tool_use", id: "t", name: "n", input: {} }
      })),
      Arbitrary.map(index, (index) => ({
        type: "content_block_start",
        index,
        content_block: { type: "thinking", thinking: "", signature: "" }
      })),
      Arbitrary.map(Arbitrary.all([index, oneOf("a", "b ", "東京")]), ([index, text]) => ({
        type: "content_block_delta",
        index,
        delta: { type: "text_delta", text }
      })),
      Arbitrary.map(Arbitrary.all([index, oneOf("{}", "{", "}", "1")]), ([index, partial_json]) => ({
        type: "content_block_delta",
        index,
        delta: { type: "input_json_delta", partial_json }
      })),
      Arbitrary.map(index, (index) => ({
        type: "content_block_delta",
        index,
        delta: { type: "thinking_delta", thinking: "hm" }
      })),
      Arbitrary.map(index, (index) => ({ type: "content_block_stop", index })),
      Arbitrary.map(oneOf("end_turn", "tool_use", "max_tokens", "refusal", "brand_new", null), (stop_reason) => ({
        type: "message_delta",
        delta: { stop_reason },
        usage: { output_tokens: 3 }
      })),
      Arbitrary.Constant({ type: "message_stop" }),
      Arbitrary.Constant({ type: "ping" }),
      Arbitrary.Constant({ type: "brand_new" }),
      Arbitrary.Constant({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } })
    ),
    (arbitrary) => arbitrary
  )

  const faithful = (values: ReadonlyArray<unknown>, exit: Exit.Exit<Message.Reply, ClaudeError.ClaudeError>) => {
    const error = errorOf(exit)
    if (error !== undefined) return
    assert.isTrue(Exit.isSuccess(exit) && exit.value.text === textOf(values))
    assert.strictEqual(
      property(values[0], "type") === "ping" || property(values[0], "type") === "brand_new"
        ? "message_start"
        : property(values[0], "type"),
      "message_start"
    )
  }

  it.effect.prop(
    "for events in any order",
    { values: Arbitrary.array(plausible, { maxLength: 12 }) },
    ({ values }) => Effect.map(play(written(values), ask), (exit) => faithful(values, exit)),
    { arbitrary: { runs: runs(400), seed, size: 12 } }
  )

  it.effect.prop(
    "for an event that is repeated, missing or moved",
    { kind: int(0, 2), from: int(0, 30), to: int(0, 30), what: int(0, 3), more: plausible },
    ({ from, kind, more, to, what }) => {
      const values = [...bodies[kind] ?? []]
      const [taken] = what < 2 ? values.splice(from % values.length, 1) : [more]
      if (what > 0) values.splice(to % (values.length + 1), 0, taken)
      return Effect.map(play(written(values), ask), (exit) => faithful(values, exit))
    },
    often(500)
  )
})

// -----------------------------------------------------------------------------
// Cuts and pieces
// -----------------------------------------------------------------------------

const whole = (text: string, options: Faults.AnswerOptions) =>
  Effect.map(play(Faults.answer(text, options), ask), (exit) => Exit.isSuccess(exit) ? exit.value : assert.fail())

describe.each(kinds)("G16: an answer with %s", (_, text, options) => {
  const body = Faults.bytesOf(Faults.answer(text, options).body)
  const decoder = new TextDecoder()
  /** The number of bytes up to the end of `message_stop`, without the two newlines after it. */
  const complete = body.lastIndexOf(0x7d) + 1

  it.effect(
    "that is cut before its end never succeeds, and its error has the beginning of the text",
    () =>
      Effect.gen(function*() {
        const { message } = yield* whole(text, options)
        for (const length of oneIn(23, Array.from({ length: body.length + 1 }, (_, at) => at))) {
          const end = (["end", "cut", "reset"] as const)[length % 3] ?? "end"
          const exit = yield* play(Faults.stream([body.slice(0, length)], { end }), ask)
          const error = errorOf(exit)
          // An event without its blank line is valid only if the body ended normally.
          const ended = length >= (end === "end" ? complete : body.length)
          if (error === undefined) {
            assert.isTrue(ended, `${length} bytes of ${body.length} were taken for an answer`)
            assert.deepStrictEqual(Exit.isSuccess(exit) ? exit.value.message : undefined, message)
          } else {
            assert.isFalse(ended, `${length} bytes of ${body.length} were not enough: ${error.message}`)
            assert.isTrue(text.startsWith(arrived(error)))
            const said = decoder.decode(body.slice(0, length)).includes("content_block_delta")
            assert.isTrue(said || error._tag !== "PartialAnswer" || arrived(error) === "")
          }
        }
      }),
    30_000
  )

  it.effect.prop("is the same in chunks of any sizes", {
    size: int(1, body.length),
    cuts: Arbitrary.array(int(0, body.length), { maxLength: 30 })
  }, ({ cuts, size }) =>
    Effect.gen(function*() {
      const { message } = yield* whole(text, options)
      const at = [0, ...cuts.toSorted((a, b) => a - b), body.length]
      const pieces = at.slice(1).map((to, i) => body.slice(at[i], to))
      for (const turn of [Faults.drip(Faults.answer(text, options), size, 1), Faults.stream(pieces)]) {
        const exit = yield* play(turn, ask)
        assert.deepStrictEqual(Exit.isSuccess(exit) ? exit.value.message : exit, message)
      }
    }), often(60))
})

// -----------------------------------------------------------------------------
// Classification
// -----------------------------------------------------------------------------

const status = oneOf<unknown>(
  undefined,
  200,
  302,
  400,
  401,
  402,
  403,
  404,
  408,
  409,
  413,
  429,
  500,
  503,
  529,
  "429",
  NaN
)
const type = oneOf<unknown>("invalid_request_error", "rate_limit_error", "overloaded_error", "constructor", null, 7)
const code = oneOf<unknown>("ECONNRESET", "UND_ERR_BODY_TIMEOUT", "enforced_spend_limit_reached", "toString", 7, {})

const shaped = Arbitrary.map(
  Arbitrary.all({ status, type, code, message: odd, headers: odd, body: odd, cause: odd, name: odd, shape: int(0, 7) }),
  ({ body, cause, code, headers, message, name, shape, status, type }): unknown => {
    const error = { type, message, details: { error_code: code } }
    const get = (header: string) => property(headers, header) ?? headers
    switch (shape) {
      case 0:
        return { status, error: { error }, headers: { get } }
      case 1:
        return { status, error: body, headers, message, name }
      case 2:
        return Object.assign(new Error("it broke", { cause: { cause, code } }), { status, name })
      case 3:
        return { cause: { cause: { code, cause } }, message, name }
      case 4:
        return Object.assign(Object.create(null), { status, error: { error: body }, headers: new Map() })
      case 5:
        return { status, error: { error: { ...error, details: body }, request_id: body }, requestID: message }
      case 6:
        return {
          status,
          headers: new Headers([[
            "retry-after",
            String(JSON.stringify(headers)).slice(0, 40).replaceAll(/[^\x20-\x7e]/g, "")
          ]])
        }
      default:
        return body
    }
  }
)

describe("G16: classify", () => {
  it.effect.prop("returns a ClaudeError for any thrown value", {
    failure: shaped,
    sent: oneOf<boolean | undefined>(true, false, undefined)
  }, ({ failure, sent }) =>
    Effect.sync(() => {
      const error = Anthropic.classify(failure, { now: 0, sent })
      assert.isTrue(ClaudeError.is(error))
      assert.isString(error.message)
      assert.isNotEmpty(error.message)
      const wait = ClaudeError.retryAfter(error)
      if (wait !== undefined) assert.isTrue(Duration.isFinite(wait) && !Duration.isNegative(wait))
    }), often(1500))
})
