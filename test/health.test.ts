/** The responses of the health endpoint in the examples, over HTTP: while calls succeed, and during outages. */
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

describe("the health endpoint of the examples", () => {
  it.live("returns 200 and the status of every guard while calls succeed", () =>
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

  it.live("returns 503 while a spend limit blocks all calls", () =>
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

  it.live("returns 200 again once the circuit allows a probe, because a 503 would keep the probe away", () => {
    const circuits = Circuit.memory()
    const open: Circuit.State = {
      _tag: "Open",
      generation: 1,
      outage: { began: 0, why: "the account reached its spend limit" },
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

  it.live("returns 503 while all calls fail, and 200 again once these calls are older than the window of the monitor", () =>
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

  it.live("returns 200 with isDegraded while some calls fail", () =>
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

  it.live("returns 200 with isDegraded while the circuit of a model is half-open", () =>
    Effect.gen(function*() {
      const server = yield* Effect.forkChild(Health.program)
      yield* Effect.flip(Claude.text("hi"))
      yield* Effect.sleep("1100 millis")
      const { body, status } = yield* look
      assert.nestedInclude(body, { "circuits.claude-sonnet-5-5.state": "half-open" })
      assert.strictEqual(status, 200)
      assert.deepInclude(body, { ok: true, isDegraded: true })
      yield* Fiber.interrupt(server)
    }).pipe(
      Effect.provide(world(Faults.cycle(Faults.overloaded), { circuit: { minimumCalls: 1, openFor: "1 second" } }))
    ))

  it.live("returns 200 again after the first answer, although the alert clears only after 20 calls", () =>
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

  it.live("returns 503 while the circuits of all models are open, and 200 with isDegraded while one is closed", () =>
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

  it.live("returns 503 as soon as the process drains, so that the load balancer sends no new requests", () =>
    Effect.gen(function*() {
      const server = yield* Effect.forkChild(Health.program)
      assert.strictEqual((yield* look).body["isDraining"], false)
      yield* Guards.drain("1 second")
      const { body, status } = yield* look
      assert.strictEqual(status, 503)
      assert.deepInclude(body, { ok: false, isDraining: true })
      yield* Fiber.interrupt(server)
    }).pipe(Effect.provide(world([]))))

  it.live("returns 200 without a circuit breaker", () =>
    Effect.gen(function*() {
      const server = yield* Effect.forkChild(Health.program)
      assert.strictEqual((yield* look).status, 200)
      yield* Fiber.interrupt(server)
    }).pipe(Effect.provide(world([], { circuit: undefined }))))
})
