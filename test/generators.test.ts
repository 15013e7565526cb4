/**
 * Rules for code that runs for each call: its generators are at module level, and it looks nothing up by identity.
 *
 * A `function*` created for each call costs more than all limits of the call together. At module level it is created
 * once, as in `const f = Effect.fnUntraced(function*() { … })`.
 */
import { assert, describe, it } from "@effect/vitest"
import { isObject } from "effect/Predicate"
import * as fs from "node:fs"
import * as path from "node:path"
import { parseAst } from "rolldown/parseAst"

const src = path.resolve(import.meta.dirname, "../src")

/** All files except `testing/`, which need not be fast. */
const files = fs.readdirSync(src, { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll(path.sep, "/"))
  .filter((file) => file.endsWith(".ts") && !file.startsWith("testing/"))

const textOf = (file: string) => fs.readFileSync(path.join(src, file), "utf8")

// -----------------------------------------------------------------------------
// Generators
// -----------------------------------------------------------------------------

/** Declarations that may create generators, because they run once for each layer or queue, never for each call. */
const onceForALayer: ReadonlyArray<string> = [
  "PersistedAnswers.ts layerWith",
  "guard/Guards.ts build",
  "guard/waitQueue.ts make"
]

interface Node {
  readonly type: string
  readonly start: number
}

const isNode = (value: unknown): value is Node =>
  isObject(value) && "type" in value && typeof value.type === "string" && "start" in value

const isFunction = ({ type }: Node) => /^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(type)

/** The name that a statement at module level declares. */
const nameOf = (node: unknown): string => {
  if (!isNode(node)) return "?"
  if ("declaration" in node && isNode(node.declaration)) return nameOf(node.declaration)
  if ("declarations" in node && Array.isArray(node.declarations)) return nameOf(node.declarations[0])
  return "id" in node && isObject(node.id) && "name" in node.id ? String(node.id.name) : "?"
}

/** Generators inside functions: their line, and the name of the declaration at module level around them. */
const generators = (text: string): ReadonlyArray<{ readonly line: number; readonly name: string }> => {
  const found: Array<{ readonly line: number; readonly name: string }> = []
  const look = (value: unknown, name: string, isInside: boolean): void => {
    if (Array.isArray(value)) return value.forEach((each) => look(each, name, isInside))
    if (!isNode(value)) return
    if (isInside && isFunction(value) && "generator" in value && value.generator === true) {
      found.push({ line: text.slice(0, value.start).split("\n").length, name })
    }
    for (const each of Object.values(value)) look(each, name, isInside || isFunction(value))
  }
  for (const statement of parseAst(text, { lang: "ts" }).body) look(statement, nameOf(statement), false)
  return found
}

describe("generator functions", () => {
  it("inside functions are found by this test", () => {
    const found = (text: string) => generators(text).map(({ line, name }) => `${name} ${line}`)
    const made = "Effect.gen(function*() { yield* other })"
    assert.deepStrictEqual(found(`const a = ${made}`), [])
    assert.deepStrictEqual(found("export const a = Effect.fnUntraced(function*<A>(b: A) { yield* b })"), [])
    assert.deepStrictEqual(found("function* a() { yield 1 }"), [])
    assert.deepStrictEqual(found(`\nconst a = () => ${made}`), ["a 2"])
    assert.deepStrictEqual(found(`export const a: Type =\n  (b) => (c: string) => ${made}`), ["a 2"])
    assert.deepStrictEqual(found(`export function a() {\n  return ${made}\n}`), ["a 2"])
    assert.deepStrictEqual(found(`class A {\n  get b() {\n    return ${made}\n  }\n}`), ["A 3"])
    assert.deepStrictEqual(found(`class A {\n  *b() {}\n}`), [])
    assert.deepStrictEqual(found(`const a = Effect.gen(function*() {\n  yield* ${made}\n})`), ["a 2"])
    assert.deepStrictEqual(found(`const a = { b: () => ${made} }`), ["a 1"])
  })

  it.each(files)(
    "in the file %s are created at module level, except in functions that run once for a layer",
    (file) => {
      const made = generators(textOf(file)).filter(({ name }) => !onceForALayer.includes(`${file} ${name}`))
      assert.deepStrictEqual(made, [])
    }
  )

  it("exist inside each function that is listed in onceForALayer", () => {
    for (const allowed of onceForALayer) {
      const [file = "", name] = allowed.split(" ")
      assert.isTrue(generators(textOf(file)).some((each) => each.name === name), allowed)
    }
  })
})

// -----------------------------------------------------------------------------
// Identity
// -----------------------------------------------------------------------------

/** Files that may use the names in `lookUp`, if a comment on the line above says why. */
const mayLookUp: ReadonlyArray<string> = ["output/codec.ts"]

const lookUp = /\b(WeakMap|WeakSet|isExit|getRef)\b/

describe("lookups", () => {
  it.each(files)("by WeakMap, WeakSet, isExit or getRef occur in %s only where allowed and explained", (file) => {
    const lines = textOf(file).split("\n")
    const found = lines.flatMap((line, i) => {
      const isExplained = /^\s*(\/\/|\*|\/\*\*)/.test(lines[i - 1] ?? "")
      return !lookUp.test(line) || mayLookUp.includes(file) && isExplained ? [] : [`${i + 1}: ${line.trim()}`]
    })
    assert.deepStrictEqual(found, [])
  })
})
