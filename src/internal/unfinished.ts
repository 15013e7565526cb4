/**
 * Answers that stopped half-way: how the rest is asked for, and joined to what is there.
 *
 * A cut answer is continued in the way its model takes: older ones go on from a
 * last message of the assistant's; newer ones are told to, and to repeat the
 * last words, so that the seam is certain. A continuation that does not begin
 * with them is not used: a wrong seam would be a wrong answer.
 */
import type { ContentBlock, MessageParam } from "@anthropic-ai/sdk/resources/messages"
import * as Duration from "effect/Duration"
import { isNotNullish, isNullish, isNumber, isObject } from "effect/Predicate"
import type { ClaudeError } from "../ClaudeError.ts"
import type * as Current from "../Current.ts"
import type { Cost, Params, Reply, Request, Usage } from "../Message.ts"
import type { Catalogue, Model } from "./catalogue.ts"
import { textOf } from "./draft.ts"
import * as Tools from "./tools.ts"

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

/** What can be done about an answer. */
export type How = "raise" | "continue" | "resume" | "nudge"

const nothing: Rest = { before: undefined, maxTokens: undefined, nudged: false, continued: 0, resumed: 0 }

/** The answers of a call of which more is wanted. Only its policy writes to them. */
export const of = (call: Current.Call): Map<string, Rest> => {
  const known = rests.get(call)
  if (known !== undefined) return known
  const made = new Map<string, Rest>()
  rests.set(call, made)
  return made
}

const rests = new WeakMap<Current.Call, Map<string, Rest>>()

// -----------------------------------------------------------------------------
// Asking for the rest
// -----------------------------------------------------------------------------

/** Which answer it is about: what was asked, corrections included. */
export const keyOf = ({ messages }: Params): string => JSON.stringify(messages)

/** The request for what the call lacks of an answer: usually all of it. */
export const request = (first: Request, call: Current.Call, model: Model | undefined): Request => {
  const rest = rests.get(call)?.get(keyOf(first.params))
  if (rest === undefined) return first
  const request = { ...first, params: ask(first.params, rest, model) }
  asked.set(request, { params: first.params, rest })
  return request
}

/** What there was before a request for the rest of an answer. */
interface Asked {
  readonly params: Params
  readonly rest: Rest
}

const asked = new WeakMap<Request, Asked>()

/** Forgets what there was of an answer that is whole. */
export const ended = (request: Request, call: Current.Call): void => {
  const before = asked.get(request)
  if (before !== undefined) of(call).delete(keyOf(before.params))
}

const ask = (params: Params, rest: Rest, model: Model | undefined): Params => {
  const { before, maxTokens, nudged } = rest
  const messages: Array<MessageParam> = [...params.messages]
  if (nudged) messages.push({ role: "user", content: "Please continue." })
  if (before !== undefined) {
    const cut = before.stopReason === "max_tokens"
    messages.push({ role: "assistant", content: cut ? sent(before) : before.message.content })
    if (cut && !goesOn(params, model)) messages.push({ role: "user", content: goOn(before) })
  }
  return { ...params, max_tokens: maxTokens ?? params.max_tokens, messages }
}

/** Whether it takes a last message of the assistant's as the beginning of its answer. With thinking on, none does. */
const goesOn = ({ thinking }: Params, model: Model | undefined): boolean =>
  model?.capabilities.prefill === true && (isNullish(thinking) || thinking.type === "disabled")

/** What is sent back of a cut answer: no blank at its end, which no answer can go on from. */
const sent = ({ message: { content } }: Reply): Array<ContentBlock> =>
  content.map((block, i) =>
    i === content.length - 1 && block.type === "text" ? { ...block, text: block.text.trimEnd() } : block
  )

const goOn = ({ text }: Reply): string =>
  "Your answer was cut off because it reached its length limit. Go on exactly where it ends: first repeat its last "
  + "words, which are given below, letter by letter and without anything before them, then write what follows. Repeat "
  + `nothing else, and do not mention the interruption.\n<last_words>\n${lastWords(text)}\n</last_words>`

