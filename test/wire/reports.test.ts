/**
 * Faults from public bug reports, over real sockets on every wire: undici, the global `fetch`, and the caller's client.
 */
import { Anthropic as Sdk } from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Redacted, Schema, Stream } from "effect"
import { execFile } from "node:child_process"
import * as Http from "node:http"
import type { AddressInfo, Socket } from "node:net"
import * as Net from "node:net"
import * as path from "node:path"
import { promisify } from "node:util"
import * as Zlib from "node:zlib"
import { Agent, EnvHttpProxyAgent, getGlobalDispatcher, ProxyAgent, setGlobalDispatcher } from "undici"
import { Anthropic, CallLog, Claude, ClaudeError, Fallback, Guards, Policy, Retry, Timeout } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { Faults } from "../../src/testing/index.ts"

// -----------------------------------------------------------------------------
// Servers
// -----------------------------------------------------------------------------

type Handler = (request: Http.IncomingMessage, response: Http.ServerResponse, nth: number) => void

/** A server on a free port that counts its requests and closes with the test. */
const serving = (handler: Handler) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly url: string; readonly requests: () => number; readonly close: () => void }>((resume) => {
      let requests = 0
      const server = Http.createServer((request, response) => {
        request.resume()
        request.on("end", () => handler(request, response, requests++))
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        const close = () => {
          server.close()
          server.closeAllConnections()
        }
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, requests: () => requests, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

/** A tunnelling proxy that records the requested addresses. */
const proxying = Effect.acquireRelease(
  Effect.callback<{ readonly url: string; readonly went: Array<string>; readonly close: () => void }>((resume) => {
    const went: Array<string> = []
    const sockets = new Set<Socket>()
    const server = Http.createServer((request, response) => {
      went.push(String(request.url))
      const { host, pathname } = new URL(String(request.url))
      const onward = Http.request(
        {
          host: host.split(":")[0],
          port: host.split(":")[1],
          path: pathname,
          method: request.method,
          headers: request.headers
        },
        (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers)
          answer.pipe(response)
        }
      )
      request.pipe(onward)
    })
    server.on("connect", (request, socket: Socket) => {
      went.push(String(request.url))
      const [host = "", port = ""] = String(request.url).split(":")
      const onward = Net.connect(Number(port), host, () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n")
        onward.pipe(socket)
        socket.pipe(onward)
      })
      for (const end of [socket, onward]) {
        sockets.add(end)
        end.on("error", () => {})
      }
    })
    server.listen(0, "127.0.0.1", () => {
      const close = () => {
        server.close()
        server.closeAllConnections()
        for (const socket of sockets) socket.destroy()
      }
      resume(Effect.succeed({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, went, close }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

const quiet = Layer.provide(CallLog.layerNoop)

const wires: ReadonlyArray<readonly [name: string, layer: (url: string) => Layer.Layer<Claude.Claude>]> = [
  ["NodeAnthropic", (baseUrl) => NodeAnthropic.layer({ apiKey: "sk-ant-test", baseUrl }).pipe(quiet)],
  ["Anthropic", (baseUrl) => Anthropic.layer({ apiKey: "sk-ant-test", baseUrl }).pipe(quiet)],
  ["an SDK client", (baseURL) => Anthropic.layer({ client: new Sdk({ apiKey: "sk-ant-test", baseURL }) }).pipe(quiet)]
]

const paris = Faults.events("Paris")
const otherStart = (paris[0] ?? "").replace(/"id":"[^"]*"/, `"id":"msg_other"`)
const sse = { "content-type": "text/event-stream" }

const refusing = (status: number, body: unknown, headers: Http.OutgoingHttpHeaders = {}): Handler => (_, response) => {
  response.writeHead(status, { "content-type": "application/json", ...headers })
  response.end(typeof body === "string" ? body : JSON.stringify(body))
}

const apiError = (type: string, message: string) => ({ type: "error", error: { type, message } })

/** JSON that can be parsed, but not serialized again, because that would overflow the stack. */
const deepObject = `${"{\"a\":".repeat(10_000)}1${"}".repeat(10_000)}`
const deepList = `${"[".repeat(20_000)}1${"]".repeat(20_000)}`

/** `Policy.standard` with a deadline of 30 seconds. */
const soon = Policy.apply({ ...Policy.standard, overall: "30 seconds" })

describe.each(wires)("%s", (_, wire) => {
  /** The result of a call to a server with this handler, and the number of requests that the server got. */
  const called = <A, E, R>(handler: Handler, call: Effect.Effect<A, E, R>) =>
    Effect.gen(function*() {
      const { requests, url } = yield* serving(handler)
      const result = yield* Effect.result(Effect.provide(call, wire(url)))
      return { result, requests: requests(), error: result._tag === "Failure" ? result.failure : undefined }
    }).pipe(Effect.scoped)

  // ---------------------------------------------------------------------------
  // Content encodings: github.com/Wei-Shaw/claude-relay-service/issues/1027
  // ---------------------------------------------------------------------------

  const encodings: ReadonlyArray<readonly [name: string, encode: () => NodeJS.ReadWriteStream & Zlib.Zlib]> = [
    ["gzip", () => Zlib.createGzip()],
    ["x-gzip", () => Zlib.createGzip()],
    ["deflate", () => Zlib.createDeflate()],
    ["Deflate", () => Zlib.createDeflateRaw()],
    ["br", () => Zlib.createBrotliCompress()],
    ["zstd", () => Zlib.createZstdCompress()],
    ["GZIP", () => Zlib.createGzip()]
  ]

  it.live.each(encodings)("an answer in %s is streamed without delay", ([encoding, encode]) =>
    Effect.gen(function*() {
      let finish: (() => void) | undefined
      const { url } = yield* serving((_, response) => {
        response.writeHead(200, { ...sse, "content-encoding": encoding })
        const stream = encode()
        stream.pipe(response)
        const [last = "", ...before] = paris.toReversed()
        stream.write(before.toReversed().join(""))
        stream.flush()
        // The server sends the end only after the reader has got the text.
        finish = () => stream.end(last)
      })
      const text = yield* Claude.stream("hi").pipe(
        Stream.tap(() => Effect.sync(() => finish?.())),
        Stream.mkString,
        Effect.provide(wire(url))
      )
      assert.strictEqual(text, "Paris")
    }).pipe(Effect.scoped, Effect.timeout("5 seconds")))

  it.live.each(encodings)("an error in %s is decompressed", ([encoding, encode]) =>
    Effect.gen(function*() {
      const { error } = yield* called((_, response) => {
        response.writeHead(400, { "content-type": "application/json", "content-encoding": encoding })
        const stream = encode()
        stream.pipe(response)
        stream.end(
          JSON.stringify(apiError("invalid_request_error", "Your credit balance is too low to access the API."))
        )
      }, Claude.text("hi"))
      assert.strictEqual(error?._tag, "SpendLimitReached")
    }))

  it.live("an answer whose gzip data ends too early fails with PartialAnswer or UnexpectedResponse", () =>
    Effect.gen(function*() {
      const { error } = yield* called((_, response) => {
        response.writeHead(200, { ...sse, "content-encoding": "gzip" })
        const whole = Zlib.gzipSync(paris.join(""))
        response.end(whole.subarray(0, whole.length - 30))
      }, Claude.text("hi"))
      assert.include(["PartialAnswer", "UnexpectedResponse"], error?._tag)
    }))

  it.live.each(["gzip", "deflate", "br", "zstd"])(
    "an uncompressed answer with the header content-encoding: %s causes UnexpectedResponse",
    (encoding) =>
      Effect.gen(function*() {
        const { error } = yield* called((_, response) => {
          response.writeHead(200, { ...sse, "content-encoding": encoding })
          response.end(paris.join(""))
        }, Claude.text("hi"))
        assert.strictEqual(error?._tag, "UnexpectedResponse")
      })
  )

  it.live("an answer in two encodings is read, whether one header or two name them", () =>
    Effect.gen(function*() {
      for (const encoding of ["gzip, br", ["gzip", "br"]]) {
        const { result } = yield* called((_, response) => {
          response.setHeader("content-encoding", encoding)
          response.writeHead(200, sse)
          response.end(Zlib.brotliCompressSync(Zlib.gzipSync(paris.join(""))))
        }, Claude.text("hi"))
        assert.strictEqual(result._tag === "Success" && result.success, "Paris")
      }
    }))

  // ---------------------------------------------------------------------------
  // Permanent errors in the middle of an answer: github.com/vercel/ai/issues/2463
  // ---------------------------------------------------------------------------

  const begun = paris.slice(0, 4)
  const breaking = (...events: ReadonlyArray<string>): Handler => (_, response) => {
    response.writeHead(200, sse)
    response.end([...begun, ...events].join(""))
  }
  const errorEvent = (type: string, message: string, code?: string) =>
    Faults.event("error", { error: { type, message, details: code === undefined ? null : { error_code: code } } })

  describe("an attempt that the deadline interrupts", () => {
    const stalling: Handler = (_, response) => {
      response.writeHead(200, { ...sse, "request-id": "req_cut" })
      response.write(paris.slice(0, 4).join(""))
    }
    const overall = Policy.apply({ overall: "300 millis" })
    const check = (error: unknown, text: string | undefined, requestId = "req_cut") => {
      if (!ClaudeError.is(error) || error._tag !== "DeadlineExceeded") return assert.fail(String(error))
      assert.deepInclude({ ...error }, { model: "claude-sonnet-5-5", gaveUp: "DeadlineExceeded" })
      assert.strictEqual(error.requestId, requestId === "" ? undefined : requestId)
      assert.strictEqual(error.text && Redacted.value(error.text), text)
      assert.deepStrictEqual(
        error.history?.map(({ attempt, error, model, requestId }) => [attempt, error, model, requestId]),
        [[1, "DeadlineExceeded", "claude-sonnet-5-5", error.requestId]]
      )
    }

    it.live("is in the history, with its model, request id and text", () =>
      Effect.gen(function*() {
        check((yield* called(stalling, overall(Claude.text("hi")))).error, "Paris")
      }))

    it.live("is in the history even if no headers arrived", () =>
      Effect.gen(function*() {
        check((yield* called(() => {}, overall(Claude.text("hi")))).error, undefined, "")
      }))

    it.live("is in the history after an earlier attempt that failed", () =>
      Effect.gen(function*() {
        const { error } = yield* called(
          (request, response, nth) =>
            nth === 0
              ? refusing(529, apiError("overloaded_error", "Overloaded"), { "request-id": "req_first" })(
                request,
                response,
                nth
              )
              : stalling(request, response, nth),
          Policy.apply({ overall: "2 seconds", retry: Retry.linear({ times: 1, base: "1 milli" }) })(Claude.text("hi"))
        )
        if (!ClaudeError.is(error)) return assert.fail(String(error))
        assert.deepStrictEqual(error.history?.map(({ error, requestId }) => [error, requestId]), [
          ["Overloaded", "req_first"],
          ["DeadlineExceeded", "req_cut"]
        ])
      }))

    it.live("puts its model, request id and text into the error of Timeout.overall", () =>
      Effect.gen(function*() {
        const { error } = yield* called(stalling, Timeout.overall("300 millis")(Claude.text("hi")))
        if (!ClaudeError.is(error) || error._tag !== "DeadlineExceeded") return assert.fail(String(error))
        assert.deepInclude({ ...error }, { model: "claude-sonnet-5-5", requestId: "req_cut" })
        assert.strictEqual(error.text && Redacted.value(error.text), "Paris")
      }))

    it.live("is in the history of a stream under streamOverall", () =>
      Effect.gen(function*() {
        const stream = Policy.applyStream({ streamOverall: "300 millis" })(Claude.stream("hi"))
        check((yield* called(stalling, Stream.runDrain(stream))).error, "Paris")
      }))
  })

  const keyIn = ({ headers }: Http.IncomingMessage): string => `${headers["x-api-key"] ?? headers.authorization}`

  it.live.each<readonly [string, Handler]>([
    [
      "a 401 in JSON",
      (request, response, nth) =>
        refusing(401, apiError("authentication_error", `invalid x-api-key: ${keyIn(request)}`))(
          request,
          response,
          nth
        )
    ],
    [
      "a 403 in plain text",
      (request, response, nth) => refusing(403, `no access for '${keyIn(request)}'`)(request, response, nth)
    ],
    [
      "a 400 that quotes a header",
      (request, response, nth) =>
        refusing(400, { error: { message: JSON.stringify({ "x-api-key": keyIn(request) }) } })(
          request,
          response,
          nth
        )
    ],
    [
      "an error in the stream",
      (request, response) => {
        response.writeHead(200, sse)
        response.end(errorEvent("authentication_error", `bad key ${keyIn(request)}, sorry`))
      }
    ]
  ])("masks the key of the caller in %s", ([, handler]) =>
    Effect.gen(function*() {
      const { error } = yield* called(handler, Claude.text("hi"))
      if (!ClaudeError.is(error)) return assert.fail(String(error))
      assert.include(error.message, "***")
      assert.notMatch(error.message + JSON.stringify(error), /sk-ant-test/)
    }))

  it.live("a 501 is not retried, and its notice does not say to try again", () =>
    Effect.gen(function*() {
      const { error, requests } = yield* called(
        refusing(501, apiError("api_error", "not implemented")),
        soon(Claude.text("hi"))
      )
      assert.strictEqual(requests, 1)
      if (!ClaudeError.is(error)) return assert.fail(String(error))
      assert.notMatch(Fallback.toNotice(error).text, /Please try again/)
    }))

  const final: ReadonlyArray<readonly [name: string, handler: Handler, because: ClaudeError.Tag]> = [
    [
      "content filtering",
      breaking(errorEvent("invalid_request_error", "Output blocked by content filtering policy")),
      "InvalidRequest"
    ],
    ["a revoked key", breaking(errorEvent("authentication_error", "API key was revoked")), "AuthenticationFailed"],
    ["a missing permission", breaking(errorEvent("permission_error", "Not for you")), "PermissionDenied"],
    ["a spend limit", breaking(errorEvent("billing_error", "No credit")), "SpendLimitReached"],
    [
      "a spend limit that only its code names",
      breaking(errorEvent("rate_limit_error", "Spent", "enforced_spend_limit_reached")),
      "SpendLimitReached"
    ],
    [
      "a prompt that is too long",
      breaking(errorEvent("invalid_request_error", "prompt is too long: 250000 tokens > 200000 maximum")),
      "ContextWindowExceeded"
    ],
    ["the start of another message", breaking(otherStart), "UnexpectedResponse"],
    [
      "a delta for a block that was never started",
      breaking(Faults.event("content_block_delta", { index: 7, delta: { type: "text_delta", text: "x" } })),
      "UnexpectedResponse"
    ]
  ]

  it.live.each(final)(
    "a break by %s is retried neither by Policy.standard nor by Retry.backoff",
    ([, handler, because]) =>
      Effect.gen(function*() {
        for (const policy of [soon, Policy.apply({ retry: Retry.backoff({ times: 3, base: "1 milli" }) })]) {
          const { error, requests } = yield* called(handler, policy(Claude.text("hi")))
          assert.strictEqual(requests, 1)
          if (!ClaudeError.is(error) || error._tag !== "PartialAnswer") return assert.fail(String(error))
          // The fields survive a copy and a round trip through JSON.
          const json = Schema.toCodecJson(ClaudeError.PartialAnswer)
          const decoded = Schema.decodeUnknownSync(json)(Schema.encodeSync(json)(error))
          for (const same of [error, new ClaudeError.PartialAnswer({ ...error }), decoded]) {
            assert.strictEqual(ClaudeError.kindOf(same), because)
            assert.isFalse(Fallback.isRetryable(same))
          }
        }
      })
  )

  // ---------------------------------------------------------------------------
  // Values in answers of several blocks
  // ---------------------------------------------------------------------------

  const block = (index: number, content_block: object, ...deltas: ReadonlyArray<object>) => [
    Faults.event("content_block_start", { index, content_block }),
    ...deltas.map((delta) => Faults.event("content_block_delta", { index, delta })),
    Faults.event("content_block_stop", { index })
  ]
  /** An answer with these texts, and a web search after each text but the last. */
  const searching = (...texts: ReadonlyArray<string>): Handler => (_, response) => {
    response.writeHead(200, sse)
    const blocks = texts.flatMap((text, i) => [
      ...i === 0 ? [] : [
        block(3 * i - 2, { type: "server_tool_use", id: `srvtoolu_${i}`, name: "web_search", input: {} }),
        block(3 * i - 1, { type: "web_search_tool_result", tool_use_id: `srvtoolu_${i}`, content: [] })
      ],
      block(3 * i, { type: "text", text: "", citations: null }, { type: "text_delta", text })
    ])
    response.end([paris[0], ...blocks.flat(), ...paris.slice(-2)].join(""))
  }
  const Total = Schema.Struct({ total: Schema.Finite })

  it.live.each<readonly [what: string, texts: ReadonlyArray<string>, total: number | undefined]>([
    ["before and after a search", ["{\"total\": 1}", "{\"total\": 2}"], 2],
    ["before a search, with a footnote after it", ["{\"total\": 1}", "As it says in [1]."], 1],
    ["before a search, with text after it", ["{\"total\": 1}", "That is what it says."], 1],
    [
      "corrected after a search, with text after another search",
      ["{\"total\": 1}", "{\"total\": 2}", "That is it."],
      2
    ],
    [
      "corrected after a search, with a footnote after another search",
      ["{\"total\": 1}", "{\"total\": 2}", "See [1]."],
      2
    ],
    ["in two parts around a search", ["{\"total\":", " 1}", "That is it."], 1],
    ["cut off after a search", ["{\"total\": 1}", "{\"total\": "], undefined],
    ["after a preamble with a footnote", ["As it says in [1], the value is {\"total\": 1}."], 1],
    ["after a preamble with an example", ["Like {\"name\": \"x\"}:\n```json\n{\"total\": 1}\n```"], 1],
    ["twice in one text", ["{\"total\": 1} or {\"total\": 2}"], undefined],
    ["twice after a search", ["{\"total\": 1}", "{\"total\": 2} {\"total\": 2}"], undefined],
    ["that is missing", ["As it says in [1].", "And in [2]."], undefined]
  ])(
    "Claude.object returns the final value, or fails with MalformedOutput if the value is ambiguous, cut off or missing: a value %s",
    ([, texts, total]) =>
      Effect.gen(function*() {
        const { error, result } = yield* called(searching(...texts), Claude.object(Total, "How much?"))
        if (total === undefined) assert.strictEqual(error?._tag, "MalformedOutput")
        else assert.deepStrictEqual(result._tag === "Success" && result.success, { total })
      })
  )

  it.live.each<readonly [what: string, schema: Schema.Codec<unknown>, texts: ReadonlyArray<string>, value: unknown]>([
    ["a list", Schema.Array(Schema.Finite), ["[12, 15, 19]", "The source [1] confirms this."], [12, 15, 19]],
    ["a list that is corrected", Schema.Array(Schema.Finite), ["[1, 2]", "It is\n```json\n[3]\n```", "See [1]."], [3]],
    ["a list on its line", Schema.Array(Schema.Finite), ["The values are:\n[12, 15]", "See [1, 2]."], [12, 15]],
    ["a list in a sentence", Schema.Array(Schema.Finite), ["The values are [12, 15].", "It is confirmed."], [12, 15]],
    ["lists in two sentences", Schema.Array(Schema.Finite), ["The values are [12, 15].", "See [1]."], undefined],
    ["a sentence with an object", Schema.Array(Schema.Finite), ["Not {\"a\": 1} but [12, 15].", "See [1]."], undefined],
    ["any value", Schema.Json, ["{\"total\": 12}", "The source [1] confirms this."], { total: 12 }],
    ["any value in a sentence", Schema.Json, ["It is {\"total\": 12} [1].", "The source [1] confirms."], { total: 12 }],
    ["any value that is corrected", Schema.Json, ["{\"total\": 1}", "Now it is {\"total\": 2}.", "See [1]."], {
      total: 2
    }]
  ])(
    "Claude.object does not return a footnote after a search instead of the value: %s",
    ([, schema, texts, value]) =>
      Effect.gen(function*() {
        const { error, result } = yield* called(searching(...texts), Claude.object(schema, "Which?"))
        if (value === undefined) assert.strictEqual(error?._tag, "MalformedOutput")
        else assert.deepStrictEqual(result._tag === "Success" && result.success, value)
      })
  )

  it.live("Claude.object fails with the issues of an invalid value if a web search and a footnote follow it in the answer", () =>
    Effect.gen(function*() {
      const { error } = yield* called(
        searching("{\"total\": \"one\"}", "As it says in [1]."),
        Claude.object(Total, "How much?")
      )
      assert.strictEqual(error?._tag === "MalformedOutput" && error.detail, "1 issue: total: Expected number")
    }))

  it.live("Claude.object fails with the issues of an invalid value if a web search and text follow it in the answer", () =>
    Effect.gen(function*() {
      const { error } = yield* called(
        searching("{\"total\": \"one\"}", "That is what it says."),
        Claude.object(Total, "How much?")
      )
      assert.strictEqual(error?._tag === "MalformedOutput" && error.detail, "1 issue: total: Expected number")
    }))

  it.live.each([
    ["objects", "{\"a\":", "}"],
    ["lists", "[", "]"],
    ["objects in lists", "[{\"a\":", "}]"]
  ])(
    "usage with 20,000 nested %s in a continued answer does not cause a defect",
    ([, open = "", close = ""]) =>
      Effect.gen(function*() {
        const deep = `${open.repeat(20_000)}1${close.repeat(20_000)}`
        const piece = (text: string, stopReason: string): string =>
          Faults.events(text, { model: "claude-haiku-4-5" }).join("")
            .replace("\"usage\":{", `"usage":{"deep":${deep},`)
            .replace("\"stop_reason\":\"end_turn\"", `"stop_reason":"${stopReason}"`)
        const { result } = yield* called(
          (_, response, nth) => {
            response.writeHead(200, sse)
            response.end(nth === 0 ? piece("One,", "max_tokens") : piece(" two.", "end_turn"))
          },
          Claude.message("hi", { model: "claude-haiku-4-5" }).pipe(Policy.apply({ truncated: { continue: 1 } }))
        )
        assert.strictEqual(result._tag === "Success" && result.success.text, "One, two.")
      })
  )

  it.live.each(
    [
      ["the error object (status 529)", 529, `{"type":"error","error":${deepObject}}`, "Overloaded", undefined],
      [
        "the error message",
        500,
        `{"type":"error","error":{"type":"api_error","message":${deepList}}}`,
        "ServerFault",
        undefined
      ],
      ["a body that is a list (status 502)", 502, deepList, "ServerFault", undefined],
      [
        "a field beside the message",
        400,
        `{"error":{"type":"overloaded_error","message":"Overloaded","details":${deepObject}}}`,
        "Overloaded",
        "Overloaded"
      ],
      [
        "a field beside the error",
        429,
        `{"error":{"message":"slow down"},"n":${deepList}}`,
        "RateLimited",
        "slow down"
      ],
      ["a body that is a list (status 200)", 200, deepList, "UnexpectedResponse", undefined],
      ["an event that is a list", 200, `event: ping\ndata: ${deepList}\n\n`, "UnexpectedResponse", undefined]
    ] as const
  )(
    "an error has the right kind, and its message if it has one, despite thousands of nested levels in %s",
    ([, status, body, tag, words]) =>
      Effect.gen(function*() {
        const { result } = yield* called(refusing(status, body), Claude.text("hi"))
        const error = result._tag === "Failure" ? result.failure : undefined
        assert.strictEqual(error?._tag, tag)
        if (status >= 400) assert.strictEqual(error?.status, status)
        if (words !== undefined) assert.strictEqual(error?.detail, words)
      })
  )

  it.live("a break by a transient error is retried", () =>
    Effect.gen(function*() {
      const { requests, result } = yield* called(
        (request, response, nth) =>
          nth === 0
            ? breaking(errorEvent("overloaded_error", "Overloaded"))(request, response, nth)
            : breaking(...paris.slice(4))(request, response, nth),
        Policy.apply({ retry: Retry.backoff({ times: 3, base: "1 milli" }) })(Claude.text("hi"))
      )
      assert.strictEqual(result._tag, "Success")
      assert.strictEqual(requests, 2)
    }))

  it.live("twenty answers that the content filter blocks do not open the circuit, and later calls succeed", () =>
    Effect.gen(function*() {
      const { url } = yield* serving((request, response, nth) =>
        nth < 20
          ? breaking(errorEvent("invalid_request_error", "Output blocked by content filtering policy"))(
            request,
            response,
            nth
          )
          : breaking(...paris.slice(4))(request, response, nth)
      )
      yield* Effect.gen(function*() {
        for (let i = 0; i < 20; i++) {
          assert.strictEqual((yield* Effect.flip(Claude.text("hi")))._tag, "PartialAnswer")
        }
        const { circuits } = yield* Guards.status
        assert.deepInclude(circuits["claude-sonnet-5-5"], { state: "closed", failures: 0 })
        assert.strictEqual(yield* Claude.text("hi"), "Paris")
      }).pipe(Effect.provide(wire(url).pipe(Guards.apply({ circuit: {} }))))
    }).pipe(Effect.scoped))

  it.live("answers that contradict the protocol do not open the circuit, because a proxy causes them", () =>
    Effect.gen(function*() {
      const { url } = yield* serving(breaking(otherStart))
      yield* Effect.gen(function*() {
        for (let i = 0; i < 30; i++) assert.strictEqual((yield* Effect.flip(Claude.text("hi")))._tag, "PartialAnswer")
        assert.deepInclude((yield* Guards.status).circuits["claude-sonnet-5-5"], { state: "closed", failures: 0 })
      }).pipe(Effect.provide(wire(url).pipe(Guards.apply({ circuit: {} }))))
    }).pipe(Effect.scoped))

  it.live("the notice for a spend limit in the middle of an answer has the date when the limit resets", () =>
    Effect.gen(function*() {
      const words =
        "You have reached your specified API usage limits. You will regain access on 2027-01-01 at 00:00 UTC."
      const { result } = yield* called(
        breaking(errorEvent("invalid_request_error", words)),
        Claude.text("hi").pipe(Fallback.notice())
      )
      if (result._tag !== "Success" || typeof result.success === "string") return assert.fail(result._tag)
      assert.include(result.success.text, "1 January 2027")
      assert.isFalse(result.success.retryable)
    }))

  it.live("a spend limit in the middle of an answer opens the circuit of the account", () =>
    Effect.gen(function*() {
      const { requests, url } = yield* serving(breaking(errorEvent("billing_error", "No credit")))
      yield* Effect.gen(function*() {
        yield* Effect.flip(Claude.text("hi"))
        assert.strictEqual((yield* Effect.flip(Claude.text("hi")))._tag, "SpendLimitReached")
        assert.strictEqual(requests(), 1)
      }).pipe(Effect.provide(wire(url).pipe(Guards.apply({ circuit: {} }))))
    }).pipe(Effect.scoped))

  it.live("the fallback model is asked after an overload in the middle of an answer, but not after a blocked answer", () =>
    Effect.gen(function*() {
      const policy = Policy.apply({ models: ["claude-haiku-5-5"] })
      const asked = (type: string, message: string) =>
        called(breaking(errorEvent(type, message)), Effect.exit(policy(Claude.text("hi"))))
      assert.strictEqual((yield* asked("overloaded_error", "Overloaded")).requests, 2)
      assert.strictEqual((yield* asked("invalid_request_error", "Output blocked")).requests, 1)
    }))

  // ---------------------------------------------------------------------------
  // States of an account that only the error message shows
  // ---------------------------------------------------------------------------

  const states: ReadonlyArray<readonly [status: number, body: unknown, tag: ClaudeError.Tag]> = [
    // github.com/anthropics/claude-code/issues/19028
    [400, apiError("invalid_request_error", "This organization has been disabled."), "PermissionDenied"],
    [403, apiError("permission_error", "Your account has been suspended."), "PermissionDenied"],
    [
      400,
      apiError("invalid_request_error", "Your workspace was automatically disabled after a review."),
      "PermissionDenied"
    ],
    [400, "This organization has been disabled.", "PermissionDenied"],
    // github.com/NousResearch/hermes-agent/pull/4747
    [429, apiError("rate_limit_error", "Extra usage is required for long context requests."), "PermissionDenied"],
    [
      429,
      { error: { type: "rate_limit_error", message: "Extra usage is required for 1M context." } },
      "PermissionDenied"
    ],
    // github.com/griffinmartin/opencode-claude-auth/issues/209
    [429, apiError("rate_limit_error", "You're out of extra usage. Add more in your settings."), "SpendLimitReached"],
    // platform.openai.com/docs/guides/error-codes
    [429, { error: { message: "You exceeded your current quota", type: "insufficient_quota" } }, "SpendLimitReached"],
    [429, { error: { message: "No more", type: null, code: "insufficient_quota" } }, "SpendLimitReached"],
    // github.com/BerriAI/litellm/issues/14144 and 36729
    [400, { error: { message: "No", type: "budget_exceeded", param: null, code: "400" } }, "SpendLimitReached"],
    [400, apiError("invalid_request_error", "Budget has been exceeded! Team=platform"), "SpendLimitReached"],
    [
      429,
      { error: { message: "ExceededBudget: End User over budget", type: "auth_error", code: 429 } },
      "SpendLimitReached"
    ],
    // Bedrock, and Vertex, which wraps errors in a list.
    [400, { message: "Input is too long for requested model." }, "ContextWindowExceeded"],
    [400, [{ error: { code: 400, message: "Input is too long for requested model." } }], "ContextWindowExceeded"],
    [400, "Input is too long for requested model.", "ContextWindowExceeded"],
    [400, [apiError("invalid_request_error", "prompt is too long: 2 tokens > 1 maximum")], "ContextWindowExceeded"]
  ]

  it.live.each(states)(
    "status %i with the body %j causes %s and is not retried",
    ([status, body, tag]) =>
      Effect.gen(function*() {
        const { error, requests } = yield* called(
          refusing(status, body, { "retry-after": "1" }),
          soon(Claude.text("hi"))
        )
        assert.strictEqual(error?._tag, tag)
        assert.strictEqual(requests, 1)
      })
  )

  const litellm = "ExceededTokenBudget: Current spend for token: 7.2e-05; Max Budget for Token: 2e-07"
  const gateways: typeof states = [
    [401, { error: { message: litellm, type: "auth_error", code: 401 } }, "SpendLimitReached"],
    [429, { detail: "Max budget limit reached." }, "SpendLimitReached"],
    [400, { detail: { error: "Budget has been exceeded! Current cost: 14, Max budget: 10" } }, "SpendLimitReached"],
    [
      400,
      { success: false, errors: [{ code: 2001, message: "Input is too long for requested model." }] },
      "ContextWindowExceeded"
    ],
    [400, { error: [{ message: "Input is too long for requested model." }] }, "ContextWindowExceeded"],
    [400, { Message: "Input is too long for requested model." }, "ContextWindowExceeded"],
    [400, "\"Input is too long for requested model.\"", "ContextWindowExceeded"],
    [
      400,
      {
        error: {
          message: "Provider returned error",
          code: 400,
          metadata: {
            raw: JSON.stringify(apiError("invalid_request_error", "prompt is too long: 2 tokens > 1 maximum"))
          }
        }
      },
      "ContextWindowExceeded"
    ]
  ]

  it.live.each(gateways)(
    "status %i with the gateway's body %j causes %s and is not retried",
    ([status, body, tag]) =>
      Effect.gen(function*() {
        const { error, requests } = yield* called(refusing(status, body), soon(Claude.text("hi")))
        assert.strictEqual(error?._tag, tag)
        assert.strictEqual(requests, 1)
      })
  )

  const transient: ReadonlyArray<readonly [status: number, body: unknown, tag: ClaudeError.Tag]> = [
    [503, { error: { type: "api_error", message: "upstream retry budget has been exceeded" } }, "ServerFault"],
    [503, "request exceeded budget: 30s", "ServerFault"],
    [500, apiError("api_error", "prompt is too long"), "ServerFault"],
    [529, apiError("overloaded_error", "Your account has been suspended from the priority tier."), "Overloaded"],
    [
      429,
      apiError("rate_limit_error", "Token budget limit reached for this minute. Retry in 12 seconds."),
      "RateLimited"
    ],
    [429, { error: { code: 429, message: "You exceeded your current quota. Please retry in 26.3s." } }, "RateLimited"],
    [
      400,
      apiError("invalid_request_error", "thinking.budget_tokens: max budget: must be below max_tokens"),
      "InvalidRequest"
    ],
    [404, apiError("not_found_error", "model: key credit limit exceeded"), "ResourceNotFound"],
    [413, apiError("request_too_large", "Request exceeds the context window of the proxy"), "RequestTooLarge"],
    [
      400,
      apiError("invalid_request_error", "tools.3.custom.name: 'insufficient balance' should match"),
      "InvalidRequest"
    ],
    [400, apiError("invalid_request_error", "not valid: \"my account has been suspended\""), "InvalidRequest"],
    [429, apiError("rate_limit_error", "This request would exceed your account's rate limit."), "RateLimited"],
    [500, apiError("api_error", "Internal server error"), "ServerFault"],
    [500, "prompt is too long", "ServerFault"]
  ]

  it.live.each(transient)(
    "status %i with the body %j, whose words resemble another error, causes %s",
    ([status, body, tag]) =>
      Effect.gen(function*() {
        const { error } = yield* called(refusing(status, body), Claude.text("hi"))
        assert.strictEqual(error?._tag, tag)
      })
  )

  // ---------------------------------------------------------------------------
  // Server and client with different clocks
  // ---------------------------------------------------------------------------

  it.live("a retry-after date is compared with the server's clock, which may differ from ours by hours", () =>
    Effect.gen(function*() {
      for (const hours of [-1, 1, 30]) {
        const now = Date.now() + hours * 3_600_000
        const [date, later] = [new Date(now).toUTCString(), new Date(now + 20_000).toUTCString()]
        for (const status of [429, 503, 529]) {
          const { error } = yield* called(refusing(status, "{}", { date, "retry-after": later }), Claude.text("hi"))
          const wait = ClaudeError.is(error) ? ClaudeError.retryAfter(error) : undefined
          assert.strictEqual(wait && Duration.toMillis(wait), 20_000, `${hours} hours, ${status}`)
        }
      }
    }))
})

// -----------------------------------------------------------------------------
// The caller's network: github.com/anthropics/anthropic-sdk-typescript/issues/828
// -----------------------------------------------------------------------------

describe("the caller's network", () => {
  const answering: Handler = (_, response) => {
    response.writeHead(200, sse)
    response.end(paris.join(""))
  }
  const apiKey = "sk-ant-test"

  /** Sets a global dispatcher during a test. */
  const globally = (dispatcher: Agent | ProxyAgent | EnvHttpProxyAgent) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const before = getGlobalDispatcher()
        setGlobalDispatcher(dispatcher)
        return before
      }),
      (before) =>
        Effect.promise(() => {
          setGlobalDispatcher(before)
          return dispatcher.destroy()
        })
    )

  it.live("NodeAnthropic uses a proxy that is the global dispatcher", () =>
    Effect.gen(function*() {
      const { url } = yield* serving(answering)
      const proxy = yield* proxying
      yield* globally(new ProxyAgent(proxy.url))
      assert.strictEqual(
        yield* Claude.text("hi").pipe(Effect.provide(NodeAnthropic.layer({ apiKey, baseUrl: url }).pipe(quiet))),
        "Paris"
      )
      assert.lengthOf(proxy.went, 1)
    }).pipe(Effect.scoped))

  it.live("NodeAnthropic uses a proxy that is set after its layer was built", () =>
    Effect.gen(function*() {
      const { url } = yield* serving(answering)
      const proxy = yield* proxying
      const claude = yield* Layer.build(NodeAnthropic.layer({ apiKey, baseUrl: url }).pipe(quiet))
      yield* Effect.provide(Claude.text("hi"), claude)
      assert.lengthOf(proxy.went, 0)
      yield* globally(new ProxyAgent(proxy.url))
      yield* Effect.provide(Claude.text("hi"), claude)
      assert.lengthOf(proxy.went, 1)
    }).pipe(Effect.scoped))

  it.live("NodeAnthropic uses the dispatcher of another undici, through Node's fetch, and follows no redirect", () =>
    Effect.gen(function*() {
      const { requests, url } = yield* serving(answering)
      const legacy = Symbol.for("undici.globalDispatcher.1")
      const foreign = {
        dispatch: () => {
          throw new Error("asked of the other undici")
        }
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const before = Reflect.get(globalThis, legacy)
          Reflect.set(globalThis, legacy, foreign)
          return before
        }),
        (before) => Effect.sync(() => Reflect.set(globalThis, legacy, before))
      )
      const sent: Array<unknown> = []
      const { fetch } = globalThis
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          globalThis.fetch = (input, init) => {
            sent.push([input, init?.redirect])
            return fetch(input, { ...init, dispatcher: new Agent() } as RequestInit)
          }
        }),
        () =>
          Effect.sync(() => {
            globalThis.fetch = fetch
          })
      )
      yield* Effect.exit(
        Effect.provide(Claude.text("hi"), NodeAnthropic.layer({ apiKey, baseUrl: url }).pipe(quiet))
      )
      assert.deepStrictEqual([sent, requests()], [[[`${url}/v1/messages`, "manual"]], 0])
    }).pipe(Effect.scoped))

  it.live("NodeAnthropic uses the proxy of a global EnvHttpProxyAgent, except for the hosts of its noProxy", () =>
    Effect.gen(function*() {
      const { url } = yield* serving(answering)
      const proxy = yield* proxying
      const layer = NodeAnthropic.layer({ apiKey, baseUrl: url }).pipe(quiet)
      yield* globally(new EnvHttpProxyAgent({ httpProxy: proxy.url, noProxy: "" }))
      yield* Effect.provide(Claude.text("hi"), layer)
      assert.lengthOf(proxy.went, 1)
      yield* globally(new EnvHttpProxyAgent({ httpProxy: proxy.url, noProxy: "127.0.0.1" }))
      yield* Effect.provide(Claude.text("hi"), layer)
      assert.lengthOf(proxy.went, 1)
    }).pipe(Effect.scoped))

  it.live(
    "NodeAnthropic uses the environment's proxy if NODE_USE_ENV_PROXY is set, in a separate process",
    () =>
      Effect.gen(function*() {
        const { url } = yield* serving(answering)
        const proxy = yield* proxying
        const program = `
        import { Effect } from "effect"
        import { Claude } from "${path.resolve(import.meta.dirname, "../../src/index.ts")}"
        import * as NodeAnthropic from "${path.resolve(import.meta.dirname, "../../src/NodeAnthropic.ts")}"
        console.log(await Effect.runPromise(Claude.text("hi").pipe(Effect.provide(NodeAnthropic.layerConfig()))))`
        const env = {
          ...process.env,
          NODE_USE_ENV_PROXY: "1",
          HTTP_PROXY: proxy.url,
          NO_PROXY: "",
          no_proxy: "",
          ANTHROPIC_API_KEY: apiKey,
          ANTHROPIC_BASE_URL: url,
          NODE_OPTIONS: ""
        }
        const node = [process.execPath, ["--input-type=module-typescript", "--eval", program], { env }] as const
        const { stdout } = yield* Effect.promise(() => promisify(execFile)(...node))
        assert.include(stdout, "Paris")
        assert.lengthOf(proxy.went, 1)
      }).pipe(Effect.scoped),
    20_000
  )

  it.live("NodeAnthropic uses the dispatcher of its options, and does not close it", () =>
    Effect.gen(function*() {
      const { url } = yield* serving(answering)
      const proxy = yield* proxying
      const dispatcher = yield* Effect.acquireRelease(
        Effect.sync(() => new ProxyAgent(proxy.url)),
        (agent) => Effect.promise(() => agent.destroy())
      )
      for (let i = 1; i <= 2; i++) {
        yield* Effect.provide(
          Claude.text("hi"),
          NodeAnthropic.layer({ apiKey, baseUrl: url, dispatcher }).pipe(quiet)
        )
        // The second call would fail on a closed dispatcher.
        assert.isAtLeast(proxy.went.length, 1)
      }
    }).pipe(Effect.scoped))

  const clientWithProxy = Effect.gen(function*() {
    const { requests, url } = yield* serving(answering)
    const proxy = yield* proxying
    const dispatcher = yield* Effect.acquireRelease(
      Effect.sync(() => new ProxyAgent(proxy.url)),
      (agent) => Effect.promise(() => agent.destroy())
    )
    // Node declares an older type of `RequestInit`.
    return { client: new Sdk({ apiKey, baseURL: url, fetchOptions: { dispatcher } as object }), proxy, requests }
  })

  it.live("NodeAnthropic with a client uses the dispatcher of the client", () =>
    Effect.gen(function*() {
      const { client, proxy } = yield* clientWithProxy
      const layer = NodeAnthropic.layer({ client }).pipe(quiet)
      assert.strictEqual(yield* Effect.provide(Claude.text("hi"), layer), "Paris")
      assert.lengthOf(proxy.went, 1)
    }).pipe(Effect.scoped))

  it.live("Anthropic fails if Node's fetch rejects the client's dispatcher, and does not bypass the proxy", () =>
    Effect.gen(function*() {
      const { client, proxy, requests } = yield* clientWithProxy
      const layer = Anthropic.layer({ client }).pipe(quiet)
      const error = yield* Effect.flip(Effect.provide(soon(Claude.text("hi")), layer))
      assert.deepInclude({ ...error }, { _tag: "InvalidRequest", sent: false })
      assert.deepStrictEqual([proxy.went.length, requests()], [0, 0])
    }).pipe(Effect.scoped))

  for (
    const [name, layerWith] of [["Anthropic", Anthropic.layer], ["NodeAnthropic", NodeAnthropic.layer]] as const
  ) {
    it.live(`${name} with a client uses the fetch of the client`, () =>
      Effect.gen(function*() {
        const { url } = yield* serving(answering)
        const urls: Array<string> = []
        const client = new Sdk({
          apiKey,
          baseURL: url,
          fetch: (input, init) => {
            urls.push(String(input))
            return fetch(input, init)
          }
        })
        yield* Effect.provide(Claude.text("hi"), layerWith({ client }).pipe(quiet))
        assert.deepStrictEqual(urls, [`${url}/v1/messages`])
      }).pipe(Effect.scoped))
  }

  it("contradictory options throw a RangeError that explains them", () => {
    const client = new Sdk({ apiKey })
    const dispatcher = getGlobalDispatcher()
    const refused: ReadonlyArray<readonly [make: () => unknown, words: RegExp]> = [
      [() => Anthropic.layer({ client, apiKey }), /apiKey and client are both set/],
      [() => Anthropic.layer({ client, baseUrl: "http://127.0.0.1" }), /baseUrl and client are both set/],
      [() => Anthropic.layer({ client, fetch }), /fetch and client are both set/],
      [() => NodeAnthropic.layer({ client, apiKey }), /apiKey and client are both set/],
      [() => NodeAnthropic.layer({ client, dispatcher }), /a client has its own connections/],
      [() => NodeAnthropic.layer({ client, connections: 4 }), /a client has its own connections/],
      [() => NodeAnthropic.layer({ apiKey, dispatcher, connections: 4 }), /connections and dispatcher/],
      // Untyped code can pass these values.
      [() => NodeAnthropic.layer({ apiKey, dispatcher: {} as Agent }), /has no dispatch/],
      [() => NodeAnthropic.layer({ apiKey, dispatcher: null as object | null as Agent }), /has no dispatch/]
    ]
    for (const [make, words] of refused) assert.throws(make, RangeError, words)
  })
})
