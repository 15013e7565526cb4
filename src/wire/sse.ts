/**
 * Parses server-sent events from the bytes of an answer.
 *
 * A plain push parser without effects, because it runs for every socket read.
 * After the first problem, the parser produces no more events. SSE allows many
 * notations for an event. The API uses only one notation, which is parsed here. From
 * the first event in another notation on, Effect's parser takes over.
 */
import * as Sse from "effect/encoding/Sse"
import { hasProperty, isNotNullish, isObject, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import type { WireEvent } from "../Message.ts"

/** Why a stream ended early: the API sent an error, or bytes that are not a valid event. */
export type Problem = { readonly error: unknown } | { readonly malformed: string }

/** `push` takes a chunk, or `undefined` at the end of the body, and returns the events that are now complete. */
interface Decoder {
  readonly push: (bytes: Uint8Array | undefined) => ReadonlyArray<WireEvent>
  readonly problem: () => Problem | undefined
  /** Whether `data: [DONE]`, which ends the streams of gateways with OpenAI's API, and a stop reason were read, in any order. */
  readonly isDone: () => boolean
}

/** Makes a decoder for one body. An event may be up to 10 MiB large (Effect's default). */
export const make = (): Decoder => new Decoding()

/** The maximum length of an incomplete event that is buffered here, in characters. Effect's parser reads longer events. */
const longestRest = 65_536

class Decoding implements Decoder {
  // `fatal`, because a replaced character would change the answer.
  readonly utf8 = new TextDecoder("utf-8", { fatal: true })
  events: Array<WireEvent> = []
  found: Problem | undefined
  rest = ""
  hasRead = false
  done = false
  hasStopReason = false
  parser: Sse.Parser | undefined

  problem(): Problem | undefined {
    return this.found
  }

  isDone(): boolean {
    return this.done && this.hasStopReason
  }

  push(bytes: Uint8Array | undefined): ReadonlyArray<WireEvent> {
    this.events = []
    if (this.found !== undefined) return this.events
    if (bytes === undefined) {
      // The last event may lack its blank line. A cut event is dropped: the reader notices that the message has no end.
      this.feed("\n\n")
      if (this.found !== undefined && "malformed" in this.found) this.found = undefined
      return this.events
    }
    const text = Result.try(() => this.utf8.decode(bytes, { stream: true }))
    if (Result.isFailure(text)) this.found = { malformed: "bytes that are not UTF-8" }
    else this.read(text.success)
    return this.events
  }

  /** Parses events in the API's notation, `event: name\ndata: json\n\n`, and passes other events to Effect's parser. */
  read(text: string): void {
    if (this.parser !== undefined || text.includes("\r")) return this.feed(text)
    const all = this.rest === "" ? text : this.rest + text
    let at = 0
    for (let end = all.indexOf("\n\n", at); end !== -1; end = all.indexOf("\n\n", at)) {
      const line = all.indexOf("\n", at)
      if (
        !all.startsWith("event: ", at) || !all.startsWith("data: ", line + 1) || all.indexOf("\n", line + 1) !== end
      ) {
        this.rest = all.slice(at)
        return this.feed("")
      }
      this.take(all.slice(line + 7, end), all, at)
      if (this.found !== undefined) return
      this.hasRead = true
      at = end + 2
    }
    this.rest = at === all.length ? "" : all.slice(at)
    if (this.rest.length > longestRest) this.feed("")
  }

  /** Passes the text, and from now on all further text, to Effect's parser. */
  feed(text: string): void {
    if (this.parser === undefined) {
      this.parser = Sse.makeParser((event) => {
        if (event._tag !== "Retry" && this.found === undefined) this.take(event.data, event.event)
      })
      // Effect's parser removes a byte order mark from its first text. If the body has begun, a line break prevents this.
      if (this.hasRead) this.parser.feed("\n")
      text = this.rest + text
    }
    if (this.parser.feed(text) !== undefined) this.found = { malformed: "an event larger than 10 MiB" }
  }

  /** Parses the data of an event. `name` is its name or, if `at` is given, the text in which the event starts at `at`. */
  take(data: string, name: string, at?: number): void {
    const value = Result.getOrUndefined(Result.try((): unknown => JSON.parse(data)))
    const isError = at === undefined ? name === "error" : name.startsWith("event: error\n", at)
    if (isError || isErrorBody(value)) {
      this.found = { error: value ?? data.slice(0, longestWords) }
    } else if (hasType(value)) {
      // A ping only keeps the connection alive. Unknown types pass, because `Draft.add` checks the events.
      if (value.type !== "ping") this.add(value)
    } else if (data.trim() === "[DONE]") {
      this.done = true
    } else {
      const named = at === undefined ? name : name.slice(at + "event: ".length, name.indexOf("\n", at))
      if (isOfMessage.test(named) && isRecord(value)) this.add({ ...value, type: named })
      // The message of the JSON parser is left out, because it quotes the answer.
      else if (mayHoldContent(named, data, value)) {
        this.found = { malformed: "an event that is not a JSON object with a type" }
      }
    }
  }

  add(event: { readonly type: string }): void {
    this.hasStopReason ||= event.type === "message_delta" && hasProperty(event, "delta") &&
      hasProperty(event.delta, "stop_reason") && isString(event.delta.stop_reason)
    this.events.push(event as object as WireEvent)
  }
}

/** An error event that is not JSON is cut to this number of characters, because a proxy may send a whole page. */
const longestWords = 200

const hasType = (value: unknown): value is { readonly type: string } =>
  hasProperty(value, "type") && isString(value.type)

/** Gateways send an error in any of these forms, and some send a list of them. */
export const isErrorBody = (value: unknown): boolean => {
  const body: unknown = Array.isArray(value) ? value[0] : value
  return hasType(body)
    ? body.type === "error" || body.type.endsWith("_error")
    : hasProperty(body, "error") && isNotNullish(body.error)
}

const isOfMessage = /^(message|content_block)_/

const hasAnyType = (value: unknown): boolean => hasProperty(value, "type") && isNotNullish(value.type)

const isRecord = (value: unknown): value is object => isObject(value) && !Array.isArray(value)

/** Whether an event without a type may be a part of the answer. Other events without a type are ignored. */
const mayHoldContent = (name: string, data: string, value: unknown): boolean => {
  if (name === "ping" || data.trim() === "") return false
  if (isOfMessage.test(name)) return true
  if (Array.isArray(value)) return value.some(hasAnyType)
  return value === undefined ? data.trimStart().startsWith("{") : hasAnyType(value)
}