/** Long enough to be at one place only, of most texts. */
const longestSeam = 100

/** The end of a text, from the beginning of a word if there is one. */
export const lastWords = (text: string): string => {
  const end = Array.from(text.trimEnd()).slice(-longestSeam).join("")
  if (end.length === text.trimEnd().length) return end.trimStart()
  const word = end.search(/\s\S/)
  return word === -1 || word > end.length / 2 ? end : end.slice(word + 1)
}

// -----------------------------------------------------------------------------
// Joining it
// -----------------------------------------------------------------------------

/** What follows `words` in a text that begins with them, whatever blanks are between them; nothing if it does not. */
export const after = (text: string, words: string): string | undefined => {
  let at = 0
  for (const letter of words.replaceAll(/\s/g, "")) {
    while (/\s/.test(text.charAt(at))) at++
    if (!text.startsWith(letter, at)) return undefined
    at += letter.length
  }
  return text.slice(at)
}

/** The answer so far with what came of its rest, or without it, if that does not fit. */
export const join = (request: Request, reply: Reply, { models }: Catalogue): Reply => {
  const { params, rest } = asked.get(request) ?? { params: request.params, rest: nothing }
  return rest.before === undefined
    ? reply
    : joinTo(rest.before, reply, goesOn(params, models.get(params.model)))
}

const joinTo = (before: Reply, reply: Reply, goesOn: boolean): Reply => {
  if (before.stopReason !== "max_tokens") {
    return joined(before, reply, [...before.message.content, ...reply.message.content])
  }
  const start = sent(before)
  const last = start.at(-1)
  // What was thought on the way belongs to the question of how to go on.
  const [first, ...others] = reply.message.content.filter((block) => !isThought(block))
  // It was cut where it would have ended anyway.
  if (first === undefined && goesOn && reply.stopReason === "end_turn") return joined(before, reply, start)
  const rest = first?.type !== "text"
    ? undefined
    : goesOn
    ? first.text
    : after(first.text, lastWords(before.text))
  if (last?.type !== "text" || first?.type !== "text" || rest === undefined) return unfit(before, reply)
  const citations = [...last.citations ?? [], ...first.citations ?? []]
  const seam = { ...last, text: last.text + rest, citations: citations.length === 0 ? null : citations }
  return joined(before, reply, [...start.slice(0, -1), seam, ...others])
}

const isThought = ({ type }: ContentBlock): boolean => type === "thinking" || type === "redacted_thinking"

/** A refusal is one, whatever came before it; anything else leaves the answer as cut as it was. */
const unfit = (before: Reply, reply: Reply): Reply => {
  if (reply.stopReason === "refusal") return joined(before, reply, before.message.content)
  const { stop_reason, stop_sequence } = before.message
  const cut = { ...reply, stopReason: stop_reason, message: { ...reply.message, stop_reason, stop_sequence } }
  const whole = joined(before, cut, before.message.content)
  misfits.add(whole)
  return whole
}

/** Answers whose continuation did not fit. */
const misfits = new WeakSet<Reply>()

/** The reply with other content, and what both of them used. */
const joined = (before: Reply, reply: Reply, content: Array<ContentBlock>): Reply => {
  // The sum has what both have.
  const usage = add(before.usage, reply.usage) as Usage
  return {
    ...reply,
    message: { ...reply.message, content, usage },
    text: textOf(content),
    usage,
    cost: sumOf(before.cost, reply.cost),
    toolUses: Tools.uses(content),
    serverToolErrors: Tools.serverErrors(content),
    timeToFirstToken: before.timeToFirstToken,
    duration: Duration.sum(before.duration, reply.duration)
  }
}

