/**
 * One attempt on a wire: limits, accumulation, and the events of the log.
 *
 * Opening reads until the first content is there and replays what came before,
 * so that a request that only seemed to be answered can still be repeated.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type * as CallLog from "../CallLog.ts"
import * as ClaudeError from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import * as Message from "../Message.ts"
import * as Models from "./catalogue.ts"
import { isPermanentMidway } from "./classify.ts"
import * as Draft from "./draft.ts"
import { isToldRoutine } from "./listening.ts"
import type { Collectable, Opened, Opening } from "./opening.ts"
import { limitsOf, Streamed } from "./silence.ts"
import * as Stated from "./stated.ts"
import * as Tools from "./tools.ts"
import type { Finishing } from "./unfinished.ts"
import { Watch, type Watched } from "./watch.ts"

/** What one read of the wire brought: how many bytes (pings included), and the events they completed. */
export interface WireItem {
  readonly bytes: number
  readonly events: ReadonlyArray<Message.WireEvent>
}

/** A response whose headers are here. */
export interface Connection {
  readonly requestId: string | undefined
  readonly rateLimits: Message.RateLimits
  /** Whether the message may end with its stop reason, and without a `message_stop`. */
  readonly mayEndEarly?: boolean
  /** The next socket read; done at the end of the body. */
  readonly read: Pull.Pull<WireItem, ClaudeError.ClaudeError>
}

/** Sends a request. */
type Connect = (
  request: Message.Request
) => Effect.Effect<Connection, ClaudeError.ClaudeError, Scope.Scope>

/** An attempt that is made. No generator: this runs for every attempt, and one would cost as much as a limit. */
export class Attempt implements Collectable, Opening, Watched {
  readonly connect: Connect
  /** What is to be sent: nothing more, once it was opened or ended. */
  request: Message.Request | undefined
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly log: CallLog.CallLog
  readonly model: string
  readonly clock: Clock.Clock
  readonly call: Finishing | undefined
  readonly tally: Current.Tally | undefined
  readonly models: Models.Catalogue["models"]
  readonly number: number
  readonly draft: Draft.Draft
  readonly watch: Watch
  /** What the wire holds for it, from when it is opened until it is ended. */
  scope: Scope.Closeable | undefined
  connection: Connection | undefined
  firstAt: number | undefined
  endAt: number | undefined
  failure: ClaudeError.ClaudeError | undefined
  contradiction: string | undefined
  /** What was read before the first content. */
  replay = none
  /** The next read, taken: of nothing, until it is connected. */
  next: Reading = Effect.never
  awaited: Reading | undefined
  onward: Opened["pull"] | undefined
  pulling: Opened["pull"] | undefined

  constructor(
    connect: Connect,
    log: CallLog.CallLog,
    request: Message.Request,
    fiber: Fiber.Fiber<unknown, unknown>
  ) {
    this.connect = connect
    this.request = request
    this.fiber = fiber
    this.log = log
    this.model = request.params.model
    this.clock = fiber.getRef(Clock.Clock)
    this.call = fiber.getRef(Current.Call)
    this.tally = fiber.getRef(Current.Tally)
    this.models = fiber.getRef(Current.Catalogue).models
    this.number = this.call?.attempt ?? 1
    this.draft = Draft.make(this.model)
    const usual = limitsOf(request.params, this.call?.silence ?? Infinity, fiber.getRef(Streamed))
    this.watch = new Watch(request, this.clock, usual, this)
  }

  now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  // ---------------------------------------------------------------------------
  // Opening and reading
  // ---------------------------------------------------------------------------

  open(): Effect.Effect<Collectable, ClaudeError.ClaudeError> {
    const { call, fiber, log, model, number: attempt, request, watch } = this
    if (request === undefined) return Effect.interrupt
    this.request = undefined
    const connection = Effect.suspend(() => this.connected(request))
    const begun = Effect.flatMap(connection, (made) => this.begun(made))
    this.scope = Scope.makeUnsafe()
    const opened = watch.duringIn(fiber, Context.add(fiber.context, Scope.Scope, this.scope), begun)
    return isToldRoutine(log, fiber)
      ? Effect.andThen(
        log.emit({ _tag: "AttemptStarted", at: watch.start, call: call?.id, model, attempt }),
        opened
      )
      : opened
  }

  /** Sends the request, if it was not ended meanwhile. */
  connected(request: Message.Request): ReturnType<Connect> {
    return this.scope === undefined ? Effect.interrupt : this.connect(request)
  }

