/** How much load retries add, in virtual time: in an hour of outage, after a burst of failures, and to failures now and then. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Random } from "effect"
import { Claude, ClaudeError, Current, type Guards, Policy, Retry, RetryBudget } from "../../src/index.ts"
import * as VirtualClock from "../../src/testing/simulator/virtualClock.ts"
import { count, counter, every, guarded, logNormal, type Serve } from "./provider.ts"

/** Fails after so many milliseconds. */
const failing = (after: number) =>
  Effect.andThen(Effect.sleep(after), Effect.suspend(() => Effect.fail(new ClaudeError.ServerFault({ status: 500 }))))

const out: Serve = () => failing(500)

/** Calls under a policy, one every so many milliseconds: how many were answered, and how many requests came for each. */
const simulate = (
  { calls, gap, guards = {}, policy = Policy.standard, seed = "extra load", serve }: {
    readonly calls: number
    readonly gap: number
    readonly serve: Serve
    readonly guards?: Guards.Guards
    readonly policy?: Policy.Policy
    readonly seed?: string
  }
) =>
  Effect.gen(function*() {
    const sent = counter()
    let answered = 0
    const ask = Claude.text("hi").pipe(
      Policy.apply(policy),
      Effect.match({ onFailure: () => {}, onSuccess: () => answered++ })
    )
    yield* every(gap, calls, () => ask).pipe(
      Effect.provide(guarded((request) => Effect.andThen(count(sent), serve(request)), guards))
    )
    return { answered: answered / calls, load: sent.total / calls, extra: sent.total - calls }
  }).pipe(Random.withSeed(seed), VirtualClock.run)

/** The same on the budget alone, used as a policy does: hundreds of thousands of whole calls would take too long. */
const simulateBudget = (calls: number, gap: number) =>
  Effect.gen(function*() {
    const budget = RetryBudget.make(RetryBudget.settings({}), yield* Effect.scope)
    const error = new ClaudeError.ServerFault({ status: 500 })
    let attempts = 0
    const attempt = Effect.sync(() => {
      attempts++
      return Exit.fail(error)
    })
    const again = (times: number): Effect.Effect<void> =>
      Effect.flatMap(Random.next, (share) =>
        Effect.sleep(share * 1000 * 2 ** times).pipe(
          Effect.andThen(Effect.uninterruptible(budget.charge(error))),
          Effect.flatMap((charge) =>
            charge === undefined
              ? Effect.void
              : Effect.andThen(Effect.flatMap(attempt, charge.settle), times < 2 ? again(times + 1) : Effect.void)
          )
        ))
    const call = Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.flatMap(budget.first(now), (charge) =>
        Effect.flatMap(attempt, (exit) => charge.settle(exit))).pipe(
          Effect.andThen(again(0)),
          Effect.provideService(Current.Deadline, now + 300_000)
        ))
    yield* every(gap, calls, () =>
      call)
    return attempts / calls
  }).pipe(Effect.scoped, Random.withSeed("extra load"), VirtualClock.run)

describe("G7: an hour of outage", () => {
  it.effect("adds at most a twentieth to one call in a second", () =>
    Effect.gen(function*() {
      const { answered, load } = yield* simulate({ calls: 3600, gap: 1000, serve: out })
      assert.strictEqual(answered, 0)
      assert.isAtMost(load, 1.05)
      assert.isAbove(load, 1)
    }), 60_000)

  it.effect("adds at most a twentieth to a hundred calls in a second", () =>
    Effect.gen(function*() {
      const load = yield* simulateBudget(360_000, 10)
      assert.isAtMost(load, 1.05)
      assert.isAbove(load, 1)
      // It is in the first seconds that it could be more: these are whole calls.
      assert.isAtMost((yield* simulate({ calls: 1000, gap: 10, serve: out })).load, 1.05)
    }), 60_000)

  it.effect(
    "adds at most a twentieth to a few calls in a minute, and ten attempts to fewer",
    () =>
      Effect.gen(function*() {
        assert.isAtMost((yield* simulate({ calls: 216, gap: 3_600_000 / 216, serve: out })).load, 1.05)
        const { extra } = yield* simulate({ calls: 180, gap: 20_000, serve: out })
        assert.isAtMost(extra, 10)
        assert.isAbove(extra, 0)
      }),
    60_000
  )

  it.effect("sends next to nothing where there is a circuit", () =>
    Effect.gen(function*() {
      const { load } = yield* simulate({ calls: 600, gap: 1000, serve: out, guards: { circuit: {} } })
      assert.isAtMost(load, 0.05)
    }), 60_000)
})

describe("G7: failures that pass", () => {
  const once = (guards: Guards.Guards) => {
    let sent = 0
    const serve: Serve = () => Effect.suspend(() => sent++ < 64 ? failing(1000) : Effect.succeed({ first: 1000 }))
    const policy: Policy.Policy = { retry: Retry.standard, overall: "2 minutes" }
    return simulate({ calls: 64, gap: 0, guards, policy, serve })
  }

  it.effect("are all answered, if 64 calls fail at once", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* once({}), { answered: 1, load: 2, extra: 64 })
      assert.deepStrictEqual(yield* once({ circuit: {} }), { answered: 1, load: 2, extra: 64 })
    }), 60_000)

  const sometimes: Serve = () =>
    Effect.flatMap(
      Random.next,
      (share) => share < 0.2 ? failing(500) : Effect.map(logNormal(1000, 0.5), (first) => ({ first }))
    )

  it.effect("are answered to 99 % at 1.26 times the load, if every fifth attempt fails", () =>
    Effect.gen(function*() {
      for (const [calls, gap] of [[6000, 10], [3000, 1000]] as const) {
        const { answered, load } = yield* simulate({ calls, gap, serve: sometimes })
        assert.isAtLeast(answered, 0.99)
        assert.isAtMost(load, 1.26)
      }
    }), 60_000)

  it.effect("G10: come to the same figures with the same seed", () =>
    Effect.gen(function*() {
      const figures = (seed: string) => simulate({ calls: 300, gap: 100, serve: sometimes, seed })
      const once = yield* figures("one")
      assert.deepStrictEqual(yield* figures("one"), once)
      assert.notDeepEqual(yield* figures("another"), once)
    }), 60_000)
})
