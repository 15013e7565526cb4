/** Checks what docs/production.md says. Its code blocks are in this file. */
import { NodeFileSystem, NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Deferred, Effect, Exit, Fiber, Layer, Redacted, Ref, Runtime } from "effect"
import { HttpServer } from "effect/http"
import { TestClock } from "effect/testing"
import * as fs from "node:fs"
import { createServer } from "node:http"
import * as path from "node:path"
import { CallLog, Claude, ClaudeError, Current, Guards, Models, Policy } from "resilient-claude"
import * as NodeAnthropic from "resilient-claude/node"
import { FakeClaude, FakeServer, Faults, Simulator } from "resilient-claude/testing"
import { assertAlive } from "../support/docs.ts"
import * as Service from "./programs/production.ts"

// -----------------------------------------------------------------------------
// The blocks of the page
// -----------------------------------------------------------------------------

const limits = Effect.gen(function*() {
  const { rateLimits } = yield* Claude.message("hi", { max_tokens: 1 })
  return rateLimits
})

let reads = 0
const readSecret = () => Promise.resolve(`sk-ant-${++reads}`)

/** Runs for each attempt: cache the secret if reading it is slow. */
const apiKey = Effect.map(Effect.promise(() => readSecret()), Redacted.make)

const Rotating = NodeAnthropic.layerConfig({ apiKey })

const log = CallLog.combine(CallLog.layer, CallLog.layerJsonLines("claude.log.jsonl"))

const Logged = NodeAnthropic.layerConfig().pipe(
  Guards.apply(Guards.standard),
  Layer.provide(log),
  Layer.provide(NodeFileSystem.layer)
)

const correlated = Effect.gen(function*() {
  const call = yield* Current.Call
  yield* Effect.logInfo("asking").pipe(Effect.annotateLogs({ call: call?.id, attempt: call?.attempt }))
  return yield* Claude.text("hi")
}).pipe(Policy.apply(Policy.standard))

/** Adds up the cost of all calls in US dollars, as a lower bound. */
const costs = (total: Ref.Ref<number>) =>
  Layer.succeed(CallLog.CallLog, {
    emit: (event) =>
      event._tag === "CallSucceeded" || event._tag === "GaveUp"
        ? Ref.update(total, (dollars) => dollars + event.spent.dollars)
        : Effect.void
  })

const startup = Effect.gen(function*() {
  yield* Effect.logInfo(`Policy:\n${Policy.describe(Service.policy)}`)
  yield* Effect.logInfo(`Guards:\n${Guards.describe(Service.guards)}`)
  yield* Models.refresh.pipe(Effect.catch((error) => Effect.logWarning(error.message)))
})

/** Fails if fewer than 99 % of the calls are answered through a minute of 529. */
const survives = Simulator.assertAnswered(
  Simulator.outage("1 minute"),
  { name: "production", policy: { ...Policy.standard, overall: "2 minutes" }, guards: Guards.standard },
  0.99
)

// -----------------------------------------------------------------------------
// What happens
// -----------------------------------------------------------------------------

const answers = Faults.cycle(Faults.answer("hello"))

const world = (playable: Faults.Playable) =>
  FakeClaude.layer(playable).pipe(
    Guards.apply(Service.guards),
    Layer.provideMerge(
      NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0, gracefulShutdownTimeout: "5 seconds" })
    ),
    Layer.provide(CallLog.layerNoop)
  )

const post = Effect.gen(function*() {
  const url = yield* HttpServer.addressFormattedWith((address) => Effect.succeed(address))
  const response = yield* Effect.promise(() => fetch(`${url}/summaries`, { method: "POST", body: "An article." }))
  return { status: response.status, text: yield* Effect.promise(() => response.text()) }
})

const env = (url: string) =>
  ConfigProvider.layer(ConfigProvider.fromEnv({
    env: { ANTHROPIC_API_KEY: "k", ANTHROPIC_BASE_URL: url }
  }))

