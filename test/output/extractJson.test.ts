/** The one JSON value in what a model wrote. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema } from "effect"
import { find } from "../../src/output/extractJson.ts"
import { runs } from "../support/effort.ts"

const none = "there is no JSON value in it"
const several = (count: number) => `there are ${count} JSON values in it, and one was asked for`
const endless = "there is a JSON value in it that does not end"
const tooMany = "there are too many brackets to tell the JSON from the words around it"

const fence = "```"
const fenced = (text: string, language = "") => `${fence}${language}\n${text}\n${fence}`

describe("finds", () => {
  it.each<readonly [what: string, text: string, value: unknown]>([
    ["an object", "{\"a\":1}", { a: 1 }],
    ["an array", "[1,[2]]", [1, [2]]],
    ["an empty object", "{}", {}],
    ["an empty array", "[]", []],
    ["space around it", " \n\t{\"a\": 1}\r\n", { a: 1 }],
    ["a byte order mark before it", "\uFEFF{\"a\":1}", { a: 1 }],
    ["a string", "\"hi\"", "hi"],
    ["a string of brackets", "\"[{\"", "[{"],
    ["a string of JSON", "\"{\\\"a\\\":1}\"", "{\"a\":1}"],
    ["a number", " -1.5e3 ", -1500],
    ["true", "true", true],
    ["false", "false", false],
    ["null", "null", null],
    ["a key that is everybody's", "{\"__proto__\":{\"x\":1}}", JSON.parse("{\"__proto__\":{\"x\":1}}")],

    ["a fence", fenced("{\"a\":1}"), { a: 1 }],
    ["a fence with a language", fenced("{\"a\":1}", "json"), { a: 1 }],
    ["a fence with more than a language", fenced("[1]", "json title=\"a b\""), [1]],
    ["a fence of other line ends", "```json\r\n7\r\n```", 7],
    ["a fence with a blank line at its end", fenced("7\n  "), 7],
    ["a fence on one line", "```{\"a\":1}```", { a: 1 }],
    ["a scalar in a fence", fenced("\"hi\"", "json"), "hi"],
    ["a fence in a string in a fence", fenced(JSON.stringify("```\n1\n```")), "```\n1\n```"],
    ["a fence between words", `Here it is:\n\n${fenced("{\"a\":1}", "json")}\n\nAnything else?`, { a: 1 }],

    ["words before it", "Here it is: {\"a\":1}", { a: 1 }],
    ["words after it", "{\"a\":1} is what I read.", { a: 1 }],
    ["words around an array", "The primes are [2, 3, 5], of course.", [2, 3, 5]],
    ["words on other lines", "Sure!\n[\n  1\n]\nDone.", [1]],
    ["words that stand next to it", "a{\"a\":1}b", { a: 1 }],
    ["an apostrophe before it", "It's here, isn't it: {\"a\":1}", { a: 1 }],
    ["an apostrophe after it", "{\"a\":1} That's all.", { a: 1 }],
    ["a quote that is not closed before it", "the 5\" disk: {\"a\":1}", { a: 1 }],
    ["a quote that is not closed after it", "{\"a\":1} on a 5\" disk", { a: 1 }],
    ["words in braces before it", "The {total} is {\"a\":1}", { a: 1 }],
    ["words in braces after it", "{\"a\":1} is the {total}", { a: 1 }],
    ["an apostrophe in braces", "{it's} {\"a\":1} {that's}", { a: 1 }],
    ["a bracket that is not closed before it", "a smile :[ and {\"a\":1}", { a: 1 }],
    ["a bracket that is not closed after it", "{\"a\":1} and a smile :[", { a: 1 }],
    ["a bracket that is not opened", "(a] {\"a\":1} b}", { a: 1 }],

    ["brackets in strings", "so: {\"a\":\"}]{[\"} ok", { a: "}]{[" }],
    ["brackets in keys", "so: {\"}\":{\"]\":1}} ok", { "}": { "]": 1 } }],
    ["quotes in strings", "so: {\"a\":\"\\\"}\"} ok", { a: "\"}" }],
    ["a backslash at the end of a string", "so: {\"a\":\"\\\\\"} ok", { a: "\\" }],
    ["apostrophes in strings", "so: {\"a\":\"it's\"} ok", { a: "it's" }],
    ["values in values, once", "so: {\"a\":{\"b\":[{\"c\":[]}]}} ok", { a: { b: [{ c: [] }] } }]
  ])("%s", (_, text, value) => {
    assert.deepStrictEqual(find(text), Result.succeed(value))
  })
})

describe("does not find", () => {
  it.each<readonly [what: string, text: string, why: string]>([
    ["anything in nothing", "", none],
    ["anything in space", " \n ", none],
    ["anything in words", "I cannot say.", none],
    ["a scalar between words", "It is 42.", none],
    ["a bare word", "undefined", none],
    ["words in braces", "It is {total}.", none],
    ["a fence of nothing", fenced(""), none],
    ["two scalars", "1\n2", none],
    ["scalars in two fences", `${fenced("1")}\n${fenced("2")}`, none],

    ["one of two objects", "{\"a\":1} {\"a\":2}", several(2)],
    ["one of two that are the same", "{\"a\":1}\n{\"a\":1}", several(2)],
    ["one of two next to each other", "{}[]", several(2)],
    ["one of two with words between", "First [1], then [2].", several(2)],
    ["one of two in fences", `${fenced("{\"a\":1}")}\nor\n${fenced("{\"a\":2}")}`, several(2)],
    ["one of lines of JSON", "{\"a\":1}\n{\"a\":2}\n{\"a\":3}", several(3)],
    ["which is a footnote", "{\"a\":1} as it is in [1].", several(2)],
    ["which is a footnote before it", "As it is in [1]: {\"a\":1}", several(2)],

    ["the rest of what is cut", "{\"a\":1", endless],
    ["the rest of an array that is cut", "[1,2", endless],
    ["a piece of what is cut", "{\"a\":{\"b\":1}", endless],
    ["a piece of an array that is cut", "[{\"a\":1}", endless],
    ["a piece of what is cut after a key", "so: {\"a\":[1],\"b\":", endless],
    ["a piece of an object with a comma too many", "{\"a\":{\"b\":1},}", none],
    ["a piece of an object of another language", "{'a': {\"b\":1}}", none],
    ["a piece of an object with a quote too many", "{\"a\":[1,2],\"b\":\"it is \"so\"\"}", none],
    ["the rest of a string that is cut", "so: {\"a\":\"b}", endless],
    ["an object with a comma too many", "{\"a\":1,}", none],
    ["an object of another language", "{'a': 1}", none],
    ["an object with a comment", "{\"a\":1 /* one */}", none],
    ["an object that is closed as an array", "{\"a\":1]", none]
  ])("%s", (_, text, why) => {
    assert.deepStrictEqual(find(text), Result.fail(why))
  })
})

