/** From what was asked to a request, or to why it cannot be sent. */
import type { MessageParam } from "@anthropic-ai/sdk/resources/messages"
import * as Arr from "effect/Array"
import * as Effect from "effect/Effect"
import { hasProperty, isString } from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import { InvalidRequest, type MalformedOutput } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import type { Params, Prompt, Request } from "../Message.ts"

/** A question, a conversation, or the parameters of the SDK, of which `model` and `max_tokens` may be left out. */
export type Ask = Prompt | Omit<Params, "model" | "max_tokens"> & Partial<Pick<Params, "model" | "max_tokens">>

/** Anything the API takes besides the conversation. */
export interface Options extends Partial<Omit<Params, "messages">> {
  /** The most tokens the answer may have: 4,096 where nothing is said. */
  readonly maxTokens?: number | undefined
}

/** Enough for a long page; every call streams, so that only its price limits it. */
const defaultMaxTokens = 4096

/** No model writes as much (the largest: 128,000), so it is a slip. */
const absurdMaxTokens = 1_000_000

/** The request for `ask` under what the call carries. */
export const toRequest = (ask: Ask, options: Options | undefined): Effect.Effect<Request, InvalidRequest> =>
  Effect.withFiber((fiber) => {
    const model = fiber.getRef(Current.Model)
    const substitute = fiber.getRef(Current.Substitute)
    const limits = fiber.getRef(Current.Limits)
    const call = fiber.getRef(Current.Call)
    const { maxTokens = defaultMaxTokens, ...rest } = options ?? {}
    const given = isString(ask)
      ? { messages: [{ role: "user", content: ask } satisfies MessageParam] }
      : isConversation(ask)
      ? { messages: [...ask] }
      : ask
    const params: Params = { model, max_tokens: maxTokens, ...given, ...rest }
    if (substitute !== undefined) params.model = substitute
    const wrong = reject(params)
    if (wrong !== undefined) return Effect.fail(new InvalidRequest({ sent: false, model: params.model, detail: wrong }))
    if (call?.correction !== undefined) params.messages = [...params.messages, ...correct(call.correction)]
    return Effect.succeed({ params, limits })
  })

const isConversation = (ask: Ask): ask is ReadonlyArray<MessageParam> => Array.isArray(ask)

/** What is wrong with it, and what to do. More is checked by the API. */
const reject = ({ max_tokens, messages, model }: Params): string | undefined => {
  if (!Array.isArray(messages) || !Arr.isArrayNonEmpty(messages)) {
    return "there are no messages: ask with a text or at least one message"
  }
  if (!messages.every((message) => hasProperty(message, "content") && hasWords(message.content))) {
    return "a message is empty: every message needs text that is not blank, or at least one block"
  }
  if (!isString(model) || model.trim() === "") return "the model is empty: name one, or leave it out for the default"
  if (!Number.isInteger(max_tokens) || max_tokens <= 0 || max_tokens > absurdMaxTokens) {
    return `max_tokens is ${max_tokens}: it must be an integer from 1 to what the model can write`
  }
  return undefined
}

const hasWords = (content: unknown): boolean =>
  isString(content) ? content.trim() !== "" : Array.isArray(content) && content.length > 0

/** The conversation about an answer that did not decode. */
const correct = ({ issues, text }: MalformedOutput): ReadonlyArray<MessageParam> => [
  { role: "assistant", content: text === undefined ? "" : Redacted.value(text) },
  {
    role: "user",
    content: `That does not match the schema:\n${
      issues === undefined ? "" : Redacted.value(issues)
    }\nAnswer again, with the corrected JSON only.`
  }
]
