/**
 * Finds the JSON values in the text of a model.
 *
 * Code fences and text around a value are tolerated. A footnote like `[1]` is a
 * value, too.
 */
import * as Result from "effect/Result"
import * as Exact from "./exactJson.ts"
import type { Parsed } from "./exactJson.ts"

/** A JSON value in a text. */
export interface Found extends Parsed {
  /** Whether it looks like a footnote: a list of digits like `[1]` or `[1, 2]`, with words on its line. */
  readonly isFootnote: boolean
}

/** The JSON values in the text, or why they cannot be found. */
export const find = (text: string): Result.Result<ReadonlyArray<Found>, string> => {
  const trimmed = text.trim()
  const whole = Result.orElse(parse(trimmed), () => parse(unfenced(trimmed)))
  return Result.isSuccess(whole) ? Result.succeed([{ ...whole.success, isFootnote: false }]) : scan(trimmed)
}

/** The message for an answer that does not have exactly one value. */
export const notOne = (values: ReadonlyArray<unknown>): string =>
  values.length === 0
    ? "the answer has no JSON value"
    : `the answer has ${values.length} JSON values instead of one`

/** The content of a code fence around the whole text; empty if there is no fence. */
const unfenced = (text: string): string =>
  text.startsWith("```") && text.endsWith("```") ? text.slice(text.indexOf("\n") + 1, -3) : ""

/**
 * The most brackets that do not begin JSON, and the most characters read for them, before the search fails: each bracket
 * may cost a scan to the end of the text.
 */
const mostMisses = 256
const mostMissed = 4_000_000

/** The JSON objects and arrays in a text. Fails if one seems to be cut off. */
const scan = (text: string): Result.Result<ReadonlyArray<Found>, string> => {
  const values: Array<Found> = []
  const openings = /[{[]/g
  let misses = 0
  let missed = 0
  for (let at = openings.exec(text); at !== null; at = openings.exec(text)) {
    const to = closing(text, at.index)
    if (to === undefined && isJson(text, at.index)) return Result.fail("a JSON value in the answer is cut off")
    // Skip the whole bracket even if it is not JSON: a value inside of it would be a fragment.
    if (to !== undefined) openings.lastIndex = to
    const parsed = to === undefined ? undefined : parse(text.slice(at.index, to))
    if (to !== undefined && parsed !== undefined && Result.isSuccess(parsed)) {
      values.push({ ...parsed.success, isFootnote: isFootnote(text, at.index, to) })
    } else if (++misses > mostMisses || (missed += (to ?? text.length) - at.index) > mostMissed) {
      return Result.fail("the answer has too many brackets to find the JSON value among them")
    }
  }
  return Result.succeed(values)
}

/** The longest footnote, and the longest space around one. It bounds the work. */
const longest = 64

const isFootnote = (text: string, from: number, to: number): boolean =>
  to - from <= longest && /^\[[\d\s,]+\]$/.test(text.slice(from, to))
  && !(/(?:^|\n)[ \t]*$/.test(text.slice(Math.max(0, from - longest), from))
    && /^[ \t\r]*(?:\n|$)/.test(text.slice(to, to + longest)))

/** Whether a bracket seems to begin JSON, and not prose. */
const isJson = (text: string, from: number): boolean =>
  (text[from] === "{" ? /^\{\s*["}]/ : /^\[\s*["{[\]\d-]/).test(text.slice(from, from + 64))

/** The index after the bracket that closes the bracket at `from`. */
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

const parse = (text: string): Result.Result<Parsed, unknown> => Result.try(() => Exact.parse(text))