it("looks at 256 brackets that begin no JSON, and then no further", () => {
  assert.deepStrictEqual(find(`${"{ ".repeat(256)}[1]`), Result.succeed([1]))
  assert.deepStrictEqual(find(`${"{ ".repeat(257)}[1]`), Result.fail(tooMany))
  assert.deepStrictEqual(find(`[1]${" {a}".repeat(256)}`), Result.succeed([1]))
  assert.deepStrictEqual(find(`[1]${" {a}".repeat(257)}`), Result.fail(tooMany))
})

// -----------------------------------------------------------------------------
// Properties
// -----------------------------------------------------------------------------

const seed = process.env["SEED"] ?? "resilient-claude"
const arbitrary = { arbitrary: { runs: runs(1000), seed }, timeout: 30_000 }

const container = Schema.Union([Schema.Array(Schema.Json), Schema.Record(Schema.String, Schema.Json)])
const words = Arbitrary.map(Arbitrary.schema(Schema.String), (text) => text.replaceAll(/[[\]{}]/g, ""))
const spaces = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Literals([" ", "\n", "\t", "\r"]))),
  (all) => all.join("")
)
const indent = Schema.Literals([0, 2])

/** What is left of a value that was written: no zero has a sign. */
const written = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

it.effect.prop(
  "an object or array comes back, whatever words without brackets are around it",
  { value: container, before: words, after: words, indent },
  ({ after, before, indent, value }) =>
    Effect.sync(() => {
      const found = find(`${before}${JSON.stringify(value, null, indent)}${after}`)
      assert.deepStrictEqual(found, Result.succeed(written(value)))
    }),
  arbitrary
)

it.effect.prop(
  "any value comes back, if there is only space around it, or a fence",
  { value: Schema.Json, before: spaces, after: spaces, indent },
  ({ after, before, indent, value }) =>
    Effect.sync(() => {
      const text = JSON.stringify(value, null, indent)
      for (const whole of [text, fenced(text), fenced(text, "json")]) {
        assert.deepStrictEqual(find(`${before}${whole}${after}`), Result.succeed(written(value)))
      }
    }),
  arbitrary
)

it.effect.prop(
  "none of two objects or arrays comes back, whatever words without brackets are around them",
  { first: container, second: container, before: words, between: words, after: words },
  ({ after, before, between, first, second }) =>
    Effect.sync(() => {
      const text = `${before}${JSON.stringify(first)}${between}${JSON.stringify(second)}${after}`
      assert.deepStrictEqual(find(text), Result.fail(several(2)))
    }),
  arbitrary
)

it.effect.prop(
  "what comes back of any text is in it, and what does not is told by a sentence",
  { text: Arbitrary.map(Arbitrary.array(piece(), { maxLength: 20 }), (all) => all.join("")) },
  ({ text }) =>
    Effect.sync(() => {
      const found = find(text)
      if (Result.isFailure(found)) return assert.isNotEmpty(found.failure)
      const squeezed = (text: string) => text.replaceAll(/\s/g, "")
      assert.include(squeezed(text), squeezed(JSON.stringify(found.success)))
    }),
  { arbitrary: { runs: runs(1000), seed, size: 20 }, timeout: 30_000 }
)

function piece() {
  return Arbitrary.schema(
    Schema.Literals(["{", "}", "[", "]", "\"", "\\", ":", ",", "1", "a", " ", "\n", "```", "\"a\":", "null", "{}", "'"])
  )
}
