/** Builds one content block of an answer from its start event and its deltas. Text and thinking come in deltas only. */
import type { ContentBlock, RawContentBlockDelta, TextCitation } from "@anthropic-ai/sdk/resources/messages"
import * as Option from "effect/Option"
import { hasProperty, isNullish, isString } from "effect/Predicate"
import * as Schema from "effect/Schema"

export interface Block {
  readonly start: ContentBlock
  /** Which deltas the block accepts. `undefined` for an unknown type of block, which accepts all of them. */
  readonly kind: "text" | "thinking" | "input" | undefined
  text: string
  thinking: string
  signature: string
  json: string
  citations: Array<TextCitation> | undefined
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
  stopped: false
})

/** Whether a value is a content block. Each field that deltas extend must be missing or have the right type. */
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
      return type
    case "tool_use":
    case "server_tool_use":
    case "mcp_tool_use":
      return "input"
    default:
      return undefined
  }
}

const takes = (block: Block, kind: Block["kind"]): boolean => block.kind === undefined || block.kind === kind

/** Adds a delta, and returns the problem if the delta is invalid. Ignores unknown types of delta. */
export const append = (block: Block, delta: RawContentBlockDelta): string | undefined => {
  switch (delta.type) {
    case "text_delta":
      if (!isString(delta.text) || !takes(block, "text")) {
        return "a text_delta without text, or in a block of another type"
      }
      block.text += delta.text
      return undefined
    case "thinking_delta":
      if (!isString(delta.thinking) || !takes(block, "thinking")) {
        return "a thinking_delta without thinking, or in a block of another type"
      }
      block.thinking += delta.thinking
      return undefined
    case "signature_delta":
      if (!isString(delta.signature) || !takes(block, "thinking")) {
        return "a signature_delta without a signature, or in a block of another type"
      }
      block.signature += delta.signature
      return undefined
    case "input_json_delta":
      if (!isString(delta.partial_json) || !takes(block, "input")) {
        return "an input_json_delta without JSON, or in a block of another type"
      }
      block.json += delta.partial_json
      return undefined
    case "citations_delta":
      if (!hasProperty(delta.citation, "type") || !takes(block, "text")) {
        return "a citations_delta without a citation, or in a block of another type"
      }
      ;(block.citations ??= []).push(delta.citation)
      return undefined
    default:
      return undefined
  }
}

export const isTool = ({ json, kind }: Block): boolean => kind === "input" || json !== ""

/** Whether the block is complete. The input of a tool arrives in pieces, and half an input must not be used. */
export const isWhole = (block: Block): boolean => !isTool(block) || block.stopped && isReadable(block)

export const isReadable = (block: Block): boolean =>
  !isTool(block) ||
  (block.json === "" ? !isString(property(block.start, "input")) : Option.isSome(parseJson(block.json)))

const property = (value: object, key: string): unknown => hasProperty(value, key) ? value[key] : undefined

/** Builds the block as the API would send it without streaming. */
export const finish = ({ citations, json, signature, start, text, thinking }: Block): ContentBlock => {
  switch (start.type) {
    case "text":
      // A copy, because more citations may arrive.
      return { ...start, text, citations: citations === undefined ? start.citations ?? null : [...citations] }
    case "thinking":
      return { ...start, thinking, signature }
    default:
      // Tools, and unknown types of block whose input came in pieces.
      return json === "" ? start : Object.assign({ ...start }, { input: Option.getOrUndefined(parseJson(json)) })
  }
}

const parseJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))
