/** Finding the JSON value in the text of a model. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema } from "effect"
import { runs } from "../support/effort.ts"
import { endless, find, none, several, tooMany } from "../support/extractJson.ts"

const fence = "```"
const fenced = (text: string, language = "") => `${fence}${language}\n${text}\n${fence}`

describe("find returns the value from", () => {
  it.each<readonly [what: string, text: string, value: unknown]>([
    ["an object", "{\"a\":1}", { a: 1 }],
    ["an array", "[1,[2]]", [1, [2]]],
    ["an empty object", "{}", {}],
    ["an empty array", "[]", []],
    ["an object with space around it", " \n\t{\"a\": 1}\r\n", { a: 1 }],
    ["an object after a byte order mark", "\uFEFF{\"a\":1}", { a: 1 }],
    ["a string", "\"hi\"", "hi"],
    ["a string of brackets", "\"[{\"", "[{"],
    ["a string of JSON", "\"{\\\"a\\\":1}\"", "{\"a\":1}"],
    ["a number", " -1.5e3 ", -1500],
    ["true", "true", true],
    ["false", "false", false],
    ["null", "null", null],
    ["an object with the key __proto__", "{\"__proto__\":{\"x\":1}}", JSON.parse("{\"__proto__\":{\"x\":1}}")],

    ["a fence", fenced("{\"a\":1}"), { a: 1 }],
    ["a fence with a language", fenced("{\"a\":1}", "json"), { a: 1 }],
    ["a fence with more than a language", fenced("[1]", "json title=\"a b\""), [1]],
    ["a fence with CRLF line ends", "```json\r\n7\r\n```", 7],
    ["a fence with a blank line at its end", fenced("7\n  "), 7],
    ["a fence on one line", "```{\"a\":1}```", { a: 1 }],
    ["a scalar in a fence", fenced("\"hi\"", "json"), "hi"],
    ["a fenced string that contains a fence", fenced(JSON.stringify("```\n1\n```")), "```\n1\n```"],
    ["a fence between words", `Here it is:\n\n${fenced("{\"a\":1}", "json")}\n\nAnything else?`, { a: 1 }],

    ["an object after words", "Here it is: {\"a\":1}", { a: 1 }],
    ["an object before words", "{\"a\":1} is what I read.", { a: 1 }],
    ["an array between words", "The primes are [2, 3, 5], of course.", [2, 3, 5]],
    ["an array between words on other lines", "Sure!\n[\n  1\n]\nDone.", [1]],
    ["an object directly between letters", "a{\"a\":1}b", { a: 1 }],
    ["an object after an apostrophe", "It's here, isn't it: {\"a\":1}", { a: 1 }],
    ["an object before an apostrophe", "{\"a\":1} That's all.", { a: 1 }],
    ["an object after a quote that is not closed", "the 5\" disk: {\"a\":1}", { a: 1 }],
    ["an object before a quote that is not closed", "{\"a\":1} on a 5\" disk", { a: 1 }],
    ["an object after words in braces", "The {total} is {\"a\":1}", { a: 1 }],
    ["an object before words in braces", "{\"a\":1} is the {total}", { a: 1 }],
    ["an object between apostrophes in braces", "{it's} {\"a\":1} {that's}", { a: 1 }],
    ["an object after a bracket that is not closed", "a smile :[ and {\"a\":1}", { a: 1 }],
    ["an object before a bracket that is not closed", "{\"a\":1} and a smile :[", { a: 1 }],
    ["an object between brackets that are not opened", "(a] {\"a\":1} b}", { a: 1 }],

    ["an object with brackets in a string", "so: {\"a\":\"}]{[\"} ok", { a: "}]{[" }],
    ["an object with brackets in its keys", "so: {\"}\":{\"]\":1}} ok", { "}": { "]": 1 } }],
    ["an object with a quote in a string", "so: {\"a\":\"\\\"}\"} ok", { a: "\"}" }],
    ["an object with a backslash at the end of a string", "so: {\"a\":\"\\\\\"} ok", { a: "\\" }],
    ["an object with an apostrophe in a string", "so: {\"a\":\"it's\"} ok", { a: "it's" }],
    ["an object with nested values", "so: {\"a\":{\"b\":[{\"c\":[]}]}} ok", { a: { b: [{ c: [] }] } }]
  ])("%s", (_, text, value) => {
    assert.deepStrictEqual(find(text), Result.succeed(value))
  })
})

describe("find fails for", () => {
  it.each<readonly [what: string, text: string, why: string]>([
    ["an empty text", "", none],
    ["blank text", " \n ", none],
    ["prose", "I cannot say.", none],
    ["a scalar between words", "It is 42.", none],
    ["a bare word", "undefined", none],
    ["words in braces", "It is {total}.", none],
    ["an empty fence", fenced(""), none],
    ["two scalars", "1\n2", none],
    ["scalars in two fences", `${fenced("1")}\n${fenced("2")}`, none],

    ["two objects", "{\"a\":1} {\"a\":2}", several(2)],
    ["two equal objects", "{\"a\":1}\n{\"a\":1}", several(2)],
    ["two adjacent values", "{}[]", several(2)],
    ["two arrays with words between", "First [1], then [2].", several(2)],
    ["two fences", `${fenced("{\"a\":1}")}\nor\n${fenced("{\"a\":2}")}`, several(2)],
    ["lines of JSON", "{\"a\":1}\n{\"a\":2}\n{\"a\":3}", several(3)],
    ["an object and a footnote after it", "{\"a\":1} as it is in [1].", several(2)],
    ["an object and a footnote before it", "As it is in [1]: {\"a\":1}", several(2)],

    ["an object that is cut off", "{\"a\":1", endless],
    ["an array that is cut off", "[1,2", endless],
    ["a cut object that contains a complete object", "{\"a\":{\"b\":1}", endless],
    ["a cut array that contains a complete object", "[{\"a\":1}", endless],
    ["an object that is cut off after a key", "so: {\"a\":[1],\"b\":", endless],
    ["an object with a trailing comma that contains a valid object", "{\"a\":{\"b\":1},}", none],
    ["an object with single quotes that contains a valid object", "{'a': {\"b\":1}}", none],
    ["an object with an unescaped quote that contains a valid array", "{\"a\":[1,2],\"b\":\"it is \"so\"\"}", none],
    ["an object that is cut off in a string", "so: {\"a\":\"b}", endless],
    ["an object with a trailing comma", "{\"a\":1,}", none],
    ["an object with single quotes", "{'a': 1}", none],
    ["an object with a comment", "{\"a\":1 /* one */}", none],
    ["an object closed with a square bracket", "{\"a\":1]", none]
  ])("%s", (_, text, why) => {
    assert.deepStrictEqual(find(text), Result.fail(why))
  })
})

it("find gives up after 256 brackets that begin no JSON", () => {
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

/** The value after a JSON round trip: negative zero becomes zero. */
const written = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

it.effect.prop(
  "find returns an object or array from any prose that has no brackets of its own",
  { value: container, before: words, after: words, indent },
  ({ after, before, indent, value }) =>
    Effect.sync(() => {
      const found = find(`${before}${JSON.stringify(value, null, indent)}${after}`)
      assert.deepStrictEqual(found, Result.succeed(written(value)))
    }),
  arbitrary
)

it.effect.prop(
  "find returns any value that has only white space or a Markdown fence around it",
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
  "find fails for two objects or arrays in any prose that has no brackets of its own",
  { first: container, second: container, before: words, between: words, after: words },
  ({ after, before, between, first, second }) =>
    Effect.sync(() => {
      const text = `${before}${JSON.stringify(first)}${between}${JSON.stringify(second)}${after}`
      assert.deepStrictEqual(find(text), Result.fail(several(2)))
    }),
  arbitrary
)

it.effect.prop(
  "find returns a value that is in the text, or fails with a message",
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
