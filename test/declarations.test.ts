/** The types of calls that an editor shows are short enough to read. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"

const root = resolve(import.meta.dirname, "..")

/** The types of the constants in `calls.ts` by name, as the compiler prints them. */
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

describe("the type in an editor", () => {
  const types = declared()

  it.each([
    ["plain", "Effect.Effect<string, ClaudeError, Claude.Claude>"],
    ["standard", "Effect.Effect<string, ClaudeError, Claude.Claude>"],
    ["withoutDeadline", "Effect.Effect<string, ClaudeError, Claude.Claude>"],
    ["invoice", "Effect.Effect<{ readonly total: number; }, ClaudeError, Claude.Claude>"],
    ["stream", "Stream<string, ClaudeError, Claude.Claude>"],
    ["live", "Layer<Claude.Claude | Guards.Control, ConfigError, never>"]
  ])("of the constant %s in calls.ts is %s", (name, type) => {
    assert.strictEqual(types.get(name), type)
  })

  it("of a call that catches one kind of error does not have that error", () => {
    assert.notInclude(types.get("recovered"), "Refused")
    assert.include(types.get("recovered"), "Truncated")
  })
})
