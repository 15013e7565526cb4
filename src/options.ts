/** Checks options when a policy or layer is built. The messages say what to change. */
import * as Duration from "effect/Duration"
import { isFunction, isNotUndefined, isObject, isObjectOrArray, isString } from "effect/Predicate"
import * as Rec from "effect/Record"
import * as Result from "effect/Result"
import { ClaudeError } from "./ClaudeError.ts"

/** Throws instead of returning an effect, because a policy is built before any effect runs. */
export const refuse = (sentence: string): never => {
  throw new RangeError(sentence)
}

/** Converts to milliseconds. The duration may be infinite. */
export const millis = (where: string, input: Duration.Input): number => {
  const parsed = Duration.fromInput(input)
  const length = parsed._tag === "Some" ? Duration.toMillis(parsed.value) : NaN
  return length > 0
    ? length
    : refuse(
      `${where} is ${shown(input)}: it must be a duration above 0, like "10 seconds" or 10_000 (milliseconds)`
    )
}

export const finite = (where: string, input: Duration.Input): number => {
  const length = millis(where, input)
  return length < Infinity ? length : refuse(`${where} is infinite: it must be a finite duration`)
}

/** Shows a value in a message, on one line. Text is in quotes, because `"3"` and `3` are not the same. */
export const shown = (input: unknown): string => {
  if (isFunction(input)) return "a function"
  const text = Result.getOrElse(
    Result.try(() => isString(input) || isObjectOrArray(input) ? JSON.stringify(input) ?? typeof input : String(input)),
    () => typeof input
  )
  return text.length > 100 ? `${text.slice(0, 100)}…` : text
}

export const count = (where: string, times: number): number =>
  times >= 0 && (Number.isInteger(times) || times === Infinity)
    ? times
    : refuse(`${where} is ${shown(times)}: it must be a whole number, 0 or more`)

/** `length` is in milliseconds. */
export const show = (length: number): string =>
  Number.isFinite(length) ? Duration.format(Duration.millis(length)) : "unlimited time"

/** For text after "per". `length` is in milliseconds. */
export const period = (length: number): string => length === 60_000 ? "minute" : show(length)

/** Lists words as "a, b and c". */
export const listed = (words: ReadonlyArray<string>, last: "and" | "or"): string =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} ${last} ${words.at(-1)}`

export const whole = (where: string, value: number): number =>
  Number.isInteger(value) && value >= 1
    ? value
    : refuse(`${where} is ${shown(value)}: it must be a whole number, 1 or more`)

export const share = (where: string, value: number): number =>
  value > 0 && value <= 1 ? value : refuse(`${where} is ${shown(value)}: it must be above 0 and at most 1, such as 0.5`)

/**
 * A number or `true` has no fields, so without this check it would pass as `{}`. `such` shows a valid object, for the
 * message.
 */
export const record = (where: string, value: unknown, such = "{} for the defaults"): void => {
  if (!isObject(value)) {
    // A text is not shown, because it may be an API key that was passed in place of an object.
    const what = Array.isArray(value) ? "a list" : isString(value) ? "a text" : shown(value)
    refuse(`${where} takes an object, ${such}, not ${what}`)
  }
}

export const isTag = (name: unknown): boolean => ClaudeError.members.some(({ identifier }) => identifier === name)

export const tags = (where: string, list: unknown): void => {
  if (!Array.isArray(list)) {
    return refuse(`${where} is ${shown(list)}: it must be a list of kinds of error, like ["Overloaded"]`)
  }
  const slip = list.find((name) => !isTag(name))
  if (slip !== undefined) {
    refuse(`${where} has ${shown(slip)}, which is not a kind of error: correct or remove it`)
  }
}

/** An unknown field is usually a typo, and would otherwise be ignored silently. */
export const unknown = (where: string, value: object, fields: object, such?: string): void => {
  record(where, value, such)
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(fields, name)) {
      refuse(`${where} has no field ${name}: it has ${Object.keys(fields).join(", ")}`)
    }
  }
}

type Specified<A> = { [K in keyof A]: Exclude<A[K], undefined> }

/** Removes undefined fields, such as the field of `{ model: env.MODEL }`. Safe cast: no undefined field is left. */
export const specified = <A extends object>(fields: A | undefined): Specified<A> =>
  Rec.filter({ ...fields }, isNotUndefined) as Specified<A>

/**
 * `V`, with a compile error for fields not in `Names`. Without such fields it is `V` itself: `V & {}` would let a type
 * whose fields are all optional take any value.
 */
export type Only<V, Names> = [Exclude<keyof V, Names>] extends [never] ? V
  : V & { readonly [K in Exclude<keyof V, Names>]: never }
