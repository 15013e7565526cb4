/**
 * Opens an answer that is read as a stream.
 *
 * An answer can be read once, as `events` or as `text`: `reply` waits for this
 * reader, or reads the answer itself. For the call, a failed answer stays a failure
 * even if its reader recovers from the error. An answer whose reader stops early is
 * a success. An answer that is never read, or whose reader is interrupted, is
 * neither a success nor a failure.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { isString } from "effect/Predicate"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import * as CallContext from "../callContext.ts"
import type * as ClaudeError from "../ClaudeError.ts"
import { emit } from "../emit.ts"
import * as History from "../history.ts"
import type { Answer, Event, Reply, Restarted, Resumed, WireEvent } from "../Message.ts"
import type * as Continuation from "./continuation.ts"
import { broken, closeScope, finish, type Reading, replyOf, type Source, start } from "./reading.ts"
import * as Resuming from "./resumeStream.ts"
import { accept } from "./stopReason.ts"

/** Opens an answer, which ends at the latest when the caller's scope closes. */
export const open = Effect.fnUntraced(function*(source: Source) {
  const call: Continuation.PolicyCall | undefined = yield* CallContext.Call
  const reading: Reading = {
    ...source,
    call,
    onBreak: call?.onBreak ?? "fail",
    context: yield* Effect.context<never>(),
    reply: Deferred.makeUnsafe(),
    part: undefined,
    scope: undefined,
    textAt: 0,
    failure: undefined,
    hasDied: false,
    isOpen: false,
    isRead: false,
    isClosed: false
  }
  // For an answer that is not read to its end. After the end, `finish` has no effect.
  yield* Effect.addFinalizer(() => {
    reading.isClosed = true
    return finish(reading, Exit.interrupt())
  })
  const { opened: { rateLimits, requestId } } = yield* start(reading)
  reading.isOpen = true
  call?.ending?.opened()
  const answer: Answer = {
    requestId,
    rateLimits,
    events: read(reading, reading.onBreak),
    text: Stream.filter(Stream.map(read(reading, onBreakOfText(reading.onBreak)), textOf), (piece) => piece !== ""),
    reply: completeReply(reading)
  }
  return answer
})

/** A stream of plain text cannot announce a restart, so it fails instead. */
const onBreakOfText = (onBreak: Reading["onBreak"]): Reading["onBreak"] => onBreak === "restart" ? "fail" : onBreak

const textOf = (event: Event) =>
  event.type === "content_block_delta" && event.delta.type === "text_delta" ? event.delta.text : ""

/** Records the last block whose text the reader gets: a resumed answer continues that block. */
const note = (reading: Reading, events: ReadonlyArray<WireEvent>): void => {
  for (const event of events) {
    if (event.type === "content_block_delta" && textOf(event) !== "") {
      reading.textAt = Math.max(reading.textAt, event.index)
    }
  }
}

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

type Pulled = Pull.Pull<Arr.NonEmptyReadonlyArray<Event>, ClaudeError.ClaudeError>

/** A second reader dies with a defect, because it would take events from the first reader. */
const read = (reading: Reading, onBreak: Reading["onBreak"]): Answer["events"] =>
  Stream.suspend(() => {
    let isOurs = false
    const claimed = Effect.suspend(() => {
      if (reading.isRead) {
        return Effect.die(new Error("This answer has already been read: an answer can be read only once."))
      }
      isOurs = reading.isRead = true
      reading.onBreak = onBreak
      return Effect.succeed(pull(reading))
    })
    return Stream.onExit(
      Stream.fromPull(claimed),
      (exit) => isOurs ? finish(reading, verdict(reading, exit)) : Effect.void
    )
  })

/** If no reader has started, reads the answer to its end. */
const completeReply = (reading: Reading): Answer["reply"] =>
  Effect.uninterruptibleMask((restore) => {
    const ended = restore(Deferred.await(reading.reply))
    if (reading.isRead) return ended
    reading.isRead = true
    return restore(Stream.runDrain(Stream.fromPull(Effect.succeed(pull(reading))))).pipe(
      Effect.onExit((exit) => finish(reading, verdict(reading, exit))),
      Effect.andThen(ended)
    )
  })

