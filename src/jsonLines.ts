import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Queue from "effect/Queue"

const mostQueued = 10_000

/**
 * Returns a function that appends a value to a file as a line of JSON. It does not wait for the disk: a separate fiber
 * writes the queued lines, the last of them before the scope closes. Lost lines log a warning.
 */
export const append = Effect.fnUntraced(function*(path: string) {
  const file = yield* Effect.flatMap(FileSystem.FileSystem, (fs) => fs.open(path, { flag: "a" }))
  const lines = yield* Queue.dropping<string, Cause.Done>(mostQueued)
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
        : report(`the queue of ${mostQueued} lines is full because the disk is slow, or the layer is closed`)
    )
})
