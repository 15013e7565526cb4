/** Checks what docs/testing.md says. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Layer, Random, Ref, Schema, Stream } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import * as fs from "node:fs"
import * as path from "node:path"
import { CallLog, Claude, type ClaudeError, Guards, Monitor, Policy, Tool } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"
import { FakeClaude, FakeServer, Faults, Simulator } from "resilient-claude/testing"
import { assertAlive } from "../support/docs.ts"
import * as Service from "./programs/production.ts"

const root = path.resolve(import.meta.dirname, "../..")
const page = fs.readFileSync(path.join(root, "docs/testing.md"), "utf8")

const finish = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const running = yield* Effect.forkChild(Effect.result(self))
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(running)
  })

describe("the page", () => {
  it("contains only code that is in a test or an example", () => assertAlive("docs/testing.md"))

  it("names every fault", () => {
    const plumbing = new Set(["apiHeaders", "bytesOf", "errorBody", "toScript"])
    const missing = Object.keys(Faults).filter((name) => !plumbing.has(name) && !page.includes(`\`${name}`))
    assert.deepStrictEqual(missing, [])
  })

  it("names every script of fake-claude", () => {
    const cli = fs.readFileSync(path.join(root, "src/testing/cli.ts"), "utf8")
    const table = cli.slice(cli.indexOf("const scripts"), cli.indexOf("const help"))
    const names = [...table.matchAll(/^ {2}(\w+): \{/gm)].map(([, name]) => name)
    assert.isAtLeast(names.length, 7)
    assert.deepStrictEqual([...page.matchAll(/^\| `--script (\w+)`/gm)].map(([, name]) => name), names)
  })
})

describe("scripts", () => {
  const flakyThenFine = FakeClaude.layer(
    Faults.untilLast(Faults.overloaded, Faults.serverError, Faults.answer("Hello!"))
  )

  const downForTenSeconds = FakeClaude.layer(
    Faults.by(({ elapsed }) => elapsed < 10_000 ? Faults.overloaded : Faults.answer("Hello!"))
  )

  const oneInFive = FakeClaude.layer(
    Faults.random({ seed: "1", faults: [[0.2, Faults.overloaded]], otherwise: Faults.answer("Hello!") })
  )

  const ask = Claude.text("Hello").pipe(Policy.apply(Policy.standard))

  it.effect.each([["untilLast", flakyThenFine], ["by", downForTenSeconds], ["random", oneInFive]] as const)(
    "made with Faults.%s let a call under Policy.standard succeed",
    ([, fake]) =>
      Effect.gen(function*() {
        assert.deepInclude(yield* finish(ask), { success: "Hello!" })
      }).pipe(Effect.provide(fake), Random.withSeed("scripts"))
  )

  it.effect("that are too short fail with an error that says so", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(ask)
      assert.match(error.message, /the fault script ran out: it has 0 turns/)
    }).pipe(Effect.provide(FakeClaude.layer([]))))
})

describe("faults", () => {
  const { breaks, errorAfter, html, maxTokens, pings, rateLimited, refusal } = Faults
  const rows: ReadonlyArray<readonly [tag: ClaudeError.Tag, turns: Readonly<Record<string, Faults.Turn>>]> = [
    ["RateLimited", {
      "rateLimited()": rateLimited(),
      "rateLimited(\"2 seconds\")": rateLimited("2 seconds"),
      "rateLimited with the option ramp": rateLimited("2 seconds", { ramp: true })
    }],
    ["Overloaded", { overloaded: Faults.overloaded }],
    ["ServerFault", {
      serverError: Faults.serverError,
      gatewayTimeout: Faults.gatewayTimeout,
      "html(502)": html(502)
    }],
    ["AuthenticationFailed", { unauthorized: Faults.unauthorized }],
    ["PermissionDenied", { forbidden: Faults.forbidden }],
    ["ResourceNotFound", { notFound: Faults.notFound }],
    ["RequestTooLarge", { tooLarge: Faults.tooLarge }],
    ["ContextWindowExceeded", { promptTooLong: Faults.promptTooLong }],
    ["SpendLimitReached", {
      spendLimited: Faults.spendLimited,
      ownSpendLimit: Faults.ownSpendLimit,
      billing: Faults.billing
    }],
    ["Unreachable", { reset: Faults.reset, hangUp: Faults.hangUp, garbage: Faults.garbage }],
    ["PartialAnswer", { breaks: breaks("Once"), errorAfter: errorAfter("Once") }],
    ["TimedOut", {
      silence: Faults.silence,
      pings: pings(),
      "breaks with the end \"silence\"": breaks("Once", "silence")
    }],
    ["UnexpectedResponse", { "html(200)": html(200) }],
    ["Refused", { refusal: refusal("I cannot") }],
    ["Truncated", { maxTokens: maxTokens("Once") }],
    ["EmptyAnswer", { emptyAnswer: Faults.emptyAnswer }]
  ]

  it("cause only errors that have a row in a table of the page", () => {
    for (const [tag] of rows) assert.include(page, `| \`${tag}\` |`)
  })

  it.effect.each(
    rows.flatMap(([tag, turns]) => Object.entries(turns).map(([name, turn]) => [name, tag, turn] as const))
  )(
    "Faults.%s causes %s",
    ([, tag, turn]) =>
      Effect.gen(function*() {
        const result = yield* finish(Claude.text("Hello"))
        assert.strictEqual(result._tag === "Failure" && result.failure._tag, tag)
      }).pipe(Effect.provide(FakeClaude.layer([turn])))
  )

  it.effect("made by Faults.paused cause Truncated without a policy; under a policy, the answer is continued", () =>
    Effect.gen(function*() {
      const plain = yield* Effect.flip(Claude.message("Hello"))
      assert.strictEqual(plain._tag, "Truncated")
      const reply = yield* Claude.message("Hello").pipe(Policy.apply(Policy.none))
      assert.strictEqual(reply.text, "Let me see. Here.")
    }).pipe(Effect.provide(FakeClaude.layer([
      Faults.paused("Let me see."),
      Faults.paused("Let me see."),
      Faults.answer(" Here.")
    ]))))
})

describe("a slow turn", () => {
  it.effect("sends its answer after the delay that Faults.delayed is given", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(Claude.text("Hello"))
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(call.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(call), "Hi")
    }).pipe(Effect.provide(FakeClaude.layer([Faults.delayed(Faults.answer("Hi"), "5 seconds")]))))

  it.effect("sends its events at the intervals that the option `every` gives", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(Effect.andThen(Claude.text("Hello"), Clock.currentTimeMillis))
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(call), 7 * 5000)
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("Hi", { every: "5 seconds" })]))))
})

describe("the rest of an answer", () => {
  const interrupted = FakeClaude.layer([
    Faults.breaks("Once upon a time"),
    Faults.answer("Once upon a time there was a fox.")
  ])

  const cutOff = FakeClaude.layer([
    Faults.maxTokens("Once upon a time"),
    Faults.answer("Once upon a time there was a fox.")
  ])

  const story = Stream.mkString(
    Claude.stream("Tell me a story.").pipe(Policy.applyStream({ ...Policy.standard, onBreak: "resume" }))
  )

  it.effect("may repeat the words before the break, and the stream emits these words only once", () =>
    Effect.gen(function*() {
      const resumed = yield* finish(story.pipe(Effect.provide(interrupted)))
      assert.deepInclude(resumed, { success: "Once upon a time there was a fox." })
    }))

  it.effect("may repeat the words before a truncation under truncated: { continue }, and the text has these words only once", () =>
    Effect.gen(function*() {
      const text = yield* Claude.text("Tell me a story.").pipe(Policy.apply({ truncated: { continue: 2 } }))
      assert.strictEqual(text, "Once upon a time there was a fox.")
    }).pipe(Effect.provide(cutOff)))

  it.effect("is discarded and requested again if it does not repeat the last words", () =>
    Effect.gen(function*() {
      const text = yield* Claude.text("Tell me a story.").pipe(Policy.apply({ truncated: { continue: 2 } }))
      assert.strictEqual(text, "Once upon a time there was a fox.")
      const last = (yield* FakeClaude.received).at(-1)?.params.messages.at(-1)
      assert.include(JSON.stringify(last), "repeat its last words")
    }).pipe(
      Effect.provide(FakeClaude.layer([
        Faults.maxTokens("Once upon a time"),
        Faults.answer(" there was a wolf."),
        Faults.answer("Once upon a time there was a fox.")
      ]))
    ))

  it.effect("repeats only the whole words in the last 100 characters of a long text", () =>
    Effect.gen(function*() {
      const text = yield* Claude.text("Tell me a story.").pipe(Policy.apply({ truncated: { continue: 1 } }))
      assert.strictEqual(text, `${"word ".repeat(60)}end.`)
    }).pipe(
      Effect.provide(FakeClaude.layer([
        Faults.maxTokens("word ".repeat(60)),
        Faults.answer(`${"word ".repeat(19)}word end.`)
      ]))
    ))
})

describe("answers", () => {
  const Review = Schema.Struct({ mood: Schema.String })
  const review = Claude.object(Review, "How was it?")
  const queue = Claude.choice(["billing", "sales"], "Which queue?")
  const stock = Tool.make("stock", { input: Schema.Struct({ size: Schema.String }) })

  const answers = FakeClaude.layer([
    Faults.answer("Hello!", { inputTokens: 100, outputTokens: 20, every: "100 millis" }),
    Faults.value({ mood: "good" }),
    Faults.value({ choice: "billing" }),
    Faults.answer("", { tool: { name: "stock", input: { size: "M" } } })
  ])

  it.effect("are played in order", () =>
    Effect.gen(function*() {
      const all = yield* finish(Effect.all([
        Claude.text("Hello"),
        review,
        queue,
        Effect.flatMap(Claude.message("Do you have M?", { tools: [stock] }), stock.uses)
      ]))
      assert.deepStrictEqual(all._tag === "Success" && all.success, [
        "Hello!",
        { mood: "good" },
        "billing",
        [{ id: "toolu_01Fake", input: { size: "M" } }]
      ])
    }).pipe(Effect.provide(answers)))

  it.effect("contain several tool calls if `tool` is a list", () =>
    Effect.gen(function*() {
      const uses = yield* Effect.flatMap(Claude.message("Do you have M or L?", { tools: [stock] }), stock.uses)
      assert.deepStrictEqual(uses, [
        { id: "toolu_01Fake", input: { size: "M" } },
        { id: "toolu_02Fake", input: { size: "L" } }
      ])
    }).pipe(Effect.provide(FakeClaude.layer([
      Faults.answer("", { tool: ["M", "L"].map((size) => ({ name: "stock", input: { size } })) })
    ]))))

  it.effect("contain a record in the form in which the API sends it, a list of pairs", () =>
    Effect.gen(function*() {
      const scores = yield* Claude.object(Schema.Struct({ scores: Schema.Record(Schema.String, Schema.Finite) }), "?")
      assert.deepStrictEqual(scores, { scores: { ada: 7 } })
    }).pipe(Effect.provide(FakeClaude.layer([Faults.value({ scores: [{ 0: "ada", 1: 7 }] })]))))
})

describe("requests", () => {
  it.effect("are recorded as they were sent", () =>
    Effect.gen(function*() {
      yield* Claude.text("Hello", { system: "Be brief." })
      const [first] = yield* FakeClaude.received
      assert.strictEqual(first?.params.system, "Be brief.")
    }).pipe(Effect.provide(FakeClaude.layer([Faults.answer("Hello!")]))))
})

describe("two logs", () => {
  const sink = (told: Array<string>) =>
    Layer.succeed(CallLog.CallLog, { emit: ({ _tag }) => Effect.sync(() => void told.push(_tag)) })
  const counted = Effect.gen(function*() {
    yield* Claude.text("Hello")
    return (yield* Effect.flatMap(CallLog.Memory, Ref.get)).length
  })
  const answer = FakeClaude.layer([Faults.answer("Hello!")])

  it.effect("that are provided one by one: only the inner one gets the events", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const layer = answer.pipe(Layer.provide(sink(told)), Layer.provideMerge(CallLog.layerMemory))
      assert.strictEqual(yield* Effect.provide(counted, layer), 0)
      assert.deepStrictEqual(told, ["AttemptStarted", "AttemptSucceeded"])
    }))

  it.effect("that are combined get all events", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const layer = answer.pipe(Layer.provideMerge(CallLog.combine(CallLog.layerMemory, sink(told))))
      assert.strictEqual(yield* Effect.provide(counted, layer), 2)
      assert.deepStrictEqual(told, ["AttemptStarted", "AttemptSucceeded"])
    }))
})

describe("a FakeClaude behind guards", () => {
  const { guards } = Service

  /** Plays a script behind the guards, with a log in memory. `raised` receives the alerts. */
  const world = (script: Faults.Playable, raised: Array<Monitor.Alert> = []) =>
    FakeClaude.layer(script).pipe(
      Guards.apply(guards),
      Layer.provide(Layer.succeed(Monitor.Alerts, { raise: (alert) => Effect.sync(() => void raised.push(alert)) })),
      Layer.provideMerge(CallLog.layerMemory)
    )

  it.effect("shows a test the state of a circuit, the alerts and the events", () => {
    const raised: Array<Monitor.Alert> = []
    return Effect.gen(function*() {
      yield* Effect.repeat(Effect.flip(Claude.text("Hello")), { times: 19 })
      assert.lengthOf(yield* FakeClaude.received, 20)
      assert.strictEqual((yield* Guards.status).circuits["claude-sonnet-5-5"]?.state, "open")
      assert.isNotEmpty(yield* Effect.flatMap(CallLog.Memory, Ref.get))
      assert.sameMembers(raised.map(({ _tag }) => _tag), ["CircuitOpened", "SuccessRateLow"])
    }).pipe(Effect.provide(world(Faults.cycle(Faults.overloaded), raised)))
  })
})