/** Counts are added up, whatever they are of; of the rest, the later one is told. */
const add = (a: unknown, b: unknown): unknown => {
  if (isNumber(a) && isNumber(b)) return a + b
  if (!isObject(a) || !isObject(b)) return b ?? a
  const keys = new Set([...Object.keys(a), ...Object.keys(b)])
  return Object.fromEntries([...keys].map((key) => [key, add(a[key], b[key])]))
}

const sumOf = (a: Cost | undefined, b: Cost | undefined): Cost | undefined =>
  a === undefined && b === undefined
    ? undefined
    : {
      dollars: (a?.dollars ?? 0) + (b?.dollars ?? 0),
      atLeast: a?.atLeast !== false || b?.atLeast !== false
    }

// -----------------------------------------------------------------------------
// Deciding
// -----------------------------------------------------------------------------

/** An answer that failed because it stopped half-way. */
interface Stopped {
  readonly key: string
  readonly params: Params
  readonly reply: Reply
  readonly rest: Rest
}

const stopped = new WeakMap<ClaudeError, Stopped>()

/** Remembers how an answer failed, for the policy to decide. */
export const note = (error: ClaudeError, request: Request, reply: Reply): void => {
  if (error._tag !== "Truncated" && error._tag !== "EmptyAnswer") return
  const { params, rest } = asked.get(request) ?? { params: request.params, rest: nothing }
  stopped.set(error, { key: keyOf(params), params, reply, rest })
}

/** What is asked for next, of which answer; or a sentence, if more was wanted and cannot be had. */
export type Next = { readonly key: string; readonly how: How; readonly rest: Rest }

/** Whether more of an answer is to be asked for, and how. */
export const next = (error: ClaudeError, rules: Rules, models: Catalogue["models"]): Next | string | undefined => {
  const found = stopped.get(error)
  if (found === undefined) return undefined
  const { key, params, reply, rest } = found
  switch (reply.stopReason) {
    case "pause_turn":
      return rest.resumed < rules.paused.continue
        ? { key, how: "resume", rest: { ...rest, before: reply, resumed: rest.resumed + 1 } }
        : `it was resumed as often as the policy says (${rules.paused.continue})`
    case "max_tokens": {
      const { truncated } = rules
      if (truncated === "fail") return undefined
      return "raiseTo" in truncated
        ? raised(found, truncated.raiseTo, models.get(params.model))
        : continued(found, truncated.continue)
    }
    case "end_turn":
      // A nudge is for a turn that has not begun.
      return rules.empty === "fail" || rest.nudged || rest.before !== undefined
        ? undefined
        : { key, how: "nudge", rest: { ...rest, nudged: true } }
    default:
      return undefined
  }
}

/** Only a limit that is higher is another request. */
const raised = ({ key, params, rest }: Stopped, raiseTo: number, model: Model | undefined): Next | string => {
  const asked = rest.maxTokens ?? params.max_tokens
  const maxTokens = Math.min(raiseTo, model?.maxOutput ?? raiseTo)
  return maxTokens > asked
    ? { key, how: "raise", rest: { ...rest, maxTokens } }
    : maxTokens < raiseTo
    ? `it had ${asked} tokens, and ${params.model} writes at most ${maxTokens}`
    : `it had ${asked} tokens, and truncated raises them to ${raiseTo}`
}

const continued = ({ key, params, reply, rest }: Stopped, most: number): Next | string => {
  if (isNotNullish(params.output_config?.format)) {
    return "what is held to a schema cannot be continued: use truncated: { raiseTo }"
  }
  const last = reply.message.content.at(-1)
  if (last?.type !== "text" || last.text.trim() === "") return "it was not cut in a text, so it cannot be continued"
  return rest.continued < most
    ? { key, how: "continue", rest: { ...rest, before: reply, continued: rest.continued + 1 } }
    : misfits.has(reply)
    ? "the continuation does not begin where the answer ended"
    : `it was continued as often as the policy says (${most})`
}
