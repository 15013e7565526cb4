import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, FileSystem, Layer, Logger, PlatformError, Ref, References, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import * as nodeFs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as util from "node:util"
import { CallLog, Claude, type ClaudeError, Policy, Retry } from "../src/index.ts"
import { FakeClaude, Faults } from "../src/testing/index.ts"

const inspect = (value: unknown): string => util.inspect(value, { depth: 20, showHidden: true })

const secret = "the answer is swordfish"
const question = "what is the password of alice"

const policy = Policy.apply({ retry: { Overloaded: Retry.linear({ times: 1, base: 1 }) } })

/** One call that fails in the middle of an answer. */
const incident = Claude.text(question).pipe(policy, Effect.flip)
const layer = FakeClaude.layer(Faults.cycle(Faults.breaks(secret)))

describe("log sinks", () => {
  it.effect("each of two combined sinks receives every event once", () =>
    Effect.gen(function*() {
      const one: Array<string> = []
      const two: Array<string> = []
      const sink = (into: Array<string>) =>
        Layer.succeed(CallLog.CallLog, { emit: (event) => Effect.sync(() => void into.push(event._tag)) })
      yield* incident.pipe(
        Effect.provide(layer.pipe(Layer.provide(CallLog.combine(sink(one), sink(two), CallLog.layerNoop))))
      )
      assert.deepStrictEqual(one, ["AttemptStarted", "AttemptFailed", "GaveUp"])
      assert.deepStrictEqual(two, one)
    }))

  it.effect("a slow sink receives the end of an attempt even if the call is interrupted while the sink still writes the start", () =>
    Effect.gen(function*() {
      const told: Array<string> = []
      const slow = Layer.succeed(CallLog.CallLog, {
        emit: (event) => Effect.andThen(Effect.sync(() => void told.push(event._tag)), Effect.sleep("2 seconds"))
      })
      const call = yield* Claude.text(question).pipe(
        Effect.provide(layer.pipe(Layer.provide(slow))),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(told, ["AttemptStarted"])
      const left = yield* Effect.forkChild(Fiber.interrupt(call))
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(left)
      assert.deepStrictEqual(told, ["AttemptStarted", "AttemptAbandoned"])
    }))

  it.effect("a layer in CallLog.combine still provides its own service CallLog.Memory", () =>
    Effect.gen(function*() {
      yield* incident
      assert.lengthOf(yield* Effect.flatMap(CallLog.Memory, Ref.get), 3)
    }).pipe(Effect.provide(Layer.provideMerge(layer, CallLog.combine(CallLog.layerMemory, CallLog.layerNoop)))))

  it.effect("a sink that dies does not stop other sinks", () =>
    Effect.gen(function*() {
      yield* incident
      assert.lengthOf(yield* Effect.flatMap(CallLog.Memory, Ref.get), 3)
    }).pipe(Effect.provide(layer.pipe(
      Layer.provideMerge(CallLog.combine(
        Layer.succeed(CallLog.CallLog, { emit: () => Effect.die("boom") }),
        CallLog.layerMemory
      )),
      Layer.provide(Logger.layer([]))
    ))))

  it.effect("a sink that dies does not fail the call, and the Logger reports why it died", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const dying = Layer.succeed(CallLog.CallLog, { emit: () => Effect.die(new Error("disk on fire")) })
      const text = yield* Claude.text("hi").pipe(
        Effect.provide(
          FakeClaude.layer([Faults.answer("hello")]).pipe(
            Layer.provide(dying),
            Layer.provide(Logger.layer([Logger.map(Logger.formatLogFmt, (line) => void lines.push(line))]))
          )
        )
      )
      assert.strictEqual(text, "hello")
      assert.match(lines.join("\n"), /a log sink failed.*disk on fire/s)
    }))

  it.effect("a sink that throws does not fail the call", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Claude.text("hi").pipe(Policy.apply(Policy.standard)), "hello")
    }).pipe(Effect.provide(
      FakeClaude.layer([Faults.answer("hello")]).pipe(
        Layer.provide(Layer.succeed(CallLog.CallLog, {
          emit: () => {
            throw new Error("disk on fire")
          }
        })),
        Layer.provide(Logger.layer([]))
      )
    )))
})

