import { events } from "../answers.ts"
import { event, messageDelta, messageStart } from "../messageEvents.ts"
import type { Plan } from "./provider.ts"

export type Answer = Extract<Plan, { readonly kind: "answer" }>

/** The longest silence after the first token of an answer, in milliseconds. Then the answer sends `more`. */
export const quiet = 5000

export const more = event("content_block_delta", {
  index: 0,
  delta: { type: "text_delta", text: "and so on " }
})

export const usageOf = ({ usage }: Answer) => ({
  input_tokens: usage.fresh,
  cache_creation_input_tokens: usage.written,
  cache_read_input_tokens: usage.read
})

/** A complete answer. `begin` and `end` replace its first and its last but one event, which hold token counts. */
const template = events("Well.")

export const begin = (plan: Answer, model: string): ReadonlyArray<string> => [
  messageStart(`msg_${plan.index}`, model, usageOf(plan)),
  ...template.slice(1, -3)
]

export const end = (plan: Answer): ReadonlyArray<string> => [
  ...template.slice(-3, -2),
  messageDelta(usageOf(plan), plan.usage.output, "end_turn"),
  ...template.slice(-1)
]
