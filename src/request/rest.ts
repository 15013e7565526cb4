/**
 * Builds the request for the rest of an answer that stopped half-way.
 *
 * Older models continue an assistant message at the end (prefill). Newer models refuse a prefill, so a user message asks
 * them to repeat the last words and go on. The repeated words show where the two parts join.
 */
import type { ContentBlock, MessageParam } from "@anthropic-ai/sdk/resources/messages"
import { isNullish } from "effect/Predicate"
import type { Params, Reply, Request } from "../Message.ts"
import type { Model } from "../models/catalogue.ts"

export interface Rest {
  /** The answer so far; undefined if there is none to continue. */
  readonly before: Reply | undefined
  readonly maxTokens: number | undefined
  /** Whether the request asks Claude to continue, because the first answer was empty. */
  readonly nudged: boolean
  readonly continued: number
  readonly resumed: number
}

/** The state before the first request. */
export const nothing: Rest = { before: undefined, maxTokens: undefined, nudged: false, continued: 0, resumed: 0 }

export const restOf = (whole: Request, rest: Rest, model: Model | undefined): Request => {
  const { params } = whole
  const { before, maxTokens, nudged } = rest
  const messages: Array<MessageParam> = [...params.messages]
  if (nudged) messages.push({ role: "user", content: "Please continue." })
  if (before !== undefined) {
    const cut = before.stopReason !== "pause_turn"
    messages.push({ role: "assistant", content: (cut ? trimmed(before) : before.message.content).filter(isFilled) })
    if (cut && !goesOn(params, model)) messages.push({ role: "user", content: goOn(before) })
  }
  // Server tools that have not finished continue in their container.
  const container = params.container ?? before?.message.container?.id
  const more = { ...params, max_tokens: maxTokens ?? params.max_tokens, messages }
  return { ...whole, params: container === undefined ? more : { ...more, container } }
}

/** Whether the model accepts a prefill. No model accepts one with thinking. */
export const goesOn = ({ thinking }: Params, model: Model | undefined): boolean =>
  model?.capabilities.prefill === true && (isNullish(thinking) || thinking.type === "disabled")

/** Without trailing whitespace, which the API refuses in a prefill. */
export const trimmed = ({ message: { content } }: Reply): Array<ContentBlock> =>
  content.map((block, i) =>
    i === content.length - 1 && block.type === "text" ? { ...block, text: block.text.trimEnd() } : block
  )

/** The API refuses empty text blocks. */
const isFilled = (block: ContentBlock): boolean => block.type !== "text" || block.text !== ""

const goOn = (before: Reply): string =>
  `Your answer was ${before.stopReason === null ? "interrupted" : "cut off because it reached its length limit"}. `
  + "Go on exactly where it ends: first repeat its last words, which are given below, letter by letter and without "
  + "anything before them, then write what follows. Repeat nothing else, and do not mention the interruption."
  + `\n<last_words>\n${lastWords(before)}\n</last_words>`

/** In characters: enough for the last words to be unique in most texts. */
const longestSeam = 100

/**
 * The last text, or the last `longestSeam` characters of a longer text. The first word of these characters may be cut, so it
 * is left out if it ends in their first half.
 */
export const lastWords = ({ message: { content } }: Reply): string => {
  const text = content.slice(content.findLastIndex(({ type }) => type !== "text") + 1)
    .map((block) => block.type === "text" ? block.text : "").join("").trimEnd()
  const end = Array.from(text).slice(-longestSeam).join("")
  if (end.length === text.length) return end.trimStart()
  const word = end.search(/\s\S/)
  return word === -1 || word > end.length / 2 ? end : end.slice(word + 1)
}
