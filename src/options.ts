/** Settings that cannot be meant are refused when they are written, with a sentence that says what to change. */
import * as Duration from "effect/Duration"
import { isObject } from "effect/Predicate"
import { ClaudeError } from "./ClaudeError.ts"

/** Refuses. It throws, because a policy is built before anything runs. */
export const refuse = (sentence: string): never => {
  throw new RangeError(sentence)
}

/** A duration in milliseconds: positive, and infinite only if allowed. */
export const millis = (where: string, input: Duration.Input): number => {
  const parsed = Duration.fromInput(input)
  const length = parsed._tag === "Some" ? Duration.toMillis(parsed.value) : NaN
  return length > 0
    ? length
    : refuse(
      `${where} is ${
        shown(input)
      }: it must be a duration longer than nothing, like "10 seconds" or 10_000 (milliseconds)`
    )
}

/** The same, with an end. */
export const finite = (where: string, input: Duration.Input): number => {
  const length = millis(where, input)
  return length < Infinity ? length : refuse(`${where} is without end: name a time`)
}

const shown = (input: unknown): string => typeof input === "string" ? JSON.stringify(input) : String(input)

/** A number of times: a whole number, or `Infinity`. */
export const count = (where: string, times: number): number =>
  times >= 0 && (Number.isInteger(times) || times === Infinity)
    ? times
    : refuse(`${where} is ${times}: it must be a whole number, 0 or more`)

/** A duration for people. */
export const show = (length: number): string =>
  Number.isFinite(length) ? Duration.format(Duration.millis(length)) : "without end"

/** A whole number, 1 or more. */
export const whole = (where: string, value: number): number =>
  Number.isInteger(value) && value >= 1 ? value : refuse(`${where} is ${value}: it must be a whole number, 1 or more`)

/** A share of something: above 0, and at most all of it. */
export const share = (where: string, value: number): number =>
  value > 0 && value <= 1 ? value : refuse(`${where} is ${value}: it must be a share, above 0 and at most 1`)

/** Refuses what is no record: a number or a `true` has no fields, and would pass for one that says nothing. */
export const record = (where: string, value: unknown): void => {
  if (!isObject(value)) {
    refuse(`${where} is ${Array.isArray(value) ? "a list" : shown(value)}: it must be a record, {} for what is usual`)
  }
}

/** Whether it names one of our kinds of error. */
export const isTag = (name: unknown): boolean => ClaudeError.members.some(({ identifier }) => identifier === name)

/** Refuses what is no list of our kinds of error. */
export const tags = (where: string, list: unknown): void => {
  if (!Array.isArray(list)) return refuse(`${where} is ${String(list)}: it must be a list of kinds of error`)
  const slip = list.find((name) => !isTag(name))
  if (slip !== undefined) {
    refuse(`${where} has ${String(slip)}, which is none of our kinds of error: correct it or leave it out`)
  }
}

/** Refuses a record with a field that is none: a slip, which would do nothing. */
export const unknown = (where: string, value: object, fields: object): void => {
  record(where, value)
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(fields, name)) {
      refuse(`${where} has no field ${name}: it has ${Object.keys(fields).join(", ")}`)
    }
  }
}

/**
 * `V` without other names than these, for the compiler. Where there are none, nothing is added, not even `{}`: a type whose
 * fields are all optional would then take any value.
 */
export type Only<V, Names> = [Exclude<keyof V, Names>] extends [never] ? V
  : V & { readonly [K in Exclude<keyof V, Names>]: never }
