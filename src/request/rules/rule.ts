/** What the rules about requests are made of. They say what is wrong in our words: never in those of a prompt. */
import { isNullish, isObject, isString } from "effect/Predicate"
import type { Issue } from "../../ClaudeError.ts"

/** What was given, whatever its types say. */
export type Given = { readonly [x: PropertyKey]: unknown }

export type Path = Issue["path"]
export type Issues = ReadonlyArray<Issue>

/** One row of a table. */
export interface Rule<More extends ReadonlyArray<unknown> = []> {
  readonly name: string
  /** Where it is from. */
  readonly source: string
  readonly check: (given: Given, ...more: More) => Issues
}

/** Nothing is wrong: always this one, so that a good request costs no lists. */
export const none: Issues = []

export const issue = (path: Path, message: string): Issues => [{ path, message }]

/** The same issues, further down. */
export const at = (key: string | number, issues: Issues): Issues =>
  issues.length === 0 ? none : issues.map(({ message, path }) => ({ path: [key, ...path], message }))

export const both = (some: Issues, more: Issues): Issues =>
  some.length === 0 ? more : more.length === 0 ? some : [...some, ...more]

/** What is wrong with the elements of a list. What is no list has none. */
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

/** The same of a list that may be left out, and must be one if it is there. */
export const eachOf = (
  name: string,
  what: string,
  list: unknown,
  check: (element: unknown, index: number, list: ReadonlyArray<unknown>) => Issues
): Issues =>
  isNullish(list) || Array.isArray(list)
    ? each(list, check)
    : issue([], `${name} is ${kind(list)}: it must be a list of ${what}`)

/** Everything that breaks one of the rules. */
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

/** A value for people, if it is short by nature: a name, a type, an id, a number. */
export const show = (value: unknown): string => isString(value) ? `"${value.slice(0, 40)}"` : kind(value)

/** A value for people, without its words. */
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
