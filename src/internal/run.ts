/** One call under a policy: who is asked how often, who is told, and why it ended. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import { Claude } from "../Claude.ts"
import {
  CircuitOpen,
  type ClaudeError,
  type DeadlineExceeded,
  is,
  type MalformedOutput,
  TimedOut,
  type Tried
} from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import type { Params } from "../Message.ts"
import type { Catalogue } from "./catalogue.ts"
import { type Bill, pay, type Payer, wasSent } from "./charged.ts"
import type { Compiled } from "./compile.ts"
import { type Ended, Ending } from "./ending.ts"
import { type Course, finish } from "./finishing.ts"
import * as History from "./history.ts"
import * as Ladder from "./ladder.ts"
import { isToldRoutine, type Log, wentWell } from "./listening.ts"
import { OtherModel } from "./otherModel.ts"
import { recovered } from "./recovered.ts"
import { afterFailure, again, Retrying } from "./retrying.ts"
import { modelOf, Telling } from "./telling.ts"
import type * as Unfinished from "./unfinished.ts"
import { overallIn } from "./until.ts"
import { type Place, validate } from "./validating.ts"

/** Runs `self` as one call: its attempts share a number, a history and a budget. */
export const run = <A, E, R>(
  policy: Compiled,
  self: Effect.Effect<A, E, R>,
  began?: (ending: Ending) => void
): Effect.Effect<A, E | DeadlineExceeded, R> => {
  const asked = Effect.withFiber<A, E | DeadlineExceeded, R>((fiber) => {
    const call = new Running(policy, fiber)
    began?.(call.ending)
    return call.run(fiber, self)
  })
  return policy.limits === undefined ? asked : policy.limits(asked)
}

/** To ask whether another model is left in such a case. */
const [circuitOpen, timedOut] = [new CircuitOpen({}), new TimedOut({ scope: "firstToken" })]

/** A call that is running. A class, because it is made for every call, and most of it is needed only after a failure. */
class Running implements Course, Current.Call, Ended, Ladder.Climber, Payer, Place, Unfinished.Finisher {
  readonly policy: Compiled
  readonly claude: Claude["Service"] | undefined
  readonly outerDeadline: number
  readonly start: number
  /** The model that is asked where a call names none. */
  readonly named: string
  readonly catalogue: Catalogue
  readonly clock: Clock.Clock
  telling: Telling | undefined
  history: ReadonlyArray<Tried> = []
  last: ClaudeError | undefined
  /** The attempt that failed with it. */
  lastAttempt = 0
  /** The last failure after something was sent: what is sent after it is extra load. */
  sent: ClaudeError | undefined
  /** Whether another model is left that may succeed after a failure. */
  hasOther: typeof OtherModel.Service
  silence = Infinity
  /** Whether the next attempt on this model is free, because the one before it was stopped before it was sent. */
  isFree = false
  /** The call that it is an attempt of, if it is: then what it comes to is nobody else's business. */
  readonly outer: Unfinished.Finishing | undefined
  /** The failure after which no more of an answer was asked for. */
  settled: ClaudeError | undefined
  bill: Bill | undefined
  /** Which model is asked, and which are left. */
  ladder: Ladder.Ladder | undefined
  /** On the model that is asked, if anything failed there. */
  retries: Retrying | undefined
  /** If it has opened an answer. */
  ends: Ending | undefined

  // As much as others see of it.
  readonly random: number
  attempt = 0
  model: string | undefined
  hop = 0
  corrections: ReadonlyArray<MalformedOutput> = []
  readonly spent: Current.Tally = { input: 0, output: 0, dollars: 0, atLeast: false }
  readonly onBreak: Current.Call["onBreak"]
  readonly reopen: Current.Call["reopen"]

  constructor(policy: Compiled, fiber: Fiber.Fiber<unknown, unknown>) {
    this.policy = policy
    this.clock = fiber.getRef(Clock.Clock)
    this.claude = Context.getOrUndefined(fiber.context, Claude)
    this.outerDeadline = fiber.getRef(Current.Deadline)
    this.start = this.now()
    const { ladder, onBreak } = policy
    this.ladder = ladder
    this.hasOther = fiber.getRef(OtherModel)
    this.named = modelOf(fiber)
    this.outer = fiber.getRef(Current.Call)
    this.catalogue = fiber.getRef(Current.Catalogue)
    this.random = fiber.getRef(Random.Random).nextDoubleUnsafe()
    this.onBreak = onBreak
    this.reopen = onBreak !== "fail" ? (broken, open) => this.again(broken, open) : undefined
  }

