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
import * as Draft from "./draft.ts"
import { isToldRoutine } from "./listening.ts"
import * as Stated from "./stated.ts"
import * as Tools from "./tools.ts"
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

/** An answer that has begun. */
export interface Opened {
  readonly requestId: string | undefined
  readonly rateLimits: Message.RateLimits
  /** The next events, from the first on; done after the last. */
  readonly pull: Pull.Pull<Arr.NonEmptyReadonlyArray<Message.WireEvent>, ClaudeError.ClaudeError>
  /** What has been read so far. */
  readonly reply: () => Message.Reply
  /** What it has used so far, as far as the API said. */
  readonly usage: () => Message.Usage
  /** Whether it has come to its end. */
  readonly isWhole: () => boolean
}

/** Opens a request. Its scope is the answer's: the exit it closes with says how the answer ended. */
export const open = (
  connect: (request: Message.Request) => Effect.Effect<Connection, ClaudeError.ClaudeError, Scope.Scope>,
  log: CallLog.CallLog,
  request: Message.Request
): Effect.Effect<Opened, ClaudeError.ClaudeError, Scope.Scope> =>
  Effect.withFiber((fiber) => new Attempt(log, request, fiber).begin(connect(request), fiber))

/** An attempt that is made. No generator: this runs for every attempt, and one would cost as much as a limit. */
class Attempt implements Watched {
  readonly log: CallLog.CallLog
  readonly model: string
  readonly clock: Clock.Clock
  readonly call: Current.Call | undefined
  readonly tally: Current.Tally | undefined
  readonly models: Models.Catalogue["models"]
  readonly number: number
  readonly draft: Draft.Draft
  readonly watch: Watch
  connection: Connection | undefined
  firstAt: number | undefined
  endAt: number | undefined
  failure: ClaudeError.ClaudeError | undefined
  contradiction: string | undefined
  /** What was read before the first content. */
  replay = none
  /** What it is read with, once it has been. */
  next: ReturnType<Attempt["read"]> | undefined
  more: Opened["pull"] | undefined

  constructor(log: CallLog.CallLog, request: Message.Request, fiber: Fiber.Fiber<unknown, unknown>) {
    this.log = log
    this.model = request.params.model
    this.clock = fiber.getRef(Clock.Clock)
    this.call = fiber.getRef(Current.Call)
    this.tally = fiber.getRef(Current.Tally)
    this.models = fiber.getRef(Current.Catalogue).models
    this.number = this.call?.attempt ?? 1
    this.draft = Draft.make(this.model)
    this.watch = new Watch(request, this.clock, this)
  }

  now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  // ---------------------------------------------------------------------------
  // Opening and reading
  // ---------------------------------------------------------------------------

  begin<R>(
    connecting: Effect.Effect<Connection, ClaudeError.ClaudeError, R>,
    fiber: Fiber.Fiber<unknown, unknown>
  ): Effect.Effect<Opened, ClaudeError.ClaudeError, R | Scope.Scope> {
    const { call, log, model, number: attempt, watch } = this
    const scope = Context.getUnsafe(fiber.context, Scope.Scope)
    const registered = Scope.addFinalizerExit(scope, (exit) => this.ended(exit))
    // What is told that it began is told how it ended, also if it is interrupted while that is told.
    const told = isToldRoutine(log, fiber)
      ? Effect.andThen(
        registered,
        log.emit({ _tag: "AttemptStarted", at: watch.start, call: call?.id, model, attempt })
      )
      : registered
    const opened = Effect.flatMap(connecting, (made) => this.opened(made))
    return Effect.andThen(told, watch.duringIn(fiber, opened))
  }

  opened(made: Connection): Effect.Effect<Opened, ClaudeError.ClaudeError> {
    this.connection = made
    this.watch.connected()
    return this.untilContent(made)
  }

  /** Reads until the first content. */
  untilContent(made: Connection): Effect.Effect<Opened, ClaudeError.ClaudeError> {
    return Effect.flatMap(this.read(made), (events) => {
      this.replay = this.replay.length === 0 ? events : [...this.replay, ...events]
      if (!this.draft.begun() && !this.draft.ended()) return this.untilContent(made)
      const pull: Opened["pull"] = Effect.suspend(() => this.pulled(made, pull))
      const { rateLimits, requestId } = made
      const [reply, usage, isWhole] = [
        () => this.reply(),
        () => this.draft.head().usage,
        () => this.draft.ended()
      ]
      return Effect.succeed({ requestId, rateLimits, pull, reply, usage, isWhole })
    })
  }

