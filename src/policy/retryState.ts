/** Decides whether and when an attempt is retried on the same model. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import { type ClaudeError, type GaveUp, is, type MalformedOutput } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { copy } from "../history.ts"
import { isPermanent } from "../permanence.ts"
import { Joins } from "./applicationErrors.ts"
import { wasSent } from "./charge.ts"
import { OtherModel } from "./otherModel.ts"
import * as Plan from "./plan.ts"
import { beforeDeadline } from "./waitBeforeDeadline.ts"

export interface Rules {
  readonly schedule: Schedule.Schedule<unknown, ClaudeError> | undefined
  /** Over all kinds of error. `undefined`: no limit. */
  readonly maxRetries: number | undefined
  /** The maximum number of requests to correct a malformed answer, which are sent without a back-off. */
  readonly reask: number
}

/** The retries of one call on one model. */
export interface RetryState {
  readonly rules: Rules
  /** The running schedule; `undefined` until a failure needs it. */
  step: Step | undefined
  /** The retries that count in `maxRetries`: not those of `reask`, and not those after an attempt that sent no request. */
  made: number
  reasked: number
  /** The results of `familyOf` for the errors that were retried or continued. */
  readonly retried: Set<string>
  /**
   * Why the call gave up, if known. `next` sets this field at each error of this library that is not retried, unless the
   * field is `BudgetSpent` already, or the policy has neither `retry` nor `reask`.
   */
  gaveUp: GaveUp | undefined
}

export interface Next {
  readonly wait: Duration.Duration
  /** The malformed answer to correct, for `reask`. */
  readonly corrects: MalformedOutput | undefined
}

type Step = Effect.Success<ReturnType<typeof Schedule.toStep<unknown, ClaudeError, never, never>>>

/**
 * The maximum number of retries while another model is left. Source: a simulation with two models, one of them down, and
 * no guards: the other model answers sooner than a fifth attempt.
 */
export const mostBeforeAnother = 3

export const make = (rules: Rules): RetryState => ({
  rules,
  step: undefined,
  made: 0,
  reasked: 0,
  retried: new Set(),
  gaveUp: undefined
})

export const next = Effect.fnUntraced(function*(
  self: RetryState,
  error: unknown
): Effect.fn.Return<Next | undefined> {
  const { gaveUp, rules: { reask, schedule } } = self
  if (schedule === undefined && reask === 0 || gaveUp === "BudgetSpent") return undefined
  const now = yield* Clock.currentTimeMillis
  const isSpent = yield* isCountSpent(self, error)
  if (!is(error)) return isSpent ? undefined : yield* ofApplication(self, now, error)
  if (isGivenUp(error)) {
    self.gaveUp = error.gaveUp
    return undefined
  }
  const corrects = toCorrect(self, error)
  // `x-should-retry: false` from the server overrides the schedule.
  const own = corrects !== undefined
    ? Duration.zero
    : isSpent || error.shouldRetry === false
    ? undefined
    : yield* wait(self, now, error)
  if (own === undefined) {
    const isOver = isSpent || isSharedSpent(self)
    self.gaveUp = isOver && (yield* wouldRetry(self, now, error)) ? "RetriesSpent" : reason(self, error)
    return undefined
  }
  // A custom schedule may ignore `retry-after`, so `beforeDeadline` applies it.
  const inTime = yield* beforeDeadline(now, own, error)
  if (inTime === undefined) {
    self.gaveUp = "DeadlineTooClose"
    return undefined
  }
  markRetried(self, error)
  if (corrects !== undefined) self.reasked++
  else if (wasSent(error)) self.made++
  return { wait: inTime, corrects }
})

/** The failure, if `reask` applies to it: a malformed answer that Claude ended itself. */
const toCorrect = ({ reasked, rules: { reask } }: RetryState, error: ClaudeError): MalformedOutput | undefined =>
  error._tag === "MalformedOutput" && error.stopReason === "end_turn" && error.shouldRetry !== false && reasked < reask
    ? error
    : undefined

/** Whether `maxRetries` is used up; if another model is left, at most `mostBeforeAnother` are allowed. */
const isCountSpent = Effect.fnUntraced(function*({ made, rules: { maxRetries } }: RetryState, error: unknown) {
  if (maxRetries === undefined) return false
  if (!is(error)) return made >= maxRetries
  // After a failure without a request, a retry is no extra load.
  if (!wasSent(error)) return false
  const hasOther = yield* OtherModel
  return made >= (hasOther(error) ? Math.min(mostBeforeAnother, maxRetries) : maxRetries)
})

