/** An answer that is being read, and the attempts it is read from. */
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

/** What is opened, and how. */
export interface Source {
  readonly send: (request: Request) => Effect.Effect<Opened, ClaudeError, Scope.Scope>
  readonly toRequest: (rest?: Rest.Rest) => Effect.Effect<Prepared, ClaudeError>
  readonly log: CallLog.CallLog
}

/** An answer that is being read. */
export interface Reading extends Source {
  readonly call: Continuation.PolicyCall | undefined
  /** What happens at a break. Whoever reads text is not told that it begins anew, so that it must not. */
  onBreak: CallContext.Call["onBreak"]
  /** Where it was opened: it may be read anywhere. */
  readonly context: Context.Context<never>
  /** The complete reply, or why there is none. Known when the reading has ended. */
  readonly reply: Deferred.Deferred<Reply, ClaudeError>
  /** The attempt that is read, and the scope of the last one, which is known before it is opened. */
  part: Part | undefined
  scope: Scope.Closeable | undefined
  /** What it failed with, whatever its reader makes of that. */
  failure: ClaudeError | undefined
  /** Whether what it was read from has died, which is no success of anybody's. */
  hasDied: boolean
  /** Whether its call still has to learn that it is not read any more. */
  isOpen: boolean
  /** Whether somebody reads it, or has. */
  isRead: boolean
  /** Whether the scope of the reader is closed: nothing is asked after that, whoever reads still. */
  isClosed: boolean
}

/** One attempt of it. */
interface Part {
  readonly opened: Opened
  /** Puts it in the place of what did not come, if it goes on from a break. */
  readonly resuming: Resuming.Resuming | undefined
}

/** One attempt, in a scope of its own, which is known to the reading before anything can interrupt. */
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

/** What has been read so far, over all attempts that go on from each other. */
export const replyOf = ({ part }: Reading): Reply => {
  // Nobody has an answer before its first attempt is open.
  const { opened, resuming } = part as Part
  return resuming === undefined ? opened.reply() : resuming.reply(opened.reply())
}

export const closeScope = ({ scope }: Reading, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  scope === undefined ? Effect.void : Scope.close(scope, exit)

/** It is not read any more: its attempt ends, and its call learns of it, and who waits for the reply, once. */
export const finish = (reading: Reading, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
  Effect.suspend(() => closeScope(reading, exit)).pipe(
    Effect.andThen(Effect.suspend(() => {
      if (!reading.isOpen) return Effect.void
      reading.isOpen = false
      return reading.call?.ending?.read(Exit.isSuccess(exit)) ?? Effect.void
    })),
    Effect.ensuring(Effect.suspend(() => Deferred.done(reading.reply, outcome(reading, exit))))
  )

/** The reply, if the reading has come to the end of the answer; else why it has not. */
const outcome = (reading: Reading, exit: Exit.Exit<unknown, unknown>): Exit.Exit<Reply, ClaudeError> => {
  const { failure, hasDied, isClosed, part } = reading
  if (failure !== undefined) return Exit.fail(failure)
  if (hasDied && Exit.isFailure(exit)) return Exit.die(Cause.squash(exit.cause))
  if (part === undefined) return Exit.interrupt()
  const reply = replyOf(reading)
  if (!part.opened.isComplete()) return isClosed ? Exit.interrupt() : Exit.fail(broken(reply, "its reader has left"))
  const error = failureOf(reply, "content")
  return error === undefined ? Exit.succeed(reply) : Exit.fail(error)
}

/** An answer of which there is no more than this. */
export const broken = ({ message, model, requestId, text, usage }: Reply, detail: string): PartialAnswer =>
  new PartialAnswer({ model, requestId, usage, text: redact(text), blocks: Redacted.make(message.content), detail })
