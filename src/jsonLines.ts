/** Appends lines of JSON to a file, in a separate fiber. */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Queue from "effect/Queue"

/** The most lines in the queue. */
const most = 10_000

/** Appends to a file without waiting. Queued lines are written before the scope closes; lost lines log a warning. */
export const append = Effect.fnUntraced(function*(path: string) {
  const file = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.open(path, { flag: "a" }))
  const lines = yield* Queue.dropping<string, Cause.Done>(most)
  const report = (problem: unknown) => Effect.logWarning(`resilient-claude: log lines for ${path} were lost`, problem)
  const encoder = new TextEncoder()
  const write = Effect.flatMap(
    Queue.takeAll(lines),
    (batch) => Effect.catch(file.writeAll(encoder.encode(batch.join(""))), report)
  )
  const writer = yield* Effect.forkScoped(Effect.ignore(Effect.forever(write)))
  yield* Effect.addFinalizer(() => Effect.andThen(Queue.end(lines), Fiber.await(writer)))
  return (value: unknown): Effect.Effect<void> =>
    Effect.suspend(() =>
      Queue.offerUnsafe(lines, `${JSON.stringify(value)}\n`)
        ? Effect.void
        : report(`${most} lines are queued because the disk is slow, or the layer is closed`)
    )
})
