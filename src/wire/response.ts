/** From a response to a connection: the checks and the reading that every wire shares, real or fake. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as ClaudeError from "../ClaudeError.ts"
import type { Connection, WireItem } from "../Message.ts"
import { classify } from "./classify.ts"
import { type HeaderOf, rateLimitsOf } from "./headers.ts"
import * as Sse from "./sse.ts"

/** A response of which the headers are here. */
export interface Response {
  readonly status: number
  readonly header: HeaderOf
  /** The next bytes of the body, or nothing at its end. */
  readonly bytes: Effect.Effect<Uint8Array | undefined, ClaudeError.ClaudeError>
  /** Whether the message may end with its stop reason. */
  readonly mayEndEarly?: boolean
  /** Told when the message is complete, whatever the body does after it. */
  readonly onWhole?: () => void
  readonly model: string
  /** When the headers came, in milliseconds since the epoch. */
  readonly now: number
}

/** Reads the events of a success; fails at once if it cannot be a message. */
export const connect = (
  { bytes, header, mayEndEarly, model, now, onWhole, status }: Response
): Effect.Effect<Connection, ClaudeError.UnexpectedResponse> => {
  const requestId = header("request-id")
  const odd = (detail: string) => new ClaudeError.UnexpectedResponse({ model, requestId, status, detail })
  const type = header("content-type")
  // A gateway may forget to say what it sends; one that says something else means it.
  if (type !== undefined && !type.toLowerCase().includes("event-stream")) {
    return Effect.fail(odd(`it is ${type}, not an event stream: look for a proxy or a gateway in between`))
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
