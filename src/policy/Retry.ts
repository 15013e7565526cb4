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
import * as CallContext from "../callContext.ts"
import * as ClaudeError from "../ClaudeError.ts"
import * as Refuse from "../options.ts"
import { Joins } from "./applicationErrors.ts"
import { wasSent } from "./charge.ts"
import { OtherModel } from "./otherModel.ts"
import * as Plan from "./plan.ts"
import { reasonable, type WaitOptions, waits } from "./schedules.ts"

// -----------------------------------------------------------------------------
// Waits
// -----------------------------------------------------------------------------

/** What is random in a wait: nothing; all of it (0 to the wait); up to one `base` on top; a fifth up or down. */
export type Jitter = Plan.Jitter

export type { WaitOptions }

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

/**
 * Asks again at once, with the malformed answers so far and what is wrong with them as further turns; for answers that
 * Claude ended by itself (`end_turn`). Without a policy, the question is only repeated.
 */
export const reask = (times: number): Schedule.Schedule<unknown, ClaudeError.MalformedOutput> =>
  Plan.note(
    Schedule.recurs(Refuse.count("reask: times", times)).pipe(
      Schedule.setInputType<ClaudeError.MalformedOutput>(),
      // A policy asks about every failure.
      Schedule.while(({ input }) =>
        Effect.succeed(input instanceof ClaudeError.MalformedOutput && input.stopReason === "end_turn")
      ),
      Schedule.tap(({ input }) =>
        Effect.map(CallContext.Call, (call) => {
          if (call !== undefined) call.corrections = [...call.corrections, input]
        })
      )
    ),
    { kind: "reask", times }
  )

/** Gives up at once. */
export const never: Schedule.Schedule<unknown> = Plan.note(Schedule.recurs(0), { kind: "never" })

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
 * Chooses a schedule by the kind of error. Kinds without an entry are final,
 * and so are errors that are not ours, unless their classes are named to join.
 *
 * Every entry counts on its own: two rate limits and one overload are the
 * second step of one schedule and the first of another.
 *
 * ```ts
 * retry: Retry.byTag({
 *   RateLimited: Retry.backoff({ times: 8, base: "2 seconds" }),
 *   Overloaded: Retry.backoff({ times: 4, base: "2 seconds" }),
 *   MalformedOutput: Retry.reask(2)
 * })
 * ```
 */
export const byTag = <
  const Own extends ReadonlyArray<ErrorClass>,
  T extends ByTag<ClaudeError.ClaudeError | InstanceType<Own[number]>>
>(
  table: T & { readonly [K in Exclude<keyof T, ClaudeError.Tag | InstanceType<Own[number]>["_tag"]>]: never },
  ...own: Own
): Schedule.Schedule<unknown, unknown> => {
  Refuse.record("byTag", table)
  for (const [tag, schedule] of Object.entries(table)) {
    if (schedule !== undefined && !Schedule.isSchedule(schedule)) {
      Refuse.refuse(`byTag: ${tag} is ${String(schedule)}: it must be a Schedule, like Retry.backoff({ times: 3 })`)
    }
    // Of a class that joins, only its errors know the tag.
    if (own.length === 0 && !Refuse.isTag(tag)) {
      Refuse.refuse(`byTag: ${tag} is none of our kinds of error: correct it, or name its class after the table`)
    }
  }
  // A mapped type forgets that its keys and values are entries, and that what is under a tag takes the error of that tag.
  const entries = new Map(
    Object.entries(table).filter(([, schedule]) => schedule !== undefined)
  ) as ReadonlyMap<string, Schedule.Schedule<unknown, unknown>>
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

/** Tells the policy that this error of the application is to be retried. */
const join = Effect.map(Joins, (asked) => {
  if (asked !== undefined) asked.joins = true
})

/**
 * The same schedule, but at most so many retries over all kinds of error. Those of requests that were not sent do not
 * count: after `CircuitOpen` and `Saturated`.
 */
export const atMost = <I>(times: number, schedule: Schedule.Schedule<unknown, I>): Schedule.Schedule<unknown, I> => {
  const most = Refuse.count("atMost: times", times)
  return Plan.note(counted(schedule, () => Effect.succeed(most)), { kind: "atMost", times, of: schedule })
}

/** The same schedule, for as many retries of requests that were sent as `most` allows after each failure. */
const counted = <I>(
  schedule: Schedule.Schedule<unknown, I>,
  most: (input: I) => Effect.Effect<number>
): Schedule.Schedule<unknown, I> =>
  Schedule.fromStep(Effect.map(Schedule.toStep(schedule), (step) => {
    let made = 0
    return (now: number, input: I): ReturnType<typeof step> => {
      if (ClaudeError.is(input) && !wasSent(input)) return step(now, input)
      return Effect.flatMap(most(input), (most) => made++ < most ? step(now, input) : Cause.done())
    }
  }))

// -----------------------------------------------------------------------------
// Internals, before what is made with them
// -----------------------------------------------------------------------------

type Tagged = { readonly _tag: string }
type Step = Effect.Success<ReturnType<typeof Schedule.toStep<unknown, unknown, never, never>>>

// -----------------------------------------------------------------------------
// Policies
// -----------------------------------------------------------------------------

/**
 * How often a request is sent again at most, where the deadline allows more: at 50 % random failures, 8 retries leave 1 of
 * 500 calls without an answer.
 */
const mostRetries = 8

const patiently = (base: Duration.Input) => backoff({ times: mostRetries, base })

/** A few times: the same request fails like this again and again more often than it does not. */
const briefly = (times: number) => backoff({ times, base: "1 second" })

/**
 * The schedules of `Retry.standard`, to be changed: `Retry.byTag({ ...Retry.defaults, CircuitOpen: undefined })` fails
 * fast at an open circuit.
 *
 * Bases, after what SDKs and gateways do: 2 s for rate limit and overload, which last longer than a fault; 1 s for a
 * fault, and for a time-out, which was a wait already; 3 s for connections, which take longer to come back.
 */
export const defaults: ClaudeError.Table<Schedule.Schedule<unknown, unknown>> = {
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

/** How often while another model is left: it answers sooner than a fifth attempt (scenario j, without guards). */
const mostBeforeAnother = 3

const patience = byTag(defaults)

/**
 * What we retry when nobody says otherwise: only what asking later can mend, as long as an attempt can still end before
 * the deadline, with at most 8 retries of requests that were sent, or 3 while another model is left.
 */
export const standard: Schedule.Schedule<unknown, unknown> = Plan.note(
  counted(
    patience,
    (input) =>
      Effect.map(OtherModel, (hasOther) => ClaudeError.is(input) && hasOther(input) ? mostBeforeAnother : mostRetries)
  ),
  { kind: "atMost", times: mostRetries, of: patience }
)
