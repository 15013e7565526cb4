/** The warning about an SDK that is older than every tested version. */
import { assert, it } from "@effect/vitest"
import { Effect, Ref } from "effect"
import { vi } from "vitest"

// Test files that ran before in the same worker may have loaded the real version.
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

it.effect("each program with an SDK that is too old logs OldSdk once", () =>
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
