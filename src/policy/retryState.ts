/** Whether and when what failed is tried again on the same model, by the rules of a policy. */
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

/** What a policy says about retries. */
export interface Rules {
  readonly schedule: Schedule.Schedule<unknown, ClaudeError> | undefined
  /** How many requests may be sent again, over all kinds of error; no limit if undefined. */
  readonly maxRetries: number | undefined
  /** How often a malformed answer is asked for again at once, with what is wrong with it. */
  readonly reask: number
}

/** The retries of one call on one model. */
export interface RetryState {
  readonly rules: Rules
  /** Where the schedule is, from the first failure on. */
  step: Step | undefined
  /** How many requests were sent again, those of `reask` not counted. */
  made: number
  reasked: number
  /** The kinds of error that were tried again. */
  readonly retried: Set<string>
  /** Why nothing more is tried, once that is known: said anew after each failure, but for `BudgetSpent`. */
  gaveUp: GaveUp | undefined
}

/** The next attempt. */
export interface Next {
  readonly wait: Duration.Duration
  /** The malformed answer that it is to correct. */
  readonly corrects: MalformedOutput | undefined
}

type Step = Effect.Success<ReturnType<typeof Schedule.toStep<unknown, ClaudeError, never, never>>>

/** How often while another model is left: it answers sooner than a fifth attempt (scenario j, without guards). */
export const mostBeforeAnother = 3

export const make = (rules: Rules): RetryState => ({
  rules,
  step: undefined,
  made: 0,
  reasked: 0,
  retried: new Set(),
  gaveUp: undefined
})

/** The next attempt after a failure, if there is one. */
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
  // The server knows that it is in vain, whatever the schedule says.
  const own = corrects !== undefined
    ? Duration.zero
    : isSpent || error.shouldRetry === false
    ? undefined
    : yield* wait(self, now, error)
  if (own === undefined) {
    self.gaveUp = isSpent && isRetried(schedule, error) ? "RetriesSpent" : reason(self, error)
    return undefined
  }
  // A schedule that is not ours knows nothing of what the server asks for.
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

/** The failure, if it is a malformed answer that is asked for again at once: Claude ended it by itself. */
const toCorrect = ({ reasked, rules: { reask } }: RetryState, error: ClaudeError): MalformedOutput | undefined =>
  error._tag === "MalformedOutput" && error.stopReason === "end_turn" && error.shouldRetry !== false && reasked < reask
    ? error
    : undefined

/** Whether as many requests were sent again as may be; while another model may be asked, that is less. */
const isCountSpent = Effect.fnUntraced(function*({ made, rules: { maxRetries } }: RetryState, error: unknown) {
  if (maxRetries === undefined) return false
  if (!is(error)) return made >= maxRetries
  // After a failure for which nothing was sent, a retry is no load.
  if (!wasSent(error)) return false
  const hasOther = yield* OtherModel
  return made >= (hasOther(error) ? Math.min(mostBeforeAnother, maxRetries) : maxRetries)
})

/** Whether the schedule retries this kind of failure, for as long as it may. */
const isRetried = (schedule: Rules["schedule"], error: ClaudeError): boolean =>
  schedule !== undefined && Plan.takes(schedule, error._tag) && !isPermanent(error)

/** An error of the application is tried again only where `Retry.byTag` was told of its class. */
const ofApplication = Effect.fnUntraced(function*(
  self: RetryState,
  now: number,
  error: unknown
): Effect.fn.Return<Next | undefined> {
  const asked = { joins: false }
  const own = yield* wait(self, now, error).pipe(
    Effect.provideService(Joins, asked),
    // A schedule that is typed for our errors may throw when it is asked about another one.
    Effect.catchDefect(() => Effect.undefined)
  )
  if (own === undefined || !asked.joins) return undefined
  self.made++
  return { wait: own, corrects: undefined }
})

/** The wait that the schedule wants. It does not see the deadline, so that what the deadline forbids has its own reason. */
const wait = Effect.fnUntraced(function*(self: RetryState, now: number, error: unknown) {
  const { rules: { schedule } } = self
  if (schedule === undefined) return undefined
  const step = self.step ??= yield* Schedule.toStep(schedule)
  // What a schedule is asked about is decided by it, and by who gave it to the policy.
  return yield* Effect.map(step(now, error as ClaudeError), ([, wait]): Duration.Duration | undefined => wait).pipe(
    Effect.provideService(Current.Deadline, Infinity),
    Pull.catchDone(() => Effect.undefined)
  )
})

/** A failure of this kind is followed by another attempt. */
export const markRetried = ({ retried }: RetryState, error: ClaudeError): void => void retried.add(error._tag)

/**
 * The same failure, as one that is final for its call: a part of an answer was tried again by itself. It says why, and has
 * no history yet: that comes with the end of a call, and a call inside of another is one of its attempts.
 */
export const giveUp = <E extends ClaudeError>(self: RetryState, error: E): E =>
  copy<ClaudeError>(error, { gaveUp: self.gaveUp ?? reason(self, error) }) as E

const isGivenUp = ({ gaveUp, history }: ClaudeError): boolean => gaveUp !== undefined && history === undefined

/**
 * Why this failure is the last one, where nothing else is known. `RetriesSpent`, if its kind was retried before on this
 * model; else `NotRetried`, which means one of: the policy has no `retry`; the kind has no entry, or `Retry.never`; the
 * server said `x-should-retry: false`; waiting cannot mend it (`permanence`, which `schedules.reasonable` asks); the circuit
 * is open and another model is left (`attempts`); a stream broke and `onBreak` is `fail`.
 */
export const reason = ({ retried }: RetryState, error: ClaudeError): GaveUp =>
  retried.has(error._tag) ? "RetriesSpent" : "NotRetried"
