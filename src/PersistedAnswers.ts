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
 * Effect's store of files writes in place, and is for one process: a full disk or a killed process loses the answer that
 * was being written. Where that matters, use Redis or a database.
 *
 * Answers are written in clear, and so are their keys: the tenant, and the key that was given to `Fallback.lastGood`.
 * Questions are not written. A store may limit how long a key is, here with the `storeId` and the tenant: the name of a
 * file is 255 bytes, in which most signs take three, and an id in MySQL 191 characters. An answer whose key is too long is
 * not kept, with a warning: keys of up to 100 letters and digits fit everywhere.
 *
 * Two installations on one store, such as staging and production, find each other's answers unless their `storeId` or the
 * prefix of their store differs.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Persistable from "effect/persistence/Persistable"
import * as Persistence from "effect/persistence/Persistence"
import * as Schema from "effect/Schema"
import { Store } from "./answerStore.ts"

/** How long what is being written may take when the layer closes: as long as it may take anyway. */
const patience = "1 second"

/** Keeps the last good answers in `Persistence`, each for its own `maxAge`. Closes when what is being written is. */
export const layerWith = ({ storeId }: {
  /** What is in front of each key: another name, another set of answers. */
  readonly storeId: string
}): Layer.Layer<never, never, Persistence.Persistence> =>
  Layer.effect(
    Store,
    Effect.gen(function*() {
      const persistence = yield* Persistence.Persistence
      const answers = yield* persistence.make({
        storeId,
        timeToLive: (_, entry) => entry instanceof Entry ? entry.maxAge : Duration.infinity
      })
      let writing = 0
      const idle = Latch.makeUnsafe(true)
      const ended = Effect.sync(() => {
        if (--writing === 0) idle.openUnsafe()
      })
      yield* Effect.addFinalizer(() => Effect.ignore(Effect.interruptible(Effect.timeout(idle.await, patience))))
      return {
        get: (key) =>
          Effect.flatMap(answers.get(new Entry({ key, maxAge: Duration.infinity })), (exit) =>
            exit === undefined
              ? Effect.undefined
              // Many file systems and databases take "A" for "a": what is another's is none.
              : Effect.map(exit, (kept) => kept.key === key ? kept : undefined)),
        set: (key, kept, maxAge) =>
          Effect.suspend(() => {
            writing++
            idle.closeUnsafe()
            return Effect.ensuring(answers.set(new Entry({ key, maxAge }), Exit.succeed({ ...kept, key })), ended)
          })
      }
    })
  )

/** Keeps the last good answers in `Persistence` under "resilient-claude/last-good". */
export const layer: Layer.Layer<never, never, Persistence.Persistence> = layerWith({
  storeId: "resilient-claude/last-good"
})

/** What is kept under a key; how long is only asked when it is written. */
class Entry extends Persistable.Class<{ payload: { readonly key: string; readonly maxAge: Duration.Duration } }>()(
  "LastGood",
  {
    primaryKey: ({ key }) => key,
    success: Schema.Struct({ key: Schema.String, at: Schema.Finite, value: Schema.Unknown })
  }
) {}
