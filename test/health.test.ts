/** The health endpoint of the examples, over HTTP: what a load balancer sees while Claude is well, and while it is not. */
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema } from "effect"
import { HttpServer } from "effect/http"
import { createServer } from "node:http"
import * as Health from "../examples/16-health.ts"
import { CallLog, Circuit, Claude, Guards } from "../src/index.ts"
import { FakeClaude, Faults } from "../src/testing/index.ts"

const fromJson = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Unknown)))

const look = Effect.gen(function*() {
  const url = yield* HttpServer.addressFormattedWith((address) => Effect.succeed(address))
  const response = yield* Effect.promise(() => fetch(`${url}/health`))
  const body = fromJson(yield* Effect.promise(() => response.text()))
  return { status: response.status, body }
})

const world = (playable: Faults.Playable, more: Guards.Guards = {}) =>
  FakeClaude.layer(playable).pipe(
    Guards.apply({ ...Health.guards, ...more }),
    Layer.provideMerge(NodeHttpServer.layer(createServer, {
      host: "127.0.0.1",
      port: 0,
      gracefulShutdownTimeout: "100 millis"
    })),
    Layer.provide(CallLog.layerNoop)
  )

describe("the health of the examples", () => {
  it.live("is 200 with every guard while calls succeed", () =>
    Effect.gen(function*() {
      const server = yield* Effect.forkChild(Health.program)
      yield* Claude.text("hi")
      const { body, status } = yield* look
      assert.strictEqual(status, 200)
      assert.strictEqual(body["ok"], true)
      assert.deepInclude(body["circuits"], {
        "claude-sonnet-5-5": { state: "closed", calls: 1, failures: 0, waiting: 0 }
      })
      assert.deepInclude(body["successRate"], { rate: 1, calls: 1, failures: 0, low: false })
      assert.strictEqual(body["isDegraded"], false)
      assert.containsAllKeys(body, ["account", "admission", "budget"])
      yield* Fiber.interrupt(server)
    }).pipe(Effect.provide(world(Faults.cycle(Faults.answer("hello"))))))

  it.live("is 503 while nothing may be sent, because the money is spent", () =>
    Effect.gen(function*() {
      const server = yield* Effect.forkChild(Health.program)
      assert.strictEqual((yield* Effect.flip(Claude.text("hi")))._tag, "SpendLimitReached")
      assert.strictEqual((yield* Effect.flip(Claude.text("hi")))._tag, "SpendLimitReached")
      assert.lengthOf(yield* FakeClaude.received, 1)
      const { body, status } = yield* look
      assert.strictEqual(status, 503)
      assert.strictEqual(body["ok"], false)
      assert.deepInclude(body["account"], { state: "open" })
      yield* Fiber.interrupt(server)
    }).pipe(Effect.provide(world(Faults.cycle(Faults.spendLimited)))))

  it.live("is 200 again when there may be money, before anybody has asked: nobody would, while it is 503", () => {
    const circuits = Circuit.memory()
    const open: Circuit.State = {
      _tag: "Open",
      generation: 1,
      outage: { began: 0, why: "the account has spent its money" },
      until: 1,
      probe: null,
      at: 0
    }
    return Effect.gen(function*() {
      yield* circuits.modify("default", () => [open, undefined])
      const server = yield* Effect.forkChild(Health.program)
      const { body, status } = yield* look
      assert.deepInclude(body["account"], { state: "half-open" })
      assert.strictEqual(status, 200)
      yield* Fiber.interrupt(server)
    }).pipe(Effect.provide(world([]).pipe(Layer.provide(Layer.succeed(Circuit.Store, circuits)))))
  })

  it.live("is 503 while no call succeeds, and 200 again when the last of them is long ago", () =>
    Effect.gen(function*() {
      const server = yield* Effect.forkChild(Health.program)
      yield* Effect.flip(Claude.text("hi"))
      assert.strictEqual((yield* look).status, 503)
      yield* Effect.sleep("2 seconds")
      assert.strictEqual((yield* look).status, 200)
      yield* Fiber.interrupt(server)
    }).pipe(
      Effect.provide(world(Faults.cycle(Faults.serverError), { monitor: { minimumCalls: 1, window: "1 second" } }))
    ))

  it.live("is 200 and degraded while some calls fail", () =>
    Effect.gen(function*() {
      const server = yield* Effect.forkChild(Health.program)
      for (let i = 0; i < 4; i++) yield* Effect.exit(Claude.text("hi"))
      const { body, status } = yield* look
      assert.strictEqual(status, 200)
      assert.deepInclude(body, { ok: true, isDegraded: true })
      assert.deepInclude(body["successRate"], { rate: 0.75, low: true })
      yield* Fiber.interrupt(server)
    }).pipe(Effect.provide(
      world(Faults.by(({ index }) => index === 3 ? Faults.serverError : Faults.answer("hello")), {
        monitor: { minimumCalls: 4 }
      })
    )))

  it.live("is 200 again with the first answer, although it takes 20 to clear the alert", () =>
    Effect.gen(function*() {
      const server = yield* Effect.forkChild(Health.program)
      for (let i = 0; i < 20; i++) yield* Effect.flip(Claude.text("hi"))
      assert.strictEqual((yield* look).status, 503)
      yield* Effect.sleep("2 seconds")
      yield* Claude.text("hi")
      const { body, status } = yield* look
      assert.strictEqual(status, 200)
      assert.deepInclude(body["successRate"], { low: true, rate: 1, calls: 1 })
      yield* Fiber.interrupt(server)
    }).pipe(Effect.provide(
      world(Faults.by(({ index }) => index < 20 ? Faults.serverError : Faults.answer("hello")), {
        circuit: undefined,
        monitor: { window: "1 second" }
      })
    )))

  it.live("is 503 while all its models are shut, and degraded while one of them is", () =>
    Effect.gen(function*() {
      const server = yield* Effect.forkChild(Health.program)
      for (let i = 0; i < 20; i++) yield* Effect.flip(Claude.text("hi"))
      assert.strictEqual((yield* Effect.flip(Claude.text("hi")))._tag, "CircuitOpen")
      const shut = yield* look
      assert.strictEqual(shut.status, 503)
      assert.deepInclude(shut.body, { ok: false, isDegraded: true })
      yield* Claude.text("hi", { model: "claude-haiku-5-5" })
      const open = yield* look
      assert.strictEqual(open.status, 200)
      assert.deepInclude(open.body, { ok: true, isDegraded: true })
      yield* Fiber.interrupt(server)
    }).pipe(Effect.provide(
      world(Faults.by(({ index }) => index < 20 ? Faults.serverError : Faults.answer("hello")), { monitor: false })
    )))

  it.live("is 200 where there is no circuit that could be open", () =>
    Effect.gen(function*() {
      const server = yield* Effect.forkChild(Health.program)
      assert.strictEqual((yield* look).status, 200)
      yield* Fiber.interrupt(server)
    }).pipe(Effect.provide(world([], { circuit: undefined }))))
})
