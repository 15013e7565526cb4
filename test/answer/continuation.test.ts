/**
 * Properties of answers that are joined from pieces: the seam, and whole calls to a model that writes a known text.
 *
 * `SEED=anything vitest run test/answer/continuation.test.ts` generates other cases.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Fiber, Layer, Redacted, Ref, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Join from "../../src/answer/join.ts"
import { CallLog, Claude, type ClaudeError, type Message, Policy, Retry } from "../../src/index.ts"
import * as Rest from "../../src/request/rest.ts"
import * as Runtime from "../../src/runtime.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"
import { runs } from "../support/effort.ts"

const seed = process.env["SEED"] ?? "resilient-claude"
const often = (all: number) => ({ arbitrary: { runs: runs(all), seed, size: 60 }, timeout: 30_000 })

const newer = "claude-sonnet-5-5"
const older = "claude-haiku-4-5"

// -----------------------------------------------------------------------------
// Texts
// -----------------------------------------------------------------------------

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))
const some = <A>(first: A, ...rest: ReadonlyArray<A>): Arbitrary.Arbitrary<A> =>
  Arbitrary.map(int(0, rest.length), (i) => i === 0 ? first : rest[i - 1] ?? first)

const fragments = [
  "The |quick|brown fox|, |. |ha |ha |a|\n|\n\n| |  |\t|\u00a0|\u2028|```ts\n|  const x = 1\n|\n  }\n|<last_words>\n",
  "東京は晴れです。|中文沒有空格|한국어 |עברית |e\u0301|ß|\u200b|\ufeff|🚀|👨‍👩‍👧|🇩🇪|👍🏽|- [ ] do\n|$&|</last_words>"
].flatMap((line) => line.split("|")).concat("| a | b |\n", "|---|---|\n", "| **1** | `x` |\n")
const mixed = Arbitrary.map(
  Arbitrary.array(some("The ", ...fragments), { maxLength: 60 }),
  (all) => all.join("")
)
const repeated = Arbitrary.map(
  Arbitrary.all([some("ha ", "ha", "ha ha hi ", "| x |\n", "哈", "🚀 ", "🚀", "🚀哈"), int(1, 120), some("", "a")]),
  ([word, times, end]) => word.repeat(times) + end
)
const any = Arbitrary.map(Arbitrary.schema(Schema.String), (text) => text.replaceAll(/\p{Surrogate}/gu, "?"))
const long = Arbitrary.map(Arbitrary.all([any, mixed]), ([a, b]) => b + a + b)

/** The maximum number of letters: in pieces of four letters, a text needs fewer than fifty continuations. */
const longest = 180
const text = Arbitrary.filter(
  Arbitrary.map(
    Arbitrary.flatMap(some(mixed, repeated, any, long), (text) => text),
    (text) => Array.from(text).slice(0, longest).join("")
  ),
  (text) => text.trim() !== ""
)
const at = int(0, longest)
const sizes = Arbitrary.map(
  Arbitrary.all([int(4, 60), Arbitrary.array(int(4, 60), { maxLength: 6 })]),
  ([one, more]) => [one, ...more]
)

/** The first letters of a text. A surrogate pair counts as one letter. */
const first = (text: string, letters: number): string => Array.from(text).slice(0, letters).join("")

const blanks = ["", " ", "\n", " \n\t", "\u00a0"] as const
/** The same words, with other white space between them. */
const loosened = (words: string, blank: string): string => words.replaceAll(/\s+/g, blank)

// -----------------------------------------------------------------------------
// Seams
// -----------------------------------------------------------------------------

/** The last words of an answer that consists of this text. */
const lastWords = (text: string): string =>
  // Safe cast: `lastWords` reads only the content.
  Rest.lastWords({ message: { content: [{ type: "text", text, citations: null }] } } as unknown as Message.Reply)

/** The rest of the text after the words, if the text begins with them. */
const after = (text: string, words: string): string | undefined => {
  const at = Join.seam(text, words)
  return typeof at === "number" ? text.slice(at) : undefined
}

