/** The default limits allow the pauses of real work, and still notice a dead connection soon. */
import { Anthropic as Sdk } from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { Anthropic, CallLog, Claude, type ClaudeError, Guards, type Message, Policy } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

// -----------------------------------------------------------------------------
// Requests and answers
// -----------------------------------------------------------------------------

const write = { name: "write", input_schema: { type: "object" as const } }
const asking = (more: Partial<Message.Params> = {}) => ({ max_tokens: 16_000, ...more })

const ping = Faults.event("ping", {})
const thought = Faults.event("content_block_delta", { index: 0, delta: { type: "thinking_delta", thinking: "a" } })
/** Splits the events of an answer after the event that contains `mark`. */
const split = (mark: string, events: ReadonlyArray<string>) => {
  const at = events.findIndex((event) => event.includes(mark)) + 1
  assert(at > 0, mark)
  return [events.slice(0, at).join(""), events.slice(at).join("")] as const
}

const file = { name: "write", input: { path: "a.txt", text: "word ".repeat(2000) } }
const toolUse = split(`"type":"tool_use","id"`, Faults.events("Here it is.", { tool: file }))
const forced = split(`"type":"tool_use","id"`, Faults.events("", { tool: file }))
const beforeTool = split(`"text":"is."`, Faults.events("Here it is.", { tool: file }))
const search = split(
  `"type":"content_block_stop","index":1`,
  Faults.events("I search.", { serverTool: { name: "web_search", input: { query: "news" } } })
)
const thinking = split(`"type":"thinking"`, Faults.events("Paris", { thinking: "" }))
const compaction = split(
  `"type":"compaction"`,
  Faults.events("Paris", { thinking: "" })
    .filter((event) => !event.includes("signature_delta") && !event.includes("thinking_delta"))
    .map((event) =>
      event.replace(`"type":"thinking","thinking":"","signature":""`, `"type":"compaction","content":null`)
    )
)
const started = split("message_start", Faults.events("", { tool: file }))
const inText = split(`"text":"Paris "`, Faults.events("Paris is large"))

// -----------------------------------------------------------------------------
// Scripted time
// -----------------------------------------------------------------------------

/** An answer whose parts each arrive after a wait in seconds. */
const answering = (
  headers: number,
  parts: ReadonlyArray<readonly [wait: number, bytes: string]>,
  end: Faults.End = "end"
) =>
  Faults.delayed(
    { ...Faults.stream([], { end }), body: parts.map(([wait, bytes]) => ({ after: wait * 1000, bytes })) },
    Duration.seconds(headers)
  )

/** The first part of an answer, then pings about every 30 seconds for this many seconds, then the second part. */
const afterPings = (seconds: number, [first, rest]: readonly [string, string]) => {
  const pings = Array.from({ length: Math.floor(seconds / 30.1) }, () => [30.1, ping] as const)
  return answering(0, [[0, first], ...pings, [seconds % 30.1, rest]])
}
const afterSilence = (seconds: number, [first, rest]: readonly [string, string]) =>
  answering(0, [[0, first], [seconds, rest]])

/** Runs a call. Returns its result, its duration in seconds and the number of its requests. */
const ended = <A, R>(call: Effect.Effect<A, ClaudeError.ClaudeError, R>) =>
  Effect.gen(function*() {
    const start = yield* Clock.currentTimeMillis
    const timed = Effect.flatMap(Effect.result(call), (result) =>
      Effect.map(Clock.currentTimeMillis, (now) => ({ result, after: (now - start) / 1000 })))
    const running = yield* Effect.forkChild(timed, { startImmediately: true })
    yield* TestClock.adjust("3 hours")
    return { ...yield* Fiber.join(running), requests: (yield* FakeClaude.received).length }
  })

const scripted = (turn: Faults.Turn) =>
  Layer.fresh(FakeClaude.layer([turn, turn, turn, turn, turn, turn, turn, turn, turn, turn, turn, turn]))

const guards: Guards.Guards = { concurrency: { max: 4 }, quota: { requests: 60, inputTokens: 1_000_000 }, circuit: {} }

const policies: ReadonlyArray<readonly [name: string, policy: Policy.Policy, guards: Guards.Guards]> = [
  ["Policy.standard", Policy.standard, {}],
  ["an empty policy", {}, {}],
  ["a deadline of two minutes", { ...Policy.standard, overall: "2 minutes" }, {}],
  ["Policy.standard with guards", Policy.standard, guards]
]

