/** The README tells the truth: its code exists and runs, its table is made from the code, its output was printed. */
import type { ModelInfo } from "@anthropic-ai/sdk/resources/models"
import { assert, describe, it } from "@effect/vitest"
import { Console, Effect, Option, Stream } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { outage, policy } from "../examples/incident.ts"
import { adviceTable, decisionTable, errorTable } from "../scripts/readme.ts"
import { Claude, Models, Policy } from "../src/index.ts"
import { FakeClaude, Faults } from "../src/testing/index.ts"

const root = path.resolve(import.meta.dirname, "..")
const read = (file: string) => fs.readFileSync(path.join(root, file), "utf8")
const folder = (name: string) =>
  fs.readdirSync(path.join(root, name), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => read(`${name}/${file}`))

/** Code without its layout, and with the names a user imports. */
const flat = (code: string) =>
  code
    .replaceAll(`"../src/index.ts"`, `"resilient-claude"`)
    .replaceAll(`"../src/NodeAnthropic.ts"`, `"resilient-claude/node"`)
    .replaceAll(`"../src/testing/index.ts"`, `"resilient-claude/testing"`)
    .replaceAll(/\s+/g, " ")

const alive = [...folder("examples"), ...folder("test")].map(flat)
const fences = (text: string) => [...text.matchAll(/```ts\n([^]*?)```/g)].map(([, fence = ""]) => fence)

const comments = fs.readdirSync(path.join(root, "src"), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .flatMap((file) =>
    [...read(`src/${file}`).matchAll(/\/\*\*[^]*?\*\//g)].map(([comment]) =>
      [file, comment.replaceAll(/^ *\* ?/gm, "")] as const
    )
  )

describe("code", () => {
  for (const [file, text] of [["README.md", read("README.md")] as const, ...comments]) {
    for (const fence of fences(text)) {
      it(`${file}: ${fence.split("\n").find((line) => !line.startsWith("import"))}`, () => {
        const code = flat(fence).trim()
        assert.isTrue(alive.some((file) => file.includes(code)), `not found in examples/ or test/:\n${fence}`)
      })
    }
  }

  it.effect("the stream of the README runs", () =>
    Effect.gen(function*() {
      const screen: Array<string> = []
      const clearScreen = Effect.sync(() => void screen.splice(0))
      const show = (text: string) => Effect.sync(() => void screen.push(text))
      const reader = Claude.events("Tell me a story.").pipe(
        Policy.applyStream({ ...Policy.standard, onBreak: "restart" }),
        Stream.runForEach((event) => {
          if (event.type === "restarted") return clearScreen
          return event.type === "content_block_delta" && event.delta.type === "text_delta"
            ? show(event.delta.text)
            : Effect.void
        })
      )
      yield* reader
      assert.strictEqual(screen.join(""), "Once upon a time.")
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("Once upon a time.")]))))

  it.effect("the models of the README are asked for, and an answer has a price", () =>
    Effect.gen(function*() {
      // When a program starts. If the list cannot be had, the built-in one is still there.
      const refreshed = Models.refresh.pipe(
        Policy.apply(Policy.standard),
        Effect.catch((error) => Console.log(`the models are as they were: ${error.message}`))
      )

      const asked = Effect.gen(function*() {
        const { cost, model } = yield* Claude.message("Tell me a story.")
        const { contextWindow, retiresAt } = Option.getOrUndefined(yield* Models.get(model)) ?? {}
        return { model, dollars: cost?.dollars, contextWindow, retiresAt }
      })

      yield* refreshed
      assert.deepStrictEqual(yield* asked, {
        model: "claude-sonnet-5-5",
        dollars: (100 * 2 + 50 * 10) / 1e6,
        contextWindow: 400_000,
        retiresAt: undefined
      })
    }).pipe(Effect.provide(
      FakeClaude.layer([Faults.answer("Once.", { inputTokens: 100, outputTokens: 50 })], { models: [listed] })
    )))
})

/** As the API lists it: it reads less than the built-in catalogue says. */
const listed: ModelInfo = {
  id: "claude-sonnet-5-5",
  type: "model",
  display_name: "Claude Sonnet 5.5",
  created_at: "2026-01-01T00:00:00Z",
  lifecycle: "active",
  line: "sonnet",
  deprecated_at: null,
  retires_at: null,
  max_input_tokens: 400_000,
  max_tokens: 128_000,
  capabilities: null
}

describe("figures", () => {
  it.each([
    ["README.md", "errors", errorTable],
    ["README.md", "decisions", decisionTable],
    ["docs/errors.md", "errors", adviceTable],
    ["docs/fallbacks.md", "decisions", decisionTable]
  ])("%s: the table of %s is what the code does", (page, name, table) => {
    const [, written = ""] = new RegExp(`<!-- table of ${name} -->\\n([^]*?)\\n\\n`).exec(read(page)) ?? []
    assert.strictEqual(written, table())
  })

  it("the output of npm start is what it prints", () => {
    const [, written = ""] = /<!-- output of npm start -->\n```text\n([^]*?)```/.exec(read("README.md")) ?? []
    assert.include(written, Policy.describe(policy).split("\n").map((line) => `  ${line}`).join("\n"))
    for (const failure of ["Overloaded", "RateLimited", "Unreachable", "PartialAnswer"]) {
      assert.include(written, failure)
    }
    assert.match(written, /it begins anew[^]*attempt 5 answered[^]*waits +4/)
    assert.isFunction(outage)
  })
})