describe("the seam of a continuation", () => {
  it.effect.prop(
    "separates the repeated last words from the rest of the text, wherever the text was cut",
    { text, at, blank: some(...blanks), before: some(...blanks) },
    ({ at, before: leading, blank, text }) =>
      Effect.sync(() => {
        const before = first(text, at)
        const rest = text.slice(before.trimEnd().length)
        const words = lastWords(before)
        assert.isTrue(before.trimEnd().endsWith(words))
        assert.strictEqual(before.trim() === "", words === "")
        // A blank text is not continued.
        if (words === "") return
        for (
          const repeated of [words, leading + words, leading + loosened(words, blank), Array.from(words).join(" ")]
        ) {
          assert.strictEqual(after(repeated + rest, words), rest)
        }
      }),
    often(1500)
  )

  it.effect.prop(
    "is found by the last words: the last 49 to 100 characters of the text, or all of a shorter text, without white space at either end and without half of a surrogate pair",
    { text, at },
    ({ at, text }) =>
      Effect.sync(() => {
        const before = first(text, at)
        const words = lastWords(before)
        assert.notMatch(words, /\p{Surrogate}/u)
        assert.strictEqual(words, words.trimEnd())
        assert.isAtMost(Array.from(words).length, 100)
        assert.isAtLeast(Array.from(words).length, Math.min(49, Array.from(before.trim()).length))
        // Even if a very long word is cut, the last words do not begin with white space.
        if (words !== words.trimStart()) assert.fail("they begin with a blank")
      }),
    often(1500)
  )

  it.effect.prop(
    "is not found in a text that does not begin with the last words of the text that was cut",
    { text, at, other: text, skip: int(0, 99) },
    ({ at, other, skip, text }) =>
      Effect.sync(() => {
        const words = lastWords(first(text, at))
        const letters = Array.from(words.replaceAll(/\s/g, ""))
        assert.strictEqual(
          after(other, words) !== undefined,
          other.replaceAll(/\s/g, "").startsWith(letters.join(""))
        )
        if (letters.length === 0) return
        const spoilt = letters.with(skip % letters.length, "\u0001").join("") + other
        if (!words.includes("\u0001")) assert.isUndefined(after(spoilt, words))
        assert.isUndefined(after(letters.slice(0, -1).join(""), words), "a letter too few is too few")
      }),
    often(1500)
  )
})

// -----------------------------------------------------------------------------
// A model that writes a known text
// -----------------------------------------------------------------------------

interface Said {
  readonly role: string
  readonly content: string | ReadonlyArray<{ readonly type: string; readonly text?: string }>
}
// Safe cast: these tests read only the role and the text of a message.
const messagesOf = ({ messages }: Readonly<Record<string, unknown>>) => messages as ReadonlyArray<Said>
const wordsOf = ({ content }: Said): string =>
  typeof content === "string" ? content : content.map(({ text = "" }) => text).join("")

/** The text that the request contains, and the words to repeat. `lost`: the request does not ask to continue its text. */
const placeIn = (text: string, params: Readonly<Record<string, unknown>>) => {
  const messages = messagesOf(params)
  const last = messages.at(-1)
  const said = messages.findLast(({ role }) => role === "assistant")
  const told = last === undefined ? "" : wordsOf(last)
  const words = last?.role !== "user"
    ? undefined
    : /\n<last_words>\n([^]*)\n<\/last_words>$/.exec(told)?.[1]
  const sent = said === undefined ? "" : wordsOf(said)
  assert.isTrue(text.startsWith(sent), "the request contains another text than the answer")
  const lost = said !== undefined && last?.role === "user" && words === undefined
  return { lost, sent, words }
}

/** The next piece of the text: its leading white space, and then this many letters. */
const pieceOf = (text: string, from: number, letters: number): string => {
  const rest = text.slice(from)
  const lead = rest.length - rest.trimStart().length
  return rest.slice(0, lead) + first(rest.slice(lead), letters)
}

const usageOf = (index: number) => ({ inputTokens: 10 + index, outputTokens: 3 + index })

