/** One call under a policy: who is asked how often, who is told, and why it ended. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { Event } from "../CallLog.ts"
import { Claude } from "../Claude.ts"
import {
  type ClaudeError,
  type DeadlineExceeded,
  type GaveUp,
  is,
  type Table,
  type Tag,
  type Tried
} from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import * as Fallback from "../policy/Fallback.ts"
import * as Timeout from "../policy/Timeout.ts"
import * as Record from "./policyRecord.ts"

/** A policy that was checked, its parts ready to be used. */
export interface Compiled {
  readonly retry: Schedule.Schedule<unknown, ClaudeError> | undefined
  /** Whether the schedule knows by itself which errors it is for. */
  readonly choosy: boolean
  readonly models: ReadonlyArray<Current.ModelId>
  readonly limits: ReturnType<typeof Timeout.limits> | undefined
  readonly overall: ReturnType<typeof Timeout.overall> | undefined
  readonly restart: boolean
}

/** Checks a policy, and parses everything in it once. */
export const compile = (policy: Record.Policy): Compiled => {
  Record.check(policy)
  const { models = [], onBreak, overall, retry, ...limits } = policy
  return {
    retry,
    choosy: retry !== undefined && Record.byTag(retry) !== undefined,
    models,
    limits: Object.values(limits).every((limit) => limit === undefined) ? undefined : Timeout.limits(limits),
    overall: overall === undefined ? undefined : Timeout.overall(overall),
    restart: onBreak === "restart"
  }
}

/** Whether an attempt after this failure is extra load. Where nothing was sent, it is none. */
const charged: Table<boolean> = {
  InvalidRequest: true,
  Unauthorized: true,
  Forbidden: true,
  NotFound: true,
  RequestTooLarge: true,
  ContextWindowExceeded: true,
  SpendLimitReached: true,
  RateLimited: true,
  Overloaded: true,
  ServerFault: true,
  Unreachable: true,
  PartialAnswer: true,
  UnexpectedResponse: true,
  Refused: true,
  Truncated: true,
  EmptyAnswer: true,
  MalformedOutput: true,
  TimedOut: true,
  DeadlineExceeded: true,
  CircuitOpen: false,
  Saturated: false
}

/** A call that never stops trying keeps no more than this. */
const longestHistory = 100

