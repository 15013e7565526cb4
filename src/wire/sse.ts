/**
 * The events in the bytes of an answer.
 *
 * A plain push parser, because it runs for every socket read: bytes in, events
 * out, and at most one problem, after which nothing comes. The API always writes
 * the same of the many forms of an event; that form is read here, and from the
 * first event in another one on, Effect's parser reads.
 */
import * as Sse from "effect/encoding/Sse"
import { hasProperty, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import type { WireEvent } from "../Message.ts"

/** What ends a stream before its time: an error the API sent, or something that is no event. */
export type Problem = { readonly error: unknown } | { readonly malformed: string }

/** Takes what was read, or nothing at the end of the body, and gives the events it completed. */
interface Decoder {
  readonly push: (bytes: Uint8Array | undefined) => ReadonlyArray<WireEvent>
  readonly problem: () => Problem | undefined
}

/** Reads one body. An event may be as large as 10 MiB (Effect's default). */
export const make = (): Decoder => new Decoding()

/** What is left over of a read, and is longer, is no event of the usual form. */
const longestRest = 65_536

class Decoding implements Decoder {
  // `fatal`: an answer with characters replaced would be a wrong answer.
  readonly utf8 = new TextDecoder("utf-8", { fatal: true })
  events: Array<WireEvent> = []
  found: Problem | undefined
  /** The beginning of an event that is not complete. */
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
      // A last event may lack its blank line. If it is cut, it is no JSON, and the answer has no end.
      this.feed("\n\n")
      if (this.found !== undefined && "malformed" in this.found) this.found = undefined
      return this.events
    }
    const text = Result.try(() => this.utf8.decode(bytes, { stream: true }))
    if (Result.isFailure(text)) this.found = { malformed: "bytes that are not UTF-8" }
    else this.read(text.success)
    return this.events
  }

  /** Takes events of the usual form, `event: name\ndata: json\n\n`, and leaves the others to the parser. */
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

  /** Gives it to the parser, and all that is to come. */
  feed(text: string): void {
    if (this.parser === undefined) {
      this.parser = Sse.makeParser((event) => {
        if (event._tag !== "Retry" && this.found === undefined) this.take(event.data, event.event)
      })
      // It takes the first character that it sees for that of the body, where it may be a mark.
      if (this.hasRead) this.parser.feed("\n")
      text = this.rest + text
    }
    if (this.parser.feed(text) !== undefined) this.found = { malformed: "an event larger than 10 MiB" }
  }

  /** Takes the data of an event, whose name is there. */
  take(data: string, name: string, at?: number): void {
    const parsed: Result.Result<unknown, unknown> = Result.try(() => JSON.parse(data))
    if (Result.isSuccess(parsed) && hasProperty(parsed.success, "type") && isString(parsed.success.type)) {
      if (parsed.success.type === "error") this.found = { error: parsed.success }
      // A ping says only that the wire is alive. The shape of the others is checked where it is used: new kinds pass.
      else if (parsed.success.type !== "ping") this.events.push(parsed.success as object as WireEvent)
    } else {
      // Not the parser's words: they quote the answer.
      const isError = at === undefined ? name === "error" : name.startsWith("event: error\n", at)
      this.found = {
        malformed: isError
          ? "an error event without a JSON body"
          : "an event that is not a JSON object with a type"
      }
    }
  }
}
