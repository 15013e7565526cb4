/**
 * The last good answer, for when there is no new one.
 *
 * Only what was asked for and answered as a whole is remembered: a value that
 * somebody inside put in the place of an answer is not one. What the program
 * then makes of a whole answer is taken as it is, also what it makes of an error
 * of its own that it caught: that is why this belongs next to the question.
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
import { emitHere, nameOf, warnHere } from "../emitHere.ts"
import * as Refuse from "../options.ts"
import { bounded } from "../storePatience.ts"
import { decided, decisive } from "./decisions.ts"
import { sha256 } from "./digest.ts"
import { type Heard, listen } from "./questions.ts"

/** An answer of before, in the place of a new one. */
export class Stale<A> extends Data.TaggedClass("Stale")<{
  readonly value: A
  /** How long ago it was given. */
  readonly age: Duration.Duration
  /** Why there is no newer one. */
  readonly error: ClaudeError
}> {}

/** What is remembered, and for how long. */
export interface LastGood<A, I, RD = never, RE = never> {
  /** The name of this place in the program. What is remembered under one name is never found under another. */
  readonly name: string
  /** What the answer is. It is remembered as the JSON of this schema. */
  readonly schema: Schema.ConstraintCodec<A, I, RD, RE>
  /** How old an answer may be that still will do. */
  readonly maxAge: Duration.Input
  /** What tells questions apart, where it is not the request: for a program that asks more than once. */
  readonly key?: string | undefined
  /** For which errors, where that differs from the usual. */
  readonly on?: { readonly [T in Tag]?: boolean | undefined } | undefined
}

/**
 * Answers with the last good answer to the same question when Claude cannot, as a `Stale` that says how old it is. Where
 * there is none, the error stays. Questions are the same if model and parameters are, and the `Current.Tenant`.
 *
 * It belongs next to the question: policy, models and accounts inside, and what is made of the answer outside. Whatever
 * is made of a whole answer inside is remembered as it is. Answers are in the `Fallback.Store` of this place, or else
 * with the `Claude` in context; where there is neither, none is remembered.
 */
export const lastGood = <A, I, RD = never, RE = never>(options: LastGood<A, I, RD, RE>): <E, R>(
  self: Effect.Effect<A, E, R>
) => Effect.Effect<A | Stale<A>, E, R | RD | RE> => {
  const site = toSite(options)
  return (self) => orLastGood(self, site)
}

const orLastGood = Effect.fnUntraced(function*<A, E, R, RD, RE>(self: Effect.Effect<A, E, R>, site: Site<A, RD, RE>) {
  const claude = Option.getOrUndefined(yield* Effect.serviceOption(Claude))
  const store = (yield* Store) ?? claude?.answers
  if (store === undefined) return yield* self
  const heard = listen(site.name, site.key, yield* Current.Tenant, yield* Current.Listener)
  return yield* Effect.matchCauseEffect(Effect.provideService(self, Current.Listener, heard), {
    onFailure: (cause) => recall(site, store, heard, cause),
    onSuccess: (value) => Effect.as(settle(site, store, heard, value), value)
  })
})

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

interface Site<A, RD, RE> {
  readonly name: string
  readonly codec: Schema.ConstraintCodec<A, unknown, RD, RE>
  readonly maxAge: Duration.Duration
  readonly key: string | undefined
  readonly on: Table<boolean>
}

const toSite = <A, I, RD, RE>({ key, maxAge, name, on, schema }: LastGood<A, I, RD, RE>): Site<A, RD, RE> => {
  if (!isString(name) || name.trim() === "") {
    Refuse.refuse("the name of Fallback.lastGood is blank: give each place in the program a name of its own")
  }
  const where = `Fallback.lastGood "${name}"`
  if (key !== undefined && (!isString(key) || key.trim() === "")) {
    Refuse.refuse(`the key of ${where} is blank: leave it out, or say what tells its questions apart`)
  }
  if (!Schema.isSchema(schema)) {
    Refuse.refuse(`${where} has no schema: say what the answer is, like Schema.String for a text`)
  }
  const codec = Result.getOrElse(
    Result.try(() => Schema.toCodecJson(schema)),
    (reason) => Refuse.refuse(`the schema of ${where} has no JSON form: ${String(reason)}`)
  )
  const longest = Duration.millis(Refuse.millis(`the maxAge of ${where}`, maxAge))
  return { name, codec, maxAge: longest, key, on: decided(where, "lastGood", on) }
}

