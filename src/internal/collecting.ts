/** An answer that is asked for and read to its end, piece by piece where it stops half-way. */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Pull from "effect/Pull"
import type * as CallLog from "../CallLog.ts"
import type { ClaudeError } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import type { Reply } from "../Message.ts"
import { failureOf, fruitless, type Wanted, warnOfUnknown } from "./accept.ts"
import * as Eager from "./eager.ts"
import * as Opening from "./opening.ts"
import { recovered } from "./recovered.ts"
import { type Amend, type Ask, type Options, type Prepared, requested } from "./request.ts"
import * as Unfinished from "./unfinished.ts"

/** The service that is asked. */
export interface Service extends Opening.Service {
  readonly log: CallLog.CallLog
}

/** A class, because it is made for every call. `taken` is what is wanted of the answer. */
export class Collecting<A> {
  readonly claude: Service
  readonly ask: Ask
  readonly options: Options | undefined
  readonly wanted: Wanted
  readonly amend: Amend | undefined
  readonly taken: (reply: Reply) => A
  /** What was not an answer last, and what there is of it. */
  last: { readonly error: ClaudeError; readonly stopped: Unfinished.Stopped } | undefined

  constructor(
    claude: Service,
    ask: Ask,
    options: Options | undefined,
    wanted: Wanted,
    amend: Amend | undefined,
    taken: (reply: Reply) => A
  ) {
    this.claude = claude
    this.ask = ask
    this.options = options
    this.wanted = wanted
    this.amend = amend
    this.taken = taken
  }

  /** All of it, or the rest. */
  asked(
    fiber: Fiber.Fiber<unknown, unknown>,
    rest: Unfinished.Rest | undefined
  ): Effect.Effect<A, ClaudeError> {
    const { amend, ask, claude, options } = this
    return requested(fiber, ask, options, amend, rest, (prepared) => {
      const opening = Opening.of(claude, prepared.request, fiber)
      return Effect.onExitPrimitive(
        Effect.suspend(() => Effect.flatMap(opening.open(), (opened) => this.read(opened, prepared, rest))),
        (exit) => Eager.left(opening.end(exit))
      )
    })
  }

  read(
    opened: Opening.Collectable,
    prepared: Prepared,
    rest: Unfinished.Rest | undefined
  ): Effect.Effect<A, ClaudeError> {
    const ended = drained(opened)
    return ended === Exit.void
      ? this.judge(prepared, rest ?? Unfinished.nothing, opened.reply())
      : Effect.flatMap(ended, () => this.judge(prepared, rest ?? Unfinished.nothing, opened.reply()))
  }

  /** Whether it is an answer, with what was there before it. */
  judge(
    { model, whole: { params } }: Prepared,
    rest: Unfinished.Rest,
    piece: Reply
  ): Effect.Effect<A, ClaudeError> {
    const { before } = rest
    const reply = before === undefined ? piece : Unfinished.join(before, piece, Unfinished.goesOn(params, model))
    const error = (before && fruitless(before, piece)) ?? failureOf(reply, this.wanted)
    if (error === undefined) {
      const told = warnOfUnknown(reply, this.claude.log)
      return told === undefined ? Exit.succeed(this.taken(reply)) : Effect.as(told, this.taken(reply))
    }
    this.last = { error, stopped: { params, model, reply, rest } }
    return Effect.fail(error)
  }

  /** Where a policy wants it, what stopped half-way is asked for to its end. */
  answer(fiber: Fiber.Fiber<unknown, unknown>): Effect.Effect<A, ClaudeError> {
    const call: Unfinished.Finishing | undefined = fiber.getRef(Current.Call)
    const first = this.asked(fiber, undefined)
    return call?.finish === undefined ? first : Effect.catchCause(first, (cause) => this.finished(cause, call))
  }

  finished(cause: Cause.Cause<ClaudeError>, call: Unfinished.Finishing): Effect.Effect<A, ClaudeError> {
    const question: Unfinished.Question<A, never> = {
      ask: (rest) => Effect.withFiber((fiber) => this.asked(fiber, rest)),
      stopped: (error) => this.last?.error === error ? this.last.stopped : undefined
    }
    return recovered(cause, (error) => call.finish?.(error, question) ?? Effect.fail(error))
  }
}

/** Reads what nobody looks at while it comes. A plain loop: a `Stream` would cost more than all policies together. */
const drained = (opened: Opening.Collectable): Effect.Effect<void, ClaudeError> => {
  if (opened.toEnd !== undefined) return opened.toEnd()
  const loop: Effect.Effect<void, ClaudeError> = Effect.matchCauseEffect(opened.pull, {
    onSuccess: () => loop,
    onFailure: (cause) => Pull.catchDone(Effect.failCause(cause), () => Effect.void)
  })
  return loop
}
