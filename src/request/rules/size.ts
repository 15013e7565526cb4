import * as Result from "effect/Result"
import { type Given, issue, type Issues, none, type Rule } from "./rule.ts"

/** In bytes. Source: API, 413 request_too_large. */
export const maxBytes = 32 * 2 ** 20
/** Bounds the recursion, because a value may contain itself. */
const maxDepth = 100
/** A request of at most this many characters is not measured in bytes: a character has at most 3 bytes, and few are escaped. */
const enough = Math.floor(maxBytes / 3)

/** Undefined for a request of at most `enough` characters: `characters` has shown that it can be written as JSON. */
const written = (given: Given): Result.Result<string, unknown> | undefined =>
  characters(given, enough, 0) <= enough ? undefined : Result.try(() => JSON.stringify(given))

const json = (given: Given): Issues => {
  const json = written(given)
  return json === undefined || Result.isSuccess(json)
    ? none
    : issue([], "the request cannot be written as JSON: send plain data without circular references")
}

const size = (given: Given): Issues => {
  const json = written(given)
  if (json === undefined || Result.isFailure(json)) return none
  const bytes = new TextEncoder().encode(json.success).length
  return bytes <= maxBytes
    ? none
    : issue(
      [],
      `the request has ${bytes} bytes, but the API takes at most ${maxBytes}: send less, or send files by their id`
    )
}

/** The approximate length of the JSON; `Infinity` if the value may have no JSON form. Stops counting above `enough`. */
const characters = (value: unknown, enough: number, depth: number): number => {
  if (typeof value === "string") return value.length + 2
  if (typeof value === "bigint" || depth > maxDepth) return Infinity
  if (value === null || typeof value !== "object") return 4
  let sum = 2
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length && sum <= enough; i++) sum += characters(value[i], enough - sum, depth + 1) + 1
    return sum
  }
  for (const key in value) {
    if (sum > enough) return sum
    sum += key.length + characters(Reflect.get(value, key), enough - sum, depth + 1) + 4
  }
  return sum
}

export const sizeRules: ReadonlyArray<Rule> = [
  { name: "plain data", source: "API: the body is JSON", check: json }
]

export const sizeLimits: ReadonlyArray<Rule> = [
  { name: "at most 32 MB", source: "API: 413 request_too_large", check: size }
]
