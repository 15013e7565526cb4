/** Checks the layering: which file may import which. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const src = path.resolve(import.meta.dirname, "../src")

/**
 * The stages of a call, first to last. A file imports only from its own stage and earlier ones. A folder is one
 * stage with all its files.
 */
const stages: ReadonlyArray<ReadonlyArray<string>> = [
  ["models/"],
  // The vocabulary of all stages. Private files follow the public file that they belong to.
  [
    "ClaudeError",
    "errorFields",
    "errorKinds",
    "errorOf",
    "history",
    "local",
    "appended",
    "permanence",
    "options",
    "Current",
    "callContext",
    "budget",
    "onScopeExit",
    "queued",
    "Message",
    "CallLog",
    "emit",
    "jsonLines",
    "loggers",
    "logPlacement",
    "reported",
    "runtime",
    "severity",
    "answerStore",
    "storePatience",
    "atNow",
    "traced",
    "within"
  ],
  ["output/"],
  ["request/"],
  ["wire/"],
  ["answer/"],
  ["Claude", "emitHere", "Models", "Tool"],
  ["Anthropic", "NodeAnthropic"],
  ["policy/"],
  ["PersistedAnswers"],
  ["guard/"],
  ["index"],
  ["testing/"]
]

const stageOf = (file: string): number =>
  stages.findIndex((stage) => stage.some((name) => name.endsWith("/") ? file.startsWith(name) : file === name))

// Imports (from, to) that are forbidden although the order of the stages allows them.
const strangers = [
  ["policy/", "Anthropic"],
  ["guard/", "policy/"],
  ["guard/", "Anthropic"],
  ["index", "NodeAnthropic"],
  ["index", "PersistedAnswers"]
] as const

// The only files that may import these packages. Any file may import their types.
const owners: ReadonlyArray<readonly [RegExp, ReadonlyArray<string>]> = [
  [/^@anthropic-ai\/sdk/, ["wire/sdkClient"]],
  [/^undici/, ["NodeAnthropic", "wire/undiciFetch", "wire/ambientFetch"]],
  [/^node:/, ["wire/contentEncoding", "testing/FakeServer", "testing/cli"]],
  [/^effect\/ai/, ["output/codec"]],
  [/^effect\/encoding/, ["wire/sse"]],
  [/^effect\/http/, ["wire/headers"]],
  [/^effect\/persistence/, ["PersistedAnswers"]]
]

const files = fs.readdirSync(src, { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.replace(/\.ts$/, "").replaceAll(path.sep, "/"))

const textOf = (file: string) => fs.readFileSync(path.join(src, `${file}.ts`), "utf8")

const importsOf = (file: string) =>
  [...textOf(file).matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)\.ts"/g)]
    .map(([, specifier]) => path.posix.join(path.posix.dirname(file), specifier ?? ""))

const packagesOf = (file: string) =>
  [...textOf(file).matchAll(/^(?:import|export)\s(?!type\s)(?:[^"]*?from\s*)?"([^."][^"]*)"/gm)].map(([, name]) =>
    name ?? ""
  )

/** The files that a file loads at run time. Type imports are erased, so they may form cycles. */
const loadedBy = (file: string) =>
  [...textOf(file).matchAll(/^(?:import|export)\s(?!type\s)[^"]*?"(\.[^"]+)\.ts"/gm)]
    .map(([, specifier]) => path.posix.join(path.posix.dirname(file), specifier ?? ""))

const circles = (): ReadonlyArray<string> => {
  const found: Array<string> = []
  const done = new Set<string>()
  const visit = (file: string, path: ReadonlyArray<string>): void => {
    if (path.includes(file)) found.push([...path.slice(path.indexOf(file)), file].join(" > "))
    if (path.includes(file) || done.has(file)) return
    for (const imported of loadedBy(file)) visit(imported, [...path, file])
    done.add(file)
  }
  for (const file of files) visit(file, [])
  return found
}

describe("the source", () => {
  it("has no file that is missing from the list of stages", () =>
    assert.deepStrictEqual(files.filter((file) => stageOf(file) === -1), []))

  it("has no import cycles at run time", () => assert.deepStrictEqual(circles(), []))

  it("exports exactly the two index files and the files whose names begin with a capital letter", () => {
    const { exports }: { readonly exports: Readonly<Record<string, string | { readonly default: string }>> } = JSON
      .parse(
        fs.readFileSync(path.join(src, "../package.json"), "utf8")
      )
    const exported = Object.values(exports).flatMap((to) =>
      typeof to === "string" ? [] : [to.default.replace(/^\.\/dist\/(.*)\.js$/, "$1")]
    )
    const isPublic = (file: string) => /^[A-Z]/.test(path.posix.basename(file)) || /^(testing\/)?index$/.test(file)
    assert.sameMembers([...new Set(exported)], files.filter(isPublic))
  })

  for (const file of files) {
    it(`${file} imports only from its own stage and earlier ones`, () => {
      for (const imported of importsOf(file)) {
        assert.isAtMost(stageOf(imported), stageOf(file), `${file} imports ${imported}`)
        for (const [from, to] of strangers) {
          assert.isFalse(file.startsWith(from) && imported.startsWith(to), `${file} imports ${imported}`)
        }
      }
      for (const name of packagesOf(file)) {
        for (const [pattern, allowed] of owners) {
          assert.isTrue(!pattern.test(name) || allowed.includes(file), `${file} imports ${name}`)
        }
        assert.notStrictEqual(name, "effect", `${file} imports the barrel: import the module`)
      }
    })
  }

  it("uses the services of Effect for time, randomness, the console and the environment, except in listed files", () => {
    const services = [
      "Anthropic",
      "wire/errorBody",
      "wire/sdkClient",
      "wire/contentEncoding",
      "wire/undiciFetch",
      "wire/ambientFetch",
      "testing/FakeServer",
      "testing/cli"
    ]
    for (const file of files.filter((file) => !services.includes(file))) {
      const code = textOf(file).replaceAll(/\/\*[^]*?\*\/|\/\/.*/g, "")
      assert.notMatch(
        code,
        /Date\.now|new Date\(|Math\.random|setTimeout|setInterval|console\.|process\.|\basync\b|\btry \{/,
        file
      )
    }
  })
})
