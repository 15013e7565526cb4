/** Turns a response into a connection. Real and fake wires share these checks and this reading. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as ClaudeError from "../ClaudeError.ts"
import type { Connection, WireItem } from "../Message.ts"
import { classify } from "./classify.ts"
import { type HeaderOf, rateLimitsOf } from "./headers.ts"
import * as Sse from "./sse.ts"

/** A response whose headers have arrived. */
export interface Response {
  readonly status: number
  readonly header: HeaderOf
  /** Reads the next bytes of the body: `undefined` at its end. */
  readonly bytes: Effect.Effect<Uint8Array | undefined, ClaudeError.ClaudeError>
  /** Whether a message with a stop reason is complete without `message_stop`. */
  readonly mayEndEarly?: boolean
  /** Called when the message is complete, even if the body goes on. */
  readonly onWhole?: () => void
  readonly model: string
  /** When the headers arrived, in milliseconds since the epoch. */
  readonly now: number
}

/** Reads the events of a successful response. Fails at once if the response is no event stream. */
export const connect = (
  { bytes, header, mayEndEarly, model, now, onWhole, status }: Response
): Effect.Effect<Connection, ClaudeError.UnexpectedResponse> => {
  const requestId = header("request-id")
  const odd = (detail: string) => new ClaudeError.UnexpectedResponse({ model, requestId, status, detail })
  const type = header("content-type")
  // A gateway may omit the content type, but a content type that is wrong means that the body is not a message.
  if (type !== undefined && !type.toLowerCase().includes("event-stream")) {
    return Effect.fail(
      odd(`its content type is ${type}, not an event stream: look for a proxy or a gateway in between`)
    )
  }

  const decoder = Sse.make()
  let over = false

  const problem = (found: Sse.Problem): ClaudeError.ClaudeError =>
    "malformed" in found
      ? odd(found.malformed)
      : classify({ error: found.error }, { model, requestId, now })

  const read: Connection["read"] = Effect.suspend(() => {
    const found = decoder.problem()
    if (found !== undefined) return Effect.fail(problem(found))
    return over ? Cause.done() : next
  })
  const next = Effect.flatMap(bytes, (chunk): Connection["read"] => {
    const events = decoder.push(chunk)
    over = chunk === undefined
    if (events.at(-1)?.type === "message_stop") onWhole?.()
    const item: WireItem = { bytes: chunk?.length ?? 0, events }
    return item.bytes > 0 || events.length > 0 ? Effect.succeed(item) : read
  })
  return Effect.succeed({ requestId, mayEndEarly: mayEndEarly === true, rateLimits: rateLimitsOf(header), read })
}
