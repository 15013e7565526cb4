/**
 * An answer that goes on after a break, as it is read.
 *
 * What the reader has is not sent again: the events of the further request are
 * put where the first one broke off, and the words that it had to repeat are
 * taken out. Only text goes on; thinking and tools that were not whole are lost.
 */
import type { ContentBlock, TextBlock } from "@anthropic-ai/sdk/resources/messages"
import type { Reply, WireEvent } from "../Message.ts"
import * as Rest from "../request/rest.ts"
import { isThinking } from "../request/rules/blocks.ts"
import { textOf } from "./draft.ts"
import * as Join from "./join.ts"
import { add, joined } from "./sumReplies.ts"

/** What there is of a broken answer, up to the text that goes on. */
export interface Broken {
  readonly reply: Reply
  /** Where the text is that goes on. */
  readonly index: number
  readonly last: TextBlock
}

/** From where a broken answer may go on, or why it may not; nothing, if nothing had come of it. */
export const from = (reply: Reply): Broken | string | undefined => {
  const { content } = reply.message
  // What is in no reply is a tool that is not whole.
  if (content.length > 0 && content.every(isBlank)) return undefined
  // Where it comes last, thinking is lost with the break.
  const index = content.findLastIndex((block) => !isThinking(block) && !isBlank(block))
  const last = content[index]
  if (last === undefined) return "nothing but thinking or a tool had arrived"
  if (last.type !== "text") return "a tool had been used after the text"
  if (last.text.trim() === "") return "no words had arrived"
  const kept = content.slice(0, index + 1)
  // Only its result could follow it.
  if (kept.some(({ type }) => type === "tool_use")) return "a tool was to be used before the text"
  // Whatever it was about to stop for, it broke off.
  const message = { ...reply.message, content: kept, stop_reason: null }
  return { reply: { ...reply, text: textOf(kept), stopReason: null, message }, index, last }
}

const isBlank = (block: ContentBlock): boolean => block.type === "text" && block.text === ""

/** What comes of a further request. */
export interface Resuming {
  /** The events for the reader; nothing, if they do not belong to what there is. */
  readonly take: (events: ReadonlyArray<WireEvent>) => ReadonlyArray<WireEvent> | undefined
  /** The answer so far, from what the further request has brought. */
  readonly reply: (further: Reply) => Reply
}

/** The place of a first text that is none. */
const none = -1

/** Puts the events of a further request in the place of those that did not come. */
export const make = ({ index, last, reply: before }: Broken, goesOn: boolean): Resuming => {
  const words = Rest.lastWords(before)
  /** Where the blocks of the request are in the answer; those that are missing are not in it. */
  const places = new Map<number, number>()
  let first: number | undefined
  let begun = goesOn
  let pending = ""
  let written = ""

  /** The blank that the reader has, and the model was not shown. */
  const shown = last.text.slice(last.text.trimEnd().length)
  let blank = ""

  /** What of a text goes on where the reader is: what is blank at its start may be there already. */
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

  /** The new words in a piece of the first text; nothing, if it begins elsewhere. */
  const wordsOf = (text: string): string | undefined => {
    if (begun) return goOn(text)
    pending += text
    const at = Join.seam(pending, words)
    if (at === "none") return undefined
    if (at === "short") return ""
    begun = true
    return goOn(pending.slice(at))
  }

  /** One event as the reader sees it, or that it is not for the reader; nothing, if it does not belong here. */
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
          // The text was whole, and what follows it is all that is new.
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
        // A refusal is one wherever it comes.
        if (event.delta.stop_reason === "refusal") begun = true
        if (!begun) return undefined
        // The sum has what both have.
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
      const content: Array<ContentBlock> = [...before.message.content.slice(0, index), text]
      return joined(before, further, begun ? [...content, ...others] : content)
    }
  }
}
