/** Whether and when what failed is tried again on the same model, by the schedule of a policy. */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import { type ClaudeError, type GaveUp, is } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { copy } from "../history.ts"
import { Joins } from "./applicationErrors.ts"
import { beforeDeadline } from "./waitBeforeDeadline.ts"

/** The retries of one call on one model. */
export interface RetryState {
  readonly schedule: Schedule.Schedule<unknown, ClaudeError> | undefined
  /** Where the schedule is, from the first failure on. */
  step: Step | undefined
  /** The kinds of error that were tried again. */
  readonly retried: Set<string>
  /** Why nothing more is tried, once that is known: said anew after each failure, but for `BudgetSpent`. */
  gaveUp: GaveUp | undefined
}

type Step = Effect.Success<ReturnType<typeof Schedule.toStep<unknown, ClaudeError, never, never>>>

export const make = (schedule: RetryState["schedule"]): RetryState => ({
  schedule,
  step: undefined,
  retried: new Set(),
  gaveUp: undefined
})

/** How long to wait before the next attempt; nothing, if there is none. */
export const next = Effect.fnUntraced(function*(self: RetryState, error: unknown) {
  const { gaveUp, schedule } = self
  if (schedule === undefined || gaveUp === "BudgetSpent") return undefined
  const now = yield* Clock.currentTimeMillis
  const step = self.step ??= yield* Schedule.toStep(schedule)
  if (!is(error)) return yield* ofApplication(step, now, error)
  if (isGivenUp(error)) {
    self.gaveUp = error.gaveUp
    return undefined
  }
  // The server knows that it is in vain, whatever the schedule says.
  const own = error.shouldRetry === false ? undefined : yield* wait(step, now, error)
  if (own === undefined) {
    self.gaveUp = reason(self, error)
    return undefined
  }
  // A schedule that is not ours knows nothing of what the server asks for.
  const inTime = yield* beforeDeadline(now, own, error)
  if (inTime === undefined) self.gaveUp = "DeadlineTooClose"
  else markRetried(self, error)
  return inTime
})

/** An error of the application is tried again only where `Retry.byTag` was told of its class. */
const ofApplication = Effect.fnUntraced(function*(step: Step, now: number, error: unknown) {
  const asked = { joins: false }
  const own = yield* wait(step, now, error).pipe(
    Effect.provideService(Joins, asked),
    // A schedule that is typed for our errors may throw when it is asked about another one.
    Effect.catchDefect(() => Effect.undefined)
  )
  return asked.joins ? own : undefined
})

/** The wait that the schedule wants. It does not see the deadline, so that what the deadline forbids has its own reason. */
const wait = (step: Step, now: number, error: unknown): Effect.Effect<Duration.Duration | undefined> =>
  // What a schedule is asked about is decided by it, and by who gave it to the policy.
  Effect.map(step(now, error as ClaudeError), ([, wait]): Duration.Duration | undefined => wait).pipe(
    Effect.provideService(Current.Deadline, Infinity),
    Pull.catchDone(() => Effect.undefined)
  )

/** A failure of this kind is followed by another attempt. */
export const markRetried = ({ retried }: RetryState, error: ClaudeError): void => void retried.add(error._tag)

/**
 * The same failure, as one that is final for its call: a part of an answer was tried again by itself. It says why, and has
 * no history yet: that comes with the end of a call, and a call inside of another is one of its attempts.
 */
export const giveUp = <E extends ClaudeError>(self: RetryState, error: E): E =>
  copy<ClaudeError>(error, { gaveUp: self.gaveUp ?? reason(self, error) }) as E

const isGivenUp = ({ gaveUp, history }: ClaudeError): boolean => gaveUp !== undefined && history === undefined

/** Why this failure is the last one, where no schedule was asked. */
export const reason = ({ retried }: RetryState, error: ClaudeError): GaveUp =>
  retried.has(error._tag) ? "RetriesSpent" : "NotRetried"
