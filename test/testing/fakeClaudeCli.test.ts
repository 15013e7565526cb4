/** What `fake-claude` answers when a request asks for a value, and its scripts in files. */
import { Anthropic as Sdk } from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Layer, Result, Schedule, Schema } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { Anthropic, CallLog, Claude, Policy } from "../../src/index.ts"
import * as NodeAnthropic from "../../src/NodeAnthropic.ts"
import * as Codec from "../../src/output/codec.ts"
import { answerTo } from "../../src/testing/fitting.ts"
import { Faults } from "../../src/testing/index.ts"
import * as ScriptFile from "../../src/testing/scriptFile.ts"

const cli = path.resolve(import.meta.dirname, "../../src/testing/cli.ts")

interface Run {
  readonly child: ChildProcess
  out: string
  err: string
  code: number | null | undefined
}

const start = (...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync((): Run => {
      const child = spawn(process.execPath, [cli, "--port", "0", ...args], { stdio: ["ignore", "pipe", "pipe"] })
      const run: Run = { child, out: "", err: "", code: undefined }
      child.stdout.on("data", (piece) => run.out += piece)
      child.stderr.on("data", (piece) => run.err += piece)
      child.on("close", (code) => run.code = code)
      return run
    }),
    ({ child }) => Effect.sync(() => child.kill("SIGKILL"))
  )

const until = <A>(look: () => A | undefined) =>
  Effect.sync(look).pipe(
    Effect.repeat({ until: (found) => found !== undefined, schedule: Schedule.spaced("20 millis") }),
    Effect.timeout("20 seconds"),
    Effect.map((found) => found ?? assert.fail("nothing was found"))
  )

const urlOf = (run: Run) => until(() => /http:\/\/127\.0\.0\.1:\d+/.exec(run.out)?.[0])

/** A script in a file that is removed after the test. */
const scriptOf = (text: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "fake-claude-"))),
      (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true }))
    ),
    (folder) => {
      const file = path.join(folder, "script.json")
      fs.writeFileSync(file, text)
      return file
    }
  )

const wires: ReadonlyArray<readonly [name: string, layer: (url: string) => Layer.Layer<Claude.Claude>]> = [
  ["NodeAnthropic", (baseUrl) => NodeAnthropic.layer({ apiKey: "any", baseUrl })],
  ["Anthropic", (baseUrl) => Anthropic.layer({ apiKey: "any", baseUrl })]
]

const slow = { timeout: 40_000 }

// -----------------------------------------------------------------------------
// Values
// -----------------------------------------------------------------------------

interface Tree {
  readonly name: string
  readonly parts: ReadonlyArray<Tree>
}
const Tree: Schema.Codec<Tree> = Schema.Struct({
  name: Schema.String,
  parts: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
})

const Invoice = Schema.Struct({
  number: Schema.NonEmptyString,
  total: Schema.Finite,
  paid: Schema.Boolean,
  currency: Schema.Literals(["EUR", "USD"]),
  note: Schema.NullOr(Schema.String),
  due: Schema.optional(Schema.String),
  lines: Schema.NonEmptyArray(Schema.Struct({ what: Schema.String, count: Schema.Int })),
  tags: Schema.Record(Schema.String, Schema.String)
})

