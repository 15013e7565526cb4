/** Checks what docs/migrating.md says, also about the SDK, which meets the same faults. */
import Anthropic from "@anthropic-ai/sdk"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { CallLog, Claude, type ClaudeError, Policy, Retry } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"
import { FakeClaude, FakeServer, Faults } from "resilient-claude/testing"
import { assertAlive } from "../support/docs.ts"
import { program } from "./programs/migrating.ts"

const fake = (...turns: ReadonlyArray<Faults.Turn>) => Effect.provide(FakeClaude.layer(turns))
const requests = Effect.map(FakeClaude.received, (all) => all.length)

const finish = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const running = yield* Effect.forkChild(self)
    yield* TestClock.adjust("10 minutes")
    return yield* Fiber.join(running)
  })

const ask = Claude.text("Write a haiku about patience.")

it("every code block of docs/migrating.md is in a test or an example", () => assertAlive("docs/migrating.md"))

// -----------------------------------------------------------------------------
// From the SDK
// -----------------------------------------------------------------------------

const question = {
  model: "claude-sonnet-5-5",
  max_tokens: 100,
  messages: [{ role: "user", content: "hi" }]
} satisfies Anthropic.MessageCreateParamsNonStreaming

/** Calls a fake server with the SDK: the result or error, and the number of requests sent. */
const withSdk = <A>(
  options: { readonly maxRetries?: number; readonly timeout?: number },
  ask: (client: Anthropic) => Promise<A>
) =>
  Effect.gen(function*() {
    const { received, url } = yield* FakeServer.FakeServer
    const client = new Anthropic({ apiKey: "sk-fake", baseURL: url, logLevel: "off", ...options })
    const outcome = yield* Effect.promise(() =>
      ask(client).then((answer) => ({ answer }), (error: unknown) => ({ error }))
    )
    return { outcome, sent: (yield* received).length }
  })

const serve = (fault: Faults.Turn) => Effect.provide(FakeServer.layer(Faults.cycle(fault)))
const create = (client: Anthropic) => client.messages.create(question)
const read = async (client: Anthropic) => {
  let text = ""
  for await (const event of await client.messages.create({ ...question, stream: true })) {
    if (event.type === "content_block_delta" && event.delta.type === "text_delta") text += event.delta.text
  }
  return text
}

describe("the SDK", () => {
  it.live("sends 3 requests by default, even after the spend limit is reached", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* withSdk({}, create)).sent, 3)
    }).pipe(serve(Faults.spendLimited)))

  it.live("treats a stream that ends without `message_stop` as a complete answer", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* withSdk({}, read), { outcome: { answer: "Once upon " }, sent: 1 })
    }).pipe(serve(Faults.breaks("Once upon ", "end"))))

  it.live("fails without a retry if the connection is reset while the answer is read", () =>
    Effect.gen(function*() {
      const { outcome, sent } = yield* withSdk({}, read)
      assert.isTrue("error" in outcome && outcome.error instanceof TypeError)
      assert.strictEqual(sent, 1)
    }).pipe(serve(Faults.breaks("Once upon ", "reset"))))

  it.live("treats a web page with status 200 as an answer", () =>
    Effect.gen(function*() {
      const { outcome } = yield* withSdk({}, create)
      assert.include("answer" in outcome ? outcome.answer as unknown as string : "", "<html>")
    }).pipe(serve(Faults.html(200))))

  it.live("has no limit on the time between headers and the end of the answer", () =>
    Effect.gen(function*() {
      const slow = withSdk({ timeout: 200, maxRetries: 0 }, read)
      assert.deepStrictEqual((yield* slow).outcome, { answer: "one two three" })
    }).pipe(serve(Faults.answer("one two three", { every: "50 millis" }))))
})

describe("the code that replaces the SDK", () => {
  it.effect("sends at most three requests in the first program", () =>
    Effect.gen(function*() {
      const error = yield* finish(Effect.flip(program))
      assert.deepStrictEqual([error._tag, error.gaveUp], ["Overloaded", "RetriesSpent"])
      assert.strictEqual(yield* requests, 3)
    }).pipe(fake(Faults.overloaded, Faults.overloaded, Faults.overloaded, Faults.answer("late"))))

  it.effect("returns the text of the message in the first program", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* program).text, "slow water")
    }).pipe(fake(Faults.answer("slow water"))))

  it.effect("does not retry after the spend limit", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(ask.pipe(Policy.apply(Policy.standard))))._tag, "SpendLimitReached")
      assert.strictEqual(yield* requests, 1)
    }).pipe(fake(Faults.spendLimited)))

  it.effect.each(
    [
      ["a stream that was cut", Faults.breaks("Once upon ", "end"), "PartialAnswer"],
      ["a connection that was cut", Faults.breaks("Once upon ", "reset"), "PartialAnswer"],
      ["a web page with status 200", Faults.html(200), "UnexpectedResponse"],
      ["silence in the middle of an answer", Faults.breaks("Once upon ", "silence"), "TimedOut"]
    ] as const
  )("%s is an error, and is retried by Policy.standard", ([, fault, tag]) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* finish(Effect.flip(ask)))._tag, tag)
      assert.strictEqual(yield* finish(ask.pipe(Policy.apply(Policy.standard))), "whole")
    }).pipe(fake(fault, fault, Faults.answer("whole"))))

  it.live("keeps the address and key of the caller's own client, but not its retries", () =>
    Effect.gen(function*() {
      const { received, url } = yield* FakeServer.FakeServer
      const client = new Anthropic({ apiKey: "sk-fake", baseURL: url, maxRetries: 2 })
      const live = NodeAnthropic.layer({ client })
      const quiet = Layer.provide(live, CallLog.layerNoop)
      const error = yield* Effect.flip(ask.pipe(Effect.provide(quiet)))
      assert.strictEqual(error._tag, "Overloaded")
      const all = yield* received
      assert.strictEqual(all.length, 1)
      assert.strictEqual(all[0]?.headers.authorization, "Bearer sk-fake")
    }).pipe(serve(Faults.overloaded)))

  it.live("interrupts the call on an abort signal", () =>
    Effect.gen(function*() {
      const controller = new AbortController()
      const ran = Effect.runPromiseExit(ask.pipe(Effect.provide(FakeClaude.layer([Faults.silence]))), {
        signal: controller.signal
      })
      controller.abort()
      assert.strictEqual((yield* Effect.promise(() => ran))._tag, "Failure")
    }))
})

