/** Builds a message without its content from `message_start` and the `message_delta` events. */
import type { Message, MessageDeltaUsage, RawMessageDeltaEvent } from "@anthropic-ai/sdk/resources/messages"
import { isString } from "effect/Predicate"
import { isCount } from "../models/catalogue.ts"

/** Merges the events. `model` is used until an event names the model. */
export const merged = (
  model: string,
  start: Message | undefined,
  changes: ReadonlyArray<RawMessageDeltaEvent>
): Message => {
  const usage = { ...noUsage }
  const message = { ...nothing, model, ...start }
  note(usage, start?.usage)
  for (const change of changes) {
    Object.assign(message, change.delta)
    note(usage, change.usage)
  }
  message.usage = usage
  // Prices are looked up by this name, so it must be a string.
  if (!isString(message.model)) message.model = model
  return message
}

/** Merges the usage of an event, which is cumulative. Ignores null, and token counts that are not valid numbers. */
const note = (usage: Message["usage"], said: Message["usage"] | MessageDeltaUsage | undefined): void => {
  const known: object = usage
  const news: object | undefined = said
  for (const key in news) {
    // All fields, including those that this version does not know.
    const value = (news as Record<string, unknown>)[key]
    if (value === null || !isCount(value) && key.endsWith("_tokens")) continue
    ;(known as Record<string, unknown>)[key] = value
  }
}

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