// -----------------------------------------------------------------------------
// The answer
// -----------------------------------------------------------------------------

/** Remembers what was answered as a whole, if it is known to what. */
const settle = <A, RD, RE>(
  site: Site<A, RD, RE>,
  store: Store,
  heard: Heard,
  value: A
): Effect.Effect<void, never, RE> => {
  const subject = heard.subject()
  if (subject === "nothing") return Effect.void
  if (subject === "ambiguous") return ambiguous(site, heard)
  if (subject.whole === "some") return notWhole(site, heard)
  return subject.whole === "all" ? remember(site, store, heard, subject.id, value) : Effect.void
}

/** Remembers an answer, in a fiber of its own: a slow store delays nobody, and one in memory has it at once. */
const remember = <A, RD, RE>(
  site: Site<A, RD, RE>,
  store: Store,
  heard: Heard,
  id: string,
  value: A
): Effect.Effect<void, never, RE> =>
  Effect.flatMap(Clock.currentTimeMillis, (at) => {
    const notKept = (cause: Cause.Cause<unknown>) => broken(site, heard, "LastGoodNotKept", "was not kept", cause)
    const keep = (key: string) =>
      Effect.flatMap(
        Schema.encodeEffect(site.codec)(value),
        (json) => store.set(key, { at, value: json }, site.maxAge)
      )
    return sha256(id).pipe(
      Effect.flatMap((key) =>
        Effect.forkDetach(Effect.catchCause(bounded(Effect.suspend(() => keep(key))), notKept), {
          startImmediately: true
        })
      ),
      Effect.catchCause(notKept)
    )
  })

/** What there is instead of an answer that failed, or how it failed. */
const recall = <A, E, RD, RE>(
  site: Site<A, RD, RE>,
  store: Store,
  heard: Heard,
  cause: Cause.Cause<E>
): Effect.Effect<Stale<A>, E, RD> => {
  const failed = Effect.failCause(cause)
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (!is(error) || !site.on[decisive(error)]) return failed
  const subject = heard.subject()
  if (subject === "nothing") return failed
  if (subject === "ambiguous") return Effect.andThen(ambiguous(site, heard), failed)
  return Effect.matchCauseEffect(find(site, store, subject.id), {
    onFailure: (why) => Effect.andThen(broken(site, heard, "LastGoodNotRead", "was not read", why), failed),
    onSuccess: (found) =>
      found === undefined
        ? failed
        : Effect.as(emitHere(fallback(error, "last good answer"), heard.call()), new Stale({ ...found, error }))
  })
}

/** The answer that is kept, if it is young enough. Fails with anything if what is kept is no answer. */
const find = Effect.fnUntraced(function*<A, RD, RE>({ codec, maxAge }: Site<A, RD, RE>, store: Store, id: string) {
  const now = yield* Clock.currentTimeMillis
  const key = yield* sha256(id)
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

// -----------------------------------------------------------------------------
// What is told
// -----------------------------------------------------------------------------

interface Named {
  readonly name: string
  readonly key: string | undefined
}

/** Tells that a store failed, and how: by the name of the error, for its words may quote an answer. */
const broken = ({ name }: Named, heard: Heard, code: string, what: string, cause: Cause.Cause<unknown>) =>
  warnHere(code, `${name}: the last good answer ${what} (${nameOf(Cause.squash(cause))})`, heard.call())

/** Tells that there is no telling what an answer was to. */
const ambiguous = ({ key, name }: Named, heard: Heard): Effect.Effect<void> =>
  key === undefined
    ? once(
      name,
      heard,
      "LastGoodNeedsKey",
      "more than one thing was asked, so nothing is remembered: give lastGood a key"
    )
    : once(name, heard, "LastGoodNotWhole", "it was asked for more than one tenant, so nothing is remembered")

/** Tells that something else than the answer to one of several questions is in what they gave. */
const notWhole = ({ name }: Named, heard: Heard): Effect.Effect<void> =>
  once(
    name,
    heard,
    "LastGoodNotWhole",
    "of several questions not all were answered as a whole, so nothing is remembered: put lastGood next to each"
  )

/** Tells it once under each name. */
const once = (name: string, heard: Heard, code: string, why: string): Effect.Effect<void> =>
  Effect.flatMap(Current.Catalogue, ({ warned }) => {
    const what = `${code} ${name}`
    if (warned.has(what)) return Effect.void
    warned.add(what)
    return warnHere(code, `${name}: ${why}`, heard.call())
  })
