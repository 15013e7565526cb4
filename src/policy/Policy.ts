/**
 * The policies of one call, as a record.
 *
 * Order is where hand-composed policies go wrong: an overall limit placed
 * inside a retry is a limit on one attempt. A `Policy` names the parts and
 * fixes the order once, and being plain data it can be shared, printed,
 * overridden with a spread, and compared in the simulator.
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Pull from "effect/Pull"
import type * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Ending } from "../answer/ending.ts"
import * as CallContext from "../callContext.ts"
import { type ClaudeError, DeadlineExceeded, is, type Tag } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import type { Cost } from "../Message.ts"
import type * as Refuse from "../options.ts"
import { run } from "./call.ts"
import { compile } from "./compile.ts"
import * as Description from "./describe.ts"
import * as Fallback from "./Fallback.ts"
import type * as Record from "./record.ts"
import * as Retry from "./Retry.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** The parts of a policy. All are optional. The limits of an attempt have defaults. */
export type Policy = Record.Policy

/** The error that a policy adds to a call: `DeadlineExceeded`, if its type has an `overall` limit or may have one. */
export type Adds<P extends Policy> = Limited<P, "overall">

/** The error that a policy adds to a stream: the same, and also with a `streamOverall` limit. */
export type AddsToStream<P extends Policy> = Limited<P, "overall"> | Limited<P, "streamOverall">

type Limited<P extends Policy, Field extends keyof Policy> = Field extends keyof P
  ? P[Field] extends undefined ? never : DeadlineExceeded
  : never

/**
 * `P`, with a compile error for unknown fields, which would be ignored: at the top level, in a record of `retry`, and in
 * `truncated`, `paused` and `empty`.
 */
export type Exact<P extends Policy> =
  & Refuse.Only<P, keyof Policy>
  & { readonly [K in keyof P & keyof Inner]?: Within<P[K], Inner[K]> }

/** The names allowed inside the fields that take a record; `retry` may be a schedule, which has its own names. */
interface Inner {
  readonly retry: Tag | keyof Schedule.Schedule<unknown>
  readonly truncated: "raiseTo" | "continue"
  readonly paused: "continue"
  readonly empty: "nudge"
}

type Within<V, Names> = V extends string | undefined ? V : Refuse.Only<V, Names>

/**
 * A sensible start: `Retry.standard`, at most 8 retries (if half of all attempts fail at random, 1 call in 500 gets no
 * answer), and at most five minutes for a call.
 */
export const standard = { retry: Retry.standard, maxRetries: 8, overall: "5 minutes" } as const satisfies Policy

/** One attempt, with the default limits. */
export const none = {} as const satisfies Policy

// -----------------------------------------------------------------------------
// Combinators
// -----------------------------------------------------------------------------

/**
 * Applies a policy to one call: the limits of an attempt, then retries, then models, then the overall limit. Throws a
 * `RangeError` if the policy contradicts itself. All requests inside are one call, whose attempts are counted together. A
 * retry runs the whole effect again, so apply the policy close to the request. For a stream, use `applyStream`.
 */
export const apply = <const P extends Policy>(
  policy: Exact<P>
): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | Adds<P>, R> => {
  const compiled = compile(policy)
  // Safe cast: `run` fails with `DeadlineExceeded` only if the policy has `overall`.
  return <A, E, R>(self: Effect.Effect<A, E, R>) => run(compiled, self) as Effect.Effect<A, E | Adds<P>, R>
}

/**
 * Applies a policy to the opening of a stream, until its first elements arrive. After that, the request is repeated only
 * with `onBreak: "restart"` or `"resume"`. `streamOverall` limits the whole stream.
 */
