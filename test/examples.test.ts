/** Runs each example against a script. */
import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Fiber, Layer, Result } from "effect"
import { TestClock } from "effect/testing"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"
import { promisify } from "node:util"
import * as OneLine from "../examples/01-one-line.ts"
import * as ThreeAttempts from "../examples/02-three-attempts.ts"
import * as WaitsByKind from "../examples/03-waits-by-kind.ts"
import * as FullStack from "../examples/04-full-stack.ts"
import * as PerError from "../examples/05-per-error.ts"
import * as OwnService from "../examples/06-your-own-service.ts"
import * as TestIt from "../examples/07-test-it.ts"
import * as InvoiceBySchema from "../examples/08-invoice.ts"
import * as Triage from "../examples/09-triage.ts"
import * as JsonReask from "../examples/10-json-reask.ts"
import * as Tools from "../examples/11-tools.ts"
import * as ChatReply from "../examples/12-chat-reply.ts"
import * as LongAnswer from "../examples/13-long-answer.ts"
import * as FallbackModels from "../examples/14-fallback-models.ts"
import * as Simulate from "../examples/17-simulate.ts"
import { Fallback } from "../src/index.ts"
import { FakeClaude, Faults } from "../src/testing/index.ts"
import { oneIn } from "./support/effort.ts"

const models = Effect.map(FakeClaude.received, (all) => all.map(({ params }) => params.model))
const messages = Effect.map(FakeClaude.received, (all) => all.map(({ params }) => params.messages))

/** Runs an effect while the test clock moves by `within`. */
const finish = <A, E, R>(self: Effect.Effect<A, E, R>, within: "1 minute" | "10 minutes" = "10 minutes") =>
  Effect.gen(function*() {
    const running = yield* Effect.forkChild(Effect.result(self))
    yield* TestClock.adjust(within)
    return yield* Fiber.join(running)
  })

const asked = (turns: ReadonlyArray<Faults.Turn>) => Effect.provide(FakeClaude.layer(turns))