const page = "word ".repeat(600)
const png = { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" } } as const
const pdf = { type: "document", source: { type: "base64", media_type: "application/pdf", data: "JVBERi0=" } } as const
const says = (content: Message.Params["messages"][number]["content"]): Claude.Prompt => [{ role: "user", content }]

describe.each(policies)("under %s, one request is enough for an answer", (_, policy, guards) => {
  const cases: ReadonlyArray<
    readonly [name: string, prompt: Claude.Prompt, options: Claude.Options, turn: Faults.Turn]
  > = [
    // github.com/anthropics/claude-code/issues/90235
    [
      "headers after 14 s, for a prompt of 100,000 tokens",
      page.repeat(134),
      asking(),
      answering(14, [[0, inText.join("")]])
    ],
    [
      "headers after 14 s, for a long system prompt",
      "hi",
      asking({ system: page.repeat(134) }),
      answering(14, [[0, inText.join("")]])
    ],
    [
      "headers after 14 s, for many definitions of tools",
      "hi",
      asking({ tools: Array.from({ length: 134 }, (_, i) => ({ ...write, name: `t${i}`, description: page })) }),
      answering(14, [[0, inText.join("")]])
    ],
    [
      "headers after 14 s, for 40 images",
      says(Array.from({ length: 40 }, () => png)),
      asking(),
      answering(14, [[0, inText.join("")]])
    ],
    ["headers after 30 s, for a document in base64", says([pdf]), asking(), answering(30, [[0, inText.join("")]])],
    ["80 s of pings before the input of a tool", "hi", asking({ tools: [write] }), afterPings(80, toolUse)],
    ["80 s of pings before the block of a tool", "hi", asking({ tools: [write] }), afterPings(80, beforeTool)],
    ["80 s of pings before the first block", "hi", asking({ tools: [write] }), afterPings(80, started)],
    // github.com/github/copilot-cli/issues/4286
    ["40 s without a byte before the input of a tool", "hi", asking({ tools: [write] }), afterSilence(40, toolUse)],
    [
      "40 s without a byte before the input of a forced tool",
      "hi",
      asking({ tools: [write], tool_choice: { type: "tool", name: "write" } }),
      afterSilence(40, forced)
    ],
    [
      "40 s without a byte, with a tool whose input streams eagerly",
      "hi",
      asking({ tools: [{ ...write, eager_input_streaming: true }] }),
      afterSilence(40, toolUse)
    ],
    [
      "40 s without a byte while the API runs a tool",
      "hi",
      asking({ tools: [{ type: "web_search_20250305", name: "web_search" }] }),
      afterSilence(40, search)
    ],
    [
      "80 s of pings while the API runs a tool of an MCP server",
      "hi",
      Object.assign(asking(), { mcp_servers: [{ type: "url", url: "https://mcp.example.com/sse", name: "docs" }] }),
      afterPings(80, search)
    ],
    ["100 s of pings in thinking", "hi", asking({ thinking: { type: "adaptive" } }), afterPings(100, thinking)],
    ["100 s of pings in thinking that the request does not mention", "hi", asking(), afterPings(100, thinking)],
    ["100 s of pings in a compaction", "hi", asking(), afterPings(100, compaction)]
  ]

  it.effect.each(cases)("with %s", ([, prompt, options, turn]) =>
    Effect.gen(function*() {
      const { requests, result } = yield* ended(Claude.message(prompt, options).pipe(Policy.apply(policy)))
      assert.isTrue(Result.isSuccess(result), String(Result.getFailure(result)))
      assert.strictEqual(requests, 1)
    }).pipe(Effect.provide(scripted(turn).pipe(Guards.apply(guards)))))
})

describe("the default limits", () => {
  const many = asking({ max_tokens: 128_000, tools: [write] })

  it.effect.each<readonly [name: string, options: Claude.Options, turn: Faults.Turn]>([
    [
      "330 s without a byte before a large input of a tool",
      asking({ max_tokens: 64_000, tools: [write] }),
      afterSilence(330, toolUse)
    ],
    ["ten minutes of pings in thinking", asking({ max_tokens: 64_000 }), afterPings(600, thinking)],
    [
      "ten minutes of pings while the API runs a tool",
      asking({ max_tokens: 64_000, tools: [write] }),
      afterPings(600, search)
    ],
    [
      "an answer of more than an hour, with a thought every five minutes",
      asking({ max_tokens: 64_000, thinking: { type: "adaptive" }, tools: [write] }),
      answering(0, [
        [0, thinking[0]],
        ...Array.from({ length: 140 }, (_, i) => [30.1, i % 10 === 9 ? thought : ping] as const),
        [0, thinking[1]]
      ])
    ]
  ])("allow %s", ([, options, turn]) =>
    Effect.gen(function*() {
      const { result } = yield* ended(Claude.message("hi", options))
      assert.isTrue(Result.isSuccess(result), String(Result.getFailure(result)))
    }).pipe(Effect.provide(scripted(turn))))

  const dead = (bytes: string) => answering(0, [[0, bytes]], "silence")
  const textStopped = split(`"type":"content_block_stop"`, Faults.events("Paris"))
  const nearlyDone = split("message_delta", Faults.events("", { tool: file }))

  it.effect.each<readonly [name: string, options: Claude.Options, turn: Faults.Turn, after: number]>([
    ["after the headers, within 45 s", many, answering(0, [], "silence"), 45],
    ["after message_start, within 45 s", many, dead(started[0]), 45],
    ["in a text, within 45 s", many, dead(inText[0]), 45],
    ["in a text, without tools, within 30 s", asking({ max_tokens: 128_000 }), dead(inText[0]), 30],
    ["in thinking, within 45 s", many, dead(thinking[0]), 45],
    ["in thinking, without tools, within 45 s", asking({ max_tokens: 128_000 }), dead(thinking[0]), 45],
    ["after a text, without tools, within 30 s", asking({ max_tokens: 128_000 }), dead(textStopped[0]), 30],
    ["after the stop reason, within 45 s", many, dead(nearlyDone[0]), 45],
    ["in the input of a tool, within 80 s", asking({ max_tokens: 8000, tools: [write] }), dead(toolUse[0]), 80]
  ])("notice a dead connection %s", ([, options, turn, after]) =>
    Effect.gen(function*() {
      const end = yield* ended(Claude.message("hi", options))
      assert(Result.isFailure(end.result) && end.result.failure._tag === "TimedOut")
      assert.strictEqual(end.result.failure.scope, "idle")
      assert.strictEqual(end.after, after)
    }).pipe(Effect.provide(scripted(turn))))

  it.effect("are replaced by the caller's idle limit, even in the input of a tool", () =>
    Effect.gen(function*() {
      const call = Claude.message("hi", many).pipe(Policy.apply({ idle: "7 seconds" }))
      const end = yield* ended(call)
      assert(Result.isFailure(end.result) && end.result.failure._tag === "TimedOut")
      assert.strictEqual(end.after, 7)
    }).pipe(Effect.provide(scripted(dead(toolUse[0])))))

  it.effect("are replaced by the caller's contentIdle limit, even in thinking", () =>
    Effect.gen(function*() {
      const end = yield* ended(Claude.message("hi", many).pipe(Policy.apply({ contentIdle: "20 seconds" })))
      assert(Result.isFailure(end.result) && end.result.failure._tag === "TimedOut")
      assert.deepStrictEqual([end.result.failure.scope, end.after], ["contentIdle", 20])
    }).pipe(Effect.provide(scripted(dead(thinking[0])))))
})

// -----------------------------------------------------------------------------
// Sockets
// -----------------------------------------------------------------------------

const quiet = Layer.provide(CallLog.layerNoop)

const wires: ReadonlyArray<readonly [name: string, layer: (url: string) => Layer.Layer<Claude.Claude>]> = [
  ["NodeAnthropic", (baseUrl) => NodeAnthropic.layer({ apiKey: "sk-ant-test", baseUrl }).pipe(quiet)],
  ["Anthropic", (baseUrl) => Anthropic.layer({ apiKey: "sk-ant-test", baseUrl }).pipe(quiet)],
  [
    "Anthropic with an SDK client",
    (baseURL) => Anthropic.layer({ client: new Sdk({ apiKey: "sk-ant-test", baseURL }) }).pipe(quiet)
  ]
]

/** A server whose answers the test writes piece by piece. */
const serving = Effect.acquireRelease(
  Effect.callback<
    { readonly url: string; readonly responses: ReadonlyArray<Http.ServerResponse>; readonly close: () => void }
  >((resume) => {
    const responses: Array<Http.ServerResponse> = []
    const server = Http.createServer((request, response) => {
      request.resume()
      request.on("end", () => responses.push(response))
    })
    server.listen(0, "127.0.0.1", () => {
      const close = () => {
        server.close()
        server.closeAllConnections()
      }
      const { port } = server.address() as AddressInfo
      resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, responses, close }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

const moment = TestClock.withLive(Effect.sleep("30 millis"))

describe.each(wires)("over a socket of %s", (_, wire) => {
  const cases: ReadonlyArray<readonly [name: string, headers: number, silence: number, after: number]> = [
    ["headers after 14 s and 40 s of silence before the input of a tool cost no retry", 14, 40, 1],
    ["a silence that is too long for the input of a tool is retried", 0, 161, 2]
  ]
  it.effect.each(cases)("%s", ([, headers, silence, requests]) =>
    Effect.gen(function*() {
      const { responses, url } = yield* serving
      const call = Claude.message(page.repeat(134), asking({ tools: [write] })).pipe(
        Policy.apply(Policy.standard),
        Effect.provide(wire(url))
      )
      const running = yield* Effect.forkChild(call, { startImmediately: true })
      while (responses.length === 0) yield* moment
      yield* TestClock.adjust(Duration.seconds(headers))
      yield* moment
      responses[0]?.writeHead(200, { "content-type": "text/event-stream" }).write(toolUse[0])
      yield* moment
      yield* TestClock.adjust(Duration.seconds(silence))
      if (requests === 2) {
        while (responses.length === 1) {
          yield* TestClock.adjust("1 second")
          yield* moment
        }
        responses[1]?.writeHead(200, { "content-type": "text/event-stream" }).write(toolUse[0])
      }
      responses[requests - 1]?.end(toolUse[1])
      const reply = yield* Fiber.join(running)
      assert.deepStrictEqual(reply.toolUses.map(({ input }) => input), [file.input])
      assert.lengthOf(responses, requests)
    }))
})
