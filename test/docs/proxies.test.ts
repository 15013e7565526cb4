/** Checks what docs/proxies.md says. Its code blocks are in this file. */
import { Anthropic as Sdk, BaseAnthropic } from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Layer } from "effect"
import { execFile } from "node:child_process"
import * as Http from "node:http"
import * as path from "node:path"
import { promisify } from "node:util"
import { CallLog, Claude } from "resilient-claude"
import * as Anthropic from "resilient-claude/Anthropic"
import * as NodeAnthropic from "resilient-claude/node"
import { FakeClaude, FakeServer, Faults } from "resilient-claude/testing"
import { Agent, getGlobalDispatcher, ProxyAgent, setGlobalDispatcher } from "undici"
import { assertAlive } from "../support/docs.ts"
import * as First from "./programs/proxies.ts"

// -----------------------------------------------------------------------------
// The blocks of the page
// -----------------------------------------------------------------------------

const everywhere = (proxyUrl: string) => setGlobalDispatcher(new ProxyAgent(proxyUrl))

const trusting = (ca: string) => NodeAnthropic.layerConfig({ dispatcher: new Agent({ connect: { ca } }) })

const Pooled = NodeAnthropic.layerConfig({ connections: 64 })

let requests = 0
const Counted = Anthropic.layerConfig({
  fetch: (url, init) => {
    requests++
    return fetch(url, init)
  }
})

const through = (client: BaseAnthropic) => NodeAnthropic.layer({ client })

const gateway = (baseUrl: string) =>
  NodeAnthropic.layerConfig({
    baseUrl,
    authToken: Config.Redacted("GATEWAY_TOKEN"),
    messageStop: "optional"
  })

// -----------------------------------------------------------------------------
// What happens
// -----------------------------------------------------------------------------

const ask = Claude.text("hi")
const answers = Faults.cycle(Faults.answer("hello"))

