import { assert, describe, it } from "@effect/vitest"
import * as Sse from "../../src/wire/sse.ts"

const encoder = new TextEncoder()

/** Reads a body in chunks of `size` bytes. Returns its events, and the problem that ended it. */
const read = (body: string | Uint8Array, size = Infinity) => {
  const decoder = Sse.make()
  const bytes = typeof body === "string" ? encoder.encode(body) : body
  const events: Array<unknown> = []
  for (let at = 0; at < bytes.length; at += size) events.push(...decoder.push(bytes.slice(at, at + size)))
  events.push(...decoder.push(undefined))
  return { events, problem: decoder.problem() }
}

const a = { type: "a", text: "Zürich 東京 🚀" }
const b = { type: "b" }
const line = (event: object) => `data: ${JSON.stringify(event)}\n\n`
const two = line(a) + line(b)

describe("events", () => {
  it("are returned as soon as they are complete", () => {
    const decoder = Sse.make()
    assert.deepStrictEqual(decoder.push(encoder.encode("data: {\"type\":")), [])
    assert.deepStrictEqual(decoder.push(encoder.encode("\"a\"}\n")), [])
    assert.deepStrictEqual(decoder.push(encoder.encode("\n" + two)) as ReadonlyArray<unknown>, [{ type: "a" }, a, b])
    assert.deepStrictEqual(decoder.push(undefined), [])
    assert.isUndefined(decoder.problem())
  })

  it("are the same in chunks of any size, even if a chunk ends within a line or a character", () => {
    for (let size = 1; size <= encoder.encode(two).length; size++) {
      assert.deepStrictEqual(read(two, size), { events: [a, b], problem: undefined })
    }
  })

  it.each([
    ["CRLF line ends", two.replaceAll("\n", "\r\n")],
    ["CR line ends", two.replaceAll("\n", "\r")],
    ["mixed line ends", `data: ${JSON.stringify(a)}\r\n\ndata: ${JSON.stringify(b)}\r\r\n`],
    ["comments", `: hello\n\n:\n${two}`],
    ["other SSE fields", `id: 7\nretry: 10\nfoo: bar\nbaz\n${two}`],
    ["an event that has only a retry field", `retry: 10\n\n${two}`],
    ["event names that are not the types", `event: whatever\n${two}`],
    ["an event name without data", `event: whatever\n\n${two}`],
    ["data in several lines", line(a).replace("{", "{\ndata:").replace(":{\ndata:", ": {\ndata:") + line(b)],
    ["no space after the colons", two.replaceAll("data: ", "data:")],
    ["a byte order mark", `\uFEFF${two}`],
    ["trailing spaces", two.replaceAll("}\n", "      }\n")],
    ["empty data", `data:\n\n${line(a)}event: ping\ndata: \n\n${line(b)}`],
    ["data without content", `data: {}\n\n${line(a)}data: null\n\ndata: []\n\ndata: 7\n\ndata: 12:01\n\n${line(b)}`],
    ["pings between the events", `event: ping\ndata: {"type": "ping"}\n\n${line(a)}${line({ type: "ping" })}${line(b)}`]
  ])("are read from a body with %s", (_, body) => {
    for (const size of [1, 2, 7, Infinity]) {
      assert.deepStrictEqual(read(body, size), { events: [a, b], problem: undefined })
    }
  })

  const named = (event: { readonly type: string }) => `event: ${event.type}\n${line(event)}`

  it.each([
    ["alone", named(a) + named(b), [a, b]],
    ["with pings", named(a) + named({ type: "ping" }) + named(b), [a, b]],
    ["and then in another notation", named(a) + line(b) + named(a), [a, b, a]],
    ["and then with other line ends", named(a) + named(b).replaceAll("\n", "\r\n") + named(a), [a, b, a]],
    ["and then with data in several lines", named(a) + named(b).replace("{", "{\ndata:") + named(a), [a, b, a]],
    ["and then with a name without data", `${named(a)}event: b\n\n${named(b)}`, [a, b]],
    ["and then with a comment", `${named(a)}: hello\n\n${named(b)}`, [a, b]],
    ["and then with a misplaced byte order mark, which drops the event after it", `${named(a)}\uFEFF${line(b)}`, [a]],
    ["without the last blank line", named(a) + named(b).trimEnd(), [a, b]],
    ["without the end of the last event, which is dropped", named(a) + named(b).slice(0, -6), [a]]
  ])("written as an `event:` line and a `data:` line %s are read from chunks of any size", (_, body, events) => {
    for (let size = 1; size <= encoder.encode(body).length; size++) {
      assert.deepStrictEqual(read(body, size), { events, problem: undefined })
    }
  })

  it("written as an `event:` line and a `data:` line may have 200,000 characters", () => {
    const long = { type: "long", text: "x".repeat(200_000) }
    assert.deepStrictEqual(read(named(a) + named(long) + named(b), 1000).events, [a, long, b])
  })

  it("written as an `event:` line and a `data:` line end at an error event or an invalid event", () => {
    for (const size of [1, 7, Infinity]) {
      assert.deepStrictEqual(read(`${named(a)}event: error\ndata: busy\n\n${named(b)}`, size), {
        events: [a],
        problem: { error: "busy" }
      })
      assert.deepStrictEqual(read(`${named(a)}event: b\ndata: {1}\n\n${named(b)}`, size), {
        events: [a],
        problem: { malformed: "an event that is not a JSON object with a type" }
      })
      const error = { type: "error", error: { type: "overloaded_error" } }
      assert.deepStrictEqual(read(named(a) + named(error) + named(b), size), { events: [a], problem: { error } })
    }
  })

  it("of a message may have their type only in the event name", () => {
    for (const size of [1, Infinity]) {
      assert.deepStrictEqual(read("event: message_stop\ndata: {}\n\n", size).events, [{ type: "message_stop" }])
    }
  })

  it("of unknown types are returned", () => {
    assert.deepStrictEqual(read(line({ type: "brand_new", news: [1] })).events, [{ type: "brand_new", news: [1] }])
  })
})

