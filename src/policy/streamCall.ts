/** A stream under a policy. The call begins when the stream is opened, and ends when the stream or its reader ends. */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Ending } from "../answer/ending.ts"
import * as CallContext from "../callContext.ts"
import { DeadlineExceeded, is } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { run } from "./call.ts"
import type { Compiled } from "./compile.ts"
import * as DeadlineState from "./deadlineState.ts"

/** Each run of the stream is one call: the policy applies to its opening, and `streamOverall` to the whole stream. */
export const callStream = <A, E, R>(
  policy: Compiled,
  self: Stream.Stream<A, E, R>
): Stream.Stream<A, E | DeadlineExceeded, R> => Stream.suspend(() => once(policy, self))

const once = <A, E, R>(policy: Compiled, self: Stream.Stream<A, E, R>) => {
  let ending: Ending | undefined
  const began = (call: Ending) => {
    ending = call
  }
  const asked = Effect.flatMap(
    Effect.scope,
    (scope) => run(policy, Effect.tap(begin(self, scope), () => Effect.sync(() => ending?.opened())), began)
  )
  const opened = Stream.unwrap(Effect.map(asked, ({ first, rest }) => {
    let begun = false
    let isOwn = false
    const onFailure = (error: Effect.Error<typeof rest>): typeof rest => {
      if (is(error)) return Effect.flatMap(ending?.broke(error) ?? Effect.succeed(error), Effect.fail)
      isOwn = !Cause.isDone(error)
      return Effect.fail(error)
    }
    const told = Effect.catchCause(rest, (cause) => {
      isOwn = Cause.hasDies(cause)
      return Effect.catch(Effect.failCause(cause), onFailure)
    })
    const pull = Effect.suspend(() => {
      if (begun) return told
      begun = true
      return first
    })
    return Stream.onExit(Stream.fromPull(Effect.succeed(pull)), (exit) => {
      const isLost = isOwn || Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)
      if (isLost) ending?.cut()
      return ending?.read(!isLost) ?? Effect.void
    })
  }))
  return policy.streamOverall === undefined
    ? opened
    : within(opened, policy.streamOverall, (error, state) => {
      const told = DeadlineState.tell(state, error, ending)
      return ending?.giveUp(told) ?? Effect.succeed(told)
    })
}

/**
 * Ends a stream after `length` milliseconds. `Current.Deadline` inside is that time, or an earlier outer deadline. At the
 * limit, the resources of the stream are released, even if its reader is busy.
 */
const within = <A, E, R>(
  self: Stream.Stream<A, E, R>,
  length: number,
  told: (error: DeadlineExceeded, state: CallContext.DeadlineState) => Effect.Effect<DeadlineExceeded>
): Stream.Stream<A, E | DeadlineExceeded, R> => Stream.unwrap(limited(self, length, told))

const limited = Effect.fnUntraced(function*<A, E, R>(
  self: Stream.Stream<A, E, R>,
  length: number,
  told: (error: DeadlineExceeded, state: CallContext.DeadlineState) => Effect.Effect<DeadlineExceeded>
) {
  const now = yield* Clock.currentTimeMillis
  const outer = yield* Effect.scope
  const inner = yield* Scope.fork(outer)
  const state = DeadlineState.make(yield* CallContext.DeadlineState)
  const inside = Stream.provideService(
    Stream.updateService(self, Current.Deadline, (outer) => Math.min(outer, now + length)),
    CallContext.DeadlineState,
    state
  )
  const pull = yield* Scope.provide(Stream.toPull(inside), inner)
  const over = yield* Deferred.make<void>()
  const exceeded = yield* Effect.cached(
    Effect.andThen(
      Scope.close(inner, Exit.interrupt()),
      Effect.suspend(() => told(new DeadlineExceeded({ limit: Duration.millis(length) }), state))
    )
  )
  // Ends the call even if the reader pulls no more elements.
  const alarm = Effect.andThen(
    Effect.flatMap(Effect.sleep(length), () => {
      state.isReached = true
      return Deferred.succeed(over, undefined)
    }),
    exceeded
  )
  yield* Effect.forkIn(alarm, outer)
  const read = Effect.flatMap(
    Effect.raceFirst(Deferred.await(over), pull),
    (elements) => elements === undefined ? Effect.flatMap(exceeded, Effect.fail) : Effect.succeed(elements)
  )
  return Stream.fromPull(Effect.succeed(read))
})

/** Reads the first elements. If that fails, closes the stream at once, so that it does not stay open during a retry. */
const begin = <A, E, R>(self: Stream.Stream<A, E, R>, parent: Scope.Scope) =>
  Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Scope.fork(parent), (scope) =>
      Effect.flatMap(Scope.provide(Stream.toPull(self), scope), (rest) => {
        type First = Pull.Pull<Arr.NonEmptyReadonlyArray<A>, E>
        return Effect.catch(
          Effect.map(restore(rest), (first): First => Effect.succeed(first)),
          (error): Effect.Effect<First, E> => Cause.isDone(error) ? Effect.succeed(Cause.done()) : Effect.fail(error)
        ).pipe(
          Effect.onExit((exit) => Exit.isFailure(exit) ? Scope.close(scope, exit) : Effect.void),
          Effect.map((first) => ({ first, rest }))
        )
      }))
  )