/** A proxy that forwards requests and counts them. */
const proxying = Effect.acquireRelease(
  Effect.callback<{ readonly url: string; readonly forwarded: () => number; readonly close: () => void }>((resume) => {
    let forwarded = 0
    const server = Http.createServer((request, response) => {
      forwarded++
      const { method, headers } = request
      const onward = Http.request(String(request.url), { method, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(response)
      })
      request.pipe(onward)
    })
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      const port = typeof address === "object" ? address?.port : address
      const close = () => {
        server.close()
        server.closeAllConnections()
      }
      resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, forwarded: () => forwarded, close }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

const root = path.resolve(import.meta.dirname, "../..")

/** A program for a child process, because Node reads NODE_USE_ENV_PROXY when it starts. */
const child = `
  import { Effect } from "effect"
  import { Claude } from "resilient-claude"
  import * as NodeAnthropic from "resilient-claude/node"
  console.log(await Effect.runPromise(Claude.text("hi").pipe(Effect.provide(NodeAnthropic.layerConfig()))))`

const env = (variables: Readonly<Record<string, string>>) =>
  ConfigProvider.layer(ConfigProvider.fromEnv({ env: { ...variables } }))

/** Asks a fake server through a layer. Gives the text, and the `authorization` header of each request. */
const asked = <E>(
  layer: (url: string) => Layer.Layer<Claude.Claude, E>,
  variables: Readonly<Record<string, string>> = { ANTHROPIC_API_KEY: "k" }
) =>
  Effect.gen(function*() {
    const { received, url } = yield* FakeServer.FakeServer
    const text = yield* ask.pipe(
      Effect.provide(Layer.provide(layer(url), [env({ ANTHROPIC_BASE_URL: url, ...variables }), CallLog.layerNoop]))
    )
    return { text, authorized: (yield* received).map(({ headers }) => headers.authorization) }
  }).pipe(Effect.provide(FakeServer.layer(answers)))

describe("docs/proxies.md", () => {
  it("contains only code that is in a test or an example", () => assertAlive("docs/proxies.md"))

  it.live("the first program sends through the given proxy", () =>
    Effect.gen(function*() {
      const proxy = yield* proxying
      assert.strictEqual((yield* asked(() => First.behind(proxy.url))).text, "hello")
      assert.isAtLeast(proxy.forwarded(), 1)
      assert.strictEqual(yield* First.program.pipe(Effect.provide(FakeClaude.layer(answers))), "hello")
    }).pipe(Effect.scoped))

  it.live("NodeAnthropic sends through the global dispatcher", () =>
    Effect.gen(function*() {
      const proxy = yield* proxying
      const before = getGlobalDispatcher()
      yield* Effect.addFinalizer(() => Effect.sync(() => setGlobalDispatcher(before)))
      everywhere(proxy.url)
      assert.strictEqual((yield* asked(() => NodeAnthropic.layerConfig())).text, "hello")
      assert.isAtLeast(proxy.forwarded(), 1)
    }).pipe(Effect.scoped))

  it.live("a pool of NodeAnthropic uses no proxy, not even that of the global dispatcher", () =>
    Effect.gen(function*() {
      const proxy = yield* proxying
      const before = getGlobalDispatcher()
      yield* Effect.addFinalizer(() => Effect.sync(() => setGlobalDispatcher(before)))
      everywhere(proxy.url)
      assert.strictEqual((yield* asked(() => NodeAnthropic.layerConfig({ connections: 1 }))).text, "hello")
      assert.strictEqual(proxy.forwarded(), 0)
    }).pipe(Effect.scoped))

  it.live("a proxy in HTTP_PROXY is not used without NODE_USE_ENV_PROXY", () =>
    Effect.gen(function*() {
      const proxy = yield* proxying
      const { url } = yield* FakeServer.FakeServer
      const options = ["--conditions=resilient-claude-source", "--input-type=module", "--eval", child]
      const env = {
        ...process.env,
        NODE_OPTIONS: "",
        NODE_USE_ENV_PROXY: "",
        HTTP_PROXY: proxy.url,
        NO_PROXY: "",
        no_proxy: "",
        ANTHROPIC_API_KEY: "k",
        ANTHROPIC_BASE_URL: url
      }
      const { stdout } = yield* Effect.promise(() => promisify(execFile)(process.execPath, options, { cwd: root, env }))
      assert.include(stdout, "hello")
      assert.strictEqual(proxy.forwarded(), 0)
    }).pipe(Effect.scoped, Effect.provide(FakeServer.layer(answers))))

  it.live("a pool with `connections: 1` opens one socket for three calls", () =>
    Effect.gen(function*() {
      const { received, url } = yield* FakeServer.FakeServer
      yield* Effect.all([ask, ask, ask], { concurrency: "unbounded" }).pipe(
        Effect.provide(
          Layer.provide(NodeAnthropic.layer({ apiKey: "k", baseUrl: url, connections: 1 }), CallLog.layerNoop)
        )
      )
      assert.deepStrictEqual((yield* received).map(({ connection }) => connection), [1, 1, 1])
    }).pipe(Effect.provide(FakeServer.layer(answers))))

  it.live("a request can be sent through a custom agent, a pool or a custom fetch", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* asked(() => trusting(""))).text, "hello")
      assert.strictEqual((yield* asked(() => Pooled)).text, "hello")
      assert.strictEqual((yield* asked(() => Counted)).text, "hello")
      assert.strictEqual(requests, 1)
    }))

  it.live("a client that extends BaseAnthropic sends with its own key and address", () =>
    Effect.gen(function*() {
      const official = yield* asked((baseURL) => through(new Sdk({ apiKey: "own", baseURL })))
      assert.deepStrictEqual(official, { text: "hello", authorized: ["Bearer own"] })
      const other = yield* asked((baseURL) => through(new Other({ apiKey: "other", baseURL })))
      assert.deepStrictEqual(other, { text: "hello", authorized: ["Bearer other"] })
    }))

  it("a client together with a key, an address, a fetch or a dispatcher is rejected", () => {
    const client = new Sdk({ apiKey: "own" })
    const fetch = globalThis.fetch
    for (const more of [{ apiKey: "k" }, { authToken: "t" }, { baseUrl: "http://localhost" }, { fetch }]) {
      assert.throws(() => Anthropic.layer({ client, ...more }), RangeError, "and client are both set")
    }
    assert.throws(
      () => NodeAnthropic.layer({ client, dispatcher: new Agent() }),
      RangeError,
      "a client has its own connections"
    )
    assert.throws(() => NodeAnthropic.layer({ client, connections: 4 }), RangeError, "a client has its own connections")
  })

  it.live("a token in the environment is sent as a bearer token, unless there is a key", () =>
    Effect.gen(function*() {
      const token = yield* asked(() => NodeAnthropic.layerConfig(), { ANTHROPIC_AUTH_TOKEN: "t" })
      assert.deepStrictEqual(token.authorized, ["Bearer t"])
      const both = yield* asked(() => NodeAnthropic.layerConfig(), {
        ANTHROPIC_AUTH_TOKEN: "t",
        ANTHROPIC_API_KEY: "k"
      })
      assert.deepStrictEqual(both.authorized, ["Bearer k"])
    }))

  it.live("an answer without message_stop is complete if messageStop is optional", () =>
    Effect.gen(function*() {
      const { url } = yield* FakeServer.FakeServer
      const variables = env({ GATEWAY_TOKEN: "t", ANTHROPIC_API_KEY: "k", ANTHROPIC_BASE_URL: url })
      const believed = yield* Effect.provide(ask, Layer.provide(gateway(url), variables))
      assert.strictEqual(believed, "hello")
      const error = yield* Effect.provide(Effect.flip(ask), Layer.provide(NodeAnthropic.layerConfig(), variables))
      assert.strictEqual(error._tag, "PartialAnswer")
      const { received } = yield* FakeServer.FakeServer
      assert.strictEqual((yield* received)[0]?.headers.authorization, "Bearer t")
    }).pipe(
      Effect.provide([
        FakeServer.layer(Faults.cycle(Faults.stream(Faults.events("hello").slice(0, -1)))),
        CallLog.layerNoop
      ])
    ))

  it.live("the layer fails if no key is set", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.scoped(Layer.build(Layer.provide(NodeAnthropic.layerConfig(), env({})))))
      assert.instanceOf(error, Config.ConfigError)
      assert.include(error.message, "ANTHROPIC_API_KEY")
    }))
})

/** Stands for the clients of other platforms, which extend `BaseAnthropic` too. */
class Other extends BaseAnthropic {}
