/**
 * Parses server-sent events from the bytes of an answer.
 *
 * A plain push parser without effects, because it runs for every socket read.
 * After the first problem it produces no more events. SSE allows many notations
 * for an event, and the API uses only one of them, which is parsed here. From the
 * first event in another notation on, Effect's parser takes over.
 */
import * as Sse from "effect/encoding/Sse"
import { hasProperty, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import type { WireEvent } from "../Message.ts"

/** Why a stream ended early: the API sent an error, or bytes that are not a valid event. */
export type Problem = { readonly error: unknown } | { readonly malformed: string }

/** `push` takes a chunk, or `undefined` at the end of the body, and returns the events that are now complete. */
interface Decoder {
  readonly push: (bytes: Uint8Array | undefined) => ReadonlyArray<WireEvent>
  readonly problem: () => Problem | undefined
}

/** Makes a decoder for one body. An event may be up to 10 MiB large (Effect's default). */
export const make = (): Decoder => new Decoding()

/** The maximum length of an incomplete event in the API's notation. A longer one goes to Effect's parser, which has a limit. */
const longestRest = 65_536

class Decoding implements Decoder {
  // `fatal`, because a replaced character would change the answer.
  readonly utf8 = new TextDecoder("utf-8", { fatal: true })
  events: Array<WireEvent> = []
  found: Problem | undefined
  /** The beginning of an incomplete event. */
  rest = ""
  hasRead = false
  parser: Sse.Parser | undefined

  problem(): Problem | undefined {
    return this.found
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

  /** Parses events in the API's notation, `event: name\ndata: json\n\n`, and passes others to Effect's parser. */
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
      // Effect's parser removes a byte order mark from its first text, which is not the start of the body here.
      if (this.hasRead) this.parser.feed("\n")
      text = this.rest + text
    }
    if (this.parser.feed(text) !== undefined) this.found = { malformed: "an event larger than 10 MiB" }
  }

  /** Takes the data of an event. With `at`, `name` is the whole text, and the event starts there. */
  take(data: string, name: string, at?: number): void {
    const parsed: Result.Result<unknown, unknown> = Result.try(() => JSON.parse(data))
    if (Result.isSuccess(parsed) && hasProperty(parsed.success, "type") && isString(parsed.success.type)) {
      if (parsed.success.type === "error") this.found = { error: parsed.success }
      // A ping only keeps the connection alive. The reader of the message checks the other events, so unknown types pass.
      else if (parsed.success.type !== "ping") this.events.push(parsed.success as object as WireEvent)
    } else {
      // The parser's message is left out, because it quotes the answer.
      const isError = at === undefined ? name === "error" : name.startsWith("event: error\n", at)
      this.found = {
        malformed: isError
          ? "an error event without a JSON body"
          : "an event that is not a JSON object with a type"
      }
    }
  }
}
