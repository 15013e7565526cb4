import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { known } from "../../src/models/known.ts"

const sdk = (file: string) =>
  fs.readFileSync(path.resolve(import.meta.dirname, "../../node_modules/@anthropic-ai/sdk", file), "utf8")
const first = (text: string, pattern: RegExp) => pattern.exec(text)?.[1] ?? ""

const union = first(sdk("resources/messages/messages.d.ts"), /export type Model = ([^;]+);/)
const named = Array.from(union.matchAll(/'([^']+)'/g), ([, id = ""]) => id)

/** The retirement dates in the SDK's warnings, by model. */
const warned = Array.from(
  sdk("src/internal/data/deprecated-models.ts").matchAll(/'([^']+)': '(\w+ \d+)\w\w, (\d+)'/g),
  ([, id = "", day = "", year = ""]) => [id, new Date(`${day} ${year} UTC`).toISOString().slice(0, 10)] as const
)

const isDate = (text: string) => /^\d{4}-\d{2}-\d{2}$/.test(text) && new Date(text).toJSON()?.slice(0, 10) === text

describe("the built-in models", () => {
  it("include all models of the SDK's type `Model`", () => {
    assert.isAbove(named.length, 0)
    assert.deepStrictEqual(named.filter((id) => !known.some((model) => model.id === id)), [])
  })

  it("have unique ids", () => {
    const ids = known.map((model) => model.id)
    assert.deepStrictEqual(ids.filter((id, at) => ids.indexOf(id) !== at), [])
  })

  it("are deprecated or retired if and only if the SDK warns of it, with the same date", () => {
    assert.isAbove(warned.length, 0)
    for (const [id, retiresAt] of warned) {
      const model = known.find((one) => one.id === id)
      assert.strictEqual(model?.retiresAt, retiresAt, id)
      assert.notStrictEqual(model?.lifecycle, "active", id)
    }
    // No other model is deprecated.
    const going = new Set(warned.map(([id]) => id))
    for (const { id, lifecycle } of known) assert.strictEqual(lifecycle === "active", !going.has(id), id)
  })
})

describe.each(known.map((model) => [model.id, model] as const))("%s", (id, model) => {
  it("has a source and a date", () => {
    assert.match(model.source, /https:\/\//)
    assert.isTrue(isDate(model.asOf))
  })

  it("has dates in order if it is deprecated or retired, and no dates otherwise", () => {
    const dates = [model.deprecatedAt, model.retiresAt].filter((date) => date !== undefined)
    assert.deepStrictEqual(dates.filter((date) => !isDate(date)), [])
    assert.deepStrictEqual(dates, dates.toSorted())
    assert.strictEqual(dates.length > 0, model.lifecycle !== "active")
  })

  it("has a max output within its context window", () => {
    const { contextWindow = Infinity, maxOutput = 1 } = model
    assert.isAbove(maxOutput, 0)
    assert.isAtMost(maxOutput, contextWindow)
  })

  it("costs more for output than for input, and for cache writes than for reads", () => {
    if (model.prices === undefined) return
    const { cacheRead, cacheWrite, cacheWriteHour, input, output } = model.prices
    const ladder = [0, cacheRead, input, cacheWrite, cacheWriteHour, output]
    assert.deepStrictEqual(ladder, Array.from(new Set(ladder)).toSorted((a, b) => a - b))
    // At most four decimals: rounding errors of the arithmetic would show.
    assert.deepStrictEqual(ladder, ladder.map((price) => Number(price.toFixed(4))))
  })

  it("has its model line, such as opus, in its id", () => {
    if (model.line !== undefined) assert.include(id, `claude-${model.line}-`)
  })
})
