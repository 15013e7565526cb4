/**
 * Validation, retries, time limits and fallbacks of a call, as one record.
 *
 * Composed by hand, these parts easily get a wrong order: an overall limit inside
 * a retry limits only one attempt. A `Policy` fixes their order. It is plain data,
 * so it can be shared, printed, and overridden with a spread.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Schedule from "effect/Schedule"
import type * as Stream from "effect/Stream"
import * as CallContext from "../callContext.ts"
import { type ClaudeError, type DeadlineExceeded, is, type Tag } from "../ClaudeError.ts"
import type * as Current from "../Current.ts"
import type { Cost } from "../Message.ts"
import type * as Refuse from "../options.ts"
import { run } from "./call.ts"
import { compile } from "./compile.ts"
import * as Description from "./describe.ts"
import * as Fallback from "./Fallback.ts"
import * as Retry from "./Retry.ts"
import { callStream } from "./streamCall.ts"

// -----------------------------------------------------------------------------
// Model
// -----------------------------------------------------------------------------

/** Schedules by kind of error. `pipe?: never` excludes a `Schedule` from this type. */
export type Retries = Retry.ByTag<ClaudeError> & { readonly pipe?: never }

/** The time limits of an attempt (`Current.Limits`) that a policy does not set keep their outer values, or the defaults. */
export interface Policy extends Current.Limits {
  /**
   * When to retry: one schedule for all kinds of error, or a record of schedules by kind. A kind without an entry is not
   * retried. Change `Retry.standard` with a spread; `undefined` removes a kind. Default: no retries.
   */
  readonly retry?: Schedule.Schedule<unknown, ClaudeError> | Retries | undefined
  /**
   * The maximum number of retries on each model, over all kinds of error. If it is set, at most 3 retries are made while
   * another model can be asked instead. A retry does not count if the failed attempt sent no request (open circuit, full
   * queue). Default: no limit.
   */
  readonly maxRetries?: number | undefined
  /**
   * The maximum number of times, on each model, to ask Claude to correct a malformed answer that it ended itself
   * (`end_turn`). The malformed answers and their mistakes are sent as further turns, without a wait. Applies before
   * `retry`, and does not count in `maxRetries`. Default: 0.
   */
  readonly reask?: number | undefined
  /**
   * The fallback models, asked in turn: each one if the model before has failed for good, with an error that another model
   * may avoid.
   */
  readonly models?: ReadonlyArray<Current.ModelId> | undefined
  /** The models to ask after a refusal, instead of `models`; `fail`: none. The text before the refusal is discarded. */
  readonly refused?: "fail" | ReadonlyArray<Current.ModelId> | undefined
  /** Time reserved for each remaining model, but at most an equal share of the time left. Default: 10 seconds. */
  readonly reserve?: Duration.Input | undefined
  /**
   * What to do if a collected answer reaches `max_tokens`: `fail` (the default); `raiseTo`, ask once more with this
   * `max_tokens`, or the maximum of the model if that is lower; or `continue`, ask for the rest, up to this many times. An
   * answer with a schema cannot be continued.
   */
  readonly truncated?: "fail" | { readonly raiseTo: number } | { readonly continue: number } | undefined
  /** How many times at most to continue a collected answer with the stop reason `pause_turn`. Default: 5. */
  readonly paused?: { readonly continue: number } | undefined
  /** What to do after an answer without content: `fail` (the default), or ask once to continue. */
  readonly empty?: "fail" | { readonly nudge: 1 } | undefined
  /**
   * The time limit for a call with all its retries and models. For a stream, it limits the opening, and each reopening
   * anew.
   */
  readonly overall?: Duration.Input | undefined
  /** The time limit for a stream from its opening to its end, including the time of its reader. Only for `applyStream`. */
  readonly streamOverall?: Duration.Input | undefined
  /**
   * What to do if an answer breaks off while it is read: `fail` (the default), with the text so far in the error;
   * `restart`, ask again and emit a `restarted` event (a text stream cannot emit it, and fails); or `resume`, ask for the
   * rest, emit a `resumed` event, and continue where the text ends. Each new request counts as a retry of the call.
   */
  readonly onBreak?: "fail" | "restart" | "resume" | undefined
  /** Whether requests are validated before they are sent. Default: `true`. */
  readonly validate?: boolean | undefined
  /**
   * Whether a request fails on an issue that this library knows but the API has not confirmed: one from the built-in model
   * catalogue, or a value beyond the known limits of the API. Default: `false`, which logs a warning.
   */
  readonly strict?: boolean | undefined
  /**
   * How the prompt is checked against the context window. `estimate` (the default): a prompt that seems too long logs a
   * warning. `count`: the API also counts its tokens, with an extra request for each prompt and model, and a prompt that
   * does not fit fails the call.
   */
  readonly precheck?: "count" | "estimate" | undefined
}

/** The error that a policy adds to a call: `DeadlineExceeded` if the policy may have an `overall` limit, else none. */
export type Adds<P extends Policy> = Limited<P, "overall">

/** The error that a policy adds to a stream: like `Adds`, but also for a `streamOverall` limit. */
export type AddsToStream<P extends Policy> = Limited<P, "overall"> | Limited<P, "streamOverall">

type Limited<P extends Policy, Field extends keyof Policy> = Field extends keyof P
  ? P[Field] extends undefined ? never : DeadlineExceeded
  : never

/**
 * `P`, with a compile error for unknown fields at the top level, in a record of `retry`, and in `truncated`, `paused` and
 * `empty`. TypeScript itself accepts unknown fields, because `P` is inferred from the argument.
 */
export type Exact<P extends Policy> =
  & Refuse.Only<P, keyof Policy>
  & { readonly [K in keyof P & keyof Inner]?: Within<P[K], Inner[K]> }

/** The names allowed inside the fields that take a record. For `retry`, also the fields of a `Schedule`. */
interface Inner {
  readonly retry: Tag | keyof Schedule.Schedule<unknown>
  readonly truncated: "raiseTo" | "continue"
  readonly paused: "continue"
  readonly empty: "nudge"
}

type Within<V, Names> = V extends string | undefined ? V : Refuse.Only<V, Names>

/**
 * A sensible default: `Retry.standard`, at most 8 retries (if half of all attempts fail at random, 1 call in 500 gets no
 * answer), and at most five minutes for a call.
 */
export const standard = { retry: Retry.standard, maxRetries: 8, overall: "5 minutes" } as const satisfies Policy

/** No retries and no fallbacks, with the default of every other field. */
export const none = {} as const satisfies Policy

// -----------------------------------------------------------------------------
// Combinators
// -----------------------------------------------------------------------------

/**
 * Applies a policy to one call, from the inside out: the time limits of an attempt, retries, models, the overall limit.
 * Throws a `RangeError` if the policy is invalid or contradicts itself. All requests inside are attempts of one
 * call, except those under a nested policy. A retry runs the whole effect again, so apply the policy close to the request.
 * For a stream, use `applyStream`.
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
  // Safe cast, as in `apply`.
  return <A, E, R>(self: Stream.Stream<A, E, R>) =>
    callStream(compiled, self) as Stream.Stream<A, E | AddsToStream<P>, R>
}

/** The success or the failure of a call, as a value. */
export type Outcome<A> =
  | { readonly status: "success"; readonly data: A } & Used
  | { readonly status: "error"; readonly error: ClaudeError; readonly retryable: boolean } & Used

/** The tokens and the cost of all attempts, as far as the API reported them. */
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

/** Adds the usage of a nested `outcome` to the `outcome` around it. */
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
