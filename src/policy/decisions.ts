/** Where else an answer may be had, for each kind of failure. */
import { type ClaudeError, kindOf, type Table, type Tag } from "../ClaudeError.ts"
import * as Refuse from "../options.ts"
import { isPermanent } from "../wire/classify.ts"

/**
 * The kind under which a fallback finds its decision: an answer that broke off for good counts as what broke it (a 400 is
 * the question's fault), any other as a `PartialAnswer`, which another model may complete.
 */
export const decisive = (error: ClaudeError): Tag => isPermanent(error) ? kindOf(error) : error._tag

/** What is decided for each kind: by the caller, or as usual. What is there and undefined is not said. */
export const decided = <A>(
  where: string,
  usual: Table<A>,
  on: { readonly [T in keyof Table<A>]?: A | undefined } | undefined
): Table<A> => {
  if (on === undefined) return usual
  Refuse.unknown(`${where}: on`, on, usual)
  return { ...usual, ...Object.fromEntries(Object.entries(on).filter(([, decision]) => decision !== undefined)) }
}

/** Whether another model may succeed where one failed; `larger`: only one with a larger window. */
export const anotherModel = {
  InvalidRequest: false,
  Unauthorized: false,
  Forbidden: false,
  NotFound: true,
  RequestTooLarge: false,
  ContextWindowExceeded: "larger",
  SpendLimitReached: false,
  RateLimited: true,
  Overloaded: true,
  ServerFault: true,
  Unreachable: false,
  PartialAnswer: true,
  UnexpectedResponse: true,
  Refused: true,
  Truncated: false,
  EmptyAnswer: true,
  MalformedOutput: true,
  TimedOut: true,
  DeadlineExceeded: false,
  CircuitOpen: true,
  Saturated: true
} as const satisfies Table<boolean | "larger">

/** Whether another account may succeed: it has money and rights of its own, and what is true of models. */
export const anotherAccount: Table<boolean> = {
  ...anotherModel,
  ContextWindowExceeded: false,
  Unauthorized: true,
  Forbidden: true,
  SpendLimitReached: true
}

/** Whether the last good answer to the same question will do: not where the question itself is at fault. */
export const lastGood: Table<boolean> = {
  InvalidRequest: false,
  Unauthorized: true,
  Forbidden: true,
  NotFound: true,
  RequestTooLarge: false,
  ContextWindowExceeded: false,
  SpendLimitReached: true,
  RateLimited: true,
  Overloaded: true,
  ServerFault: true,
  Unreachable: true,
  PartialAnswer: true,
  UnexpectedResponse: true,
  Refused: false,
  Truncated: true,
  EmptyAnswer: true,
  MalformedOutput: true,
  TimedOut: true,
  DeadlineExceeded: true,
  CircuitOpen: true,
  Saturated: true
}
