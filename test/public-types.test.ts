/** The declarations of public modules use only types from public modules, so that users can name them. */
import { assert, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

const root = path.resolve(import.meta.dirname, "..")

/** The exceptions: public modules that use types of private files, and why. */
const allowed: ReadonlyArray<readonly [module: string, file: string, why: string]> = [
  ["Claude", "runtime", "opaque to users, who only pass it on"],
  ["Claude", "budget", "used only by the library"],
  ["Models", "models/catalogue", "an earlier stage; Models exports its types"],
  ["policy/Validate", "models/catalogue", "an earlier stage; Models exports its types"],
  ["policy/Validate", "request/inspect", "the rules, shared with the validation of calls"],
  ["ClaudeError", "errorKinds", "one class for each kind of error, all exported"],
  ["ClaudeError", "errorFields", "the schemas of their fields"],
  ["Anthropic", "wire/", "the options, which both wires share"],
  ["NodeAnthropic", "wire/configured", "the options, which both wires share"],
  ["policy/Policy", "options", "what the compiler refuses, beside what is refused at run time"],
  ["policy/Retry", "options", "what the compiler refuses, beside what is refused at run time"],
  ["policy/Retry", "policy/schedules", "the options that all waits have"],
  ["policy/Fallback", "policy/", "one file for each fallback, all exported"],
  ["policy/Fallback", "answerStore", "its store"],
  ["guard/circuit/Circuit", "guard/circuit/state", "plain data that is opaque to a store"],
  ["testing/Faults", "testing/", "one vocabulary in several files, all exported"],
  ["testing/Simulator", "testing/simulator/", "each part of a scenario beside what runs it, all exported"]
]

const isPublic = (file: string) => /^([A-Z]\w*|index)$/.test(path.posix.basename(file))

/** The built declarations by file. */
const declarations = (): ReadonlyArray<readonly [file: string, text: string]> => {
  const out = fs.mkdtempSync(path.join(os.tmpdir(), "declarations-"))
  try {
    execFileSync(process.execPath, [
      path.join(root, "node_modules/typescript/bin/tsc"),
      "--project",
      path.join(root, "tsconfig.build.json"),
      "--emitDeclarationOnly",
      "--outDir",
      out
    ])
    return fs.readdirSync(out, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".d.ts"))
      .map((file) => [file.slice(0, -5), fs.readFileSync(path.join(out, file), "utf8")])
  } finally {
    fs.rmSync(out, { recursive: true })
  }
}

/** The private files whose types a declaration uses. Re-exported values do not count: their types are public. */
const edgesOf = ([file, text]: readonly [file: string, text: string]): ReadonlyArray<readonly [string, string]> =>
  isPublic(file)
    ? text.split("\n")
      .filter((line) => !/^export \{(?!.*\btype )/.test(line))
      .flatMap((line) => [...line.matchAll(/(?:from |import\()"(\.[^"]+)\.(?:ts|js)"/g)])
      .map(([, specifier = ""]) => [file, path.posix.join(path.posix.dirname(file), specifier)] as const)
      .filter(([, imported]) => !isPublic(imported))
    : []

it("public modules use types of private files only in the listed exceptions", { timeout: 120_000 }, () => {
  const edges = declarations().flatMap(edgesOf)
  const covers = ([module, file]: typeof allowed[number]) => ([by, imported]: readonly [string, string]) =>
    by === module && (file.endsWith("/") ? imported.startsWith(file) : imported === file)
  assert.deepStrictEqual(edges.filter((edge) => !allowed.some((entry) => covers(entry)(edge))), [], "not declared")
  assert.deepStrictEqual(allowed.filter((entry) => !edges.some(covers(entry))), [], "not needed any more")
})
