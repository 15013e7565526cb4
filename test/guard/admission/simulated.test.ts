/** AIMD in virtual time: where the concurrency limit settles, against a provider with a hard limit. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { Claude, ClaudeError, Guards } from "../../../src/index.ts"
import * as VirtualClock from "../../../src/testing/simulator/virtualClock.ts"
import { guarded, logNormal, quantile } from "../../support/provider.ts"

/**
 * More clients than may run, each of which calls again as soon as it is answered. Returns the limits in the second
 * half, and the share of rejected attempts. Answers take 8 seconds in the median, log-normal with a sigma of 1.
 */
const simulate = (
  { calls, clients, max, most }: {
    readonly most: number
    readonly max: number
    readonly clients: number
    readonly calls: number
  },
  seed: string
) =>
  Effect.gen(function*() {
    let running = 0
    let refused = 0
    let ended = 0
    const limits: Array<number> = []
    const provider = guarded(() =>
      Effect.gen(function*() {
        if (running >= most) {
          refused++
          yield* Effect.sleep(50)
          return yield* new ClaudeError.RateLimited({})
        }
        running++
        const took = yield* logNormal(8000, 1)
        // The request ends when its last byte is sent, which the client cannot delay.
        yield* Effect.forkDetach(Effect.andThen(Effect.sleep(took), Effect.sync(() => running--)))
        return { first: Math.min(took, 1000), rest: Math.max(0, took - 1000) }
      }), { concurrency: { min: 1, max, initial: 20, queue: 10_000, maxWait: "100 hours" } })
    const client = Effect.gen(function*() {
      while (ended < calls) {
        yield* Effect.ignore(Claude.text("hi"))
        ended++
      }
    })
    const look = Effect.forever(Effect.gen(function*() {
      yield* Effect.sleep("1 second")
      const { admission } = yield* Guards.status
      // Leaves out the end, when calls stop coming.
      if (ended > calls / 2 && ended < calls) limits.push(admission["sonnet"]?.limit ?? 0)
    }))
    yield* Effect.gen(function*() {
      yield* Effect.forkChild(look)
      yield* Effect.forEach(Array.from({ length: clients }), () => client, { concurrency: "unbounded", discard: true })
    }).pipe(Effect.provide(provider))
    return {
      p10: quantile(limits, 0.1),
      p90: quantile(limits, 0.9),
      refused: refused / ended
    }
  }).pipe(Random.withSeed(seed), VirtualClock.run)

describe("the adaptive concurrency limit (AIMD)", () => {
  it.effect(
    "settles between 39 and 51, and at most 15 % of the attempts are rejected, if the provider runs at most 50 calls",
    () =>
      Effect.gen(function*() {
        const { p10, p90, refused } = yield* simulate({ most: 50, max: 200, clients: 100, calls: 5000 }, "a")
        assert.isAtLeast(p10, 39)
        assert.isAtMost(p90, 51)
        assert.isAtMost(refused, 0.15)
        // Some attempts are rejected, so the hard limit was reached.
        assert.isAbove(refused, 0)
      }),
    60_000
  )

  it.effect(
    "stays at its maximum if the provider rejects no attempt, although the durations of answers vary",
    () =>
      Effect.gen(function*() {
        const { p10, p90, refused } = yield* simulate({ most: Infinity, max: 200, clients: 220, calls: 1600 }, "a")
        assert.deepStrictEqual({ p10, p90, refused }, { p10: 200, p90: 200, refused: 0 })
      }),
    60_000
  )

  it.effect("G10: gives the same figures with the same seed", () =>
    Effect.gen(function*() {
      const figures = simulate({ most: 20, max: 100, clients: 40, calls: 400 }, "a")
      assert.deepStrictEqual(yield* figures, yield* figures)
    }), 60_000)
})