/** Answers each question with its text in pieces. Older models continue a prefill, newer models repeat the last words. */
const writes = (
  texts: Readonly<Record<string, string>>,
  sizes: ReadonlyArray<number>,
  how: { readonly blank?: string | undefined; readonly exact?: boolean } = {}
): Faults.Script =>
  Faults.by(({ index, params }) => {
    const text = texts[wordsOf(messagesOf(params)[0] ?? { role: "", content: "" })] ?? ""
    const { lost, sent, words } = placeIn(text, params)
    assert.isFalse(lost, "the request does not ask to continue")
    assert.strictEqual(sent, sent.trimEnd(), "the API rejects a prefill that ends with white space")
    assert.strictEqual(words !== undefined, sent !== "" && params["model"] === newer)
    const piece = pieceOf(text, sent.length, sizes[index % sizes.length] ?? 4)
    const isCut = sent.length + piece.length < text.length || how.exact === true && piece.trim() !== ""
    const repeated = words === undefined || how.blank === undefined
      ? words ?? ""
      : how.blank + loosened(words, how.blank)
    return Faults.answer(repeated + piece, {
      ...usageOf(index),
      model: String(params["model"]),
      stopReason: isCut ? "max_tokens" : "end_turn"
    })
  })

const world = (script: Faults.Playable) => Layer.provideMerge(FakeClaude.layer(script), CallLog.layerMemory)
const requests = Effect.map(FakeClaude.received, (all) => all.map(({ params }) => params))
const go = Policy.apply({ truncated: { continue: 50 } })

describe("a text that is cut anywhere is joined from the continuations", () => {
  for (const model of [older, newer]) {
    it.effect.prop(
      `that ${model} writes`,
      { text, sizes },
      ({ sizes, text }) =>
        Effect.gen(function*() {
          assert.strictEqual(yield* go(Claude.text("hi", { model })), text)
          const reply = yield* go(Claude.message("hi", { model }))
          assert.strictEqual(reply.text, text)
          assert.lengthOf(reply.message.content, 1)
        }).pipe(Effect.provide(world(writes({ hi: text }, sizes)))),
      often(300)
    )

    it.effect.prop(
      `that ${model} writes, and the reply has the usage and the cost of all pieces`,
      { text, sizes },
      ({ sizes, text }) =>
        Effect.gen(function*() {
          const { cost, message, usage } = yield* go(Claude.message("hi", { model }))
          const { length } = yield* requests
          const sum = (of: (index: number) => number) =>
            Array.from({ length }, (_, index) => of(index)).reduce((a, b) => a + b, 0)
          const expected = {
            input_tokens: sum((index) => usageOf(index).inputTokens),
            output_tokens: sum((index) => usageOf(index).outputTokens)
          }
          assert.deepInclude(usage, expected)
          assert.deepInclude(message.usage, expected)
          const [input, output] = model === older ? [1, 5] : [2, 10]
          assert.closeTo(
            cost?.dollars ?? 0,
            (expected.input_tokens * input + expected.output_tokens * output) / 1e6,
            1e-12
          )
        }).pipe(Effect.provide(world(writes({ hi: text }, sizes)))),
      often(100)
    )
  }

  it.effect.prop(
    "even if the model repeats the last words with other white space, and even if the piece that ends the text stops at max_tokens",
    { text, sizes, blank: some(...blanks) },
    ({ blank, sizes, text }) =>
      Effect.map(go(Claude.text("hi", { model: newer })), (whole) => assert.strictEqual(whole, text)).pipe(
        Effect.provide(world(writes({ hi: text }, sizes, { blank, exact: true })))
      ),
    often(300)
  )
})

describe("two questions under one policy get their own answers", () => {
  for (const concurrency of [1, 2, "unbounded"] as const) {
    it.effect.prop(
      `with concurrency ${concurrency}`,
      { a: text, b: text, sizes, model: some(older, newer) },
      ({ a, b, model, sizes }) =>
        Effect.gen(function*() {
          // The policy repeats both questions for each continuation. Larger pieces keep the test short.
          const large = sizes.map((size) => size + 30)
          const both = Effect.all([Claude.text("a", { model }), Claude.text("b", { model })], { concurrency })
          assert.deepStrictEqual(yield* Effect.provide(go(both), world(writes({ a, b }, large))), [a, b])
        }),
      often(100)
    )
  }
})

// -----------------------------------------------------------------------------
// Mixed stop reasons
// -----------------------------------------------------------------------------

type Kind = "pause" | "cut" | "empty" | "misfit" | "overloaded" | "end"

