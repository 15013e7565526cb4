import { isNullish, isObject, isString } from "effect/Predicate"
import { isStrict } from "./blocks.ts"
import { at, both, each, eachOf, field, type Given, issue, type Issues, kind, none, type Rule, show } from "./rule.ts"

const toolName = /^[a-zA-Z0-9_-]{1,128}$/
const maxStrict = 20

const tools = ({ tools }: Given): Issues =>
  eachOf("tools", "tools", tools, (tool) =>
    !isObject(tool)
      ? issue([], `a tool is ${kind(tool)}: it must be an object`)
      : isCustom(tool)
      ? both(nameOf(tool), at("input_schema", schemaOf(tool)))
      : none)

const isCustom = ({ type }: Given): boolean => isNullish(type) || type === "custom"

const nameOf = ({ name }: Given): Issues =>
  isString(name)
    ? none
    : issue(["name"], `the name of a tool is ${kind(name)}: it must be a text`)

const names = ({ tools }: Given): Issues =>
  each(tools, (tool) => isObject(tool) && isCustom(tool) ? spelling(tool) : none)

const spelling = ({ name }: Given): Issues =>
  !isString(name) || toolName.test(name)
    ? none
    : issue(["name"], `the name of a tool is ${show(name)}: use 1 to 128 letters, digits, "_" and "-"`)

const schemaOf = ({ input_schema: schema }: Given): Issues =>
  !isObject(schema)
    ? issue([], `the input_schema is ${kind(schema)}: it must be a JSON schema of type "object"`)
    : schema.type === "object"
    ? none
    : issue(["type"], `the type of an input_schema is ${show(schema.type)}: it must be "object"`)

/** Source: API, `tools.0.custom.input_schema.properties: Property keys should match pattern …`. */
const propertyName = /^[a-zA-Z0-9_.-]{1,64}$/

/** The first keyword at the root of an `input_schema` that the API refuses there. */
export const combinedBy = (schema: object): string | undefined =>
  ["anyOf", "oneOf", "allOf"].find((key) => key in schema)

/** The first property of an `input_schema` whose name the API refuses. */
export const oddProperty = (schema: object): string | undefined => {
  const properties = field(schema, "properties")
  return isObject(properties) ? Object.keys(properties).find((key) => !propertyName.test(key)) : undefined
}

const roots = ({ tools }: Given): Issues =>
  each(tools, (tool) => isObject(tool) && isCustom(tool) ? at("input_schema", rootOf(tool.input_schema)) : none)

const rootOf = (schema: unknown): Issues => {
  if (!isObject(schema)) return none
  const combined = combinedBy(schema)
  const odd = oddProperty(schema)
  return both(
    combined === undefined
      ? none
      : issue([combined], `the root of an input_schema has ${combined}: move it into a property`),
    odd === undefined
      ? none
      : issue(
        ["properties"],
        `a property of an input_schema is ${show(odd)}: use 1 to 64 letters, digits, "_", "." and "-"`
      )
  )
}

const unique = ({ tools }: Given): Issues => {
  if (!Array.isArray(tools)) return none
  const names = new Set<unknown>()
  return each(tools, (tool) => {
    const name = field(tool, "name")
    const isTaken = names.has(name)
    if (isString(name)) names.add(name)
    return isTaken ? issue(["name"], `two tools have the name ${show(name)}: rename one`) : none
  })
}

const strict = ({ tools }: Given): Issues => {
  const count = Array.isArray(tools) ? tools.filter(isStrict).length : 0
  return count > maxStrict
    ? issue(["tools"], `${count} tools are strict, but at most ${maxStrict} may be: remove strict from the others`)
    : none
}

const choice = (given: Given): Issues => {
  const { tool_choice: choice, tools } = given
  if (isNullish(choice)) return none
  if (!isObject(choice)) return issue([], `tool_choice is ${kind(choice)}: it must be an object with a type`)
  const { name, type } = choice
  if (!isString(type)) return issue(["type"], `the type of tool_choice is ${kind(type)}: it must be a text`)
  if (type !== "tool" && type !== "any" || hasMore(given)) return none
  if (isNullish(tools) || Array.isArray(tools) && tools.length === 0) {
    return issue([], "tool_choice asks for a tool, but there are no tools: add tools, or remove tool_choice")
  }
  if (type === "any" || !Array.isArray(tools)) return none
  if (!isString(name)) return issue(["name"], `the name in tool_choice is ${kind(name)}: name one of the tools`)
  // A toolset has no name, and its tools are not listed in the request.
  return tools.some((tool) => !isString(field(tool, "name")) || field(tool, "name") === name)
    ? none
    : issue(
      ["name"],
      `tool_choice names ${show(name)}, but no tool has that name: name one of the tools, or add this one`
    )
}

/** With a beta, tools may come from elsewhere: from MCP servers, from a thread, or from the messages. */
const hasMore = ({ mcp_servers, messages, thread }: Given): boolean =>
  !isNullish(mcp_servers) || !isNullish(thread) || Array.isArray(messages) && messages.some(isAdding)

const isAdding = (message: unknown): boolean => {
  const content = field(message, "content")
  return Array.isArray(content) && content.some((block) => additions.has(field(block, "type")))
}

const additions: ReadonlySet<unknown> = new Set(["tool_addition", "mcp_tool_listing"])

export const toolRules: ReadonlyArray<Rule> = [
  {
    name: "tools",
    source: "SDK 1.12 types: Tool",
    check: (given) => at("tools", tools(given))
  },
  {
    name: "tool names are unique",
    source: "API: `tools: Tool names must be unique.`",
    check: (given) => at("tools", unique(given))
  },
  {
    name: "tool_choice",
    source: "SDK 1.12 types: ToolChoice; API: `Tool '…' not found in provided tools`",
    check: (given) => at("tool_choice", choice(given))
  }
]

export const toolLimits: ReadonlyArray<Rule> = [
  {
    name: "tool names are spelt right",
    source: "API: `tools.0.custom.name: String should match pattern …`",
    check: (given) => at("tools", names(given))
  },
  {
    name: "the root of an input_schema",
    source: "API: `input_schema does not support oneOf, allOf, or anyOf at the top level`, `Property keys should match "
      + "pattern …`, github.com/home-assistant/core/issues/181282",
    check: (given) => at("tools", roots(given))
  },
  {
    name: "at most 20 tools are strict",
    source: "API: `The maximum number of strict tools supported is 20`",
    check: strict
  }
]
