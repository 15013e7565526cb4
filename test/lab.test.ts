/** A few scenarios of the lab with one seed, and only what holds today: the rest is a table. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { guarded, without } from "../lab/contenders.ts"
import { rivals } from "../lab/rivals.ts"
import { scenarios } from "../lab/scenarios.ts"
import { header, row } from "../lab/table.ts"
import { Simulator } from "../src/testing/index.ts"

const entryOf = (name: string) => scenarios.find((entry) => entry.name === name) ?? assert.fail(`no scenario ${name}`)

const contendersOf = (name: string) => [guarded(entryOf(name)), without, ...rivals(entryOf(name))]

const resultOf = (name: string, contender: string) =>
  Simulator.run(entryOf(name), contendersOf(name).find((one) => one.name === contender) ?? assert.fail(contender))

describe("the lab", () => {
  it("names every scenario once", () => {
    assert.strictEqual(new Set(scenarios.map(({ name }) => name)).size, scenarios.length)
  })

  // Measured over sockets: calls answered and requests sent. A seed explains a few of a hundred.
  for (
    const [scenario, contender, answered, requests] of [
      ["a", "without", 533, 1357],
      ["a", "sdk", 459, 1158],
      ["a", "p-retry", 666, 1444],
      ["a", "cockatiel", 547, 555],
      ["a", "effect", 536, undefined],
      ["a3", "p-retry", 389, 1535],
      ["b35", "without", 369, undefined],
      ["b35", "sdk", 360, undefined],
      ["m1", "without", 300, undefined],
      ["c4", "sdk", 190, undefined],
      ["c4", "effect", 270, 270],
      ["j", "guarded", 250, 261],
      ["j", "without", 250, 1250],
      ["j", "cockatiel", 250, 259],
      ["d", "p-retry", 0, 360],
      ["d", "sdk", 0, 216]
    ] as const
  ) {
    it.effect(`${scenario}: ${contender} answers about ${answered} calls, as measured over sockets`, () =>
      Effect.gen(function*() {
        const result = yield* resultOf(scenario, contender)
        assert.closeTo(result.answered, answered, Math.max(3, 0.04 * answered))
        if (requests !== undefined) assert.closeTo(result.requests, requests, 0.04 * requests)
      }))
  }

  it.effect("answers all calls that another model can answer", () =>
    Effect.gen(function*() {
      for (const name of ["j", "j2"]) {
        const { answered, calls } = yield* resultOf(name, "guarded")
        assert.strictEqual(answered, calls)
      }
    }))

  it.effect("fits its table into 140 columns", () =>
    Effect.gen(function*() {
      const table = [header, row(entryOf("a"), [yield* resultOf("a", "sdk")])].join("\n")
      for (const line of table.split("\n")) assert.isAtMost(line.length, 140)
    }))
})
