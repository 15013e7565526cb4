import { isNullish, isObject, isString } from "effect/Predicate"
import { at, both, eachOf, field, type Given, isBlank, issue, type Issues, kind, none, type Rule } from "./rule.ts"

/** More than any model writes (the most: 300,000, with a beta), so a higher value is probably a mistake. */
export const absurdMaxTokens = 1_000_000
const minBudget = 1024

const model = ({ model }: Given): Issues =>
  isString(model) && !isBlank(model)
    ? none
    : issue(["model"], `the model is ${isString(model) ? "empty" : kind(model)}: name one`)

const maxTokens = ({ max_tokens }: Given): Issues =>
  typeof max_tokens === "number" && Number.isInteger(max_tokens) && max_tokens >= 0
    ? none
    : issue(
      ["max_tokens"],
      `max_tokens is ${kind(max_tokens)}: it must be an integer from 1 to the model's maximum output`
    )

const absurd = ({ max_tokens }: Given): Issues =>
  typeof max_tokens === "number" && max_tokens > absurdMaxTokens
    ? issue(["max_tokens"], `max_tokens is ${max_tokens}, and no model writes more than ${absurdMaxTokens}: lower it`)
    : none

const room = ({ max_tokens }: Given): Issues =>
  max_tokens === 0
    ? issue(["max_tokens"], "max_tokens is 0, which only fills the cache: set it to at least 1")
    : none

const thinking = ({ thinking }: Given): Issues => {
  if (isNullish(thinking)) return none
  if (!isObject(thinking)) return issue([], `thinking is ${kind(thinking)}: it must be an object with a type`)
  const { budget_tokens: budget, type } = thinking
  if (!isString(type)) return issue(["type"], `the type of thinking is ${kind(type)}: it must be a text`)
  if (type !== "enabled") return none
  if (typeof budget !== "number" || !Number.isInteger(budget)) {
    return issue(["budget_tokens"], `budget_tokens is ${kind(budget)}: it must be an integer of at least ${minBudget}`)
  }
  return none
}

const budget = ({ max_tokens, thinking, tools }: Given): Issues => {
  const budget = field(thinking, "budget_tokens")
  if (field(thinking, "type") !== "enabled" || typeof budget !== "number" || !Number.isInteger(budget)) return none
  if (budget < minBudget) {
    return issue(["budget_tokens"], `budget_tokens is ${budget}: it must be an integer of at least ${minBudget}`)
  }
  // With tools, thinking may be interleaved: the budget then covers several answers, and may exceed max_tokens.
  return typeof max_tokens !== "number" || budget < max_tokens || Array.isArray(tools) && tools.length > 0
    ? none
    : issue(["budget_tokens"], `budget_tokens is ${budget}: it must be less than max_tokens, which is ${max_tokens}`)
}

const sampling = (given: Given): Issues =>
  both(both(gone(given, "temperature"), gone(given, "top_p")), gone(given, "top_k"))

const gone = (given: Given, name: string): Issues =>
  isNullish(given[name]) ? none : issue([name], `${name} is no longer accepted by the API: remove it`)

const stops = ({ stop_sequences }: Given): Issues =>
  eachOf("stop_sequences", "texts", stop_sequences, (stop) =>
    !isString(stop)
      ? issue([], `a stop sequence is ${kind(stop)}: it must be a text`)
      : isBlank(stop)
      ? issue([], "a stop sequence is blank: add text to stop at, or remove it")
      : none)

const stream = ({ stream }: Given): Issues =>
  isNullish(stream) ? none : issue(["stream"], "stream is always on: remove it")

export const parameterRules: ReadonlyArray<Rule> = [
  { name: "model", source: "SDK 1.12 types: MessageCreateParamsBase.model", check: model },
  { name: "max_tokens", source: "SDK 1.12 types: MessageCreateParamsBase.max_tokens", check: maxTokens },
  {
    name: "thinking",
    source: "SDK 1.12 types: ThinkingConfigEnabled",
    check: (given) => at("thinking", thinking(given))
  },
  {
    name: "stop_sequences",
    source: "API: `each stop sequence must contain non-whitespace`, github.com/BerriAI/litellm/issues/3286",
    check: (given) => at("stop_sequences", stops(given))
  }
]

export const parameterLimits: ReadonlyArray<Rule> = [
  { name: "max_tokens that a model can write", source: "API: max_tokens of its models", check: absurd },
  {
    name: "the budget of thinking",
    source: "SDK 1.12 types: ThinkingConfigEnabled",
    check: (given) => at("thinking", budget(given))
  },
  { name: "no sampling", source: "API 2026-10-21: absent from the types of SDK 1.12", check: sampling }
]

/** Rules for parameters that the API accepts but a call of this library cannot use. */
export const ownRules: ReadonlyArray<Rule> = [
  { name: "there is room for an answer", source: "this library: every call needs an answer", check: room },
  { name: "stream", source: "this library: Message.Params", check: stream }
]
