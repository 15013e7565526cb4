/** One call under a policy: who is asked how often, who is told, and why it ended. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { isString } from "effect/Predicate"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { Claude } from "../Claude.ts"
import { type ClaudeError, type DeadlineExceeded, is, type Tried } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import type { Params } from "../Message.ts"
import type { Catalogue } from "./catalogue.ts"
import { pay } from "./charged.ts"
import type { Compiled } from "./compile.ts"
import * as History from "./history.ts"
import * as Ladder from "./ladder.ts"
import { Retrying } from "./retrying.ts"
import { modelOf, Telling } from "./telling.ts"
import * as Unfinished from "./unfinished.ts"
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
  readonly claude: Claude["Service"] | undefined
  readonly outerDeadline: number
  readonly start: number
  readonly catalogue: Catalogue
  /** As much as others see of it. */
  readonly call: Current.Call
  history: ReadonlyArray<Tried> = []
  last: ClaudeError | undefined
  /** Which model is asked, and which are left. */
  ladder: Ladder.Ladder | undefined
  /** On the model that is asked. */
  retrying: Retrying
  readonly log: Telling

  constructor(policy: Compiled, fiber: Fiber.Fiber<unknown, unknown>) {
    this.policy = policy
    const clock = fiber.getRef(Clock.Clock)
    this.claude = Option.getOrUndefined(Context.getOption(fiber.context, Claude))
    this.outerDeadline = fiber.getRef(Current.Deadline)
    this.start = clock.currentTimeMillisUnsafe()
    const { restart, validate } = policy
    this.ladder = policy.ladder
    this.retrying = this.retries()
    this.catalogue = fiber.getRef(Current.Catalogue)
    const id = fiber.getRef(Random.Random).nextDoubleUnsafe().toString(36).slice(2, 12)
    this.log = new Telling(this.claude, clock, id)
    this.call = {
      id,
      attempt: 0,
      hop: 0,
      corrections: [],
      spent: { input: 0, output: 0, dollars: 0, atLeast: false },
      validate: validate && ((params) => this.validated(params, validate)),
      warn: (model, code, message) => this.log.warn(model, code, message),
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
    return Effect.suspend(() =>
      pay(this.claude, this.last, once, (last) => {
        this.retrying.gaveUp = "BudgetSpent"
        // It is what the attempt before this one failed with.
        return Effect.fail(last as ClaudeError & E)
      })
    )
  }

  isBroke(): boolean {
    return this.retrying.gaveUp === "BudgetSpent"
  }

  /** The fixed order. */
  ordered<A, E, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E | DeadlineExceeded, R> {
    const { limits, overall } = this.policy
    const tried = Effect.catch(attempt, (error) => this.failed(error, attempt))
    // What is opened again goes on where the ladder is: a model that was given up is not asked again.
    const hopped = this.ladder === undefined
      ? tried
      : Ladder.climb(tried, this.ladder, (error, to) => this.changed(error, to), () => this.isBroke())
    const ended: Effect.Effect<A, E | DeadlineExceeded, R> = overall === undefined ? hopped : overall(hopped)
    const told = Effect.catch(
      ended,
      (error): Effect.Effect<never, E | DeadlineExceeded> =>
        is(error) ? Effect.flatMap(this.explain(error), Effect.fail) : Effect.fail(error)
    )
    const within = Effect.provideService(told, Current.Call, this.call)
    return limits === undefined ? within : limits(within)
  }

  /** What is made only once something has failed: until then a schedule would cost more than all other policies. */
  failed<A, E, R>(error: E, attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const whole = this.finishing(afterFailure(error, attempt))
    return this.policy.retry === undefined ? whole : Effect.retry(
      whole,
      Schedule.fromStep(
        Effect.succeed((now: number, error: unknown) =>
          this.isPointless(error) ? Cause.done() : this.retrying.next(now, error)
        )
      )
    )
  }

  /** Asks for the rest of answers that stopped half-way. */
  finishing<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.catch(self, (error): Effect.Effect<A, E, R> => {
      if (!is(error) || this.isBroke()) return Effect.fail(error)
      const next = Unfinished.next(error, this.policy.unfinished, this.catalogue.models)
      if (next === undefined) return Effect.fail(error)
      // It is the same error, with why nothing more is asked for.
      if (isString(next)) return Effect.fail(History.copy(error, { detail: next }))
      Unfinished.of(this.call).set(next.key, next.rest)
      this.retrying.again(error)
      const { how } = next
      const told = this.log.tell((common) => ({
        _tag: "Continued",
        ...common,
        attempt: this.call.attempt + 1,
        error,
        how
      }))
      return Effect.andThen(told, this.finishing(self))
    })
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
  validated(params: Params, { count, strict }: How): Effect.Effect<void, ClaudeError> | undefined {
    return validate(params, {
      strict,
      count: count && this.log.isFirst(JSON.stringify([params.model, params.messages]))
    }, {
      catalogue: this.catalogue,
      claude: this.claude,
      warn: (code, message) => this.log.warn(params.model, code, message)
    })
  }

  // ---------------------------------------------------------------------------
  // What is done after a failure
  // ---------------------------------------------------------------------------

  remember(error: ClaudeError, model: string): void {
    this.last = error
    this.history = History.remember(this.history, error, this.call.attempt, model)
  }

  retries(): Retrying {
    return new Retrying(this.policy, (error, wait) => {
      this.history = History.waited(this.history, Duration.toMillis(wait))
      const attempt = this.call.attempt + 1
      return this.log.tell((common) => ({ _tag: "RetryScheduled", ...common, attempt, error, wait }))
    })
  }

  /** Whether a wait is pointless: for a circuit, where another model may be asked. */
  isPointless(error: unknown): boolean {
    return is(error) && error._tag === "CircuitOpen" && this.ladder !== undefined &&
      Ladder.next(this.ladder, error, this.catalogue) !== undefined
  }

  /** Another model is asked: from the start. */
  changed(error: ClaudeError, to: Ladder.To): Effect.Effect<void> {
    if (error._tag === "DeadlineExceeded") this.remember(error, error.model ?? to.model)
    this.ladder = to
    this.call.hop++
    this.call.corrections = []
    Unfinished.of(this.call).clear()
    this.retrying = this.retries()
    return this.log.tell((common) => ({
      _tag: "FellBack",
      ...common,
      model: error.model ?? common.model,
      to: to.model,
      error
    }))
  }

  // ---------------------------------------------------------------------------
  // What is told
  // ---------------------------------------------------------------------------

  succeeded(): Effect.Effect<void> {
    return this.log.tell((common) => ({
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
    const reason = error._tag === "DeadlineExceeded"
      ? "DeadlineExceeded"
      : this.retrying.gaveUp ?? this.retrying.reason(error)
    const explained = History.explain(error, reason, history)
    const emitted = this.log.tell((common) => ({
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
