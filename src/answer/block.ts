/** A block of an answer under construction: its first event, and what is added to it piece by piece. */
import type { ContentBlock, RawContentBlockDelta, TextCitation } from "@anthropic-ai/sdk/resources/messages"
import * as Option from "effect/Option"
import { hasProperty, isNullish, isString } from "effect/Predicate"
import * as Schema from "effect/Schema"

export interface Block {
  readonly start: ContentBlock
  /** What may be added to it; anything, if it is newer than we are. */
  readonly kind: "text" | "thinking" | "input" | undefined
  text: string
  thinking: string
  signature: string
  json: string
  citations: Array<TextCitation> | undefined
  stopped: boolean
}

/** A block that begins. */
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

/** Whether it is a block, and has what its deltas are added to, or nothing in its place. */
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

/** Adds a delta; gives what is wrong with it, if it does not belong here. Deltas of unknown kinds are passed over. */
export const append = (block: Block, delta: RawContentBlockDelta): string | undefined => {
  switch (delta.type) {
    case "text_delta":
      if (!isString(delta.text) || !takes(block, "text")) return "a text_delta without text, or in another block"
      block.text += delta.text
      return undefined
    case "thinking_delta":
      if (!isString(delta.thinking) || !takes(block, "thinking")) {
        return "a thinking_delta without thinking, or in another block"
      }
      block.thinking += delta.thinking
      return undefined
    case "signature_delta":
      if (!isString(delta.signature) || !takes(block, "thinking")) {
        return "a signature_delta without one, or in another block"
      }
      block.signature += delta.signature
      return undefined
    case "input_json_delta":
      if (!isString(delta.partial_json) || !takes(block, "input")) {
        return "an input_json_delta without JSON, or in another block"
      }
      block.json += delta.partial_json
      return undefined
    case "citations_delta":
      if (!hasProperty(delta.citation, "type") || !takes(block, "text")) {
        return "a citations_delta without one, or in another block"
      }
      ;(block.citations ??= []).push(delta.citation)
      return undefined
    default:
      return undefined
  }
}

export const isTool = ({ json, kind }: Block): boolean => kind === "input" || json !== ""

/** The input of a tool arrives in pieces, and half of it must not be taken for one. */
export const isWhole = (block: Block): boolean => !isTool(block) || block.stopped && isReadable(block)

export const isReadable = (block: Block): boolean =>
  !isTool(block) ||
  (block.json === "" ? !isString(property(block.start, "input")) : Option.isSome(parseJson(block.json)))

const property = (value: object, key: string): unknown => hasProperty(value, key) ? value[key] : undefined

/** The block as the API would have sent it in one piece. */
export const finish = ({ citations, json, signature, start, text, thinking }: Block): ContentBlock => {
  switch (start.type) {
    case "text":
      return {
        ...start,
        text: (start.text ?? "") + text,
        citations: citations === undefined ? start.citations ?? null : [...start.citations ?? [], ...citations]
      }
    case "thinking":
      return { ...start, thinking: (start.thinking ?? "") + thinking, signature: (start.signature ?? "") + signature }
    default:
      // Tools, and whatever else is given its input piece by piece.
      return json === "" ? start : Object.assign({ ...start }, { input: Option.getOrUndefined(parseJson(json)) })
  }
}

const parseJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))