export const applyStream = <const P extends Policy>(
  policy: Exact<P>
): <A, E, R>(self: Stream.Stream<A, E, R>) => Stream.Stream<A, E | AddsToStream<P>, R> => {
  const compiled = compile(policy)
  const once = <A, E, R>(self: Stream.Stream<A, E, R>) => {
    let ending: Ending | undefined
    const began = (call: Ending) => {
      ending = call
    }
    const asked = Effect.flatMap(
      Effect.scope,
      (scope) => run(compiled, Effect.tap(begin(self, scope), () => Effect.sync(() => ending?.opened())), began)
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
    return compiled.streamOverall === undefined
      ? opened
      : within(opened, compiled.streamOverall, (error) => ending?.giveUp(error) ?? Effect.succeed(error))
  }
  // Safe cast, as in `apply`.
  return <A, E, R>(self: Stream.Stream<A, E, R>) =>
    Stream.suspend(() => once(self)) as Stream.Stream<A, E | AddsToStream<P>, R>
}

/** The outcome of a call as a value, with the tokens and the cost of all attempts. */
export type Outcome<A> =
  | { readonly status: "success"; readonly data: A } & Used
  | { readonly status: "error"; readonly error: ClaudeError; readonly retryable: boolean } & Used

/** What all attempts used, as far as the API reported it. */
export interface Used {
  readonly tokens: { readonly input: number; readonly output: number }
  readonly cost: Cost
}

/** Turns a success or an error of this library into a value. Application errors stay errors. */
export const outcome = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<Outcome<A>, Fallback.Left<E>, R> =>
  Effect.flatMap(CallContext.Tally, (outer) => {
    const spent: CallContext.Tally = { input: 0, output: 0, dollars: 0, atLeast: false }
    return Effect.provideService(self, CallContext.Tally, spent).pipe(
      Effect.ensuring(Effect.sync(() => outer && add(outer, spent))),
      Effect.map((data): Outcome<A> => ({ status: "success", data, ...used(spent) })),
      Effect.catch((error): Effect.Effect<Outcome<A>, Fallback.Left<E>> =>
        is(error)
          ? Effect.succeed({ status: "error", error, retryable: Fallback.isRetryable(error), ...used(spent) })
          // Safe cast: `Left` keeps the errors that are not of this library.
          : Effect.fail(error as Fallback.Left<E>)
      )
    )
  })

/** Describes a policy as text: its parts in order, its limits, and the waits after each kind of error. */
export const describe: (policy: Policy) => string = Description.describe

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

/** Adds the usage of an inner outcome to the outer one. */
const add = (outer: CallContext.Tally, { atLeast, dollars, input, output }: CallContext.Tally): void => {
  outer.input += input
  outer.output += output
  outer.dollars += dollars
  outer.atLeast ||= atLeast
}

const used = ({ atLeast, dollars, input, output }: CallContext.Tally): Used => ({
  tokens: { input, output },
  cost: { dollars, atLeast }
})

/**
 * Ends a stream after `length` milliseconds, which is `Current.Deadline` inside. Its resources are released then, even if
 * the reader is busy.
 */
const within = <A, E, R>(
  self: Stream.Stream<A, E, R>,
  length: number,
  told: (error: DeadlineExceeded) => Effect.Effect<DeadlineExceeded>
): Stream.Stream<A, E | DeadlineExceeded, R> => Stream.unwrap(limited(self, length, told))

const limited = Effect.fnUntraced(function*<A, E, R>(
  self: Stream.Stream<A, E, R>,
  length: number,
  told: (error: DeadlineExceeded) => Effect.Effect<DeadlineExceeded>
) {
  const now = yield* Clock.currentTimeMillis
  const outer = yield* Effect.scope
  const inner = yield* Scope.fork(outer)
  const inside = Stream.updateService(self, Current.Deadline, (outer) => Math.min(outer, now + length))
  const pull = yield* Scope.provide(Stream.toPull(inside), inner)
  const over = yield* Deferred.make<void>()
  const exceeded = yield* Effect.cached(
    Effect.andThen(
      Scope.close(inner, Exit.interrupt()),
      Effect.suspend(() => told(new DeadlineExceeded({ limit: Duration.millis(length) })))
    )
  )
  // Logs the end even if the reader pulls no more elements.
  const alarm = Effect.andThen(Effect.andThen(Effect.sleep(length), Deferred.succeed(over, undefined)), exceeded)
  yield* Effect.forkIn(alarm, outer)
  const read = Effect.flatMap(
    Effect.raceFirst(Deferred.await(over), pull),
    (elements) => elements === undefined ? Effect.flatMap(exceeded, Effect.fail) : Effect.succeed(elements)
  )
  return Stream.fromPull(Effect.succeed(read))
})

/** Reads the first elements. If that fails, closes the scope of the stream. */
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
