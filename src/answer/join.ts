/**
 * Joins the parts of an answer.
 *
 * Without prefill, the model is asked to repeat the last words before it continues.
 * A continuation without these words is dropped, because it may not be the next part
 * of the text.
 */
import type { ContentBlock, TextBlock } from "@anthropic-ai/sdk/resources/messages"
import { isNullish } from "effect/Predicate"
import type { Reply } from "../Message.ts"
import { lastWords, trimmed } from "../request/rest.ts"
import { isThinking } from "../request/rules/blocks.ts"
import { joined } from "./sumReplies.ts"

/**
 * Returns the index after `words` at the beginning of `text`, ignoring white space. Returns "short" if `text` ends inside
 * the words, and "none" if `text` begins with other words.
 */
export const seam = (text: string, words: string): number | "none" | "short" => {
  let at = 0
  for (const letter of words.replaceAll(/\s/g, "")) {
    while (/\s/.test(text.charAt(at))) at++
    if (at === text.length) return "short"
    if (!text.startsWith(letter, at)) return "none"
    at += letter.length
  }
  return at
}

/** `fits`: the latest part begins where the answer had ended. Otherwise, `reply` does not contain this part. */
export interface Joined {
  readonly reply: Reply
  readonly fits: boolean
}

/** Drops a continuation that does not fit, but adds its usage. `goesOn`: the request was prefilled with the answer. */
export const join = (before: Reply, reply: Reply, goesOn: boolean): Joined => {
  const more = reply.message.content
  if (before.stopReason === "pause_turn") {
    return { reply: joined(before, reply, [...before.message.content, ...more]), fits: true }
  }
  const start = trimmed(before)
  const last = start.at(-1)
  const rest = goesOn ? followed(reply) : repeated(before, more.filter((block) => !isThinking(block)))
  return rest === undefined || last?.type !== "text"
    ? { reply: without(before, reply), fits: false }
    : { reply: joined(before, reply, seal(start, last, rest)), fits: true }
}

/** The content that continues a prefilled answer. `undefined` if it is empty and the answer is still incomplete. */
const followed = ({ message: { content }, stopReason }: Reply): ReadonlyArray<ContentBlock> | undefined =>
  content.length > 0 || stopReason === "end_turn" || stopReason === "stop_sequence" ? content : undefined

/** The content after the repeated words, which may span several blocks. `undefined` if the words were not repeated. */
const repeated = (before: Reply, content: ReadonlyArray<ContentBlock>): ReadonlyArray<ContentBlock> | undefined => {
  const words = lastWords(before)
  let text = ""
  for (const [i, block] of content.entries()) {
    if (block.type !== "text") return undefined
    const at = seam(text + block.text, words)
    if (at === "none") return undefined
    if (at !== "short") return [{ ...block, text: block.text.slice(at - text.length) }, ...content.slice(i + 1)]
    text += block.text
  }
  return undefined
}

/** Merges the text blocks on both sides of the seam, unless one of them has citations. */
const seal = (start: Array<ContentBlock>, last: TextBlock, rest: ReadonlyArray<ContentBlock>): Array<ContentBlock> => {
  const [first, ...others] = rest
  if (first?.type !== "text") return [...start, ...rest]
  if (first.text === "") return [...start, ...others]
  const isPlain = isUncited(last) && isUncited(first)
  return isPlain ? [...start.slice(0, -1), { ...last, text: last.text + first.text }, ...others] : [...start, ...rest]
}

const isUncited = ({ citations }: TextBlock): boolean => isNullish(citations) || citations.length === 0

/**
 * Drops the content of the continuation. The stop reason stays as before, unless the continuation was refused or filled the
 * context window.
 */
const without = (before: Reply, reply: Reply): Reply => {
  const { stop_reason, stop_sequence } = before.message
  const own = reply.stopReason === "refusal" || reply.stopReason === "model_context_window_exceeded"
  const cut = own
    ? reply
    : { ...reply, stopReason: stop_reason, message: { ...reply.message, stop_reason, stop_sequence } }
  return joined(before, cut, before.message.content)
}
