import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { PolicyCall } from "../answer/continuation.ts"
import * as CallContext from "../callContext.ts"
import { DeadlineExceeded } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { within } from "../within.ts"
import * as DeadlineState from "./deadlineState.ts"

/**
 * Interrupts `self` at `deadline`, in milliseconds since the epoch. If this time has passed already, `self` does not run.
 * Inside `self`, `Current.Deadline` is `deadline`.
 */
export const until = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  deadline: number,
  exceeded: (millis: number) => DeadlineExceeded
): Effect.Effect<A, E | DeadlineExceeded, R> =>
  Effect.contextWith((context: Context.Context<R>) => {
    const left = deadline - Context.get(context, Clock.Clock).currentTimeMillisUnsafe()
    if (left <= 0) return Effect.fail(exceeded(left))
    const state = DeadlineState.make(Context.get(context, CallContext.DeadlineState))
    const own: PolicyCall | undefined = Context.get(context, CallContext.Call)
    const inside = Effect.updateContext(self, (context: Context.Context<R>) =>
      context.pipe(Context.add(Current.Deadline, deadline), Context.add(CallContext.DeadlineState, state)))
    return within(
      inside,
      left,
      () =>
        DeadlineState.tell(state, exceeded(left), own?.ending),
      undefined,
      () =>
        state.isReached = true
    )
  })

/** Ends `self` after `length` milliseconds, or at an earlier outer deadline. */
export const overall = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  length: number
): Effect.Effect<A, E | DeadlineExceeded, R> =>
  Effect.contextWith((context: Context.Context<R>) => {
    const own = Context.get(context, Clock.Clock).currentTimeMillisUnsafe() + length
    const outer = Context.get(context, Current.Deadline)
    return own <= outer ? until(self, own, () => exceededAfter(length)) : until(self, outer, exceededAfter)
  })

const exceededAfter = (millis: number): DeadlineExceeded =>
  new DeadlineExceeded({ limit: Duration.millis(Math.max(0, millis)) })