describe("an HTTP route", () => {
  const route = Claude.text("Hello").pipe(
    Effect.map((text) => HttpServerResponse.text(text)),
    Effect.catchTag("Overloaded", () => Effect.succeed(HttpServerResponse.empty({ status: 503 }))),
    Effect.orDie
  )

  const statusOf = (script: Faults.Playable) =>
    Effect.gen(function*() {
      const routes = HttpRouter.add("GET", "/", route).pipe(
        Layer.provideMerge(FakeClaude.layer(script)),
        Layer.provide(HttpServer.layerServices)
      )
      const { dispose, handler } = HttpRouter.toWebHandler(routes)
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const response = yield* Effect.promise(() => handler(new Request("http://localhost/")))
      return response.status
    }).pipe(Effect.scoped)

  it.live("is tested without a socket", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* statusOf([Faults.answer("Hello!")]), 200)
      assert.strictEqual(yield* statusOf([Faults.overloaded]), 503)
    }))
})

describe("the clock", () => {
  const beats = (move: (call: Fiber.Fiber<unknown, unknown>) => Effect.Effect<unknown>) =>
    Effect.gen(function*() {
      let count = 0
      const heartbeat = Stream.tick("1 second").pipe(Stream.map(() => (count++, "")))
      const told = Claude.stream("Hello").pipe(
        Policy.applyStream(Policy.standard),
        Stream.merge(heartbeat, { haltStrategy: "left" })
      )
      const call = yield* Effect.forkChild(Stream.mkString(told))
      yield* move(call)
      assert.strictEqual(yield* Fiber.join(call), "Hello!")
      return count
    }).pipe(
      Random.withSeed("beats"),
      Effect.provide(FakeClaude.layer([Faults.rateLimited("20 seconds"), Faults.answer("Hello!")]))
    )

  it.effect("makes a timer of the program skip ticks if it moves in one big step, but not if it moves in small steps", () =>
    Effect.gen(function*() {
      const small = yield* beats((call) =>
        Effect.gen(function*() {
          yield* Effect.repeat(TestClock.adjust("1 second"), {
            until: () => call.pollUnsafe() !== undefined,
            times: 120
          })
        })
      )
      assert.isAtLeast(small, 20)
      assert.isBelow(yield* beats(() => TestClock.adjust("2 minutes")), small)
    }))
})

