/** The keys of callers, over real sockets on every wire: no error has one, whatever quotes it. */
import { Anthropic as Sdk } from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Layer, Redacted } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { inspect } from "node:util"
import { Agent } from "undici"
import { Anthropic, CallLog, Claude, ClaudeError } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { Faults } from "../../src/testing/index.ts"
import * as Mask from "../../src/wire/mask.ts"

/** A token of a gateway, with characters that are escaped in URLs, JSON and HTML. */
const token = "gw/Tok+en==\"quoted\"&<x>-\\yz_12.~34"

/** The forms in which an echo may write the token. */
const forms: ReadonlyArray<readonly [name: string, form: string]> = [
  ["as it is", token],
  ["in a URL", encodeURIComponent(token)],
  ["in a URL in lower case", encodeURIComponent(token).replaceAll(/%../g, (code) => code.toLowerCase())],
  ["twice in a URL", encodeURIComponent(encodeURIComponent(token))],
  ["in JSON", JSON.stringify(token)],
  ["in JSON in JSON", JSON.stringify(JSON.stringify(token))],
  [
    "in JSON for HTML",
    JSON.stringify(token).replaceAll(/[&<>=+]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`)
  ],
  ["in JSON with escaped slashes", JSON.stringify(token).replaceAll("/", "\\/")],
  [
    "in HTML",
    token.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")
  ],
  ["in HTML with numbers", token.replaceAll(/[^\w]/g, (char) => `&#${char.charCodeAt(0)};`)],
  ["with its scheme", `Authorization: Bearer ${token}`],
  ["cut", `${"a long sentence, ".repeat(10)}${token.slice(0, 25)}`]
]

/** Parts of the token that no error may have, in any form. */
const parts = /gw\W|Tok|yz_12|quoted/

const serving = (handler: Http.RequestListener) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Http.Server>((resume) => {
        const server = Http.createServer(handler)
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.sync(() => {
          server.close()
          server.closeAllConnections()
        })
    ),
    (server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  )

const client = (options: ConstructorParameters<typeof Sdk>[0]) => Anthropic.layer({ client: new Sdk(options) })

const wires: ReadonlyArray<readonly [name: string, layer: (url: string) => Layer.Layer<Claude.Claude>]> = [
  ["NodeAnthropic with a key", (baseUrl) => NodeAnthropic.layer({ apiKey: token, baseUrl })],
  [
    "NodeAnthropic with a key that is read",
    (baseUrl) => NodeAnthropic.layer({ apiKey: Effect.succeed(Redacted.make(token)), baseUrl })
  ],
  ["Anthropic with a token", (baseUrl) => Anthropic.layer({ authToken: Redacted.make(token), baseUrl })],
  ["a client with a key", (baseURL) => client({ apiKey: token, baseURL })],
  ["a client with a function", (baseURL) => client({ apiKey: () => Promise.resolve(token), baseURL })],
  ["a client with a token", (baseURL) => client({ authToken: token, apiKey: null, baseURL })],
  [
    "a client with a header of a gateway",
    (baseURL) => client({ apiKey: "sk-ant-test", baseURL, defaultHeaders: { "x-gateway-token": token } })
  ],
  ["NodeAnthropic with a client", (baseURL) => NodeAnthropic.layer({ client: new Sdk({ apiKey: token, baseURL }) })]
]

/** Everything that a log or a debugger may print of an error. */
const printed = (error: ClaudeError.ClaudeError): string =>
  [
    error.message,
    error.stack,
    JSON.stringify(error),
    inspect(error, { depth: 9 }),
    Cause.pretty(Cause.fail(error)),
    inspect(error.cause, { depth: 9, showHidden: true })
  ].join("\n").replaceAll("\\", "")

const failing = (url: string, wire: (url: string) => Layer.Layer<Claude.Claude>) =>
  Effect.flip(Effect.provide(Claude.text("hi"), Layer.provide(wire(url), CallLog.layerNoop)))

const answers: ReadonlyArray<readonly [name: string, answer: (echo: string) => Http.RequestListener]> = [
  ["a 401 in JSON", (echo) => (_, response) => {
    response.writeHead(401, { "content-type": "application/json" })
    response.end(JSON.stringify({ type: "error", error: { type: "authentication_error", message: `bad key ${echo}` } }))
  }],
  ["a page", (echo) => (_, response) => {
    response.writeHead(403, { "content-type": "text/html" })
    response.end(`<html>no access for ${echo}</html>`)
  }],
  ["JSON under status 200", (echo) => (_, response) => {
    response.writeHead(200, { "content-type": "application/json" })
    response.end(JSON.stringify({ message: `no access for ${echo}` }))
  }],
  ["an event in the stream", (echo) => (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    response.end(Faults.event("error", { error: { type: "authentication_error", message: `bad key ${echo}` } }))
  }],
  ["an event after some text", (echo) => (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    response.write(Faults.events("Half of an answer").slice(0, -3).join(""))
    response.end(Faults.event("error", { error: { type: "overloaded_error", message: `bad key ${echo}` } }))
  }]
]

describe.each(wires)("%s", (_, wire) => {
  it.live.each(answers)("masks it in %s, in every form", ([, answer]) =>
    Effect.gen(function*() {
      for (const [form, echo] of forms) {
        const error = yield* Effect.scoped(
          Effect.flatMap(
            serving((request, response) => {
              request.resume()
              request.on("end", () => answer(echo)(request, response))
            }),
            (url) => failing(url, wire)
          )
        )
        if (!ClaudeError.is(error)) return assert.fail(String(error))
        assert.include(error.message, "***", form)
        assert.notMatch(printed(error), parts, form)
      }
    }), 20_000)
})

describe("a cause", () => {
  const quoting = (cause: unknown) => Object.assign(new TypeError(`fetch failed: Bearer ${token}`, { cause }), {})
  const causes: ReadonlyArray<readonly [name: string, make: () => unknown]> = [
    ["whose message quotes the key", () => quoting(undefined)],
    [
      "whose own cause quotes the URL",
      () =>
        new TypeError("fetch failed", { cause: new Error(`connect ECONNREFUSED ?key=${encodeURIComponent(token)}`) })
    ],
    ["that has the headers of the request", () =>
      Object.assign(new Error("Network Error"), {
        code: "ECONNRESET",
        config: { headers: new Headers({ authorization: `Bearer ${token}` }) }
      })],
    [
      "that has the headers as a record",
      () => Object.assign(new Error("Network Error"), { request: { headers: { authorization: `Bearer ${token}` } } })
    ],
    ["that is a text", () => `could not send ${token}`],
    ["whose getter throws", () =>
      Object.defineProperty(quoting(undefined), "request", {
        enumerable: true,
        get: () => {
          throw new Error(token)
        }
      })]
  ]
  it.live.each(causes)("%s has no key, on both wires", ([, make]) =>
    Effect.gen(function*() {
      const fetch = () => Promise.reject(make())
      const dispatcher = new Agent()
      dispatcher.dispatch = (_, handler) => {
        handler.onResponseError?.({} as never, make() as Error)
        return true
      }
      const layers = [
        Anthropic.layer({ apiKey: token, fetch }),
        Anthropic.layer({ client: new Sdk({ apiKey: token, fetch }) }),
        NodeAnthropic.layer({ apiKey: token, dispatcher })
      ]
      for (const layer of layers) {
        const error = yield* failing("", () => layer)
        assert.strictEqual(error._tag, "Unreachable")
        assert.notMatch(printed(error), parts)
      }
    }))

  it.live("without a key is kept as it is", () =>
    Effect.gen(function*() {
      const cause = Object.assign(new Error("reset"), { code: "ECONNRESET", errno: -104 })
      const error = yield* failing("", () => Anthropic.layer({ apiKey: token, fetch: () => Promise.reject(cause) }))
      assert.strictEqual((error.cause as Error).cause, cause)
    }))

  it.live("that quotes a key which no header takes has no key, and neither has the message", () =>
    Effect.gen(function*() {
      for (const apiKey of [() => Promise.resolve("gw Tok\nquoted"), () => Promise.reject(new Error("not Tok JSON"))]) {
        const error = yield* failing("", () => client({ apiKey, baseURL: "http://127.0.0.1:9" }))
        assert.notMatch(error.message, /Tok/)
      }
    }))
})

describe("a mask", () => {
  const keys = Mask.make()

  it("is put on what looks like a key, whoever it belongs to", () => {
    for (
      const words of [
        "sk-ant-abcd1234",
        "sk-proj-abcdefghijklmnop",
        "Authorization: Bearer abc.def123",
        "authorization=Bearer%20abcdef123",
        "Basic dXNlcjpwYXNz1"
      ]
    ) {
      assert.include(keys.hide(words), "***")
      assert.notMatch(keys.hide(words), /abc|dXN/)
    }
    for (const words of ["Invalid bearer token", "Bearer authentication is required", "task-based", "sk-short"]) {
      assert.strictEqual(keys.hide(words), words)
    }
  })

  it("hides the 64 newest keys", () => {
    const keys = Mask.make()
    for (let i = 0; i < 100; i++) keys.learn({ authorization: `Bearer a-long-key-${String(i).padStart(3, "0")}` })
    assert.strictEqual(keys.hide("a-long-key-099 and a-long-key-036"), "*** and ***")
  })

  it("leaves short keys, and headers that have none", () => {
    const keys = Mask.make()
    keys.learn([["x-api-key", "any"], ["content-type", "application/json"]])
    assert.strictEqual(keys.hide("any content is application/json"), "any content is application/json")
  })

  it("takes milliseconds for a long text", () => {
    const keys = Mask.make()
    keys.learn({ authorization: `Bearer ${"-\\\"".repeat(60)}` })
    const start = performance.now()
    for (const piece of ["\\", "\"", "-", "Bearer ", "Bearer+", "+", "sk-", "%25"]) {
      keys.hide(piece.repeat(65_536 / piece.length))
    }
    assert.isBelow(performance.now() - start, 2000)
  })
})
