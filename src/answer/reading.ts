/** The state of a stream while it is read, and its attempts. */
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

/** How to request an answer. */
export interface Source {
  readonly send: (request: Request) => Effect.Effect<Opened, ClaudeError, Scope.Scope>
  readonly toRequest: (rest?: Rest.Rest) => Effect.Effect<Prepared, ClaudeError>
  readonly log: CallLog.CallLog
}

/** A stream that is being read. */
export interface Reading extends Source {
  readonly call: Continuation.PolicyCall | undefined
  /** What happens when the answer breaks off. */
  onBreak: CallContext.Call["onBreak"]
  /** The context of the fiber that opened the answer, because another fiber may read it. */
  readonly context: Context.Context<never>
  /** Settles when the reading has ended, with the complete reply or the failure. */
  readonly reply: Deferred.Deferred<Reply, ClaudeError>
  /** The attempt that is being read. */
  part: Part | undefined
  /** The scope of the latest attempt, set before that attempt opens. */
  scope: Scope.Closeable | undefined
  /** The index of the last block whose text the reader got. Its index in the reply may be lower: the reply omits blocks. */
  textAt: number
  /** The failure of the answer, kept even if the reader recovers from it. */
  failure: ClaudeError | undefined
  /** Whether the attempt or its retry died with a defect. */
  hasDied: boolean
  /** Whether the answer was opened and has not been finished. The `ending` of its call, if any, counts it as open. */
  isOpen: boolean
  /** Whether a reader has started. */
  isRead: boolean
  /** Whether the scope of the reader is closed. After that, no request is sent. */
  isClosed: boolean
}

/** One attempt of the answer. */
interface Part {
  readonly opened: Opened
  /** Appends the events of this attempt to the broken answer, if the attempt resumes an answer. */
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

/** The reply so far, joined from the first attempt and the attempts that resumed it. */
export const replyOf = ({ part }: Reading): Reply => {
  // Safe cast: the first attempt is opened before the answer can be read.
  const { opened, resuming } = part as Part
  return resuming === undefined ? opened.reply() : resuming.reply(opened.reply())
}

export const closeScope = ({ scope }: Reading, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  scope === undefined ? Effect.void : Scope.close(scope, exit)

/** Ends the reading: closes the attempt, informs the call once, and settles `reply`. */
export const finish = (reading: Reading, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  Effect.suspend(() => closeScope(reading, exit)).pipe(
    Effect.andThen(Effect.suspend(() => {
      if (!reading.isOpen) return Effect.void
      reading.isOpen = false
      return reading.call?.ending?.read(Exit.isSuccess(exit)) ?? Effect.void
    })),
    Effect.ensuring(Effect.suspend(() => Deferred.done(reading.reply, outcome(reading, exit))))
  )

/** The reply if the answer was read to its end, or else the failure, the defect or the interrupt. */
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

/** The error for an answer that broke off, with the reply so far. */
export const broken = ({ message, model, requestId, text, usage }: Reply, detail: string): PartialAnswer =>
  new PartialAnswer({ model, requestId, usage, text: redact(text), blocks: Redacted.make(message.content), detail })
