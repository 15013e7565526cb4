/** Streams and readers for tests: hand-written events, readers, and servers on sockets. */
import { assert } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as v8 from "node:v8"
import * as vm from "node:vm"
import { CallLog, Claude, type Message, Policy } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import { FakeClaude, Faults } from "../../src/testing/index.ts"

export const newer = "claude-sonnet-5-5"
export const older = "claude-haiku-4-5"

// -----------------------------------------------------------------------------
// Messages
// -----------------------------------------------------------------------------

export const user = (content: unknown) => ({ role: "user", content })
export const assistant = (...content: ReadonlyArray<unknown>) => ({ role: "assistant", content })
export const text = (text: string) => ({ type: "text", text, citations: null })

// -----------------------------------------------------------------------------
// Events
// -----------------------------------------------------------------------------

export const started = (index: number, content_block: object) =>
  Faults.event("content_block_start", { index, content_block })
export const added = (index: number, delta: object) => Faults.event("content_block_delta", { index, delta })
export const stopped = (index: number) => Faults.event("content_block_stop", { index })

/** Adds the events that begin and end a complete answer. */
export const framed = (events: ReadonlyArray<string>, stopReason = "end_turn"): ReadonlyArray<string> => {
  const [start = "", ...end] = Faults.events("", { stopReason })
  return [start, ...events, ...end]
}

/** A stream that begins with these events, and whose connection then closes. */
export const cut = (...events: ReadonlyArray<string>) => Faults.stream(framed(events).slice(0, -2), { end: "cut" })

/** Events with unknown types among them; the last block is not stopped. */
export const unknownKinds = [
  Faults.event("tea_time", { of: "day" }),
  started(0, { type: "hologram", colour: "blue" }),
  added(0, { type: "hologram_delta", turn: 1 }),
  stopped(0),
  started(1, text("")),
  added(1, { type: "text_delta", text: "" }),
  added(1, { type: "text_delta", text: "Look" }),
  added(1, { type: "gloss_delta", gloss: "!" })
]

/** An answer in text deltas of `size` characters. */
export const spelled = (words: string, size: number) =>
  Faults.stream(framed([
    started(0, text("")),
    ...Array.from({ length: Math.ceil(words.length / size) }, (_, i) =>
      added(0, { type: "text_delta", text: words.slice(i * size, (i + 1) * size) })),
    stopped(0)
  ]))

// -----------------------------------------------------------------------------
// Readers
// -----------------------------------------------------------------------------

/** The number of requests sent. */
export const asked = Effect.map(FakeClaude.received, (all) => all.length)

export const textOf = (events: ReadonlyArray<Message.Event>) =>
  events.map((event) =>
    event.type === "content_block_delta" && event.delta.type === "text_delta" ? event.delta.text : ""
  ).join("")

/** The text that a reader shows if it handles restarts and resumes. */
export const shownOf = (events: ReadonlyArray<Message.Event>) =>
  textOf(events.slice(events.findLastIndex(({ type }) => type === "restarted") + 1))

/** The types of the events; for a delta, the type of the delta. */
export const kindsOf = (events: ReadonlyArray<Message.Event>): ReadonlyArray<string> =>
  events.map((event) => event.type === "content_block_delta" ? event.delta.type : event.type)

export const marksOf = (events: ReadonlyArray<Message.Event>) =>
  events.map(({ type }) => type).filter((type) => type === "restarted" || type === "resumed")

/** Reads a stream to its end in virtual time. Returns its events, and its error if it fails. */
export const read = (policy: Policy.Policy, options?: Claude.Options) =>
  Effect.gen(function*() {
    const events: Array<Message.Event> = []
    const running = yield* Claude.events("hi", options).pipe(
      Policy.applyStream(policy),
      Stream.runForEach((event) => Effect.sync(() => void events.push(event))),
      Effect.result,
      Effect.forkChild
    )
    yield* TestClock.adjust("10 minutes")
    const result = yield* Fiber.join(running)
    const error = result._tag === "Failure" ? result.failure : undefined
    return { events, error, shown: shownOf(events), marks: marksOf(events) }
  })

// -----------------------------------------------------------------------------
// Sockets
// -----------------------------------------------------------------------------

export const client = (url: string, connections: number) =>
  NodeAnthropic.layer({ apiKey: "sk-ant-test", baseUrl: url, connections }).pipe(Layer.provide(CallLog.layerNoop))

/** Polls until the condition holds, for at most `within` milliseconds. */
export const until = <E, R>(
  holds: Effect.Effect<boolean, E, R>,
  within: number,
  what: string
): Effect.Effect<void, E, R> =>
  Effect.flatMap(holds, (yes) => {
    if (yes) return Effect.void
    assert.isAbove(within, 0, what)
    return Effect.andThen(Effect.sleep("10 millis"), until(holds, within - 10, what))
  })

/** Megabytes in use after garbage collection. */
export const heap = Effect.gen(function*() {
  for (let i = 0; i < 3; i++) {
    // Timers and callbacks of Node release closed sockets late.
    yield* Effect.sleep("200 millis")
    collectGarbage()
  }
  const { external, heapUsed } = process.memoryUsage()
  return (heapUsed + external) / 1e6
})

// gc exists in a new context once the flag is set, even if Node was started without it.
v8.setFlagsFromString("--expose-gc")
const collectGarbage = vm.runInNewContext("gc") as () => void
