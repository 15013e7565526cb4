import { assert, it } from "@effect/vitest"
import { Scope } from "effect"
import * as Bucket from "../../../src/guard/budget/bucket.ts"

it("calls that leave the line of a budget one by one wait no longer after the clock was set back", () => {
  const hour = 3_600_000
  const bucket = Bucket.make(10, Scope.makeUnsafe())
  bucket.isPaced = true
  bucket.nextAt = 10 * hour
  assert.isAtMost(Bucket.waitFor(bucket, 9 * hour), 1000)
})
