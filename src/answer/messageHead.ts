/** Builds a message without its content from `message_start` and the `message_delta` events. */
import type { Message, RawMessageDeltaEvent } from "@anthropic-ai/sdk/resources/messages"
import { isNotNullish, isNullish, isObject, isString } from "effect/Predicate"
import { isCount } from "../models/cost.ts"

/** Merges the events. `model` is used until an event names the model. */
export const merged = (
  model: string,
  start: Message | undefined,
  changes: ReadonlyArray<RawMessageDeltaEvent>
): Message => {
  const usage = { ...noUsage }
  const message = { ...nothing, model }
  update(message, start)
  note(usage, start?.usage)
  // Removes the provisional count of `message_start` if a `message_delta` has a count: `note` never replaces a count
  // with 0, so a final count of 0 would leave the provisional count.
  if (changes.some(({ usage }) => isCount(usage?.output_tokens))) usage.output_tokens = 0
  for (const change of changes) {
    update(message, change.delta)
    note(usage, change.usage)
  }
  message.usage = usage
  // Prices are looked up by this name, so it must be a string.
  if (!isString(message.model)) message.model = model
  return message
}

/** Adds the fields of a repeated `message_start`, because the first one may lack some. */
export const repeated = (start: Message, again: Message): Message => {
  const message = { ...start }
  update(message, again)
  message.usage = { ...start.usage }
  note(message.usage, again.usage)
  return message
}

/**
 * Whether the events count all tokens. Some gateways send no counts, or zeros, although every prompt and every content has
 * tokens. Only a `message_delta` has the final count of the output.
 */
export const isCounted = (
  start: Message | undefined,
  changes: ReadonlyArray<RawMessageDeltaEvent>,
  hasContent: boolean
): boolean => {
  const ends = changes.map(({ usage }) => usage)
  const all = [start?.usage, ...ends]
  return all.every((usage) => counts.every((key) => isNullish(usage?.[key]) || isCount(usage[key]))) &&
    all.some((usage) => isCount(usage?.input_tokens)) &&
    all.some((usage) => inputs.some((key) => Number(usage?.[key]) > 0)) &&
    ends.some((usage) => isCount(usage?.output_tokens) && (usage.output_tokens > 0 || !hasContent))
}

const inputs = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"] as const
const counts = [...inputs, "output_tokens"] as const

/** Sets the fields that an event gives. A field that is null, empty or missing keeps its earlier value. */
const update = (message: object, said: object | undefined): void => {
  const known = message as Record<string, unknown>
  const news = (said ?? {}) as Record<string, unknown>
  for (const key of Object.keys(news)) {
    const value = news[key]
    if (isNotNullish(value) && !(value === "" && known[key])) known[key] = value
  }
}

/**
 * Merges the usage of an event, which is cumulative. Ignores null, a zero after an earlier count (some gateways send zeros
 * at the end), and token counts that are not valid numbers. Looks one level into objects such as `cache_creation`.
 */
const note = (usage: object, said: object | null | undefined, isInner = false): void => {
  const known = usage as Record<string, unknown>
  const news = (said ?? {}) as Record<string, unknown>
  // All fields, including those that this version does not know.
  for (const key of Object.keys(news)) {
    const value = news[key]
    if (value === null || !isCount(value) && key.endsWith("_tokens")) continue
    const before = known[key]
    if (value === 0 && isCount(before)) continue
    if (!isInner && isRecord(value) && isRecord(before)) note(known[key] = { ...before }, value, true)
    else known[key] = value
  }
}

const isRecord = (value: unknown): value is object => isObject(value) && !Array.isArray(value)

const noUsage: Message["usage"] = {
  input_tokens: 0,
  output_tokens: 0,
  cache_creation: null,
  cache_creation_input_tokens: null,
  cache_read_input_tokens: null,
  inference_geo: null,
  output_tokens_details: null,
  server_tool_use: null,
  service_tier: null,
  speed: null
}

const nothing: Message = {
  id: "",
  type: "message",
  role: "assistant",
  model: "",
  content: [],
  container: null,
  diagnostics: null,
  stop_reason: null,
  stop_sequence: null,
  stop_details: null,
  usage: noUsage
}
