import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Layer, Ref, Stream } from "effect"
import { Anthropic, CallLog, Claude, Fallback } from "../../src/index.ts"
import { FakeClaude, FakeServer, Faults } from "../../src/testing/index.ts"

const fakes: ReadonlyArray<readonly [name: string, playing: (script: Faults.Playable) => Layer.Layer<Claude.Claude>]> =
  [
    ["FakeClaude", (script) => Layer.provide(FakeClaude.layer(script), CallLog.layerNoop)],
    ["FakeServer", (script) =>
      Layer.unwrap(
        Effect.map(FakeServer.FakeServer, ({ url }) => Anthropic.layer({ apiKey: "sk-ant-test", baseUrl: url }))
      ).pipe(Layer.provide([FakeServer.layer(script), CallLog.layerNoop]), Layer.orDie)]
  ]

describe.each(fakes)("the model in an answer of %s", (_, playing) => {
  const cheap = "claude-haiku-5-5"

  it.live("is the model of the request, and the cost is computed with the prices of that model", () =>
    Effect.gen(function*() {
      const reply = yield* Fallback.models([cheap])(Claude.message("hi", { model: "claude-opus-5" }))
      assert.strictEqual(reply.model, cheap)
      // 1,000 tokens at $0.10 and 200 at $0.50 per million.
      assert.closeTo(reply.cost?.dollars ?? NaN, 0.0002, 1e-12)
    }).pipe(
      Effect.provide(playing([Faults.overloaded, Faults.answer("hello", { inputTokens: 1000, outputTokens: 200 })]))
    ))

  it.live("is the model that the script names, even the default model", () =>
    Effect.gen(function*() {
      for (const named of ["claude-sonnet-5-5", "claude-opus-5-20991231"]) {
        assert.strictEqual((yield* Claude.message("hi", { model: cheap })).model, named)
      }
    }).pipe(
      Effect.provide(playing(({ index }) =>
        Effect.succeed(
          Faults.answer("hello", { model: index === 0 ? "claude-sonnet-5-5" : "claude-opus-5-20991231" })
        )
      ))
    ))

  const broken: ReadonlyArray<Faults.Turn> = [
    Faults.breaks("half"),
    Faults.errorAfter("half"),
    Faults.delayed(Faults.named("a delayed stream of pings", Faults.pings("half", "1 second")), "1 milli"),
    Faults.lingers("half"),
    Faults.refusal("half")
  ]
  for (const turn of broken) {
    it.live(`is the model of the request in ${turn.name}`, () =>
      Effect.gen(function*() {
        const { events } = yield* Claude.open("hi", { model: cheap })
        const [first] = yield* Stream.runCollect(Stream.take(events, 1))
        assert.isTrue(first?.type === "message_start" && first.message.model === cheap)
      }).pipe(Effect.scoped, Effect.provide(playing([turn]))))
  }
})

it("an answer sent by `drip` and a stream of given events keep the model that they name", () => {
  const played = (turn: Faults.Turn) =>
    Effect.runSync(Faults.toScript([turn])({ index: 0, elapsed: 0, params: { model: "claude-haiku-5-5" } }))
  for (const turn of [Faults.drip(Faults.answer("a"), 7, Duration.millis(1)), Faults.stream(Faults.events("a"))]) {
    assert.deepStrictEqual(played(turn), turn)
  }
})

describe("the lists of received requests and logged events", () => {
  /** Doubles the list until it has at least 500,000 entries. */
  const grow = <A>(ref: Ref.Ref<ReadonlyArray<A>>) =>
    Ref.update(ref, (list) => {
      let long = list
      while (long.length < 500_000) long = [...long, ...long]
      return long
    })

  it.live("are not copied when they grow", () =>
    Effect.gen(function*() {
      const calls = Effect.andThen(
        Clock.currentTimeMillis,
        (start) =>
          Effect.andThen(
            Effect.repeat(Claude.text("hi"), { times: 299 }),
            Effect.map(Clock.currentTimeMillis, (end) => end - start)
          )
      )
      yield* calls
      const few = yield* calls
      yield* grow(yield* FakeClaude.Received)
      yield* grow(yield* CallLog.Memory)
      const { length } = yield* FakeClaude.received
      assert.isAbove(length, 500_000)
      // 300 copies of such a list take seconds.
      assert.isBelow(yield* calls, 5 * few + 500)
      assert.lengthOf(yield* FakeClaude.received, length + 300)
    }).pipe(
      Effect.provide(
        Layer.provideMerge(FakeClaude.layer(Faults.cycle(Faults.answer("hello"))), CallLog.layerMemory)
      )
    ), 30_000)
})
