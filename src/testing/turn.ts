import * as Duration from "effect/Duration"
import { requestId } from "./requestId.ts"

/** A chunk of a body. */
export interface Piece {
  /** The wait before this chunk, in milliseconds. */
  readonly after: number
  readonly bytes: string | Uint8Array
}

/**
 * How the response ends: properly (`end`), with a reset (`reset`), with the connection closed too early (`cut`), with
 * silence on an open socket (`silence`), or with the same chunk repeated forever.
 */
export type End = "end" | "reset" | "cut" | "silence" | { readonly forever: Piece }

export interface Head {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** Whether to add the headers of every API response (`request-id`, rate limits …). */
  readonly api: boolean
}

/**
 * The response to one request. Without a `head`, only `end` is played. A `raw` head is sent as bytes that are not HTTP, and
 * no `body` follows it.
 */
export interface Turn {
  readonly name: string
  /** The wait before the first byte, in milliseconds. */
  readonly after: number
  readonly head: Head | { readonly raw: string } | undefined
  readonly body: ReadonlyArray<Piece>
  readonly end: End
  /**
   * Whether `message_start` names the model of the request instead of the default model. Has no effect on a body of
   * bytes, such as the body that `drip` makes.
   */
  readonly anyModel?: boolean | undefined
}

export const named = (name: string, turn: Turn): Turn => ({ ...turn, name })

/** Adds `after` to the wait before the first byte. */
export const delayed = (turn: Turn, after: Duration.Input): Turn => ({
  ...turn,
  after: turn.after + Duration.toMillis(after)
})

/** Splits the body into chunks of `size` bytes and waits `every` before each. A cut may be inside a line or a character. */
export const drip = (turn: Turn, size: number, every: Duration.Input = 0): Turn => {
  const body = bytesOf(turn.body)
  const count = Math.ceil(body.length / size)
  return {
    ...turn,
    body: Array.from(
      { length: count },
      (_, i) => ({ after: Duration.toMillis(every), bytes: body.slice(i * size, (i + 1) * size) })
    )
  }
}

export const bytesOf = (body: ReadonlyArray<Piece>): Uint8Array => {
  const encoder = new TextEncoder()
  const parts = body.map(({ bytes }) => typeof bytes === "string" ? encoder.encode(bytes) : bytes)
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  parts.reduce((at, part) => (all.set(part, at), at + part.length), 0)
  return all
}

/** The headers that the API adds to every response. Of each rate limit, one request or token is used. */
export const apiHeaders = (index: number): Readonly<Record<string, string>> => ({
  "request-id": requestId(index),
  "anthropic-organization-id": "5a2f0c1e-7d34-4b8a-9f61-2c0de81b7a90",
  "anthropic-workspace-id": "wrkspc_01FakeWs8h2kPq",
  ...bucket("requests", 4000),
  ...bucket("input-tokens", 2_000_000),
  ...bucket("output-tokens", 400_000),
  ...bucket("tokens", 2_400_000),
  server: "cloudflare",
  "cf-ray": "8f00fake0a1b2c3d-AMS",
  via: "1.1 google"
})

const bucket = (name: string, limit: number) => ({
  [`anthropic-ratelimit-${name}-limit`]: String(limit),
  [`anthropic-ratelimit-${name}-remaining`]: String(limit - 1),
  [`anthropic-ratelimit-${name}-reset`]: "2026-11-22T18:40:00Z"
})