const pull = (reading: Reading): Pulled => {
  const onSuccess = (events: Arr.NonEmptyReadonlyArray<WireEvent>): Pulled => {
    const taken = reading.part?.resuming === undefined ? events : reading.part.resuming.take(events)
    if (taken === undefined) {
      const detail = "the continuation does not repeat the last words of the text, so it was discarded"
      return onBroken(reading, broken(replyOf(reading), detail))
    }
    if (reading.onBreak === "resume") note(reading, taken)
    return Arr.isReadonlyArrayNonEmpty(taken) ? Effect.succeed(taken) : next
  }
  const onFailure = (error: ClaudeError.ClaudeError | Cause.Done): Pulled => {
    if (reading.isClosed) return Effect.interrupt
    return Cause.isDone(error) ? atEnd(reading) : onBroken(reading, error)
  }
  // A pull must be cheap, because it runs for each socket read. So this effect is built only after a failure.
  const onCause = (cause: Cause.Cause<ClaudeError.ClaudeError | Cause.Done>): Pulled => {
    reading.hasDied = Cause.hasDies(cause)
    return Effect.matchEffect(Effect.failCause(cause), { onFailure, onSuccess })
  }
  const next: Pulled = Effect.suspend(() =>
    reading.isClosed || reading.part === undefined
      ? Effect.interrupt
      : Effect.matchCauseEffect(reading.part.opened.pull, { onFailure: onCause, onSuccess })
  )
  return next
}

const atEnd = (reading: Reading): Pulled =>
  Effect.matchEffect(accept(replyOf(reading), "content", reading.log), {
    onFailure: (error) => failFinally(reading, error),
    onSuccess: () => Cause.done()
  })

const onBroken = (reading: Reading, error: ClaudeError.ClaudeError): Pulled => {
  const { call, context, onBreak } = reading
  const reopen = call?.reopen
  if (reopen === undefined || onBreak === "fail") return failFinally(reading, error)
  const rest = onBreak === "resume" ? Resuming.from(replyOf(reading), reading.textAt) : undefined
  if (isString(rest)) {
    const cause = error.detail === undefined ? "" : `: ${error.detail}`
    return failFinally(reading, History.copy(error, { detail: `the answer cannot be resumed (${rest})${cause}` }))
  }
  return Effect.uninterruptibleMask((restore) =>
    closeScope(reading, Exit.fail(error)).pipe(
      Effect.andThen(restore(Effect.provideContext(reopen(error, start(reading, rest)), context))),
      Effect.mapError((last) => reading.failure = last),
      Effect.tapDefect(() => Effect.sync(() => reading.hasDied = true)),
      Effect.flatMap(({ opened }) => reopened(reading, error, opened.reply(), rest))
    )
  )
}

const reopened = (
  reading: Reading,
  error: ClaudeError.ClaudeError,
  { attempt, model }: Reply,
  rest: Resuming.Broken | undefined
) => {
  const event: Restarted | Resumed = rest === undefined
    ? { type: "restarted", attempt, because: error._tag }
    : { type: "resumed", index: rest.index, attempt, because: error._tag }
  const logged = emit({ log: reading.log, call: reading.call?.id, model }, (common) => ({
    _tag: rest === undefined ? "Restarted" : "Resumed",
    ...common,
    attempt,
    error
  }))
  return Effect.as(logged, Arr.of(event))
}

/** Fails the answer, and also its call if the policy of the call has finished. */
const failFinally = (reading: Reading, error: ClaudeError.ClaudeError): Pulled => {
  reading.failure = error
  return closeScope(reading, Exit.fail(error)).pipe(
    Effect.andThen(reading.call?.ending?.broke(error) ?? Effect.succeed(error)),
    Effect.flatMap((explained) => {
      reading.failure = explained
      return Effect.fail(explained)
    })
  )
}

/** An error that the reader itself raises is not a failure of the answer. */
const verdict = (
  { failure, hasDied }: Reading,
  exit: Exit.Exit<unknown, unknown>
): Exit.Exit<unknown, unknown> =>
  hasDied
    ? exit
    : failure !== undefined
    ? Exit.fail(failure)
    : Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)
    ? Exit.interrupt()
    : Exit.void
