/** Converts JSON schemas to the form that the API accepts, and finds schemas that it refuses. */
import type * as JsonSchema from "effect/JsonSchema"
import { isObject, isString } from "effect/Predicate"

/** Inlines a root that is a `$ref`, and keeps only the definitions in use. */
export const rooted = (
  root: JsonSchema.JsonSchema,
  definitions: { readonly [name: string]: unknown }
): JsonSchema.JsonSchema => {
  const needed = new Map<string, unknown>()
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) return node.forEach(visit)
    if (!isObject(node)) return
    const name = nameOf(node)
    if (name !== undefined && !needed.has(name)) {
      needed.set(name, definitions[name])
      visit(definitions[name])
    }
    Object.values(node).forEach(visit)
  }
  const top = definitions[nameOf(root) ?? ""]
  const schema = isObject(top) ? { ...top } : root
  visit(schema)
  return needed.size === 0 ? schema : { ...schema, $defs: Object.fromEntries(needed) }
}

/** Removes duplicate members of unions: Effect writes `null` twice for an optional field that can be null. */
export const distinct = (schema: JsonSchema.JsonSchema): JsonSchema.JsonSchema => {
  const visit = (node: unknown): unknown => {
    if (Array.isArray(node)) return node.map(visit)
    if (!isObject(node)) return node
    const { anyOf, ...more } = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, visit(value)]))
    if (!Array.isArray(anyOf)) return anyOf === undefined ? more : { ...more, anyOf }
    const members = [...new Map(anyOf.map((member) => [JSON.stringify(member), member])).values()]
    return { ...more, anyOf: members }
  }
  // Cast: `visit` maps an object to an object.
  return visit(schema) as JsonSchema.JsonSchema
}

/** The name of the definition that a `$ref` points to, unescaped (RFC 6901, section 6). */
const nameOf = ({ $ref }: { readonly $ref?: unknown }): string | undefined =>
  isString($ref) && $ref.startsWith("#/$defs/")
    ? decodeURIComponent($ref.slice("#/$defs/".length)).replaceAll("~1", "/").replaceAll("~0", "~")
    : undefined

/** The maximum number of unions in one request. Source: API docs, structured outputs. */
export const mostUnions = 16

/** Why the API would refuse a schema; undefined if no reason is known. `most`: the maximum number of unions. */
export const refusal = (schema: JsonSchema.JsonSchema, most: number): string | undefined => {
  let unions = 0
  let open: string | undefined
  const visit = (node: unknown, at: string): void => {
    if (!isObject(node) || Array.isArray(node)) return
    const { $defs, anyOf, items, properties, ...own } = node as JsonSchema.JsonSchema
    if (Array.isArray(anyOf)) unions++
    else if (!["type", "enum", "const", "$ref", "allOf"].some((key) => key in own)) open ??= at
    for (const group of [$defs, properties]) {
      for (const [name, part] of isObject(group) ? Object.entries(group) : []) {
        visit(part, at === "" ? name : `${at}.${name}`)
      }
    }
    for (const list of [anyOf, own["allOf"]]) for (const part of Array.isArray(list) ? list : []) visit(part, at)
    if (items !== undefined) visit(items, `${at}[]`)
  }
  visit(schema, "")
  return open !== undefined
    ? `${open === "" ? "the schema" : `"${open}" in the schema`} has no type, which the API does not accept`
    : unions > most
    ? `the schema has ${unions} unions and optional fields, but the API accepts at most ${most}`
    : undefined
}
