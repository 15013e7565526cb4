/**
 * Builds the message of an answer from its events.
 *
 * A draft is mutable and uses no effects, because every event changes it. It accepts
 * unknown events and fields, and rejects events that contradict the protocol,
 * because misplaced text is worse than an error.
 */
import type { Message as SdkMessage, RawMessageDeltaEvent } from "@anthropic-ai/sdk/resources/messages"
import { isNullish, isNumber, isObject, isString } from "effect/Predicate"
import type { WrittenUse } from "../ClaudeError.ts"
import type { WireEvent } from "../Message.ts"
import * as Block from "./block.ts"
import { isCounted, merged, repeated } from "./messageHead.ts"

export interface Draft {
  /** Adds an event. Returns the problem if the event is invalid, or contradicts the events before it. */
  readonly add: (event: WireEvent) => string | undefined
  /** Whether a content block has started. */
  readonly begun: () => boolean
  /** The work that may delay the next event. `undefined` in text, before the first block, and after a `message_delta`. */
  readonly quietWork: () => "thinking" | "tool" | undefined
  /** Whether a valid `message_stop` has arrived. */
  readonly ended: () => boolean
  /** The message without its content. */
  readonly head: () => SdkMessage
  /** Whether the usage of `head` counts the prompt and the final output. */
  readonly isCounted: () => boolean
  /** The tool uses whose input is not readable (`Block.isReadable`). Empty if the answer was cut, refused or paused. */
  readonly unreadable: () => ReadonlyArray<WrittenUse>
  /** The type of the first delta that was ignored as unknown, with the type of its block. */
  readonly unknown: () => string | undefined
  /**
   * The message as the API would send it without streaming. Omits blocks whose content may be incomplete, except text and
   * thinking that stopped early.
   */
  readonly message: () => SdkMessage
  /** For each block of `message`, the JSON text of its input, or an empty text if no input came in deltas. */
  readonly inputs: () => ReadonlyArray<string>
}

export const make = (model: string): Draft => new Drafting(model)

/** A class, because that is cheaper than closures and every attempt makes one. */
class Drafting implements Draft {
  readonly model: string
  start: SdkMessage | undefined
  changes: Array<RawMessageDeltaEvent> = empty
  /** `start` and `changes` merged, cached until the next change. */
  known: SdkMessage | undefined
  blocks: Array<Block.Block> = empty
  hasBegun = false
  hasEnded = false

  constructor(model: string) {
    this.model = model
  }

  begun(): boolean {
    return this.hasBegun
  }

  quietWork(): "thinking" | "tool" | undefined {
    const last = this.blocks.at(-1)
    if (last === undefined) return undefined
    // Between two blocks, the API may run a tool. After a message_delta, no block follows.
    if (last.stopped) return this.changes.length === 0 ? "tool" : undefined
    if (last.kind === "text") return undefined
    // A block of another kind, such as a compaction, may arrive in one piece after a pause, as thinking does.
    return last.kind === "input" ? "tool" : "thinking"
  }

  ended(): boolean {
    return this.hasEnded
  }

  head(): SdkMessage {
    return this.known ??= merged(this.model, this.start, this.changes)
  }

  isCounted(): boolean {
    return isCounted(this.start, this.changes, this.hasBegun)
  }

  unreadable(): ReadonlyArray<WrittenUse> {
    return this.blocks.every(Block.isReadable) || stopsAnywhere(this.head())
      ? empty
      : this.blocks.filter((block) => !Block.isReadable(block)).map(Block.written)
  }

  unknown(): string | undefined {
    const block = this.blocks.find(({ unknown }) => unknown !== undefined)
    return block && `${block.unknown} in a block of type ${block.start.type}`
  }

  message(): SdkMessage {
    return { ...this.head(), content: this.includedBlocks().map(Block.finish) }
  }

  inputs(): ReadonlyArray<string> {
    return this.includedBlocks().map(({ json }) => json)
  }

