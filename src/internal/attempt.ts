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
import type * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type * as CallLog from "../CallLog.ts"
import * as ClaudeError from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import * as Message from "../Message.ts"
import * as Models from "./catalogue.ts"
import * as Draft from "./draft.ts"
import * as Tools from "./tools.ts"
import * as Watch from "./watch.ts"

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
}

/** Opens a request. Its scope is the answer's: the exit it closes with says how the answer ended. */
export const open = (
  connect: (request: Message.Request) => Effect.Effect<Connection, ClaudeError.ClaudeError, Scope.Scope>,
  log: CallLog.CallLog,
  request: Message.Request
): Effect.Effect<Opened, ClaudeError.ClaudeError, Scope.Scope> =>
  Effect.withFiber((fiber) => begin(connect, log, request, fiber))

// No generator: this runs for every attempt, and one would cost as much as a limit.
const begin = (
  connect: (request: Message.Request) => Effect.Effect<Connection, ClaudeError.ClaudeError, Scope.Scope>,
  log: CallLog.CallLog,
  request: Message.Request,
  fiber: Fiber.Fiber<unknown, unknown>
): Effect.Effect<Opened, ClaudeError.ClaudeError, Scope.Scope> => {
  const clock = fiber.getRef(Clock.Clock)
  const scope = Context.getUnsafe(fiber.context, Scope.Scope)
  const call = fiber.getRef(Current.Call)
  const tally = fiber.getRef(Current.Tally)
  const attempt = call?.attempt ?? 1
  const { model } = request.params
  const { models } = fiber.getRef(Current.Catalogue)
  const draft = Draft.make(model)
  const now = () => clock.currentTimeMillisUnsafe()
  const start = now()
  const watch = Watch.make(request, clock)
  let connection: Connection | undefined
  let firstAt: number | undefined
  let endAt: number | undefined
  let failure: ClaudeError.ClaudeError | undefined
  let contradiction: string | undefined
  let replay: Array<Message.WireEvent> = []

  const timeToFirstToken = () => firstAt === undefined ? undefined : Duration.millis(firstAt - start)
  const reply = (): Message.Reply => {
    const message = draft.message()
    return {
      message,
      text: Draft.textOf(message.content),
      stopReason: message.stop_reason,
      usage: message.usage,
      get cost() {
        return costOf(message)
      },
      get toolUses() {
        return Tools.uses(message.content)
      },
      get serverToolErrors() {
        return Tools.serverErrors(message.content)
      },
      model: message.model,
      requestId: connection?.requestId,
      get rateLimits() {
        return connection?.rateLimits ?? {}
      },
      timeToFirstToken: timeToFirstToken(),
      duration: Duration.millis((endAt ?? now()) - start),
      attempt
    }
  }

  const costOf = ({ model: answering, usage }: { readonly model: string; readonly usage: Message.Usage }) => {
    const prices = (models.get(answering) ?? models.get(model))?.prices
    return prices === undefined ? undefined : Models.cost(usage, prices)
  }
  const count = (tally: Current.Tally, free: boolean) => {
    const head = draft.head()
    const { usage } = head
    const cost = costOf(head)
    tally.input += usage.input_tokens + (usage.cache_creation_input_tokens ?? 0) + (usage.cache_read_input_tokens ?? 0)
    tally.output += usage.output_tokens
    tally.dollars += cost?.dollars ?? 0
    tally.atLeast ||= !free && (cost?.atLeast !== false || !draft.ended())
  }

  const ended = (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> => {
    watch.stop()
    const { stop_reason: stopReason, usage } = draft.head()
    const error = failure ?? errorOf(exit)
    // A request that was refused costs nothing.
    const free = !draft.begun() && error?.status !== undefined && error.status >= 400
    if (tally !== undefined) count(tally, free)
    if (call !== undefined) count(call.spent, free)
    const at = now()
    const requestId = connection?.requestId
    const common = { at, call: call?.id, model, attempt, requestId, took: Duration.millis(at - start) }
    return log.emit(
      error !== undefined
        ? { _tag: "AttemptFailed", ...common, error }
        : draft.ended()
        ? { _tag: "AttemptSucceeded", ...common, timeToFirstToken: timeToFirstToken(), stopReason, usage }
        : { _tag: "AttemptLeft", ...common }
    )
  }

  /** What a failure of the wire means here: once content has been seen, that the answer broke off. */
  const failed = (error: ClaudeError.ClaudeError) => {
    const { message, requestId, text, usage } = reply()
    const where = { model, requestId }
    const arrived = draft.begun()
      ? { ...where, text: ClaudeError.redact(text), blocks: Redacted.make(message.content), usage }
      : where
    return failure = error._tag === "TimedOut"
      ? new ClaudeError.TimedOut({ ...error, ...arrived })
      : draft.begun()
      ? new ClaudeError.PartialAnswer({ ...arrived, detail: error.message, errorCode: error.errorCode, cause: error })
      : error
  }
  const odd = (detail: string) =>
    Effect.fail(new ClaudeError.UnexpectedResponse({ model, requestId: connection?.requestId, detail }))

  /** Takes events until one contradicts those before it, or the message has ended: what follows is not part of it. */
  const take = (item: WireItem): ReadonlyArray<Message.WireEvent> => {
    const events: Array<Message.WireEvent> = []
    for (const event of item.events) {
      contradiction = draft.add(event)
      if (contradiction !== undefined) break
      events.push(event)
      if (draft.ended()) break
    }
    watch.received(events.some(Message.isContent))
    if (firstAt === undefined && draft.begun()) firstAt = now()
    if (draft.ended()) endAt = now()
    return events
  }

  const opened = (made: Connection): Effect.Effect<Opened, ClaudeError.ClaudeError> => {
    connection = made
    watch.connected()

    const next = Pull.catchDone(
      Effect.map(made.read, take),
      () =>
        made.mayEndEarly === true && draft.head().stop_reason !== null
          ? Effect.sync(() => take({ bytes: 0, events: [{ type: "message_stop" }] }))
          : odd("it ended before the message did")
    )
    const read = Effect.suspend(() => contradiction === undefined ? next : odd(contradiction))
    const watched = Effect.mapError(watch.during(read), failed)

    /** The next events that are not none. */
    const pull: Opened["pull"] = Effect.suspend(() => {
      const events = replay
      replay = []
      if (Arr.isReadonlyArrayNonEmpty(events)) return Effect.succeed(events)
      if (failure !== undefined) return Effect.fail(failure)
      return draft.ended() ? end : more
    })
    const end: Opened["pull"] = Effect.suspend((): Opened["pull"] => {
      const flaw = draft.flaw()
      if (flaw === undefined) return Cause.done()
      failure = new ClaudeError.UnexpectedResponse({ model, requestId: made.requestId, detail: flaw })
      return Effect.fail(failure)
    })
    const more = Effect.flatMap(
      watched,
      (events) => Arr.isReadonlyArrayNonEmpty(events) ? Effect.succeed(events) : pull
    )

    const answer: Opened = {
      requestId: made.requestId,
      get rateLimits() {
        return made.rateLimits
      },
      pull,
      reply
    }

    /** Reads until the first content. */
    const untilContent: Effect.Effect<Opened, ClaudeError.ClaudeError> = Effect.flatMap(read, (events) => {
      replay.push(...events)
      return draft.begun() || draft.ended()
        ? Effect.succeed(answer)
        : untilContent
    })
    return untilContent
  }

  return Effect.andThen(
    Effect.andThen(
      log.emit({ _tag: "AttemptStarted", at: start, call: call?.id, model, attempt }),
      Scope.addFinalizerExit(scope, ended)
    ),
    Effect.mapError(watch.during(Effect.flatMap(connect(request), opened)), failed)
  )
}

const errorOf = (exit: Exit.Exit<unknown, unknown>): ClaudeError.ClaudeError | undefined => {
  const error = Exit.isFailure(exit) ? Cause.findErrorOption(exit.cause) : undefined
  return error?._tag === "Some" && ClaudeError.is(error.value) ? error.value : undefined
}