  begun(made: Connection): Effect.Effect<Collectable, ClaudeError.ClaudeError> {
    this.connection = made
    this.next = Effect.matchCauseEffect(made.read, {
      onSuccess: (item) => Exit.succeed(this.take(item)),
      // What is made for the end is made there: many answers are whole before it.
      onFailure: (cause) => Pull.catchDone(Effect.failCause(cause), () => this.brokenOff(made))
    })
    this.watch.connected()
    return this.untilContent()
  }

  /** Reads until the first content. */
  untilContent(): Effect.Effect<Collectable, ClaudeError.ClaudeError> {
    return Effect.flatMap(this.read(), (events) => {
      this.replay = this.replay.length === 0 ? events : [...this.replay, ...events]
      return this.draft.begun() || this.draft.ended() ? Effect.succeed(this) : this.untilContent()
    })
  }

  read(): Reading {
    return this.contradiction === undefined ? this.next : Effect.fail(this.contradicts(this.contradiction))
  }

  /** The body is over, and the message is not. */
  brokenOff(made: Connection): Reading {
    return made.mayEndEarly === true && this.draft.head().stop_reason !== null
      ? Effect.sync(() => this.take({ bytes: 0, events: [{ type: "message_stop" }] }))
      : this.odd("it ended before the message did")
  }

  /** The next read, waited for as long as the limits allow. */
  more(): Reading {
    return this.awaited ??= this.watch.during(Effect.suspend(() => this.read()))
  }

  get pull(): Opened["pull"] {
    return this.pulling ??= Effect.suspend(() => this.pulled())
  }

  /** The next events that are not none. */
  pulled(): Opened["pull"] {
    const events = this.replay
    this.replay = none
    if (Arr.isReadonlyArrayNonEmpty(events)) return Effect.succeed(events)
    const failure = this.flaw()
    if (failure !== undefined) return Effect.fail(failure)
    if (this.draft.ended()) return done
    return this.onward ??= Effect.flatMap(
      this.more(),
      (events) => Arr.isReadonlyArrayNonEmpty(events) ? Effect.succeed(events) : this.pull
    )
  }

  toEnd(): Effect.Effect<void, ClaudeError.ClaudeError> {
    const failure = this.flaw()
    if (failure !== undefined) return Exit.fail(failure)
    return this.draft.ended() ? Exit.void : Effect.flatMap(this.more(), () => this.toEnd())
  }

  /** Takes events until one contradicts those before it, or the message has ended: what follows is not part of it. */
  take({ events }: WireItem): ReadonlyArray<Message.WireEvent> {
    const { draft } = this
    let taken = 0
    let hasContent = false
    for (const event of events) {
      this.contradiction = draft.add(event)
      if (this.contradiction !== undefined) break
      taken++
      hasContent ||= Message.isContent(event)
      if (draft.ended()) break
    }
    const at = this.now()
    this.watch.received(at, hasContent)
    if (draft.begun()) this.firstAt ??= at
    if (draft.ended()) this.endAt = at
    return taken === events.length ? events : events.slice(0, taken)
  }

  /** Why there is nothing more to read, if it is not that the message has come to its end. */
  flaw(): ClaudeError.ClaudeError | undefined {
    const detail = this.failure === undefined && this.draft.ended() ? this.draft.flaw() : undefined
    return this.failure ??= detail === undefined ? undefined : this.unexpected(detail)
  }

  unexpected(detail: string): ClaudeError.UnexpectedResponse {
    return new ClaudeError.UnexpectedResponse({ model: this.model, requestId: this.requestId, detail })
  }

  contradicts(detail: string): ClaudeError.UnexpectedResponse {
    return new ClaudeError.UnexpectedResponse({ ...this.unexpected(detail), contradiction: true })
  }

  odd(detail: string): Effect.Effect<never, ClaudeError.UnexpectedResponse> {
    return Effect.fail(this.unexpected(detail))
  }

  /** What a failure of the wire means here: once content has been seen, that the answer broke off. */
  failed(error: ClaudeError.ClaudeError): ClaudeError.ClaudeError {
    const { draft, model } = this
    const { message, requestId, text, usage } = this.reply()
    const where = { model, requestId }
    const arrived = draft.begun()
      ? { ...where, text: ClaudeError.redact(text), blocks: Redacted.make(message.content), usage }
      : where
    const meant = error._tag === "TimedOut"
      ? new ClaudeError.TimedOut({ ...error, ...arrived })
      : draft.begun()
      ? new ClaudeError.PartialAnswer({
        ...arrived,
        detail: error.message,
        errorCode: error.errorCode,
        because: error._tag,
        permanent: isPermanentMidway(error),
        cause: error
      })
      : error
    // Headers came, and then no answer.
    return this.failure = Stated.note(meant, this.connection?.rateLimits)
  }

