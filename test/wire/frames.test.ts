/** Generated answers are read unchanged, even if a gateway or proxy changes their SSE frames, chunks or encoding. */
import type { RawMessageDeltaEvent } from "@anthropic-ai/sdk/resources/messages"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Stream } from "effect"
import { Readable } from "node:stream"
import { merged } from "../../src/answer/messageHead.ts"
import { Anthropic, CallLog, Claude, type Message } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { FakeServer, Faults } from "../../src/testing/index.ts"
import { decoderOf } from "../../src/wire/contentEncoding.ts"
import { runs } from "../support/effort.ts"
import { type Case, cases, example, frames, type Sent, toSent } from "../support/frames.ts"
import { encodings, manners } from "../support/manners.ts"
import { textOf } from "../support/streams.ts"

const seed = process.env["SEED"] ?? "resilient-claude"
const often = (all: number) => ({ arbitrary: { runs: runs(all), seed }, timeout: 600_000 })

const apiKey = "sk-ant-test"
const quiet = Layer.provide(CallLog.layerNoop)

/** A wire whose `fetch` returns the same response to every request, decompressed like a real `fetch` does. */
const inMemory = ({ chunks, headers, messageStop }: Sent) =>
  Anthropic.layer({
    apiKey,
    messageStop,
    fetch: () => {
      const decode = decoderOf(headers["content-encoding"])
      const start = async (body: ReadableStreamDefaultController) => {
        for await (const chunk of decode === undefined ? chunks : decode(Readable.from(chunks))) body.enqueue(chunk)
        body.close()
      }
      return Promise.resolve(new Response(new ReadableStream({ start }), { headers }))
    }
  }).pipe(quiet)

/** The expected message: the blocks of the answer, with the fields of its `message_start` and `message_delta`. */
const messageOf = ({ content, events }: Case["answer"]) => {
  // The casts are safe, because the events have the API's types.
  const [start] = events as ReadonlyArray<object> as ReadonlyArray<{ readonly message: Message.Reply["message"] }>
  const change = events.at(-2) as object as RawMessageDeltaEvent
  return { ...merged("", start?.message, [change]), content }
}

/** Checks that a reply and, for a stream, the text of its events are the same as the answer. */
const isSame = ({ message, text }: Message.Reply, answer: Case["answer"], streamed = text) => {
  assert.deepStrictEqual<unknown>(message, messageOf(answer))
  const texts = answer.content.map((block) => "text" in block ? block.text : "")
  assert.deepStrictEqual([text, streamed], [texts.join(""), texts.join("")])
}

/** Checks an answer that is read as a stream. */
const streams = ({ answer }: Case) =>
  Effect.gen(function*() {
    const { events, reply } = yield* Claude.open("hi")
    const streamed = textOf(yield* Stream.runCollect(events))
    isSame(yield* reply, answer, streamed)
  }).pipe(Effect.scoped)

/** Checks an answer that is read without a stream. */
const replies = ({ answer }: Case) => Effect.map(Claude.message("hi"), (reply) => isSame(reply, answer))

describe("an answer is read unchanged from", () => {
  const inMemoryOnly = (one: Case) => Effect.provide(streams(one), inMemory(toSent(one)))

  it.effect.each(manners)("a response in memory: $name", (manner) => inMemoryOnly({ ...example, manners: [manner] }))

  it.effect.each(frames)(
    "a response in memory with the frame %j before each event and at the end",
    (frame) => inMemoryOnly({ ...example, frames: [...example.answer.events, 0].map((_, at) => [at, frame]) })
  )

  it.effect.each(encodings)(
    "a response in memory with content-encoding: %s",
    (encoding) => inMemoryOnly({ ...example, encoding })
  )

  it.effect.prop(
    "generated responses in memory",
    { one: cases },
    ({ one }) => inMemoryOnly(one),
    often(16_000)
  )

  const wires: ReadonlyArray<
    readonly [
      name: string,
      layer: (options: Pick<Anthropic.Options, "baseUrl" | "messageStop">) => Layer.Layer<Claude.Claude>
    ]
  > = [
    ["NodeAnthropic", (options) => NodeAnthropic.layer({ apiKey, ...options })],
    ["Anthropic", (options) => Anthropic.layer({ apiKey, ...options })]
  ]

  for (const [name, layer] of wires) {
    it.live.prop(`generated responses over a socket of ${name}`, { one: cases }, ({ one }) => {
      const { chunks, headers, messageStop } = toSent(one)
      const turn: Faults.Turn = { ...Faults.stream(chunks), head: { status: 200, headers, api: true } }
      return Effect.flatMap(
        FakeServer.FakeServer,
        ({ url }) =>
          Effect.provide(Effect.andThen(replies(one), streams(one)), layer({ baseUrl: url, messageStop }).pipe(quiet))
      ).pipe(Effect.provide(FakeServer.layer([turn, turn])))
    }, often(1200))
  }
})
