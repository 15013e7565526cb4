/** An outage of half a minute, in virtual time: 200 clients that call every 20 seconds, with two minutes for each call. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { Claude, ClaudeError, type Guards, Policy } from "../../../src/index.ts"
import * as VirtualClock from "../../../src/testing/simulator/virtualClock.ts"
import { oneIn } from "../../support/effort.ts"
import { busiest, count, counter, guarded, logNormal } from "../../support/provider.ts"

const clients = 200
const pause = 20_000
/** Requests per second before and after the outage. */
const normal = clients / 20
const outage = { from: 60_000, to: 90_000 }

/** The share of answered calls, and after the recovery the most requests in one second and (on average) in five. */
const simulate = (guards: Guards.Guards, sigma: number, seed: string) =>
  Effect.gen(function*() {
    const sent = counter()
    let answered = 0
    const ask = Claude.text("hi").pipe(
      Policy.apply({ ...Policy.standard, overall: "2 minutes" }),
      Effect.match({ onFailure: () => {}, onSuccess: () => answered++ })
    )
    const calls = 10
    const client = Effect.fnUntraced(function*(index: number) {
      // Starts evenly distributed, so that all seconds before the outage are alike.
      yield* Effect.sleep(index * pause / clients)
      for (let i = 0; i < calls; i++) {
        yield* ask
        yield* Effect.sleep(pause - 1000)
      }
    })
    const provider = guarded(() =>
      Effect.gen(function*() {
        const now = yield* count(sent)
        if (now >= outage.from && now < outage.to) {
          yield* Effect.sleep(500)
          return yield* new ClaudeError.ServerFault({ status: 503 })
        }
        return { first: yield* logNormal(1000, sigma) }
      }), guards)
    yield* Effect.forEach(Array.from({ length: clients }, (_, index) => index), client, {
      concurrency: "unbounded",
      discard: true
    }).pipe(Effect.provide(provider))
    const recovered = outage.to / 1000
    return {
      answered: answered / (clients * calls),
      before: busiest(sent, 0, outage.from / 1000),
      second: busiest(sent, recovered),
      fiveSeconds: busiest(sent, recovered, Infinity, 5) / 5
    }
  }).pipe(Random.withSeed(seed), VirtualClock.run)

/** One and a half times the concurrency that the traffic needs. */
const concurrency = { max: 1.5 * normal }

describe("after an outage of 30 seconds", () => {
  it.effect(
    "99 % of the calls are answered, and no second has more than 1.5 times the usual requests",
    () =>
      Effect.gen(function*() {
        const quick = { window: "10 seconds", openFor: "5 seconds", maxOpenFor: "10 seconds" } as const
        for (
          const guards of oneIn(3, [{ circuit: {}, concurrency }, { circuit: quick, concurrency }, { concurrency }])
        ) {
          const { answered, before, second } = yield* simulate(guards, 0, "b")
          assert.isAtLeast(answered, 0.99)
          assert.isAtMost(before, normal)
          assert.isAtMost(second, 1.5 * normal)
        }
      }),
    60_000
  )

  it.effect(
    "99 % of the calls are answered even if the durations of answers vary, and no five seconds have more than 1.5 times the usual requests",
    () =>
      Effect.gen(function*() {
        const figures = yield* simulate({ circuit: {}, concurrency }, 0.5, "a")
        assert.isAtLeast(figures.answered, 0.99)
        assert.isAtMost(figures.fiveSeconds, 1.5 * normal)
        // G10: the same seed gives the same figures.
        assert.deepStrictEqual(yield* simulate({ circuit: {}, concurrency }, 0.5, "a"), figures)
      }),
    60_000
  )
})
