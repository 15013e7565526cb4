import { assert, it } from "@effect/vitest"
import { Scope } from "effect"
import * as Bucket from "../../../src/guard/budget/bucket.ts"

it("a call waits at most a second for its turn in the line of a budget, even if the clock was set back by an hour", () => {
  const hour = 3_600_000
  const bucket = Bucket.make(10, Scope.makeUnsafe())
  bucket.isPaced = true
  bucket.nextAt = 10 * hour
  assert.isAtMost(Bucket.waitFor(bucket, 9 * hour), 1000)
})