  /** Written out when it is asked for: of most calls that go well, nobody wants to know it. */
  get id(): string {
    return this.random.toString(36).slice(2, 12)
  }

  get log(): Telling {
    return this.telling ??= new Telling(this.claude, this.clock, this)
  }

  now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  warn(model: string, code: string, message: string): Effect.Effect<void> {
    return this.log.warn(model, code, message)
  }

  // ---------------------------------------------------------------------------
  // What is asked
  // ---------------------------------------------------------------------------

  run<A, E, R>(
    fiber: Fiber.Fiber<unknown, unknown>,
    self: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | DeadlineExceeded, R> {
    return Effect.matchCauseEffect(this.ordered(fiber, Effect.withFiber((fiber) => this.tried(fiber, self))), {
      onFailure: (cause) => this.failedFor(cause),
      onSuccess: (value) => this.succeeded(fiber, value)
    })
  }

  /** An attempt, and what follows it if it fails. */
  tried<A, E, R>(fiber: Fiber.Fiber<unknown, unknown>, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    this.hasOther = fiber.getRef(OtherModel)
    this.silence = this.silenceUntil(fiber.getRef(Current.Deadline))
    // Only the first one, of which most are, is for nothing.
    if (this.last !== undefined) return this.retried(this.attempted(self))
    this.attempt++
    return Effect.catchCause(this.waiting(fiber, self), (cause) => this.followed(cause, self))
  }

  /** A third of the time, if a stall would be followed by another attempt. */
  silenceUntil(deadline: number): number {
    return this.policy.retriesTimeOuts || this.hasOther(timedOut)
      ? Math.floor((deadline - this.now()) / 3)
      : this.outer?.silence ?? Infinity
  }

  followed<A, E, R>(cause: Cause.Cause<E>, self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return recovered(cause, (error) => {
      this.note(error)
      return this.failed(error, this.attempted(self), (error) => this.isFinal(error))
    })
  }

  retried<A, E, R>(attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.catch(attempt, (error) => this.failed(error, attempt, (error) => this.isFinal(error)))
  }

  /** One more attempt. It is paid for, unless nothing was sent before it, or its predecessor paid and was not sent. */
  attempted<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    const once = Effect.withFiber<A, E, R>((fiber) => {
      this.attempt++
      return Effect.tapError(this.waiting(fiber, self), (error) => Effect.sync(() => this.note(error)))
    })
    return Effect.flatMap(OtherModel, (hasOther) => {
      const { claude, sent } = this
      if (claude === undefined || sent === undefined || this.isFree) return once
      const model = this.ladder?.model ?? this.model ?? this.named
      const refused = Effect.suspend(() => {
        this.retrying.gaveUp = "BudgetSpent"
        // It is what the attempt before this one failed with.
        return Effect.fail(this.last as ClaudeError & E)
      })
      return pay(claude, { because: sent, model, waits: !hasOther(sent) }, once, refused, this)
    })
  }

  asked(): string | undefined {
    return this.model
  }

  /** Says to the circuit whether the attempt waits for it: not while another model is left. */
  waiting<A, E, R>(fiber: Fiber.Fiber<unknown, unknown>, attempt: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    this.hasOther = fiber.getRef(OtherModel)
    const { waitsForCircuit } = this.policy
    return waitsForCircuit === undefined
      ? attempt
      : Effect.provideService(attempt, Current.WaitForCircuit, waitsForCircuit && !this.hasOther(circuitOpen))
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
    return overall === undefined
      ? Effect.provideService(hopped, Current.Call, this)
      : overallIn(fiber, Context.add(fiber.context as Context.Context<R>, Current.Call, this), hopped, overall)
  }

  /** Tries again what has failed, by the schedule. What is made for it would cost more than all else until then. */
  failed<A, E, R>(
    error: E,
    attempt: Effect.Effect<A, E, R>,
    isFinal: (error: unknown) => boolean
  ): Effect.Effect<A, E, R> {
    if (this.policy.retry === undefined || isFinal(error)) return Effect.fail(error)
    return again(error, attempt, (now, error) => isFinal(error) ? Cause.done() : this.retrying.next(now, error))
  }

  /** Not retried here: a continuation that used up its retries, and `CircuitOpen` while another model is left. */
  isFinal(error: unknown): boolean {
    return error === this.settled || is(error) && error._tag === "CircuitOpen" && this.hasOther(error)
  }

  /** Asks for the rest of an answer that stopped half-way. */
  finish<A, R>(error: ClaudeError, question: Unfinished.Question<A, R>): Effect.Effect<A, ClaudeError, R> {
    return finish(this, error, question)
  }

