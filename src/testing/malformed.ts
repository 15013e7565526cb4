/**
 * Requests the API refuses, and how.
 *
 * A table, read from the top: the first rule that is broken is the answer. The
 * words are those of the API where somebody has seen them, and in its manner
 * elsewhere; what is in doubt passes. Refused are:
 *
 * - HTTP: an unknown path (404), another method than POST (405), over 32 MB
 *   (413), no credentials or an `authorization` that is not `Bearer …` (401),
 *   no or an unknown `anthropic-version`, another type than JSON (415), a body
 *   that is not JSON or not an object;
 * - parameters: `model`, `messages` or `max_tokens` missing, empty, of another
 *   type or out of bounds; `stream`, `system` or `stop_sequences` of another
 *   type; `temperature`, `top_k`, `top_p`; unknown ones, and those of betas
 *   without the header `anthropic-beta`;
 * - messages: an unknown role, no content, blank text, a block without a type,
 *   an image of an unknown type or over 5 MB, a `tool_use` without its
 *   `tool_result` and the other way round;
 * - thinking of an unknown type, below 1,024 tokens or not below `max_tokens`;
 * - tools: a bad or repeated name, a schema not of an object, an unknown choice;
 * - a beginning of the answer that ends with a blank;
 * - what the model cannot do: see `unable.ts`.
 */
import { isBoolean, isNotUndefined, isNullish, isObject, isString, isUndefined } from "effect/Predicate"
import * as Result from "effect/Result"
import type { IncomingHttpHeaders } from "node:http"
import * as Faults from "./Faults.ts"
import { maxOutput, unable } from "./unable.ts"

/** A request before it is played. `params` is missing if the body is no JSON object. */
export interface Raw {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly params: Readonly<Record<string, unknown>> | undefined
}

/** The refusal of a request, or nothing if it is well formed. */
export const malformed = (raw: Raw): Faults.Turn | undefined => {
  const ask: Ask = { ...raw, turnOf: turnsOf(raw) }
  const root = { ...raw.params, http: raw, names: Object.keys(raw.params ?? {}) }
  for (const [place, ok, says, status, type] of isCount(raw) ? shared : rules) {
    const found = find((value) => !ok(value, ask), root, place.split("."))
    if (found === undefined) continue
    const value = found.at(-1)
    const message = (isUndefined(value) && !place.startsWith("http") ? "{place}: Field required" : says)
      .replace(/\{place(\d?)\}/, (_, steps) => found.slice(0, Number(steps) || -1).join("."))
      .replaceAll(
        /\{(value|model|most)\}/g,
        (word) => words(word === "{model}" ? raw.params?.model : word === "{most}" ? most(raw) : value)
      )
    return refusal(message, status, type)
  }
  const lacks = isCount(raw) ? undefined : unable(raw.params ?? {})
  return lacks === undefined ? undefined : refusal(lacks)
}

const refusal = (message: string, status = 400, type = "invalid_request_error"): Faults.Turn =>
  Faults.named(`refused: ${message}`, Faults.fails(status, type, message))

type Ask = Raw & { readonly turnOf: ReturnType<typeof turnsOf> }
type Is = (value: unknown) => boolean
type Test = (value: unknown, ask: Ask) => boolean
/** What holds at a place (`*`: every element, `<text>`: if of that type), and what is said if not. */
type Rule = readonly [place: string, ok: Test, says: string, status?: number, type?: string]

// -----------------------------------------------------------------------------
// Conditions
// -----------------------------------------------------------------------------

const words = (value: unknown) => isString(value) ? value : String(JSON.stringify(value))
const list = (value: unknown): ReadonlyArray<unknown> => Array.isArray(value) ? value : []
const objects = (value: unknown) => list(value).filter(isObject)
const namesOf = (tools: unknown) => objects(tools).map(({ name }) => name)
const isBeta = ({ headers }: Raw, name = "") => headers["anthropic-beta"]?.toString().includes(name) === true
const isCount = ({ path }: Raw) => path === "/v1/messages/count_tokens"
const maybe = (ok: Is): Is => (value) => isNullish(value) || ok(value)
const matches = (pattern: RegExp): Is => (value) => isString(value) && pattern.test(value)
const isAtLeast = (bound: number): Is => (value) => Number(value) >= bound
const isText: Is = (value) => isString(value) || Array.isArray(value)
const isFilled: Is = (value) => isString(value) ? value !== "" : list(value).length > 0
const isNotBlank: Is = (value) => value === "" || !isString(value) || value.trim() !== ""
const isImage = matches(/^image\/(jpeg|png|gif|webp)$/)
const isUnder5MB: Is = (base64) => !isString(base64) || base64.length * 3 / 4 - 2 <= 5 * 2 ** 20
const isUnder32MB: Is = (body) => Buffer.byteLength(String(body)) <= 32 * 2 ** 20
const isSigned: Is = (headers) => isObject(headers) && Boolean(headers.authorization ?? headers["x-api-key"])
const isJson: Test = (_, { body, params }) => isObject(params) || Result.isSuccess(Result.try(() => JSON.parse(body)))
const isKnown: Test = (name, ask) => known.some(([names, when]) => when(ask) && names.split(" ").includes(String(name)))
const isPossible: Test = (tokens, ask) => Number(tokens) <= most(ask)
const most = (raw: Raw) => isBeta(raw, "output-300k") ? 300_000 : maxOutput(raw.params?.model)
const isBelow: Test = (budget, ask) => Number(budget) < Number(ask.params?.max_tokens) || isBeta(ask, "interleaved")
const isLastOrFilled: Test = (one, { params }) =>
  isObject(one) && (isFilled(one.content) || one.role === "assistant" && one === list(params?.messages).at(-1))
