/**
 * Runs one attempt on a wire: applies its time limits, collects its message, and logs its start and its end.
 *
 * `open` reads up to the first content, and later replays the events it has read.
 * A response that fails before its first content can therefore still be retried.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as CallContext from "../callContext.ts"
import type { ClaudeError } from "../ClaudeError.ts"
import { emit, type Source, warning } from "../emit.ts"
import { errorOf } from "../errorOf.ts"
import * as Message from "../Message.ts"
import { onScopeExit } from "../onScopeExit.ts"
import * as Tools from "../output/toolInput.ts"
import { Queued } from "../queued.ts"
import type * as Runtime from "../runtime.ts"
import * as Accumulator from "./accumulator.ts"
import { type PolicyCall, spentBy } from "./continuation.ts"
import { limitsOf, Streamed } from "./defaultLimits.ts"
import { withoutQuotes } from "./quoted.ts"
import * as Watchdog from "./watchdog.ts"

interface Attempt {
  readonly source: Source
  readonly number: number
  readonly start: number
  readonly clock: Clock.Clock
  readonly watchdog: Watchdog.Watchdog
  readonly accumulator: Accumulator.Accumulator
  /** The tallies to which the attempt adds its usage at its end: the one in context, and those of `call` and its outer calls. */
  readonly tallies: ReadonlyArray<CallContext.Tally | undefined>
  /** How long the attempt has waited for guards, in milliseconds. */
  readonly queued: number
  readonly call: PolicyCall | undefined
  readonly params: Message.Params
  readonly deadline: CallContext.DeadlineState | undefined
  /** Not reset if the reader recovers from the error: the attempt stays failed. */
  failure: ClaudeError | undefined
}

export const open = (connect: Message.Connect, place: Place) => (request: Message.Request) =>
  openOver(connect, place, request)

type Place = Pick<Runtime.Parts, "log" | "catalogue">

const openOver = Effect.fnUntraced(function*(connect: Message.Connect, place: Place, request: Message.Request) {
  const context = yield* Effect.context<Scope.Scope>()
  const attempt = make(context, request, place)
  // This finalizer is added first, so it runs last: it logs the end after the wire has released its resources.
  yield* Effect.uninterruptible(
    Effect.andThen(started(attempt), onScopeExit(context, (exit) => ended(attempt, exit)))
  )
  const { accumulator, accumulator: { draft }, watchdog } = attempt
  const connection = yield* recordingFailure(attempt, Watchdog.limitWait(watchdog, connect(request)))
  Watchdog.connected(watchdog)
  Accumulator.connected(accumulator, connection)

  const readNext = nextOf(attempt, connection)
  const begun: Array<Message.WireEvent> = []
  do {
    for (const event of yield* readNext) begun.push(event)
  } while (!draft.begun() && !draft.ended())
  return toOpened(attempt, begun, readNext)
})

/** Reads all services from one context, because one effect per service would cost more (see `bench/ops.ts`). */
const make = (
  context: Context.Context<never>,
  { limits, params }: Message.Request,
  { catalogue: { models }, log }: Place
): Attempt => {
  const clock = Context.get(context, Clock.Clock)
  const call: PolicyCall | undefined = Context.get(context, CallContext.Call)
  const usual = limitsOf(params, call?.silence ?? Infinity, Context.get(context, Streamed))
  const { model } = params
  // A call without a policy makes only one attempt.
  const number = call === undefined ? 1 : Context.get(context, CallContext.AttemptNumber) ?? call.attempt
  const start = clock.currentTimeMillisUnsafe()
  return {
    source: { log, call: call?.id, model },
    number,
    start,
    clock,
    watchdog: Watchdog.make(model, limits, usual),
    accumulator: Accumulator.make({ model, number, start, models }),
    tallies: [Context.get(context, CallContext.Tally), ...spentBy(call)],
    queued: Context.get(context, Queued),
    call,
    params,
    deadline: Context.get(context, CallContext.DeadlineState),
    failure: undefined
  }
}

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

const recordingFailure = <A, R>(attempt: Attempt, self: Effect.Effect<A, ClaudeError, R>) =>
  Effect.mapError(self, (error) => {
    const { accumulator, accumulator: { draft }, clock, params } = attempt
    const unquoted = withoutQuotes(error, params.system, params.messages, draft.begun() && draft.message().content)
    const failure = Accumulator.toAttemptError(accumulator, unquoted, clock.currentTimeMillisUnsafe())
    attempt.failure = failure
    return failure
  })

