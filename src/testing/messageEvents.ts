/** A server-sent event. The JSON is padded with spaces, as in the API. */
export const event = (type: string, data: object): string => {
  const json = JSON.stringify({ type, ...data })
  return `event: ${type}\ndata: ${json.slice(0, -1)}${" ".repeat(json.length % 7)}}\n\n`
}

/** The input tokens of an answer. The price of a token differs between these kinds. */
export interface Input {
  readonly input_tokens: number
  readonly cache_creation_input_tokens: number
  readonly cache_read_input_tokens: number
}

export const messageStart = (id: string, model: string, usage: Input): string =>
  event("message_start", {
    message: {
      id,
      type: "message",
      role: "assistant",
      model,
      content: [],
      container: null,
      diagnostics: null,
      stop_reason: null,
      stop_sequence: null,
      stop_details: null,
      usage: { ...usage, output_tokens: 1, service_tier: "standard" }
    }
  })

export const messageDelta = (
  usage: Input,
  outputTokens: number,
  stopReason: string,
  stop: { readonly sequence: string | null; readonly details: object | null } = { sequence: null, details: null }
): string =>
  event("message_delta", {
    delta: {
      stop_reason: stopReason,
      stop_sequence: stop.sequence,
      stop_details: stop.details,
      container: null
    },
    usage: { ...usage, output_tokens: outputTokens, output_tokens_details: null, server_tool_use: null }
  })