const isTrimmed: Is = (messages) => {
  const { content, role } = objects(messages).at(-1) ?? {}
  const last = isString(content) ? content : objects(content).at(-1)?.text
  return role !== "assistant" || !isString(last) || !/\s$/.test(last)
}
const isAnswered: Test = (id, { turnOf }) => turnOf("tool_result", id) === turnOf("tool_use", id) + 1
/** A thread has more messages on the server. */
const isAsked: Test = (id, ask) => isAnswered(id, ask) || !isNullish(ask.params?.thread)
const isUnique: Is = (tools) => namesOf(tools).every((name, at, all) => !name || all.indexOf(name) === at)
/** Toolsets have no name, and a beta has tools in messages. */
const isTool: Test = (name, ask) =>
  [name, undefined].some((name) => namesOf(ask.params?.tools).includes(name)) || isBeta(ask, "inline-tools")

/** Tells in which turn a tool was called or answered: consecutive messages of one role are one turn. */
const turnsOf = ({ params }: Raw) => {
  const spoken = objects(params?.messages).filter(({ role }) => role !== "system")
  let turn = 0
  const turns = new Map(spoken.flatMap(({ content, role }, at) => {
    if (role !== spoken[at - 1]?.role) turn++
    return objects(content).map(({ id, tool_use_id, type }) => [words(type) + words(id ?? tool_use_id), turn] as const)
  }))
  return (type: string, id: unknown) => turns.get(type + words(id)) ?? NaN
}

type Way = ReadonlyArray<unknown>
/** The way to what is wrong, with that at its end. A tool without a type is a custom one. */
const find = (wrong: Is, value: unknown, steps: ReadonlyArray<string>, at = 0): Way | undefined => {
  const step = steps[at]
  if (step === undefined) return wrong(value) ? [value] : undefined
  if (step === "*") {
    for (const [index, each] of list(value).entries()) {
      const found = find(wrong, each, steps, at + 1)
      if (found !== undefined) return [index, ...found]
    }
    return undefined
  }
  const type = step.startsWith("<") ? step.slice(1, -1) : undefined
  if (!isObject(value) || type !== undefined && type !== (value.type ?? "custom")) return undefined
  const found = find(wrong, type === undefined ? value[step] : value, steps, at + 1)
  return found && [type ?? step, ...found]
}

/** The parameters of the SDK and of its betas, and when there are any such. */
const known: ReadonlyArray<readonly [names: string, when: (raw: Raw) => boolean]> = [
  ["cache_control messages model output_config speed system thinking tool_choice tools", () => true],
  ["user_profile_id workspace_id", () => true],
  ["container diagnostics inference_geo max_tokens metadata service_tier stop_sequences", (raw) => !isCount(raw)],
  ["stream temperature top_k top_p", (raw) => !isCount(raw)],
  ["billing_policy compaction context_management mcp_servers output_format", (raw) => isBeta(raw)],
  ["fallback_credit_token fallbacks thread", (raw) => isBeta(raw) && !isCount(raw)]
]

// -----------------------------------------------------------------------------
// Rules
// -----------------------------------------------------------------------------

const aString = "{place}: Input should be a valid string"
const aList = "{place}: Input should be a valid list"
const anInteger = "{place}: Input should be a valid integer"
const anObject = "{place}: Input should be a valid dictionary or object to extract fields from"
const anImage = "{place}: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
const aRole = "messages: Unexpected role \"{value}\". Allowed roles are \"user\", \"assistant\" or \"system\"."
const content = "{place}: all messages must have non-empty content except for the optional final assistant message"
const text = "messages: text content blocks must contain non-whitespace text"
const unanswered = "{place2}: `tool_use` ids were found without `tool_result` blocks immediately after: {value}. "
  + "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
const unasked = "{place4}: unexpected `tool_use_id` found in `tool_result` blocks: {value}. "
  + "Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
