/**
 * An answer that is read while it is written.
 *
 * It owns the scope of its attempt, and closes it with how the reading ended,
 * at once and exactly once: a broken answer that its reader recovers from is
 * still a broken answer. Leaving after content is a success; an answer that is
 * never read says nothing.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { isString } from "effect/Predicate"
import type * as Pull from "effect/Pull"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as CallContext from "../callContext.ts"
import * as ClaudeError from "../ClaudeError.ts"
import { emit } from "../emit.ts"
import * as History from "../history.ts"
import type { Event, RateLimits, Reply, Restarted, Resumed, WireEvent } from "../Message.ts"
import type * as Continuation from "./continuation.ts"
import { closeScope, finish, type Reading, replyOf, type Source, start } from "./reading.ts"
import * as Resuming from "./resumeStream.ts"
import { accept } from "./stopReason.ts"

/** An answer that has begun. */
export interface Answer {
  readonly requestId: string | undefined
  readonly rateLimits: RateLimits
  /** From the first event on, once. Ends at `message_stop`; fails if the answer breaks off, or is none (`Refused`, `Truncated` …). */
  readonly events: Stream.Stream<Event, ClaudeError.ClaudeError>
  /** What has been read so far. */
  readonly reply: Effect.Effect<Reply>
}

/** Opens an answer in the scope of its reader. */
export const open = Effect.fnUntraced(function*(source: Source) {
  const call: Continuation.PolicyCall | undefined = yield* CallContext.Call
  const onBreak = call?.onBreak ?? "fail"
  const reading: Reading = {
    ...source,
    call,
    onBreak: onBreak === "restart" && !source.mayRestart ? "fail" : onBreak,
    context: yield* Effect.context<never>(),
    part: undefined,
    scope: undefined,
    failure: undefined,
    hasDied: false,
    isOpen: false,
    isClosed: false
  }
  // For an answer that nobody reads to its end.
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
    events: readOnce(reading),
    reply: Effect.sync(() => replyOf(reading))
  }
  return answer
})

// -----------------------------------------------------------------------------
// Reading
// -----------------------------------------------------------------------------

type Pulled = Pull.Pull<Arr.NonEmptyReadonlyArray<Event>, ClaudeError.ClaudeError>

/** What it would take from a second reader belongs to the one that is there, or was. */
const readOnce = (reading: Reading): Answer["events"] => {
  let wasRead = false
  return Stream.suspend(() => {
    if (wasRead) return Stream.die(new Error("The events of an answer can be read once, and were read before."))
    wasRead = true
    return Stream.onExit(
      Stream.fromPull(Effect.succeed(pull(reading))),
      (exit) => finish(reading, verdict(reading, exit))
    )
  })
}

const pull = (reading: Reading): Pulled => {
  const onSuccess = (events: Arr.NonEmptyReadonlyArray<WireEvent>): Pulled => {
    const taken = reading.part?.resuming === undefined ? events : reading.part.resuming.take(events)
    if (taken === undefined) return onBroken(reading, misfit(replyOf(reading)))
    return Arr.isReadonlyArrayNonEmpty(taken) ? Effect.succeed(taken) : next
  }
  const onFailure = (error: ClaudeError.ClaudeError | Cause.Done): Pulled => {
    if (reading.isClosed) return Effect.interrupt
    return Cause.isDone(error) ? atEnd(reading) : onBroken(reading, error)
  }
  // Once for every read of the socket: what is for a failure is made when there is one.
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

/** All of it was read: it may still be no answer. */
const atEnd = (reading: Reading): Pulled =>
  Effect.matchEffect(accept(replyOf(reading), "content", reading.log), {
    onFailure: (error) => failFinally(reading, error),
    onSuccess: () => Cause.done()
  })

/** Begins anew or goes on, if the policy wants it; else the break is final. */
const onBroken = (reading: Reading, broken: ClaudeError.ClaudeError): Pulled => {
  const { call, context, onBreak } = reading
  const reopen = call?.reopen
  if (reopen === undefined || onBreak === "fail") return failFinally(reading, broken)
  const rest = onBreak === "resume" ? Resuming.from(replyOf(reading)) : undefined
  if (isString(rest)) return failFinally(reading, History.copy(broken, { detail: `it cannot be resumed: ${rest}` }))
  return Effect.uninterruptibleMask((restore) =>
    closeScope(reading, Exit.fail(broken)).pipe(
      Effect.andThen(restore(Effect.provideContext(reopen(broken, start(reading, rest)), context))),
      Effect.mapError((error) => reading.failure = error),
      Effect.tapDefect(() => Effect.sync(() => reading.hasDied = true)),
      Effect.flatMap(({ opened }) => reopened(reading, broken, opened.reply(), rest))
    )
  )
}

/** Tells log and reader that the answer begins anew, or goes on. */
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

/** The answer has failed, and so has its call, if that was waiting for it. */
const failFinally = (reading: Reading, error: ClaudeError.ClaudeError): Pulled => {
  reading.failure = error
  return Effect.flatMap(
    closeScope(reading, Exit.fail(error)),
    () => Effect.flatMap(reading.call?.ending?.broke(error) ?? Effect.succeed(error), Effect.fail)
  )
}

/** A further request that does not go on from what there is: nothing of it is shown. */
const misfit = ({ message, model, requestId, text, usage }: Reply): ClaudeError.PartialAnswer =>
  new ClaudeError.PartialAnswer({
    model,
    requestId,
    usage,
    text: ClaudeError.redact(text),
    blocks: Redacted.make(message.content),
    detail: "the continuation does not begin where the answer broke off"
  })

/** How an answer ended, from how its reading did: what fails in the reader is not the model's failure. */
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
