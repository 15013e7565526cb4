/**
 * Answers that stopped half-way: how the rest is asked for, and joined to what is there.
 *
 * A cut answer is continued in the way its model takes: older ones go on from a
 * last message of the assistant's; newer ones are told to, and to repeat the
 * last words, so that the seam is certain. A continuation that does not begin
 * with them is not used: a wrong seam would be a wrong answer.
 */
import type { ContentBlock, MessageParam, TextBlock } from "@anthropic-ai/sdk/resources/messages"
import type * as Effect from "effect/Effect"
import { isNotNullish, isNullish } from "effect/Predicate"
import type { ClaudeError } from "../ClaudeError.ts"
import type * as Current from "../Current.ts"
import type { Params, Reply, Request } from "../Message.ts"
import type { Model } from "../models/catalogue.ts"
import type { Ending } from "./ending.ts"
import { joined } from "./joinReplies.ts"

/** What a policy does about them. */
export interface Rules {
  readonly truncated: "fail" | { readonly raiseTo: number } | { readonly continue: number }
  readonly paused: { readonly continue: number }
  readonly empty: "fail" | { readonly nudge: 1 }
}

/** Source: the example of the API docs (handling stop reasons). */
export const defaultPaused = { continue: 5 } as const

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

// -----------------------------------------------------------------------------
// Asking for the rest
// -----------------------------------------------------------------------------

/** The request for what is missing of the answer to another one. */
export const ask = (whole: Request, rest: Rest, model: Model | undefined): Request => {
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
const trimmed = ({ message: { content } }: Reply): Array<ContentBlock> =>
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

// -----------------------------------------------------------------------------
// Joining it
// -----------------------------------------------------------------------------

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

/** Thinking is of the request it came with. */
export const isThought = ({ type }: ContentBlock): boolean => type === "thinking" || type === "redacted_thinking"

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
  const rest = goesOn ? followed(reply) : repeated(before, more.filter((block) => !isThought(block)))
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

// -----------------------------------------------------------------------------
// Deciding
// -----------------------------------------------------------------------------

/** An answer that stopped half-way, or may have. */
export interface Stopped {
  /** What was asked for all of it. */
  readonly params: Params
  readonly model: Model | undefined
  /** All that is there of it. */
  readonly reply: Reply
  /** Whether what came last fits to what was there before it. */
  readonly fits: boolean
  readonly rest: Rest
}

/** How more of an answer is asked for. */
export interface Next {
  readonly how: "raise" | "continue" | "resume" | "nudge"
  readonly rest: Rest
}

/** A question, of which the rest can be asked for. */
export interface Question<A, R> {
  readonly ask: (rest: Rest) => Effect.Effect<A, ClaudeError, R>
  /** What there is of the answer that was asked for last, if it stopped half-way. */
  readonly stopped: () => Stopped | undefined
}

/** Who decides about the answers of a call: its policy. */
export interface Finisher {
  /** The whole of an answer that failed, by asking for its rest; or the failure, if that is all that can be had. */
  readonly continueAnswer: <A, R>(error: ClaudeError, question: Question<A, R>) => Effect.Effect<A, ClaudeError, R>
  /** How the call ends with what it opens. */
  readonly ending: Ending
  /** How long an attempt may be silent where its limits are not set, so that there is time to ask again: in milliseconds. */
  readonly silence: number
  /** The call that it is an attempt of, if it is. */
  readonly outer: PolicyCall | undefined
}

/** The current call, with what its policy decides: a call that somebody else has put there has none of that. */
export type PolicyCall = Current.Call & Partial<Finisher>

/** What the attempts of a call have used is used by the calls that it is an attempt of, too. */
export const spentBy = (call: PolicyCall | undefined): ReadonlyArray<Current.Tally> =>
  call === undefined ? [] : [call.spent, ...spentBy(call.outer)]

/** Whether more is to be asked for, and how; or a sentence, if more is wanted and cannot be had. */
export const next = (stopped: Stopped, rules: Rules): Next | string | undefined => {
  const { reply, rest } = stopped
  const { empty, paused, truncated } = rules
  switch (reply.stopReason) {
    case "pause_turn":
      return rest.resumed < paused.continue
        ? { how: "resume", rest: { ...rest, before: reply, resumed: rest.resumed + 1 } }
        : `it was resumed as often as the policy says (${paused.continue})`
    case "max_tokens":
      if (truncated === "fail") return undefined
      return "raiseTo" in truncated ? raised(stopped, truncated.raiseTo) : continued(stopped, truncated.continue)
    case "end_turn":
      // A nudge is for a turn that has not begun.
      return empty === "fail" || rest.nudged || rest.before !== undefined
        ? undefined
        : { how: "nudge", rest: { ...rest, nudged: true } }
    default:
      return undefined
  }
}

/** Only a limit that is higher is another request. */
const raised = ({ model, params, rest }: Stopped, raiseTo: number): Next | string => {
  const asked = rest.maxTokens ?? params.max_tokens
  const maxTokens = Math.min(raiseTo, model?.maxOutput ?? raiseTo)
  return maxTokens > asked
    ? { how: "raise", rest: { ...rest, maxTokens } }
    : maxTokens < raiseTo
    ? `it had ${asked} tokens, and ${params.model} writes at most ${maxTokens}`
    : `it had ${asked} tokens, and truncated raises them to ${raiseTo}`
}

const continued = ({ fits, params, reply, rest }: Stopped, most: number): Next | string => {
  const { content } = reply.message
  const last = content.at(-1)
  return isNotNullish(params.output_config?.format)
    ? "what is held to a schema cannot be continued: use truncated: { raiseTo }"
    : content.some(({ type }) => type === "tool_use")
    ? "a tool was to be used before it was cut, so it cannot be continued"
    : last?.type !== "text" || last.text.trim() === ""
    ? "it was not cut in a text, so it cannot be continued"
    : rest.continued < most
    ? { how: "continue", rest: { ...rest, before: reply, continued: rest.continued + 1 } }
    : !fits
    ? "the continuation does not begin where the answer ended"
    : `it was continued as often as the policy says (${most})`
}