  /** Opens an answer that broke off once more. */
  again<A, R>(
    broken: ClaudeError,
    open: Effect.Effect<A, ClaudeError, R>
  ): Effect.Effect<A, ClaudeError, R> {
    const opened = Effect.withFiber<A, ClaudeError, R>((fiber) => {
      this.remember(broken)
      const opened = this.ordered(fiber, this.retried(afterFailure(broken, this.attempted(open))))
      return Effect.catch(opened, (error) => this.goneWith(History.still(broken, error), error))
    })
    return Effect.provideService(opened, Current.Deadline, this.outerDeadline)
  }

  /** Nothing more comes of an answer: it is final if its policy is done, or else up to that. */
  goneWith(error: ClaudeError, because: ClaudeError): Effect.Effect<never, ClaudeError> {
    if (this.ending.isHandedOver) return Effect.flatMap(this.ending.failed(error, because), Effect.fail)
    // It is told of already, under its own name.
    this.last = error
    this.lastAttempt = this.attempt
    return Effect.fail(error)
  }

  get validate(): Current.Call["validate"] {
    return this.policy.validate === undefined ? undefined : this.validated
  }

  /** Looks at a request before it is sent. */
  validated(params: Params, isRest: boolean): Effect.Effect<void, ClaudeError> | undefined {
    const how = this.policy.validate
    if (how === undefined) return undefined
    return validate(params, how.count && isRest ? { ...how, count: false } : how, this)
  }

  /** Whether it is not counted yet. */
  isNew({ messages, model }: Params): boolean {
    return this.log.isFirst(JSON.stringify([model, messages]))
  }

  // ---------------------------------------------------------------------------
  // What is done after a failure
  // ---------------------------------------------------------------------------

  /** The attempt has failed. */
  note(error: unknown): void {
    // Some wires fail with the same value again and again.
    if (is(error) && (error !== this.last || this.attempt !== this.lastAttempt)) this.remember(error)
  }

  remember(error: ClaudeError): void {
    this.last = error
    this.lastAttempt = this.attempt
    if (wasSent(error)) this.sent = error
    this.isFree = !wasSent(error)
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
    this.isFree = false
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

  get ending(): Ending {
    return this.ends ??= new Ending(this, this.outer?.ending)
  }

  // Told outside of the call: who listens learns from what is current whether it is a part of another.

  /** The end of a call that went well, which may be told, or only be counted. */
  succeeded<A>(fiber: Fiber.Fiber<unknown, unknown>, value: A): Effect.Effect<A> {
    if (this.ends?.handOver() === true) return Exit.succeed(value)
    const told = this.isRoutineTold(fiber) ?
      this.log.tell((common) => ({
        _tag: "CallSucceeded",
        ...common,
        attempts: this.attempt,
        spent: { ...this.spent },
        took: Duration.millis(common.at - this.start)
      })) :
      this.noted()
    return told === Exit.void ? Exit.succeed(value) : Effect.as(told, value)
  }

  get wentWell(): Effect.Effect<void> {
    return this.outside(Effect.withFiber((fiber) => this.succeeded(fiber, undefined)))
  }

  isRoutineTold(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    return this.claude !== undefined && isToldRoutine(this.claude.log, fiber)
  }

  noted(): Effect.Effect<void> {
    const log: Log | undefined = this.outer !== undefined ? undefined : this.claude?.log
    return log?.[wentWell]?.(this.now(), this.model ?? this.named) ?? Exit.void
  }

  /** The end of one that did not. */
  failedFor<E>(cause: Cause.Cause<E>): Effect.Effect<never, E> {
    return recovered(
      cause,
      (error): Effect.Effect<never, E> =>
        is(error) ? Effect.flatMap(this.ending.failed(error), Effect.fail) : Effect.fail(error)
    )
  }

  /** The error with why it is the last one, told to the log. */
  explain<E extends ClaudeError>(error: E, because: ClaudeError = error): Effect.Effect<E> {
    const { history, start } = this
    const reason = because._tag === "DeadlineExceeded" && !this.isBroke()
      ? "DeadlineExceeded"
      : this.retrying.gaveUp ?? this.retrying.reason(because)
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
    return Effect.as(this.outside(emitted), explained)
  }

  /** As it would be outside of the call: what it has opened may end anywhere. */
  outside<A>(self: Effect.Effect<A>): Effect.Effect<A> {
    return Effect.provideService(self, Current.Call, this.outer)
  }
}
