import type { ClaudeError, GaveUp, Tried } from "./ClaudeError.ts"

/** The most entries in a history, because a call may retry forever. The oldest are dropped. */
const longest = 100

/** Appends a failure or, if the failure has a history, the entries of that history. */
export const remember = (
  history: ReadonlyArray<Tried>,
  { _tag, history: own, message, model: named, requestId }: ClaudeError,
  attempt: number,
  model: string
): ReadonlyArray<Tried> => {
  // Fields of errors are not validated, so `own` may be any value.
  if (Array.isArray(own)) return [...history, ...own].slice(-longest)
  const tried = { attempt, model: named ?? model, error: _tag, message: message.slice(0, 200) }
  return [...history.slice(1 - longest), requestId === undefined ? tried : { ...tried, requestId }]
}

/** Records how long the call waits after the last failure. */
export const waited = (history: ReadonlyArray<Tried>, millis: number): ReadonlyArray<Tried> =>
  history.map((tried, i) => i === history.length - 1 ? { ...tried, waited: millis } : tried)

export const explain = <E extends ClaudeError>(error: E, gaveUp: GaveUp, history: ReadonlyArray<Tried>): E =>
  copy<ClaudeError>(error, { gaveUp, history }) as E

/**
 * The error to report if an answer broke off (`broken`) and requesting it again failed (`error`). Prefers the error that
 * has the text before the break. A `DeadlineExceeded` has only the text of the attempt that it interrupted.
 */
export const still = (broken: ClaudeError, error: ClaudeError): ClaudeError =>
  "text" in error && error._tag !== "DeadlineExceeded" || !("text" in broken)
    ? error
    : copy(broken, { detail: `the answer could not be resumed: ${error.message}` })

export const copy = <E extends ClaudeError>(error: E, fields: Partial<NoInfer<E>>): E => {
  // The spread does not copy `cause`, which is not enumerable.
  const { cause } = error
  const more = cause === undefined ? fields : { cause, ...fields }
  // Cast: the constructor of an error takes its fields.
  const copy = new (error.constructor as new(fields: object) => E)({ ...error, ...more })
  // A stack begins with the message, which the new fields may change.
  if (error.stack !== undefined) copy.stack = error.stack.replace(error.message, () => copy.message)
  return copy
}