describe("example", () => {
  it("files are exactly those in this list", () => {
    const files = fs.readdirSync(path.resolve(import.meta.dirname, "../examples")).toSorted()
    assert.deepStrictEqual(files, [
      "01-one-line.ts",
      "02-three-attempts.ts",
      "03-waits-by-kind.ts",
      "04-full-stack.ts",
      "05-per-error.ts",
      "06-your-own-service.ts",
      "07-test-it.ts",
      "08-invoice.ts",
      "09-triage.ts",
      "10-json-reask.ts",
      "11-tools.ts",
      "12-chat-reply.ts",
      "13-long-answer.ts",
      "14-fallback-models.ts",
      // Tested in relay.test.ts and health.test.ts.
      "15-relay.ts",
      "16-health.ts",
      "17-simulate.ts",
      "incident.ts"
    ])
  })

  it.effect(
    "17 simulates an outage of a minute: more than half of the calls are answered, with and without guards",
    () =>
      Effect.gen(function*() {
        const results = yield* Simulate.program
        assert.deepStrictEqual(results.map(({ contender }) => contender), ["ours", "without guards"])
        for (const { answered, calls } of results) assert.isAbove(answered, calls / 2)
      }),
    60_000
  )

  it.effect("01 asks, and succeeds with the answer", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* OneLine.program, "slow water")
    }).pipe(asked([Faults.answer("slow water")])))

  it.effect("02 makes a second attempt after 1 to 2 seconds, and fails after a third attempt within 5 seconds", () =>
    Effect.gen(function*() {
      const running = yield* Effect.forkChild(Effect.flip(ThreeAttempts.program))
      yield* TestClock.adjust("999 millis")
      assert.lengthOf(yield* models, 1)
      yield* TestClock.adjust("1001 millis")
      assert.lengthOf(yield* models, 2)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(running))._tag, "ServerFault")
      assert.lengthOf(yield* models, 3)
    }).pipe(asked([Faults.rateLimited(), Faults.overloaded, Faults.serverError])))

  it.effect("02 fails at once if Claude is unreachable", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(ThreeAttempts.program))._tag, "Unreachable")
    }).pipe(asked([Faults.reset])))

  it.effect("03 counts the retries of each kind of error separately: it waits 2 and 4 seconds after rate limits, 3 seconds after a lost connection, and 5 seconds after an attempt times out at 30 seconds", () =>
    Effect.gen(function*() {
      const running = yield* Effect.forkChild(WaitsByKind.program)
      for (const [seconds, requests] of [[1, 1], [1, 2], [2, 2], [1, 3], [3, 3], [1, 4], [34, 4], [1, 5]] as const) {
        yield* TestClock.adjust(seconds * 1000)
        assert.lengthOf(yield* models, requests)
      }
      assert.strictEqual(yield* Fiber.join(running), "slow water")
    }).pipe(asked([
      Faults.rateLimited(),
      Faults.reset,
      Faults.rateLimited(),
      Faults.pings("slow", "10 seconds"),
      Faults.answer("slow water")
    ])))

  it.effect("04 asks again after a malformed answer, asks another model after a refusal, and returns each outcome as a value", () =>
    Effect.gen(function*() {
      const good = yield* finish(FullStack.program)
      assert.deepInclude(good._tag === "Success" ? good.success : {}, { status: "success" })
      assert.deepInclude(good._tag === "Success" && good.success.status === "success" ? good.success.data : {}, {
        mood: "good",
        score: 0.9
      })
      assert.deepStrictEqual(yield* models, ["claude-sonnet-5-5", "claude-sonnet-5-5"])
      const bad = yield* finish(FullStack.program)
      assert.deepInclude(bad._tag === "Success" ? bad.success : {}, { status: "error", retryable: false })
      assert.deepStrictEqual((yield* models).slice(2), ["claude-sonnet-5-5", "claude-haiku-5-5"])
    }).pipe(asked([
      Faults.answer("Well, they seem happy!"),
      Faults.value({ mood: "good", score: 0.9 }),
      Faults.refusal(),
      Faults.refusal()
    ])))

  it.effect("05 decodes an answer, recovers from a refusal, and gives a notice after a rejected key", () =>
    Effect.gen(function*() {
      const results = [
        yield* PerError.readInvoice("a"),
        yield* PerError.readInvoice("b"),
        yield* PerError.readInvoice("c")
      ]
      assert.deepInclude(results[0], { supplier: "ACME", total: 12 })
      assert.strictEqual(results[1], "needs a human")
      assert.instanceOf(results[2], Fallback.Notice)
    }).pipe(asked([
      Faults.value({ supplier: "ACME", total: 12, dueDate: "2026-12-01" }),
      Faults.refusal(),
      Faults.refusal(),
      Faults.unauthorized
    ])))

  it.effect("06 gives summaries to a caller that does not need the service Claude", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* OwnService.program, ["It says so.", "It says so."])
    }).pipe(Effect.provide(OwnService.Summaries.layer.pipe(
      Layer.provide(FakeClaude.layer(Faults.cycle(Faults.answer("It says so."))))
    ))))

  it.effect("07 plays an incident of half a minute on the test clock", () =>
    Effect.gen(function*() {
      const { early, requests, summaries } = yield* TestIt.program
      assert.isTrue(early)
      assert.lengthOf(requests, 4)
      assert.deepStrictEqual(summaries, ["It says so.", "It says so."])
    }))

  const lines = [{ what: "anvil", quantity: 3, cents: 4000 }, { what: "rocket", quantity: 1, cents: 9950 }]
  const invoice = { supplier: "ACME Ltd.", lines, totalCents: 21950, due: "2026-12-01" }
  const wrong = { ...invoice, totalCents: 219 }

  it.effect("08 asks again if the total is wrong, and gives a decoded date and the cost", () =>
    Effect.gen(function*() {
      const outcome = yield* InvoiceBySchema.program
      const due = DateTime.makeUnsafe("2026-12-01")
      assert.deepStrictEqual(outcome.status === "success" ? outcome.data : outcome.error, { ...invoice, due })
      // Two attempts, each with 100 input tokens at $2 a million and 50 output tokens at $10 a million.
      assert.closeTo(outcome.cost.dollars, 2 * (100 * 2 + 50 * 10) / 1e6, 1e-12)
      assert.isFalse(outcome.cost.atLeast)
      const [first = [], second = []] = yield* messages
      assert.lengthOf(first, 1)
      assert.deepStrictEqual(second, [
        ...first,
        { role: "assistant", content: JSON.stringify(wrong) },
        {
          role: "user",
          content: "That is not what was asked for:\n- the lines come to 21950 cents, and the total says 219\n" +
            "Answer again, with the corrected JSON only."
        }
      ])
    }).pipe(asked([wrong, invoice].map((value) => Faults.value(value, { inputTokens: 100, outputTokens: 50 })))))

  it.effect("08 gives MalformedOutput as a value if the total stays wrong", () =>
    Effect.gen(function*() {
      const outcome = yield* InvoiceBySchema.program
      assert.strictEqual(outcome.status === "error" && outcome.error._tag, "MalformedOutput")
      assert.deepStrictEqual((yield* messages).map(({ length }) => length), [1, 3, 5])
    }).pipe(asked([Faults.value(wrong), Faults.value(wrong), Faults.value(wrong)])))

  it.effect("09 returns one of the queues in its list, and fails with MalformedOutput for any other answer", () =>
    Effect.gen(function*() {
      const queue: "billing" | "technical" | "sales" | "other" = yield* Triage.program
      assert.strictEqual(queue, "billing")
      assert.strictEqual((yield* Effect.flip(Triage.program))._tag, "MalformedOutput")
    }).pipe(asked([Faults.value({ choice: "billing" }), Faults.value({ choice: "complaints" })])))

  it.effect("10 describes the JSON in the prompt, and lists the mistakes when it asks again", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(JsonReask.form, {
        form: "prompt",
        because: "the schema is recursive, which the API does not accept"
      })
      const tree = { title: "Tea", parts: [{ title: "Water", parts: [] }] }
      assert.deepStrictEqual(yield* JsonReask.program, { tree, values: { port: 8080 } })
      const formats = Effect.map(FakeClaude.received, (all) => all.map(({ params }) => params.output_config?.format))
      assert.deepStrictEqual(yield* formats, [undefined, undefined, undefined, undefined])
      const all = yield* messages
      assert.deepStrictEqual(all.map(({ length }) => length), [1, 3, 1, 3])
      assert.match(JSON.stringify(all[0]), /matches this JSON Schema, and nothing else/)
      assert.match(JSON.stringify(all[1]?.at(-1)), /- parts\.0\.parts: Missing key/)
      assert.match(JSON.stringify(all[2]), /Answer with one JSON value, and nothing else/)
      assert.match(JSON.stringify(all[3]?.at(-1)), /- the answer has no JSON value/)
    }).pipe(asked([
      Faults.value({ title: "Tea", parts: [{ title: "Water" }] }),
      Faults.value({ title: "Tea", parts: [{ title: "Water", parts: [] }] }),
      Faults.answer("{port: 8080}"),
      Faults.answer("Sorry!\n```json\n{\"port\": 8080}\n```")
    ])))

  const uses = (input: object) => Faults.answer("Let me see.", { tool: { name: "stock", input } })

  it.effect("11 sends the result of the tool to Claude", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Tools.program, "Yes, four.")
      const [first = [], second = []] = yield* messages
      assert.lengthOf(second, 3)
      assert.deepStrictEqual(second[0], first[0])
      assert.deepInclude(second[1]?.content[1], { type: "tool_use", id: "toolu_01Fake", name: "stock" })
      assert.deepStrictEqual(second[2]?.content, [
        { type: "tool_result", tool_use_id: "toolu_01Fake", content: "4 left" }
      ])
    }).pipe(asked([uses({ color: "blue", size: "M" }), Faults.answer("Yes, four.")])))

  it.effect("11 fails without running the tool if the input does not match its schema", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(Tools.program))._tag, "MalformedOutput")
      assert.lengthOf(yield* messages, 1)
    }).pipe(asked([uses({ color: "blue", size: "XL" })])))

  it.effect("11 accepts an answer without a tool use", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* Tools.program, "Only in red.")
    }).pipe(asked([Faults.answer("Only in red.")])))

  it.effect("12 shows, during an overload, the last good answer to its own customer, and a notice to another customer", () =>
    Effect.gen(function*() {
      const question = { id: "opening-hours", text: "When do you open?" }
      const ask = (customer: string) => finish(ChatReply.program(question, customer), "1 minute")
      const good = yield* Effect.result(ChatReply.program(question, "acme"))
      assert.strictEqual(Result.getOrThrow(yield* ask("acme")), "At nine.\n(just now)")
      yield* TestClock.adjust("2 hours")
      const stale = yield* ask("acme")
      const other = yield* ask("globex")
      assert.strictEqual(Result.getOrThrow(good), "At nine.")
      assert.match(Result.getOrThrow(stale), /^At nine\.\n\(2h \d+m old\)$/)
      assert.match(
        Result.getOrThrow(other),
        /^The assistant is very busy right now\. Please try again in a moment\. Ref/
      )
    }).pipe(
      Effect.provide(FakeClaude.layer(Faults.untilLast(Faults.answer("At nine."), Faults.overloaded))),
      Effect.provideService(Fallback.Store, Fallback.memoryStore(10))
    ))

  it.effect("13 continues a truncated answer, and counts the tokens of all pieces", () =>
    Effect.gen(function*() {
      const { text, tokens } = yield* LongAnswer.program
      assert.strictEqual(text, "Tea is a leaf. It is put in water.")
      assert.strictEqual(tokens, 4 + 9)
    }).pipe(asked([Faults.maxTokens("Tea is a leaf."), Faults.answer("Tea is a leaf. It is put in water.")])))

  it.effect("14 asks another model after a refusal, and fails with the SpendLimitReached of the first account if the second account has no key", () =>
    Effect.gen(function*() {
      const [ours, backup] = yield* Effect.all([
        Effect.provide(
          Effect.zip(finish(FallbackModels.program), models),
          FakeClaude.layer([Faults.refusal(), Faults.answer("Soup.")])
        ),
        Effect.flip(Effect.provide(FallbackModels.program, FakeClaude.layer([Faults.spendLimited])))
      ])
      assert.deepStrictEqual(ours[1], ["claude-sonnet-5-5", "claude-opus-5"])
      assert.strictEqual(backup._tag, "SpendLimitReached", "the other account has no key")
    }))
})

