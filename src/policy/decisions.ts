/** What policies decide after each kind of failure. */
import * as Record from "effect/Record"
import { type ClaudeError, kindOf, type Table, type Tag } from "../ClaudeError.ts"
import * as Refuse from "../options.ts"
import { isPermanent } from "../permanence.ts"

/**
 * The kind under which a fallback finds its decision: an answer that broke off for good counts as what broke it (a 400 is
 * the question's fault), any other as a `PartialAnswer`, which another model may complete.
 */
export const decisive = (error: ClaudeError): Tag => isPermanent(error) ? kindOf(error) : error._tag

/** What a policy does after each kind of failure, besides the retries, which are in `Retry.standard`. */
export interface Decision {
  /** Whether another model may succeed where one failed; `larger`: only one with a larger window. */
  readonly otherModel: boolean | "larger"
  /** Whether another account may succeed: it has money and rights of its own. */
  readonly otherAccount: boolean
  /** Whether the last good answer to the same question will do: not where the question itself is at fault. */
  readonly lastGood: boolean
  /** Whether a person is told to try again later. */
  readonly retryable: boolean
  /** Whether something was sent, so that the next attempt is extra load: it counts as a retry, and a budget pays for it. */
  readonly sent: boolean
}

/** What is decided where the caller says nothing else. A new kind of error gets a row here. */
export const decisions: Table<Decision> = {
  InvalidRequest: { otherModel: false, otherAccount: false, lastGood: false, retryable: false, sent: true },
  AuthenticationFailed: { otherModel: false, otherAccount: true, lastGood: true, retryable: false, sent: true },
  PermissionDenied: { otherModel: false, otherAccount: true, lastGood: true, retryable: false, sent: true },
  ResourceNotFound: { otherModel: true, otherAccount: true, lastGood: true, retryable: false, sent: true },
  RequestTooLarge: { otherModel: false, otherAccount: false, lastGood: false, retryable: false, sent: true },
  ContextWindowExceeded: { otherModel: "larger", otherAccount: false, lastGood: false, retryable: false, sent: true },
  SpendLimitReached: { otherModel: false, otherAccount: true, lastGood: true, retryable: false, sent: true },
  RateLimited: { otherModel: true, otherAccount: true, lastGood: true, retryable: true, sent: true },
  Overloaded: { otherModel: true, otherAccount: true, lastGood: true, retryable: true, sent: true },
  ServerFault: { otherModel: true, otherAccount: true, lastGood: true, retryable: true, sent: true },
  Unreachable: { otherModel: false, otherAccount: false, lastGood: true, retryable: true, sent: true },
  PartialAnswer: { otherModel: true, otherAccount: true, lastGood: true, retryable: true, sent: true },
  UnexpectedResponse: { otherModel: true, otherAccount: true, lastGood: true, retryable: true, sent: true },
  Refused: { otherModel: true, otherAccount: true, lastGood: false, retryable: false, sent: true },
  Truncated: { otherModel: false, otherAccount: false, lastGood: true, retryable: false, sent: true },
  EmptyAnswer: { otherModel: true, otherAccount: true, lastGood: true, retryable: true, sent: true },
  MalformedOutput: { otherModel: true, otherAccount: true, lastGood: true, retryable: true, sent: true },
  TimedOut: { otherModel: true, otherAccount: true, lastGood: true, retryable: true, sent: true },
  DeadlineExceeded: { otherModel: false, otherAccount: false, lastGood: true, retryable: true, sent: true },
  CircuitOpen: { otherModel: true, otherAccount: true, lastGood: true, retryable: true, sent: false },
  Saturated: { otherModel: true, otherAccount: true, lastGood: true, retryable: true, sent: false }
}

/** One column of the table, as the decision for each kind. */
export const usual = <Column extends keyof Decision>(column: Column): Table<Decision[Column]> =>
  Record.map(decisions, (decision) => decision[column])

/** One column, with what the caller decides instead. `undefined` leaves it as it is. */
export const decided = <Column extends keyof Decision>(
  where: string,
  column: Column,
  on: { readonly [T in Tag]?: Decision[Column] | undefined } | undefined
): Table<Decision[Column]> => {
  if (on === undefined) return usual(column)
  Refuse.unknown(`${where}: on`, on, decisions)
  return {
    ...usual(column),
    ...Object.fromEntries(Object.entries(on).filter(([, decision]) => decision !== undefined))
  }
}
