/** Checks what docs/logging.md says. */
import { assert, describe, it } from "@effect/vitest"
import {
  ConfigProvider,
  Console,
  Deferred,
  Duration,
  Effect,
  Fiber,
  FileSystem,
  Layer,
  Logger,
  Metric,
  Redacted,
  Ref,
  References
} from "effect"
import { TestClock } from "effect/testing"
import * as fs from "node:fs"
import * as path from "node:path"
import { CallLog, Claude, ClaudeError, Current, Guards, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"
import { FakeClaude, Faults } from "resilient-claude/testing"
import { assertAlive } from "../support/docs.ts"
import { log, program } from "./programs/logging.ts"

const page = fs.readFileSync(path.resolve(import.meta.dirname, "../../docs/logging.md"), "utf8")

const finish = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const running = yield* Effect.forkChild(Effect.result(self))
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(running)
  })

const retried = [Faults.overloaded, Faults.answer("hello")]
const tags = [
  "AttemptStarted",
  "AttemptFailed",
  "RetryScheduled",
  "AttemptStarted",
  "AttemptSucceeded",
  "CallSucceeded"
]

it("every code block of docs/logging.md is in a test or an example", () => assertAlive("docs/logging.md"))

it.effect("the first program logs to the Logger and to a file", () =>
  Effect.gen(function*() {
    const lines: Array<string> = []
    const written: Array<string> = []
    const disk = FileSystem.makeNoop({
      open: () =>
        Effect.succeed({
          writeAll: (bytes: Uint8Array) => Effect.sync(() => void written.push(new TextDecoder().decode(bytes)))
        } as unknown as FileSystem.File)
    })
    yield* finish(program.pipe(Effect.provide(
      FakeClaude.layer(retried).pipe(
        Layer.provide(log),
        Layer.provide(Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))])),
        Layer.provide(Layer.succeed(FileSystem.FileSystem, disk))
      )
    )))
    const events = written.join("").trimEnd().split("\n").map((line) => JSON.parse(line))
    assert.deepStrictEqual(events.map(({ event }) => event), tags)
    // The file has events of every level; the Logger writes none below its minimum level.
    assert.deepStrictEqual(lines, ["claude: AttemptFailed", "claude: RetryScheduled"])
    const [, sample = ""] = /```json\n([^]*?)\n```/.exec(page) ?? []
    const line: object = JSON.parse(sample)
    assert.deepStrictEqual(Object.keys(line), Object.keys(events[1]))
    assert.deepStrictEqual({ ...line, at: "", call: "", tookMs: 0 }, { ...events[1], at: "", call: "", tookMs: 0 })
  }))

describe("layerJsonLines", () => {
  it.effect("loses a line if 10,000 other lines already wait for the disk, and reports the loss to the Logger", () =>
    Effect.gen(function*() {
      const reports: Array<string> = []
      const isBusy = yield* Deferred.make<void>()
      const mayWrite = yield* Deferred.make<void>()
      const disk = FileSystem.makeNoop({
        open: () =>
          Effect.succeed({
            writeAll: () => Effect.andThen(Deferred.succeed(isBusy, undefined), Deferred.await(mayWrite))
          } as unknown as FileSystem.File)
      })
      const event: CallLog.Event = { _tag: "CircuitClosed", at: 0, call: undefined, model: "m" }
      yield* Effect.gen(function*() {
        const { emit } = yield* CallLog.CallLog
        yield* emit(event)
        yield* Deferred.await(isBusy)
        for (let i = 0; i < 10_000; i++) yield* emit(event)
        assert.lengthOf(reports, 0)
        yield* emit(event)
        assert.lengthOf(reports, 1)
        yield* Deferred.succeed(mayWrite, undefined)
      }).pipe(
        Effect.provide(
          Layer.provideMerge(
            Layer.provide(CallLog.layerJsonLines("log"), Layer.succeed(FileSystem.FileSystem, disk)),
            Logger.layer([Logger.make(({ message }) => void reports.push(String(message)))])
          )
        )
      )
    }))
})

