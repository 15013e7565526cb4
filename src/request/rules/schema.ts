/** Rules about the JSON schemas that the API enforces: in strict tools and in `output_config.format`. */
import { isNumber, isObject, isString } from "effect/Predicate"
import { hasFormat, isStrict } from "./blocks.ts"
import { both, field, type Given, issue, type Issues, kind, none, type Path, type Rule, show } from "./rule.ts"

const source = "platform.claude.com/docs/en/build-with-claude/structured-outputs"
const maxOptional = 24
const maxUnions = 16
/** Bounds the recursion. Deeper parts of a schema are not checked. */
const maxDepth = 200

/** Keywords that the API accepts in a strict schema but does not enforce. */
const ignored = [
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "multipleOf",
  "minLength",
  "maxLength",
  "maxItems"
]

interface Visit {
  readonly schema: (schema: Given, path: Path) => Issues
  /** Called where a schema contains itself, also through a `$ref`. */
  readonly circle: (path: Path) => Issues
}

/** Visits each enforced schema and its properties, items and unions, each once. `$defs` only where a `$ref` names them. */
const schemas = (given: Given, visit: Visit): Issues => {
  let found = none
  if (Array.isArray(given.tools)) {
    for (const [i, tool] of given.tools.entries()) {
      if (!isStrict(tool)) continue
      found = both(found, parts(field(tool, "input_schema"), ["tools", i, "input_schema"], visit))
    }
  }
  if (!hasFormat(given)) return found
  const format = field(given.output_config, "format")
  if (field(format, "type") !== "json_schema") return found
  return both(found, parts(field(format, "schema"), ["output_config", "format", "schema"], visit))
}

const parts = (root: unknown, start: Path, visit: Visit): Issues => {
  const seen = new Set<unknown>()
  const above: Array<unknown> = []
  const all = (of: unknown, path: Path): Issues => {
    let found = none
    if (of === null || typeof of !== "object") return found
    for (const [key, inner] of Object.entries(of)) {
      found = both(found, part(inner, [...path, Array.isArray(of) ? Number(key) : key]))
    }
    return found
  }
  const part = (schema: unknown, path: Path): Issues => {
    if (!isObject(schema)) return none
    if (above.includes(schema)) return visit.circle(path)
    if (seen.has(schema) || above.length === maxDepth) return none
    seen.add(schema)
    above.push(schema)
    let found = visit.schema(schema, path)
    for (const key of ["properties", "prefixItems", "anyOf", "allOf", "oneOf"]) {
      found = both(found, all(schema[key], [...path, key]))
    }
    found = both(found, part(schema.items, [...path, "items"]))
    if (isString(schema.$ref)) {
      const steps = stepsOf(schema.$ref)
      if (steps !== undefined) {
        const target = steps.reduce(step, root)
        found = both(
          found,
          above.includes(target) ? visit.circle([...path, "$ref"]) : part(target, [...start, ...steps])
        )
      }
    }
    above.pop()
    return found
  }
  return part(root, start)
}

/** Undefined unless the `$ref` is a local JSON pointer. */
const stepsOf = (ref: string): ReadonlyArray<string> | undefined =>
  ref === "#"
    ? []
    : ref.startsWith("#/")
    ? ref.slice(2).split("/").map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"))
    : undefined

const step = (value: unknown, key: string): unknown =>
  Array.isArray(value) ? value[Number(key)] : isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined

const isOptional = ({ required }: Given, name: string): boolean => !Array.isArray(required) || !required.includes(name)

const isUnion = (schema: unknown): boolean => {
  const type = field(schema, "type")
  return Array.isArray(field(schema, "anyOf")) || Array.isArray(type) && type.length > 1
}

const isOfObjects = ({ type }: Given): boolean => type === "object" || Array.isArray(type) && type.includes("object")

const subset: Visit["schema"] = (schema, path) => {
  let found = none
  const report = (key: string, message: string) => {
    found = both(found, issue([...path, key], message))
  }
  const { $ref, additionalProperties, enum: literals, minItems } = schema
  if (isNumber(minItems) && minItems > 1) report("minItems", `minItems is ${minItems}: a strict schema can have 0 or 1`)
  if (isOfObjects(schema) && additionalProperties !== false) {
    report("additionalProperties", "additionalProperties must be false in every object of a strict schema: set it")
  }
  if (Array.isArray(literals) && literals.some((literal) => literal !== null && typeof literal === "object")) {
    report("enum", "the enum of a strict schema can only have texts, numbers, booleans and null: remove the others")
  }
  if (isString($ref) && !$ref.startsWith("#")) {
    report("$ref", `the $ref ${show($ref)} points outside of the schema: use $defs and a local $ref`)
  }
  return found
}

const inSubset: Visit = {
  schema: subset,
  circle: (path) => issue(path, "a strict schema cannot be recursive: write out its levels")
}

const ineffective: Visit["schema"] = (schema, path) => {
  let found = none
  for (const key of ignored) {
    if (schema[key] === undefined) continue
    found = both(
      found,
      issue(
        [...path, key],
        `the API does not enforce ${key} in a strict schema: say it in the description too`
      )
    )
  }
  return found
}

const format = ({ output_config }: Given): Issues => {
  const format = field(output_config, "format")
  const schema = field(format, "schema")
  return field(format, "type") !== "json_schema" || isObject(schema)
    ? none
    : issue(["output_config", "format", "schema"], `the schema is ${kind(schema)}: it must be a JSON schema`)
}

const counts = (given: Given): Issues => Array.isArray(given.tools) || hasFormat(given) ? countsIn(given) : none

const countsIn = (given: Given): Issues => {
  let optional = 0
  let unions = 0
  const count = (schema: Given): Issues => {
    if (!isObject(schema.properties)) return none
    for (const [name, property] of Object.entries(schema.properties)) {
      if (isOptional(schema, name)) optional++
      if (isUnion(property)) unions++
    }
    return none
  }
  schemas(given, { schema: count, circle: () => none })
  const where: Path = hasFormat(given) ? ["output_config", "format", "schema"] : ["tools"]
  return both(
    optional <= maxOptional
      ? none
      : issue(where, `the strict schemas have ${optional} optional properties: make all but ${maxOptional} required`),
    unions <= maxUnions
      ? none
      : issue(
        where,
        `the strict schemas have ${unions} properties with a choice of types (anyOf, or a list as type): keep at most ${maxUnions}`
      )
  )
}

export const schemaRules: ReadonlyArray<Rule> = [
  { name: "output_config.format", source: "SDK 1.12 types: JSONOutputFormat", check: format }
]

export const schemaLimits: ReadonlyArray<Rule> = [
  { name: "the subset of JSON schema", source, check: (given) => schemas(given, inSubset) },
  { name: "at most 24 optional and 16 union properties", source, check: counts }
]

export const schemaHints: ReadonlyArray<Rule> = [
  {
    name: "keywords without effect",
    source,
    check: (given) => schemas(given, { schema: ineffective, circle: () => none })
  }
]
