/**
 * The parts of an answer, joined.
 *
 * A continuation that does not begin with the words that it was to repeat is
 * not used: a wrong seam would be a wrong answer.
 */
import type { ContentBlock, TextBlock } from "@anthropic-ai/sdk/resources/messages"
import { isNullish } from "effect/Predicate"
import type { Reply } from "../Message.ts"
import { lastWords, trimmed } from "../request/rest.ts"
import { isThinking } from "../request/rules/blocks.ts"
import { joined } from "./sumReplies.ts"

/** Where `words` end in a text that begins with them, whatever blanks are between them; or that it is too short to say. */
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

/** An answer so far, and whether what came last fits to what was there before it. */
export interface Joined {
  readonly reply: Reply
  readonly fits: boolean
}

/** The answer so far with what came of its rest, or without it, if that does not fit. */
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

/** What goes on from a beginning: anything, and nothing only where the answer would have ended anyway. */
const followed = ({ message: { content }, stopReason }: Reply): ReadonlyArray<ContentBlock> | undefined =>
  content.length > 0 || stopReason === "end_turn" || stopReason === "stop_sequence" ? content : undefined

/** What follows the words that were to be repeated, which may be in several blocks. */
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

/** One block from both sides of the seam, if their sources do not differ. */
const seal = (start: Array<ContentBlock>, last: TextBlock, rest: ReadonlyArray<ContentBlock>): Array<ContentBlock> => {
  const [first, ...others] = rest
  if (first?.type !== "text") return [...start, ...rest]
  if (first.text === "") return [...start, ...others]
  const isPlain = isUncited(last) && isUncited(first)
  return isPlain ? [...start.slice(0, -1), { ...last, text: last.text + first.text }, ...others] : [...start, ...rest]
}

const isUncited = ({ citations }: TextBlock): boolean => isNullish(citations) || citations.length === 0

/** What ended for a reason of its own did; anything else leaves the answer as cut as it was. */
const without = (before: Reply, reply: Reply): Reply => {
  const { stop_reason, stop_sequence } = before.message
  const own = reply.stopReason === "refusal" || reply.stopReason === "model_context_window_exceeded"
  const cut = own
    ? reply
    : { ...reply, stopReason: stop_reason, message: { ...reply.message, stop_reason, stop_sequence } }
  return joined(before, cut, before.message.content)
}
