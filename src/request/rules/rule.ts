/** An issue never quotes the text of the prompt, because errors and logs show issues. */
import { isNullish, isObject, isString } from "effect/Predicate"
import type { Issue } from "../../ClaudeError.ts"

/** An object as the caller passed it, not validated. */
export type Given = { readonly [x: PropertyKey]: unknown }

export type Path = Issue["path"]
export type Issues = ReadonlyArray<Issue>

export interface Rule<More extends ReadonlyArray<unknown> = []> {
  readonly name: string
  /** Where the rule is documented, or the error message of the API. */
  readonly source: string
  readonly check: (given: Given, ...more: More) => Issues
}

/** Shared, so that a valid request allocates no array of issues. */
export const none: Issues = []

export const issue = (path: Path, message: string): Issues => [{ path, message }]

/** Prefixes the paths of issues with a key. */
export const at = (key: string | number, issues: Issues): Issues =>
  issues.length === 0 ? none : issues.map(({ message, path }) => ({ path: [key, ...path], message }))

export const both = (some: Issues, more: Issues): Issues =>
  some.length === 0 ? more : more.length === 0 ? some : [...some, ...more]

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

/** Like `each` for an optional list, but a value that is not a list is an issue. */
export const eachOf = (
  name: string,
  what: string,
  list: unknown,
  check: (element: unknown, index: number, list: ReadonlyArray<unknown>) => Issues
): Issues =>
  isNullish(list) || Array.isArray(list)
    ? each(list, check)
    : issue([], `${name} is ${kind(list)}: it must be a list of ${what}`)

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

/** For the message of an issue. Quotes a text, so use it only for short values, such as a name, a type or an id. */
export const show = (value: unknown): string => isString(value) ? `"${value.slice(0, 40)}"` : kind(value)

/** For the message of an issue. Describes a value without quoting its text. */
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
