/** Streams under everything that can happen to them: cut at every byte, by the thousand, and read slowly. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Redacted, Result, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as v8 from "node:v8"
import * as vm from "node:vm"
import { Anthropic, CallLog, Claude, ClaudeError, type Message, Policy, Retry } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { FakeClaude, FakeServer, Faults } from "../../src/testing/index.ts"
import { describeLong, effort, oneIn } from "../support/effort.ts"

const newer = "claude-sonnet-5-5"
const older = "claude-haiku-4-5"

// -----------------------------------------------------------------------------
// Answers
// -----------------------------------------------------------------------------

/** A block as the model would write it. */
type Block =
  | { readonly type: "text"; readonly text: string; readonly cites?: string }
  | { readonly type: "thinking"; readonly thinking: string }
  | { readonly type: "tool_use"; readonly input: object }

/** Two words at a time, with the blank after them, if there is one. */
const words = (text: string) => text.match(/\s*\S+(\s+\S+)?\s?|\s+/gu) ?? []
const halves = (text: string) => [text.slice(0, text.length / 2), text.slice(text.length / 2)]

const startOf = (block: Block): object => {
  switch (block.type) {
    case "text":
      return { type: "text", text: "", citations: null }
    case "thinking":
      return { type: "thinking", thinking: "", signature: "" }
    case "tool_use":
      return { type: "tool_use", id: "toolu_01Fake", name: "look", input: {}, caller: { type: "direct" } }
  }
}

const citation = (cited_text: string) => ({
  type: "char_location",
  cited_text,
  document_index: 0,
  document_title: "Fables",
  start_char_index: 0,
  end_char_index: cited_text.length,
  file_id: null
})

/** A citation comes between two pieces of the text it is of. */
const deltasOf = (block: Block): ReadonlyArray<object> => {
  switch (block.type) {
    case "text": {
      const [first, ...others] = words(block.text).map((text) => ({ type: "text_delta", text }))
      const cites = block.cites === undefined ? [] : [{ type: "citations_delta", citation: citation(block.cites) }]
      return [...first === undefined ? [] : [first], ...cites, ...others]
    }
    case "thinking":
      return [
        ...words(block.thinking).map((thinking) => ({ type: "thinking_delta", thinking })),
        { type: "signature_delta", signature: "c2lnbmF0dXJl" }
      ]
    case "tool_use":
      return halves(JSON.stringify(block.input)).map((partial_json) => ({ type: "input_json_delta", partial_json }))
  }
}

/** The events of a message of these blocks, as the API writes them. */
const written = (blocks: ReadonlyArray<Block>): ReadonlyArray<string> => {
  const stopReason = blocks.some(({ type }) => type === "tool_use") ? "tool_use" : "end_turn"
  const frame = Faults.events("", { stopReason })
  return [
    ...frame.slice(0, 1),
    ...blocks.flatMap((block, index) => [
      Faults.event("content_block_start", { index, content_block: startOf(block) }),
      ...index === 0 ? [Faults.event("ping", {})] : [],
      ...deltasOf(block).map((delta) => Faults.event("content_block_delta", { index, delta })),
      Faults.event("content_block_stop", { index })
    ]),
    ...frame.slice(-2)
  ]
}

const kinds: ReadonlyArray<readonly [name: string, blocks: ReadonlyArray<Block>]> = [
  ["text", [{ type: "text", text: "Once there was a fox — 狐 — who said:  \"Hi\"\n\nto 👩‍👧." }]],
  ["thinking, then text", [
    { type: "thinking", thinking: "A fox, or a 狐?" },
    { type: "text", text: "A fox — 狐 — it is." }
  ]],
  ["text, then a tool", [
    { type: "text", text: "Let me look — 狐." },
    { type: "tool_use", input: { at: "the fox — 狐", deep: { n: 1 } } }
  ]],
  ["two texts with citations", [
    { type: "text", text: "The fox is red,", cites: "red — 狐" },
    { type: "text", text: " and the hen is white.", cites: "white" }
  ]]
]

const toolOnly: ReadonlyArray<Block> = [{ type: "tool_use", input: { at: "the fox" } }]

const textIn = (blocks: ReadonlyArray<Block>) => blocks.map((block) => block.type === "text" ? block.text : "").join("")
const bytesOf = (events: ReadonlyArray<string>) => new TextEncoder().encode(events.join(""))

