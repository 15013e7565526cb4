/**
 * Resumes a broken answer while it is read as a stream.
 *
 * The reader gets nothing twice: the events of the new request continue where the
 * broken answer ended, without the words that the model was asked to repeat. Only
 * text is resumed. Thinking after the last text, and an incomplete tool call, are lost.
 */
import type { ContentBlock, TextBlock } from "@anthropic-ai/sdk/resources/messages"
import type { Reply, WireEvent } from "../Message.ts"
import * as Rest from "../request/rest.ts"
import { isThinking } from "../request/rules/blocks.ts"
import { textOf } from "./draft.ts"
import * as Join from "./join.ts"
import { add, joined } from "./sumReplies.ts"

/** A broken answer up to and including the text to resume. */
export interface Broken {
  readonly reply: Reply
  /** The index of `last` in the events that the reader got. Its index in `reply` may be lower: `reply` may omit blocks. */
  readonly index: number
  readonly last: TextBlock
}

/**
 * Returns the part of a broken answer to resume, or why it cannot be resumed, or `undefined` if only empty text had
 * arrived, so that the request can be repeated as it was. `index`: the last block whose text the reader got.
 */
export const from = (reply: Reply, index: number): Broken | string | undefined => {
  const { content } = reply.message
  // If `content` is empty, the request is not repeated: the reader may have got part of a tool call, which `content` omits.
  if (content.length > 0 && content.every(isBlank)) return undefined
  const at = content.findLastIndex((block) => !isThinking(block) && !isBlank(block))
  const last = content[at]
  if (last === undefined) return "only thinking or part of a tool call had arrived"
  if (last.type !== "text") return "a tool was called after the text"
  if (last.text.trim() === "") return "its last text is blank"
  const kept = content.slice(0, at + 1)
  // After a tool call the API accepts only its result.
  if (kept.some(({ type }) => type === "tool_use")) return "a tool was called before the text"
  // A stop reason that had arrived is not valid, because the answer broke off.
  const message = { ...reply.message, content: kept, stop_reason: null }
  return { reply: { ...reply, text: textOf(kept), stopReason: null, message }, index, last }
}

const isBlank = (block: ContentBlock): boolean => block.type === "text" && block.text === ""

/** Merges the answer of the new request into the broken answer. */
export interface Resuming {
  /** Returns the events for the reader, or `undefined` if they do not continue the broken answer. */
  readonly take: (events: ReadonlyArray<WireEvent>) => ReadonlyArray<WireEvent> | undefined
  /** The broken answer joined with `further`, the reply to the new request. */
  readonly reply: (further: Reply) => Reply
}

/** The value of `first` if the new answer begins with a block that is not a text. */
const none = -1

/** `goesOn`: the new request is prefilled with the text, so its answer does not repeat the last words. */
export const make = ({ index, last, reply: before }: Broken, goesOn: boolean): Resuming => {
  const words = Rest.lastWords(before)
  /** Maps block indices of the new answer to the indices that the reader gets. Hidden blocks are missing. */
  const places = new Map<number, number>()
  let first: number | undefined
  let begun = goesOn
  let pending = ""
  let written = ""

  /** The white space at the end of the text. The reader already has it, but the new request was sent without it. */
  const shown = last.text.slice(last.text.trimEnd().length)
  let blank = ""

  /** Returns the new part of a text, without leading white space that the reader already has. */
  const goOn = (text: string): string => {
    let own = text
    if (written === "" && shown !== "") {
      blank += text
      const words = blank.trimStart()
      if (words === "") return ""
      blank = blank.slice(0, -words.length)
      own = (blank.startsWith(shown) ? blank.slice(shown.length) : "") + words
    }
    written += own
    return own
  }

  /** Returns the new words of a delta, or `undefined` if the text does not begin with the words to repeat. */
  const wordsOf = (text: string): string | undefined => {
    if (begun) return goOn(text)
    pending += text
    const at = Join.seam(pending, words)
    if (at === "none") return undefined
    if (at === "short") return ""
    begun = true
    return goOn(pending.slice(at))
  }

  /** Returns the event for the reader, "hidden" if the reader gets no event, or `undefined` if the answer does not fit. */
  const put = (event: WireEvent): WireEvent | "hidden" | undefined => {
    switch (event.type) {
      case "message_start":
        return "hidden"
      case "content_block_start": {
        const { content_block: block } = event
        if (isThinking(block)) return "hidden"
        if (first === undefined && block.type === "text") {
          first = event.index
          places.set(first, index)
          return "hidden"
        }
        if (!begun) return undefined
        if (first === undefined) {
          // The text was complete, and the answer goes on with another block.
          first = none
          places.set(none, index)
        }
        const at = index + places.size
        places.set(event.index, at)
        return { ...event, index: at }
      }
      case "content_block_delta": {
        const at = places.get(event.index)
        if (at === undefined) return "hidden"
        if (event.index !== first || event.delta.type !== "text_delta") return { ...event, index: at }
        const text = wordsOf(event.delta.text)
        if (text === undefined) return undefined
        return text === "" ? "hidden" : { ...event, index: at, delta: { ...event.delta, text } }
      }
      case "content_block_stop": {
        const at = places.get(event.index)
        if (at === undefined) return "hidden"
        return event.index === first && !begun ? undefined : { ...event, index: at }
      }
      case "message_delta":
        // The reader must get a refusal, even if the model has not repeated the last words.
        if (event.delta.stop_reason === "refusal") begun = true
        if (!begun) return undefined
        // Safe cast: the sum has every field of both usages.
        return { ...event, usage: add(before.usage, event.usage) as typeof event.usage }
      case "message_stop":
        return begun ? event : undefined
      default:
        return event
    }
  }

  return {
    take: (events) => {
      const taken: Array<WireEvent> = []
      for (const event of events) {
        const own = put(event)
        if (own === undefined) return undefined
        if (own !== "hidden") taken.push(own)
      }
      return taken
    },
    reply: (further) => {
      const all = further.message.content.filter((block) => !isThinking(block))
      const block = first === none ? undefined : all[0]
      const others = first === none ? all : all.slice(1)
      const citations = [...last.citations ?? [], ...block?.type === "text" && begun ? block.citations ?? [] : []]
      const text = { ...last, text: last.text + written, citations: citations.length === 0 ? null : citations }
      const content: Array<ContentBlock> = [...before.message.content.slice(0, -1), text]
      return joined(before, further, begun ? [...content, ...others] : content)
    }
  }
}
