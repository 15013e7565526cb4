/** One call under a policy: who is asked how often, who is told, and why it ended. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { isString } from "effect/Predicate"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { Claude } from "../Claude.ts"
import { type ClaudeError, type DeadlineExceeded, is, type MalformedOutput, type Tried } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import type { Params } from "../Message.ts"
import type { Catalogue } from "./catalogue.ts"
import { type Bill, Counted, counted, pay, wasSent } from "./charged.ts"
import type { Compiled } from "./compile.ts"
import * as History from "./history.ts"
import * as Ladder from "./ladder.ts"
import { rescue } from "./rescue.ts"
import { Retrying } from "./retrying.ts"
import { modelOf, Telling } from "./telling.ts"
import * as Unfinished from "./unfinished.ts"
import { overallIn } from "./until.ts"
import { type How, type Place, validate } from "./validating.ts"

/** Runs `self` as one call: its attempts share a number, a history and a budget. */
export const run = <A, E, R>(
  policy: Compiled,
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E | DeadlineExceeded, R> => {
  const asked = Effect.withFiber<A, E | DeadlineExceeded, R>((fiber) => {
    const call = new Running(policy, fiber)
    const ended = call.ordered(fiber, call.tried(self))
    return call.log.isRoutineTold(fiber)
      ? Effect.tap(ended, () => call.succeeded())
      : !call.isPart && call.log.isSuccessNoted()
      ? Effect.tap(ended, () => call.log.noteSuccess(call.model ?? call.named))
      : ended
  })
  return policy.limits === undefined ? asked : policy.limits(asked)
}

/** A call that is running. A class, because it is made for every call, and most of it is needed only after a failure. */
class Running implements Current.Call, Unfinished.Finisher, Ladder.Climber, Place {
  readonly policy: Compiled
  readonly claude: Claude["Service"] | undefined
  readonly outerDeadline: number
  readonly start: number
  /** The model that is asked where a call names none. */
  readonly named: string
  readonly catalogue: Catalogue
  readonly log: Telling
  history: ReadonlyArray<Tried> = []
  last: ClaudeError | undefined
  /** The last failure after something was sent: what is sent after it is extra load. */
  sent: ClaudeError | undefined
  /** Whether it is to be counted as a call: the outermost policy of one is. */
  readonly isFirst: boolean
  /** Whether it is an attempt of another call: what it comes to is nobody else's business. */
  readonly isPart: boolean
  /** The failure after which no more of an answer was asked for. */
  settled: ClaudeError | undefined
  /** Of the attempt that was counted or paid for last. */
  bill: Bill | undefined
  /** Which model is asked, and which are left. */
  ladder: Ladder.Ladder | undefined
  /** On the model that is asked, if anything failed there. */
  retries: Retrying | undefined

  // As much as others see of it.
  readonly random: number
  attempt = 0
  model: string | undefined
  hop = 0
  corrections: ReadonlyArray<MalformedOutput> = []
  readonly spent: Current.Tally = { input: 0, output: 0, dollars: 0, atLeast: false }
  readonly validate: Current.Call["validate"]
  readonly onBreak: Current.Call["onBreak"]
  readonly reopen: Current.Call["reopen"]

  constructor(policy: Compiled, fiber: Fiber.Fiber<unknown, unknown>) {
    this.policy = policy
    const clock = fiber.getRef(Clock.Clock)
    this.claude = Context.getOrUndefined(fiber.context, Claude)
    this.outerDeadline = fiber.getRef(Current.Deadline)
    this.start = clock.currentTimeMillisUnsafe()
    const { ladder, onBreak, validate } = policy
    this.ladder = ladder
    this.named = modelOf(fiber)
    this.isPart = fiber.getRef(Current.Call) !== undefined
    this.isFirst = !fiber.getRef(Counted) && fiber.getRef(Current.Call) === undefined
    this.catalogue = fiber.getRef(Current.Catalogue)
    this.random = fiber.getRef(Random.Random).nextDoubleUnsafe()
    this.validate = validate && ((params, isRest) => this.validated(params, isRest, validate))
    this.onBreak = onBreak
    this.reopen = onBreak !== "fail" ? (broken, open) => this.again(broken, open) : undefined
    this.log = new Telling(this.claude, clock, this)
  }

  /** Written out when it is asked for: of most calls that go well, nobody wants to know it. */
  get id(): string {
    return this.random.toString(36).slice(2, 12)
  }

  warn(model: string, code: string, message: string): Effect.Effect<void> {
    return this.log.warn(model, code, message)
  }

  // ---------------------------------------------------------------------------
  // What is asked
  // ---------------------------------------------------------------------------

  /** An attempt, and what follows it if it fails. */
  tried<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      // Only the first one, of which most are, is for nothing.
      if (this.last !== undefined) return this.retried(this.attempted(self))
      this.attempt++
      return rescue(this.isFirst ? counted(this.claude, self, (bill) => this.bill = bill) : self, (error) => {
        this.note(error)
        return this.failed(error, this.attempted(self), (error) => this.isFinal(error))
      })
    })
  }

  retried<A, E, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.catch(attempt, (error) => this.failed(error, attempt, (error) => this.isFinal(error)))
  }

  /** One more attempt. It is paid for, unless nothing was sent before it. */
  attempted<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const once = Effect.suspend(() => {
      this.attempt++
      return Effect.tapError(self, (error) => Effect.sync(() => this.note(error)))
    })
    return Effect.suspend(() => {
      if (this.claude === undefined || this.sent === undefined) return once
      const refused = Effect.suspend(() => {
        this.retrying.gaveUp = "BudgetSpent"
        // It is what the attempt before this one failed with.
        return Effect.fail(this.last as ClaudeError & E)
      })
      return pay(this.claude, this.sent, once, refused, (bill) => {
        this.bill = bill
      })
    })
  }

  asked(): string | undefined {
    return this.model
  }

  isBroke(): boolean {
    return this.retries?.gaveUp === "BudgetSpent"
  }

  /** The fixed order: `tried` was asked, and is tried again where it fails. */
  ordered<A, E, R>(
    fiber: Fiber.Fiber<unknown, unknown>,
    tried: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | DeadlineExceeded, R> {
    const { overall } = this.policy
    // What is opened again goes on where the ladder is: a model that was given up is not asked again.
    const hopped = this.ladder === undefined
      ? tried
      : Ladder.climb(tried, this.ladder, this)
    const ended: Effect.Effect<A, E | DeadlineExceeded, R> = overall === undefined
      ? Effect.provideService(hopped, Current.Call, this)
      : overallIn(fiber, Context.add(fiber.context as Context.Context<R>, Current.Call, this), hopped, overall)
    // Told outside of the call, as its success is: who listens learns from what is current whether it is a part of another.
    return rescue(
      ended,
      (error): Effect.Effect<never, E | DeadlineExceeded> =>
        is(error) ? Effect.flatMap(this.explain(error), Effect.fail) : Effect.fail(error)
    )
  }

  /** Tries again what has failed, by the schedule. What is made for it would cost more than all else until then. */
  failed<A, E, R>(
    error: E,
    attempt: Effect.Effect<A, E, R>,
    isFinal: (error: unknown) => boolean
  ): Effect.Effect<A, E, R> {
    if (this.policy.retry === undefined || isFinal(error)) return Effect.fail(error)
    return Effect.retry(
      afterFailure(error, attempt),
      Schedule.fromStep(
        Effect.succeed((now: number, error: unknown) => isFinal(error) ? Cause.done() : this.retrying.next(now, error))
      )
    )
  }

  /** What is not tried again: what was, as a part of an answer; and what waits for a circuit, if others may be asked. */
  isFinal(error: unknown): boolean {
    return error === this.settled || is(error) && error._tag === "CircuitOpen" && this.ladder !== undefined &&
        Ladder.next(this.ladder, error, this.model, this.catalogue) !== undefined
  }

  /** Asks for the rest of an answer that stopped half-way; each piece is an attempt, and is tried again by itself. */
  finish<A, R>(error: ClaudeError, question: Unfinished.Question<A, R>): Effect.Effect<A, ClaudeError, R> {
    const more = (error: unknown) => {
      const stopped = is(error) && !this.isBroke() ? question.stopped(error) : undefined
      return stopped && Unfinished.next(stopped, this.policy.unfinished)
    }
    const go = (error: ClaudeError, isPiece: boolean): Effect.Effect<A, ClaudeError, R> => {
      const next = more(error)
      if (next === undefined || isString(next)) {
        // Why no more is asked for is told with the failure.
        const last = next === undefined ? error : History.copy(error, { detail: next })
        // Some wires fail with the same value again and again: it is this one only if a piece has just failed with it.
        if (isPiece && error === this.last) this.settled = this.last = last
        return Effect.fail(last)
      }
      const { how, rest } = next
      if (error !== this.last) this.remember(error)
      this.retrying.again(error)
      const piece = this.attempted(question.ask(rest))
      const whole = Effect.catch(
        piece,
        (error) => this.failed(error, piece, (error) => this.isFinal(error) || more(error) !== undefined)
      )
      const told = this.log.tell((common) => ({
        _tag: "Continued",
        ...common,
        attempt: this.attempt + 1,
        error,
        how
      }))
      // What failed is not mended by what follows it.
      const settled = this.bill?.settle(Exit.fail(error)) ?? Effect.void
      return Effect.andThen(Effect.andThen(settled, told), Effect.catch(whole, (error) => go(error, true)))
    }
    return go(error, false)
  }

  /** Opens an answer that broke off once more. */
  again<A, R>(
    broken: ClaudeError,
    open: Effect.Effect<A, ClaudeError, R>
  ): Effect.Effect<A, ClaudeError, R> {
    const opened = Effect.withFiber<A, ClaudeError, R>((fiber) => {
      this.remember(broken)
      return this.ordered(fiber, this.retried(afterFailure(broken, this.attempted(open))))
    })
    return Effect.provideService(opened, Current.Deadline, this.outerDeadline)
  }

  /** Looks at a request before it is sent. */
  validated(params: Params, isRest: boolean, how: How): Effect.Effect<void, ClaudeError> | undefined {
    if (!how.count) return validate(params, how, this)
    const count = !isRest && this.log.isFirst(JSON.stringify([params.model, params.messages]))
    return validate(params, { ...how, count }, this)
  }

  // ---------------------------------------------------------------------------
  // What is done after a failure
  // ---------------------------------------------------------------------------

  /** The attempt has failed. */
  note(error: unknown): void {
    if (is(error) && error !== this.last) this.remember(error)
  }

  remember(error: ClaudeError): void {
    this.last = error
    if (wasSent(error)) this.sent = error
    this.history = History.remember(this.history, error, this.attempt, this.model ?? this.named)
  }

  get retrying(): Retrying {
    return this.retries ??= new Retrying(this.policy, (error, wait) => {
      this.history = History.waited(this.history, Duration.toMillis(wait))
      const attempt = this.attempt + 1
      return this.log.tell((common) => ({ _tag: "RetryScheduled", ...common, attempt, error, wait }))
    })
  }

  /** Another model is asked: from the start. */
  onClimb(error: ClaudeError, to: Ladder.To): Effect.Effect<void> {
    if (error !== this.last) this.remember(error)
    this.ladder = to
    this.hop++
    this.corrections = []
    this.retries = undefined
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
      attempts: this.attempt,
      spent: { ...this.spent },
      took: Duration.millis(common.at - this.start)
    }))
  }

  /** The error with why it is the last one, told to the log. */
  explain<E extends ClaudeError>(error: E): Effect.Effect<E> {
    const { history, start } = this
    const reason = error._tag === "DeadlineExceeded" && !this.isBroke()
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
      spent: { ...this.spent },
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
