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
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as CallLog from "../CallLog.ts"
import * as ClaudeError from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import type { Event, RateLimits, Reply, Request } from "../Message.ts"
import { accept } from "./accept.ts"
import type { Opened } from "./attempt.ts"

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
  readonly scope: Scope.Closeable
}

/** Opens an answer in the scope of its reader, who says whether it can be told that the answer begins anew. */
export const open = Effect.fnUntraced(function*(
  send: (request: Request) => Effect.Effect<Opened, ClaudeError.ClaudeError, Scope.Scope>,
  toRequest: Effect.Effect<Request, ClaudeError.ClaudeError>,
  log: CallLog.CallLog,
  mayRestart: boolean,
  ended: ((how: "whole" | "not" | "left") => void) | undefined
): Effect.fn.Return<Answer, ClaudeError.ClaudeError, Scope.Scope> {
  const call = yield* Current.Call
  const reopen = mayRestart ? call?.reopen : undefined
  const context = yield* Effect.context()

  let how: "whole" | "not" | "left" = "not"
  if (ended !== undefined) yield* Effect.addFinalizer(() => Effect.sync(() => ended(how)))
  let current: Reading | undefined
  const leave = (exit: Exit.Exit<unknown, unknown>) =>
    Effect.suspend(() => current === undefined ? Effect.void : Scope.close(current.scope, exit))
  // The backstop of an answer that nobody reads to its end.
  yield* Effect.addFinalizer(() => leave(Exit.interrupt()))

  /** One attempt, in a scope of its own, which is known to the backstop before anything can interrupt. */
  const start: Effect.Effect<Reading, ClaudeError.ClaudeError> = Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(
      Scope.make(),
      (scope) =>
        restore(Effect.flatMap(toRequest, (request) => Scope.provide(send(request), scope))).pipe(
          Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void),
          Effect.map((opened): Reading => current = { opened, scope })
        )
    )
  )
  const first = yield* start
  how = "left"
  const opened = () => (current ?? first).opened

  /** Begins anew, if the policy wants it; else the break is final. */
  const broke = (
    broken: ClaudeError.ClaudeError
  ): Pull.Pull<Arr.NonEmptyReadonlyArray<Event>, ClaudeError.ClaudeError> =>
    reopen === undefined
      ? Effect.fail(broken)
      : Effect.uninterruptibleMask((restore) =>
        leave(Exit.fail(broken)).pipe(
          Effect.andThen(restore(Effect.provideContext(reopen(broken, start), context))),
          Effect.flatMap((reading) => {
            const event = { type: "restarted", attempt: reading.opened.reply().attempt, because: broken._tag } as const
            return Effect.as(told(broken, event.attempt), Arr.of(event))
          })
        )
      )

  const told = (error: ClaudeError.ClaudeError, attempt: number) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (at) => log.emit({ _tag: "Restarted", at, call: call?.id, model: opened().reply().model, attempt, error })
    )

  const pull: Pull.Pull<Arr.NonEmptyReadonlyArray<Event>, ClaudeError.ClaudeError> = Effect.suspend(() =>
    Effect.catch(opened().pull, (error): typeof pull => {
      how = "not"
      return Cause.isDone(error)
        ? Effect.andThen(accept(opened().reply(), "content", log), Effect.suspend(whole))
        : broke(error)
    })
  )

  const whole = () => {
    how = "whole"
    return Cause.done()
  }

  return {
    requestId: first.opened.requestId,
    rateLimits: first.opened.rateLimits,
    events: Stream.onExit(Stream.fromPull(Effect.succeed(pull)), (exit) => leave(verdict(exit))),
    reply: Effect.sync(() => opened().reply())
  }
})

/** How an answer ended, from how its reading did: what fails in the reader is not the model's failure. */
const verdict = (exit: Exit.Exit<unknown, unknown>): Exit.Exit<void, ClaudeError.ClaudeError> => {
  if (Exit.isSuccess(exit)) return Exit.void
  const error = Cause.findErrorOption(exit.cause)
  if (error._tag === "Some" && ClaudeError.is(error.value)) return Exit.fail(error.value)
  return Cause.hasInterrupts(exit.cause) ? Exit.interrupt() : Exit.void
}