describe("FakeServer", () => {
  const overSocket = Effect.gen(function*() {
    const { received, url } = yield* FakeServer.FakeServer
    const text = yield* Claude.text("Hello").pipe(
      Policy.apply(Policy.standard),
      Effect.provide(NodeAnthropic.layer({ apiKey: "any", baseUrl: url }))
    )
    return { text, requests: yield* received }
  }).pipe(Effect.provide(FakeServer.layer([Faults.serverError, Faults.answer("Hello!")])))

  it.live("plays the same scripts as FakeClaude", () =>
    Effect.gen(function*() {
      const { requests, text } = yield* overSocket
      assert.strictEqual(text, "Hello!")
      assert.lengthOf(requests, 2)
    }))

  it.live("rejects a request that the API rejects, without using up a turn", () =>
    Effect.gen(function*() {
      const { received, url } = yield* FakeServer.FakeServer
      const claude = NodeAnthropic.layer({ apiKey: "any", baseUrl: url })
      const error = yield* Claude.text("Hello", { stop_sequences: [" "] }).pipe(Effect.provide(claude), Effect.flip)
      assert.strictEqual(error._tag, "InvalidRequest")
      assert.strictEqual(yield* Effect.provide(Claude.text("Hello"), claude), "Hello!")
      assert.deepStrictEqual((yield* received).map(({ refused }) => refused), [true, false])
    }).pipe(Effect.provide(FakeServer.layer([Faults.answer("Hello!")]))))
})

