/**
 * Describes why a schema does not decode a value: with full messages, and as an outline that quotes no content.
 *
 * The messages of a caller's schema may quote the answer, and so may the keys of a record. The outline has only
 * paths and expected types, as the schema declares them.
 */
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import type { Issue } from "../ClaudeError.ts"

export interface Flaws {
  /** May quote the value. */
  readonly issues: ReadonlyArray<Issue>
  /** Quotes nothing of the value. Example: "2 issues: items.0.total: Expected number; name: Missing key". */
  readonly outline: string
}

const mostShown = 3

export const flawsOf = (issue: SchemaIssue.Issue): Flaws => {
  const issues = standard(issue).issues.map(({ message, path = [] }) => ({
    message,
    path: path.map((part) => typeof part === "number" ? part : String(typeof part === "object" ? part.key : part))
  }))
  const lines = outlineOf(issue, [], undefined)
  const rest = lines.length > mostShown ? [`${lines.length - mostShown} more`] : []
  return { issues, outline: `${countOf(issues)}: ${[...lines.slice(0, mostShown), ...rest].join("; ")}` }
}

/** One flaw of the whole value. `plain`: `message` quotes nothing of the value, so the outline includes it. */
export const oneFlaw = (message: string, plain?: "plain"): Flaws => ({
  issues: [{ path: [], message }],
  outline: plain === undefined ? "1 issue" : `1 issue: ${message}`
})

const standard = SchemaIssue.makeFormatterStandardSchemaV1()

const countOf = ({ length }: ReadonlyArray<unknown>): string => length === 1 ? "1 issue" : `${length} issues`

/** A line for each issue. `parent` is the schema whose fields the next part of the path names. */
const outlineOf = (
  issue: SchemaIssue.Issue,
  path: ReadonlyArray<string>,
  parent: SchemaAST.AST | undefined
): ReadonlyArray<string> => {
  switch (issue._tag) {
    case "Pointer":
      return outlineOf(issue.issue, [...path, ...issue.path.map((part) => nameOf(part, parent))], parent)
    case "Composite":
      return issue.issues.flatMap((inner) => outlineOf(inner, path, issue.ast))
    case "AnyOf":
      return issue.issues.length > 0
        ? issue.issues.flatMap((inner) => outlineOf(inner, path, parent))
        : [line(path, expected(issue.ast))]
    case "Encoding":
      return outlineOf(issue.issue, path, parent)
    case "Filter": {
      const declared = issue.filter.annotations?.expected
      return [line(path, typeof declared === "string" ? `Expected ${declared}` : unnamed)]
    }
    case "InvalidType":
      return [line(path, expected(issue.ast))]
    case "MissingKey":
      return [line(path, "Missing key")]
    case "UnexpectedKey":
      return [line(path, "Expected no excess property")]
    default:
      return [line(path, invalid)]
  }
}

const invalid = "Expected a valid value"
const unnamed = "a check failed that has no \"expected\" annotation"

const line = (path: ReadonlyArray<string>, message: string): string =>
  path.length === 0 ? message : `${path.join(".")}: ${message}`

const expected = (ast: SchemaAST.AST): string => SchemaIssue.defaultLeafHook(new SchemaIssue.InvalidType(ast))

/** The name of a declared field, or an index. Any other key is content of the answer, so it becomes `*`. */
const nameOf = (part: PropertyKey, parent: SchemaAST.AST | undefined): string =>
  typeof part === "number" || parent !== undefined && SchemaAST.isObjects(parent)
      && parent.propertySignatures.some(({ name }) => name === part)
    ? String(part)
    : "*"
