/**
 * Finds the JSON values in the text of a model.
 *
 * Code fences and text around a value are tolerated. A footnote like `[1]` counts
 * as a value, too.
 */
import * as Result from "effect/Result"
import * as Exact from "./exactJson.ts"
import type { Parsed } from "./exactJson.ts"

export interface Found extends Parsed {
  /** Whether it looks like a footnote: a list of digits like `[1]` or `[1, 2]`, with other text on its line. */
  readonly isFootnote: boolean
}

/**
 * If the text, or a code fence around the whole text, contains one JSON value and nothing else, finds this value.
 * Otherwise finds only objects and arrays. Fails if a JSON value seems to be cut off, or if the search would take too
 * long.
 */
export const find = (text: string): Result.Result<ReadonlyArray<Found>, string> => {
  const trimmed = text.trim()
  const whole = Result.orElse(parse(trimmed), () => parse(unfenced(trimmed)))
  return Result.isSuccess(whole) ? Result.succeed([{ ...whole.success, isFootnote: false }]) : scan(trimmed)
}

export const notOne = (values: ReadonlyArray<unknown>): string =>
  values.length === 0
    ? "the answer has no JSON value"
    : `the answer has ${values.length} JSON values instead of one`

/** The content of a code fence around the whole text; empty if there is no fence. */
const unfenced = (text: string): string =>
  text.startsWith("```") && text.endsWith("```") ? text.slice(text.indexOf("\n") + 1, -3) : ""

/**
 * The search fails after this number of brackets that do not begin JSON, or of characters read for such brackets. Reason:
 * each bracket may cost a scan to the end of the text.
 */
const mostMisses = 256
const mostMissed = 4_000_000

/** Fails if a JSON value seems to be cut off, or if the search would take too long. */
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

/** The longest footnote, and the longest white space next to a footnote, in characters. It bounds the work. */
const longest = 64

const isFootnote = (text: string, from: number, to: number): boolean =>
  to - from <= longest && /^\[[\d\s,]+\]$/.test(text.slice(from, to))
  && !(/(?:^|\n)[ \t]*$/.test(text.slice(Math.max(0, from - longest), from))
    && /^[ \t\r]*(?:\n|$)/.test(text.slice(to, to + longest)))

/** Whether a bracket seems to begin JSON, and not prose. */
const isJson = (text: string, from: number): boolean =>
  (text[from] === "{" ? /^\{\s*["}]/ : /^\[\s*["{[\]\d-]/).test(text.slice(from, from + 64))

/** The index after the bracket that closes the bracket at `from`, if any. */
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