const fromJson = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Unknown))
// What we wrote ourselves is an event.
const parsed = (event: string) => fromJson(event.slice(event.indexOf("data: ") + 6)) as Message.WireEvent
const isPing = (event: string) => event.startsWith("event: ping")

// -----------------------------------------------------------------------------
// Readers
// -----------------------------------------------------------------------------

interface Building {
  readonly start: Record<string, unknown>
  text: string
  thinking: string
  signature: string
  json: string
  citations: Array<unknown>
  stopped: boolean
}

/** Puts an answer together from its events, by nothing but what they say. */
const assembled = (events: ReadonlyArray<Message.Event>): ReadonlyArray<object> => {
  const blocks: Array<Building> = []
  for (const event of events) {
    switch (event.type) {
      case "restarted":
        blocks.length = 0
        break
      case "resumed":
        blocks.length = event.index + 1
        break
      case "content_block_start":
        assert.strictEqual(event.index, blocks.length, "a block comes after the one before it, and once")
        blocks.push({
          start: { ...event.content_block },
          text: "",
          thinking: "",
          signature: "",
          json: "",
          citations: [],
          stopped: false
        })
        break
      case "content_block_delta": {
        const block = blocks[event.index]
        assert.isDefined(block)
        const { delta } = event
        if (delta.type === "text_delta") block.text += delta.text
        if (delta.type === "thinking_delta") block.thinking += delta.thinking
        if (delta.type === "signature_delta") block.signature += delta.signature
        if (delta.type === "input_json_delta") block.json += delta.partial_json
        if (delta.type === "citations_delta") block.citations.push(delta.citation)
        break
      }
      case "content_block_stop": {
        const block = blocks[event.index]
        assert.isDefined(block)
        block.stopped = true
        break
      }
    }
  }
  return blocks.flatMap(({ citations, json, signature, start, stopped, text, thinking }): ReadonlyArray<object> => {
    switch (start["type"]) {
      case "text":
        return [{ ...start, text, citations: citations.length === 0 ? null : citations }]
      case "thinking":
        return [{ ...start, thinking, signature }]
      default:
        return stopped ? [{ ...start, input: fromJson(json) }] : []
    }
  })
}

const textOf = (events: ReadonlyArray<Message.Event>) =>
  events.map((event) =>
    event.type === "content_block_delta" && event.delta.type === "text_delta" ? event.delta.text : ""
  ).join("")

const toolsIn = (content: ReadonlyArray<object>) => content.flatMap((block) => "input" in block ? [block.input] : [])

/** What was given, what there is at the end, how it ended, and what was asked for it. */
const read = (playable: Faults.Playable, policy: Policy.Policy = {}, model = newer) =>
  Effect.gen(function*() {
    const events: Array<Message.Event> = []
    const running = yield* Claude.open("hi", { model }).pipe(
      Policy.apply(policy),
      Effect.flatMap(({ events: stream, reply }) =>
        Stream.runForEach(stream, (event) => Effect.sync(() => void events.push(event))).pipe(
          Effect.result,
          Effect.flatMap((end) => Effect.map(reply, (reply) => ({ end, reply })))
        )
      ),
      Effect.scoped,
      Effect.result,
      Effect.forkChild({ startImmediately: true })
    )
    if (running.pollUnsafe() === undefined) yield* TestClock.adjust("10 minutes")
    const result = yield* Fiber.join(running)
    const opened = Result.getOrUndefined(result)
    const end: Result.Result<void, ClaudeError.ClaudeError> = Result.flatMap(result, ({ end }) => end)
    return {
      events,
      reply: opened?.reply,
      error: Result.isFailure(end) ? end.failure : undefined,
      asked: (yield* FakeClaude.received).length
    }
  }).pipe(Effect.provide(FakeClaude.layer(playable).pipe(Layer.provide(CallLog.layerNone))))

/** The two ways in which a body can be too short, and how much of an event's end may be missing: the blank line. */
const ends = [["cut", 0, "Unreachable"], ["end", 2, "UnexpectedResponse"]] as const

