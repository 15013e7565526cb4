/** Shared by the tests that look for JSON in a text. */
import { Result } from "effect"
import { find as values, notOne } from "../../src/output/extractJson.ts"

/** The only JSON value in the text, or why there is not exactly one. */
export const find = (text: string): Result.Result<unknown, string> =>
  Result.flatMap(
    values(text),
    (found) => found.length === 1 ? Result.succeed(found[0]?.value) : Result.fail(notOne(found))
  )

export const none = "the answer has no JSON value"
export const several = (count: number) => `the answer has ${count} JSON values instead of one`
export const endless = "a JSON value in the answer is cut off"
export const tooMany = "the answer has too many brackets to find the JSON value among them"