describe("CallLog.layer", () => {
  it.effect("writes each event at the log level of its kind, to the loggers that were provided to the layer and not to those of the caller", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const here = Logger.layer([Logger.map(Logger.formatLogFmt, (line) => void lines.push(line))])
      const claude = layer.pipe(Layer.provide(CallLog.layer), Layer.provide(here))
      const elsewhere = Logger.layer([Logger.make(() => assert.fail("the wrong logger"))])
      yield* incident.pipe(
        Effect.provide(Layer.merge(claude, elsewhere)),
        Effect.provideService(References.MinimumLogLevel, "Debug")
      )
      assert.match(lines[0] ?? "", /level=DEBUG.*message="claude: AttemptStarted".*attempt=1/)
      assert.match(lines[1] ?? "", /level=WARN.*AttemptFailed.*requestId=req_fake_0001.*error=PartialAnswer/)
      assert.match(lines[2] ?? "", /level=ERROR.*GaveUp.*reason=NotRetried/)
      assert.lengthOf(lines, 3)
    }))
})

describe("CallLog.layerJsonLines", () => {
  const file = Effect.acquireRelease(
    Effect.sync(() => nodeFs.mkdtempSync(path.join(os.tmpdir(), "resilient-claude-"))),
    (folder) => Effect.sync(() => nodeFs.rmSync(folder, { recursive: true }))
  ).pipe(Effect.map((folder) => path.join(folder, "calls.jsonl")))

  it.live("appends each event as one line, and has written all lines when the layer closes", () =>
    Effect.gen(function*() {
      const path = yield* file
      for (const _ of [1, 2]) {
        yield* incident.pipe(Effect.provide(layer.pipe(Layer.provide(CallLog.layerJsonLines(path)))))
      }
      const lines = nodeFs.readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line))
      assert.deepStrictEqual(lines.map(({ event }) => event), [
        "AttemptStarted",
        "AttemptFailed",
        "GaveUp",
        "AttemptStarted",
        "AttemptFailed",
        "GaveUp"
      ])
      assert.deepInclude(lines[1], { error: "PartialAnswer", requestId: "req_fake_0001", attempt: 1 })
      assert.isNumber(lines[2].tookMs)
      assert.match(lines[0].at, /^\d{4}-\d\d-\d\dT/)
    }).pipe(Effect.provide(NodeFileSystem.layer), Effect.scoped))

  it.live("fails to build if its path cannot be opened", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(
        Effect.provide(incident, layer.pipe(Layer.provide(CallLog.layerJsonLines("/nowhere/at/all"))))
      )
      assert.isTrue(Exit.isFailure(exit))
    }).pipe(Effect.provide(NodeFileSystem.layer)))

  it.effect("G15: logs a message and does not fail the call if the file can be opened but a write fails", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const full = PlatformError.systemError({
        _tag: "Unknown",
        module: "FileSystem",
        method: "writeAll",
        description: "no space left"
      })
      const disk = Layer.succeed(
        FileSystem.FileSystem,
        FileSystem.makeNoop({
          open: () => Effect.succeed({ writeAll: () => Effect.fail(full) } as unknown as FileSystem.File)
        })
      )
      const scope = yield* Scope.make()
      const context = yield* Layer.build(layer.pipe(
        Layer.provide(CallLog.layerJsonLines("full")),
        Layer.provide(disk),
        Layer.provide(Logger.layer([Logger.map(Logger.formatLogFmt, (line) => void lines.push(line))]))
      )).pipe(Scope.provide(scope))
      const error: ClaudeError.ClaudeError = yield* Effect.provideContext(incident, context)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(error._tag, "PartialAnswer")
      assert.match(lines.join("\n"), /log lines for full were lost.*no space left/s)
    }))
})

