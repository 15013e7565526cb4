/**
 * An answer under construction.
 *
 * Mutable and without effects, because it is touched by every event. It takes
 * what is new in the API as it comes, and refuses what contradicts the
 * protocol: text that is put in the wrong place is worse than no text.
 */
import type { Message as SdkMessage, RawMessageDeltaEvent } from "@anthropic-ai/sdk/resources/messages"
import { isNumber, isObject, isString } from "effect/Predicate"
import type { WireEvent } from "../Message.ts"
import * as Block from "./block.ts"
import { merged } from "./messageHead.ts"

/** An answer so far. */
export interface Draft {
  /** Takes one event; gives what is wrong with it, if it contradicts what came before. */
  readonly add: (event: WireEvent) => string | undefined
  /** Whether the first content is here. */
  readonly begun: () => boolean
  /** Whether `message_stop` is here. */
  readonly ended: () => boolean
  /** The message without its content. */
  readonly head: () => SdkMessage
  /** What is wrong with the message as a whole, once it has ended. */
  readonly flaw: () => string | undefined
  /** The message as the API would have sent it in one piece. A tool whose input is cut is not in it. */
  readonly message: () => SdkMessage
}

/** Starts an answer from `model`. */
export const make = (model: string): Draft => new Drafting(model)

/** A class, because there is one for every attempt. */
class Drafting implements Draft {
  readonly model: string
  /** What `message_start` said, and what was said after it, in order. */
  start: SdkMessage | undefined
  changes: Array<RawMessageDeltaEvent> = empty
  /** All of that, put together when it is asked for. */
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

  ended(): boolean {
    return this.hasEnded
  }

  head(): SdkMessage {
    return this.known ??= merged(this.model, this.start, this.changes)
  }

  flaw(): string | undefined {
    return this.blocks.every(Block.isReadable) || stopsAnywhere(this.head())
      ? undefined
      : "the input of a tool is not JSON"
  }

  message(): SdkMessage {
    const message = this.head()
    // Cut at a limit, the last tool may have no input at all yet.
    const last = cutShort(message) ? this.blocks.at(-1) : undefined
    const isKept = (block: Block.Block) =>
      Block.isWhole(block) && !(block === last && Block.isTool(block) && block.json === "")
    const blocks = this.blocks.every(isKept) ? this.blocks : this.blocks.filter(isKept)
    return { ...message, content: blocks.map(Block.finish) }
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
        if (this.start !== undefined) return "a second message_start"
        if (!isObject(event.message) || !("usage" in event.message)) {
          return "a message_start without a message"
        }
        this.start = event.message
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
        if (this.start === undefined || !isObject(event.delta) || !("stop_reason" in event.delta)) {
          return "a message_delta without a stop reason, or before message_start"
        }
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

  /** The block, if it is there and something may be added to it. */
  open(index: unknown): Block.Block | undefined {
    const block = isNumber(index) ? this.blocks[index] : undefined
    return block?.stopped === false ? block : undefined
  }
}

/** Nothing yet: it is not added to. */
const empty: Array<never> = []

/** Most answers have one block: an array that is made for one takes a tenth of what `push` makes room for. */
const appended = <A>(list: Array<A>, item: A): Array<A> => {
  if (list.length === 0) return [item]
  list.push(item)
  return list
}

/** Where something is, if that is a number. */
const at = (index: unknown): string => isNumber(index) ? ` (${index})` : ""

/** Whether the answer stopped wherever it was: no tool of it may be whole. */
const stopsAnywhere = (message: SdkMessage): boolean => cutShort(message) || message.stop_reason === "pause_turn"

/** Whether the answer was cut: what came last may be half of it. */
const cutShort = ({ stop_reason }: SdkMessage): boolean =>
  stop_reason === "max_tokens" || stop_reason === "model_context_window_exceeded" || stop_reason === "refusal"

/** The text blocks, joined. */
export const textOf = (content: SdkMessage["content"]): string => {
  let text = ""
  for (const block of content) if (block.type === "text") text += block.text
  return text
}
