/** The building blocks of request rules. An issue never quotes the prompt, because errors and logs show issues. */
import { isNullish, isObject, isString } from "effect/Predicate"
import type { Issue } from "../../ClaudeError.ts"

/** An object as the caller passed it, not validated. */
export type Given = { readonly [x: PropertyKey]: unknown }

export type Path = Issue["path"]
export type Issues = ReadonlyArray<Issue>

/** One row of a table of rules. */
export interface Rule<More extends ReadonlyArray<unknown> = []> {
  readonly name: string
  /** The documentation of the rule. */
  readonly source: string
  readonly check: (given: Given, ...more: More) => Issues
}

/** No issues. Always this array, so that a valid request allocates none. */
export const none: Issues = []

export const issue = (path: Path, message: string): Issues => [{ path, message }]

/** Prefixes the paths of issues with a key. */
export const at = (key: string | number, issues: Issues): Issues =>
  issues.length === 0 ? none : issues.map(({ message, path }) => ({ path: [key, ...path], message }))

export const both = (some: Issues, more: Issues): Issues =>
  some.length === 0 ? more : more.length === 0 ? some : [...some, ...more]

/** The issues of the elements of a list; none if it is not a list. */
export const each = (
  list: unknown,
  check: (element: unknown, index: number, list: ReadonlyArray<unknown>) => Issues
): Issues => {
  if (!Array.isArray(list)) return none
  let found: Array<Issue> | undefined
  for (let i = 0; i < list.length; i++) {
    const issues = check(list[i], i, list)
    if (issues.length === 0) continue
    found ??= []
    for (const { message, path } of issues) found.push({ path: [i, ...path], message })
  }
  return found ?? none
}

/** Checks each element of an optional list. A value of another type is itself an issue. */
export const eachOf = (
  name: string,
  what: string,
  list: unknown,
  check: (element: unknown, index: number, list: ReadonlyArray<unknown>) => Issues
): Issues =>
  isNullish(list) || Array.isArray(list)
    ? each(list, check)
    : issue([], `${name} is ${kind(list)}: it must be a list of ${what}`)

/** The issues that all rules find. */
export const broken = <More extends ReadonlyArray<unknown>>(
  rules: ReadonlyArray<Rule<More>>,
  given: Given,
  ...more: More
): Issues => {
  let found = none
  for (const { check } of rules) found = both(found, check(given, ...more))
  return found
}

export const field = (value: unknown, key: string): unknown => isObject(value) ? value[key] : undefined

export const isBlank = (text: string): boolean => text.trim() === ""

/** A short value for messages: a name, a type, an id, a number. */
export const show = (value: unknown): string => isString(value) ? `"${value.slice(0, 40)}"` : kind(value)

/** The kind of a value for messages, without its text. */
export const kind = (value: unknown): string =>
  value === undefined
    ? "missing"
    : isString(value)
    ? "a text"
    : Array.isArray(value)
    ? "a list"
    : value !== null && typeof value === "object"
    ? "an object"
    : typeof value === "function"
    ? "a function"
    : String(value)
