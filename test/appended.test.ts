/** The growing list in a `Ref`. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Ref } from "effect"
import * as Appended from "../src/appended.ts"

describe("a growing list", () => {
  // Fails if `Ref` no longer keeps its value in the field that the list replaces.
  it.effect("is read and changed through its `Ref` like any value", () =>
    Effect.gen(function*() {
      const { append, ref } = Appended.make<number>()
      append(1)
      append(2)
      assert.deepStrictEqual(yield* Ref.get(ref), [1, 2])
      assert.deepStrictEqual(Ref.getUnsafe(ref), [1, 2])
      assert.deepStrictEqual(yield* Ref.getAndSet(ref, []), [1, 2])
      append(3)
      yield* Ref.update(ref, (list) => [...list, 4])
      append(5)
      assert.deepStrictEqual(yield* Ref.get(ref), [3, 4, 5])
    }))

  it.effect("gives lists that do not change when more is appended", () =>
    Effect.gen(function*() {
      const { append, ref } = Appended.make<number>()
      append(1)
      const before = yield* Ref.get(ref)
      append(2)
      assert.deepStrictEqual(before, [1])
    }))
})
