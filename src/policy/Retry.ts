/**
 * Schedules for `Effect.retry` and for policies.
 *
 * They can be combined with every function of `Schedule`, and keep three rules: the
 * server's `retry-after` is the minimum wait; no wait begins that leaves no time
 * for an answer before `Current.Deadline`; a permanent failure is not retried.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as ClaudeError from "../ClaudeError.ts"
import * as Refuse from "../options.ts"
import { Joins } from "./applicationErrors.ts"
import * as Plan from "./plan.ts"
import { type WaitOptions, waits, whileWorthRetrying } from "./schedules.ts"

// -----------------------------------------------------------------------------
// Waits
// -----------------------------------------------------------------------------

export type { Jitter, WaitOptions } from "./schedules.ts"

/** Exponential back-off: each wait is `factor` (default: 2) times the wait before. Default jitter: `full`. */
export const backoff = (
  options: WaitOptions & { readonly factor?: number | undefined }
): Schedule.Schedule<unknown, unknown> => {
  const factor = options.factor ?? 2
  if (!(factor >= 1 && Number.isFinite(factor))) {
    Refuse.refuse(`Retry.backoff: factor is ${Refuse.shown(factor)}: it must be a finite number, 1 or more`)
  }
  return waits("Retry.backoff", options, "full", (base, n) => base * factor ** (n - 1))
}

/** Linear back-off: each wait is `base` longer than the wait before. Default jitter: `none`. */
export const linear = (options: WaitOptions): Schedule.Schedule<unknown, unknown> =>
  waits("Retry.linear", options, "none", (base, n) => base * n)

/** No retries. An entry `never` in the record of `byTag` or of a policy is the same as no entry. */
export const never: Schedule.Schedule<unknown> = Plan.note(Schedule.recurs(0), { kind: "waits", times: 0 })

// -----------------------------------------------------------------------------
// Choices
// -----------------------------------------------------------------------------

/** A class of tagged errors of the application. */
export type ErrorClass = abstract new(...args: ReadonlyArray<never>) => { readonly _tag: string }

/** A schedule for each kind of error. A kind without a schedule is not retried. */
export type ByTag<E extends { readonly _tag: string }> = {
  readonly [T in E["_tag"]]?: Schedule.Schedule<unknown, Extract<E, { readonly _tag: T }>> | undefined
}

/**
 * Chooses a schedule by the kind of error, for `Effect.retry`, and for a policy that retries the application's own errors.
 * For all other policies, `retry` takes the record itself. A kind without an entry is not retried, nor is an application
 * error, unless its class is passed after the record.
 *
 * Each entry counts its own retries: two rate limits and one overload are two
 * retries of `RateLimited` and one retry of `Overloaded`.
 *
 * ```ts
 * Retry.byTag({ ...Retry.standard, Busy: Retry.linear({ times: 3 }) }, Busy)
 * ```
 */
export const byTag = <
  const Own extends ReadonlyArray<ErrorClass>,
  T extends ByTag<ClaudeError.ClaudeError | InstanceType<Own[number]>>
>(
  record: Refuse.Only<T, ClaudeError.Tag | InstanceType<Own[number]>["_tag"]>,
  ...own: Own
): Schedule.Schedule<unknown, unknown> => {
  Refuse.record("Retry.byTag", record, "like { Overloaded: Retry.backoff({ times: 3 }) }")
  // Safe cast: each schedule receives only errors with the tag of its entry.
  const entries = Plan.entries("Retry.byTag", record, own.length > 0) as ReadonlyMap<
    string,
    Schedule.Schedule<unknown, unknown>
  >
  const tagOf = (error: unknown): string | undefined =>
    ClaudeError.is(error)
      ? error._tag
      : own.some((member) => error instanceof member)
      ? (error as Tagged)._tag
      : undefined

  const schedule = Schedule.fromStep(Effect.sync(() => {
    // Each schedule starts at the first failure with its tag, because most schedules are never needed.
    const steps = new Map<string, Step>()
    return (now: number, error: unknown) => {
      const tag = tagOf(error)
      const schedule = tag === undefined ? undefined : entries.get(tag)
      if (tag === undefined || schedule === undefined) return Cause.done()
      const step = steps.get(tag)
      if (step !== undefined) return step(now, error)
      return Effect.flatMap(Schedule.toStep(schedule), (step) => {
        steps.set(tag, step)
        return step(now, error)
      })
    }
  }))
  // The tap gets only a `ClaudeError` or an instance of a class in `own`: at any other input, `schedule` ends.
  const joined = Schedule.tap(whileWorthRetrying(schedule), ({ input }) => ClaudeError.is(input) ? Effect.void : join)
  return Plan.note(joined, { kind: "byTag", entries })
}

// -----------------------------------------------------------------------------
// Defaults
// -----------------------------------------------------------------------------

/** 8 retries: if half of all attempts fail at random, 1 call in 500 gets no answer. */
const patiently = (base: Duration.Input) => backoff({ times: 8, base })

/** Few retries, for failures that usually happen again when the same request is repeated. */
const briefly = (times: number) => backoff({ times, base: "1 second" })

/**
 * The `retry` of `Policy.standard`. Change it with a spread: `{ ...Retry.standard, CircuitOpen: undefined }` fails fast at
 * an open circuit. For `Effect.retry`, use `Retry.byTag(Retry.standard)`.
 *
 * The base waits follow common SDKs and gateways: 2 s for rate limits and overload, which last longer than a fault; 1 s for
 * faults and for time-outs, which already took long; 3 s for failed and broken connections, which take longer to recover.
 */
export const standard: ClaudeError.Table<Schedule.Schedule<unknown, unknown>> = {
  InvalidRequest: never,
  AuthenticationFailed: never,
  PermissionDenied: never,
  ResourceNotFound: never,
  RequestTooLarge: never,
  ContextWindowExceeded: never,
  SpendLimitReached: never,
  RateLimited: patiently("2 seconds"),
  Overloaded: patiently("2 seconds"),
  ServerFault: patiently("1 second"),
  Unreachable: patiently("3 seconds"),
  PartialAnswer: patiently("3 seconds"),
  UnexpectedResponse: briefly(3),
  Refused: never,
  Truncated: never,
  EmptyAnswer: briefly(1),
  MalformedOutput: never,
  TimedOut: briefly(3),
  DeadlineExceeded: never,
  // For a call without a deadline. A call with a deadline waits inside the circuit breaker instead.
  CircuitOpen: backoff({ times: 30, base: "1 second", cap: "5 seconds" }),
  // Without a `retryAfter`, this error is permanent. Many retries are harmless, because no request was sent.
  Saturated: backoff({ times: 30, base: "1 second" })
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

/** Tells the policy to retry this application error. */
const join = Effect.map(Joins, (asked) => {
  if (asked !== undefined) asked.joins = true
})

type Tagged = { readonly _tag: string }
type Step = Effect.Success<ReturnType<typeof Schedule.toStep<unknown, unknown, never, never>>>
