/** What is said of an SDK that is older than any that was tested. */
import { assert, it } from "@effect/vitest"
import { Effect, Ref } from "effect"
import { vi } from "vitest"

// Other files may have loaded the real version before, in the same worker.
const load = Effect.acquireRelease(
  Effect.promise(() => {
    vi.resetModules()
    vi.doMock("@anthropic-ai/sdk/version", () => ({ VERSION: "0.1.0" }))
    return import("../src/index.ts")
  }),
  () =>
    Effect.sync(() => {
      vi.doUnmock("@anthropic-ai/sdk/version")
      vi.resetModules()
    })
)

it.effect("each program that is built on it has one OldSdk in its log", () =>
  Effect.gen(function*() {
    const { Anthropic, CallLog } = yield* load
    const layer = Anthropic.layer({ apiKey: "sk-ant-x" })
    const program = Effect.flatMap(CallLog.Memory, Ref.get).pipe(
      Effect.provide([layer, layer]),
      Effect.provide(CallLog.layerMemory, { local: true })
    )
    for (const _ of ["first", "second"]) {
      assert.deepStrictEqual((yield* program).map((event) => event._tag === "Warning" && event.code), ["OldSdk"])
    }
  }))
