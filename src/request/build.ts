import type { MessageCountTokensParams, MessageParam } from "@anthropic-ai/sdk/resources/messages"
import * as Arr from "effect/Array"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Hash from "effect/Hash"
import { hasProperty, isString } from "effect/Predicate"
import * as Redacted from "effect/Redacted"
import * as CallContext from "../callContext.ts"
import { type ClaudeError, InvalidRequest, type MalformedOutput } from "../ClaudeError.ts"
import * as Current from "../Current.ts"
import { warn } from "../emit.ts"
import type { Options, Params, Prompt, Request } from "../Message.ts"
import type { Model } from "../models/catalogue.ts"
import { shown, specified } from "../options.ts"
import * as Runtime from "../runtime.ts"
import { type Adapted, leftOut } from "./adaptation.ts"
import * as Adapt from "./adaptToModel.ts"
import { mend } from "./mend.ts"
import { withoutThinking } from "./otherThinking.ts"
import * as Rest from "./rest.ts"

/** In tokens: enough for a long page. A higher value risks a higher price, but no time-out, because every call streams. */
const defaultMaxTokens = 4096

/** Changes the parameters for a structured answer. `model` is undefined if the catalogue does not have it. */
export type Amend = (params: Params, model: Model | undefined) => Params

/** Whether to remove the thinking blocks of earlier turns. Set after a model refused the thinking of another model. */
export const WithoutThinking = Context.Reference<boolean>("resilient-claude/WithoutThinking", {
  defaultValue: () => false
})

export interface Prepared {
  /** The request to send: for the whole answer, or for the rest of it. */
  readonly request: Request
  /** The request without `rest`, for the answer from its start. It is not mended. */
  readonly complete: Request
  readonly model: Model | undefined
}

/**
 * Builds, mends and validates a request with the settings in context. `amend` asks for a structured answer; `rest` makes
 * a request for the rest of an unfinished answer.
 */
export const toRequest = Effect.fnUntraced(function*(
  asked: CallContext.Asked,
  prompt: Prompt,
  options: Options | undefined,
  amend?: Amend,
  rest?: Rest.Rest
): Effect.fn.Return<Prepared, ClaudeError> {
  // Read the context once: to yield each reference would cost more than validating a short request.
  const context = yield* Effect.context<never>()
  const call = Context.get(context, CallContext.Call)
  const substitute = Context.get(context, CallContext.Substitute)
  const given = paramsOf(prompt, options, substitute, Context.get(context, Current.Model))
  const model = Runtime.of(asked).catalogue.models.get(given.model)
  const forgotten = Context.get(context, WithoutThinking) ? forget(given) : unchanged(given)
  const adapted = substitute === undefined ? unchanged(forgotten.params) : Adapt.adapt(forgotten.params, model)
  const { params } = adapted
  const changes = [...forgotten.changes, ...adapted.changes]
  const isAmended = amend !== undefined && isAmendable(given)
  const question = isAmended ? corrected(amend(params, model), params, call) : params
  const complete = { params: question, limits: Context.get(context, Current.Limits) }
  const asking = rest === undefined ? complete : Rest.restOf(complete, rest, model)
  const mended = mend(asking.params)
  const request = mended.changes.length === 0 ? asking : { ...asking, params: mended.params }
  if (call !== undefined) call.model = given.model
  if (mended.changes.length > 0) {
    const because = `the request was corrected before it was sent, because the API refuses it: ${
      mended.changes.join(", ")
    }`
    yield* warn(asked, given.model, "Mended", because)
  }
  yield* check(request.params, changes, call, rest !== undefined, asked)
  if (amend !== undefined && !isAmended) {
    return yield* invalid(
      params,
      "a structured answer cannot continue a message of the assistant: end with a user message"
    )
  }
  return { request, complete, model }
})

const unchanged = (params: Params): Adapted => ({ params, changes: [] })

const forget = (given: Params): Adapted => {
  const params = withoutThinking(given)
  if (params === undefined) return unchanged(given)
  const changes = [`thinking blocks → ${leftOut}`]
  if (params.thinking !== given.thinking) changes.push(`thinking → ${leftOut}`)
  return { params, changes }
}

const check = (
  params: Params,
  changes: ReadonlyArray<string>,
  call: CallContext.Call | undefined,
  isRest: boolean,
  asked: CallContext.Asked
): Effect.Effect<void, ClaudeError> => {
  const wrong = misspelt(params) ?? (call?.validate === undefined ? reject(params) : undefined)
  if (wrong !== undefined) return invalid(params, wrong)
  const validated = call?.validate?.(params, isRest, asked) ?? Effect.void
  if (changes.length === 0) return validated
  const because = `the request was changed for this model: ${changes.join(", ")}`
  return Effect.andThen(warn(asked, params.model, "Adapted", because), validated)
}