describe("G14: secrets and content do not leak", () => {
  it.effect("an error that holds an answer shows none of it in console.log, in a Logger, as JSON or as a string", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const into = <I>(logger: Logger.Logger<I, unknown>) =>
        Logger.map(logger, (line) => void lines.push(typeof line === "string" ? line : JSON.stringify(line)))
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const write = console.log
          console.log = (...args: ReadonlyArray<unknown>) => void lines.push(args.map(inspect).join(" "))
          return write
        }),
        (write) => Effect.sync(() => void (console.log = write))
      )
      const error = yield* incident
      console.log(error)
      yield* Effect.logError("it failed", error).pipe(Effect.provide(Logger.layer([
        Logger.consolePretty(),
        into(Logger.formatJson),
        into(Logger.formatLogFmt),
        into(Logger.formatSimple),
        into(Logger.formatStructured)
      ])))
      lines.push(JSON.stringify(error), String(error), error.message, inspect(error), JSON.stringify({ ...error }))
      assert.isAtLeast(lines.length, 10)
      for (const line of lines) assert.notMatch(line, /swordfish/)
      assert.isTrue(error._tag === "PartialAnswer" && error.text !== undefined)
    }).pipe(Effect.provide(layer)))

  it.effect("the events of failed calls hold no prompt and no answer, and their messages have at most 200 characters", () =>
    Effect.gen(function*() {
      yield* incident
      yield* Claude.text(question).pipe(policy, Effect.flip)
      const events = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      const said = JSON.stringify(events) + inspect(events) + JSON.stringify(events.map(CallLog.record))
      for (const word of ["swordfish", "alice"]) assert.notInclude(said, word)
      for (const event of events) assert.isAtMost(String(CallLog.record(event)["message"] ?? "").length, 200)
    }).pipe(Effect.provide(Layer.provideMerge(
      FakeClaude.layer([Faults.breaks(secret), Faults.fails(500, "api_error", "x".repeat(5000))]),
      CallLog.layerMemory
    ))))

  it.effect("a MalformedOutput error shows nothing of the malformed output when it is printed", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Claude.object(Schema.Struct({ n: Schema.Int }), question))
      assert.strictEqual(error._tag, "MalformedOutput")
      assert.notMatch(inspect(error) + JSON.stringify(error) + error.message, /swordfish/)
    }).pipe(Effect.provide(FakeClaude.layer([Faults.value({ n: secret })]))))
})

describe("lists of events and requests for tests", () => {
  const event: CallLog.Event = { _tag: "CircuitProbing", at: 0, call: undefined, model: "m" }

  it.effect("the list of CallLog.Memory receives 100,000 events in less than a second", () =>
    Effect.gen(function*() {
      const { emit } = yield* CallLog.CallLog
      const start = performance.now()
      for (let i = 0; i < 100_000; i++) yield* emit(event)
      assert.isBelow(performance.now() - start, 1000)
      assert.lengthOf(yield* Effect.flatMap(CallLog.Memory, Ref.get), 100_000)
    }).pipe(Effect.provide(CallLog.layerMemory)))

  it.effect("a list read from CallLog.Memory does not change with later events, and CallLog.Memory can be set and updated like any Ref", () =>
    Effect.gen(function*() {
      const memory = yield* CallLog.Memory
      const { emit } = yield* CallLog.CallLog
      yield* emit(event)
      const before = yield* Ref.get(memory)
      yield* emit(event)
      assert.deepStrictEqual([before.length, (yield* Ref.get(memory)).length], [1, 2])
      assert.strictEqual(yield* Ref.get(memory), yield* Ref.get(memory))
      yield* Ref.set(memory, [])
      yield* emit(event)
      assert.lengthOf(yield* Ref.get(memory), 1)
      yield* Ref.update(memory, (all) => [...all, event])
      assert.lengthOf(yield* Ref.getAndSet(memory, []), 2)
      assert.lengthOf(yield* Ref.get(memory), 0)
    }).pipe(Effect.provide(CallLog.layerMemory)))

  it.effect("a list read from FakeClaude.received does not change with later requests", () =>
    Effect.gen(function*() {
      const text = Claude.text("hi")
      yield* text
      const before = yield* FakeClaude.received
      yield* text
      assert.deepStrictEqual([before.length, (yield* FakeClaude.received).length], [1, 2])
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.answer("hello"))))))
})

describe("the codes of warnings", () => {
  const root = path.resolve(import.meta.dirname, "..")
  const read = (file: string) => nodeFs.readFileSync(path.join(root, file), "utf8")

  it("are those that docs/logging.md lists", () => {
    const source = nodeFs.readdirSync(path.join(root, "src"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => read(`src/${file}`))
      .join("\n")
    const emitted = /(?:\b(?:warn|warnHere|warning|broken)\([^")]*|\bcode: )"([A-Z]\w+)"/g
    const codes = [...source.matchAll(emitted)].map(([, code = ""]) => code).filter((code) => /[a-z]/.test(code))
    const [, table = ""] = /\n\| code of a `Warning` [^]*?\n\|---\|---\|\n([^]*?)\n\n/.exec(read("docs/logging.md")) ??
      []
    const listed = [...table.matchAll(/^\| (`.*?) \|/gm)].flatMap(([, names = ""]) =>
      [...names.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name)
    )
    assert.sameMembers(listed, codes)
  })
})
