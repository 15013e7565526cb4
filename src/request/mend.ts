/**
 * Mends requests that the API would refuse, if the meaning of the request stays the same.
 *
 * A request that needs no change stays the same object.
 */
import type {
  ContentBlockParam,
  DocumentBlockParam,
  ImageBlockParam,
  MessageParam
} from "@anthropic-ai/sdk/resources/messages"
import type * as Arr from "effect/Array"
import { isString } from "effect/Predicate"
import * as Result from "effect/Result"
import type { Params } from "../Message.ts"
import { type Adapted, changed } from "./adaptation.ts"
import { imageTypeOf, plainBase64, typeOf } from "./mediaType.ts"
import { areMessages } from "./rules/blocks.ts"

interface Mending {
  readonly name: string
  /** Where the refusal is documented or was reported. */
  readonly source: string
  /** Undefined if nothing must change. */
  readonly change: (params: Params) => Adapted | undefined
}

// -----------------------------------------------------------------------------
// Text
// -----------------------------------------------------------------------------

/** Bounds the recursion. Text that is nested deeper is not checked. */
const maxDepth = 100

/** Whether no text and no key in a value has a lone surrogate. */
export const isWellFormed = (value: unknown): boolean => {
  // A value may contain itself.
  const seen = new Set<object>()
  const visit = (value: unknown, depth: number): boolean => {
    if (isString(value)) return value.isWellFormed()
    if (value === null || typeof value !== "object" || depth > maxDepth || seen.has(value)) return true
    seen.add(value)
    return Array.isArray(value)
      ? value.every((item) => visit(item, depth + 1))
      : Object.keys(value).every((key) => key.isWellFormed() && visit(Reflect.get(value, key), depth + 1))
  }
  return visit(value, 0)
}

/**
 * Matches every escape in JSON. `\ud800` to `\udfff` are lone surrogates, because `JSON.stringify` does not escape pairs.
 * Every other match has two characters; `surrogates` does not replace it.
 */
const escapes = /\\(?:ud[89a-f][0-9a-f]{2}|.)/g

const surrogates = (params: Params): Adapted | undefined => {
  if (isWellFormed(params)) return undefined
  const mended = Result.try((): Params =>
    JSON.parse(JSON.stringify(params).replace(escapes, (escape) => escape.length === 2 ? escape : "\ufffd"))
  )
  // The validation reports a request that cannot be written as JSON.
  return Result.isFailure(mended) ? undefined : changed(mended.success, "lone surrogates → U+FFFD")
}

// -----------------------------------------------------------------------------
// Blocks
// -----------------------------------------------------------------------------

/** If no message has such a block, the messages need not be copied. */
const hasBlock = ({ messages }: Params, types: ReadonlySet<unknown>): boolean =>
  messages.some(({ content }) => Array.isArray(content) && content.some((block) => types.has(block?.type)))

const results: ReadonlySet<unknown> = new Set(["tool_result"])

/** A tool result can hold images and documents. */
const mediaOrResults: ReadonlySet<unknown> = new Set(["image", "document", "tool_result"])

// -----------------------------------------------------------------------------
// Images and documents
// -----------------------------------------------------------------------------

type Note = (change: string) => void

const media = (params: Params): Adapted | undefined => {
  if (!hasBlock(params, mediaOrResults)) return undefined
  const changes = new Set<string>()
  const note: Note = (change) => void changes.add(change)
  const messages = params.messages.map((message): MessageParam =>
    message.role !== "system" && Array.isArray(message.content)
      ? { ...message, content: message.content.map((block) => inBlock(block, note)) }
      : message
  )
  return changes.size === 0 ? undefined : { params: { ...params, messages }, changes: [...changes] }
}

// The types of the SDK do not hold for untyped callers: a block may be null.
const inBlock = (block: ContentBlockParam, note: Note): ContentBlockParam => {
  if (block?.type === "image") return image(block, note)
  if (block?.type === "document") return document(block, note)
  if (block?.type !== "tool_result" || !Array.isArray(block.content)) return block
  const content = block.content.map((inner) =>
    inner?.type === "image" ? image(inner, note) : inner?.type === "document" ? document(inner, note) : inner
  )
  return { ...block, content }
}

