/** The relay example over HTTP: the events that the browser gets, and the requests to Claude. */
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Schema, type Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { execFile } from "node:child_process"
import { createServer } from "node:http"
import * as path from "node:path"
import { promisify } from "node:util"
import { runInNewContext } from "node:vm"
import * as Relay from "../examples/15-relay.ts"
import { CallLog, type Policy, Retry } from "../src/index.ts"
import * as NodeAnthropic from "../src/NodeAnthropic.ts"
import { FakeServer, Faults } from "../src/testing/index.ts"

// -----------------------------------------------------------------------------
// Browser, relay, Claude
// -----------------------------------------------------------------------------

/** The address of the relay. */
class Site extends Context.Service<Site, string>()("test/Site") {}

const soon = Retry.backoff({ times: 2, base: "20 millis" })

/** A relay between a reader and a fake Claude that plays a script. */
const world = (
  turns: Faults.Playable,
  policy: Policy.Policy = {},
  heartbeat: Relay.Options["heartbeat"] = "1 minute"
) => {
  const claude = Layer.unwrap(
    Effect.map(
      FakeServer.FakeServer,
      ({ url }) => NodeAnthropic.layer({ apiKey: "sk-ant-test", baseUrl: url, connections: 10 })
    )
  )
  const site = Layer.effect(Site, HttpServer.addressFormattedWith((address) => Effect.succeed(address)))
  const served = HttpRouter.serve(Relay.routes({ policy: { retry: soon, ...policy }, heartbeat }), {
    disableLogger: true,
    disableListenLog: true
  })
  return Layer.mergeAll(site, served).pipe(
    Layer.provide(NodeHttpServer.layer(createServer, {
      host: "127.0.0.1",
      port: 0,
      gracefulShutdownTimeout: "100 millis"
    })),
    Layer.provide(claude),
    Layer.provideMerge(FakeServer.layer(turns)),
    Layer.provide(CallLog.layerNoop)
  )
}

const fromJson = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))

/** A reader of the relay's response, with the events and comments that have arrived completely. */
interface Reader {
  readonly status: number
  readonly body: () => string
  readonly kinds: () => ReadonlyArray<string>
  /** The text that the page shows. */
  readonly shown: () => string
  readonly last: () => Readonly<Record<string, unknown>> | undefined
  /** Succeeds when the response has ended, even if it failed. */
  readonly over: Effect.Effect<void>
  readonly leave: Effect.Effect<void>
}

const ask = (
  question: unknown = { question: "hi" },
  type = "application/json"
): Effect.Effect<Reader, never, Site | Scope.Scope> =>
  Effect.gen(function*() {
    const url = yield* Site
    const controller = new AbortController()
    yield* Effect.addFinalizer(() => Effect.sync(() => controller.abort()))
    const response = yield* Effect.promise(() =>
      fetch(`${url}/answer`, {
        method: "POST",
        headers: { "content-type": type },
        body: JSON.stringify(question),
        signal: controller.signal
      })
    )
    let body = ""
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    const read = async () => {
      for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) body += next.value
    }
    const over = yield* Effect.forkScoped(Effect.ignore(Effect.tryPromise(read)))
    const events = () =>
      body.split("\n\n").slice(0, -1).map((block) => {
        const [, kind = ":", data = "{}"] = /^event: (.*)\ndata: (.*)$/.exec(block) ?? []
        return { kind, data: fromJson(data) }
      })
    return {
      status: response.status,
      body: () => body,
      kinds: () => events().map(({ kind }) => kind),
      shown: () =>
        events().reduce(
          (shown, { data, kind }) => kind === "text" ? shown + String(data["text"]) : kind === "restarted" ? "" : shown,
          ""
        ),
      last: () => events().at(-1)?.data,
      over: Fiber.await(over).pipe(Effect.timeout("20 seconds"), Effect.orDie, Effect.asVoid),
      leave: Effect.sync(() => controller.abort())
    }
  })

