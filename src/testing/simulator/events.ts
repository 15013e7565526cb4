/** The events of a simulated answer, for the simulated wire and for a real server. */
import { events } from "../answers.ts"
import { event, messageDelta, messageStart } from "../messageEvents.ts"
import type { Plan } from "./provider.ts"

export type Answer = Extract<Plan, { readonly kind: "answer" }>

/** The longest silence within an answer, in milliseconds. After this silence, the answer sends `more`. */
export const quiet = 5000

/** A piece of content. */
export const more = event("content_block_delta", {
  index: 0,
  delta: { type: "text_delta", text: "and so on " }
})

/** The input tokens of an answer, as the API reports them. */
export const usageOf = ({ usage }: Answer) => ({
  input_tokens: usage.fresh,
  cache_creation_input_tokens: usage.written,
  cache_read_input_tokens: usage.read
})

/** The events that the fakes send. The simulator replaces the first and the last but one, which hold token counts. */
const template = events("Well.")

/** The events up to the first token. */
export const begin = (plan: Answer, model: string): ReadonlyArray<string> => [
  messageStart(`msg_${plan.index}`, model, usageOf(plan)),
  ...template.slice(1, -3)
]

/** The events after the content. */
export const end = (plan: Answer): ReadonlyArray<string> => [
  ...template.slice(-3, -2),
  messageDelta(usageOf(plan), plan.usage.output, "end_turn"),
  ...template.slice(-1)
]