/** Answers `hi` with the text in pieces. The answer to request number `i` stops as `kinds[i]` says. */
const stops = (text: string, kinds: ReadonlyArray<Kind>, played: Array<Kind>): Faults.Script =>
  Faults.by(({ index, params }) => {
    const { lost, sent, words } = placeIn(text, params)
    const next = kinds[index] ?? "end"
    // Only a request with words to repeat can get a continuation that does not fit.
    const kind = next === "misfit" && words === undefined ? "cut" : next
    // An empty continuation does not fit either.
    played.push(kind === "empty" && sent !== "" ? "misfit" : kind)
    const repeated = lost ? "Sure: " : words ?? ""
    const piece = pieceOf(text, sent.length, 4)
    switch (kind) {
      case "overloaded":
        return Faults.overloaded
      case "empty":
        return Faults.emptyAnswer
      case "misfit":
        return Faults.answer("\u0001" + piece, { stopReason: "max_tokens" })
      case "pause":
        return Faults.paused(repeated + piece)
      case "cut":
        return Faults.maxTokens(repeated + piece)
      case "end":
        return Faults.answer(repeated + text.slice(sent.length))
    }
  })

const stopping = (
  text: string,
  kinds: ReadonlyArray<Kind>,
  most: { readonly continued: number; readonly paused: number },
  model: string
) => {
  const played: Array<Kind> = []
  return Effect.gen(function*() {
    const call = yield* Claude.text("hi", { model }).pipe(
      Policy.apply({
        truncated: { continue: most.continued },
        paused: { continue: most.paused },
        empty: { nudge: 1 },
        retry: { Overloaded: Retry.backoff({ times: 2, base: "1 milli" }) }
      }),
      Effect.result,
      Effect.forkChild
    )
    yield* TestClock.adjust("1 minute")
    const result = yield* Fiber.join(call)
    return { result, bodies: (yield* requests).map((params) => JSON.stringify(params)), played }
  }).pipe(Effect.provide(world(stops(text, kinds, played))))
}

describe("a sequence of incomplete answers", () => {
  const kind = some<Kind>("pause", "cut", "misfit", "overloaded", "end")
  const orders = {
    "pauses, cuts, continuations that do not fit, and failures": Arbitrary.array(kind, { maxLength: 12 }),
    "empty answers and failures": Arbitrary.array(some<Kind>("empty", "overloaded"), { maxLength: 4 }),
    "pauses, cuts, continuations that do not fit, empty answers and failures": Arbitrary.array(
      Arbitrary.flatMap(some(kind, Arbitrary.Constant("empty")), (kind) => kind),
      {
        maxLength: 12
      }
    )
  }

  for (const [title, order] of Object.entries(orders)) {
    it.effect.prop(
      `with ${title} ends with the whole answer or an error, within the limits of the policy`,
      { kinds: order, continued: int(1, 4), paused: int(0, 4), model: some(older, newer) },
      ({ continued, kinds, model, paused }) =>
        Effect.gen(function*() {
          // Every word is different, so that no piece fits by chance. The text is long enough for twelve pieces.
          const text = Array.from({ length: 40 }, (_, i) => `word${i}, `).join("").trimEnd()
          const { bodies, played, result } = yield* stopping(text, kinds, { continued, paused }, model)
          const last = played.at(-1)
          if (result._tag === "Success") {
            // An empty continuation may mean that the answer was complete.
            assert.isTrue(last === "end" ? result.success === text : text.startsWith(result.success))
            assert.include(["end", "empty", "misfit"], last)
          } else {
            assert.include(["Truncated", "EmptyAnswer", "Overloaded"], result.failure._tag)
            assert.strictEqual(result.failure._tag === "Overloaded", last === "overloaded")
          }
          const failures = played.filter((kind) => kind === "overloaded").length
          assert.isAtMost(bodies.length - failures, 1 + continued + paused + 1)
          for (const [index, body] of bodies.entries()) {
            const before = played[index - 1]
            if (before === "overloaded") assert.strictEqual(body, bodies[index - 1])
            else if (before !== "misfit") assert.notStrictEqual(body, bodies[index - 1])
          }
        }),
      often(300)
    )
  }
})

// -----------------------------------------------------------------------------
// Retry budget
// -----------------------------------------------------------------------------

