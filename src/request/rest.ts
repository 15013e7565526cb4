/**
 * The request for the rest of an answer that stopped half-way.
 *
 * A cut answer is continued in the way its model takes: older ones go on from a
 * last message of the assistant's; newer ones are told to, and to repeat the
 * last words, so that the seam is certain.
 */
import type { ContentBlock, MessageParam } from "@anthropic-ai/sdk/resources/messages"
import { isNullish } from "effect/Predicate"
import type { Params, Reply, Request } from "../Message.ts"
import type { Model } from "../models/catalogue.ts"

/** What is there of an answer, and how often more of it was asked for. */
export interface Rest {
  /** The answer so far, if it goes on from there. */
  readonly before: Reply | undefined
  readonly maxTokens: number | undefined
  readonly nudged: boolean
  readonly continued: number
  readonly resumed: number
}

/** An answer of which nothing is there yet. */
export const nothing: Rest = { before: undefined, maxTokens: undefined, nudged: false, continued: 0, resumed: 0 }

/** The request for what is missing of the answer to another one. */
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
  // Tools of the API's own that are not done go on where they are.
  const container = params.container ?? before?.message.container?.id
  const more = { ...params, max_tokens: maxTokens ?? params.max_tokens, messages }
  return { ...whole, params: container === undefined ? more : { ...more, container } }
}

/** Whether it takes a last message of the assistant's as the beginning of its answer. With thinking on, none does. */
export const goesOn = ({ thinking }: Params, model: Model | undefined): boolean =>
  model?.capabilities.prefill === true && (isNullish(thinking) || thinking.type === "disabled")

/** What is sent back of a cut answer: no blank at its end, which no answer can go on from. */
export const trimmed = ({ message: { content } }: Reply): Array<ContentBlock> =>
  content.map((block, i) =>
    i === content.length - 1 && block.type === "text" ? { ...block, text: block.text.trimEnd() } : block
  )

/** The API takes back no text that is empty. */
const isFilled = (block: ContentBlock): boolean => block.type !== "text" || block.text !== ""

const goOn = (before: Reply): string =>
  `Your answer was ${before.stopReason === null ? "interrupted" : "cut off because it reached its length limit"}. `
  + "Go on exactly where it ends: first repeat its last words, which are given below, letter by letter and without "
  + "anything before them, then write what follows. Repeat nothing else, and do not mention the interruption."
  + `\n<last_words>\n${lastWords(before)}\n</last_words>`

/** Long enough to be at one place only, of most texts. */
const longestSeam = 100

/** The end of the text that an answer ends with, from the beginning of a word if there is one. */
export const lastWords = ({ message: { content } }: Reply): string => {
  const text = content.slice(content.findLastIndex(({ type }) => type !== "text") + 1)
    .map((block) => block.type === "text" ? block.text : "").join("").trimEnd()
  const end = Array.from(text).slice(-longestSeam).join("")
  if (end.length === text.length) return end.trimStart()
  const word = end.search(/\s\S/)
  return word === -1 || word > end.length / 2 ? end : end.slice(word + 1)
}