describe("levels", () => {
  it.effect("is Warn for GaveUp of a call that a drain of the guards rejected", () =>
    Effect.gen(function*() {
      yield* Guards.drain("1 second")
      const levels: Array<string> = []
      const logger = Logger.layer([Logger.make(({ logLevel }) => void levels.push(logLevel))])
      yield* Claude.text("hi").pipe(Policy.apply(Policy.standard), Effect.exit, Effect.provide(logger))
      assert.deepStrictEqual(levels, ["Warn"])
    }).pipe(Effect.provide(Guards.apply(Guards.standard)(FakeClaude.layer([])))))

  const written = (event: CallLog.Event) =>
    Effect.gen(function*() {
      const levels: Array<string> = []
      const sink = yield* CallLog.CallLog
      yield* sink.emit(event).pipe(
        Effect.provide(Logger.layer([Logger.make(({ logLevel }) => void levels.push(logLevel))])),
        Effect.provideService(References.MinimumLogLevel, "All")
      )
      return levels
    })
  const common = { at: 0, call: "c", model: "m", attempt: 1 }

  const rows = [...page.matchAll(/^\| (`[A-Z].*?) \| (Debug|Info|Warn|Error)(?:, or see below)? \|/gm)].flatMap((
    [, names = "", level]
  ) => [...names.matchAll(/`(\w+)`/g)].map(([, name = ""]) => [name, level] as const))

  it("the page gives every event except AttemptFailed a fixed level", () => {
    // The compiler reports a kind of event that is missing here.
    const all: { readonly [T in CallLog.Event["_tag"]]: true } = {
      AttemptStarted: true,
      AttemptSucceeded: true,
      AttemptFailed: true,
      AttemptAbandoned: true,
      RetryScheduled: true,
      Continued: true,
      Restarted: true,
      Resumed: true,
      FellBack: true,
      GaveUp: true,
      CallSucceeded: true,
      Warning: true,
      CircuitOpened: true,
      CircuitProbing: true,
      CircuitClosed: true,
      CircuitIsolated: true,
      SuccessRateLow: true,
      SuccessRateRecovered: true
    }
    const listed = rows.map(([name]) => name)
    assert.sameMembers([...listed, "AttemptFailed"], Object.keys(all))
  })

  it.effect.each(rows)("%s has the level %s", ([name, level]) =>
    Effect.gen(function*() {
      const error = new ClaudeError.Overloaded({})
      assert.deepStrictEqual(yield* written({ ...common, _tag: name, error } as never), [level])
    }))

  it.effect.each<readonly [string, ClaudeError.ClaudeError]>([
    ["Debug", new ClaudeError.CircuitOpen({})],
    ["Info", new ClaudeError.Refused({})],
    ["Info", new ClaudeError.Truncated({})],
    ["Warn", new ClaudeError.Overloaded({})],
    ["Error", new ClaudeError.InvalidRequest({})],
    ["Error", new ClaudeError.AuthenticationFailed({})],
    ["Error", new ClaudeError.PermissionDenied({})],
    ["Error", new ClaudeError.ResourceNotFound({})],
    ["Warn", new ClaudeError.RequestTooLarge({})],
    [
      "Warn",
      new ClaudeError.InvalidRequest({ status: 400, detail: "messages: text content blocks must be non-empty" })
    ],
    ["Error", new ClaudeError.InvalidRequest({ status: 400, detail: "tools.0.name: String should match pattern" })],
    ["Error", new ClaudeError.SpendLimitReached({})]
  ])("AttemptFailed has the level of its error: %s for %s", ([level, error]) =>
    Effect.gen(function*() {
      const took = Duration.zero
      assert.deepStrictEqual(
        yield* written({ _tag: "AttemptFailed", ...common, requestId: undefined, took, error }),
        [level]
      )
    }))
})

describe("the end of a call", () => {
  const levels: Array<[string, string]> = []
  const logger = Logger.layer([Logger.make(({ logLevel, message }) => void levels.push([logLevel, String(message)]))])
  const ask = (prompt: Claude.Prompt, options?: Claude.Options) => Claude.text(prompt, options)

  it.effect.each<
    readonly [string, Effect.Effect<unknown, ClaudeError.ClaudeError, Claude.Claude>, Faults.Turn, string]
  >([
    ["a blank question", ask(" "), Faults.emptyAnswer, "Warn"],
    ["no question", ask([]), Faults.emptyAnswer, "Warn"],
    ["a blank block", ask([{ role: "user", content: [{ type: "text", text: "" }] }]), Faults.emptyAnswer, "Warn"],
    ["a question that is too long", ask("hi"), Faults.promptTooLong, "Warn"],
    ["a question that is too large", ask("hi"), Faults.tooLarge, "Warn"],
    ["a question that Claude declines", ask("hi"), Faults.refusal(), "Info"],
    // The first messages were reported in github.com/anthropics/claude-code/issues/1747 and github.com/anthropics/anthropic-sdk-python/issues/903
    ...[
      "messages.0.content.0.image: Could not process image",
      "Could not process image",
      "Could not process PDF",
      "The PDF specified was not valid.",
      "The PDF specified is password protected.",
      "A maximum of 100 PDF pages may be provided.",
      "At least one of the image dimensions exceed max allowed size: 8000 pixels",
      "Unable to download the file. Please verify the URL and try again.",
      "Output blocked by content filtering policy",
      "litellm.BadRequestError: AnthropicException - messages: text content blocks must be non-empty",
      "The model returned the following errors: messages.0.content.0.text.text: Field required"
    ].map((words) =>
      [
        `a 400 with the message "${words}"`,
        ask("hi"),
        Faults.fails(400, "invalid_request_error", words),
        "Warn"
      ] as const
    ),
    [
      "an answer that is blocked in its middle",
      ask("hi"),
      Faults.errorAfter("Paris", "invalid_request_error", "Output blocked by content filtering policy"),
      "Warn"
    ],
    ["an answer that breaks off", ask("hi"), Faults.errorAfter("Paris"), "Error"],
    [
      "a tool whose description is about messages",
      ask("hi"),
      Faults.fails(400, "invalid_request_error", "tools.0.description: messages: too long"),
      "Error"
    ],
    ["a wrong parameter", ask("hi", { max_tokens: -1 }), Faults.emptyAnswer, "Error"],
    ["a blank question and a wrong parameter", ask(" ", { max_tokens: -1 }), Faults.emptyAnswer, "Error"],
    [
      "a 400 about a parameter",
      ask("hi"),
      Faults.fails(400, "invalid_request_error", "max_tokens: too large"),
      "Error"
    ],
    ["an outage", ask("hi"), Faults.overloaded, "Error"]
  ])("is logged at the level of its error after %s", ([, ask, turn, level]) =>
    Effect.gen(function*() {
      levels.length = 0
      yield* Effect.flip(Policy.apply({ overall: "1 minute" })(ask))
      assert.deepStrictEqual(levels.at(-1), [level, "claude: GaveUp"])
      assert.isTrue(level === "Error" || levels.every(([level]) => level !== "Error"))
    }).pipe(Effect.provide(FakeClaude.layer([turn]).pipe(Layer.provide(CallLog.layer), Layer.provideMerge(logger)))))
})

describe("sinks", () => {
  const failures = Metric.counter("claude_failed_attempts")

  const metrics = Layer.succeed(CallLog.CallLog, {
    emit: (event) =>
      event._tag === "AttemptFailed"
        ? Metric.update(Metric.withAttributes(failures, { error: event.error._tag, model: event.model }), 1)
        : Effect.void
  })

  const both = CallLog.combine(CallLog.layer, metrics)

  it.effect("can count events", () =>
    Effect.gen(function*() {
      yield* finish(
        Claude.text("hi").pipe(
          Policy.apply(Policy.standard),
          Effect.provide(FakeClaude.layer(retried).pipe(Layer.provide(both)))
        )
      )
      const counted = yield* Metric.value(
        Metric.withAttributes(failures, { error: "Overloaded", model: "claude-sonnet-5-5" })
      )
      assert.strictEqual(counted.count, 1)
    }))

  const ClaudeLive = NodeAnthropic.layer({ apiKey: "sk-ant-test" }).pipe(Layer.provide(CallLog.layerNoop))

  const JsonLines = NodeAnthropic.layerConfig().pipe(
    Layer.provide(CallLog.layer),
    Layer.provide(Logger.layer([Logger.consoleJson]))
  )

  const main = program.pipe(
    Effect.provide(JsonLines),
    Effect.tapCause((cause) => Effect.logFatal("The service has stopped.", cause)),
    Effect.provide(Logger.layer([Logger.consoleJson]))
  )

  it("get each duration in milliseconds from CallLog.record, under a name that ends in Ms", () => {
    const common = { at: 0, call: "c", model: "m", attempt: 1, requestId: undefined }
    const second = Duration.seconds(1)
    const error = new ClaudeError.Overloaded({})
    const rows: ReadonlyArray<readonly [CallLog.Event, Readonly<Record<string, unknown>>]> = [
      [{ _tag: "AttemptStarted", ...common, queued: second }, { queuedMs: 1000 }],
      [{ _tag: "AttemptFailed", ...common, took: second, error }, { tookMs: 1000 }],
      [{ _tag: "RetryScheduled", ...common, wait: second, error }, { waitMs: 1000 }],
      [{ _tag: "CircuitOpened", ...common, openFor: second, why: "" }, { openForMs: 1000 }]
    ]
    for (const [event, fields] of rows) assert.deepInclude(CallLog.record(event), fields)
  })

  it.effect("can write events as JSON with Effect's logger", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const console = { ...globalThis.console, log: (line: string) => void lines.push(line) }
      const json = CallLog.layer.pipe(Layer.provide(Logger.layer([Logger.consoleJson])))
      yield* finish(
        Claude.text("hi").pipe(
          Policy.apply(Policy.standard),
          Effect.provide(FakeClaude.layer(retried).pipe(Layer.provide(json)))
        )
      ).pipe(Effect.provideService(Console.Console, console))
      const events = lines.map((line) => JSON.parse(line))
      assert.deepStrictEqual(events.map(({ message }) => message), ["claude: AttemptFailed", "claude: RetryScheduled"])
      assert.deepInclude(events[0].annotations, { error: "Overloaded", status: 529 })
    }))

  it.effect("print an error that ends the program as one line of JSON, if the program logs the error", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const console = { ...globalThis.console, log: (line: string) => void lines.push(line) }
      yield* main.pipe(
        Effect.provideService(Console.Console, console),
        Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env: {} }))),
        Effect.exit
      )
      const [line, ...others] = lines.map((line) => JSON.parse(line))
      assert.deepStrictEqual(others, [])
      assert.deepInclude(line, { level: "FATAL", message: "The service has stopped." })
      assert.include(JSON.stringify(line), "There is no key for the API")
    }))

  it.effect("may read the tenant of the call, and the lines of the Logger have the annotations around it", () =>
    Effect.gen(function*() {
      const [tenants, annotations]: [Array<string | undefined>, Array<unknown>] = [[], []]
      const sink = Layer.succeed(CallLog.CallLog, {
        emit: () => Effect.map(Current.Tenant, (tenant) => void tenants.push(tenant))
      })
      const lines = Logger.layer([
        Logger.make(({ fiber }) => void annotations.push(fiber.getRef(References.CurrentLogAnnotations)["customer"]))
      ])
      const log = CallLog.combine(sink, CallLog.layer)
      yield* finish(
        Claude.text("hi").pipe(
          Policy.apply(Policy.standard),
          Effect.provideService(Current.Tenant, "customer-17"),
          Effect.annotateLogs("customer", 17),
          Effect.provide(FakeClaude.layer(retried).pipe(Layer.provide(log), Layer.provide(lines)))
        )
      )
      assert.deepStrictEqual([...new Set(tenants)], ["customer-17"])
      assert.deepStrictEqual([...new Set(annotations)], [17])
    }))

  it.effect("receive FellBack with DeadlineExceeded, and no AttemptFailed, when the first model has used up its part of `overall`", () =>
    Effect.gen(function*() {
      const limits = { connect: "15 seconds", firstToken: "15 seconds" } as const
      yield* finish(
        Claude.text("hi").pipe(Policy.apply({ models: ["claude-haiku-5-5"], overall: "20 seconds", ...limits }))
      )
      const events = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      const fellBack = events.find(({ _tag }) => _tag === "FellBack")
      assert.isTrue(fellBack?._tag === "FellBack" && fellBack.error._tag === "DeadlineExceeded")
      assert.notInclude(events.map(({ _tag }) => _tag), "AttemptFailed")
    }).pipe(
      Effect.provide(
        Layer.provideMerge(
          FakeClaude.layer([Faults.delayed(Faults.overloaded, "1 minute"), Faults.answer("hello")]),
          CallLog.layerMemory
        )
      )
    ))

  it.effect("can be switched off with layerNoop", () => Effect.scoped(Layer.build(ClaudeLive)))

  it.effect("can read the text of a refused answer in the error of AttemptFailed", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const audit = Layer.succeed(CallLog.CallLog, {
        emit: (event) => {
          if (event._tag !== "AttemptFailed" || event.error._tag !== "Refused") return Effect.void
          const { text } = event.error
          return Effect.sync(() => void seen.push(text === undefined ? "" : Redacted.value(text)))
        }
      })
      yield* Effect.flip(
        Claude.text("hi").pipe(
          Effect.provide(FakeClaude.layer([Faults.refusal("I cannot")]).pipe(Layer.provide(audit)))
        )
      )
      assert.deepStrictEqual(seen, ["I cannot"])
    }))
})

describe("correlation", () => {
  const question = Effect.gen(function*() {
    const call = yield* Current.Call
    yield* Effect.logInfo(`asking Claude, call ${call?.id}, attempt ${call?.attempt}`)
    return yield* Claude.text("Hello")
  }).pipe(Policy.apply(Policy.standard))

  it.effect("all events and log lines of a call have the same call id", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      yield* finish(question.pipe(
        Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]))
      ))
      const events = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      const [first] = events
      assert.isString(first?.call)
      assert.isTrue(events.every(({ call }) => call === first?.call))
      assert.deepStrictEqual(lines, [1, 2].map((n) => `asking Claude, call ${first?.call}, attempt ${n}`))
    }).pipe(Effect.provide(Layer.provideMerge(FakeClaude.layer(retried), CallLog.layerMemory))))

  it.effect("a call without a policy logs its attempts only, without a call id", () =>
    Effect.gen(function*() {
      yield* Claude.text("hi")
      const events = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      assert.deepStrictEqual(events.map(({ _tag, call }) => [_tag, call]), [
        ["AttemptStarted", undefined],
        ["AttemptSucceeded", undefined]
      ])
    }).pipe(Effect.provide(Layer.provideMerge(FakeClaude.layer([Faults.answer("hi")]), CallLog.layerMemory))))
})

describe("costs", () => {
  const billed = Claude.text("Tell me a story.").pipe(
    Policy.apply(Policy.standard),
    Policy.outcome,
    Effect.tap(({ cost, status, tokens }) => Effect.logInfo({ status, dollars: cost.dollars, ...tokens }))
  )

  it.effect("an outcome has its tokens, and the same cost as the CallSucceeded event", () =>
    Effect.gen(function*() {
      const result = yield* finish(billed)
      const outcome = result._tag === "Success" ? result.success : assert.fail()
      assert.deepStrictEqual(outcome.tokens, { input: 100, output: 50 })
      const end = (yield* Effect.flatMap(CallLog.Memory, Ref.get)).at(-1)
      assert.isTrue(end?._tag === "CallSucceeded" && end.spent.dollars === outcome.cost.dollars)
    }).pipe(Effect.provide(Layer.provideMerge(
      FakeClaude.layer([Faults.overloaded, Faults.answer("Once.", { inputTokens: 100, outputTokens: 50 })]),
      CallLog.layerMemory
    ))))
})

describe("layerMemory", () => {
  const testLayer = Layer.provideMerge(FakeClaude.layer(retried), CallLog.layerMemory)

  it.effect("gives a test the events so far", () =>
    Effect.gen(function*() {
      yield* finish(Claude.text("Hello").pipe(Policy.apply(Policy.standard)))
      const events = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), tags)
    }).pipe(Effect.provide(testLayer)))
})
