/**
 * What to do when a call has failed for good.
 *
 * To recover from one kind of failure, use `Effect.catchTag`: it removes the
 * tag from the error type, and nothing here could do it better. This module
 * has what only we can know: how to ask another model the same thing, which
 * errors are ours, and what to tell a person about them.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type ClaudeError, is, retryAfter, type Table, type Tag } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { tell } from "../internal/tell.ts"

// -----------------------------------------------------------------------------
// Another model
// -----------------------------------------------------------------------------

/** Whether another model may succeed where this one failed. */
const worthAnotherModel: Table<boolean> = {
  InvalidRequest: false,
  Unauthorized: false,
  Forbidden: false,
  NotFound: true,
  RequestTooLarge: false,
  ContextWindowExceeded: false,
  SpendLimitReached: false,
  RateLimited: true,
  Overloaded: true,
  ServerFault: true,
  Unreachable: false,
  PartialAnswer: true,
  UnexpectedResponse: true,
  Refused: true,
  Truncated: false,
  EmptyAnswer: true,
  MalformedOutput: true,
  TimedOut: true,
  DeadlineExceeded: false,
  CircuitOpen: true,
  Saturated: true
}

/** Whether another model may succeed where this one failed, where nothing else is said. */
export const isWorthAnotherModel = (error: ClaudeError): boolean => worthAnotherModel[error._tag]

/** Told before the next model is asked. */
export type OnChange = (change: { readonly error: ClaudeError; readonly to: Current.ModelId }) => Effect.Effect<void>

/**
 * Runs the same program on each model in turn, until one answers. The model stands in for whatever a call inside names.
 * Removes no error: the last model may fail with any.
 */
export const models = (ladder: ReadonlyArray<Current.ModelId>, options?: {
  /** For which errors, where that differs from the usual. */
  readonly on?: Partial<Table<boolean>> | undefined
  readonly onChange?: OnChange | undefined
}) =>
<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  const on = { ...worthAnotherModel, ...options?.on }
  return ladder.reduce(
    (tried, model) =>
      Effect.catch(tried, (error) =>
        is(error) && on[error._tag]
          ? Effect.andThen(
            options?.onChange?.({ error, to: model }) ?? fellBack(error, model),
            Effect.provideService(self, Current.Substitute, model)
          )
          : Effect.fail(error)),
    self
  )
}

// -----------------------------------------------------------------------------
// No model
// -----------------------------------------------------------------------------

/** Answers with `value` when Claude cannot. Removes our errors from the type, and leaves the others. */
export const value = <const B>(value: B): <A, E, R>(
  self: Effect.Effect<A, E, R>
) => Effect.Effect<A | B, Exclude<E, ClaudeError>, R> => instead("value", () => Effect.succeed(value))

/** What a person can be told. */
export class Notice extends Data.TaggedClass("Notice")<{
  /** What happened, in plain words, and what to do. */
  readonly text: string
  /** To quote to support, if a request was made. */
  readonly requestId: string | undefined
  /** Whether trying again later makes sense. */
  readonly retryable: boolean
  /** How long to wait before, if the server said. */
  readonly retryAfter: Duration.Duration | undefined
  readonly error: Tag
}> {}

/** What is said about each kind of failure, and whether trying again later makes sense. */
const notices: Table<readonly [text: string, retryable: boolean]> = {
  InvalidRequest: ["The assistant could not understand this request.", false],
  Unauthorized: ["The assistant is not set up correctly at the moment.", false],
  Forbidden: ["The assistant is not available for this account.", false],
  NotFound: ["The assistant is not set up correctly at the moment.", false],
  RequestTooLarge: ["That is more than the assistant can take at once. Please shorten it.", false],
  ContextWindowExceeded: ["This conversation has become too long for the assistant. Please start a new one.", false],
  SpendLimitReached: ["The assistant is not available at the moment.", false],
  RateLimited: ["The assistant is very busy right now.", true],
  Overloaded: ["The assistant is very busy right now.", true],
  ServerFault: ["The assistant had a problem answering.", true],
  Unreachable: ["The assistant could not be reached.", true],
  PartialAnswer: ["The assistant was interrupted while answering.", true],
  UnexpectedResponse: ["The assistant had a problem answering.", true],
  Refused: ["The assistant cannot help with this request.", false],
  Truncated: ["The answer became too long. Please ask for a shorter one.", false],
  EmptyAnswer: ["The assistant had no answer this time.", true],
  MalformedOutput: ["The assistant had a problem answering.", true],
  TimedOut: ["The assistant took too long to answer.", true],
  DeadlineExceeded: ["The assistant took too long to answer.", true],
  CircuitOpen: ["The assistant is having problems at the moment.", true],
  Saturated: ["The assistant is very busy right now.", true]
}

/** Whether trying the same again later may help. */
export const isRetryable = (error: ClaudeError): boolean => notices[error._tag][1]

/** Answers with a `Notice` when Claude cannot. Removes our errors from the type, and leaves the others. */
export const notice = (options?: {
  /** Words of your own for some kinds, or in another language. */
  readonly text?: Partial<Table<string>> | undefined
}): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | Notice, Exclude<E, ClaudeError>, R> =>
  instead("notice", (error) => Effect.succeed(toNotice(error, options?.text)))

/** The notice for an error. */
export const toNotice = (error: ClaudeError, text?: Partial<Table<string>>): Notice => {
  const [usual, retryable] = notices[error._tag]
  const wait = retryAfter(error)
  const advice = !retryable
    ? ""
    : wait === undefined
    ? " Please try again in a moment."
    : ` Please try again in ${Duration.format(Duration.seconds(Math.ceil(Duration.toSeconds(wait))))}.`
  const words = text?.[error._tag] ?? `${usual}${advice}`
  return new Notice({ text: words, requestId: error.requestId, retryable, retryAfter: wait, error: error._tag })
}

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

/** Recovers from our errors, and says so. */
const instead =
  <B>(name: string, recover: (error: ClaudeError) => Effect.Effect<B>) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A | B, Exclude<E, ClaudeError>, R> =>
    Effect.catch(self, (error): Effect.Effect<B, Exclude<E, ClaudeError>> =>
      is(error)
        ? Effect.andThen(fellBack(error, name), recover(error))
        // The compiler does not narrow a type parameter by a negated guard.
        : Effect.fail(error as Exclude<E, ClaudeError>))

const fellBack = (error: ClaudeError, to: string): Effect.Effect<void> =>
  Effect.flatMap(
    Current.Call,
    (call) => tell((at, model) => ({ _tag: "FellBack", at, call: call?.id, model: error.model ?? model, to, error }))
  )
