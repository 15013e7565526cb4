/** Two layers of `Claude` in one process share no models, logs, keys or guards. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Option } from "effect"
import { Anthropic, CallLog, Claude, Guards, Models, Policy } from "../src/index.ts"
import * as NodeAnthropic from "../src/NodeAnthropic.ts"
import { FakeServer, Faults } from "../src/testing/index.ts"
import { info } from "./support/models.ts"

const calls = 20
const shared = "claude-sonnet-5-5"

interface Program {
  readonly name: string
  /** The price in the program's own catalogue: US dollars per million output tokens. */
  readonly dollars: number
}

const one: Program = { name: "one", dollars: 1 }
const other: Program = { name: "other", dollars: 5 }

/** Runs 20 calls with their own server, key, models, guards and log. Gives the call id of each event. */
const run = ({ dollars, name }: Program, layerOf: typeof Anthropic.layer, placement: "layer" | "caller") =>
  Effect.gen(function*() {
    const { received, url } = yield* FakeServer.FakeServer
    const events: Array<CallLog.Event> = []
    const sink: CallLog.CallLog = { emit: (event) => Effect.sync(() => void events.push(event)) }
    const prices = { input: 0, output: dollars, cacheRead: 0, cacheWrite: 0, cacheWriteHour: 0 }
    const claude = layerOf({ apiKey: `sk-ant-${name}`, baseUrl: url }).pipe(
      Layer.provide(Models.layer([{ id: shared, prices }])),
      Guards.apply({ circuit: {}, concurrency: { max: 5, queue: 100 } }),
      Layer.provide(placement === "layer" ? Layer.succeed(CallLog.CallLog, sink) : Layer.empty)
    )

    yield* Effect.gen(function*() {
      yield* Models.refresh
      const costs = yield* Effect.forEach(
        Array.from({ length: calls }, (_, index) => `${name} ${index}`),
        (question) => Policy.apply(Policy.standard)(Effect.map(Claude.message(question), ({ cost }) => cost?.dollars)),
        { concurrency: 10 }
      )
      for (const cost of costs) assert.closeTo(cost ?? NaN, dollars, 1e-9)
      assert.isTrue(Option.isSome(yield* Models.get(`claude-${name}`)))
      for (const { name: id } of [one, other].filter((program) => program.name !== name)) {
        assert.isTrue(Option.isNone(yield* Models.get(`claude-${id}`)))
        // Only the API of the other program lists this model.
        const error = yield* Claude.text("hi", { model: `claude-${id}` }).pipe(Policy.apply(Policy.none), Effect.flip)
        assert.deepInclude({ ...error }, { _tag: "InvalidRequest", sent: false })
      }
      const { admission, circuits } = yield* Guards.status
      assert.deepStrictEqual([Object.keys(admission), Object.keys(circuits)], [["sonnet"], [shared]])
    }).pipe(Effect.provide(claude), Effect.provideService(CallLog.CallLog, sink))

    for (const { body, headers, method } of yield* received) {
      assert.strictEqual(headers.authorization ?? headers["x-api-key"], `Bearer sk-ant-${name}`)
      if (method === "POST") assert.include(JSON.stringify(body), name)
    }
    const count = (tag: CallLog.Event["_tag"]) => events.filter(({ _tag }) => _tag === tag).length
    assert.deepStrictEqual(
      [count("AttemptStarted"), count("AttemptSucceeded"), count("CallSucceeded"), count("GaveUp")],
      [calls, calls, calls, 1]
    )
    return events.map(({ call }) => call)
  }).pipe(Effect.provide(Layer.fresh(FakeServer.layer(
    Faults.cycle(Faults.answer(`hello from ${name}`, { outputTokens: 1_000_000 })),
    { models: [info(`claude-${name}`)] }
  ))))

it.live.each(
  [
    { name: "Anthropic", layerOf: Anthropic.layer, placement: "layer" },
    { name: "Anthropic, with logs of the callers", layerOf: Anthropic.layer, placement: "caller" },
    { name: "NodeAnthropic", layerOf: NodeAnthropic.layer, placement: "layer" }
  ] as const
)(
  "two programs with their own models, logs, keys and guards do not share them: $name",
  ({ layerOf, placement }) =>
    Effect.gen(function*() {
      const [mine, yours] = yield* Effect.all([run(one, layerOf, placement), run(other, layerOf, placement)], {
        concurrency: "unbounded"
      })
      const known = new Set(mine)
      assert.isFalse(yours.some((call) => call !== undefined && known.has(call)))
    })
)
