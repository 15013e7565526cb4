/** A message without its content: what an answer says of itself, put together from the events that say it. */
import type { Message, MessageDeltaUsage, RawMessageDeltaEvent } from "@anthropic-ai/sdk/resources/messages"
import { isString } from "effect/Predicate"
import { isCount } from "../models/catalogue.ts"

/** The message of `model`, from what was said of it. */
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
  // Its name is looked up and told, whatever was sent as one.
  if (!isString(message.model)) message.model = model
  return message
}

/** Takes what an event says of the usage, which is cumulative. Null says nothing, and what cannot be added up is no count. */
const note = (usage: Message["usage"], said: Message["usage"] | MessageDeltaUsage | undefined): void => {
  const known: object = usage
  const news: object | undefined = said
  for (const key in news) {
    // What the API says of it, field by field, the newest included.
    const value = (news as Record<string, unknown>)[key]
    if (value === null || !isCount(value) && key.endsWith("_tokens")) continue
    ;(known as Record<string, unknown>)[key] = value
  }
}

/** The usage before anything of it is known. */
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

/** The message before anything of it is here. */
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
