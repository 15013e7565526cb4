/** Checks options when a policy or layer is built; the error says what to change. */
import * as Duration from "effect/Duration"
import { isNotUndefined, isObject } from "effect/Predicate"
import * as Rec from "effect/Record"
import { ClaudeError } from "./ClaudeError.ts"

/** Throws a `RangeError`, because a policy is built before any effect runs. */
export const refuse = (sentence: string): never => {
  throw new RangeError(sentence)
}

/** Converts a positive duration, which may be infinite, to milliseconds; otherwise throws. */
export const millis = (where: string, input: Duration.Input): number => {
  const parsed = Duration.fromInput(input)
  const length = parsed._tag === "Some" ? Duration.toMillis(parsed.value) : NaN
  return length > 0
    ? length
    : refuse(
      `${where} is ${shown(input)}: it must be a duration above 0, like "10 seconds" or 10_000 (milliseconds)`
    )
}

/** Converts a positive, finite duration to milliseconds; otherwise throws. */
export const finite = (where: string, input: Duration.Input): number => {
  const length = millis(where, input)
  return length < Infinity ? length : refuse(`${where} is infinite: it must be a finite duration`)
}

const shown = (input: unknown): string => typeof input === "string" ? JSON.stringify(input) : String(input)

/** Returns `times` if it is a whole number, 0 or more, or `Infinity`; otherwise throws. */
export const count = (where: string, times: number): number =>
  times >= 0 && (Number.isInteger(times) || times === Infinity)
    ? times
    : refuse(`${where} is ${times}: it must be a whole number, 0 or more`)

/** Formats a duration in milliseconds for messages. */
export const show = (length: number): string =>
  Number.isFinite(length) ? Duration.format(Duration.millis(length)) : "unlimited time"

/** Returns `value` if it is a whole number, 1 or more; otherwise throws. */
export const whole = (where: string, value: number): number =>
  Number.isInteger(value) && value >= 1 ? value : refuse(`${where} is ${value}: it must be a whole number, 1 or more`)

/** Returns `value` if it is above 0 and at most 1; otherwise throws. */
export const share = (where: string, value: number): number =>
  value > 0 && value <= 1 ? value : refuse(`${where} is ${value}: it must be above 0 and at most 1, such as 0.5`)

/** Refuses a value that is not a record: a number or `true` has no fields, so it would pass as `{}`. */
export const record = (where: string, value: unknown): void => {
  if (!isObject(value)) {
    refuse(`${where} is ${Array.isArray(value) ? "a list" : shown(value)}: it must be an object, {} for the defaults`)
  }
}

export const isTag = (name: unknown): boolean => ClaudeError.members.some(({ identifier }) => identifier === name)

/** Refuses a value that is not a list of tags of `ClaudeError`. */
export const tags = (where: string, list: unknown): void => {
  if (!Array.isArray(list)) {
    return refuse(`${where} is ${String(list)}: it must be a list of kinds of error, like ["Overloaded"]`)
  }
  const slip = list.find((name) => !isTag(name))
  if (slip !== undefined) {
    refuse(`${where} has ${String(slip)}, which is not a kind of error: correct or remove it`)
  }
}

/** Refuses a record with an unknown field: a typo, which would otherwise be ignored silently. */
export const unknown = (where: string, value: object, fields: object): void => {
  record(where, value)
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(fields, name)) {
      refuse(`${where} has no field ${name}: it has ${Object.keys(fields).join(", ")}`)
    }
  }
}

type Specified<A> = { [K in keyof A]: Exclude<A[K], undefined> }

/** Removes undefined fields, as in `{ model: env.MODEL }`. The cast is safe, because no undefined field is left. */
export const specified = <A extends object>(fields: A | undefined): Specified<A> =>
  Rec.filter({ ...fields }, isNotUndefined) as Specified<A>

/**
 * `V`, with a compile error for fields not in `Names`. Without such fields it is `V` itself: `V & {}` would let a type
 * whose fields are all optional take any value.
 */
export type Only<V, Names> = [Exclude<keyof V, Names>] extends [never] ? V
  : V & { readonly [K in Exclude<keyof V, Names>]: never }
