/** The time to find the JSON value in the worst texts. These tests have their own file, because they measure real time. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { endless, find, none, several, tooMany } from "../support/extractJson.ts"

const fence = "```"
const fenced = (text: string) => `${fence}\n${text}\n${fence}`

const things = (count: number) => Array.from({ length: count }, () => ({ a: "]" }))

describe("find is fast for", () => {
  const many = 100_000
  it.each<readonly [what: string, text: string, found: Result.Result<unknown, string>]>([
    ["opening brackets only", "[".repeat(2 * many), Result.fail(endless)],
    ["opening braces only", "{".repeat(2 * many), Result.fail(tooMany)],
    ["closing brackets only", "]}".repeat(many), Result.fail(none)],
    ["opening braces and quotes in turn", "{\"".repeat(many), Result.fail(endless)],
    ["a fence of empty lines", `${fence}json\n{${"\n".repeat(many)}x`, Result.fail(none)],
    ["quotes", "\"".repeat(2 * many), Result.fail(none)],
    ["backslashes after a bracket", `[${"\\".repeat(2 * many)}`, Result.fail(none)],
    ["tiny values", "[] ".repeat(many), Result.fail(several(many))],
    ["words in braces", "{a} ".repeat(many), Result.fail(tooMany)],
    ["fences", `${fence}\n`.repeat(many), Result.fail(none)],
    ["words, and one value at the end", `${"word ".repeat(many)}{"a":1}`, Result.succeed({ a: 1 })],
    ["one value, and words after it", `{"a":1}${" word".repeat(many)}`, Result.succeed({ a: 1 })],
    ["a long value between words", `so: [${"{\"a\":\"]\"},".repeat(many)}1]!`, Result.succeed([...things(many), 1])]
  ])("%s", (_, text, found) => {
    const start = performance.now()
    const result = find(text)
    assert.isBelow(performance.now() - start, 5000)
    assert.isTrue(Result.isSuccess(found) ? Result.isSuccess(result) : Result.isFailure(result))
    assert.deepStrictEqual(result, found)
  })

  it("values nested deeper than the stack", () => {
    const start = performance.now()
    const deep = (words: string) => `${words}${"[".repeat(2 * many)}${"]".repeat(2 * many)}${words}`
    for (const text of [deep(""), deep(" so "), fenced(deep(""))]) assert.isTrue(Result.isSuccess(find(text)))
    assert.isBelow(performance.now() - start, 5000)
  })
})