/** Whether other failures may have used up the retries that all kinds share. With `Retry.byTag`, each kind has its own. */
const isSharedSpent = ({ retried, rules: { schedule } }: RetryState): boolean =>
  retried.size > 0 && schedule !== undefined && Plan.of(schedule)?.kind !== "byTag"

/** Whether the schedule would retry this failure if retries were left. A custom schedule decides as for a first failure. */
const wouldRetry = Effect.fnUntraced(function*({ rules: { schedule } }: RetryState, now: number, error: ClaudeError) {
  if (schedule === undefined || isPermanent(error)) return false
  if (Plan.of(schedule) !== undefined) return Plan.takes(schedule, error._tag)
  return (yield* waitOf(yield* Schedule.toStep(schedule), now, error)) !== undefined
})

/** The next attempt after an application error, which is retried only if its class was given to `Retry.byTag`. */
const ofApplication = Effect.fnUntraced(function*(
  self: RetryState,
  now: number,
  error: unknown
): Effect.fn.Return<Next | undefined> {
  const asked = { joins: false }
  const own = yield* wait(self, now, error).pipe(
    Effect.provideService(Joins, asked),
    // A schedule that expects errors of this library may throw for an application error.
    Effect.catchDefect(() => Effect.undefined)
  )
  if (own === undefined || !asked.joins) return undefined
  self.made++
  return { wait: own, corrects: undefined }
})

/**
 * The wait that the schedule asks for, as if there were no deadline. For errors of this library, `next` checks the deadline
 * itself, to report `DeadlineTooClose`.
 */
const wait = Effect.fnUntraced(function*(self: RetryState, now: number, error: unknown) {
  const { rules: { schedule } } = self
  if (schedule === undefined) return undefined
  return yield* waitOf(self.step ??= yield* Schedule.toStep(schedule), now, error)
})

const waitOf = (step: Step, now: number, error: unknown): Effect.Effect<Duration.Duration | undefined> =>
  // Unsafe cast: a schedule written for `ClaudeError` may throw on an application error. `ofApplication` catches that.
  Effect.map(step(now, error as ClaudeError), ([, wait]): Duration.Duration | undefined => wait).pipe(
    Effect.provideService(Current.Deadline, Infinity),
    Pull.catchDone(() => Effect.undefined)
  )

/** Records that a failure like this one was retried, so that the reason for giving up becomes `RetriesSpent`. */
export const markRetried = ({ retried }: RetryState, error: ClaudeError): void => void retried.add(familyOf(error))

/**
 * The temporary failures of a kind are one family, and its permanent failures are another. So after a retried 529, a 529
 * with `x-should-retry: false` ends the call with `NotRetried`.
 */
const familyOf = (error: ClaudeError): string => isPermanent(error) ? `${error._tag}, permanent` : error._tag

/**
 * Marks a failure as final for its call, because `continueAnswer`, `askAgain` or `reopen` has already retried it. It has
 * `gaveUp`, but no `history` until the call ends. A failure with a `history` ended an inner call, and the outer call may
 * retry it.
 */
export const giveUp = <E extends ClaudeError>(self: RetryState, error: E): E =>
  copy<ClaudeError>(error, { gaveUp: self.gaveUp ?? reason(self, error) }) as E

const isGivenUp = ({ gaveUp, history }: ClaudeError): boolean => gaveUp !== undefined && history === undefined

/**
 * The default reason for giving up. `RetriesSpent`, if a failure of the same family was retried or continued before on this
 * model. (`next` also gives it if `maxRetries` or one schedule for all kinds is used up.) Else `NotRetried`, for example:
 * the policy has no `retry`; the kind has no entry, or `Retry.never`; the failure is permanent, for example because the
 * server sent `x-should-retry: false`; the circuit is open and another model is left; a stream broke and `onBreak` is
 * `fail`.
 */
export const reason = ({ retried }: RetryState, error: ClaudeError): GaveUp =>
  retried.has(familyOf(error)) ? "RetriesSpent" : "NotRetried"
