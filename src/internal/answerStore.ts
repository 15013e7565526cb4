/**
 * Where answers are remembered.
 *
 * Answers are kept as JSON, so that nobody who was given one can change what is
 * remembered, and under keys that say nothing of the question.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** A remembered answer. */
export interface Kept {
  /** When it was given, in milliseconds since the epoch. */
  readonly at: number
  /** Its value, as JSON. */
  readonly value: unknown
}

/** Remembers answers. What fails here, or takes longer than a second, is told as a warning, and fails no call. */
export interface Store {
  /** What was kept under the key, if it is still there. */
  readonly get: (key: string) => Effect.Effect<Kept | undefined, unknown>
  /** Keeps an answer, which nobody will want when it is older than `maxAge`. */
  readonly set: (key: string, kept: Kept, maxAge: Duration.Duration) => Effect.Effect<void, unknown>
}

/** The most answers that are remembered in a process: 10 MB if they are as long as answers are by default. */
const capacity = 1000

/** Remembers answers in memory: so many, of which those that were not used for longest go first. */
export const memory = (capacity: number): Store => {
  // A Map knows the order in which keys were put in: the first is the one that was not used for longest.
  const entries = new Map<string, { readonly at: number; readonly json: string; readonly maxAge: number }>()
  return {
    get: (key) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const entry = entries.get(key)
        if (entry === undefined) return undefined
        entries.delete(key)
        if (now - entry.at > entry.maxAge) return undefined
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

/** Where `Fallback.lastGood` remembers answers: by default 1,000 of them in the memory of the process. */
export const Store = Context.Reference<Store>("resilient-claude/Fallback/Store", {
  defaultValue: () => memory(capacity)
})
