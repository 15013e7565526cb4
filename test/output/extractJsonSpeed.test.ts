/** How long it takes to find the JSON value in the worst texts: by the clock on the wall, and so apart from the other tests. */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { find } from "../../src/output/extractJson.ts"

const none = "there is no JSON value in it"
const several = (count: number) => `there are ${count} JSON values in it, and one was asked for`
const endless = "there is a JSON value in it that does not end"
const tooMany = "there are too many brackets to tell the JSON from the words around it"

const fence = "```"
const fenced = (text: string) => `${fence}\n${text}\n${fence}`

const things = (count: number) => Array.from({ length: count }, () => ({ a: "]" }))

describe("does not take long over", () => {
  const many = 100_000
  it.each<readonly [what: string, text: string, found: Result.Result<unknown, string>]>([
    ["brackets that are only opened", "[".repeat(2 * many), Result.fail(endless)],
    ["braces that are only opened", "{".repeat(2 * many), Result.fail(tooMany)],
    ["brackets that are only closed", "]}".repeat(many), Result.fail(none)],
    ["brackets and quotes", "{\"".repeat(many), Result.fail(endless)],
    ["a fence of nothing but lines", `${fence}json\n{${"\n".repeat(many)}x`, Result.fail(none)],
    ["quotes", "\"".repeat(2 * many), Result.fail(none)],
    ["backslashes after a bracket", `[${"\\".repeat(2 * many)}`, Result.fail(none)],
    ["tiny values", "[] ".repeat(many), Result.fail(several(many))],
    ["words in braces", "{a} ".repeat(many), Result.fail(tooMany)],
    ["fences", `${fence}\n`.repeat(many), Result.fail(none)],
    ["words, and one value at the end", `${"word ".repeat(many)}{"a":1}`, Result.succeed({ a: 1 })],
    ["one value, and words", `{"a":1}${" word".repeat(many)}`, Result.succeed({ a: 1 })],
    ["a long value between words", `so: [${"{\"a\":\"]\"},".repeat(many)}1]!`, Result.succeed([...things(many), 1])]
  ])("%s", (_, text, found) => {
    const start = performance.now()
    const result = find(text)
    assert.isBelow(performance.now() - start, 5000)
    assert.isTrue(Result.isSuccess(found) ? Result.isSuccess(result) : Result.isFailure(result))
    assert.deepStrictEqual(result, found)
  })

  it("values in values, deeper than the stack", () => {
    const start = performance.now()
    const deep = (words: string) => `${words}${"[".repeat(2 * many)}${"]".repeat(2 * many)}${words}`
    for (const text of [deep(""), deep(" so "), fenced(deep(""))]) assert.isTrue(Result.isSuccess(find(text)))
    assert.isBelow(performance.now() - start, 5000)
  })
})