/** Runs a call with a budget for this many extra attempts. Returns the charges and the requests. */
const charged = (
  pays: number,
  turns: ReadonlyArray<Faults.Turn>,
  self: Effect.Effect<string, ClaudeError.ClaudeError, Claude.Claude>
) =>
  Effect.gen(function*() {
    const claude = yield* Claude.Claude
    const because: Array<string> = []
    const settled: Array<string> = []
    const budget: Claude.Budget = {
      charge: ({ _tag }) =>
        Effect.sync(() => {
          because.push(_tag)
          return because.length > pays
            ? undefined
            : { settle: (exit) => Effect.sync(() => void settled.push(exit._tag)) }
        })
    }
    const call = yield* Effect.forkChild(
      Effect.result(
        Effect.provideService(self, Claude.Claude, { ...claude, runtime: Runtime.replace(claude, { budget }) })
      )
    )
    yield* TestClock.adjust("1 minute")
    const result = yield* Fiber.join(call)
    const log = yield* Effect.flatMap(CallLog.Memory, Ref.get)
    return { result, because, settled, sent: yield* requests, hops: log.filter(({ _tag }) => _tag === "FellBack") }
  }).pipe(Effect.provide(world(turns)))

interface Extra {
  readonly title: string
  readonly policy: Policy.Policy
  readonly turns: ReadonlyArray<readonly [tag: string, turn: Faults.Turn]>
  readonly last: Faults.Turn
}

const extras: ReadonlyArray<Extra> = [
  {
    title: "a raised max_tokens",
    policy: { truncated: { raiseTo: 8000 } },
    turns: [["Truncated", Faults.maxTokens("One")]],
    last: Faults.answer("One two")
  },
  {
    title: "two continuations",
    policy: { truncated: { continue: 2 } },
    turns: [["Truncated", Faults.maxTokens("One")], ["Truncated", Faults.maxTokens(" two")]],
    last: Faults.answer(" three")
  },
  {
    title: "two resumptions of a paused answer",
    policy: {},
    turns: [["Truncated", Faults.paused("One ")], ["Truncated", Faults.paused("two ")]],
    last: Faults.answer("three")
  },
  {
    title: "a nudge",
    policy: { empty: { nudge: 1 } },
    turns: [["EmptyAnswer", Faults.emptyAnswer]],
    last: Faults.answer("One")
  },
  {
    title: "two fallback models",
    policy: { models: ["claude-haiku-5-5", "claude-opus-5"] },
    turns: [["Overloaded", Faults.overloaded], ["ServerFault", Faults.serverError]],
    last: Faults.answer("One")
  },
  {
    title: "a resumption, a continuation, a fallback model and a nudge",
    policy: { truncated: { continue: 2 }, empty: { nudge: 1 }, models: ["claude-haiku-5-5"] },
    turns: [
      ["Truncated", Faults.paused("One ")],
      ["Truncated", Faults.maxTokens("two")],
      ["Overloaded", Faults.overloaded],
      ["EmptyAnswer", Faults.emptyAnswer]
    ],
    last: Faults.answer("One")
  }
]

describe("a retry budget", () => {
  for (const { last, policy, title, turns } of extras) {
    const played = [...turns.map(([, turn]) => turn), last]
    const tags = turns.map(([tag]) => tag)
    const call = Claude.text("hi", { model: older }).pipe(Policy.apply(policy))

    it.effect(`is charged once for each extra attempt, and each charge is settled: ${title}`, () =>
      Effect.gen(function*() {
        const { because, result, sent, settled } = yield* charged(99, played, call)
        assert.strictEqual(result._tag, "Success")
        assert.deepStrictEqual(because, tags)
        assert.deepStrictEqual(settled, [...tags.slice(1).map(() => "Failure"), "Success"])
        assert.lengthOf(sent, played.length)
      }))

    for (const [paid, tag] of tags.entries()) {
      // If a fallback model gives an empty answer, the call fails with the error of the first model.
      const error = tag === "EmptyAnswer" && policy.models !== undefined ? "Overloaded" : tag
      it.effect(`for only ${paid} of ${tags.length} extra attempts ends the call with ${error}: ${title}`, () =>
        Effect.gen(function*() {
          const { result, sent } = yield* charged(paid, played, call)
          if (result._tag === "Success") return assert.fail("the call succeeded without budget")
          assert.deepStrictEqual([result.failure._tag, result.failure.gaveUp], [error, "BudgetSpent"])
          assert.lengthOf(sent, paid + 1, "nothing more is sent")
        }))
    }
  }

  it.effect("that is empty refuses the charge for each fallback model, so no second request is sent", () =>
    Effect.gen(function*() {
      const call = Claude.text("hi").pipe(Policy.apply({ models: ["claude-haiku-5-5", "claude-opus-5"] }))
      const { because, hops, result, sent } = yield* charged(0, [Faults.overloaded], call)
      assert.deepStrictEqual(because, ["Overloaded", "Overloaded"])
      assert.lengthOf(hops, 2)
      assert.lengthOf(sent, 1)
      assert.strictEqual(result._tag === "Failure" && result.failure.gaveUp, "BudgetSpent")
    }))
})

