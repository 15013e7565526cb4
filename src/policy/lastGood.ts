/**
 * The last good answer, for when there is no new one.
 *
 * The caller names what is remembered. Nothing is derived from the request, so
 * the key is as readable in a store as in the program, and remembering adds no
 * asynchronous step to a call.
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
import { type ClaudeError, is, type Table, type Tag } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { fallback } from "../emit.ts"
import { emitHere, warnHere } from "../emitHere.ts"
import { nameOf } from "../errorOf.ts"
import * as Refuse from "../options.ts"
import * as Runtime from "../runtime.ts"
import { bounded } from "../storePatience.ts"
import { decided, decisive } from "./decisions.ts"

/** An answer of before, in the place of a new one. */
export class Stale<A> extends Data.TaggedClass("Stale")<{
  readonly value: A
  /** How long ago it was given. */
  readonly age: Duration.Duration
  /** Why there is no newer one. */
  readonly error: ClaudeError
}> {}

/** What is remembered, under which key, and for how long. */
export interface LastGood<A, I, RD = never, RE = never> {
  /**
   * The name of the answer. It must hold all that the answer depends on, like `invoice/${id}`: two answers with one key
   * replace each other. `Current.Tenant` is added to it. Stores write it in clear, so use ids and not what people wrote.
   */
  readonly key: string
  /** The type of the answer. It is remembered as the JSON of this schema. */
  readonly schema: Schema.ConstraintCodec<A, I, RD, RE>
  /** The greatest age of an answer that is given again. */
  readonly maxAge: Duration.Input
  /** For which errors, where that differs from the usual. */
  readonly on?: { readonly [T in Tag]?: boolean | undefined } | undefined
}

/**
 * Remembers what succeeds inside, and answers with it when Claude cannot: as a `Stale`, which says how old it is. Removes
 * no error: without an answer of before, the error stays. An answer is found by its `key` and by the `Current.Tenant` of
 * this place, so provide the tenant outside.
 *
 * Put it next to the question: policy, models and accounts inside, and what is made of the answer outside. A value that
 * comes from a fallback inside is remembered as it is. A value that does not encode is not remembered, with a warning.
 *
 * Answers are in the `Fallback.Store` of this place, or else with the `Claude` in context; without both, none is
 * remembered. A store that fails or hangs is a warning: it delays no answer, and an error by a second at most.
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
  // JSON, because no other pair of a tenant and a key is written the same.
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

/** Where the answer is: the key has the tenant in it. */
interface Entry {
  readonly store: Store
  readonly key: string
}

const toPlace = <A, I, RD, RE>({ key, maxAge, on, schema }: LastGood<A, I, RD, RE>): Place<A, RD, RE> => {
  if (!isString(key) || key.trim() === "") {
    Refuse.refuse(
      "the key of Fallback.lastGood is blank: name the answer by all that it depends on, like `invoice/${id}`"
    )
  }
  const where = `Fallback.lastGood "${key}"`
  if (!Schema.isSchema(schema)) {
    Refuse.refuse(`${where} has no schema: say what the answer is, like Schema.String for a text`)
  }
  const codec = Result.getOrElse(
    Result.try(() => Schema.toCodecJson(schema)),
    (reason) => Refuse.refuse(`the schema of ${where} has no JSON form: ${String(reason)}`)
  )
  const longest = Duration.millis(Refuse.millis(`the maxAge of ${where}`, maxAge))
  return { key, codec, maxAge: longest, on: decided(where, "lastGood", on) }
}

/** Remembers an answer in a fiber of its own: a slow store delays nobody, and one in memory has it at once. */
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
    const told = Effect.catchCause(bounded(kept), (cause) => broken("LastGoodNotKept", "was not kept", cause))
    return Effect.forkDetach(told, { startImmediately: true })
  })

/** The answer of before, or the same failure. */
const recall = <A, E, RD, RE>(
  place: Place<A, RD, RE>,
  entry: Entry,
  cause: Cause.Cause<E>
): Effect.Effect<Stale<A>, E, RD> => {
  const failed = Effect.failCause(cause)
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (!is(error) || !place.on[decisive(error)]) return failed
  return Effect.matchCauseEffect(find(place, entry), {
    onFailure: (why) => Effect.andThen(broken("LastGoodNotRead", "was not read", why), failed),
    onSuccess: (found) =>
      found === undefined
        ? failed
        : Effect.as(emitHere(fallback(error, "last good answer")), new Stale({ ...found, error }))
  })
}

/** The answer that is kept, if it is young enough. Fails with anything if what is kept is no answer. */
const find = Effect.fnUntraced(function*<A, RD, RE>({ codec, maxAge }: Place<A, RD, RE>, { key, store }: Entry) {
  const now = yield* Clock.currentTimeMillis
  // A store of one's own may hold anything.
  const kept: unknown = yield* bounded(Effect.suspend(() => store.get(key)))
  if (kept === undefined) return undefined
  const { at, value } = yield* Schema.decodeUnknownEffect(Kept)(kept)
  const age = ageOf(at, Duration.toMillis(maxAge), now)
  return age === undefined
    ? undefined
    : { age: Duration.millis(age), value: yield* Schema.decodeUnknownEffect(codec)(value) }
})

const Kept = Schema.Struct({ at: Schema.Finite, value: Schema.Unknown })

/**
 * Tells that a store or a schema failed, by the name of the error: its words may quote an answer. The key is not told,
 * because a caller may have put the question into it.
 */
const broken = (code: string, what: string, cause: Cause.Cause<unknown>): Effect.Effect<void> =>
  warnHere(code, `the last good answer ${what} (${nameOf(cause)})`)
