/** No error contains the caller's key, even if a response or a cause quotes it, over real sockets on every wire. */
import { Anthropic as Sdk } from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Layer, Redacted } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { inspect } from "node:util"
import { Agent } from "undici"
import { withoutQuotes } from "../../src/answer/quoted.ts"
import { Anthropic, CallLog, Claude, ClaudeError } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { Faults } from "../../src/testing/index.ts"
import * as Mask from "../../src/wire/mask.ts"

/** A token of a gateway, with characters that are escaped in URLs, JSON and HTML. */
const token = "gw/Tok+en==\"quoted\"&<x>-\\yz_12.~34"

/** The forms in which a response may quote the token. */
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
  ["in upper case", token.toUpperCase()],
  ["in lower case", token.toLowerCase()],
  ["with its scheme", `Authorization: Bearer ${token}`],
  ["cut", `${"a long sentence, ".repeat(10)}${token.slice(0, 25)}`]
]

/** Matches parts of the token, which no error may contain. */
const parts = /gw\W|Tok|yz_12|quoted|GW\W|TOK|YZ_12/

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
    "NodeAnthropic with an effect that reads the key",
    (baseUrl) => NodeAnthropic.layer({ apiKey: Effect.succeed(Redacted.make(token)), baseUrl })
  ],
  ["Anthropic with a token", (baseUrl) => Anthropic.layer({ authToken: Redacted.make(token), baseUrl })],
  ["a client with a key", (baseURL) => client({ apiKey: token, baseURL })],
  [
    "a client with a function that returns the key",
    (baseURL) => client({ apiKey: () => Promise.resolve(token), baseURL })
  ],
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
  ["the request id in a body", (echo) => (_, response) => {
    response.writeHead(401, { "content-type": "application/json" })
    response.end(JSON.stringify({ error: { type: "authentication_error", message: echo }, request_id: echo }))
  }],
  ["the header request-id", (echo) => (_, response) => {
    response.writeHead(401, { "content-type": "application/json", "request-id": echo })
    response.end(JSON.stringify({ error: { type: "authentication_error", message: echo } }))
  }],
  ["an HTML page", (echo) => (_, response) => {
    response.writeHead(403, { "content-type": "text/html" })
    response.end(`<html>no access for ${echo}</html>`)
  }],
  ["JSON with status 200", (echo) => (_, response) => {
    response.writeHead(200, { "content-type": "application/json" })
    response.end(JSON.stringify({ message: `no access for ${echo}` }))
  }],
  ["an error event", (echo) => (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    response.end(Faults.event("error", { error: { type: "authentication_error", message: `bad key ${echo}` } }))
  }],
  ["an error event after some text", (echo) => (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    response.write(Faults.events("Half of an answer").slice(0, -3).join(""))
    response.end(Faults.event("error", { error: { type: "overloaded_error", message: `bad key ${echo}` } }))
  }]
]

