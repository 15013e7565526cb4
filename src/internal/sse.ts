/**
 * The events in the bytes of an answer.
 *
 * A plain push parser over Effect's own, because it runs for every socket read:
 * bytes in, events out, and at most one problem, after which nothing comes.
 */
import * as Sse from "effect/encoding/Sse"
import { hasProperty, isString } from "effect/Predicate"
import * as Result from "effect/Result"
import type { WireEvent } from "../Message.ts"

/** What ends a stream before its time: an error the API sent, or something that is no event. */
export type Problem = { readonly error: unknown } | { readonly malformed: string }

/** Takes what was read, or nothing at the end of the body, and gives the events it completed. */
export interface Decoder {
  readonly push: (bytes: Uint8Array | undefined) => ReadonlyArray<WireEvent>
  readonly problem: () => Problem | undefined
}

/** Reads one body. An event may be as large as 10 MiB (Effect's default). */
export const make = (): Decoder => {
  // `fatal`: an answer with characters replaced would be a wrong answer.
  const utf8 = new TextDecoder("utf-8", { fatal: true })
  let events: Array<WireEvent> = []
  let problem: Problem | undefined

  const parser = Sse.makeParser((event) => {
    if (event._tag === "Retry" || problem !== undefined) return
    const parsed: Result.Result<unknown, unknown> = Result.try(() => JSON.parse(event.data))
    if (Result.isSuccess(parsed) && hasProperty(parsed.success, "type") && isString(parsed.success.type)) {
      if (parsed.success.type === "error") problem = { error: parsed.success }
      // A ping says only that the wire is alive. The shape of the others is checked where it is used: new kinds pass.
      else if (parsed.success.type !== "ping") events.push(parsed.success as object as WireEvent)
    } else {
      // Not the parser's words: they quote the answer.
      problem = {
        malformed: event.event === "error"
          ? "an error event without a JSON body"
          : "an event that is not a JSON object with a type"
      }
    }
  })

  return {
    problem: () => problem,
    push: (bytes) => {
      events = []
      if (problem !== undefined) return events
      if (bytes === undefined) {
        // A last event may lack its blank line. If it is cut, it is no JSON, and the answer has no end.
        parser.feed("\n\n")
        if (problem !== undefined && "malformed" in problem) problem = undefined
        return events
      }
      const text = Result.try(() => utf8.decode(bytes, { stream: true }))
      if (Result.isFailure(text)) problem = { malformed: "bytes that are not UTF-8" }
      else if (parser.feed(text.success) !== undefined) problem = { malformed: "an event larger than 10 MiB" }
      return events
    }
  }
}