  // ---------------------------------------------------------------------------
  // What is told of it
  // ---------------------------------------------------------------------------

  get requestId(): string | undefined {
    return this.connection?.requestId
  }

  get rateLimits(): Message.RateLimits {
    return this.connection?.rateLimits ?? noLimits
  }

  usage(): Message.Usage {
    return this.draft.head().usage
  }

  isWhole(): boolean {
    return this.draft.ended()
  }

  /** What has been read so far. Nothing in it is a getter: to make one takes longer than to find out. */
  reply(): Message.Reply {
    const { draft, endAt, number: attempt, rateLimits, requestId, watch: { start } } = this
    const message = draft.message()
    const { content, model, stop_reason: stopReason, usage } = message
    return {
      message,
      text: Draft.textOf(content),
      stopReason,
      usage,
      cost: this.cost(message),
      toolUses: Tools.uses(content),
      serverToolErrors: Tools.serverErrors(content),
      model,
      requestId,
      rateLimits,
      timeToFirstToken: this.timeToFirstToken(),
      duration: Duration.millis((endAt ?? this.now()) - start),
      attempt
    }
  }

  timeToFirstToken(): Duration.Duration | undefined {
    return this.firstAt === undefined ? undefined : Duration.millis(this.firstAt - this.watch.start)
  }

  cost({ model, usage }: { readonly model: string; readonly usage: Message.Usage }): Message.Cost | undefined {
    const prices = (this.models.get(model) ?? this.models.get(this.model))?.prices
    return prices === undefined ? undefined : Models.cost(usage, prices)
  }

  count(tally: Current.Tally, cost: Message.Cost | undefined, isFree: boolean): void {
    const { usage } = this.draft.head()
    tally.input += usage.input_tokens + (usage.cache_creation_input_tokens ?? 0) + (usage.cache_read_input_tokens ?? 0)
    tally.output += usage.output_tokens
    tally.dollars += cost?.dollars ?? 0
    tally.atLeast ||= !isFree && (cost?.atLeast !== false || !this.draft.ended())
  }

  /** What the wire holds is given back first. */
  end(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    const { scope } = this
    this.request = this.scope = undefined
    if (scope === undefined) return Exit.void
    const closed = Scope.closeUnsafe(scope, exit)
    return closed === undefined
      ? this.ended(exit)
      : Effect.ensuring(closed, Effect.suspend(() => this.ended(exit)))
  }

  ended(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    const { call, draft, log, model, number: attempt, requestId, tally, watch } = this
    watch.stop()
    const error = this.failure ?? errorOf(exit)
    // A request that was refused costs nothing.
    const isFree = !draft.begun() && error?.status !== undefined && error.status >= 400
    const cost = tally === undefined && call === undefined ? undefined : this.cost(draft.head())
    if (tally !== undefined) this.count(tally, cost, isFree)
    if (call !== undefined) this.count(call.spent, cost, isFree)
    const fiber = Fiber.getCurrent()
    if (error === undefined && fiber !== undefined && !isToldRoutine(log, fiber)) return Exit.void
    const at = this.now()
    const common = { at, call: call?.id, model, attempt, requestId, took: Duration.millis(at - watch.start) }
    if (error !== undefined) return log.emit({ _tag: "AttemptFailed", ...common, error })
    if (!draft.ended()) return log.emit({ _tag: "AttemptLeft", ...common })
    const { stop_reason: stopReason, usage } = draft.head()
    return log.emit({
      _tag: "AttemptSucceeded",
      ...common,
      timeToFirstToken: this.timeToFirstToken(),
      stopReason,
      usage
    })
  }
}

/** What a read brings, events that may be none. */
type Reading = Effect.Effect<ReadonlyArray<Message.WireEvent>, ClaudeError.ClaudeError>

const none: ReadonlyArray<Message.WireEvent> = []

const noLimits: Message.RateLimits = {}

const done: Opened["pull"] = Cause.done()

const errorOf = (exit: Exit.Exit<unknown, unknown>): ClaudeError.ClaudeError | undefined => {
  const error = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : undefined
  return error?._tag === "Some" && ClaudeError.is(error.value) ? error.value : undefined
}
