/** Checks some scenarios of the lab, each with one or two seeds. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { guarded, without } from "../lab/contenders.ts"
import { rivals } from "../lab/rivals.ts"
import { scenarios } from "../lab/scenarios.ts"
import { down, type Entry } from "../lab/scenarios/entry.ts"
import { header, row } from "../lab/table.ts"
import { Simulator } from "../src/testing/index.ts"
import { effort, itLong, oneIn } from "./support/effort.ts"

const entryOf = (name: string) => scenarios.find((entry) => entry.name === name) ?? assert.fail(`no scenario ${name}`)

const contendersOf = (name: string) => [guarded(entryOf(name)), without, ...rivals(entryOf(name))]

const resultOf = (name: string, contender: string) =>
  Simulator.run(entryOf(name), contendersOf(name).find((one) => one.name === contender) ?? assert.fail(contender))

describe("the lab", () => {
  it("has a unique name for every scenario", () => {
    assert.strictEqual(new Set(scenarios.map(({ name }) => name)).size, scenarios.length)
  })

  // Calls answered and requests sent, as measured over sockets. Other seeds differ by a few percent.
  for (
    const [scenario, contender, answered, requests] of oneIn(
      4,
      [
        ["a", "sdk", 459, 1158],
        ["a", "p-retry", 666, 1444],
        ["a", "cockatiel", 547, 555],
        ["a", "effect", 536, undefined],
        ["a3", "p-retry", 389, 1535],
        ["b35", "sdk", 360, undefined],
        ["m1", "without", 300, undefined],
        ["c4", "sdk", 190, undefined],
        ["c4", "effect", 270, 270],
        ["j", "without", 250, 1250],
        ["j", "cockatiel", 250, 259],
        ["d", "p-retry", 0, 360],
        ["d", "sdk", 0, 216]
      ] as const
    )
  ) {
    it.effect(`simulates about ${answered} answered calls in scenario ${scenario} with ${contender}, which is the number measured over sockets`, () =>
      Effect.gen(function*() {
        const result = yield* resultOf(scenario, contender)
        assert.closeTo(result.answered, answered, Math.max(3, 0.04 * answered))
        if (requests !== undefined) assert.closeTo(result.requests, requests, 0.04 * requests)
      }))
  }

  // A patience that no scenario of the lab has, so that guards tuned to its scenarios do not pass.
  const untuned = (name: string): Simulator.Scenario => {
    const entry = entryOf(name)
    const [traffic = assert.fail("it has traffic")] = [entry.traffic].flat()
    return { ...entry, traffic: { ...traffic, patience: "31 seconds" } }
  }
  it.effect.each(
    oneIn(5, ["a", "a2", "a4", "b35", "m1", "c", "c4", "recovery-500", "429-no-quota", "documents", "cached"])
  )(
    "G17: in scenario %s, shows that calls with guards get at least 99 % of the best rival's answers, with at most 2 % more requests for each answer",
    (name) =>
      Effect.gen(function*() {
        const entry = entryOf(name)
        for (
          const [scenario, seed] of [
            [entry, 1],
            ...effort(name.length < 4, name === "c") ? [[untuned(name), 77] as const] : []
          ] as const
        ) {
          const ours = yield* Simulator.run(scenario, guarded({ ...entry, ...scenario }), { seed })
          const others = yield* Simulator.compare([scenario], rivals({ ...entry, ...scenario }), { seeds: [seed] })
          const [best = ours] = others.toSorted((a, b) => b.answered - a.answered || a.requests - b.requests)
          assert.isAtLeast(ours.answered, 0.99 * best.answered, `${best.contender}, seed ${seed}`)
          assert.isAtMost(ours.requests / ours.answered, 1.02 * best.requests / best.answered, best.contender)
          if (ours.peak !== undefined && name !== "recovery-500") {
            assert.isAtMost(ours.peak.requests, 2 * ours.peak.offered + 1, "the peak after the incident")
          }
        }
      }),
    60_000
  )

  itLong(
    "G17: shows that guards alert within a minute of an outage at 1 call/s, and at most twice in two hours of 5 % failures",
    () =>
      Effect.gen(function*() {
        const outage = yield* resultOf("alarm-outage", "guarded")
        const [incident] = entryOf("alarm-outage").provider.incidents ?? []
        const from = Duration.toMillis(Duration.fromInputUnsafe(incident?.from ?? 0))
        assert.isAtMost((outage.alerts[0]?.at ?? Infinity) - from, 60_000)
        const steady = yield* resultOf("alarm-steady", "guarded")
        assert.isAtMost(steady.alerts.filter(({ alert }) => alert === "SuccessRateLow").length, 2)
      })
  )

  itLong(
    "shows that all calls of a small tenant are answered while another tenant floods the queue",
    () =>
      Effect.gen(function*() {
        const { tenants } = yield* resultOf("flood", "guarded")
        assert.deepStrictEqual(tenants["small"], { answered: 150, calls: 150 })
      })
  )

  it.effect("shows that all calls with guards and a fallback model are answered while the first model fails or hangs", () =>
    Effect.gen(function*() {
      for (const name of ["j", "j2"]) {
        const { answered, calls } = yield* resultOf(name, "guarded")
        assert.strictEqual(answered, calls)
      }
    }))

  const seconds = (n: number) => `${n} seconds` as const
  it.effect.each<Entry>([
    {
      name: "steady-70",
      about: "a steady 70 % of failures",
      provider: { faults: { overloaded: 0.7 } },
      traffic: { arrivals: { perSecond: 15 }, to: "1 minute" }
    },
    {
      name: "waves",
      about: "outages of ten seconds that come and go",
      provider: { incidents: [0, 20, 40].flatMap((from) => down(seconds(from), seconds(from + 10))) },
      traffic: { arrivals: { perSecond: 10 }, to: "1 minute" }
    }
  ])(
    "shows that calls with guards get fewer answers and send fewer requests than calls with p-retry in $about",
    (entry) =>
      Effect.gen(function*() {
        const ours = yield* Simulator.run(entry, guarded(entry))
        const pRetry = rivals(entry).find(({ name }) => name === "p-retry") ?? assert.fail("there is no p-retry")
        const theirs = yield* Simulator.run(entry, pRetry)
        assert.isBelow(ours.answered, theirs.answered)
        assert.isBelow(ours.requests, theirs.requests)
      })
  )

  it.effect("prints a table of at most 140 columns", () =>
    Effect.gen(function*() {
      const table = [header, row(entryOf("a"), [yield* resultOf("a", "sdk")])].join("\n")
      for (const line of table.split("\n")) assert.isAtMost(line.length, 140)
    }))
})