describe("docs/production.md", () => {
  it("contains only code that is in a test or an example", () => assertAlive("docs/production.md"))

  it.live("the service responds with 503 if a retry may help, and with 500 if not", () =>
    Effect.gen(function*() {
      const server = yield* Effect.forkChild(Service.program)
      assert.deepStrictEqual(yield* post, { status: 200, text: "hello" })
      assert.strictEqual((yield* post).status, 500)
      assert.strictEqual((yield* post).status, 503)
      yield* Fiber.interrupt(server)
    }).pipe(
      Effect.provide(
        world([Faults.answer("hello"), Faults.unauthorized, Faults.rateLimited("1 hour"), Faults.rateLimited("1 hour")])
      )
    ))

  it.live("a stopping service answers running calls and rejects new ones", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const slow = (): Effect.Effect<Faults.Turn> =>
        Effect.as(Deferred.succeed(begun, undefined), Faults.answer("a b c", { every: "200 millis" }))
      yield* Effect.gen(function*() {
        const server = yield* Effect.forkChild(Service.program)
        const running = yield* Effect.forkChild(post)
        yield* Deferred.await(begun)
        const stopping = yield* Effect.forkChild(Fiber.interrupt(server))
        assert.deepStrictEqual(yield* Fiber.join(running), { status: 200, text: "a b c" })
        yield* Fiber.join(stopping)
        assert.strictEqual((yield* Effect.flip(Claude.text("late")))._tag, "Saturated")
      }).pipe(Effect.provide(world(slow)))
    }))

  it("the exit code after an interrupt is 130", () => {
    let code: number | undefined
    Runtime.defaultTeardown(Exit.interrupt(1), (given) => void (code = given))
    assert.strictEqual(code, 130)
  })

  it.live("the layer is built from the environment", () =>
    Effect.gen(function*() {
      const { url } = yield* FakeServer.FakeServer
      const text = yield* Claude.text("hi").pipe(Effect.provide(Layer.provide(Service.ClaudeLive, env(url))))
      assert.strictEqual(text, "hello")
    }).pipe(Effect.provide(FakeServer.layer(answers))))

  it.effect("an answer contains the limits of the account", () =>
    Effect.gen(function*() {
      const { requests } = yield* limits
      assert.isNumber(requests?.limit)
      assert.isNumber(requests?.remaining)
    }).pipe(Effect.provide(FakeClaude.layer(answers))))

  it.live("the key is read for each attempt", () =>
    Effect.gen(function*() {
      const { received, url } = yield* FakeServer.FakeServer
      yield* Effect.repeat(Claude.text("hi"), { times: 1 }).pipe(
        Effect.provide(Layer.provide(Rotating, [env(url), CallLog.layerNoop]))
      )
      assert.deepStrictEqual((yield* received).map(({ headers }) => headers.authorization), [
        "Bearer sk-ant-1",
        "Bearer sk-ant-2"
      ])
    }).pipe(Effect.provide(FakeServer.layer(answers))))

  it("a combined log can be provided to the layer of Claude", () => assert.isTrue(Layer.isLayer(Logged)))

  it.effect("a call under a policy has an id, and Current.Call is undefined outside of the policy", () =>
    Effect.gen(function*() {
      const ids: Array<unknown> = []
      const call = yield* Effect.gen(function*() {
        ids.push(yield* Current.Call)
        return yield* correlated
      })
      assert.strictEqual(call, "hello")
      assert.deepStrictEqual(ids, [undefined])
      const events = yield* Effect.flatMap(CallLog.Memory, Ref.get)
      assert.isDefined(events[0]?.call)
    }).pipe(Effect.provide(Layer.provideMerge(FakeClaude.layer(answers), CallLog.layerMemory))))

  it.effect("the cost of a call is added to the total", () =>
    Effect.gen(function*() {
      const total = yield* Ref.make(0)
      const paid = Faults.cycle(Faults.answer("hello", { inputTokens: 1000, outputTokens: 100 }))
      yield* Claude.text("hi").pipe(
        Policy.apply(Policy.standard),
        Effect.provide(FakeClaude.layer(paid).pipe(Layer.provide(costs(total))))
      )
      // 1,000 input tokens at $2 a million, and 100 output tokens at $10 a million.
      assert.closeTo(yield* Ref.get(total), 0.003, 1e-9)
    }))

  it.effect("the start-up code runs, and the descriptions that it prints show the model and the limit", () =>
    Effect.gen(function*() {
      yield* startup
      assert.include(Policy.describe(Service.policy), "claude-haiku-5-5")
      assert.include(Guards.describe(Service.guards), "64 run")
    }).pipe(Effect.provide(FakeClaude.layer(answers))))

  it.effect("the policy survives a minute of overload in the simulator", () => survives)

  const read = (file: string) => fs.readFileSync(path.resolve(import.meta.dirname, "../..", file), "utf8")
  const page = read("docs/production.md")
  /** The names in the first column of a table of the runbook. */
  const firstColumn = (table: string) => {
    const [, section = ""] = new RegExp(`\\n## Runbook: ${table}\\n([^]*?)(?=\\n## |$)`).exec(page) ?? []
    return [...section.matchAll(/^\| (`[A-Z].*?) \|/gm)].flatMap(([, names = ""]) =>
      [...names.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name)
    )
  }

  it("the runbook names each kind of error once", () => {
    assert.sameMembers(firstColumn("errors"), ClaudeError.ClaudeError.members.map(({ identifier }) => identifier))
  })

  it("the runbook names only events and warning codes that docs/logging.md lists", () => {
    const listed = new Set([...read("docs/logging.md").matchAll(/`([A-Z]\w+)`/g)].map(([, name = ""]) => name))
    assert.deepStrictEqual(firstColumn("events").filter((name) => !listed.has(name)), [])
  })

  const runbook = (playable: Faults.Playable) =>
    Effect.gen(function*() {
      const call = yield* Effect.forkChild(Effect.flip(Claude.text("hi").pipe(Policy.apply(Policy.standard))))
      yield* TestClock.adjust("10 minutes")
      const { _tag, gaveUp } = yield* Fiber.join(call)
      return [_tag, gaveUp]
    }).pipe(Effect.provide(FakeClaude.layer(playable).pipe(Layer.provide(CallLog.layerNoop))))

  it.effect("calls give up with the reasons that the runbook lists", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* runbook([Faults.unauthorized]), ["AuthenticationFailed", "NotRetried"])
      assert.deepStrictEqual(yield* runbook([Faults.spendLimited]), ["SpendLimitReached", "NotRetried"])
      assert.deepStrictEqual(yield* runbook(Faults.cycle(Faults.overloaded)), ["Overloaded", "RetriesSpent"])
      assert.deepStrictEqual(yield* runbook([Faults.rateLimited("1 hour")]), ["RateLimited", "DeadlineTooClose"])
    }))
})
