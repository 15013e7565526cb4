import * as Record from "effect/Record"
import { type ClaudeError, kindOf, type Table, type Tag } from "../ClaudeError.ts"
import * as Refuse from "../options.ts"
import { isPermanent } from "../permanence.ts"

/**
 * The kind of error that decides about fallbacks. An answer that broke off permanently counts as the error that caused it,
 * such as an `InvalidRequest`; any other break counts as a `PartialAnswer`, which another model may complete.
 */
export const decisive = (error: ClaudeError): Tag => isPermanent(error) ? kindOf(error) : error._tag

export interface Decision {
  /**
   * Whether to ask another model; `larger`: only one with a larger context window; `substitute`: only if the error is from
   * a fallback model, which may refuse a request that another model accepts.
   */
  readonly otherModel: boolean | "larger" | "substitute"
  /** Whether to ask another account; `substitute`: only if the error is from a fallback account. */
  readonly otherAccount: boolean | "substitute"
  /** Whether to give the last good answer to the same question. Not after an error that the question itself caused. */
  readonly lastGood: boolean
  /** Whether this kind of error is usually temporary. A single error of this kind may still be permanent (`isPermanent`). */
  readonly retryable: boolean
  /**
   * `false` if this kind of error means that no request was sent. Otherwise the next attempt is extra load: it counts as a
   * retry, and the budget pays for it.
   */
  readonly sent: boolean
}

/** The default decisions after each kind of error. How often each kind is retried, and when, is in `Retry.standard`. */
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

interface Failed {
  readonly error: ClaudeError
}

/** The failure to report if no model or account answers: the last one for which `stands` is true, or else the first one. */
export const reported = <F extends Failed>(before: F | undefined, last: F): F =>
  before === undefined || stands(last.error) ? last : before

/**
 * Whether an error of a fallback model or account becomes the error of the call. It does if it means a problem of the
 * service, or contains a part of the answer. Any other error only means that this model or account cannot answer the
 * request.
 */
const stands = (error: ClaudeError): boolean =>
  error._tag === "Truncated" || decisions[error._tag].retryable && !isPermanent(error) && !unusable.has(error._tag)

/** The errors of an unusable answer. They say nothing about the service. */
const unusable: ReadonlySet<Tag> = new Set(["EmptyAnswer", "MalformedOutput"])

export const usual = <Column extends keyof Decision>(column: Column): Table<Decision[Column]> =>
  Record.map(decisions, (decision) => decision[column])

/** A caller's decisions for some kinds of error; `undefined` keeps the default. */
export type On<D> = { readonly [T in Tag]?: D | undefined }

/** Throws a `RangeError` if `on` has an unknown kind of error. */
export const decided = <Column extends keyof Decision>(
  where: string,
  column: Column,
  on: On<Decision[Column]> | undefined
): Table<Decision[Column]> => {
  if (on === undefined) return usual(column)
  Refuse.unknown(`${where}: on`, on, decisions, "like { Overloaded: true }")
  return {
    ...usual(column),
    ...Object.fromEntries(Object.entries(on).filter(([, decision]) => decision !== undefined))
  }
}