const tooMany = "{place}: {value} > {most}, which is the maximum allowed number of output tokens for {model}"
const toolName = /^[a-zA-Z0-9_-]{1,128}$/
/** The last is that of the SDK 1.12, the others those of older clients. */
const versions = /^(2023-01-01|2023-06-01|2026-10-21)$/

const tagged = (place: string, tags: string): Rule => [
  `${place}.type`,
  (type) => tags.includes(`'${words(type)}'`),
  `${place}: Input tag '{value}' found using 'type' does not match any of the expected tags: ${tags}`
]

const shared: ReadonlyArray<Rule> = [
  ["http.path", matches(/^\/v1\/messages(\/count_tokens)?$/), "Not Found", 404, "not_found_error"],
  ["http.method", matches(/^POST$/), "Method Not Allowed", 405],
  ["http.body", isUnder32MB, "Request exceeds the maximum size", 413, "request_too_large"],
  ["http.headers", isSigned, "x-api-key header is required", 401, "authentication_error"],
  ["http.headers.authorization", maybe(matches(/^Bearer \S/)), "Invalid bearer token", 401, "authentication_error"],
  ["http.headers.anthropic-version", isNotUndefined, "anthropic-version: header is required"],
  ["http.headers.anthropic-version", matches(versions), "anthropic-version: \"{value}\" is not a valid version"],
  ["http.headers.content-type", matches(/^application\/json\b/i), "content-type: it must be application/json", 415],
  ["http.body", isJson, "The request body is not valid JSON"],
  ["http.params", isObject, "Input should be a valid dictionary or object to extract fields from"],
  ["model", isString, aString],
  ["model", isFilled, "model: String should have at least 1 character"],
  ["messages", Array.isArray, aList],
  ["messages", isFilled, "messages: at least one message is required"],
  ["messages.*", isObject, anObject],
  ["messages.*.role", matches(/^(user|assistant|system)$/), aRole],
  ["messages.*.content", isText, aList],
  ["messages.*", isLastOrFilled, content],
  ["messages.*.content", isNotBlank, text],
  ["messages.*.content.*", isObject, anObject],
  ["messages.*.content.*.type", isString, aString],
  ["messages.*.content.*.<text>.text", isString, aString],
  ["messages.*.content.*.<text>.text", isFilled, "messages: text content blocks must be non-empty"],
  ["messages.*.content.*.<text>.text", isNotBlank, text],
  ["messages.*.content.*.<image>.source.<base64>.media_type", isImage, anImage],
  ["messages.*.content.*.<image>.source.<base64>.data", isUnder5MB, "{place}: image exceeds 5 MB maximum"],
  ["messages.*.content.*.<tool_result>.content.*.<image>.source.<base64>.media_type", isImage, anImage],
  ["messages.*.content.*.<tool_use>.id", isAnswered, unanswered],
  ["messages.*.content.*.<tool_result>.tool_use_id", isAsked, unasked],
  ["system", maybe(isText), aList],
  ["system.*.<text>.text", isFilled, "system: text content blocks must be non-empty"],
  ["thinking", maybe(isObject), anObject],
  tagged("thinking", "'adaptive', 'between_tools', 'disabled', 'enabled'"),
  ["thinking.<enabled>.budget_tokens", Number.isInteger, anInteger],
  ["thinking.<enabled>.budget_tokens", isAtLeast(1024), "{place}: Input should be greater than or equal to 1024"],
  ["tools", maybe(Array.isArray), aList],
  ["tools.*", isObject, anObject],
  ["tools.*.<custom>.name", matches(toolName), `{place}: String should match pattern '${toolName.source}'`],
  ["tools.*.<custom>.input_schema", isObject, anObject],
  ["tools.*.<custom>.input_schema.type", matches(/^object$/), "{place}: Input should be 'object'"],
  ["tools", isUnique, "tools: Tool names must be unique."],
  ["tool_choice", maybe(isObject), anObject],
  tagged("tool_choice", "'auto', 'any', 'tool', 'none'"),
  ["tool_choice.<tool>.name", isTool, "Tool '{value}' not found in provided tools"],
  ["names.*", isKnown, "{value}: Extra inputs are not permitted"]
]

const rules: ReadonlyArray<Rule> = [
  ...shared,
  ["max_tokens", Number.isInteger, anInteger],
  ["max_tokens", isAtLeast(0), "max_tokens: Input should be greater than or equal to 0"],
  ["max_tokens", isPossible, tooMany],
  ["thinking.<enabled>.budget_tokens", isBelow, "`max_tokens` must be greater than `thinking.budget_tokens`."],
  ...["temperature", "top_k", "top_p"].map((
    name
  ): Rule => [name, isUndefined, "`{place}` is deprecated for this model."]),
  ["stop_sequences", maybe(Array.isArray), aList],
  ["stop_sequences.*", isString, aString],
  ["stream", maybe(isBoolean), "stream: Input should be a valid boolean"],
  ["messages", isTrimmed, "messages: final assistant content cannot end with trailing whitespace"]
]
