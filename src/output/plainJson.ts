import { isString } from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { LongNumber } from "./exactJson.ts"

/**
 * The codec of the same values with plain JSON as its encoded side: a number is never one of the strings `"Infinity"`,
 * `"-Infinity"` and `"NaN"`, which Effect adds, and `null` is a type instead of a literal.
 */
export const plain = <A, I, RD>(schema: Schema.ConstraintCodec<A, I, RD>): Schema.ConstraintCodec<A, unknown, RD> =>
  rewritten(Schema.toCodecJson(schema), (ast) => {
    const { annotations, checks, context, encoding } = ast
    switch (ast._tag) {
      case "Literal":
        return (ast.literal as unknown) === null
          ? new SchemaAST.Null(annotations, checks, encoding, context)
          : undefined
      case "Union":
        return isAnyNumber(ast)
          ? new SchemaAST.Number({ message: "Expected a finite number" }, finite, encoding, context)
          : undefined
      default:
        return undefined
    }
  })

/** The codec that also decodes a `LongNumber`, but only where the JSON form is a string. */
export const exact = <A, RD>(codec: Schema.ConstraintCodec<A, unknown, RD>): Schema.ConstraintCodec<A, unknown, RD> =>
  rewritten(codec, (ast) => {
    switch (ast._tag) {
      case "String":
        return SchemaAST.decodeTo(stringOrLong.ast, ast, digitsOf)
      // These schemas would accept a `LongNumber`, too. `Json` rejects it.
      case "Any":
      case "Unknown":
        return Schema.Json.ast
      default:
        return undefined
    }
  })

const stringOrLong = Schema.declare(
  (value): value is string | LongNumber => isString(value) || value instanceof LongNumber && value.digits !== undefined,
  { expected: "string" }
)

const digitsOf = SchemaTransformation.transform({
  decode: (value: string | LongNumber) => isString(value) ? value : value.digits ?? "",
  encode: (value: string): string | LongNumber => value
})

/** Returns the replacement of a part of an AST, or `undefined` to keep that part. */
type Replace = (ast: SchemaAST.AST) => SchemaAST.AST | undefined

const rewritten = <A, RD>(
  codec: Schema.ConstraintCodec<A, unknown, RD>,
  replace: Replace
): Schema.ConstraintCodec<A, unknown, RD> => {
  const encoded = SchemaAST.toEncoded(codec.ast)
  const rewritten = rewrite(encoded, replace, new Map())
  return rewritten === encoded
    ? codec
    : Schema.make<typeof codec>(SchemaAST.decodeTo(rewritten, codec.ast, SchemaTransformation.passthrough()))
}

/** Returns the same object if nothing is replaced, except that a recursive part (`Suspend`) is always copied. */
const rewrite = (
  ast: SchemaAST.AST,
  replace: Replace,
  suspended: Map<SchemaAST.AST, SchemaAST.AST>
): SchemaAST.AST => {
  const inner = (part: SchemaAST.AST) => rewrite(part, replace, suspended)
  const replaced = replace(ast)
  if (replaced !== undefined) return replaced
  const { annotations, checks, context, encoding } = ast
  switch (ast._tag) {
    case "Union": {
      const types = ast.types.map(inner)
      return isSame(types, ast.types)
        ? ast
        : new SchemaAST.Union(types, ast.options, annotations, checks, encoding, context, ast.encodingChecks)
    }
    case "Arrays": {
      const elements = ast.elements.map(inner)
      const rest = ast.rest.map(inner)
      return isSame(elements, ast.elements) && isSame(rest, ast.rest)
        ? ast
        : new SchemaAST.Arrays(
          ast.isMutable,
          elements,
          rest,
          annotations,
          checks,
          encoding,
          context,
          ast.encodingChecks
        )
    }
    case "Objects": {
      const properties = ast.propertySignatures.map((property) => {
        const type = inner(property.type)
        return type === property.type ? property : new SchemaAST.PropertySignature(property.name, type)
      })
      const indexes = ast.indexSignatures.map((index) => {
        const type = inner(index.type)
        return type === index.type ? index : new SchemaAST.IndexSignature(index.parameter, type)
      })
      return isSame(properties, ast.propertySignatures) && isSame(indexes, ast.indexSignatures)
        ? ast
        : new SchemaAST.Objects(properties, indexes, annotations, checks, encoding, context, ast.encodingChecks)
    }
    case "Suspend": {
      const known = suspended.get(ast)
      if (known !== undefined) return known
      const made = new SchemaAST.Suspend(() => inner(ast.thunk()), annotations, checks, encoding, context)
      suspended.set(ast, made)
      return made
    }
    default:
      return ast
  }
}

const isSame = (a: ReadonlyArray<unknown>, b: ReadonlyArray<unknown>): boolean => a.every((part, i) => part === b[i])

const finite = Schema.Finite.ast.checks

/** The JSON form of `Schema.Number`: a number, or the name of a number that JSON lacks. */
const isAnyNumber = ({ types }: SchemaAST.Union): boolean =>
  types.length === 2 && types[0]?._tag === "Number" && types[1]?._tag === "Union"
  && types[1].types.map((type) => type._tag === "Literal" ? type.literal : "").join() === "Infinity,-Infinity,NaN"