// -----------------------------------------------------------------------------
// From a loop
// -----------------------------------------------------------------------------

const doubling = Retry.backoff({ times: 4, base: "1 second", jitter: "none" })

export const likeTheLoop = ask.pipe(
  Policy.apply({
    retry: { RateLimited: doubling, Overloaded: doubling, ServerFault: doubling, Unreachable: doubling },
    maxRetries: 4
  })
)

describe("a loop around the SDK", () => {
  it.live("multiplies the retries of the SDK", () =>
    Effect.gen(function*() {
      const { sent } = yield* withSdk({}, async (client) => {
        for (let attempt = 0;; attempt++) {
          try {
            return await create(client)
          } catch (error) {
            if (attempt === 4) throw error
          }
        }
      })
      assert.strictEqual(sent, 15)
    }).pipe(serve(Faults.fails(529, "overloaded_error", "Overloaded", { headers: { "retry-after-ms": "1" } }))))
})

describe("the schedule that replaces a loop", () => {
  it.effect("waits 1, 2, 4 and 8 seconds, and gives up after 5 requests", () =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(Effect.flip(likeTheLoop))
      for (const [seconds, sent] of [[0, 1], [1, 2], [2, 3], [4, 4], [8, 5]] as const) {
        yield* TestClock.adjust(seconds * 1000)
        assert.strictEqual(yield* requests, sent)
      }
      assert.strictEqual((yield* Fiber.join(call))._tag, "Overloaded")
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.overloaded)))))
})

// -----------------------------------------------------------------------------
// From Vercel ai
// -----------------------------------------------------------------------------

const limited = ask.pipe(
  Policy.apply({
    ...Policy.standard,
    maxRetries: 2,
    overall: "1 minute",
    firstToken: "10 seconds",
    contentIdle: "5 seconds"
  })
)

const Recipe = Schema.Struct({ name: Schema.String, steps: Schema.Array(Schema.String) })

const recipe = Claude.object(Recipe, "Give me a recipe for tea.").pipe(
  Policy.apply({ ...Policy.standard, reask: 1 })
)

describe("the code that replaces the package ai", () => {
  it.effect("does not count pings as content", () =>
    Effect.gen(function*() {
      const error = yield* finish(Effect.flip(limited))
      assert.deepInclude({ ...error }, { _tag: "TimedOut", gaveUp: "RetriesSpent" })
      assert.strictEqual(yield* requests, 3)
    }).pipe(Effect.provide(FakeClaude.layer(Faults.cycle(Faults.pings("a", "1 second"))))))

  it.effect("decodes an object with a schema, and asks again if it is malformed", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* recipe, { name: "Tea", steps: ["Boil.", "Wait."] })
      assert.strictEqual(yield* requests, 2)
    }).pipe(fake(Faults.value({ name: "Tea" }), Faults.value({ name: "Tea", steps: ["Boil.", "Wait."] }))))
})

describe("errors of the SDK", () => {
  const statuses: ReadonlyArray<readonly [status: number, type: string, tag: ClaudeError.Tag]> = [
    [400, "invalid_request_error", "InvalidRequest"],
    [401, "authentication_error", "AuthenticationFailed"],
    [402, "billing_error", "SpendLimitReached"],
    [403, "permission_error", "PermissionDenied"],
    [404, "not_found_error", "ResourceNotFound"],
    [413, "request_too_large", "RequestTooLarge"],
    [422, "invalid_request_error", "InvalidRequest"],
    [429, "rate_limit_error", "RateLimited"],
    [500, "api_error", "ServerFault"],
    [503, "api_error", "ServerFault"],
    [504, "timeout_error", "ServerFault"],
    [529, "overloaded_error", "Overloaded"]
  ]
  it.effect("that come in a stream become PartialAnswer if content came before them, and otherwise keep their own kind", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(ask))._tag, "Overloaded")
      assert.strictEqual((yield* Effect.flip(ask))._tag, "PartialAnswer")
    }).pipe(fake(Faults.errorAfter(""), Faults.errorAfter("Once upon "))))

  it.effect.each(statuses)("with status %s and type %s become %s", ([status, type, tag]) =>
    Effect.gen(function*() {
      assert.strictEqual((yield* Effect.flip(ask))._tag, tag)
    }).pipe(fake(Faults.fails(status, type, "no"))))
})
