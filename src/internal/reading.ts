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
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { isString } from "effect/Predicate"
import type * as Pull from "effect/Pull"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as CallLog from "../CallLog.ts"
import * as ClaudeError from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import type { Event, RateLimits, Reply, Request, Restarted, Resumed, WireEvent } from "../Message.ts"
import { accept } from "./accept.ts"
import * as History from "./history.ts"
import type { Opened } from "./opening.ts"
import type { Prepared } from "./request.ts"
import * as Resuming from "./resuming.ts"
import { Streamed } from "./silence.ts"
import * as Unfinished from "./unfinished.ts"

/** An answer that has begun. */
export interface Answer {
  readonly requestId: string | undefined
  readonly rateLimits: RateLimits
  /** From the first event on, once. Ends at `message_stop`; fails if the answer breaks off, or is none (`Refused`, `Truncated` …). */
  readonly events: Stream.Stream<Event, ClaudeError.ClaudeError>
  /** What has been read so far. */
  readonly reply: Effect.Effect<Reply>
}

interface Reading {
  readonly opened: Opened
  /** Puts it in the place of what did not come, if it goes on from a break. */
  readonly resuming: Resuming.Resuming | undefined
}

/** Opens an answer in the scope of its reader, who says whether it can be told that the answer begins anew. */
export const open = Effect.fnUntraced(function*(
  send: (request: Request) => Effect.Effect<Opened, ClaudeError.ClaudeError, Scope.Scope>,
  toRequest: (rest?: Unfinished.Rest) => Effect.Effect<Prepared, ClaudeError.ClaudeError>,
  log: CallLog.CallLog,
  mayRestart: boolean,
  ended: ((how: "whole" | "not" | "left") => void) | undefined
): Effect.fn.Return<Answer, ClaudeError.ClaudeError, Scope.Scope> {
  const call: Unfinished.Finishing | undefined = yield* Current.Call
  const onBreak = call?.onBreak === "restart" && !mayRestart ? "fail" : call?.onBreak ?? "fail"
  const context = yield* Effect.context()

  let how: "whole" | "not" | "left" = "not"
  if (ended !== undefined) yield* Effect.addFinalizer(() => Effect.sync(() => ended(how)))
  let current: Reading | undefined
  let scope: Scope.Closeable | undefined
  const leave = (exit: Exit.Exit<unknown, unknown>) =>
    Effect.suspend(() => scope === undefined ? Effect.void : Scope.close(scope, exit))
  let isEnded = true
  const end = (exit: Exit.Exit<unknown, unknown>) =>
    Effect.flatMap(leave(exit), () => {
      if (isEnded) return Effect.void
      isEnded = true
      return call?.ending?.read(Exit.isSuccess(exit)) ?? Effect.void
    })
  // The backstop of an answer that nobody reads to its end. Nothing is asked after it, whoever reads still.
  let isClosed = false
  yield* Effect.addFinalizer(() => {
    isClosed = true
    return end(Exit.interrupt())
  })

  /** One attempt, in a scope of its own, which is known to the backstop before anything can interrupt. */
  const start = (broken?: Resuming.Broken): Effect.Effect<Reading, ClaudeError.ClaudeError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(
        Effect.suspend(() => isClosed ? Effect.interrupt : Effect.succeed(scope = Scope.makeUnsafe())),
        (scope) =>
          restore(Effect.flatMap(
            toRequest(broken && { ...Unfinished.nothing, before: broken.reply }),
            ({ model, request, whole }) =>
              Effect.map(Scope.provide(Effect.provideService(send(request), Streamed, true), scope), (opened) => {
                const goesOn = Unfinished.goesOn(whole.params, model)
                return { opened, resuming: broken && Resuming.make(broken, goesOn) }
              })
          )).pipe(
            Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void),
            Effect.map((reading): Reading => current = reading)
          )
      )
    )
  const first = yield* start()
  how = "left"
  isEnded = false
  call?.ending?.opened()
  const now = () => current ?? first
  const reply = () => {
    const { opened, resuming } = now()
    return resuming === undefined ? opened.reply() : resuming.reply(opened.reply())
  }

  /** Begins anew or goes on, if the policy wants it; else the break is final. */
  const broke = (broken: ClaudeError.ClaudeError): Pulled => {
    const reopen = call?.reopen
    if (reopen === undefined || onBreak === "fail") return final(broken)
    const rest = onBreak === "resume" ? Resuming.from(reply()) : undefined
    if (isString(rest)) return final(History.copy(broken, { detail: `it cannot be resumed: ${rest}` }))
    return Effect.uninterruptibleMask((restore) =>
      leave(Exit.fail(broken)).pipe(
        Effect.andThen(restore(Effect.provideContext(reopen(broken, start(rest)), context))),
        Effect.mapError((error) => failure = error),
        Effect.flatMap(({ opened }) => {
          const common = { attempt: opened.reply().attempt, because: broken._tag }
          const event: Restarted | Resumed = rest === undefined
            ? { type: "restarted", ...common }
            : { type: "resumed", index: rest.index, ...common }
          const tag = rest === undefined ? "Restarted" : "Resumed"
          return Effect.as(told(tag, broken, event.attempt), Arr.of(event))
        })
      )
    )
  }

  const told = (tag: "Restarted" | "Resumed", error: ClaudeError.ClaudeError, attempt: number) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (at) => log.emit({ _tag: tag, at, call: call?.id, model: now().opened.reply().model, attempt, error })
    )

  /** What the answer failed with, whatever its reader does about it, or fails with. */
  let failure: ClaudeError.ClaudeError | undefined
  const final = (error: ClaudeError.ClaudeError): Pulled =>
    Effect.flatMap(
      leave(Exit.fail(failure = error)),
      () => Effect.flatMap(call?.ending?.broke(error) ?? Exit.succeed(error), Effect.fail)
    )

  const onFailure = (error: ClaudeError.ClaudeError | Cause.Done): Pulled => {
    how = "not"
    if (isClosed) return Effect.interrupt
    return Cause.isDone(error)
      ? Effect.matchEffect(accept(reply(), "content", log), { onFailure: final, onSuccess: whole })
      : broke(error)
  }
  const onSuccess = (events: Arr.NonEmptyReadonlyArray<WireEvent>): Pulled => {
    const { resuming } = now()
    const taken = resuming === undefined ? events : resuming.take(events)
    if (taken === undefined) return broke(misfit(reply()))
    return Arr.isReadonlyArrayNonEmpty(taken) ? Effect.succeed(taken) : pull
  }
  // For every read of the socket, so that all of it is made once, and what is for a failure when there is one.
  const onCause = (cause: Cause.Cause<ClaudeError.ClaudeError | Cause.Done>): Pulled =>
    Effect.matchEffect(Effect.failCause(cause), { onFailure, onSuccess })
  const pull: Pulled = Effect.suspend(() =>
    isClosed ? Effect.interrupt : Effect.matchCauseEffect(now().opened.pull, { onFailure: onCause, onSuccess })
  )

  const whole = () => {
    how = "whole"
    return Cause.done()
  }

  let wasRead = false
  const events = Stream.suspend(() => {
    // What it would take belongs to the reader that is there, or was.
    if (wasRead) return Stream.die(new Error("The events of an answer can be read once, and were read before."))
    wasRead = true
    return Stream.onExit(Stream.fromPull(Effect.succeed(pull)), (exit) => end(verdict(exit, failure)))
  })

  return {
    requestId: first.opened.requestId,
    rateLimits: first.opened.rateLimits,
    events,
    reply: Effect.sync(reply)
  }
})

type Pulled = Pull.Pull<Arr.NonEmptyReadonlyArray<Event>, ClaudeError.ClaudeError>

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
  exit: Exit.Exit<unknown, unknown>,
  failure: ClaudeError.ClaudeError | undefined
): Exit.Exit<void, ClaudeError.ClaudeError> =>
  failure !== undefined
    ? Exit.fail(failure)
    : Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)
    ? Exit.interrupt()
    : Exit.void