const sse = (event: string, data: object) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`

/** Runs the page's script with a question whose answer has these events. `after` says how the connection ends. */
const visit = (events: ReadonlyArray<string>, after: "end" | "reset" | "stop" = "end") =>
  Effect.gen(function*() {
    const url = yield* Site
    const html = yield* Effect.promise(async () => (await fetch(url)).text())
    const [, script = assert.fail("no script")] = /<script type="module">(.*)<\/script>/s.exec(html) ?? []
    const part = () => ({ className: "", textContent: "", disabled: false, question: { value: "hi" } })
    const parts: Record<string, ReturnType<typeof part> & Record<"onclick" | "onsubmit", (event: object) => unknown>> =
      {}
    const answer = (_: string, { signal }: { readonly signal: AbortSignal }) => {
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          signal.addEventListener("abort", () => controller.error(new Error("it was aborted")))
          for (const event of events) controller.enqueue(new TextEncoder().encode(event))
          if (after === "end") controller.close()
          // Wait until the page has read the events.
          if (after === "reset") setTimeout(() => controller.error(new Error("network error")), 50)
          if (after === "stop") setTimeout(() => parts["#stop"]?.onclick({}), 50)
        }
      })
      return Promise.resolve(new Response(body))
    }
    const document = {
      querySelector: (name: string) => parts[name] ??= Object.assign(part(), { onclick: () => {}, onsubmit: () => {} })
    }
    runInNewContext(script, { document, fetch: answer, AbortController, TextDecoderStream })
    yield* Effect.promise(async () => parts["form"]?.onsubmit({ preventDefault: () => {} }))
    return {
      shown: () => ({
        answer: parts["#answer"]?.textContent,
        state: parts["#state"]?.textContent,
        kind: parts["#state"]?.className
      })
    }
  })

/** Polls until a condition holds, for at most ten seconds. */
const until = <E, R>(what: string, holds: Effect.Effect<boolean, E, R>, left = 500): Effect.Effect<void, E, R> =>
  Effect.flatMap(holds, (yes) => {
    if (yes) return Effect.void
    assert.isAbove(left, 0, what)
    return Effect.andThen(Effect.sleep("20 millis"), until(what, holds, left - 1))
  })

const closed = Effect.flatMap(
  FakeServer.FakeServer,
  ({ received }) => Effect.map(received, (all) => all.length > 0 && all.every(({ closedAt }) => closedAt !== undefined))
)

const asked = Effect.flatMap(FakeServer.FakeServer, ({ received }) => Effect.map(received, (all) => all.length))

/** The kinds of a reader's events, without comments. */
const events = (reader: Reader) => reader.kinds().filter((kind) => kind !== ":")

// -----------------------------------------------------------------------------
// Events for the reader
// -----------------------------------------------------------------------------

describe("the relay", () => {
  it.live("sends all text of an answer, and then one end event", () =>
    Effect.gen(function*() {
      const reader = yield* ask()
      yield* reader.over
      assert.strictEqual(reader.status, 200)
      assert.strictEqual(reader.shown(), "Once upon a time —\n\n狐 <b>&amp;</b>.")
      assert.strictEqual(events(reader).at(-1), "end")
      assert.lengthOf(events(reader).filter((kind) => kind === "end"), 1)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        world([Faults.drip(Faults.answer("Once upon a time —\n\n狐 <b>&amp;</b>.", { thinking: "Hm." }), 7)])
      )
    ))

  it.live("sends comments as keep-alive while Claude is silent, before and during an answer", () =>
    Effect.gen(function*() {
      const reader = yield* ask()
      yield* until("no keep-alive before the answer", Effect.sync(() => reader.kinds().length >= 3))
      assert.deepStrictEqual(events(reader), [])
      yield* reader.over
      assert.isAbove(reader.kinds().slice(reader.kinds().indexOf("text")).filter((kind) => kind === ":").length, 1)
      assert.strictEqual(reader.shown(), "a b")
      assert.strictEqual(events(reader).at(-1), "end")
    }).pipe(
      Effect.scoped,
      Effect.provide(
        world([Faults.delayed(Faults.answer("a b", { every: "120 millis" }), "300 millis")], {}, "50 millis")
      )
    ))

  it.live("closes the request to Claude when the reader disconnects, before or during an answer", () =>
    Effect.gen(function*() {
      for (const begun of [true, false]) {
        const reader = yield* ask()
        yield* until(
          "nothing came",
          Effect.map(asked, (requests) => begun ? reader.shown() !== "" : requests === 2 && reader.kinds().length > 0)
        )
        assert.isFalse(yield* closed)
        yield* reader.leave
        yield* until("the request to Claude goes on", closed)
      }
      assert.strictEqual(yield* asked, 2, "a request was sent after the reader had left")
    }).pipe(
      Effect.scoped,
      Effect.provide(world([Faults.pings("half", "100 millis"), Faults.silence], { onBreak: "resume" }, "50 millis"))
    ))

  it.live("sends a failed event in plain words, and no end event, if an answer breaks off", () =>
    Effect.gen(function*() {
      const reader = yield* ask()
      yield* reader.over
      assert.strictEqual(reader.shown(), "Once upon")
      assert.strictEqual(events(reader).at(-1), "failed")
      assert.notInclude(events(reader), "end")
      assert.deepStrictEqual(reader.last(), {
        text: "The assistant was interrupted while answering. Please try again in a moment. Reference: req_fake_0001",
        requestId: "req_fake_0001",
        retryable: true,
        void: false
      })
    }).pipe(Effect.scoped, Effect.provide(world([Faults.breaks("Once upon")], { onBreak: "fail" }))))

  it.live.each(
    [
      ["announces a restart, which replaces the text so far", "restart", "restarted", "A fox."],
      ["announces a resumed answer, and repeats no text", "resume", "resumed", "Once upon a time."]
    ] as const
  )("%s", ([, onBreak, mark, whole]) =>
    Effect.gen(function*() {
      const reader = yield* ask()
      yield* reader.over
      assert.strictEqual(reader.shown(), whole)
      assert.deepStrictEqual(events(reader).filter((kind) => kind !== "text"), [mark, "end"])
    }).pipe(
      Effect.scoped,
      Effect.provide(world([Faults.breaks("Once upon"), Faults.answer(whole)], { onBreak }))
    ))

  it.live("ends a refused answer with a failed event which says that the text so far is void", () =>
    Effect.gen(function*() {
      const reader = yield* ask()
      yield* reader.over
      assert.strictEqual(events(reader).at(-1), "failed")
      assert.deepInclude(reader.last(), { retryable: false, void: true })
      assert.match(String(reader.last()?.["text"]), /cannot help with this request/)
    }).pipe(Effect.scoped, Effect.provide(world([Faults.refusal("Well, ")]))))

  it.live("sends only the event `failed`, without the message of the error, if the answer does not begin", () =>
    Effect.gen(function*() {
      const reader = yield* ask()
      yield* reader.over
      assert.deepStrictEqual(events(reader), ["failed"])
      assert.notMatch(reader.body(), /bearer|401|authentication/i)
    }).pipe(Effect.scoped, Effect.provide(world([Faults.unauthorized]))))

  it.live("serves two readers separately, and completes one answer when the other reader disconnects", () =>
    Effect.gen(function*() {
      const [one, two] = yield* Effect.all([ask({ question: "one" }), ask({ question: "two" })], { concurrency: 2 })
      yield* until("they did not begin", Effect.sync(() => one.shown() !== "" && two.shown() !== ""))
      yield* one.leave
      yield* two.over
      assert.strictEqual(two.shown(), "You said two, and nothing else.")
      assert.strictEqual(events(two).at(-1), "end")
      assert.notInclude(one.kinds(), "end")
      yield* until("a request was left open", closed)
    }).pipe(
      Effect.scoped,
      Effect.provide(world(Faults.by(({ params }) =>
        Faults.answer(
          `You said ${JSON.stringify(params["messages"]).includes("one") ? "one" : "two"}, and nothing else.`,
          { every: "100 millis" }
        )
      )))
    ))

  it.live("rejects invalid questions, and questions that are not sent as JSON, without a request to Claude", () =>
    Effect.gen(function*() {
      const bad = yield* Effect.all([ask({ question: "" }), ask({}), ask("hi"), ask({ question: "hi" }, "text/plain")])
      assert.deepStrictEqual(bad.map(({ status }) => status), [400, 400, 400, 400])
      assert.strictEqual(yield* asked, 0)
    }).pipe(Effect.scoped, Effect.provide(world([]))))

  it.live("accepts a question of 20,000 characters, and rejects a longer one and a body that is too large", () =>
    Effect.gen(function*() {
      const longest = yield* ask({ question: "\u0001".repeat(20_000) })
      assert.strictEqual(longest.status, 200)
      yield* longest.over
      const [long, huge] = yield* Effect.all([
        ask({ question: "x".repeat(20_001) }),
        ask({ question: "hi", more: "x".repeat(200_000) })
      ])
      assert.strictEqual(long.status, 400)
      assert.strictEqual(huge.status, 413)
      assert.strictEqual(yield* asked, 1)
    }).pipe(Effect.scoped, Effect.provide(world([Faults.answer("a")]))))

  it.live("serves a page that inserts answers only as text, never as HTML", () =>
    Effect.gen(function*() {
      const url = yield* Site
      const page = yield* Effect.promise(async () => (await fetch(url)).text())
      assert.match(page, /^<!doctype html>/)
      assert.notMatch(page, /innerHTML|insertAdjacent|outerHTML|document\.write|src=/)
    }).pipe(Effect.provide(world([]))))

  it.live("serves a page that shows special characters unchanged", () =>
    Effect.gen(function*() {
      const text = "one\u2028two\u2029three\r\n\nevent: end\ndata: {} <b>&amp;</b> \u0000 狐"
      const { shown } = yield* visit([sse("text", { text }), sse("end", {})])
      assert.deepStrictEqual(shown(), { answer: text, state: "Ended.", kind: "ended" })
    }).pipe(Effect.provide(world([]))))

  it.live("serves a page that shows, after the connection breaks, whether the answer is complete", () =>
    Effect.gen(function*() {
      for (const after of ["reset", "stop"] as const) {
        const { shown } = yield* visit([sse("text", { text: "a" }), sse("end", {})], after)
        assert.deepStrictEqual(shown(), { answer: "a", state: "Ended.", kind: "ended" })
        const part = yield* visit([sse("text", { text: "a" })], after)
        assert.deepInclude(part.shown(), { answer: "a", kind: "failed" })
        const failed = yield* visit([sse("failed", { text: "Sorry." })], after)
        assert.deepStrictEqual(failed.shown(), { answer: "", state: "Sorry.", kind: "failed" })
      }
    }).pipe(Effect.provide(world([]))))

  it("prints one line and exits if there is no key", async () => {
    const { ANTHROPIC_API_KEY: _, ...env } = process.env
    const run = promisify(execFile)(process.execPath, [
      "--conditions=resilient-claude-source",
      path.resolve(import.meta.dirname, "../examples/15-relay.ts")
    ], {
      env
    })
    const { code, stderr, stdout } = await run.then(
      () => assert.fail("it started"),
      (error: { code: number; stdout: string; stderr: string }) => error
    )
    assert.notStrictEqual(code, 0)
    assert.match(stdout + stderr, /^[^\n]*ANTHROPIC_API_KEY[^\n]*\n$/)
  }, 20_000)
})
