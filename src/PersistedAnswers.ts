/**
 * `Fallback.lastGood` over Effect's persistence: what is remembered outlives the process.
 *
 * A module of its own, for it brings all of `effect/persistence` with it. Where
 * answers are kept is one more layer:
 *
 * - in memory, for tests: `Persistence.layerMemory`
 * - in files: `Persistence.layerKvs` over `KeyValueStore.layerFileSystem(directory)` and the `NodeServices.layer` of
 *   `@effect/platform-node`. Files that have expired go only when they are read
 * - in Redis: `Persistence.layerRedis` over the `NodeRedis.layer(options)` of `@effect/platform-node`
 * - in a database: `Persistence.layerSql` over the client of an SQL package of Effect's
 *
 * Answers are written in clear, so whoever can read the store can read them; questions are not written at all.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Persistable from "effect/persistence/Persistable"
import * as Persistence from "effect/persistence/Persistence"
import * as Schema from "effect/Schema"
import { Store } from "./internal/answerStore.ts"

/** Keeps the last good answers in `Persistence`, each for its own `maxAge`, under "resilient-claude/last-good". */
export const layer: Layer.Layer<never, never, Persistence.Persistence> = Layer.effect(
  Store,
  Effect.gen(function*() {
    const persistence = yield* Persistence.Persistence
    const answers = yield* persistence.make({
      storeId: "resilient-claude/last-good",
      timeToLive: (_, entry) => entry instanceof Entry ? entry.maxAge : Duration.infinity
    })
    return {
      get: (key) =>
        Effect.flatMap(answers.get(new Entry({ key, maxAge: Duration.infinity })), (exit) => exit ?? Effect.undefined),
      set: (key, kept, maxAge) => answers.set(new Entry({ key, maxAge }), Exit.succeed(kept))
    }
  })
)

/** What is kept under a key; how long is only asked when it is written. */
class Entry extends Persistable.Class<{ payload: { readonly key: string; readonly maxAge: Duration.Duration } }>()(
  "LastGood",
  {
    primaryKey: ({ key }) => key,
    success: Schema.Struct({ at: Schema.Finite, value: Schema.Unknown })
  }
) {}