/** A whole body, and what there is of it after so many bytes. */
const bodyOf = (blocks: ReadonlyArray<Block>) => {
  const lines = written(blocks)
  let length = 0
  const all = lines.map((line) => ({
    isPing: isPing(line),
    event: parsed(line),
    end: length += bytesOf([line]).length
  }))
  const whole = all.filter(({ isPing }) => !isPing)
  const bytes = bytesOf(lines)
  return {
    length,
    whole: whole.map(({ event }) => event),
    turn: Faults.stream(lines),
    cutAt: (at: number, end: Faults.End = "cut") => Faults.stream([bytes.slice(0, at)], { end }),
    arrived: (at: number, missing = 0): ReadonlyArray<Message.WireEvent> =>
      whole.filter(({ end }) => end - missing <= at).map(({ event }) => event),
    /** Everywhere before its end. */
    places: oneIn(13, Array.from({ length }, (_, at) => at))
  }
}

/** Whether they are the same. The difference is looked for only where there is one: it costs more than the stream. */
const same = (actual: unknown, expected: unknown, where: string) => {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) assert.deepStrictEqual(actual, expected, where)
}

const hasBegun = (events: ReadonlyArray<Message.WireEvent>) => events.some(({ type }) => type === "content_block_start")

// -----------------------------------------------------------------------------
// Cut at every byte
// -----------------------------------------------------------------------------

describe("a body that is cut at every byte, onBreak: fail", () => {
  for (const [name, blocks] of kinds) {
    for (const [end, missing, wire] of ends) {
      it.effect(`${name} (${end}): is whole, or fails with exactly what arrived`, () =>
        Effect.gen(function*() {
          const { arrived: arrivedAt, cutAt, length, places } = bodyOf(blocks)
          for (const at of [...places, length]) {
            const where = `cut at ${at} of ${length}`
            const { asked, error, events, reply } = yield* read([cutAt(at, end)], { onBreak: "fail" })
            const arrived = arrivedAt(at, missing)
            const isWhole = at >= length - missing
            assert.strictEqual(asked, 1, where)
            if (!hasBegun(arrived)) {
              assert.strictEqual(error?._tag, wire, where)
              same(events, [], where)
              assert.isFalse(error !== undefined && "text" in error, where)
              continue
            }
            same(events, arrived, where)
            same(reply?.message.content, assembled(arrived), where)
            same(reply?.toolUses.map(({ input }) => input), toolsIn(assembled(arrived)), where)
            if (isWhole) {
              assert.isUndefined(error, where)
              assert.strictEqual(reply?.text, textIn(blocks), where)
            } else if (error?._tag === "PartialAnswer") {
              assert.strictEqual(error.text && Redacted.value(error.text), textOf(arrived), where)
              same(error.blocks && Redacted.value(error.blocks), assembled(arrived), where)
              assert.strictEqual((error.cause as ClaudeError.ClaudeError)._tag, wire, where)
            } else {
              assert.fail(`${where}: ${error?._tag}`)
            }
          }
        }), 30_000)
    }
  }
})

const retry = Retry.backoff({ times: 3 })

describe("a body that is cut at every byte, onBreak: restart", () => {
  for (const [name, blocks] of [...kinds, ["a tool only", toolOnly] as const]) {
    it.effect(`${name}: what comes after the mark is the whole answer, and no more`, () =>
      Effect.gen(function*() {
        const { arrived: arrivedAt, cutAt, length, places, turn, whole } = bodyOf(blocks)
        for (const at of places) {
          const where = `cut at ${at} of ${length}`
          const turns = [cutAt(at), turn]
          const { asked, error, events, reply } = yield* read(turns, { onBreak: "restart", retry })
          const arrived = arrivedAt(at)
          assert.isUndefined(error, where)
          assert.strictEqual(asked, 2, where)
          const mark = { type: "restarted", attempt: 2, because: "PartialAnswer" } as const
          same(events, hasBegun(arrived) ? [...arrived, mark, ...whole] : whole, where)
          same(reply?.message.content, assembled(whole), where)
        }
      }), 30_000)
  }
})

/** A model that goes on as it is asked to: from where the assistant was, or by repeating the last words first. */
const goesOn = (blocks: ReadonlyArray<Block>, cut: Faults.Turn): Faults.Script => ({ index, params }) =>
  Effect.sync(() => index === 0 ? cut : Faults.stream(written(restOf(blocks, params))))