/** Runs `self` as one call: its attempts share a number, a history and a budget. */
export const run = <A, E, R>(
  policy: Compiled,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | DeadlineExceeded, R> =>
  Effect.withFiber((fiber) => {
    const clock = fiber.getRef(Clock.Clock)
    const claude = Option.getOrUndefined(Context.getOption(fiber.context, Claude))
    const outerDeadline = fiber.getRef(Current.Deadline)
    const start = clock.currentTimeMillisUnsafe()
    const call: Current.Call = {
      id: fiber.getRef(Random.Random).nextDoubleUnsafe().toString(36).slice(2, 12),
      attempt: 0,
      hop: 0,
      correction: undefined,
      reopen: policy.restart ? (broken, open) => reopen(broken, open) : undefined
    }

    let history: ReadonlyArray<Tried> = []
    let last: ClaudeError | undefined
    let gaveUp: GaveUp | undefined
    let step: Step | undefined
    let retried = new Set<Tag>()

    const currentModel = Effect.withFiber((fiber) =>
      Effect.succeed(fiber.getRef(Current.Substitute) ?? fiber.getRef(Current.Model))
    )
    const emit = (event: (common: { readonly at: number; readonly call: string; readonly model: string }) => Event) =>
      claude === undefined
        ? Effect.void
        : Effect.flatMap(
          currentModel,
          (model) => claude.log.emit(event({ at: clock.currentTimeMillisUnsafe(), call: call.id, model }))
        )

    const remember = (error: ClaudeError, model: string) => {
      last = error
      const { _tag, message, requestId } = error
      const tried = { attempt: call.attempt, model: error.model ?? model, error: _tag, message: message.slice(0, 200) }
      history = [...history.slice(1 - longestHistory), requestId === undefined ? tried : { ...tried, requestId }]
    }

    /** One attempt. Any but the first is paid for, unless nothing was sent before it. */
    const attempted = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.suspend(() => {
        const because = last
        const once = Effect.suspend(() => {
          call.attempt++
          return Effect.tapError(
            self,
            (error) => is(error) ? Effect.map(currentModel, (model) => remember(error, model)) : Effect.void
          )
        })
        if (claude === undefined || because === undefined || !charged[because._tag]) {
          return once
        }
        return Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(claude.budget.charge(because), (charge): Effect.Effect<A, E, R> => {
            if (charge !== undefined) {
              return Effect.onExit(restore(once), charge.settle)
            }
            gaveUp = "BudgetSpent"
            // It is what the attempt before this one failed with.
            return Effect.fail(because as ClaudeError & E)
          })
        )
      })

    /** Asks the schedule of the policy, and notes what it says. */
    const next = (now: number, error: unknown): Pull.Pull<[unknown, Duration.Duration], never, unknown> => {
      const { retry } = policy
      if (retry === undefined || gaveUp === "BudgetSpent") return Cause.done()
      if (!is(error)) return policy.choosy ? stepWith(retry, now, error as ClaudeError) : Cause.done()
      const asked = Effect.tapError(
        // Whether the deadline forbids the wait is asked below, to know that it did.
        Effect.provideService(stepWith(retry, now, error), Current.Deadline, Infinity),
        () => Effect.sync(() => void (gaveUp = retried.has(error._tag) ? "RetriesSpent" : "NotRetried"))
      )
      return Effect.flatMap(asked, ([output, wait]) =>
        Effect.flatMap(Current.Deadline, (deadline): typeof asked => {
          const waited = Duration.toMillis(wait)
          if (now + waited >= deadline) {
            gaveUp = "DeadlineTooClose"
            return Cause.done(output)
          }
          retried.add(error._tag)
          history = history.map((tried, i) => i === history.length - 1 ? { ...tried, waited } : tried)
          return Effect.as(
            emit((common) => ({ _tag: "RetryScheduled", ...common, attempt: call.attempt + 1, error, wait })),
            [output, wait]
          )
        }))
    }
    const stepWith = (
      retry: Schedule.Schedule<unknown, ClaudeError>,
      now: number,
      error: ClaudeError
    ): ReturnType<Step> =>
      step === undefined
        ? Effect.flatMap(Schedule.toStep(retry), (made) => {
          step = made
          return made(now, error)
        })
        : step(now, error)

    const onChange: Fallback.OnChange = ({ error, to }) => {
      call.hop++
      call.correction = undefined
      gaveUp = undefined
      step = undefined
      retried = new Set()
      return emit((common) => ({ _tag: "FellBack", ...common, model: error.model ?? common.model, to, error }))
    }

    /** Fails once with what has failed already, and then does it again. */
    const afterFailure = <A, E, R>(error: E, attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
      let failed = false
      return Effect.suspend(() => {
        if (failed) return attempt
        failed = true
        return Effect.fail(error)
      })
    }

    /** Retries, once something has failed: until then a schedule would cost more than all other policies. */
    const retrying = <A, E, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
      Effect.catch(attempt, (error) =>
        Effect.retry(afterFailure(error, attempt), Schedule.fromStep(Effect.succeed(next))))

    /** The fixed order. */
    const ordered = <A, E, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E | DeadlineExceeded, R> => {
      const tried = policy.retry === undefined ? attempt : retrying(attempt)
      // What is opened again goes on where the ladder is: a model that was given up is not asked again.
      const asked = policy.models[call.hop - 1]
      const left = policy.models.slice(call.hop)
      const laddered = left.length === 0 ? tried : Fallback.models(left, { onChange })(tried)
      const hopped = asked === undefined ? laddered : Effect.provideService(laddered, Current.Substitute, asked)
      const ended: Effect.Effect<A, E | DeadlineExceeded, R> = policy.overall === undefined
        ? hopped
        : policy.overall(hopped)
      const told = Effect.catch(
        ended,
        (error): Effect.Effect<never, E | DeadlineExceeded> =>
          is(error) ? Effect.flatMap(explain(error), Effect.fail) : Effect.fail(error)
      )
      const within = Effect.provideService(told, Current.Call, call)
      return policy.limits === undefined ? within : policy.limits(within)
    }

    /** The error with why it is the last one, told to the log. */
    const explain = <E extends ClaudeError>(error: E): Effect.Effect<E> => {
      const reason = error._tag === "DeadlineExceeded" ? "DeadlineExceeded" : gaveUp ?? "NotRetried"
      const explained = withHistory(error, reason, history)
      const took = Duration.millis(clock.currentTimeMillisUnsafe() - start)
      return Effect.as(
        emit((common) => ({
          _tag: "GaveUp",
          ...common,
          model: error.model ?? common.model,
          error: explained,
          reason,
          history,
          took
        })),
        explained
      )
    }

    const reopen = <A, R>(
      broken: ClaudeError,
      open: Effect.Effect<A, ClaudeError, R>
    ): Effect.Effect<A, ClaudeError, R> =>
      Effect.flatMap(currentModel, (model) => {
        remember(broken, model)
        return Effect.provideService(ordered(afterFailure(broken, attempted(open))), Current.Deadline, outerDeadline)
      })

    return Effect.tap(ordered(attempted(self)), () => {
      const took = Duration.millis(clock.currentTimeMillisUnsafe() - start)
      return emit((common) => ({ _tag: "CallSucceeded", ...common, attempts: call.attempt, took }))
    })
  })

type Step = Effect.Success<ReturnType<typeof Schedule.toStep<unknown, ClaudeError, never, never>>>

/** The same error, with what was tried before it and why nothing more was. */
const withHistory = <E extends ClaudeError>(error: E, gaveUp: GaveUp, history: ReadonlyArray<Tried>): E => {
  // The class of an error takes its own fields; the compiler sees only that it is a function.
  const copy = new (error.constructor as new(fields: object) => E)({ ...error, gaveUp, history })
  if (error.stack !== undefined) copy.stack = error.stack
  return copy
}