describe("fake-claude", () => {
  it.live(
    "answers Claude.object, Claude.choice and Claude.json with a value that fits, and Claude.text with text, over Anthropic and over NodeAnthropic",
    () =>
      Effect.gen(function*() {
        const run = yield* start()
        const url = yield* urlOf(run)
        for (const [, wire] of wires) {
          yield* Effect.gen(function*() {
            const invoice = yield* Claude.object(Invoice, "Read this invoice.")
            assert.strictEqual(invoice.number, "text")
            assert.lengthOf(invoice.lines, 1)
            assert.deepStrictEqual(yield* Claude.object(Invoice, "Again."), invoice)
            // The API takes no recursive schema: it goes into the prompt.
            assert.deepStrictEqual(yield* Claude.object(Tree, "Draw a tree."), { name: "text", parts: [] })
            assert.strictEqual(yield* Claude.choice(["billing", "sales"], "Which queue?"), "billing")
            yield* Claude.json("Anything.")
            assert.include(yield* Claude.text("Hello"), "Paris")
          }).pipe(Effect.provide([wire(url), CallLog.layerNoop]))
        }
        assert.strictEqual(run.err, "")
      }).pipe(Effect.scoped),
    slow
  )

  it.live(
    "gives the SDK a value that fits the schema, for a structured output and for a forced tool",
    () =>
      Effect.gen(function*() {
        const client = new Sdk({ apiKey: "any", baseURL: yield* urlOf(yield* start()) })
        const schema = {
          type: "object",
          properties: { day: { type: "string", format: "date" }, size: { $ref: "#/$defs/Size" } },
          required: ["day", "size"],
          additionalProperties: false,
          $defs: { Size: { type: "string", enum: ["S", "M"] } }
        }
        const ask = { model: "claude-opus-5-5", max_tokens: 100, messages: [{ role: "user" as const, content: "hi" }] }
        const said = yield* Effect.promise(() =>
          client.messages.stream({ ...ask, output_config: { format: { type: "json_schema", schema } } }).finalText()
        )
        const { day, size } = JSON.parse(said)
        assert.strictEqual(day, "2026-11-29")
        assert.include(["S", "M"], size)
        const used = yield* Effect.promise(() =>
          client.messages.stream({
            ...ask,
            model: "claude-opus-4-8",
            thinking: { type: "disabled" },
            tools: [{ name: "other", input_schema: { type: "object" } }, {
              name: "stock",
              input_schema: { ...schema, type: "object" }
            }],
            tool_choice: { type: "tool", name: "stock" }
          }).finalMessage()
        )
        assert.strictEqual(used.stop_reason, "tool_use")
        assert.deepInclude(used.content[0], { type: "tool_use", name: "stock", input: { day, size } })
      }).pipe(Effect.scoped),
    slow
  )

  it.live("answers with text if no value fits the schema, and prints why", () =>
    Effect.gen(function*() {
      const run = yield* start()
      const client = new Sdk({ apiKey: "any", baseURL: yield* urlOf(run) })
      const said = yield* Effect.promise(() =>
        client.messages.stream({
          model: "claude-opus-5-5",
          max_tokens: 100,
          messages: [{ role: "user", content: "hi" }],
          output_config: { format: { type: "json_schema", schema: { $ref: "#/$defs/Nope" } } }
        }).finalText()
      )
      assert.include(said, "Paris")
      assert.match(
        run.err,
        /^fake-claude: no value could be made for the schema .*"Nope".*, so the answer is a text\.\n$/
      )
    }).pipe(Effect.scoped), slow)
})

/** The text or the tool input of the answer to these parameters. */
const answered = (params: Readonly<Record<string, unknown>>) =>
  Effect.map(answerTo(params), (turn) => {
    const bytes = turn?.body.map((piece) => String(piece.bytes)) ?? []
    const deltas = bytes.flatMap((event) => {
      const data = JSON.parse(event.slice(event.indexOf("data:") + 5))
      return [data.delta?.text ?? data.delta?.partial_json ?? ""]
    })
    return turn === undefined ? undefined : JSON.parse(deltas.join(""))
  })

const answeredBy = (schema: unknown) => answered({ output_config: { format: { type: "json_schema", schema } } })

const strings = { type: "string" }