const restOf = (blocks: ReadonlyArray<Block>, params: Readonly<Record<string, unknown>>): ReadonlyArray<Block> => {
  const messages = params["messages"] as ReadonlyArray<{ readonly role: string; readonly content: unknown }>
  const begun = messages.findLast(({ role }) => role === "assistant")
  if (begun === undefined) return blocks
  const sent = begun.content as ReadonlyArray<Block>
  const last = /<last_words>\n([^]*)\n<\/last_words>/.exec(String(messages.at(-1)?.content))?.[1]
  assert.strictEqual(params["model"] === newer, last !== undefined, "each is asked in its own way")
  let said = textIn(sent).length
  const rest = blocks.flatMap((block): ReadonlyArray<Block> => {
    if (block.type !== "text") return block.type === "tool_use" ? [block] : []
    const text = block.text.slice(said)
    said = Math.max(0, said - block.text.length)
    return text === "" ? [] : [{ type: "text", text }]
  })
  if (last === undefined) return rest
  // One that repeats its last words does so where the next ones are, and thinks first if it thought before.
  const [first, ...others] = rest
  const thought = blocks.filter(({ type }) => type === "thinking")
  return first?.type === "text"
    ? [...thought, { type: "text", text: last + first.text }, ...others]
    : [...thought, { type: "text", text: last }, ...rest]
}

/** What is to come of an answer of which these events are here. */
const fate = (arrived: ReadonlyArray<Message.WireEvent>): "again" | "refused" | "resumed" => {
  if (!hasBegun(arrived)) return "again"
  const content = assembled(arrived)
  const isTool = arrived.some((event) =>
    event.type === "content_block_start" && event.content_block.type === "tool_use"
  )
  if (toolsIn(content).length > 0) return "refused"
  if (textOf(arrived).trim() !== "") return "resumed"
  return isTool || content.some((block) => "thinking" in block) ? "refused" : "again"
}

describe("a body that is cut at every byte, onBreak: resume", () => {
  for (const model of [older, newer]) {
    for (const [name, blocks] of [...kinds, ["a tool only", toolOnly] as const]) {
      it.effect(
        `${name}: ${model} goes on, and nothing is there twice; or it says why not`,
        () =>
          Effect.gen(function*() {
            const { arrived: arrivedAt, cutAt, length, places, whole } = bodyOf(blocks)
            const wholeTools = toolsIn(assembled(whole))
            const seen = new Set<string>()
            for (const at of places) {
              const where = `cut at ${at} of ${length}`
              const script = goesOn(blocks, cutAt(at))
              const { asked, error, events, reply } = yield* read(script, { onBreak: "resume", retry }, model)
              const arrived = arrivedAt(at)
              const expected = fate(arrived)
              seen.add(expected)
              assert.strictEqual(asked, expected === "refused" ? 1 : 2, `${where}: ${error?.detail}`)
              // What the reader has is what the answer says that it has.
              if (reply !== undefined) {
                same(reply.message.content, assembled(events), where)
              }
              if (expected === "refused") {
                assert.strictEqual(error?._tag, "PartialAnswer", where)
                assert.match(error?.detail ?? "", /cannot be resumed: \w+/, where)
                same(events, arrived, where)
                continue
              }
              assert.isUndefined(error, where)
              if (expected === "resumed") {
                const marks = events.filter(({ type }) => type === "resumed" || type === "restarted")
                assert.deepStrictEqual(marks.map(({ type }) => type), ["resumed"], where)
                assert.strictEqual(textOf(events), textIn(blocks), where)
                assert.lengthOf(events.filter(({ type }) => type === "message_start"), 1, where)
              }
              assert.lengthOf(events.filter(({ type }) => type === "message_stop"), 1, where)
              assert.strictEqual(reply?.text, textIn(blocks), where)
              same(reply?.toolUses.map(({ input }) => input), wholeTools, where)
            }
            assert.deepStrictEqual([...seen].toSorted(), fates[name] ?? ["again", "resumed"])
          }),
        30_000
      )
    }
  }
})

const fates: Readonly<Record<string, ReadonlyArray<string>>> = {
  "thinking, then text": ["again", "refused", "resumed"],
  "text, then a tool": ["again", "refused", "resumed"],
  "a tool only": ["again", "refused"]
}

// -----------------------------------------------------------------------------
// Real sockets
// -----------------------------------------------------------------------------

const client = (url: string, connections: number) =>
  NodeAnthropic.layer({ apiKey: "sk-ant-test", baseUrl: url, connections }).pipe(Layer.provide(CallLog.layerNone))