describe.each(wires)("%s", (_, wire) => {
  it.live.each(answers)("masks the key in %s, in each listed form of the key", ([, answer]) =>
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

const rules = "Be brief. Answer in the tone of a doctor who has little time."

const refusing = (message: string): Http.RequestListener => (request, response) => {
  request.resume()
  request.on("end", () => {
    response.writeHead(400, { "content-type": "application/json" })
    response.end(JSON.stringify({ type: "error", error: { type: "invalid_request_error", message } }))
  })
}

const secret = "The patient, Mr. Meier of \"Haus\" 12, told us on Monday\nthat he takes the red pills and no others."
const answer = "He should stop taking the red pills on Tuesday at the latest, says Dr. Sommer."

const quotations: ReadonlyArray<readonly [name: string, Http.RequestListener, message: string]> = [
  [
    "the prompt",
    refusing(`messages.0: invalid: '${secret}' is not allowed`),
    "messages.0: invalid: '[quoted content]' is not allowed"
  ],
  ["a part of the prompt", refusing(`bad input: ${secret.slice(5, 60)}…`), "bad input: [quoted content]…"],
  ["the prompt in JSON", refusing(`input_value=${JSON.stringify(secret)}`), "input_value=\"[quoted content]\""],
  ["the system prompt", refusing(`system: ${rules}`), "system: [quoted content]"],
  ["the answer", (_, response) => {
    response.writeHead(200, { "content-type": "text/event-stream" })
    response.write(Faults.events(answer).slice(0, -3).join(""))
    response.end(
      Faults.event("error", { error: { type: "api_error", message: `the filter stopped at <${answer.slice(3)}>` } })
    )
  }, "the filter stopped at <[quoted content]>"]
]

describe.each(wires)("%s", (_, wire) => {
  it.live.each(quotations)(
    "removes a quotation of %s from the message and from the log",
    ([, handler, message]) =>
      Effect.gen(function*() {
        const url = yield* serving(handler)
        const events: Array<CallLog.Event> = []
        const error = yield* Claude.text(secret, { system: rules }).pipe(
          Effect.flip,
          Effect.provide(wire(url)),
          Effect.provideService(CallLog.CallLog, { emit: (event) => Effect.sync(() => void events.push(event)) })
        )
        assert.include(error.message + String(error.cause), message)
        const all = printed(error) + JSON.stringify(events.map(CallLog.record))
        assert.notMatch(all, /Mr\. Meier|red pills|Answer in the tone/)
      }).pipe(Effect.scoped)
  )
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
      "that has the headers of the request as a record",
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
  it.live.each(causes)("%s reaches the caller without the key, on both wires", ([, make]) =>
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

  it.live("without a key is not changed", () =>
    Effect.gen(function*() {
      const cause = Object.assign(new Error("reset"), { code: "ECONNRESET", errno: -104 })
      const error = yield* failing("", () => Anthropic.layer({ apiKey: token, fetch: () => Promise.reject(cause) }))
      assert.strictEqual((error.cause as Error).cause, cause)
    }))

  it.live("that refers to itself is kept as it is if it has no key, and reaches the caller without the key if it has one", () =>
    Effect.gen(function*() {
      class Odd extends Error {
        readonly code = "ECONNRESET"
        readonly socket: Record<string, unknown> = {}
      }
      for (const message of ["reset", `reset ${token}`]) {
        const cause = new Odd(message)
        cause.cause = cause
        cause.socket["error"] = cause
        cause.socket["server"] = cause.socket
        const fetch = () => Promise.reject(cause)
        const error = yield* failing("", () => Anthropic.layer({ apiKey: token, fetch }))
        if (message === "reset") assert.strictEqual((error.cause as Error).cause, cause)
        else assert.notMatch(printed(error), parts)
      }
    }))

  it.live("is not quoted in the message if it quotes an invalid key or is the error of a key function", () =>
    Effect.gen(function*() {
      for (const apiKey of [() => Promise.resolve("gw Tok\nquoted"), () => Promise.reject(new Error("not Tok JSON"))]) {
        const error = yield* failing("", () => client({ apiKey, baseURL: "http://127.0.0.1:9" }))
        assert.notMatch(error.message, /Tok/)
      }
    }))
})

describe("a mask", () => {
  const keys = Mask.make()

  it("hides words that look like a key, even if this key was never sent, and keeps words such as \"task-based\"", () => {
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

  it("does not hide short keys, or the values of headers without secrets", () => {
    const keys = Mask.make()
    keys.learn([["x-api-key", "any"], ["content-type", "application/json"]])
    assert.strictEqual(keys.hide("any content is application/json"), "any content is application/json")
  })

  it("takes less than two seconds for long texts", () => {
    const keys = Mask.make()
    keys.learn({ authorization: `Bearer ${"-\\\"".repeat(60)}` })
    const start = performance.now()
    for (const piece of ["\\", "\"", "-", "Bearer ", "Bearer+", "+", "sk-", "%25"]) {
      keys.hide(piece.repeat(65_536 / piece.length))
    }
    assert.isBelow(performance.now() - start, 2000)
  })
})

describe("a mask with 64 keys", () => {
  it("takes less than 100 milliseconds for a long text without a key", () => {
    const keys = Mask.make()
    for (let i = 0; i < 64; i++) keys.learn({ authorization: `Bearer ${"-/+=".repeat(9)}key${i}` })
    const start = performance.now()
    assert.notInclude(keys.hide("-/+=-/+= ".repeat(7000)), "***")
    assert.isBelow(performance.now() - start, 100)
  })
})

describe("a quotation", () => {
  const failing = (detail: string) => new ClaudeError.InvalidRequest({ detail })

  it.live("of the prompt is removed from the error of a token count", () =>
    Effect.gen(function*() {
      const url = yield* serving(refusing(`no: ${secret}`))
      const error = yield* Effect.flip(
        Effect.provide(Claude.countTokens(secret), Anthropic.layer({ apiKey: token, baseUrl: url }))
      )
      assert.include(error.message, "no: [quoted content]")
    }).pipe(Effect.scoped))

  it("of the prompt is removed from an error code", () => {
    const error = new ClaudeError.InvalidRequest({ errorCode: `bad: ${secret}` })
    assert.strictEqual(withoutQuotes(error, secret).errorCode, "bad: [quoted content]")
  })

  it("of long content is removed within two seconds, and of content that is nested 50,000 levels deep is left in the error", () => {
    const words = Array.from({ length: 200_000 }, (_, i) => `word${i}`).join(" ")
    const long = failing(`x ${words.slice(-3000, -1000)} y ${"no such words in it, ".repeat(3000)}`)
    const start = performance.now()
    const { detail } = withoutQuotes(long, words, words, words)
    assert.isBelow(performance.now() - start, 2000)
    assert.match(detail ?? "", /^x \[quoted content\] y no such/)
    let deep: unknown = secret
    for (let i = 0; i < 50_000; i++) deep = [deep]
    assert.include(withoutQuotes(failing(`no: ${secret}`), deep).detail, "Meier")
  })

  it.each([
    ["one repeated character", "=".repeat(300_000), "=".repeat(60_000)],
    ["repeated words", "la la la, ".repeat(100_000), "la la la, ".repeat(6000)],
    ["the beginnings of a repeated text", "a".repeat(1_000_000), `${"a".repeat(39)}b`.repeat(1600)]
  ])("of %s is searched for in less than a second", (_, content, detail) => {
    const start = performance.now()
    withoutQuotes(failing(detail), content)
    assert.isBelow(performance.now() - start, 1000)
  })

  it("is removed at every place where the message contains it", () => {
    const detail = `got '${secret}', in full: '${secret}'. The end: ${secret.slice(20)}`
    assert.strictEqual(
      withoutQuotes(failing(detail), secret).detail,
      "got '[quoted content]', in full: '[quoted content]'. The end: [quoted content]"
    )
  })

  it("of repetitive content is replaced completely by one mark", () => {
    const line = "| name     | room |\n| Meier    | 0012 |\n"
    const content = line.repeat(50) + secret + "=".repeat(100) + secret
    for (const from of [0, 5, 1900, 1990]) {
      assert.strictEqual(
        withoutQuotes(failing(`<${content.slice(from, 2250)}>`), content).detail,
        "<[quoted content]>",
        `from ${from}`
      )
    }
  })

  it.each([
    ["a document", { type: "document", source: { type: "text", media_type: "text/plain", data: secret } }],
    ["the input of a tool", { type: "tool_use", id: "t", name: "store", input: { data: secret } }],
    ["the input of a tool with a type", {
      type: "tool_use",
      id: "t",
      name: "store",
      input: { type: "x", data: [secret] }
    }]
  ])("of the field `data` of %s is removed", (_, block) => {
    const messages = [{ role: "user", content: [block] }]
    assert.strictEqual(withoutQuotes(failing(`<${secret}>`), messages).detail, "<[quoted content]>")
  })

  it("of the bytes of an image is not searched for", () => {
    const image = { type: "image", source: { type: "base64", media_type: "image/png", data: secret } }
    assert.include(withoutQuotes(failing(`<${secret}>`), [image]).detail, "Meier")
  })

  it("shorter than 40 characters is not removed", () => {
    const detail = `system: ${rules.slice(0, 39)}, and more`
    assert.strictEqual(withoutQuotes(failing(detail), rules).detail, detail)
  })

  it("is removed whole, wherever it begins and ends", () => {
    for (let from = 0; from < 30; from++) {
      for (let to = from + 40; to < secret.length; to += 7) {
        assert.strictEqual(
          withoutQuotes(failing(`<<${secret.slice(from, to)}>>`), secret).detail,
          "<<[quoted content]>>"
        )
      }
    }
  })
})
