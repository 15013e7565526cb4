/** The extra load of retries, in virtual time: in an hour of outage, after a burst of failures, and with random failures. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Random } from "effect"
import { Claude, ClaudeError, type Guards, Policy } from "../../../src/index.ts"
import * as VirtualClock from "../../../src/testing/simulator/virtualClock.ts"
import { effort, oneIn } from "../../support/effort.ts"
import { count, counter, every, guarded, logNormal, type Serve } from "../../support/provider.ts"

/** Fails after so many milliseconds. */
const failing = (after: number) =>
  Effect.andThen(Effect.sleep(after), Effect.suspend(() => Effect.fail(new ClaudeError.ServerFault({ status: 500 }))))

const out: Serve = () => failing(500)

/** Runs one call under a policy per interval. Returns the share of answered calls, and the requests per call. */
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

describe("G7: an outage", () => {
  const hour = (gap: number, serve: Serve, overall: number) =>
    simulate({
      calls: Math.round(3_600_000 / gap),
      gap,
      serve,
      policy: { ...Policy.standard, overall: overall * 1000 }
    })
  const hanging: Serve = () => Effect.never

  it.effect.each(
    oneIn(
      6,
      [
        ["1 call/s with a deadline of 25 s", 1000, out, 25],
        ["10 calls/s with a deadline of 25 s", 100, out, 25],
        ["1 call/s with a deadline of 300 s", 1000, out, 300],
        ["0.15 calls/s with a deadline of 25 s", 6667, out, 25],
        ["0.15 calls/s with a deadline of 300 s", 6667, out, 300],
        ["0.15 calls/s with a deadline of 25 s if the API never responds", 6667, hanging, 25],
        ["0.15 calls/s with a deadline of 300 s if the API never responds", 6667, hanging, 300]
      ] as const
    )
  )(
    "of an hour costs at most 1.05 requests per call at %s",
    ([, gap, serve, overall]) =>
      Effect.gen(function*() {
        const { answered, extra, load } = yield* hour(gap, serve, overall)
        assert.strictEqual(answered, 0)
        assert.isAtMost(load, 1.05)
        assert.isAtMost(extra, 26)
        assert.isAtLeast(extra, 10)
      }),
    60_000
  )

  it.effect("of an hour costs at most 30 extra attempts at 0.05 calls/s", () =>
    Effect.gen(function*() {
      for (const [serve, overall] of [[out, 25], [out, 300], [hanging, 25]] as const) {
        const { extra } = yield* hour(20_000, serve, overall)
        assert.isAtMost(extra, 30)
        assert.isAtLeast(extra, 10)
      }
    }), 60_000)

  it.effect(
    "of an hour, in which answers begin and break off, costs at most 1.125 requests per call at 1 call/s",
    () =>
      Effect.gen(function*() {
        const [short, long] = [[25, 1.05], [300, 1.125]] as const
        const breaking: Serve = () =>
          Effect.succeed({ first: 300, rest: 60_000, broken: new ClaudeError.PartialAnswer({}) })
        for (const [overall, most] of effort([short, long], [short])) {
          assert.isAtMost((yield* hour(1000, breaking, overall)).load, most)
        }
      }),
    60_000
  )

  it.effect("of ten minutes costs at most 0.15 requests per call if there is a circuit", () =>
    Effect.gen(function*() {
      const { load } = yield* simulate({ calls: 600, gap: 1000, serve: out, guards: { circuit: {} } })
      // The first 20 calls with their retries, then one probe every 5 to 30 seconds.
      assert.isAtMost(load, 0.15)
    }), 60_000)
})

describe("G7: with retries", () => {
  const once = (guards: Guards.Guards) => {
    let sent = 0
    const serve: Serve = () => Effect.suspend(() => sent++ < 64 ? failing(1000) : Effect.succeed({ first: 1000 }))
    const policy: Policy.Policy = { ...Policy.standard, overall: "2 minutes" }
    return simulate({ calls: 64, gap: 0, guards, policy, serve })
  }

  it.effect("all of 64 calls are answered if the first attempt of each call fails", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* once({}), { answered: 1, load: 2, extra: 64 })
      assert.deepStrictEqual(yield* once({ circuit: {} }), { answered: 1, load: 2, extra: 64 })
    }), 60_000)

  const sometimes: Serve = () =>
    Effect.flatMap(
      Random.next,
      (share) => share < 0.2 ? failing(500) : Effect.map(logNormal(1000, 0.5), (first) => ({ first }))
    )

  it.effect(
    "99 % of the calls are answered, and at most 1.26 attempts per call are sent, if a random fifth of the attempts fails",
    () =>
      Effect.gen(function*() {
        const [crowded, calm] = [[6000, 10], [3000, 1000]] as const
        for (const [calls, gap] of effort([crowded, calm], [calm])) {
          const { answered, load } = yield* simulate({ calls, gap, serve: sometimes })
          assert.isAtLeast(answered, 0.99)
          assert.isAtMost(load, 1.26)
        }
      }),
    60_000
  )

  it.effect.each(
    oneIn(
      7,
      [
        [0.2, 8, 25, 0.99],
        [0.35, 8, 25, 0.99],
        [0.5, 8, 25, 0.98],
        [0.5, 8, 60, 0.99],
        [0.2, 61, 61 + 25, 0.99],
        [0.35, 61, 61 + 25, 0.99],
        [0.5, 61, 61 + 25, 0.97],
        [0.5, 61, 61 + 60, 0.99]
      ] as const
    )
  )(
    "if the fraction %d of the attempts fails, with answers of %i s and a deadline of %i s, at least the fraction %d of the calls is answered",
    ([share, answer, overall, least]) =>
      Effect.gen(function*() {
        const serve: Serve = () =>
          Effect.flatMap(
            Random.next,
            (random) => random < share ? failing(30) : Effect.succeed({ first: 300, rest: answer * 1000 - 300 })
          )
        for (const gap of effort([80, 1000], [1000])) {
          const { answered, load } = yield* simulate({
            calls: 1000,
            gap,
            serve,
            policy: { ...Policy.standard, overall: overall * 1000 }
          })
          assert.isAtLeast(answered, least)
          assert.isAtMost(load, 1.1 / (1 - share))
        }
      }),
    60_000
  )

  it.effect(
    "G10: the figures are the same with the same seed, and differ with another seed",
    () =>
      Effect.gen(function*() {
        const figures = (seed: string) => simulate({ calls: 300, gap: 100, serve: sometimes, seed })
        const once = yield* figures("one")
        assert.deepStrictEqual(yield* figures("one"), once)
        assert.notDeepEqual(yield* figures("another"), once)
      }),
    60_000
  )
})