  /** The next read, taken. */
  read(made: Connection): Effect.Effect<ReadonlyArray<Message.WireEvent>, ClaudeError.ClaudeError> {
    if (this.contradiction !== undefined) return this.odd(this.contradiction)
    return this.next ??= Effect.catchCause(
      Effect.map(made.read, (item) => this.take(item)),
      // What is made for the end is made there: many answers are whole before it.
      (cause) => Pull.catchDone(Effect.failCause(cause), () => this.over(made))
    )
  }

  /** The body is over, and the message is not. */
  over(made: Connection): Effect.Effect<ReadonlyArray<Message.WireEvent>, ClaudeError.ClaudeError> {
    return made.mayEndEarly === true && this.draft.head().stop_reason !== null
      ? Effect.sync(() => this.take({ bytes: 0, events: [{ type: "message_stop" }] }))
      : this.odd("it ended before the message did")
  }

  /** The next events that are not none. */
  pulled(made: Connection, pull: Opened["pull"]): Opened["pull"] {
    const events = this.replay
    this.replay = none
    if (Arr.isReadonlyArrayNonEmpty(events)) return Effect.succeed(events)
    if (this.failure !== undefined) return Effect.fail(this.failure)
    if (this.draft.ended()) return this.end()
    return this.more ??= Effect.flatMap(
      this.watch.during(Effect.suspend(() => this.read(made))),
      (events) => Arr.isReadonlyArrayNonEmpty(events) ? Effect.succeed(events) : pull
    )
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

  end(): Opened["pull"] {
    const detail = this.draft.flaw()
    if (detail === undefined) return done
    this.failure = new ClaudeError.UnexpectedResponse({
      model: this.model,
      requestId: this.connection?.requestId,
      detail
    })
    return Effect.fail(this.failure)
  }

  odd(detail: string): Effect.Effect<never, ClaudeError.UnexpectedResponse> {
    const requestId = this.connection?.requestId
    return Effect.fail(new ClaudeError.UnexpectedResponse({ model: this.model, requestId, detail }))
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
      ? new ClaudeError.PartialAnswer({ ...arrived, detail: error.message, errorCode: error.errorCode, cause: error })
      : error
    // Headers came, and then no answer.
    return this.failure = Stated.note(meant, this.connection?.rateLimits)
  }

  // ---------------------------------------------------------------------------
  // What is told of it
  // ---------------------------------------------------------------------------

  /** What has been read so far. Nothing in it is a getter: to make one takes longer than to find out. */
  reply(): Message.Reply {
    const { connection, draft, endAt, number: attempt, watch: { start } } = this
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
      requestId: connection?.requestId,
      rateLimits: connection?.rateLimits ?? {},
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

  /** The scope of the answer closes: with how it ended. */
  ended(exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> {
    const { call, connection, draft, log, model, number: attempt, tally, watch } = this
    watch.stop()
    const error = this.failure ?? errorOf(exit)
    // A request that was refused costs nothing.
    const isFree = !draft.begun() && error?.status !== undefined && error.status >= 400
    const cost = tally === undefined && call === undefined ? undefined : this.cost(draft.head())
    if (tally !== undefined) this.count(tally, cost, isFree)
    if (call !== undefined) this.count(call.spent, cost, isFree)
    const fiber = Fiber.getCurrent()
    if (error === undefined && fiber !== undefined && !isToldRoutine(log, fiber)) return Effect.void
    const at = this.now()
    const requestId = connection?.requestId
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

const none: ReadonlyArray<Message.WireEvent> = []

const done: Opened["pull"] = Cause.done()

const errorOf = (exit: Exit.Exit<unknown, unknown>): ClaudeError.ClaudeError | undefined => {
  const error = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : undefined
  return error?._tag === "Some" && ClaudeError.is(error.value) ? error.value : undefined
}
