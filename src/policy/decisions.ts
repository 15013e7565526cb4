/** The default decisions after each kind of error, except for retries, which are in `Retry.standard`. */
import * as Record from "effect/Record"
import { type ClaudeError, kindOf, type Table, type Tag } from "../ClaudeError.ts"
import * as Refuse from "../options.ts"
import { isPermanent } from "../permanence.ts"

/**
 * The kind of error that decides about fallbacks. An answer that broke off permanently counts as the error that caused it,
 * such as an `InvalidRequest`; any other break counts as a `PartialAnswer`, which another model may complete.
 */
export const decisive = (error: ClaudeError): Tag => isPermanent(error) ? kindOf(error) : error._tag

/** The decisions about one kind of error. */
export interface Decision {
  /**
   * Whether to ask another model; `larger`: only one with a larger context window; `substitute`: only if the error is from
   * a fallback model, which may refuse a request that the other models accept.
   */
  readonly otherModel: boolean | "larger" | "substitute"
  /** Whether to ask another account, with its own limits and credit; `substitute`: only if the error is from a further account. */
  readonly otherAccount: boolean | "substitute"
  /** Whether to give the last good answer to the same question. Not after an error that the question itself caused. */
  readonly lastGood: boolean
  /** Whether the notice asks the user to try again later. */
  readonly retryable: boolean
  /** Whether a request was sent. If so, the next attempt is extra load: it counts as a retry, and the budget pays for it. */
  readonly sent: boolean
}

/** The default decisions. A new kind of error needs a row here. */
export const decisions: Table<Decision> = {
  InvalidRequest: {
    otherModel: "substitute",
    otherAccount: "substitute",
    lastGood: false,
    retryable: false,
    sent: true
  },
  AuthenticationFailed: { otherModel: "substitute", otherAccount: true, lastGood: true, retryable: false, sent: true },
  PermissionDenied: { otherModel: "substitute", otherAccount: true, lastGood: true, retryable: false, sent: true },
  ResourceNotFound: { otherModel: true, otherAccount: true, lastGood: true, retryable: false, sent: true },
  RequestTooLarge: {
    otherModel: "substitute",
    otherAccount: "substitute",
    lastGood: false,
    retryable: false,
    sent: true
  },
  ContextWindowExceeded: {
    otherModel: "larger",
    otherAccount: "substitute",
    lastGood: false,
    retryable: false,
    sent: true
  },
  SpendLimitReached: { otherModel: false, otherAccount: true, lastGood: true, retryable: false, sent: true },
  RateLimited: { otherModel: true, otherAccount: true, lastGood: true, retryable: true, sent: true },
  Overloaded: { otherModel: true, otherAccount: true, lastGood: true, retryable: true, sent: true },
  ServerFault: { otherModel: true, otherAccount: true, lastGood: true, retryable: true, sent: true },
  Unreachable: { otherModel: false, otherAccount: "substitute", lastGood: true, retryable: true, sent: true },
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

/** A failed model or account of a chain. */
interface Failed {
  readonly error: ClaudeError
}

/** The failure to report if no model or account answers: the last one that counts (`stands`), or else the first one. */
export const reported = <F extends Failed>(before: F | undefined, last: F): F =>
  before === undefined || stands(last.error) ? last : before

/**
 * Whether an error of a fallback model or account counts as the error of the call, because it says that the service has a
 * problem, or has a part of the answer. Any other error only says that this model or account cannot answer the request.
 */
const stands = (error: ClaudeError): boolean =>
  error._tag === "Truncated" || decisions[error._tag].retryable && !isPermanent(error) && !unusable.has(error._tag)

/** The errors of an unusable answer. They say nothing about the service. */
const unusable: ReadonlySet<Tag> = new Set(["EmptyAnswer", "MalformedOutput"])

/** The default decisions of one column. */
export const usual = <Column extends keyof Decision>(column: Column): Table<Decision[Column]> =>
  Record.map(decisions, (decision) => decision[column])

/** A caller's decisions for some kinds of error; `undefined` keeps the default. */
export type On<D> = { readonly [T in Tag]?: D | undefined }

/** The decisions of one column: the caller's in `on`, or else the default ones. */
export const decided = <Column extends keyof Decision>(
  where: string,
  column: Column,
  on: On<Decision[Column]> | undefined
): Table<Decision[Column]> => {
  if (on === undefined) return usual(column)
  Refuse.unknown(`${where}: on`, on, decisions)
  return {
    ...usual(column),
    ...Object.fromEntries(Object.entries(on).filter(([, decision]) => decision !== undefined))
  }
}