describe("Simulator", () => {
  it.effect("gives the same result for the same seed, as plain data with the fields that the page names, and assertAnswered fails if too few calls are answered", () =>
    Effect.gen(function*() {
      const once: Simulator.Contender = { name: "once", strategy: () => ({ send }) => send() }
      const result = yield* Simulator.run(Simulator.outage("30 seconds"), once, { seed: 7 })
      assert.deepStrictEqual(yield* Simulator.run(Simulator.outage("30 seconds"), once, { seed: 7 }), result)
      assert.deepStrictEqual(JSON.parse(JSON.stringify(result)).errors, { 529: 30 })
      for (
        const field of ["answered", "requests", "requestsDuring", "recovery", "peak", "latency", "alerts", "errors"]
      ) {
        assert.property(result, field)
        assert.include(page, `\`${field}\``)
      }
      assert.lengthOf(yield* Simulator.assertAnswered(Simulator.outage("30 seconds"), once, 0.5), 3)
      const error = yield* Effect.flip(Simulator.assertAnswered(Simulator.outage("30 seconds"), once, 0.99))
      assert.strictEqual(
        error.message,
        "once answered 120 of 150 calls (80 %) through an outage of 30s, not 99 %: 30 529. It sent 150 requests. Seed: 1."
      )
    }))
})
