/**
 * Plays the scripts of `FakeClaude` over a real socket, for any client.
 *
 * The waits of a script use the clock from the context in which the layer is built. Build the layer on the live clock:
 * under `TestClock`, a wait ends only when the test advances the clock. The server refuses requests that the real API
 * would refuse as malformed, with the same status and without using up a turn: see `refusal.ts`.
 */
import type { ModelInfo } from "@anthropic-ai/sdk/resources/models"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import { isObject } from "effect/Predicate"
import * as Result from "effect/Result"
import * as Http from "node:http"
import type { AddressInfo, Socket } from "node:net"
import * as Faults from "./Faults.ts"
import { listed } from "./modelList.ts"
import { messages, refusal } from "./refusal.ts"
import { withId } from "./requestId.ts"

// -----------------------------------------------------------------------------
// Service
// -----------------------------------------------------------------------------

/** A request to the server. Times are in milliseconds since the epoch. */
export interface Received {
  readonly method: string
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: string
  /** The parsed body; `{}` if the body is not a JSON object. */
  readonly params: Readonly<Record<string, unknown>>
  readonly at: number
  /** The number of the connection, from 1: requests with the same number used the same connection. */
  readonly connection: number
  /** Whether the server refused the request as malformed, without playing a turn. */
  readonly refused: boolean
  /** When the response ended or the client disconnected; undefined until then. */
  closedAt: number | undefined
  /** Whether the response was sent to its end. */
  complete: boolean
}

/** A server that plays a script. */
export class FakeServer extends Context.Service<FakeServer, {
  readonly url: string
  readonly port: number
  /** The requests so far, oldest first, with those that the server refused. */
  readonly received: Effect.Effect<ReadonlyArray<Received>>
  readonly openSockets: Effect.Effect<number>
}>()("resilient-claude/testing/FakeServer") {}

/** The error of `layer` if the server cannot start. `code`: of the system, or a message if the system gave no code. */
export class CannotListen extends Data.TaggedError("CannotListen")<{ readonly port: number; readonly code: string }> {
  override get message() {
    return this.code === "EADDRINUSE"
      ? `Port ${this.port} is in use: choose another, or 0 for any free port.`
      : /^(EADDRNOTAVAIL|ENOTFOUND|EAI_AGAIN)$/.test(this.code)
      ? `The host is not an address of this machine (${this.code}): choose another, or leave it out for 127.0.0.1.`
      : `The server cannot listen on port ${this.port} (${this.code}): choose another, or 0 for any free port.`
  }
}

export interface Options {
  /** Default: 0, any free port. */
  readonly port?: number | undefined
  /** Default: 127.0.0.1. */
  readonly host?: string | undefined
  /** The response to `GET /v1/models`. Default: the built-in catalogue. */
  readonly models?: ReadonlyArray<ModelInfo> | undefined
  /**
   * Called for each request before the response. `turn` is the name of the response: that of the scripted turn,
   * `refused: ` with the reason if the server refuses the request, `the models`, or `a token count`.
   */
  readonly onRequest?: ((request: Received, turn: string) => Effect.Effect<void>) | undefined
}

/** Starts a server that plays a script, and stops it when the scope of the layer closes. */
export const layer = (
  playable: Faults.Playable,
  options: Options = {}
): Layer.Layer<FakeServer, CannotListen> => Layer.effect(FakeServer, make(playable, options))

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

