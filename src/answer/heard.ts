/** Calls of which a listener is told. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { ClaudeError } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { type Amend, type Ask, type Options, questionOf } from "../request/build.ts"

/** Tells who listens, if anybody does, what is asked, and how that ended. */
export const heard =
  (ask: Ask, options: Options | undefined, amend?: Amend) =>
  <A, R>(self: Effect.Effect<A, ClaudeError, R>): Effect.Effect<A, ClaudeError, R> =>
    Effect.flatMap(Current.Listener, (listener) => {
      if (listener === undefined) return self
      return Effect.flatMap(
        told(listener, ask, options, amend),
        (ended) =>
          Effect.onExit(
            self,
            (exit) =>
              Effect.sync(() =>
                ended(Exit.isSuccess(exit) ? "whole" : Cause.hasInterrupts(exit.cause) ? "left" : "not")
              )
          )
      )
    })

/** Tells what is asked, and gives what is to be told at its end. */
export const told = Effect.fnUntraced(function*(
  listener: Current.Listener,
  ask: Ask,
  options: Options | undefined,
  amend?: Amend
) {
  const question = yield* questionOf(ask, options, amend)
  return listener.asked(question, { tenant: yield* Current.Tenant, call: (yield* Current.Call)?.id })
})