describe("the value for a schema", () => {
  const node = {
    type: "object",
    properties: { next: { anyOf: [{ $ref: "#/$defs/Node" }, { type: "null" }] }, value: { type: "integer" } },
    required: ["next", "value"]
  }
  const rows: ReadonlyArray<readonly [schema: unknown, json: RegExp]> = [
    [strings, /^"text"$/],
    [{ type: "integer", minimum: 10, maximum: 12 }, /^1[012]$/],
    [{ type: "number", exclusiveMinimum: 3 }, /^([4-9]|3\.|\d\d|\d\.\d+e\+)/],
    [{ type: "string", minLength: 9 }, /^".{9,}"$/],
    [{ type: "string", maxLength: 2 }, /^".{0,2}"$/],
    [{ type: "string", pattern: "^[A-Z]{3}-\\d+$" }, /^"[A-Z]{3}-\d+"$/],
    [{ type: "string", format: "date-time" }, /^"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"$/],
    [{ type: "string", format: "uri", maxLength: 30 }, /^"https:\/\/.{1,22}"$/],
    [{ type: "string", format: "date", minLength: 1, pattern: "^2" }, /^"\d{4}-\d\d-\d\d"$/],
    [{ type: "string", format: "uri", maxLength: 3 }, /^".{0,3}"$/],
    [{ type: "string", format: "date", const: "never" }, /^"never"$/],
    [{ type: "string", format: "email" }, /^"\w+@\w+\.\w+"$/],
    [{ type: "string", format: "toString" }, /^".*"$/],
    [{ const: 7 }, /^7$/],
    [{ enum: ["b", "a"] }, /^"b"$/],
    [{ type: ["string", "null"] }, /^(".*"|null)$/],
    [{ anyOf: [{ type: "null" }, strings] }, /^(".*"|null)$/],
    [{ type: "array", items: strings, minItems: 3 }, /^\["text","text","text"\]$/],
    [{ type: "array", items: strings, minItems: 2, uniqueItems: true }, /^\["(.*)","(?!\1").*"\]$/],
    [{ allOf: [{ type: "object", properties: { a: strings }, required: ["a"] }] }, /^\{"a":"text"\}$/],
    [{ $ref: "#/$defs/A", $defs: { A: strings } }, /^"text"$/],
    [{ $ref: "#/definitions/A", definitions: { A: strings } }, /^"text"$/],
    [{ $ref: "#/$defs/Node", $defs: { Node: node } }, /^\{"next":null,"value":1\}$/],
    [{}, /./]
  ]
  it.effect.each(rows)("fits %j", ([schema, json]) =>
    Effect.gen(function*() {
      const value = yield* answeredBy(schema)
      assert.match(JSON.stringify(value), json)
      assert.deepStrictEqual(yield* answeredBy(schema), value)
    }))

  it.effect.each([{ not: {} }, { $ref: "#/$defs/Nope" }, { type: "string", pattern: "(" }, {
    type: "object",
    properties: { a: { $ref: "#/definitions/A" }, b: { $ref: "#/$defs/B" } },
    definitions: { A: strings },
    $defs: { B: strings }
  }, {
    type: "object",
    properties: { self: { $ref: "#/$defs/A" } },
    required: ["self"],
    $defs: { A: { type: "object", properties: { self: { $ref: "#/$defs/A" } }, required: ["self"] } }
  }])("cannot be made for %j, and the failure says why", (schema) =>
    Effect.gen(function*() {
      assert.match(yield* Effect.flip(answeredBy(schema)), /^[A-Z].{10,}$/)
    }))

  it.effect("can be decoded with the schema of the call, as a structured output and as text", () =>
    Effect.gen(function*() {
      const schemas = [
        Invoice,
        Tree,
        Schema.Tuple([Schema.String, Schema.Finite]),
        Schema.Union([Schema.TaggedStruct("A", { x: Schema.String }), Schema.TaggedStruct("B", {})]),
        Schema.Option(Schema.String),
        Schema.ReadonlyMap(Schema.String, Schema.Finite)
      ]
      for (const schema of schemas) {
        const output = Result.getOrThrow(Codec.of<unknown, unknown, never>(schema))
        for (const able of [true, false]) {
          const asked = { model: "any", max_tokens: 9, messages: [{ role: "user" as const, content: "hi" }] }
          const { codec, params } = Codec.ask(output, asked, able)
          yield* Schema.decodeUnknownEffect(codec)(yield* answered({ ...params }))
        }
      }
    }))

  it.effect("is not made for a request that asks for text or that allows a tool without forcing it", () =>
    Effect.gen(function*() {
      for (
        const params of [
          {},
          { messages: [{ role: "user", content: "hi" }] },
          { tools: [{ name: "a", input_schema: {} }], tool_choice: { type: "auto" } },
          { messages: "hi", tools: 1, tool_choice: { type: "tool", name: "a" }, output_config: null }
        ]
      ) assert.isUndefined(yield* answered(params))
    }))
})

// -----------------------------------------------------------------------------
// Scripts in files
// -----------------------------------------------------------------------------

const page = fs.readFileSync(path.resolve(import.meta.dirname, "../../docs/testing.md"), "utf8")

describe("a script file", () => {
  it.live("such as the one in docs/testing.md is played step by step", () =>
    Effect.gen(function*() {
      const file = yield* scriptOf(/```json\n([^]*?)```/.exec(page)?.[1] ?? "")
      const run = yield* start("--script", file)
      const layer = NodeAnthropic.layer({ apiKey: "any", baseUrl: yield* urlOf(run) })
      yield* Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(Claude.text("hi")))._tag, "Overloaded")
        const limited = yield* Effect.flip(Claude.text("hi"))
        assert.deepInclude(limited, { _tag: "RateLimited", status: 429 })
        assert.include(JSON.stringify(limited), "2000")
        assert.include((yield* Effect.flip(Claude.text("hi"))).message, "model: claude-nope-1")
        assert.strictEqual((yield* Effect.flip(Claude.text("hi")))._tag, "PartialAnswer")
        assert.strictEqual(yield* Claude.text("hi"), "The capital of France is Paris.")
        assert.deepStrictEqual(yield* Claude.object(Schema.Struct({ mood: Schema.String }), "How?"), { mood: "good" })
        assert.deepStrictEqual(yield* Claude.object(Schema.Struct({ mood: Schema.String }), "How?"), { mood: "text" })
        assert.include(yield* Claude.text("hi").pipe(Policy.apply(Policy.none)), "Paris")
      }).pipe(Effect.provide([layer, CallLog.layerNoop]))
      assert.include(run.out, `fake-claude plays ${file} on http`)
      assert.strictEqual(run.err, "")
    }).pipe(Effect.scoped), slow)

  it.live("that is missing or invalid makes fake-claude print one line and exit with 1", () =>
    Effect.gen(function*() {
      const missing = yield* start("--script", "./no-such-file.json")
      assert.strictEqual(yield* until(() => missing.code), 1)
      assert.match(missing.err, /^fake-claude: The script \.\/no-such-file\.json cannot be read: ENOENT.*--help\.\n$/)
      const wrong = yield* start("--script", yield* scriptOf("[\"overlaoded\"]"))
      assert.strictEqual(yield* until(() => wrong.code), 1)
      assert.match(
        wrong.err,
        /^fake-claude: The script .*script\.json: step 1 is "overlaoded": there is no such step.*\n$/
      )
    }).pipe(Effect.scoped), slow)

  const flaws: ReadonlyArray<readonly [text: string, says: RegExp]> = [
    ["", /^it is not JSON: Unexpected end/],
    ["[\"overloaded\",]", /^it is not JSON: Unexpected token '\]'/],
    ["{\"answer\": \"hi\"}", /^it must be a list of steps, such as \["overloaded"/],
    ["[]", /^it has no step: write at least one, such as/],
    [
      "[\"answer\", \"toString\"]",
      /^step 2 is "toString": there is no such step: it must be one of "answer",.*{"status": …}$/
    ],
    ["[null]", /^step 1 is null: there is no such step/],
    ["[{\"brakes\": \"The\"}]", /^step 1 is {"brakes":"The"}: there is no such step/],
    ["[\"breaks\"]", /^step 1 is "breaks": it needs a value, {"breaks": …} \(a text, then/],
    ["[{\"breaks\": 5}]", /^step 1 is {"breaks":5}: Expected string at \["breaks"\]$/],
    ["[{\"breaks\": \"a\", \"end\": \"x\"}]", /: Expected "cut" \| "reset" \| "silence" at \["end"\]$/],
    ["[{\"status\": 200}]", /: Expected a value between 400 and 599 at \["status"\]$/],
    ["[{\"status\": 529, \"typo\": 1}]", /: Expected no excess property at \["typo"\]$/],
    ["[{\"answer\": \"a\", \"breaks\": \"b\"}]", /: Expected no excess property at \["breaks"\]$/],
    ["[{\"answer\": \"a\", \"after\": \"1 second\"}]", /: "after" must be a number of seconds$/],
    ["[{\"status\": 429, \"retryAfter\": -1}]", /at \["retryAfter"\]$/]
  ]
  it.each(flaws)("with the text %j is refused, with the mistake in the message", (text, says) => {
    const parsed = ScriptFile.parse(text)
    assert.match(Result.isFailure(parsed) ? parsed.failure : "", says)
  })

  it.effect("may begin with a byte order mark, and may contain every kind of turn that needs no code", () =>
    Effect.gen(function*() {
      const words =
        "emptyAnswer overloaded rateLimited serverError gatewayTimeout unauthorized billing forbidden notFound "
        + "tooLarge promptTooLong spendLimited ownSpendLimit reset hangUp silence garbage pings"
      const texts = "answer lingers refusal maxTokens paused breaks errorAfter pings"
      const steps = [
        ...words.split(" "),
        ...texts.split(" ").map((name) => ({ [name]: "text" })),
        { value: { a: 1 } },
        { tool: { name: "stock", input: {} } },
        { rateLimited: 1 },
        { html: 502 }
      ]
      const make = Result.getOrThrow(ScriptFile.parse(`\uFEFF${JSON.stringify([...steps, "answer"])}`))
      const script = make(Faults.named("the default", Faults.answer("default")))
      const names = yield* Effect.forEach(
        [...steps, 0, 0],
        (_, index) => Effect.map(script({ index, elapsed: 0, params: {} }), ({ name }) => name)
      )
      assert.deepStrictEqual(names.slice(-2), ["the default", "the default"])
      assert.isAbove(new Set(names).size, 20)
      const named = new Set(steps.map((step) => typeof step === "string" ? step : Object.keys(step)[0]))
      // No step has the name of a function that builds or changes scripts and turns.
      const code =
        "apiHeaders by bytesOf cycle delayed drip errorBody event events fails named random respond sequence "
        + "stream toScript untilLast"
      assert.deepStrictEqual(Object.keys(Faults).filter((name) => !named.has(name)).toSorted(), code.split(" "))
    }))
})