describe("the end of the body", () => {
  it("completes an event without its blank line", () => {
    assert.deepStrictEqual(read(two.trimEnd()), { events: [a, b], problem: undefined })
    assert.deepStrictEqual(read(two.slice(0, -1)), { events: [a, b], problem: undefined })
  })

  it("drops an incomplete event and reports no problem, because the reader notices the incomplete message", () => {
    for (let length = line(a).length + 1; length < two.trimEnd().length; length++) {
      assert.deepStrictEqual(read(two.slice(0, length)), { events: [a], problem: undefined })
    }
  })

  it("drops an incomplete character and reports no problem", () => {
    const bytes = encoder.encode(`${line(b)}: 🚀`)
    assert.deepStrictEqual(read(bytes.slice(0, -1)), { events: [b], problem: undefined })
  })

  it("completes an error event without its blank line", () => {
    const error = { type: "error", error: { type: "overloaded_error" } }
    assert.deepStrictEqual(read(line(error).trimEnd()), { events: [], problem: { error } })
  })
})

describe("a problem", () => {
  const error = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } }
  const noType = { malformed: "an event that is not a JSON object with a type" }

  it.each([
    ["an error event", `event: error\n${line(error)}`, { error }],
    ["an error event with another name", `event: oops\n${line(error)}`, { error }],
    ["an error event without a name", line(error), { error }],
    ["an error event without an error object", line({ type: "error" }), { error: { type: "error" } }],
    ["an error event that is not JSON", "event: error\ndata: busy\n\n", { error: "busy" }],
    ["an error without an event name and a type", "data: {\"error\":\"busy\"}\n\n", { error: { error: "busy" } }],
    ["invalid JSON", "data: {secret}\n\n", noType],
    ["a list of events", `data: [${JSON.stringify(b)}]\n\n`, noType],
    ["a delta event that is not JSON", "event: content_block_delta\ndata: secret\n\n", noType],
    ["a type that is not a string", "data: {\"type\": 7}\n\n", noType]
  ])("such as %s ends the stream: later events are dropped", (_, bad, problem) => {
    for (const size of [1, 7, Infinity]) {
      const found = read(line(a) + bad + line(b) + bad, size)
      assert.deepStrictEqual(found, { events: [a], problem })
      assert.notInclude(JSON.stringify(found.problem), "secret")
    }
  })

  it("such as invalid UTF-8 ends the stream, because a replaced character would change the answer", () => {
    for (const bad of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80]]) {
      const decoder = Sse.make()
      assert.deepStrictEqual(decoder.push(encoder.encode(line(a))) as ReadonlyArray<unknown>, [a])
      assert.deepStrictEqual(decoder.push(new Uint8Array(bad)), [])
      assert.deepStrictEqual(decoder.problem(), { malformed: "bytes that are not UTF-8" })
      assert.deepStrictEqual(decoder.push(encoder.encode(line(b))), [])
      assert.deepStrictEqual(decoder.push(undefined), [])
    }
  })

  it("such as an event larger than 10 MiB ends the stream before the event fills the memory", () => {
    const decoder = Sse.make()
    const mebibyte = encoder.encode("x".repeat(2 ** 20))
    decoder.push(encoder.encode("data: "))
    for (let i = 0; i < 10; i++) {
      assert.isUndefined(decoder.problem())
      decoder.push(mebibyte)
    }
    decoder.push(mebibyte)
    assert.deepStrictEqual(decoder.problem(), { malformed: "an event larger than 10 MiB" })
  })

  it("is not caused by an event of 5 MiB", () => {
    const large = { type: "a", text: "x".repeat(5 * 2 ** 20) }
    assert.deepStrictEqual(read(line(large), 2 ** 16).events, [large])
  })
})
