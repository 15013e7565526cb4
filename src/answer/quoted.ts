/**
 * Cuts quotations of a request and of its answer out of the message and the code of an error: the API and gateways
 * sometimes quote this content, and errors are logged.
 */
import { isObject, isString } from "effect/Predicate"
import type { ClaudeError } from "../ClaudeError.ts"
import { copy } from "../history.ts"

const mark = "[quoted content]"

/** In characters. A shorter match with the content may be chance: the name of a model, a common phrase. */
const shortest = 40

/** The content is divided into pieces of this length: a quotation of `shortest` characters contains at least one piece. */
const piece = shortest / 2

/** Takes milliseconds for a megabyte of `content`, so it runs only after a failure. */
export const withoutQuotes = (error: ClaudeError, ...content: ReadonlyArray<unknown>): ClaudeError => {
  const { detail, errorCode } = error
  if (!isLong(detail) && !isLong(errorCode)) return error
  const texts = textsOf(content)
  const cut = (words: string | undefined) => isLong(words) ? cutOut(words, texts) : words
  const fields = { detail: cut(detail), errorCode: cut(errorCode) }
  return fields.detail === detail && fields.errorCode === errorCode ? error : copy(error, fields)
}

const isLong = (words: unknown): words is string => isString(words) && words.length >= shortest

const cutOut = (detail: string, texts: ReadonlyArray<string>): string => {
  const places = new Map<string, { readonly text: string; readonly at: number }>()
  for (const text of texts) {
    for (let at = 0; at + piece <= text.length; at += piece) {
      const key = text.slice(at, at + piece)
      // In a periodic text, such as "ababab", the longest match begins at the first place.
      if (!places.has(key)) places.set(key, { text, at })
    }
  }
  const quoted = new Uint8Array(detail.length)
  /** The index after the last quotation that was found. */
  let end = 0
  for (let from = 0; from + piece <= detail.length; from++) {
    const place = places.get(detail.slice(from, from + piece))
    if (place === undefined) continue
    const { at, text } = place
    let before = 0
    // `places` has only the first place of a piece. If the detail quotes another place, the last match may have ended
    // before the quotation does. The rest of the quotation may be shorter than `shortest`, so the match that covers the
    // rest may begin up to `shortest` characters before `end`.
    const room = Math.min(at, from, from - end + shortest)
    while (before < room && detail[from - before - 1] === text[at - before - 1]) before++
    let after = piece
    while (from + after < detail.length && detail[from + after] === text[at + after]) after++
    if (before + after < shortest) continue
    end = from + after
    quoted.fill(1, from - before, end)
    from = end - 1
  }
  let cut = ""
  for (let at = 0; at < detail.length; at++) {
    if (quoted[at] === 0) cut += detail[at]
    else if (quoted[at - 1] !== 1) cut += mark
  }
  return cut
}

/** The long texts in a value, plain and escaped as in JSON, except the base64 bytes of images and documents. */
const textsOf = (value: unknown, depth = 0): ReadonlyArray<string> =>
  isString(value)
    ? value.length < shortest ? [] : forms(value)
    // Deeper texts are not searched: a value from the network may be nested too deeply for this recursion.
    : depth > 50
    ? []
    : Array.isArray(value)
    ? value.flatMap((inner) => textsOf(inner, depth + 1))
    : isObject(value)
    ? Object.entries(value).flatMap(([name, inner]) =>
      name === "data" && value.type === "base64" ? [] : textsOf(inner, depth + 1)
    )
    : []

const forms = (text: string): ReadonlyArray<string> => {
  const json = JSON.stringify(text).slice(1, -1)
  return json === text ? [text] : [text, json]
}