/** Whether an instruction can be added after the last message. False for malformed messages, which the validation reports. */
const isAmendable = ({ messages }: Params): boolean => {
  if (!Array.isArray(messages)) return false
  const last: unknown = messages.at(-1)
  return hasProperty(last, "role") && last.role !== "assistant" &&
    messages.every((message) => hasProperty(message, "content") && hasWords(message.content))
}

const invalid = ({ model }: Params, detail: string): Effect.Effect<never, InvalidRequest> =>
  Effect.fail(new InvalidRequest({ sent: false, model, detail }))

const paramsOf = (
  prompt: Prompt,
  options: Options | undefined,
  substitute: string | undefined,
  usualModel: string
): Params => {
  const given = isString(prompt)
    ? { messages: [{ role: "user", content: prompt } satisfies MessageParam] }
    : isConversation(prompt)
    ? { messages: [...prompt] }
    : specified(prompt)
  const params = { max_tokens: defaultMaxTokens, model: usualModel, ...given, ...specified(options) }
  return substitute === undefined ? params : { ...params, model: substitute }
}

const isConversation = (prompt: Prompt): prompt is ReadonlyArray<MessageParam> => Array.isArray(prompt)

export const toolsOf = (prompt: Prompt, options: Options | undefined): Params["tools"] =>
  options?.tools ?? (isString(prompt) || isConversation(prompt) ? undefined : prompt.tools)

/** `maxTokens` was the name of this option in an earlier version. The API would refuse it, but `FakeClaude` would not. */
const misspelt = (params: Params): string | undefined =>
  hasProperty(params, "maxTokens") ? "maxTokens is not a parameter of the API: write max_tokens" : undefined

/** The minimal checks of a call without validation. The API checks everything else. */
const reject = ({ max_tokens, messages, model }: Params): string | undefined => {
  if (!Array.isArray(messages) || !Arr.isArrayNonEmpty(messages)) {
    return "there are no messages: ask with a text or at least one message"
  }
  const empty = messages.findIndex((message) => !(hasProperty(message, "content") && hasWords(message.content)))
  if (empty >= 0) {
    return `messages.${empty} is empty: every message needs text that is not blank, or at least one block`
  }
  if (!isString(model) || model.trim() === "") return "the model is empty: name one, or leave it out for the default"
  if (!Number.isInteger(max_tokens) || max_tokens <= 0) {
    return `max_tokens is ${shown(max_tokens)}: it must be an integer from 1 to the model's maximum output`
  }
  return undefined
}

const hasWords = (content: unknown): boolean =>
  isString(content) ? content.trim() !== "" : Array.isArray(content) && content.length > 0

/** Identifies a question within a call. A hash, because errors have this key and must not contain the prompt. */
export const questionKey = (question: Params): string => Hash.string(JSON.stringify(question)).toString(36)

/** Appends all malformed answers to this question with their corrections, in order, so that the cached prefix stays valid. */
const corrected = (params: Params, question: Params, call: CallContext.Call | undefined): Params => {
  if (call === undefined || call.corrections.length === 0) return params
  const key = questionKey(question)
  const wrong = call.corrections.filter((error) => error.question === key)
  return { ...params, messages: [...params.messages, ...wrong.flatMap(correct)] }
}

const mostIssues = 20

const correct = ({ issues, text }: MalformedOutput): ReadonlyArray<MessageParam> => {
  if (text === undefined) return []
  const all = issues === undefined ? [] : Redacted.value(issues)
  const wrong = all.slice(0, mostIssues)
  return [
    { role: "assistant", content: Redacted.value(text) },
    {
      role: "user",
      content: [
        "That is not what was asked for:",
        ...wrong.map(({ message, path }) => path.length === 0 ? `- ${message}` : `- ${path.join(".")}: ${message}`),
        ...all.length > mostIssues ? [`- and ${all.length - mostIssues} more`] : [],
        "Answer again, with the corrected JSON only."
      ].join("\n")
    }
  ]
}

/** Removes the parameters that the API refuses in a request for a token count. */
export const countable = (params: Omit<Params, "max_tokens">): MessageCountTokensParams => {
  const {
    max_tokens: _max,
    container: _c,
    diagnostics: _d,
    inference_geo: _i,
    metadata: _m,
    service_tier: _t,
    stop_sequences: _s,
    ...rest
  }: Partial<Params> & Omit<Params, "max_tokens"> = params
  return rest
}