// -----------------------------------------------------------------------------
// Rare orders
// -----------------------------------------------------------------------------

describe("an answer that stops early twice", () => {
  const play = (model: string, ...turns: ReadonlyArray<Faults.Turn>) =>
    Effect.gen(function*() {
      const result = yield* Claude.text("hi", { model }).pipe(
        Policy.apply({ truncated: { continue: 2 }, empty: { nudge: 1 } }),
        Effect.result
      )
      return { result, messages: (yield* requests).map(messagesOf) }
    }).pipe(Effect.provide(world(turns)))
  const roles = (messages: ReadonlyArray<Said> | undefined) => messages?.map(({ role }) => role)

  it.effect("is complete if `max_tokens` cuts it first and its continuation is then empty", () =>
    Effect.gen(function*() {
      const { messages, result } = yield* play(older, Faults.maxTokens("One."), Faults.emptyAnswer)
      assert.strictEqual(result._tag === "Success" && result.success, "One.")
      assert.lengthOf(messages, 2)
    }))

  it.effect("that is empty, and is cut after the option nudge asks Claude to continue, is continued with a prefill if the model supports a prefill", () =>
    Effect.gen(function*() {
      const { messages } = yield* play(older, Faults.emptyAnswer, Faults.maxTokens("One,"), Faults.answer(" two."))
      assert.deepStrictEqual(roles(messages[1]), ["user", "user"])
      assert.deepStrictEqual(roles(messages[2]), ["user", "user", "assistant"])
    }))

  it.effect("that is empty, and is cut after the option nudge asks Claude to continue, is continued by a request to repeat its last words if the model supports no prefill", () =>
    Effect.gen(function*() {
      const { messages } = yield* play(newer, Faults.emptyAnswer, Faults.maxTokens("One,"), Faults.answer("One, two."))
      assert.deepStrictEqual(roles(messages[2]), ["user", "user", "assistant", "user"])
    }))

  it.effect("that is empty, and pauses after the option nudge asks Claude to continue, is resumed with the paused answer as the last message", () =>
    Effect.gen(function*() {
      const { messages } = yield* play(newer, Faults.emptyAnswer, Faults.paused("Look. "), Faults.answer("Two."))
      assert.deepStrictEqual(roles(messages[2]), ["user", "user", "assistant"])
    }))

  it.effect("that gets a continuation of only white space is continued by the same request again", () =>
    Effect.gen(function*() {
      const turns = [Faults.maxTokens("One,"), Faults.maxTokens(" \n"), Faults.answer(" two.")]
      const { messages, result } = yield* play(older, ...turns)
      assert.strictEqual(result._tag === "Success" && result.success, "One, two.")
      assert.deepStrictEqual(messages[1], messages[2])
    }))

  it.effect("leaves its whole text in the Refused error if Claude refuses to continue it", () =>
    Effect.gen(function*() {
      const turns = [Faults.maxTokens("One,"), Faults.maxTokens(" two,"), Faults.refusal(" no")]
      const { result } = yield* play(older, ...turns)
      if (result._tag === "Success" || result.failure._tag !== "Refused") return assert.fail("the call was not refused")
      assert.strictEqual(result.failure.text && Redacted.value(result.failure.text), "One, two, no")
    }))
})
