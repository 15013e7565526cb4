/** One call under a policy: who is asked how often, who is told, and why it ended. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { Event } from "../CallLog.ts"
import { Claude } from "../Claude.ts"
import { type ClaudeError, type DeadlineExceeded, type GaveUp, is, type Tried } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import type { Params } from "../Message.ts"
import * as Fallback from "../policy/Fallback.ts"
import type { Catalogue } from "./catalogue.ts"
import { charged } from "./charged.ts"
import type { Compiled } from "./compile.ts"
import * as History from "./history.ts"
import { type How, validate } from "./validating.ts"

/** Runs `self` as one call: its attempts share a number, a history and a budget. */
export const run = <A, E, R>(
  policy: Compiled,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | DeadlineExceeded, R> =>
  Effect.withFiber((fiber) => {
    const call = new Running(policy, fiber)
    return Effect.tap(call.ordered(call.attempted(self)), () => call.succeeded())
  })

/** A call that is running. A class, because it is made for every call, and most of it is needed only after a failure. */
class Running {
  readonly policy: Compiled
  readonly clock: Clock.Clock
  readonly claude: Claude["Service"] | undefined
  readonly outerDeadline: number
  readonly start: number
  /** As much as others see of it. */
  readonly call: Current.Call
  history: ReadonlyArray<Tried> = []
  last: ClaudeError | undefined
  gaveUp: GaveUp | undefined
  step: Step | undefined
  /** The kinds that were tried again, on the model that is asked now. */
  retried = none
  /** What was counted, and what was warned of: once in a call is enough. */
  readonly done = new Set<string>()

  constructor(policy: Compiled, fiber: Fiber.Fiber<unknown, unknown>) {
    this.policy = policy
    this.clock = fiber.getRef(Clock.Clock)
    this.claude = Option.getOrUndefined(Context.getOption(fiber.context, Claude))
    this.outerDeadline = fiber.getRef(Current.Deadline)
    this.start = this.clock.currentTimeMillisUnsafe()
    const { restart, validate } = policy
    const catalogue = fiber.getRef(Current.Catalogue)
    this.call = {
      id: fiber.getRef(Random.Random).nextDoubleUnsafe().toString(36).slice(2, 12),
      attempt: 0,
      hop: 0,
      corrections: [],
      spent: { input: 0, output: 0, dollars: 0, atLeast: false },
      validate: validate && ((params) => this.validated(params, validate, catalogue)),
      reopen: restart ? (broken, open) => this.again(broken, open) : undefined
    }
  }

  // ---------------------------------------------------------------------------
  // What is asked
  // ---------------------------------------------------------------------------

  /** One attempt. Any but the first is paid for, unless nothing was sent before it. */
  attempted<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const once = Effect.withFiber<A, E, R>((fiber) => {
      this.call.attempt++
      return Effect.tapError(self, (error) => {
        if (is(error)) this.remember(error, modelOf(fiber))
        return Effect.void
      })
    })
    return Effect.suspend(() => {
      const { claude, last } = this
      if (claude === undefined || last === undefined || !charged[last._tag]) return once
      return Effect.uninterruptibleMask((restore) =>
        Effect.flatMap(claude.budget.charge(last), (charge): Effect.Effect<A, E, R> => {
          if (charge !== undefined) return Effect.onExit(restore(once), charge.settle)
          this.gaveUp = "BudgetSpent"
          // It is what the attempt before this one failed with.
          return Effect.fail(last as ClaudeError & E)
        })
      )
    })
  }

  /** The fixed order. */
  ordered<A, E, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E | DeadlineExceeded, R> {
    const { limits, models, overall, retry } = this.policy
    const tried = retry === undefined ? attempt : this.retrying(attempt)
    // What is opened again goes on where the ladder is: a model that was given up is not asked again.
    const asked = models[this.call.hop - 1]
    const left = models.slice(this.call.hop)
    const laddered = left.length === 0 ? tried : Fallback.models(left, { onChange: (to) => this.changed(to) })(tried)
    const hopped = asked === undefined ? laddered : Effect.provideService(laddered, Current.Substitute, asked)
    const ended: Effect.Effect<A, E | DeadlineExceeded, R> = overall === undefined ? hopped : overall(hopped)
    const told = Effect.catch(
      ended,
      (error): Effect.Effect<never, E | DeadlineExceeded> =>
        is(error) ? Effect.flatMap(this.explain(error), Effect.fail) : Effect.fail(error)
    )
    const within = Effect.provideService(told, Current.Call, this.call)
    return limits === undefined ? within : limits(within)
  }

  /** Retries, once something has failed: until then a schedule would cost more than all other policies. */
  retrying<A, E, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.catch(attempt, (error) =>
      Effect.retry(
        afterFailure(error, attempt),
        Schedule.fromStep(Effect.succeed((now: number, error: unknown) => this.next(now, error)))
      ))
  }

  /** Opens an answer that broke off once more. */
  again<A, R>(
    broken: ClaudeError,
    open: Effect.Effect<A, ClaudeError, R>
  ): Effect.Effect<A, ClaudeError, R> {
    return Effect.withFiber((fiber) => {
      this.remember(broken, modelOf(fiber))
      const opened = this.ordered(afterFailure(broken, this.attempted(open)))
      return Effect.provideService(opened, Current.Deadline, this.outerDeadline)
    })
  }

  /** Looks at a request before it is sent. */
  validated(
    params: Params,
    { count, strict }: How,
    catalogue: Catalogue
  ): Effect.Effect<void, ClaudeError> | undefined {
    return validate(params, { strict, count: count && this.first(JSON.stringify([params.model, params.messages])) }, {
      catalogue,
      claude: this.claude,
      warn: (code, message) =>
        this.first(`${params.model} ${message}`)
          ? this.emit((common) => ({
            _tag: "Warning",
            ...common,
            model: params.model,
            code,
            message: message.slice(0, 200)
          }))
          : Effect.void
    })
  }

  first(what: string): boolean {
    const isFirst = !this.done.has(what)
    this.done.add(what)
    return isFirst
  }

  // ---------------------------------------------------------------------------
  // What is done after a failure
  // ---------------------------------------------------------------------------

  remember(error: ClaudeError, model: string): void {
    this.last = error
    this.history = History.remember(this.history, error, this.call.attempt, model)
  }

  /** Asks the schedule of the policy, and notes what it says. */
  next(now: number, error: unknown): Pull.Pull<[unknown, Duration.Duration], never, unknown> {
    const { choosy, retry } = this.policy
    if (retry === undefined || this.gaveUp === "BudgetSpent") return Cause.done()
    if (!is(error)) return choosy ? this.stepped(retry, now, error as ClaudeError) : Cause.done()
    const asked = Effect.tapError(
      // Whether the deadline forbids the wait is asked below, to know that it did.
      Effect.provideService(this.stepped(retry, now, error), Current.Deadline, Infinity),
      () =>
        Effect.sync(() => {
          this.gaveUp = this.retried.has(error._tag) ? "RetriesSpent" : "NotRetried"
        })
    )
    return Effect.flatMap(asked, ([output, wait]) =>
      Effect.flatMap(Current.Deadline, (deadline): typeof asked => {
        const waited = Duration.toMillis(wait)
        if (now + waited >= deadline) {
          this.gaveUp = "DeadlineTooClose"
          return Cause.done(output)
        }
        this.retried = new Set([...this.retried, error._tag])
        this.history = History.waited(this.history, waited)
        return Effect.as(
          this.emit((common) => ({ _tag: "RetryScheduled", ...common, attempt: this.call.attempt + 1, error, wait })),
          [output, wait]
        )
      }))
  }

  stepped(retry: Schedule.Schedule<unknown, ClaudeError>, now: number, error: ClaudeError): ReturnType<Step> {
    if (this.step !== undefined) return this.step(now, error)
    return Effect.flatMap(Schedule.toStep(retry), (step) => {
      this.step = step
      return step(now, error)
    })
  }

  /** Another model is asked: from the start. */
  changed({ error, to }: Parameters<Fallback.OnChange>[0]): Effect.Effect<void> {
    this.call.hop++
    this.call.corrections = []
    this.gaveUp = undefined
    this.step = undefined
    this.retried = none
    return this.emit((common) => ({ _tag: "FellBack", ...common, model: error.model ?? common.model, to, error }))
  }

  // ---------------------------------------------------------------------------
  // What is told
  // ---------------------------------------------------------------------------

  succeeded(): Effect.Effect<void> {
    return this.emit((common) => ({
      _tag: "CallSucceeded",
      ...common,
      attempts: this.call.attempt,
      spent: { ...this.call.spent },
      took: Duration.millis(common.at - this.start)
    }))
  }

  /** The error with why it is the last one, told to the log. */
  explain<E extends ClaudeError>(error: E): Effect.Effect<E> {
    const { history, start } = this
    const reason = error._tag === "DeadlineExceeded" ? "DeadlineExceeded" : this.gaveUp ?? "NotRetried"
    const explained = History.explain(error, reason, history)
    const emitted = this.emit((common) => ({
      _tag: "GaveUp",
      ...common,
      model: error.model ?? common.model,
      error: explained,
      reason,
      history,
      spent: { ...this.call.spent },
      took: Duration.millis(common.at - start)
    }))
    return Effect.as(emitted, explained)
  }

  emit(
    event: (common: { readonly at: number; readonly call: string; readonly model: string }) => Event
  ): Effect.Effect<void> {
    const { call: { id }, claude, clock } = this
    return claude === undefined ?
      Effect.void :
      Effect.withFiber((fiber) =>
        claude.log.emit(event({ at: clock.currentTimeMillisUnsafe(), call: id, model: modelOf(fiber) }))
      )
  }
}

/** Nothing yet. */
const none: ReadonlySet<string> = new Set()

/** Fails once with what has failed already, and then does it again. */
const afterFailure = <A, E, R>(error: E, attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  let failed = false
  return Effect.suspend(() => {
    if (failed) return attempt
    failed = true
    return Effect.fail(error)
  })
}

const modelOf = (fiber: Fiber.Fiber<unknown, unknown>): string =>
  fiber.getRef(Current.Substitute) ?? fiber.getRef(Current.Model)

type Step = Effect.Success<ReturnType<typeof Schedule.toStep<unknown, ClaudeError, never, never>>>
