/**
 * Parses JSON without losing digits of numbers.
 *
 * `JSON.parse` rounds a number that JavaScript cannot hold, such as an id of 19 digits. Here such a number becomes a
 * `LongNumber` with its digits, which only the schema of a string or of a `BigInt` decodes.
 */
import { hasProperty, isNumber, isObjectOrArray } from "effect/Predicate"
import * as Result from "effect/Result"
import type { Issue } from "../ClaudeError.ts"

/**
 * A number whose digits would be lost as a JavaScript number, or any unsafe integer. `digits` is missing if `JSON.parse`
 * does not pass the source to its reviver.
 */
export class LongNumber {
  readonly digits: string | undefined
  constructor(digits: string | undefined) {
    this.digits = digits
  }
}

export interface Parsed {
  readonly value: unknown
  /**
   * The same value, with a `LongNumber` also for each unsafe integer that loses no digits as a JavaScript number, because
   * its schema may be a `BigInt`. Missing if no number is an unsafe integer or loses digits.
   */
  readonly long?: unknown
}

/** Throws if the text is not JSON. */
export const parse = (text: string): Parsed => {
  if (!mayBeLong.test(text)) return { value: JSON.parse(text) }
  let hasLong = false
  const long: unknown = JSON.parse(
    text,
    keeping((value, source) => {
      const own = isUnsafe(value) || isLost(value, source)
      hasLong ||= own
      return own
    })
  )
  return hasLong ? { value: JSON.parse(text, keeping(isLost)), long } : { value: long }
}

/** A fast path: any other number has at most 15 digits and no exponent, so it loses nothing. */
const mayBeLong = /\d[\d.]{15}|\d[eE]/

/** A reviver that replaces some numbers by a `LongNumber`. TypeScript's type of revivers lacks the third parameter. */
const keeping =
  (isLong: (value: number, source: string | undefined) => boolean) =>
  (_: string, value: unknown, context?: { readonly source?: string }): unknown =>
    isNumber(value) && isLong(value, context?.source) ? new LongNumber(context?.source) : value

const isUnsafe = (value: number): boolean => Number.isInteger(value) && !Number.isSafeInteger(value)

/** Whether the number differs from its source. If the source is unknown, every unsafe integer counts as different. */
const isLost = (value: number, source: string | undefined): boolean =>
  !Number.isFinite(value) || (source === undefined ? isUnsafe(value) : !hasAllDigits(value, source))

/** The longest source that is compared, in characters, to bound the work. A longer number counts as lost. */
const longest = 400

/**
 * The most digits that are needed to write a JavaScript number so that it can be read back unchanged. A source with a point
 * or an exponent and with no more digits counts as exact, because it was probably written from such a number.
 */
const enough = 17

const hasAllDigits = (value: number, source: string): boolean => {
  if (source.length > longest) return false
  const { digits, power } = decimal(source)
  if (value === 0 || digits === "") return value === 0 && digits === ""
  if (digits.length <= enough && /[.e]/i.test(source)) return true
  const own = decimal(value.toPrecision(Math.min(digits.length, 100)))
  return own.digits === digits && own.power === power
}

/** The digits of a number without zeros at both ends, and the power of ten to multiply them by. */
const decimal = (source: string): { readonly digits: string; readonly power: number } => {
  const [mantissa = "", exponent = "0"] = source.toLowerCase().replace(/^-/, "").split("e")
  const [whole = "", fraction = ""] = mantissa.split(".")
  const significant = `${whole}${fraction}`.replace(/^0+/, "")
  const digits = significant.replace(/0+$/, "")
  return { digits, power: Number(exponent) - fraction.length + significant.length - digits.length }
}

/** Replaces each part that has an issue by the same part of `long`: an unsafe integer in it may belong to a `BigInt`. */
export const withLong = ({ long, value }: Parsed, issues: ReadonlyArray<Issue>): unknown =>
  replaced(value, long, issues.map(({ path }) => path))

/** The value, with the parts at these paths taken from `long`, which has the same shape. */
const replaced = (value: unknown, long: unknown, paths: ReadonlyArray<Issue["path"]>): unknown => {
  if (paths.length === 0) return value
  // A path that ends here means the complete value. Another path may use names that the JSON does not have, and then the
  // part with the issue is unknown. In both cases, take `long` as a whole.
  if (!isObjectOrArray(value) || paths.some(([key]) => key === undefined || !hasProperty(value, key))) return long
  const inside = new Map<string, Array<Issue["path"]>>()
  for (const [key, ...rest] of paths) {
    const known = inside.get(String(key))
    if (known === undefined) inside.set(String(key), [rest])
    else known.push(rest)
  }
  const child = (inner: unknown, key: string | number) =>
    replaced(inner, childOf(long, key), inside.get(String(key)) ?? [])
  return Array.isArray(value)
    ? value.map(child)
    : Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, child(inner, key)]))
}

/**
 * If a too long number causes an issue, adds this number to the message, and points the path at the number. The number is
 * the value at the path of the issue, or inside this value. Inside, it counts as the cause only if the issue is missing in
 * `others`, the issues of the same value with `shortened` numbers.
 */
export const explained = (
  issues: ReadonlyArray<Issue>,
  others: ReadonlyArray<Issue>,
  { value }: Parsed
): ReadonlyArray<Issue> => {
  const shown = new Set(others.map((issue) => stringify(issue)))
  return issues.map(({ message, path }) => {
    const there = path.reduce(childOf, value)
    const isCause = there instanceof LongNumber || !shown.has(stringify({ message, path }))
    const found = isCause ? longIn(there, path) : undefined
    return found === undefined ? { message, path } : { message: `${message}: ${found.message}`, path: found.path }
  })
}

export const shortened = (value: unknown): unknown => {
  if (value instanceof LongNumber) return 0
  if (Array.isArray(value)) return value.map(shortened)
  return isObjectOrArray(value)
    ? Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shortened(inner)]))
    : value
}

const childOf = (value: unknown, key: string | number): unknown => hasProperty(value, key) ? value[key] : undefined

const longIn = (value: unknown, path: Issue["path"]): Issue | undefined => {
  if (value instanceof LongNumber) {
    return { path, message: `${value.digits ?? "the number"} has more digits than a JavaScript number can hold` }
  }
  if (!isObjectOrArray(value)) return undefined
  for (const [key, child] of Object.entries(value)) {
    const found = longIn(child, [...path, Array.isArray(value) ? Number(key) : key])
    if (found !== undefined) return found
  }
  return undefined
}

/** The text of a JSON value, or an empty text if it is nested too deeply to be written. */
export const stringify = (value: unknown): string => Result.getOrElse(Result.try(() => JSON.stringify(value)), () => "")
