/**
 * Where answers are remembered.
 *
 * Answers are kept as JSON, so that nobody who was given one can change what is
 * remembered.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Refuse from "./options.ts"

/** A remembered answer. */
export interface Kept {
  /** When it was given, in milliseconds since the epoch. */
  readonly at: number
  /** Its value, as JSON. */
  readonly value: unknown
}

/** Remembers answers. What fails here, or takes longer than a second, is told as a warning, and fails no call. */
export interface Store {
  /** What was kept under the key, if it is still there. A key is the JSON of `[tenant, key]`; no tenant is `null`. */
  readonly get: (key: string) => Effect.Effect<Kept | undefined, unknown>
  /** Keeps an answer, which nobody will want when it is older than `maxAge`. */
  readonly set: (key: string, kept: Kept, maxAge: Duration.Duration) => Effect.Effect<void, unknown>
}

/** Where `Fallback.lastGood` remembers answers: where nothing is said, in the memory of the `Claude` that answers. */
export const Store = Context.Reference<Store | undefined>("resilient-claude/Fallback/Store", {
  defaultValue: () => undefined
})

/** The store of this place, or one of its own: 1,000 answers are 10 MB if they are as long as answers are by default. */
export const capture: Effect.Effect<Store> = Effect.map(Store, (store) => store ?? memory(1000))

/**
 * How old an answer is, in milliseconds: nothing, if it is too old. Another machine's clock may be ahead of ours, so that
 * one from a time to come is new; from further ahead than an answer may be old, its time is wrong.
 */
export const ageOf = (at: number, maxAge: number, now: number): number | undefined =>
  Number.isSafeInteger(at) && Math.abs(now - at) <= maxAge ? Math.max(0, now - at) : undefined

/** Remembers answers in memory: so many, of which those that were not used for longest go first. */
export const memory = (capacity: number): Store => {
  if (!Number.isSafeInteger(capacity) || capacity <= 0) {
    Refuse.refuse(`the capacity of Fallback.memoryStore is ${capacity}: it must be a whole number, 1 or more`)
  }
  // A Map knows the order in which keys were put in: the first is the one that was not used for longest.
  const entries = new Map<string, { readonly at: number; readonly json: string; readonly maxAge: number }>()
  return {
    get: (key) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const entry = entries.get(key)
        if (entry === undefined) return undefined
        entries.delete(key)
        if (ageOf(entry.at, entry.maxAge, now) === undefined) return undefined
        entries.set(key, entry)
        const value: unknown = JSON.parse(entry.json)
        return { at: entry.at, value }
      }),
    set: (key, { at, value }, maxAge) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const json = JSON.stringify(value)
        const other = entries.get(key)
        // A newer answer stays, unless it is from a time to come: then the clock was wrong.
        if (other !== undefined && at < other.at && other.at <= now) return
        entries.delete(key)
        entries.set(key, { at, json, maxAge: Duration.toMillis(maxAge) })
        for (const oldest of entries.keys()) {
          if (entries.size <= capacity) return
          entries.delete(oldest)
        }
      })
  }
}
