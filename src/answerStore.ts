import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Refuse from "./options.ts"

export interface Kept {
  /** When the answer was given, in milliseconds since the epoch. */
  readonly at: number
  /** A JSON value, not its text. */
  readonly value: unknown
}

/**
 * Stores answers. An operation that fails, or that is interrupted because it takes longer than a second, logs a warning
 * and does not fail the call.
 */
export interface Store {
  /** `key` is the JSON of `[tenant, key]`, or of `[null, key]` without a tenant. */
  readonly get: (key: string) => Effect.Effect<Kept | undefined, unknown>
  /** The store may drop the answer once it is older than `maxAge`. */
  readonly set: (key: string, kept: Kept, maxAge: Duration.Duration) => Effect.Effect<void, unknown>
}

/** The store of `Fallback.lastGood`. Default: a memory store in each `Claude`. */
export const Store = Context.Reference<Store | undefined>("resilient-claude/Fallback/Store", {
  defaultValue: () => undefined
})

/** The store in context, or a new memory store of 1,000 answers (10 MB at the default `max_tokens`). */
export const capture: Effect.Effect<Store> = Effect.map(Store, (store) => store ?? memory(1000))

/**
 * The age of an answer in milliseconds; undefined if the answer is older than `maxAge`, or dated more than `maxAge` in the
 * future. A date in the future counts as age 0, because the clock of the machine that wrote it may be ahead of ours.
 */
export const ageOf = (at: number, maxAge: number, now: number): number | undefined =>
  Number.isSafeInteger(at) && Math.abs(now - at) <= maxAge ? Math.max(0, now - at) : undefined

/**
 * A memory store of `capacity` answers, which evicts the least recently used answer. Stores the JSON text, so that a caller
 * who mutates its answer does not change the stored answer.
 */
export const memory = (capacity: number): Store => {
  if (!Number.isSafeInteger(capacity) || capacity <= 0) {
    Refuse.refuse(
      `the capacity of Fallback.memoryStore is ${Refuse.shown(capacity)}: it must be a whole number, 1 or more`
    )
  }
  // A Map keeps insertion order, and each use inserts its key again: the first key is the least recently used.
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
        // Keep a newer answer, unless its time is in the future: then the clock of the machine that wrote it was wrong.
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
