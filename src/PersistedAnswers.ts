/**
 * Keeps the answers of `Fallback.lastGood` in Effect's `Persistence`, so that they outlive the process.
 *
 * A separate module, so that other programs do not load `effect/persistence`. The
 * layer of `Persistence` decides where answers are stored:
 *
 * - in memory, for tests: `Persistence.layerMemory`
 * - in files: `Persistence.layerKvs` over `KeyValueStore.layerFileSystem(directory)` and the `NodeServices.layer` of
 *   `@effect/platform-node`. An expired file is deleted only when it is read
 * - in Redis: `Persistence.layerRedis` over the `NodeRedis.layer(options)` of `@effect/platform-node`
 * - in a database: `Persistence.layerSql` over the client of one of Effect's SQL packages
 *
 * Effect's file store writes in place and supports one process. If the disk is full or the process is killed, the answer
 * being written is lost. If that matters, use Redis or a database.
 *
 * Answers are stored in plain text, and so are their keys: the tenant, and the `key` of `Fallback.lastGood`. Questions
 * are not stored. The full key includes the `storeId` and the tenant, and a store may limit its length: a file name has
 * at most 255 bytes, of which most special characters take three, and an id in MySQL 191 characters. An answer whose
 * key is too long is not kept, and logs a warning. Keys of up to 100 letters and digits fit everywhere.
 *
 * Two deployments on one store, such as staging and production, share answers unless their `storeId` or the prefix of
 * their store differs.
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

/** How long the closing layer waits for unfinished writes: as long as `Fallback.lastGood` waits for a store. */
const patience = "1 second"

/** Keeps each answer for its `maxAge`. When the layer closes, it waits up to a second for unfinished writes. */
export const layerWith = ({ storeId }: {
  /** The prefix of each key: answers with another `storeId` are not found. */
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
              // Many file systems and databases ignore case, so the entry may belong to another key.
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

/** `layerWith` for programs that do not share their store with another deployment. */
export const layer: Layer.Layer<never, never, Persistence.Persistence> = layerWith({
  storeId: "resilient-claude/last-good"
})

/** `maxAge` is used only when the entry is written. */
class Entry extends Persistable.Class<{ payload: { readonly key: string; readonly maxAge: Duration.Duration } }>()(
  "LastGood",
  {
    primaryKey: ({ key }) => key,
    success: Schema.Struct({ key: Schema.String, at: Schema.Finite, value: Schema.Unknown })
  }
) {}
