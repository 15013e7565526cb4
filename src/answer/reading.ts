import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type * as CallContext from "../callContext.ts"
import type * as CallLog from "../CallLog.ts"
import { type ClaudeError, PartialAnswer, redact } from "../ClaudeError.ts"
import type { Opened, Reply, Request } from "../Message.ts"
import type { Prepared } from "../request/build.ts"
import * as Rest from "../request/rest.ts"
import type * as Continuation from "./continuation.ts"
import { Streamed } from "./defaultLimits.ts"
import * as Resuming from "./resumeStream.ts"
import { failureOf } from "./stopReason.ts"

export interface Source {
  readonly send: (request: Request) => Effect.Effect<Opened, ClaudeError, Scope.Scope>
  readonly toRequest: (rest?: Rest.Rest) => Effect.Effect<Prepared, ClaudeError>
  readonly log: CallLog.CallLog
}

/** The state of a streamed answer and of its reader. */
export interface Reading extends Source {
  readonly call: Continuation.PolicyCall | undefined
  /** The value of the policy. When a reader of `text` starts, `restart` becomes `fail`. */
  onBreak: CallContext.Call["onBreak"]
  /** The context of the fiber that opened the answer. Retries need it, because another fiber may read the answer. */
  readonly context: Context.Context<never>
  /** Settles when the reading has ended, with the complete reply or the failure. */
  readonly reply: Deferred.Deferred<Reply, ClaudeError>
  /** The latest attempt that was opened. */
  part: Part | undefined
  /** The scope of the latest attempt, set before that attempt opens. */
  scope: Scope.Closeable | undefined
  /**
   * The index, in the events, of the last block whose text the reader got. The index of this block in the reply may be
   * lower, because the reply may omit earlier blocks.
   */
  textAt: number
  /** The failure of the answer. Not reset if the reader recovers from the failure. */
  failure: ClaudeError | undefined
  /** Whether the attempt or its retry died with a defect. */
  hasDied: boolean
  /** `true` from the opening of the answer until `finish`. During this time, `call.ending` counts the answer as open. */
  isOpen: boolean
  /** Whether a reader has started: `events`, `text`, or `reply` without one of these two. */
  isRead: boolean
  /** Whether the scope in which the answer was opened is closed. After that, no request is sent. */
  isClosed: boolean
}

/** One attempt of the answer. */
interface Part {
  readonly opened: Opened
  readonly resuming: Resuming.Resuming | undefined
}

/** Starts an attempt in its own scope. Sets `reading.scope` before an interrupt is possible, so `finish` can close it. */
export const start = (reading: Reading, broken?: Resuming.Broken): Effect.Effect<Part, ClaudeError> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.suspend(() => {
      if (reading.isClosed) return Effect.interrupt
      const scope = reading.scope = Scope.makeUnsafe()
      return restore(Scope.provide(openPart(reading, broken), scope)).pipe(
        Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void),
        Effect.map((part) => reading.part = part)
      )
    })
  )

const openPart = Effect.fnUntraced(function*({ send, toRequest }: Reading, broken: Resuming.Broken | undefined) {
  const { complete, model, request } = yield* toRequest(broken && { ...Rest.nothing, before: broken.reply })
  const opened = yield* Effect.provideService(send(request), Streamed, true)
  const part: Part = { opened, resuming: broken && Resuming.make(broken, Rest.goesOn(complete.params, model)) }
  return part
})

/** The reply so far. If the latest attempt resumes a broken answer, this includes the broken answer. */
export const replyOf = ({ part }: Reading): Reply => {
  // Safe cast: the first attempt is opened before the answer can be read.
  const { opened, resuming } = part as Part
  return resuming === undefined ? opened.reply() : resuming.reply(opened.reply())
}

export const closeScope = ({ scope }: Reading, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  scope === undefined ? Effect.void : Scope.close(scope, exit)

/** May run several times: only the first run informs the call and settles `reply`. */
export const finish = (reading: Reading, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  Effect.suspend(() => closeScope(reading, exit)).pipe(
    Effect.andThen(Effect.suspend(() => {
      if (!reading.isOpen) return Effect.void
      reading.isOpen = false
      return reading.call?.ending?.read(Exit.isSuccess(exit)) ?? Effect.void
    })),
    Effect.ensuring(Effect.suspend(() => Deferred.done(reading.reply, outcome(reading, exit))))
  )

const outcome = (reading: Reading, exit: Exit.Exit<unknown, unknown>): Exit.Exit<Reply, ClaudeError> => {
  const { failure, hasDied, isClosed, part } = reading
  if (failure !== undefined) return Exit.fail(failure)
  if (hasDied && Exit.isFailure(exit)) return Exit.die(Cause.squash(exit.cause))
  if (part === undefined) return Exit.interrupt()
  const reply = replyOf(reading)
  if (!part.opened.isComplete()) {
    return isClosed
      ? Exit.interrupt()
      : Exit.fail(broken(reply, "the reader stopped early"))
  }
  const error = failureOf(reply, "content")
  return error === undefined ? Exit.succeed(reply) : Exit.fail(error)
}

export const broken = ({ message, model, requestId, text, usage }: Reply, detail: string): PartialAnswer =>
  new PartialAnswer({ model, requestId, usage, text: redact(text), blocks: Redacted.make(message.content), detail })
