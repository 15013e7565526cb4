import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { known } from "../../src/models/known.ts"

const sdk = (file: string) =>
  fs.readFileSync(path.resolve(import.meta.dirname, "../../node_modules/@anthropic-ai/sdk", file), "utf8")
const first = (text: string, pattern: RegExp) => pattern.exec(text)?.[1] ?? ""

const union = first(sdk("resources/messages/messages.d.ts"), /export type Model = ([^;]+);/)
const named = Array.from(union.matchAll(/'([^']+)'/g), ([, id = ""]) => id)

/** What the SDK warns of, as ISO dates by model. */
const warned = Array.from(
  sdk("src/internal/data/deprecated-models.ts").matchAll(/'([^']+)': '(\w+ \d+)\w\w, (\d+)'/g),
  ([, id = "", day = "", year = ""]) => [id, new Date(`${day} ${year} UTC`).toISOString().slice(0, 10)] as const
)

const isDate = (text: string) => /^\d{4}-\d{2}-\d{2}$/.test(text) && new Date(text).toJSON()?.slice(0, 10) === text

describe("the known models", () => {
  it("are all that the SDK names", () => {
    assert.isAbove(named.length, 0)
    assert.deepStrictEqual(named.filter((id) => !known.some((model) => model.id === id)), [])
  })

  it("are known once", () => {
    const ids = known.map((model) => model.id)
    assert.deepStrictEqual(ids.filter((id, at) => ids.indexOf(id) !== at), [])
  })

  it("are deprecated or retired where the SDK warns of it, until the same day, and nowhere else", () => {
    assert.isAbove(warned.length, 0)
    for (const [id, retiresAt] of warned) {
      const model = known.find((one) => one.id === id)
      assert.strictEqual(model?.retiresAt, retiresAt, id)
      assert.notStrictEqual(model?.lifecycle, "active", id)
    }
    // And nothing else is.
    const going = new Set(warned.map(([id]) => id))
    for (const { id, lifecycle } of known) assert.strictEqual(lifecycle === "active", !going.has(id), id)
  })
})

describe.each(known.map((model) => [model.id, model] as const))("%s", (id, model) => {
  it("says where it is from, and when that was", () => {
    assert.match(model.source, /https:\/\//)
    assert.isTrue(isDate(model.asOf))
  })

  it("has dates only if it is deprecated, and in their order", () => {
    const dates = [model.deprecatedAt, model.retiresAt].filter((date) => date !== undefined)
    assert.deepStrictEqual(dates.filter((date) => !isDate(date)), [])
    assert.deepStrictEqual(dates, dates.toSorted())
    assert.strictEqual(dates.length > 0, model.lifecycle !== "active")
  })

  it("writes no more than it reads", () => {
    const { contextWindow = Infinity, maxOutput = 1 } = model
    assert.isAbove(maxOutput, 0)
    assert.isAtMost(maxOutput, contextWindow)
  })

  it("costs more the more it does", () => {
    if (model.prices === undefined) return
    const { cacheRead, cacheWrite, cacheWriteHour, input, output } = model.prices
    const ladder = [0, cacheRead, input, cacheWrite, cacheWriteHour, output]
    assert.deepStrictEqual(ladder, Array.from(new Set(ladder)).toSorted((a, b) => a - b))
    // Cents of a cent: an error of the arithmetic would show.
    assert.deepStrictEqual(ladder, ladder.map((price) => Number(price.toFixed(4))))
  })

  it("is named after its line", () => {
    if (model.line !== undefined) assert.include(id, `claude-${model.line}-`)
  })
})
