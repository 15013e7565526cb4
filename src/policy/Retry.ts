/**
 * Retry policies, as `Schedule` values.
 *
 * There is no `retry` function here: Effect has one. This module only makes
 * schedules that understand `ClaudeError`, so everything `Schedule` can do
 * (cap, jitter, log, combine) still applies. All of them keep three rules: never
 * sooner than the server said, no wait that leaves no time for an answer before
 * `Current.Deadline`, and no retry of what waiting cannot mend.
 */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as ClaudeError from "../ClaudeError.ts"
import * as Refuse from "../options.ts"
import { Joins } from "./applicationErrors.ts"
import * as Plan from "./plan.ts"
import { reasonable, type WaitOptions, waits } from "./schedules.ts"

// -----------------------------------------------------------------------------
// Waits
// -----------------------------------------------------------------------------

export type { Jitter, WaitOptions } from "./schedules.ts"

/** Waits that grow by a factor (2), with full jitter. Usable with `Effect.retry`, whatever the error. */
export const backoff = (
  options: WaitOptions & { readonly factor?: number | undefined }
): Schedule.Schedule<unknown, unknown> => {
  const factor = options.factor ?? 2
  if (!(factor >= 1 && Number.isFinite(factor))) Refuse.refuse(`backoff: factor is ${factor}: it must be 1 or more`)
  return waits("backoff", options, "full", (base, n) => base * factor ** (n - 1))
}

/** Waits that grow by `base` with every retry, without jitter. Usable with `Effect.retry`, whatever the error. */
export const linear = (options: WaitOptions): Schedule.Schedule<unknown, unknown> =>
  waits("linear", options, "none", (base, n) => base * n)

/** Gives up at once. */
export const never: Schedule.Schedule<unknown> = Plan.note(Schedule.recurs(0), { kind: "waits", times: 0 })

// -----------------------------------------------------------------------------
// Choices
// -----------------------------------------------------------------------------

/** A class of errors with a tag: one of the application's own. */
export type ErrorClass = abstract new(...args: ReadonlyArray<never>) => { readonly _tag: string }

/** A schedule for some kinds of error. */
export type ByTag<E extends { readonly _tag: string }> = {
  readonly [T in E["_tag"]]?: Schedule.Schedule<unknown, Extract<E, { readonly _tag: T }>> | undefined
}

/**
 * Chooses a schedule by the kind of error, for `Effect.retry`, and for a policy that retries errors of the application. The
 * `retry` of a policy may be the record alone. Kinds without an entry are final, and so are errors that are not ours,
 * unless their classes are named to join.
 *
 * Every entry counts on its own: two rate limits and one overload are the
 * second step of one schedule and the first of another.
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
  Refuse.record("byTag", record)
  // Of a class that joins, only its errors know the tag. What is under a tag takes the error of that tag, and is asked
  // about no other one.
  const entries = Plan.entries("byTag", record, own.length > 0) as ReadonlyMap<
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
    // Built at the first failure of their tag: most calls never fail.
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
  // What it retries besides our errors is of the classes that join.
  const joined = Schedule.tap(reasonable(schedule), ({ input }) => ClaudeError.is(input) ? Effect.void : join)
  return Plan.note(joined, { kind: "byTag", entries })
}

// -----------------------------------------------------------------------------
// What is usual
// -----------------------------------------------------------------------------

/** How often one kind of error is retried: at 50 % random failures, 8 retries leave 1 of 500 calls without an answer. */
const patiently = (base: Duration.Input) => backoff({ times: 8, base })

/** A few times: the same request fails like this again and again more often than it does not. */
const briefly = (times: number) => backoff({ times, base: "1 second" })

/**
 * What is retried when nobody says otherwise: only what asking later can mend, as long as an attempt can still end before
 * the deadline. The `retry` of `Policy.standard`, extended by a spread: `{ ...Retry.standard, CircuitOpen: undefined }` fails
 * fast at an open circuit. For `Effect.retry`: `Retry.byTag(Retry.standard)`.
 *
 * Bases, after what SDKs and gateways do: 2 s for rate limit and overload, which last longer than a fault; 1 s for a
 * fault, and for a time-out, which was a wait already; 3 s for connections, which take longer to come back.
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
  // The gate of the circuit does the waiting for a call with a deadline: this is how often one without asks again.
  CircuitOpen: backoff({ times: 30, base: "1 second", cap: "5 seconds" }),
  // Only with a hint. Nothing was sent.
  Saturated: backoff({ times: 30, base: "1 second" })
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

/** Tells the policy that this error of the application is to be retried. */
const join = Effect.map(Joins, (asked) => {
  if (asked !== undefined) asked.joins = true
})

type Tagged = { readonly _tag: string }
type Step = Effect.Success<ReturnType<typeof Schedule.toStep<unknown, unknown, never, never>>>