/** Looks again until it holds, or for so many milliseconds. */
const until = <E, R>(
  holds: Effect.Effect<boolean, E, R>,
  within: number,
  what: string
): Effect.Effect<void, E, R> =>
  Effect.flatMap(holds, (yes) => {
    if (yes) return Effect.void
    assert.isAbove(within, 0, what)
    return Effect.andThen(Effect.sleep("10 millis"), until(holds, within - 10, what))
  })

const story = "Once upon a time there was a fox, and a hen, and a 狐, and nobody was eaten. The end, dear reader."

/** What there is to say for a request: all, or what is missing. */
const toSay = (params: Readonly<Record<string, unknown>>) => textIn(restOf([{ type: "text", text: story }], params))

const half = (text: string) => text.slice(0, Math.ceil(text.length / 2)).replace(/[\uD800-\uDBFF]$/, "")

const troublesOf = (text: string) =>
  Faults.random({
    seed: "a thousand streams",
    otherwise: Faults.answer(text),
    faults: [
      [0.05, Faults.reset],
      [0.05, Faults.breaks(half(text), "reset")],
      [0.06, Faults.breaks(half(text), "cut")],
      [0.05, Faults.breaks(half(text), "end")],
      [0.05, Faults.errorAfter(half(text))],
      [0.04, Faults.errorAfter("")],
      [0.02, Faults.breaks(half(text), "silence")],
      [0.02, Faults.pings(half(text), "100 millis")],
      [0.005, Faults.silence],
      [0.03, Faults.garbage],
      [0.05, Faults.overloaded],
      [0.05, Faults.drip(Faults.answer(text), 100)],
      [0.05, Faults.answer(text, { every: "5 millis" })],
      [0.05, Faults.lingers(text)]
    ]
  })

/** Built once for each text: bodies cost more than to send them. */
const built = new Map<string, Faults.Script>()

const troubles: Faults.Script = (question) => {
  const text = toSay(question.params)
  const script = built.get(text) ?? troublesOf(text)
  built.set(text, script)
  return script(question)
}

/** So many streams at once: how each ended, and how many requests that took. Nothing of it is left. */
const crowd = (count: number) =>
  Effect.gen(function*() {
    const server = yield* FakeServer.FakeServer
    // Long enough for a machine that has a thousand other things to do.
    const limits = {
      connect: "10 seconds",
      firstToken: "10 seconds",
      idle: "2 seconds",
      contentIdle: "3 seconds"
    } as const
    const policies = (["resume", "restart"] as const).map((onBreak): Policy.Policy => ({
      ...limits,
      onBreak,
      retry: Retry.backoff({ times: 3, base: "50 millis" })
    }))
    const one = (i: number) => {
      let said = ""
      const isSlow = i % 10 === 0
      return Claude.events("hi", { model: i % 4 < 2 ? newer : older }).pipe(
        Policy.applyStream(policies[i % 2] ?? {}),
        Stream.runForEach((event) => {
          said = event.type === "restarted" ? "" : said + textOf([event])
          return isSlow ? Effect.sleep("10 millis") : Effect.void
        }),
        Effect.result,
        Effect.timeout("2 minutes"),
        Effect.map((end) => {
          if (Result.isSuccess(end)) {
            assert.strictEqual(said, story, `stream ${i}`)
            return "whole"
          }
          assert.isTrue(ClaudeError.is(end.failure), `stream ${i}`)
          // What was shown of one that broke is a beginning of it.
          assert.isTrue(story.startsWith(said), `stream ${i}: ${said}`)
          return end.failure._tag
        })
      )
    }
    const tally = yield* Effect.forEach(Array.from({ length: count }, (_, i) => i), one, { concurrency: "unbounded" })
      .pipe(
        // Nothing is left open for the layer to close.
        Effect.tap(until(
          Effect.map(server.received, (all) => all.every(({ closedAt }) => closedAt !== undefined)),
          20_000,
          "a response was left open"
        )),
        Effect.provide(client(server.url, count))
      )
    const requests = yield* server.received
    assert.isFalse(requests.some(({ refused }) => refused))
    yield* until(Effect.map(server.openSockets, (open) => open === 0), 20_000, "a socket was left open")
    return {
      tally,
      requests: requests.length,
      resumed: requests.some(({ params }) => JSON.stringify(params).includes("last_words"))
    }
  }).pipe(Effect.provide(FakeServer.layer(troubles)))

