/** Whether and when what failed is tried again on the same model, by the schedule of a policy. */
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Schedule from "effect/Schedule"
import { type ClaudeError, type GaveUp, is } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import type { Compiled } from "./compile.ts"
import { beforeDeadline } from "./inTime.ts"

/** Told before a wait. */
type OnWait = (error: ClaudeError, wait: Duration.Duration) => Effect.Effect<void>

type Step = Effect.Success<ReturnType<typeof Schedule.toStep<unknown, ClaudeError, never, never>>>

/** The retries of one call on one model. */
export class Retrying {
  readonly policy: Compiled
  readonly onWait: OnWait
  /** Why nothing more is tried, once that is known. */
  gaveUp: GaveUp | undefined
  /** The kinds that were tried again. */
  retried = none
  step: Step | undefined

  constructor(policy: Compiled, onWait: OnWait) {
    this.policy = policy
    this.onWait = onWait
  }

  /** Asks the schedule, and notes what it says. */
  next(now: number, error: unknown): Pull.Pull<[unknown, Duration.Duration], never, unknown> {
    const { choosy, retry } = this.policy
    if (retry === undefined || this.gaveUp === "BudgetSpent") return Cause.done()
    if (!is(error)) return choosy ? this.stepped(retry, now, error as ClaudeError) : Cause.done()
    // Also with a schedule of one's own: the server knows that it is in vain.
    if (error.shouldRetry === false) return this.final(error)
    const asked = Effect.tapError(
      // Whether the deadline forbids the wait is asked below, to know that it did.
      Effect.provideService(this.stepped(retry, now, error), Current.Deadline, Infinity),
      () => Effect.sync(() => this.gaveUp = this.reason(error))
    )
    return Effect.flatMap(asked, ([output, own]) =>
      // A schedule that is not ours knows nothing of what the server asks for.
      Effect.flatMap(beforeDeadline(now, own, error), (wait): typeof asked => {
        if (wait === undefined) {
          this.gaveUp = "DeadlineTooClose"
          return Cause.done(output)
        }
        this.again(error)
        return Effect.as(this.onWait(error, wait), [output, wait])
      }))
  }

  final(error: ClaudeError): Pull.Pull<never, never, unknown> {
    this.gaveUp = this.reason(error)
    return Cause.done()
  }

  stepped(retry: Schedule.Schedule<unknown, ClaudeError>, now: number, error: ClaudeError): ReturnType<Step> {
    if (this.step !== undefined) return this.step(now, error)
    return Effect.flatMap(Schedule.toStep(retry), (step) => {
      this.step = step
      return step(now, error)
    })
  }

  /** A failure of this kind is followed by another attempt. */
  again(error: ClaudeError): void {
    this.retried = new Set([...this.retried, error._tag])
  }

  /** Why this failure is the last, where no schedule was asked. */
  reason(error: ClaudeError): GaveUp {
    return this.retried.has(error._tag) ? "RetriesSpent" : "NotRetried"
  }
}

/** Tries again what has failed already, as long as a schedule says so. */
export const again = <A, E, R>(
  error: E,
  attempt: Effect.Effect<A, E, R>,
  next: (now: number, error: unknown) => ReturnType<Retrying["next"]>
): Effect.Effect<A, E, R> => Effect.retry(afterFailure(error, attempt), Schedule.fromStep(Effect.succeed(next)))

/** Fails once with what has failed already, and then does it again. */
export const afterFailure = <A, E, R>(error: E, attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  let failed = false
  return Effect.suspend(() => {
    if (failed) return attempt
    failed = true
    return Effect.fail(error)
  })
}

/** Nothing yet. */
const none: ReadonlySet<string> = new Set()
