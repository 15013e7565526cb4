/**
 * The JSON value in what a model wrote.
 *
 * Models put it in fences and say something before and after it. All that is
 * tolerated as long as there is one value: between two, nobody chooses.
 */
import * as Result from "effect/Result"

/** The one value in the text, or why there is none. */
export const find = (text: string): Result.Result<unknown, string> => {
  const trimmed = text.trim()
  const whole = Result.orElse(parse(trimmed), () => parse(unfenced(trimmed)))
  if (Result.isSuccess(whole)) return Result.succeed(whole.success)
  return Result.flatMap(scan(trimmed), (values) => {
    const [value] = values
    if (values.length === 1) return Result.succeed(value)
    return Result.fail(
      values.length === 0
        ? "there is no JSON value in it"
        : `there are ${values.length} JSON values in it, and one was asked for`
    )
  })
}

/** What is in fences, if there is nothing else. */
const unfenced = (text: string): string =>
  text.startsWith("```") && text.endsWith("```") ? text.slice(text.indexOf("\n") + 1, -3) : ""

/** How many brackets that begin no JSON are looked at, and how many characters: for each, the text may be read to its end. */
const mostMisses = 256
const mostMissed = 4_000_000

/** The objects and arrays that stand between words. Fails if one of them seems to be cut. */
const scan = (text: string): Result.Result<ReadonlyArray<unknown>, string> => {
  const values: Array<unknown> = []
  const openings = /[{[]/g
  let misses = 0
  let missed = 0
  for (let at = openings.exec(text); at !== null; at = openings.exec(text)) {
    const to = closing(text, at.index)
    if (to === undefined && isJson(text, at.index)) return Result.fail("there is a JSON value in it that does not end")
    // What is inside of brackets that are no JSON is a piece of something: it is passed over.
    if (to !== undefined) openings.lastIndex = to
    const parsed = to === undefined ? undefined : parse(text.slice(at.index, to))
    if (parsed !== undefined && Result.isSuccess(parsed)) values.push(parsed.success)
    else if (++misses > mostMisses || (missed += (to ?? text.length) - at.index) > mostMissed) {
      return Result.fail("there are too many brackets to tell the JSON from the words around it")
    }
  }
  return Result.succeed(values)
}

/** Whether a bracket seems to begin JSON, and is no sign between words. */
const isJson = (text: string, from: number): boolean =>
  (text[from] === "{" ? /^\{\s*["}]/ : /^\[\s*["{[\]\d-]/).test(text.slice(from, from + 64))

/** Where the bracket that opens at `from` is closed, if it is. */
const closing = (text: string, from: number): number | undefined => {
  let depth = 0
  let quoted = false
  for (let i = from; i < text.length; i++) {
    const character = text[i]
    if (quoted) {
      if (character === "\\") i++
      else if (character === "\"") quoted = false
    } else if (character === "\"") quoted = true
    else if (character === "{" || character === "[") depth++
    else if ((character === "}" || character === "]") && --depth === 0) return i + 1
  }
  return undefined
}

const parse = (text: string): Result.Result<unknown, unknown> => Result.try(() => JSON.parse(text))