/** Megabytes in use, when all that can go has gone. */
const heap = Effect.gen(function*() {
  for (let i = 0; i < 3; i++) {
    // What was just closed is let go of by timers and callbacks of Node's.
    yield* Effect.sleep("200 millis")
    collectGarbage()
  }
  const { external, heapUsed } = process.memoryUsage()
  return (heapUsed + external) / 1e6
})

// Node has it where it was started with this flag; a new context has it once the flag is set.
v8.setFlagsFromString("--expose-gc")
const collectGarbage = vm.runInNewContext("gc") as () => void

describeLong("a thousand streams at once", () => {
  it.live("end in the answer or in a tag, and leave no socket and no memory behind", () =>
    Effect.gen(function*() {
      // Compiled code, and tables that are made when they are first needed, are not counted.
      yield* crowd(200)
      const before = yield* heap
      const { requests, resumed, tally } = yield* crowd(1000)
      const after = yield* heap
      assert.lengthOf(tally, 1000)
      assert.isAbove(tally.filter((end) => end === "whole").length, 100, JSON.stringify([...new Set(tally)]))
      assert.isAbove(requests, 1000)
      assert.isTrue(resumed)
      assert.isBelow(after - before, 10, "megabytes")
    }), 300_000)
})

const wires = [
  ["undici", (url: string) => client(url, 1)],
  [
    "fetch",
    (url: string) => Layer.provide(Anthropic.layer({ apiKey: "sk-ant-test", baseUrl: url }), CallLog.layerNone)
  ]
] as const

describe("a slow reader", () => {
  for (const [name, wire] of effort<ReadonlyArray<typeof wires[number]>>(wires, wires.slice(0, 1))) {
    it.live(
      `holds back a server at full speed, fills no memory, and is no slow model (${name})`,
      () => {
        const total = 64_000_000
        const piece = Faults.event("content_block_delta", {
          index: 0,
          delta: { type: "text_delta", text: "x".repeat(15_900) }
        })
        let sent = 0
        // A piece that notes when the server takes it.
        const noted: Faults.Piece = {
          after: 0,
          get bytes() {
            sent += piece.length
            return piece
          }
        }
        const [start = "", block = "", ...rest] = written([{ type: "text", text: "" }])
        const plain = Faults.stream([start, block])
        const body = [
          ...plain.body,
          ...Array.from({ length: Math.ceil(total / piece.length) }, () => noted),
          ...Faults.stream(rest).body
        ]
        return Effect.gen(function*() {
          const server = yield* FakeServer.FakeServer
          let read = 0
          const reader = yield* Claude.events("hi").pipe(
            Policy.applyStream({ idle: "1500 millis", contentIdle: "1500 millis" }),
            Stream.runForEach(() => {
              read++
              return Effect.sleep("100 millis")
            }),
            Effect.forkChild
          )
          yield* until(Effect.sync(() => read > 0), 5000, "nothing came")
          yield* Effect.sleep("1 second")
          const [before] = yield* server.received
          assert.isDefined(before)
          assert.isUndefined(before.closedAt)
          assert.isFalse(before.complete)
          const early = sent
          // What two sockets of the operating system hold, at most: ours hold a hundredth of it.
          assert.isBelow(early, total / 4, "more than sockets hold was sent")
          assert.isBelow(read, 20)
          const held = yield* heap

          // It goes on for as long as one likes, and takes no more from the server than it reads, give or take a buffer.
          yield* Effect.sleep("2 seconds")
          assert.isUndefined(reader.pollUnsafe(), "a slow reader is not a slow model")
          assert.isAbove(read, 10)
          assert.isBelow(sent - early, 4_000_000)
          assert.isBelow((yield* heap) - held, 2, "megabytes")

          const left = performance.now()
          yield* Fiber.interrupt(reader)
          assert.isBelow(performance.now() - left, 5000)
          yield* until(
            Effect.map(server.received, ([request]) => request?.closedAt !== undefined),
            10_000,
            "the socket was not closed"
          )
          assert.isFalse(before.complete)
          const after = sent
          yield* Effect.sleep("100 millis")
          assert.strictEqual(sent, after, "nothing is sent to nobody")
        }).pipe(
          Effect.provide(
            Layer.unwrap(Effect.map(FakeServer.FakeServer, ({ url }) => wire(url))).pipe(
              Layer.provideMerge(FakeServer.layer([{ ...plain, body }]))
            )
          )
        )
      },
      60_000
    )
  }
})
