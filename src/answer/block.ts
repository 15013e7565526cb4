/**
 * Builds one content block of an answer from its start event and its deltas. For text and thinking, `startContent.ts` has
 * already moved the content of the start event into deltas.
 */
import type { BetaCompactionContentBlockDelta } from "@anthropic-ai/sdk/resources/beta/messages"
import type { ContentBlock, RawContentBlockDelta, TextCitation } from "@anthropic-ai/sdk/resources/messages"
import * as Option from "effect/Option"
import { hasProperty, isNotNullish, isNullish, isObject, isString } from "effect/Predicate"
import * as Record from "effect/Record"
import * as Schema from "effect/Schema"
import type { WrittenUse } from "../ClaudeError.ts"
import { stringify } from "../output/exactJson.ts"

export interface Block {
  readonly start: ContentBlock
  /** Which deltas the block accepts. `undefined`: a block of unknown type accepts input, because it may be a tool. */
  readonly kind: "text" | "thinking" | "input" | "compaction" | undefined
  text: string
  thinking: string
  signature: string
  json: string
  citations: Array<TextCitation> | undefined
  compaction: object | undefined
  /** The type of the first delta that was ignored, because this version does not know the delta or the block. */
  unknown: string | undefined
  /** Whether at least one delta was added. */
  isUnderstood: boolean
  stopped: boolean
}

export const make = (start: ContentBlock): Block => ({
  start,
  kind: kindOf(start.type),
  text: "",
  thinking: "",
  signature: "",
  json: "",
  citations: undefined,
  compaction: undefined,
  unknown: undefined,
  isUnderstood: false,
  stopped: false
})

/** In a text or thinking block, the fields that deltas extend must be missing, null or of the right type. */
export const isBlock = (block: unknown): block is ContentBlock => {
  const part = (key: string): unknown => hasProperty(block, key) ? block[key] : undefined
  const isText = (key: string): boolean => isNullish(part(key)) || isString(part(key))
  switch (part("type")) {
    case "text":
      return isText("text") && (isNullish(part("citations")) || Array.isArray(part("citations")))
    case "thinking":
      return isText("thinking") && isText("signature")
    default:
      return isString(part("type"))
  }
}

const kindOf = (type: string): Block["kind"] => {
  switch (type) {
    case "text":
    case "thinking":
    case "compaction":
      return type
    case "tool_use":
    case "server_tool_use":
    case "mcp_tool_use":
      return "input"
    default:
      return undefined
  }
}

type Delta = RawContentBlockDelta | BetaCompactionContentBlockDelta

const kindOfDelta: ReadonlyMap<string, Block["kind"]> = new Map<Delta["type"], Block["kind"]>([
  ["text_delta", "text"],
  ["citations_delta", "text"],
  ["thinking_delta", "thinking"],
  ["signature_delta", "thinking"],
  ["input_json_delta", "input"],
  ["compaction_delta", "compaction"]
])

/**
 * Adds a delta, or returns the problem if the delta is invalid. Ignores a delta of unknown type. A block of unknown type
 * ignores all deltas but `input_json_delta`. The type of the first ignored delta is recorded.
 */
export const append = (block: Block, delta: Delta): string | undefined => {
  const kind = kindOfDelta.get(delta.type)
  if (kind === undefined || block.kind === undefined && kind !== "input") {
    block.unknown ??= delta.type
    return undefined
  }
  const problem = add(block, delta, block.kind === undefined || block.kind === kind)
  block.isUnderstood ||= problem === undefined
  return problem
}

/** `fits`: a block of this type may have this delta. */
const add = (block: Block, delta: Delta, fits: boolean): string | undefined => {
  switch (delta.type) {
    case "text_delta":
      if (!isString(delta.text) || !fits) {
        return "a text_delta without text, or in a block of another type"
      }
      block.text += delta.text
      return undefined
    case "thinking_delta":
      if (!isString(delta.thinking) || !fits) {
        return "a thinking_delta without thinking, or in a block of another type"
      }
      block.thinking += delta.thinking
      return undefined
    case "signature_delta":
      if (!isString(delta.signature) || !fits) {
        return "a signature_delta without a signature, or in a block of another type"
      }
      block.signature += delta.signature
      return undefined
    case "input_json_delta":
      if (!isString(delta.partial_json) || !fits) {
        return "an input_json_delta without JSON, or in a block of another type"
      }
      block.json += delta.partial_json
      return undefined
    case "citations_delta":
      if (!hasProperty(delta.citation, "type") || !fits) {
        return "a citations_delta without a citation, or in a block of another type"
      }
      ;(block.citations ??= []).push(delta.citation)
      return undefined
    case "compaction_delta": {
      if (!isNullish(delta.content) && !isString(delta.content) || !fits) {
        return "a compaction_delta whose content is no text, or in a block of another type"
      }
      // A later value replaces an earlier one. A null is ignored: the compaction failed, or the field did not change.
      const { type: _, ...fields } = delta
      block.compaction = { ...block.compaction, ...Record.filter(fields, isNotNullish) }
      return undefined
    }
  }
}

export const isTool = ({ json, kind }: Block): boolean => kind === "input" || json !== ""

/** Whether the block can be part of a message: text and thinking also when they are incomplete, other blocks not. */
export const isWhole = (block: Block): boolean =>
  !isUnknown(block) && (block.kind === "text" || block.kind === "thinking" || block.stopped && isReadable(block))

/** Whether the content may be in ignored deltas. A block of known type is trusted as soon as one delta was added to it. */
const isUnknown = ({ isUnderstood, kind, unknown }: Block): boolean =>
  unknown !== undefined && (kind === undefined || !isUnderstood)

/**
 * Whether the block has no input, or its input is JSON. In a block of known type, the input must be an object, because the
 * API accepts no other input.
 */
export const isReadable = (block: Block): boolean => {
  if (!isTool(block)) return true
  if (block.json === "") return isNullish(inputOf(block)) || isObject(inputOf(block))
  return Option.exists(parseJson(block.json), (input) => block.kind !== "input" || isObject(input))
}

const property = (value: object, key: string): unknown => hasProperty(value, key) ? value[key] : undefined

const inputOf = ({ start }: Block): unknown => property(start, "input")

/** The tool use with its input as text, even if that text is not JSON. */
export const written = (block: Block): WrittenUse => {
  const [id, name] = [property(block.start, "id"), property(block.start, "name")]
  const input = inputOf(block)
  return {
    id: isString(id) ? id : "",
    name: isString(name) ? name : block.start.type,
    json: block.json !== "" ? block.json : isString(input) ? input : stringify(input)
  }
}

/** Builds the block as the API would send it without streaming. */
export const finish = ({ citations, compaction, json, signature, start, text, thinking }: Block): ContentBlock => {
  switch (start.type) {
    case "text":
      // Copies the list, because more citations may arrive.
      return { ...start, text, citations: citations === undefined ? start.citations ?? null : [...citations] }
    case "thinking":
      return { ...start, thinking, signature }
    default:
      if (compaction !== undefined) return { ...start, ...compaction }
      return json === "" ? start : Object.assign({ ...start }, { input: Option.getOrUndefined(parseJson(json)) })
  }
}

const parseJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))
