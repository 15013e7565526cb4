/** What an editor shows of the first calls: a type that fills a screen is read by nobody. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")

/** The types of the constants of `calls.ts`, by their names, as the compiler writes them. */
const declared = (): ReadonlyMap<string, string> => {
  const out = mkdtempSync(join(tmpdir(), "declarations-"))
  try {
    const tsc = join(root, "node_modules/typescript/bin/tsc")
    const project = join(root, "test/support/declarations")
    const { status, stdout } = spawnSync(process.execPath, [tsc, "-p", project, "--outDir", out], { encoding: "utf8" })
    assert.strictEqual(status, 0, stdout)
    const text = readFileSync(join(out, "test/support/declarations/calls.d.ts"), "utf8").replaceAll(/\s+/g, " ")
    return new Map([...text.matchAll(/export declare const (\w+): (.*?); ?(?=export|$)/g)].map(([, name, type]) => [
      name ?? "",
      (type ?? "").replaceAll(/import\("[^"]+"\)\./g, "")
    ]))
  } finally {
    rmSync(out, { recursive: true })
  }
}

describe("what an editor shows", () => {
  const types = declared()

  it.each([
    ["plain", "Effect.Effect<string, ClaudeError, Claude.Claude>"],
    ["standard", "Effect.Effect<string, ClaudeError, Claude.Claude>"],
    ["withoutDeadline", "Effect.Effect<string, ClaudeError, Claude.Claude>"],
    ["invoice", "Effect.Effect<{ readonly total: number; }, ClaudeError, Claude.Claude>"],
    ["stream", "Stream<string, ClaudeError, Claude.Claude>"],
    ["live", "Layer<Claude.Claude | Guards.Control, ConfigError, never>"]
  ])("of %s is %s", (name, type) => {
    assert.strictEqual(types.get(name), type)
  })

  it("of a call that recovers from one kind of error no longer has it", () => {
    assert.notInclude(types.get("recovered"), "Refused")
    assert.include(types.get("recovered"), "Truncated")
  })
})
