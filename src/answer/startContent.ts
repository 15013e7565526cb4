/**
 * Moves text, citations and thinking out of `content_block_start` into deltas.
 *
 * The API starts these blocks empty, but some gateways put the first words or all
 * of a block into its start event. The code that reads or resumes a stream looks for
 * text only in deltas. The input of a tool stays in the start event, because some
 * gateways repeat all of the input in deltas.
 */
import type { ContentBlock, RawContentBlockDelta } from "@anthropic-ai/sdk/resources/messages"
import type { WireEvent } from "../Message.ts"
import * as Block from "./block.ts"

/** Returns the same list if no start event has content, which is the usual case. */
export const toDeltas = (events: ReadonlyArray<WireEvent>): ReadonlyArray<WireEvent> =>
  events.some((event) => deltasOf(event).length > 0) ? events.flatMap(split) : events

const split = (event: WireEvent): ReadonlyArray<WireEvent> => {
  const deltas = deltasOf(event)
  if (event.type !== "content_block_start" || deltas.length === 0) return [event]
  const { content_block, index } = event
  return [
    { ...event, content_block: emptied(content_block) },
    ...deltas.map((delta): WireEvent => ({ type: "content_block_delta", index, delta }))
  ]
}

const emptied = (block: ContentBlock): ContentBlock =>
  block.type === "text"
    ? { ...block, text: "", citations: null }
    : block.type === "thinking"
    ? { ...block, thinking: "", signature: "" }
    : block

const none: ReadonlyArray<never> = []

/** Empty for an invalid start event, which `Draft.add` rejects. */
const deltasOf = (event: WireEvent): ReadonlyArray<RawContentBlockDelta> => {
  if (event.type !== "content_block_start" || !Block.isBlock(event.content_block)) return none
  const block = event.content_block
  const deltas: Array<RawContentBlockDelta> = []
  // The SDK's types require these fields, but a gateway may omit them.
  if (block.type === "text") {
    if (block.text) deltas.push({ type: "text_delta", text: block.text })
    for (const citation of block.citations ?? []) deltas.push({ type: "citations_delta", citation })
  } else if (block.type === "thinking") {
    if (block.thinking) deltas.push({ type: "thinking_delta", thinking: block.thinking })
    if (block.signature) deltas.push({ type: "signature_delta", signature: block.signature })
  }
  return deltas
}