/** An effect that reads from the wire once. Its list is empty if the read completed no event except pings. */
const nextOf = (attempt: Attempt, { mayEndEarly, read }: Message.Connection) => {
  const { accumulator, clock, watchdog } = attempt
  const take = ({ events }: Message.WireItem): ReadonlyArray<Message.WireEvent> => {
    const taken = Accumulator.take(accumulator, events, clock.currentTimeMillisUnsafe())
    Watchdog.received(watchdog, taken.some(Message.isContent), accumulator.draft.quietWork())
    return taken
  }
  const unexpected = (detail: string) => Effect.fail(Accumulator.unexpected(accumulator, detail))
  // Some gateways omit `message_stop`. With `mayEndEarly`, it is added here to a message with a stop reason.
  const messageStop = Effect.succeed<Message.WireItem>({ bytes: 0, events: [{ type: "message_stop" }] })
  const atEnd = Effect.suspend(() =>
    mayEndEarly === true && accumulator.draft.head().stop_reason !== null
      ? messageStop
      : unexpected("the stream ended before the message was complete")
  )
  const item = Pull.catchDone(read, () => atEnd)
  // The order matters: `limitWait` adds this wait to the idle time, and then `take` resets the idle time to zero.
  const taken = Effect.map(Watchdog.limitWait(watchdog, item), take)
  return recordingFailure(
    attempt,
    // The previous read already returned the events before the contradiction.
    Effect.suspend(() => accumulator.contradiction === undefined ? taken : unexpected(accumulator.contradiction))
  )
}

/** `begun`: the events that were already read. The reader gets them first. */
const toOpened = (
  attempt: Attempt,
  begun: ReadonlyArray<Message.WireEvent>,
  readNext: ReturnType<typeof nextOf>
): Message.Opened => {
  const { accumulator, accumulator: { draft }, clock } = attempt
  let replay = begun
  const next = Effect.flatMap(
    readNext,
    (events): Message.Opened["pull"] => Arr.isReadonlyArrayNonEmpty(events) ? Effect.succeed(events) : pull
  )
  const pull: Message.Opened["pull"] = Effect.suspend(() => {
    const events = replay
    replay = []
    if (Arr.isReadonlyArrayNonEmpty(events)) return Effect.succeed(events)
    // A complete message is unusable if the input of a tool is not a JSON object.
    const unreadable = draft.ended() ? draft.unreadable() : []
    if (unreadable.length > 0) {
      attempt.failure ??= Tools.unreadable(Accumulator.reply(accumulator, clock.currentTimeMillisUnsafe()), unreadable)
    }
    if (attempt.failure !== undefined) return Effect.fail(attempt.failure)
    return draft.ended() ? Cause.done() : next
  })
  return {
    requestId: accumulator.requestId,
    rateLimits: accumulator.rateLimits,
    pull,
    reply: () => Accumulator.reply(accumulator, clock.currentTimeMillisUnsafe()),
    usage: () => draft.head().usage,
    isComplete: () => draft.ended()
  }
}

// -----------------------------------------------------------------------------
// Events
// -----------------------------------------------------------------------------

const started = ({ number, queued, source }: Attempt): Effect.Effect<void> =>
  emit(source, (common) => ({ _tag: "AttemptStarted", ...common, attempt: number, queued: Duration.millis(queued) }))

/** The deadlines that were reached, of the call and of all outer calls. */
const reachedDeadlines = ({ deadline }: Attempt): ReadonlyArray<CallContext.DeadlineState> => {
  const reached: Array<CallContext.DeadlineState> = []
  for (let one = deadline; one !== undefined; one = one.outer) if (one.isReached) reached.push(one)
  return reached
}

/** Saves the content and usage of the attempt for the errors of `deadlines`, of its call, and of all outer calls. */
const saveFor = (
  deadlines: ReadonlyArray<CallContext.DeadlineState>,
  { accumulator, call, clock, number }: Attempt
): void => {
  const about = Accumulator.arrived(accumulator, clock.currentTimeMillisUnsafe())
  for (const one of deadlines) one.interrupted = { attempt: number, about }
  for (let one = call, attempt = number; one !== undefined; one = one.outer, attempt = one?.attempt ?? 0) {
    one.interrupted = { attempt, about }
  }
}

const ended = (attempt: Attempt, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> => {
  const { accumulator, accumulator: { draft, requestId }, number, source, start, tallies, watchdog } = attempt
  const failure = attempt.failure ?? errorOf(exit)
  Watchdog.stop(watchdog)
  Accumulator.count(accumulator, tallies, failure)
  const isInterrupted = failure === undefined && Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)
  const deadlines = isInterrupted ? reachedDeadlines(attempt) : []
  if (deadlines.length > 0) saveFor(deadlines, attempt)
  const logged = emit(source, (common) => {
    const fields = { ...common, attempt: number, requestId, took: Duration.millis(common.at - start) }
    if (failure !== undefined) return { _tag: "AttemptFailed", ...fields, error: failure }
    if (!draft.ended()) {
      const by = deadlines.length > 0 ? "deadline" : isInterrupted ? "interrupt" : "reader"
      return { _tag: "AttemptAbandoned", ...fields, by }
    }
    const { stop_reason: stopReason, usage } = draft.head()
    const timeToFirstToken = Accumulator.timeToFirstToken(accumulator)
    return { _tag: "AttemptSucceeded", ...fields, timeToFirstToken, stopReason, usage }
  })
  const unknown = draft.unknown()
  return unknown === undefined ? logged : Effect.andThen(emit(source, unknownDelta(unknown)), logged)
}

const unknownDelta = (delta: string) =>
  warning(
    "UnknownDelta",
    `Claude sent a part of an answer that this version of resilient-claude does not know, so it may be missing: ${delta}`
  )
