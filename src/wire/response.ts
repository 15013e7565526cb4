/** Turns a response into a connection. Real and fake wires share this code. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as ClaudeError from "../ClaudeError.ts"
import type { Connection, WireItem } from "../Message.ts"
import { classify } from "./classify.ts"
import { type HeaderOf, rateLimitsOf } from "./headers.ts"
import { saidBy, titleOf } from "./readFailure.ts"
import * as Sse from "./sse.ts"

/** A response whose headers have arrived. */
export interface Response {
  readonly status: number
  readonly header: HeaderOf
  /** Reads the next bytes of the body: `undefined` at its end. */
  readonly bytes: Effect.Effect<Uint8Array | undefined, ClaudeError.ClaudeError>
  /** Whether a message with a stop reason is complete without `message_stop`, at the end of the body or at `[DONE]`. */
  readonly mayEndEarly?: boolean
  /** Called after `message_stop`, even if the body has not ended. */
  readonly onWhole?: () => void
  readonly model: string
  /** When the headers arrived, in milliseconds since the epoch. */
  readonly now: number
}

/** The body decides whether the response is an event stream. The content type is used only if the body has no events. */
export const connect = (
  { bytes, header, mayEndEarly, model, now, onWhole, status }: Response
): Effect.Effect<Connection> => {
  const requestId = header("request-id")
  const odd = (detail: string) => new ClaudeError.UnexpectedResponse({ model, requestId, status, detail })
  const type = header("content-type")
  const isOtherType = type !== undefined && type.trim() !== "" && !type.toLowerCase().includes("event-stream")

  const decoder = Sse.make()
  let over = false
  /** Whether the body begins like an event stream. */
  let isStream = false
  let hasEvents = false

  const problem = (found: Sse.Problem): ClaudeError.ClaudeError =>
    "malformed" in found
      ? odd(found.malformed)
      : classify({ error: found.error }, { model, requestId, now })

  /** Builds the error for a body that is not an event stream, from the body if it is an error in JSON. */
  const other = (body: string): ClaudeError.ClaudeError => {
    const said = Result.getOrUndefined(Result.try((): unknown => JSON.parse(body)))
    const { status: told, words = titleOf(body) } = saidBy(said)
    if (Sse.isErrorBody(said) || told !== undefined) {
      return classify({ error: said, status, headers: { get: header } }, { model, requestId, now })
    }
    const what = isOtherType
      ? `its content type is ${type}, not an event stream: look for a proxy or a gateway in between`
      : "it is not an event stream: look for a proxy or a gateway in between"
    return odd(words === undefined ? what : `${words.slice(0, 200)} (${what})`)
  }

  const read: Connection["read"] = Effect.suspend(() => {
    const found = decoder.problem()
    if (found !== undefined) return Effect.fail(problem(found))
    return over ? Cause.done() : next
  })
  const next = Effect.flatMap(bytes, (chunk): Connection["read"] => {
    if (!isStream && chunk !== undefined) {
      const start = firstByte(chunk)
      if (start !== undefined && notOfStream.has(start)) {
        return Effect.flatMap(bodyOf(chunk, bytes), (body) => Effect.fail(other(body)))
      }
      isStream = start !== undefined
    }
    const events = decoder.push(chunk)
    hasEvents ||= events.length > 0
    if (chunk === undefined && isOtherType && !hasEvents && decoder.problem() === undefined) {
      return Effect.fail(other(""))
    }
    over = chunk === undefined || mayEndEarly === true && decoder.isDone()
    if (events.at(-1)?.type === "message_stop") onWhole?.()
    const item: WireItem = { bytes: chunk?.length ?? 0, events }
    return item.bytes > 0 || events.length > 0 ? Effect.succeed(item) : read
  })
  return Effect.succeed({ requestId, mayEndEarly: mayEndEarly === true, rateLimits: rateLimitsOf(header), read })
}

/** The first byte that is not white space or part of a byte order mark. */
const firstByte = (chunk: Uint8Array): number | undefined => chunk.find((byte) => byte > 0x20 && !mark.has(byte))

const mark: ReadonlySet<number> = new Set([0xef, 0xbb, 0xbf])

/** The first bytes of JSON and HTML: `{`, `[`, `"`, `<`. No field of an event stream begins with one of them. */
const notOfStream: ReadonlySet<number> = new Set([0x7b, 0x5b, 0x22, 0x3c])

/**
 * After its first chunk, a body that begins like JSON or HTML is read until it ends, until `time` milliseconds have
 * passed, or until a further chunk brings the text to at least `length` characters.
 */
const longest = { length: 65_536, time: 1000 }

const bodyOf = (first: Uint8Array, bytes: Response["bytes"]): Effect.Effect<string> => {
  const decoder = new TextDecoder()
  let text = decoder.decode(first, { stream: true })
  const rest: Effect.Effect<void, ClaudeError.ClaudeError> = Effect.flatMap(bytes, (chunk) => {
    if (chunk === undefined) return Effect.void
    text += decoder.decode(chunk, { stream: true })
    return text.length < longest.length ? rest : Effect.void
  })
  // If the connection breaks or the time is over, the text that has arrived is enough.
  return Effect.map(Effect.ignore(Effect.timeoutOption(rest, longest.time)), () => text)
}
