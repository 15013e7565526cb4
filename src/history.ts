/** What was tried before a call was given up. */
import type { ClaudeError, GaveUp, Tried } from "./ClaudeError.ts"

/** A call that never stops trying keeps no more than this. */
const longest = 100

/** The history with one more failure in it, or with all that its error says was tried. */
export const remember = (
  history: ReadonlyArray<Tried>,
  { _tag, history: own, message, model: named, requestId }: ClaudeError,
  attempt: number,
  model: string
): ReadonlyArray<Tried> => {
  // What an error carries is not checked when it is made.
  if (Array.isArray(own)) return [...history, ...own].slice(-longest)
  const tried = { attempt, model: named ?? model, error: _tag, message: message.slice(0, 200) }
  return [...history.slice(1 - longest), requestId === undefined ? tried : { ...tried, requestId }]
}

/** The history with what was waited after its last failure, in milliseconds. */
export const waited = (history: ReadonlyArray<Tried>, millis: number): ReadonlyArray<Tried> =>
  history.map((tried, i) => i === history.length - 1 ? { ...tried, waited: millis } : tried)

/** The same error, with what was tried before it and why nothing more was. */
export const explain = <E extends ClaudeError>(error: E, gaveUp: GaveUp, history: ReadonlyArray<Tried>): E =>
  copy<ClaudeError>(error, { gaveUp, history }) as E

/** The failure to go on from a break, which holds what had arrived. */
export const still = (broken: ClaudeError, error: ClaudeError): ClaudeError =>
  "text" in error || !("text" in broken)
    ? error
    : copy(broken, { detail: `nothing came after it broke off: ${error.message}` })

/** The same error, with more said about it. */
export const copy = <E extends ClaudeError>(error: E, fields: Partial<NoInfer<E>>): E => {
  // The class of an error takes its own fields; the compiler sees only that it is a function.
  const { cause } = error
  // A cause is not among what is copied of an error.
  const more = cause === undefined ? fields : { ...fields, cause }
  const copy = new (error.constructor as new(fields: object) => E)({ ...error, ...more })
  if (error.stack !== undefined) copy.stack = error.stack
  return copy
}
