/**
 * The caller names each answer by a key. A hash of the request would not be
 * readable in a store, and would need asynchronous code.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { isString } from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { ageOf, Store } from "../answerStore.ts"
import { Claude } from "../Claude.ts"
import { type ClaudeError, is, type Table } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { fallback } from "../emit.ts"
import { emitHere, warnHere } from "../emitHere.ts"
import { nameOf } from "../errorOf.ts"
import * as Refuse from "../options.ts"
import * as Runtime from "../runtime.ts"
import { bounded } from "../storePatience.ts"
import { decided, decisive, type On } from "./decisions.ts"

/** A remembered answer, given in place of a new one. */
export class Stale<A> extends Data.TaggedClass("Stale")<{
  readonly value: A
  /** The time since Claude gave the answer. */
  readonly age: Duration.Duration
  /** Why there is no new answer. */
  readonly error: ClaudeError
}> {}

/** The options of `lastGood`. */
export interface LastGood<A, I, RD = never, RE = never> {
  /**
   * The name of the answer. It must contain everything that the answer depends on, like `invoice/${id}`: two answers with
   * the same key replace each other. `Current.Tenant` is added to it. Stores keep it in plain text, so use ids instead of
   * user input.
   */
  readonly key: string
  /** The schema of the answer, which is stored as JSON. */
  readonly schema: Schema.ConstraintCodec<A, I, RD, RE>
  readonly maxAge: Duration.Input
  /** Overrides which errors are answered with the remembered answer. */
  readonly on?: On<boolean> | undefined
}

/**
 * Remembers each success. When a later run fails, answers with the remembered value as a `Stale`, which has its age. The
 * error type stays the same: without a remembered answer, the run fails with its own error. Answers are found by `key` and
 * the `Current.Tenant` around this effect, so provide the tenant outside.
 *
 * Put `lastGood` around the policy, the models and the accounts, and inside any code that transforms the answer. The value
 * of a fallback inside is remembered like an answer. A value that the schema cannot encode is not remembered, and logs a
 * warning.
 *
 * Answers are stored in `Fallback.Store`, or else in the memory of the `Claude` in context; without both, no answer is
 * remembered. A store that fails or hangs logs a warning. A slow store does not delay an answer, and delays an error by at
 * most a second.
 */
export const lastGood = <A, I, RD = never, RE = never>(options: LastGood<A, I, RD, RE>): <E, R>(
  self: Effect.Effect<A, E, R>
) => Effect.Effect<A | Stale<A>, E, R | RD | RE> => {
  const place = toPlace(options)
  return (self) => orLastGood(self, place)
}

const orLastGood = Effect.fnUntraced(function*<A, E, R, RD, RE>(self: Effect.Effect<A, E, R>, place: Place<A, RD, RE>) {
  const claude = Option.getOrUndefined(yield* Effect.serviceOption(Claude))
  const store = (yield* Store) ?? (claude && Runtime.of(claude).answers)
  if (store === undefined) return yield* self
  // As JSON, two different pairs of tenant and key never give the same string.
  const entry: Entry = { store, key: JSON.stringify([(yield* Current.Tenant) ?? null, place.key]) }
  return yield* Effect.matchCauseEffect(self, {
    onFailure: (cause) => recall(place, entry, cause),
    onSuccess: (value) => Effect.as(remember(place, entry, value), value)
  })
})

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

/** The checked options. */
interface Place<A, RD, RE> {
  readonly key: string
  readonly codec: Schema.ConstraintCodec<A, unknown, RD, RE>
  readonly maxAge: Duration.Duration
  readonly on: Table<boolean>
}

interface Entry {
  readonly store: Store
  /** Includes the tenant. */
  readonly key: string
}

const toPlace = <A, I, RD, RE>({ key, maxAge, on, schema }: LastGood<A, I, RD, RE>): Place<A, RD, RE> => {
  if (!isString(key) || key.trim() === "") {
    Refuse.refuse(
      "the key of Fallback.lastGood is blank: name everything that the answer depends on, like `invoice/${id}`"
    )
  }
  const where = `Fallback.lastGood "${key}"`
  if (!Schema.isSchema(schema)) {
    Refuse.refuse(`${where} has no schema: give the schema of the answer, like Schema.String for a text`)
  }
  const codec = Result.getOrElse(
    Result.try(() => Schema.toCodecJson(schema)),
    (reason) => Refuse.refuse(`the schema of ${where} has no JSON form: ${String(reason)}`)
  )
  const longest = Duration.millis(Refuse.millis(`the maxAge of ${where}`, maxAge))
  return { key, codec, maxAge: longest, on: decided(where, "lastGood", on) }
}

/**
 * Stores an answer in a separate fiber, so that a slow store does not delay the caller. The fiber starts at once, so that a
 * store in memory has the answer before the caller continues.
 */
const remember = <A, RD, RE>(
  { codec, maxAge }: Place<A, RD, RE>,
  { key, store }: Entry,
  value: A
): Effect.Effect<void, never, RE> =>
  Effect.flatMap(Clock.currentTimeMillis, (at) => {
    const kept = Effect.flatMap(
      Effect.suspend(() => Schema.encodeEffect(codec)(value)),
      (json) => store.set(key, { at, value: json }, maxAge)
    )
    const told = Effect.catchCause(bounded(kept), (cause) =>
      broken("LastGoodNotKept", "the answer was not stored", cause))
    return Effect.forkDetach(told, { startImmediately: true })
  })

const recall = <A, E, RD, RE>(
  place: Place<A, RD, RE>,
  entry: Entry,
  cause: Cause.Cause<E>
): Effect.Effect<Stale<A>, E, RD> => {
  const failed = Effect.failCause(cause)
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (!is(error) || !place.on[decisive(error)]) return failed
  return Effect.matchCauseEffect(find(place, entry), {
    onFailure: (why) => Effect.andThen(broken("LastGoodNotRead", "no stored answer was returned", why), failed),
    onSuccess: (found) =>
      found === undefined
        ? failed
        : Effect.as(emitHere(fallback(error, "last good answer")), new Stale({ ...found, error }))
  })
}

/** Reads the stored answer, if it is at most `maxAge` old. Fails if the store fails or the value does not decode. */
const find = Effect.fnUntraced(function*<A, RD, RE>({ codec, maxAge }: Place<A, RD, RE>, { key, store }: Entry) {
  const now = yield* Clock.currentTimeMillis
  // Decoded below, because a custom store may return anything.
  const kept: unknown = yield* bounded(Effect.suspend(() => store.get(key)))
  if (kept === undefined) return undefined
  const { at, value } = yield* Schema.decodeUnknownEffect(Kept)(kept)
  const age = ageOf(at, Duration.toMillis(maxAge), now)
  return age === undefined
    ? undefined
    : { age: Duration.millis(age), value: yield* Schema.decodeUnknownEffect(codec)(value) }
})

const Kept = Schema.Struct({ at: Schema.Finite, value: Schema.Unknown })

/** The warning leaves out the message of the error, which may quote an answer, and the key, which may contain user input. */
const broken = (code: string, what: string, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  warnHere(code, `the store or the schema of Fallback.lastGood failed (${nameOf(cause)}), so ${what}: check them`)