const run = (...args: ReadonlyArray<string>) => {
  const { ANTHROPIC_API_KEY: _, ...env } = process.env
  return promisify(execFile)(
    process.execPath,
    ["--conditions=resilient-claude-source", path.resolve(import.meta.dirname, "../examples/incident.ts"), ...args],
    {
      env: { ...env, NO_COLOR: "1" },
      timeout: 25_000
    }
  ).then(
    ({ stderr, stdout }) => ({ code: 0, stderr, stdout }),
    ({ code, stderr, stdout }: { readonly code: number; readonly stderr: string; readonly stdout: string }) => ({
      code,
      stderr,
      stdout
    })
  )
}

describe("npm start", () => {
  it("survives the incident, prints each event, and exits with 0", async () => {
    const { code, stderr, stdout } = await run("Does it hold?")
    assert.deepStrictEqual([code, stderr], [0, ""])
    const order = [
      /question +Does it hold\?/,
      /retry +by kind of error, at most 5 in total/,
      /attempt 1 failed: Overloaded/,
      /attempt 2 failed: RateLimited/,
      /waiting \d\.\d\ds: the server asked for 1\.00s/,
      /attempt 3 failed: Unreachable/,
      /attempt 4 failed: PartialAnswer/,
      /asking again/,
      /tell the reader when it cannot\./,
      /attempt 5 answered/,
      /attempts +5: Overloaded, RateLimited, Unreachable, PartialAnswer, answered/,
      /waits +4, \d\.\d\ds in all/,
      /tokens +at least \d+ in, \d+ out/,
      /requests +req_fake_0001, req_fake_0002, req_fake_0004, req_fake_0005/
    ].map((pattern) => stdout.search(pattern))
    assert.notInclude(order, -1)
    assert.deepStrictEqual(order, order.toSorted((a, b) => a - b))
    assert.notInclude(stdout, "\u001b")
  }, 30_000)

  it("prints its usage with --help", async () => {
    const { code, stdout } = await run("--help")
    assert.strictEqual(code, 0)
    assert.match(stdout, /npm start[^]*--port N/)
  })

  it("prints one line for a wrong argument or a busy port, and exits with an error code", async () => {
    const busy = net.createServer().listen(0, "127.0.0.1")
    await new Promise((resolve) => busy.once("listening", resolve))
    const { port } = busy.address() as net.AddressInfo
    for (const args of oneIn(3, [["--nope"], ["--port", "99999"], ["--port", "x"], ["--port", String(port)]])) {
      const { code, stderr, stdout } = await run(...args)
      assert.notStrictEqual(code, 0)
      assert.match(stderr, /^incident: [^\n]+\n$/)
      assert.strictEqual(stdout, "")
    }
    busy.close()
  }, 30_000)
})