  includedBlocks(): ReadonlyArray<Block.Block> {
    // In an answer that was cut, a last tool call without input deltas is left out, because the cut may have come before
    // its deltas.
    const last = cutShort(this.head()) ? this.blocks.at(-1) : undefined
    const isKept = (block: Block.Block) =>
      Block.isWhole(block) && !(block === last && Block.isTool(block) && block.json === "")
    return this.blocks.every(isKept) ? this.blocks : this.blocks.filter(isKept)
  }

  add(event: WireEvent): string | undefined {
    switch (event.type) {
      case "content_block_delta": {
        const block = this.open(event.index)
        if (block === undefined) return `a delta for a block that is not open${at(event.index)}`
        if (!isObject(event.delta) || !isString(event.delta.type)) {
          return "a content_block_delta without a delta"
        }
        this.hasBegun = true
        return Block.append(block, event.delta)
      }
      case "message_start": {
        if (!isObject(event.message) || !("usage" in event.message)) {
          return "a message_start without a message"
        }
        if (this.start !== undefined) {
          // A proxy may repeat the message_start. If its id differs or is missing, it may belong to another answer.
          if (!isString(this.start.id) || this.start.id === "" || event.message.id !== this.start.id) {
            return "a second message_start"
          }
          this.start = repeated(this.start, event.message)
        } else {
          this.start = event.message
        }
        this.known = undefined
        return undefined
      }
      case "content_block_start": {
        const { blocks } = this
        if (this.start === undefined) return "content before message_start"
        if (event.index !== blocks.length) return `a content_block_start out of order${at(event.index)}`
        if (!Block.isBlock(event.content_block)) return "a content_block_start without a block"
        this.hasBegun = true
        this.blocks = appended(blocks, Block.make(event.content_block))
        return undefined
      }
      case "content_block_stop": {
        const block = this.open(event.index)
        if (block === undefined) return `a content_block_stop for a block that is not open${at(event.index)}`
        block.stopped = true
        return undefined
      }
      case "message_delta": {
        if (this.start === undefined) return "a message_delta before message_start"
        if (!isObject(event.delta ?? {})) return "a message_delta whose delta is not an object"
        this.changes = appended(this.changes, event)
        this.known = undefined
        return undefined
      }
      case "message_stop": {
        if (!isString(this.head().stop_reason)) return "a message_stop without a stop reason"
        if (this.blocks.some((block) => !block.stopped)) return "a message_stop inside a block"
        this.hasEnded = true
        return undefined
      }
      default:
        return undefined
    }
  }

  open(index: unknown): Block.Block | undefined {
    const block = isNumber(index) ? this.blocks[index] : undefined
    return block?.stopped === false ? block : undefined
  }
}

/**
 * Whether the event can be dropped without losing content. Some gateways repeat the end of a block, or send deltas without
 * content between blocks. The SDK ignores both.
 */
export const isEmpty = (event: WireEvent): boolean => {
  switch (event.type) {
    case "message_start":
      return isNullish(event.message)
    case "content_block_start":
      return isNullish(event.content_block)
    case "content_block_delta":
      return isNullish(event.delta) || isObject(event.delta) &&
          Object.entries(event.delta).every(([key, value]) => key === "type" || isNullish(value) || value === "")
    default:
      return event.type === "content_block_stop"
  }
}

/** Shared by all drafts, so never mutated. */
const empty: Array<never> = []

/** Appends an item. An array literal takes a tenth of the memory that `push` reserves, and most answers have one block. */
const appended = <A>(list: Array<A>, item: A): Array<A> => {
  if (list.length === 0) return [item]
  list.push(item)
  return list
}

const at = (index: unknown): string => isNumber(index) ? ` (${index})` : ""

/** Whether the answer may have stopped inside the input of a tool. */
const stopsAnywhere = (message: SdkMessage): boolean => cutShort(message) || message.stop_reason === "pause_turn"

/** Whether the answer was cut, so that its last block may be incomplete. */
const cutShort = ({ stop_reason }: SdkMessage): boolean =>
  stop_reason === "max_tokens" || stop_reason === "model_context_window_exceeded" || stop_reason === "refusal"

export const textOf = (content: SdkMessage["content"]): string => {
  let text = ""
  for (const block of content) if (block.type === "text") text += block.text
  return text
}