const make = Effect.fnUntraced(function*(playable: Faults.Playable, options: Options) {
  const script = Faults.toScript(playable)
  const clock = yield* Clock.Clock
  const start = clock.currentTimeMillisUnsafe()
  const run = yield* FiberSet.makeRuntime()
  const received: Array<Received> = []
  const sockets = new Map<Socket, number>()
  let connections = 0
  let turns = 0
  let requests = 0

  const handle = (request: Http.IncomingMessage, response: Http.ServerResponse, body: string) => {
    const nth = requests++
    return Effect.gen(function*() {
      const value = parse(body)
      const path = (request.url ?? "/").split("?")[0] ?? "/"
      const method = request.method ?? "GET"
      const lists = method === "GET" && path === "/v1/models"
      const problem = lists ? undefined : refusal({ method, path, headers: request.headers, body, value })
      const entry: Received = {
        method,
        path,
        headers: request.headers,
        body,
        params: isObject(value) ? { ...value } : {},
        at: clock.currentTimeMillisUnsafe(),
        connection: sockets.get(request.socket) ?? 0,
        refused: problem !== undefined,
        closedAt: undefined,
        complete: false
      }
      received.push(entry)
      response.on("close", () => {
        entry.closedAt = clock.currentTimeMillisUnsafe()
        entry.complete = response.writableFinished
      })
      const index = turns
      if (problem === undefined && path === messages) turns++
      const turn = problem ?? (path === messages
        ? yield* script({ index, elapsed: entry.at - start, params: entry.params })
        : lists
        ? Faults.respond(200, JSON.stringify({ data: options.models ?? listed, has_more: false }), {
          name: "the models"
        })
        : Faults.respond(200, JSON.stringify({ input_tokens: Math.ceil(body.length / 4) }), { name: "a token count" }))
      yield* options.onRequest?.(entry, turn.name) ?? Effect.void
      yield* play(turn, nth, response)
    }).pipe(
      // Answer even if the script throws: silence would look like a scripted fault.
      Effect.catchDefect((defect) =>
        play(Faults.fails(500, "api_error", `the fault script failed: ${String(defect)}`), nth, response)
      )
    )
  }

  const server = Http.createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk) => chunks.push(chunk))
    request.on("end", () => {
      const fiber = run(handle(request, response, Buffer.concat(chunks).toString("utf8")))
      response.on("close", () => fiber.interruptUnsafe())
    })
  })
  // If the server closed idle connections, the result of a test of connection reuse would depend on timing.
  server.keepAliveTimeout = 600_000
  server.requestTimeout = 0
  server.on("connection", (socket) => {
    sockets.set(socket, ++connections)
    socket.on("close", () => sockets.delete(socket))
    socket.on("error", () => {})
  })

  const { host = "127.0.0.1", port = 0 } = options
  yield* Effect.acquireRelease(
    Effect.callback<void, CannotListen>((resume) => {
      server.once(
        "error",
        (error: NodeJS.ErrnoException) =>
          resume(Effect.fail(new CannotListen({ port, code: error.code ?? error.message })))
      )
      server.listen(port, host, () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        for (const socket of sockets.keys()) socket.destroy()
      })
  )
  const address = server.address() as AddressInfo // Safe cast: the server listens on a port.
  return FakeServer.of({
    url: `http://${host.includes(":") ? `[${host}]` : host}:${address.port}`,
    port: address.port,
    received: Effect.sync(() => [...received]),
    openSockets: Effect.sync(() => sockets.size)
  })
})

const parse = (body: string): unknown => Result.getOrUndefined(Result.try((): unknown => JSON.parse(body)))

/** The wait before the server breaks a connection. Without it, a reset could discard bytes that the client has not read. */
const beforeEnd = Effect.sleep("20 millis")

/** `nth` counts all requests from 0, also refused ones, so that every response has a different request id. */
const play = Effect.fnUntraced(function*(turn: Faults.Turn, nth: number, response: Http.ServerResponse) {
  const { after, body, end, head } = turn
  if (after > 0) yield* Effect.sleep(after)
  if (head !== undefined && "raw" in head) {
    response.socket?.write(head.raw)
  } else if (head !== undefined) {
    response.writeHead(head.status, head.api ? { ...Faults.apiHeaders(nth), ...head.headers } : head.headers)
    response.flushHeaders()
    for (const piece of body) yield* send({ ...piece, bytes: withId(piece.bytes, nth) }, response)
  }
  if (typeof end === "object") return yield* Effect.forever(send(end.forever, response))
  switch (end) {
    case "end":
      return void response.end()
    case "reset":
      yield* beforeEnd
      return void response.socket?.resetAndDestroy()
    case "cut":
      yield* beforeEnd
      return void response.socket?.destroy()
    case "silence":
      return yield* Effect.never
  }
})

const send = ({ after, bytes }: Faults.Piece, response: Http.ServerResponse): Effect.Effect<void> =>
  Effect.andThen(
    after > 0 ? Effect.sleep(after) : Effect.void,
    Effect.callback((resume) => {
      if (response.write(bytes)) return resume(Effect.void)
      response.once("drain", () => resume(Effect.void))
    })
  )