const image = (block: ImageBlockParam, note: Note): ImageBlockParam => {
  const { source } = block
  if (source?.type !== "base64" || !isString(source.data)) return block
  const data = mendedData(source.data, note)
  const { media_type } = source
  const seen = imageTypeOf(data) ?? media_type
  if (seen !== media_type) note(`${shown(media_type)} → ${seen}`)
  return { ...block, source: { ...source, data, media_type: seen } }
}

const document = (block: DocumentBlockParam, note: Note): DocumentBlockParam => {
  const { source } = block
  if (source?.type === "content" && Array.isArray(source.content)) {
    const content = source.content.map((inner) => inner?.type === "image" ? image(inner, note) : inner)
    return { ...block, source: { ...source, content } }
  }
  if (source?.type !== "base64" || !isString(source.data)) return block
  const data = mendedData(source.data, note)
  const given: unknown = source.media_type
  if (given === pdf || typeOf(data) !== pdf) return { ...block, source: { ...source, data } }
  note(`${shown(given)} → ${pdf}`)
  return { ...block, source: { ...source, data, media_type: pdf } }
}

const pdf = "application/pdf"

const shown = (type: unknown): string => isString(type) ? type.slice(0, 40) : "no media type"

const mendedData = (data: string, note: Note): string => {
  const plain = plainBase64(data)
  if (plain !== data) note("data → plain base64")
  return plain
}

// -----------------------------------------------------------------------------
// Tool results
// -----------------------------------------------------------------------------

/**
 * The API merges consecutive user messages into one turn, and requires the tool results at the beginning of the turn.
 */
const resultsFirst = (params: Params): Adapted | undefined => {
  if (!hasBlock(params, results)) return undefined
  const turns = turnsOf(params.messages)
  const ordered = turns.map(turnOf)
  return ordered.every((turn, i) => turn === turns[i])
    ? undefined
    : changed({ ...params, messages: ordered.flat() }, "tool results → before other content")
}

/** Groups consecutive user messages. `Arr.groupWith` would copy all later messages for each group. */
const turnsOf = (messages: ReadonlyArray<MessageParam>): ReadonlyArray<Arr.NonEmptyReadonlyArray<MessageParam>> => {
  const turns: Array<Arr.NonEmptyArray<MessageParam>> = []
  for (const message of messages) {
    const turn = turns.at(-1)
    if (turn?.[0].role === "user" && message.role === "user") turn.push(message)
    else turns.push([message])
  }
  return turns
}

const turnOf = (turn: Arr.NonEmptyReadonlyArray<MessageParam>): ReadonlyArray<MessageParam> => {
  const [first, ...others] = turn
  const blocks = turn.flatMap(blocksOf)
  const results = blocks.filter(isResult)
  if (first.role !== "user" || results.every((result, i) => result === blocks[i])) return turn
  const rest = ({ content }: MessageParam) => blocksOf({ content }).filter((block) => !isResult(block))
  return [
    { ...first, content: [...results, ...rest(first)] },
    ...others.map((message) => ({ ...message, role: first.role, content: rest(message) })).filter(({ content }) =>
      content.length > 0
    )
  ]
}

const isResult = (block: ContentBlockParam): boolean => block?.type === "tool_result"

const blocksOf = ({ content }: Pick<MessageParam, "content">): ReadonlyArray<ContentBlockParam> =>
  isString(content) ? [{ type: "text", text: content }] : content

// -----------------------------------------------------------------------------
// The table
// -----------------------------------------------------------------------------

export const mendings: ReadonlyArray<Mending> = [
  {
    name: "lone surrogates",
    source: "API: `The request body is not valid JSON: no low surrogate in string`, "
      + "github.com/anthropics/claude-code/issues/3277",
    change: surrogates
  },
  {
    name: "media types and base64",
    source:
      "API: `The image was specified using the image/png media type, but the image appears to be a image/jpeg image`, "
      + "github.com/BerriAI/litellm/issues/24900",
    change: media
  },
  {
    name: "tool results first",
    source: "platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls; "
      + "API: `tool_use ids were found without tool_result blocks immediately after`",
    change: resultsFirst
  }
]

/** A request with malformed messages is unchanged: the validation reports it. */
export const mend = (params: Params): Adapted => {
  let mended = params
  const changes: Array<string> = []
  if (!areMessages(params.messages)) return { params, changes }
  for (const { change } of mendings) {
    const next = change(mended)
    if (next === undefined) continue
    mended = next.params
    changes.push(...next.changes)
  }
  return { params: mended, changes }
}
