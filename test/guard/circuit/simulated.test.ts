/** Outages in virtual time: when a circuit opens, when the first answer comes afterwards, and how fast calls then begin. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer, Random, Ref } from "effect"
import * as CallContext from "../../../src/callContext.ts"
import { CallLog, Claude, ClaudeError, Current, Guards } from "../../../src/index.ts"
import * as VirtualClock from "../../../src/testing/simulator/virtualClock.ts"
import { effort, oneIn } from "../../support/effort.ts"
import { busiest, count, counter, every, type Serve, wire } from "../../support/provider.ts"

interface Traffic {
  /** Milliseconds between calls, and the number of calls. */
  readonly gap: number
  readonly calls: number
  /** How long each call waits, in seconds. */
  readonly patience?: number
  readonly serve: Serve
  readonly seed?: string
}

/** Calls with one attempt that wait for the circuit. Returns requests, answers, and the events of circuits. */
const simulate = ({ calls, gap, patience = 25, seed = "circuit", serve }: Traffic) =>
  Effect.gen(function*() {
    const sent = counter()
    const answers: Array<number> = []
    const events = yield* Effect.gen(function*() {
      const call = Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        yield* Claude.text("hi").pipe(
          Effect.andThen(Clock.currentTimeMillis),
          Effect.map((at) => answers.push(at)),
          Effect.timeoutOption(patience * 1000),
          Effect.ignore,
          Effect.provideService(Current.Deadline, now + patience * 1000),
          Effect.provideService(CallContext.WaitForCircuit, true)
        )
      })
      yield* every(gap, calls, () => call)
      return yield* Effect.flatMap(CallLog.Memory, Ref.get)
    }).pipe(Effect.provide(
      Claude.layer(wire((request) => Effect.andThen(count(sent), serve(request)))).pipe(
        Guards.apply(Guards.standard),
        Layer.provideMerge(CallLog.layerMemory)
      )
    ))
    const circuits = events.filter(({ _tag }) => _tag.startsWith("Circuit"))
    return { answers, sent, circuits, opened: circuits.filter(({ _tag }) => _tag === "CircuitOpened") }
  }).pipe(Random.withSeed(seed), VirtualClock.run)

/** Fails at once between two times in seconds, and otherwise answers after 300 ms. */
const outage = (from: number, to: number, answer: { readonly rest?: number } = {}): Serve => () =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    now >= from * 1000 && now < to * 1000
      ? Effect.andThen(Effect.sleep(30), Effect.fail(new ClaudeError.Overloaded({})))
      : Effect.succeed({ first: 300, ...answer }))

const failing = (share: number): Serve => () =>
  Effect.flatMap(Random.next, (draw): ReturnType<Serve> =>
    draw < share
      ? Effect.fail(new ClaudeError.Overloaded({}))
      : Effect.succeed({ first: 300 }))

describe("after an outage", () => {
  // A circuit opens with the 20th call at the start of a program, or 50 seconds after healthy traffic.
  it.effect(
    "of 20 seconds, the first answer comes at most 6 seconds later, and all waiting calls are answered",
    () =>
      Effect.gen(function*() {
        const { answers } = yield* simulate({ calls: 684, gap: 1000 / 12, serve: outage(0, 20) })
        assert.isAtMost(Math.min(...answers), 26_000)
        // Except the 20 calls that opened the circuit, and one for each probe.
        assert.isAtLeast(answers.length, 684 - 26)
      }),
    60_000
  )

  it.effect(
    "of an hour, the first answer comes at most 31 seconds later, and at most 221 requests are sent during the outage",
    () =>
      Effect.gen(function*() {
        const { answers, sent } = yield* simulate({ calls: 4000, gap: 1000, serve: outage(120, 3720) })
        assert.isAtMost(Math.min(...answers.filter((at) => at > 3_720_000)), 3_751_000)
        const before = 120
        assert.isAtMost(sent.total - before - (4000 - 3720), 55 + 135 + 31)
      }),
    60_000
  )

  it.effect("at most twice as many calls begin per second as before the outage", () =>
    Effect.gen(function*() {
      for (const [rate, length] of oneIn(4, [[12, 20], [12, 100], [40, 100], [3, 100]] as const)) {
        const { answers, sent } = yield* simulate({
          calls: rate * (100 + length + 60),
          gap: 1000 / rate,
          serve: outage(60, 60 + length)
        })
        // Until the circuit opens, every call is sent.
        assert.isAtMost(busiest(sent, 60 + length), 2 * rate + 1)
        const after = answers.filter((at) => at > (60 + length) * 1000)
        const arrived = answers.filter((at) => at > (60 + length + 45) * 1000)
        assert.isAtLeast(after.length, arrived.length)
      }
    }), 60_000)

  it.effect(
    "calls begin although answers that began before the outage, and take ten minutes, still run",
    () =>
      Effect.gen(function*() {
        const { answers, circuits } = yield* simulate({
          calls: 600,
          gap: 500,
          patience: 900,
          serve: outage(60, 160, { rest: 600_000 })
        })
        const closed = circuits.find(({ _tag }) => _tag === "CircuitClosed")?.at ?? NaN
        assert.isAtMost(closed, 190_000)
        // All calls since the circuit opened: they begin in less than a minute, and take ten.
        const late = answers.filter((at) => at > closed + 600_000)
        assert.isAtLeast(late.length, 350)
        assert.isAtMost(Math.max(...answers), 300_000 + 600_000 + 1000, "no call waits at the end")
      }),
    60_000
  )
})

describe("a circuit stays closed", () => {
  const rates = [{ gap: 2700, calls: 2700 }, { gap: 1000, calls: 3600 }, { gap: 200, calls: 3000 }]

  it.effect("while half of all calls fail, at each of the tested rates of calls", () =>
    Effect.gen(function*() {
      for (const { calls, gap } of effort(rates, rates.slice(2))) {
        const { opened } = yield* simulate({ gap, calls, serve: failing(0.5) })
        assert.lengthOf(opened, 0, `every ${gap} ms`)
      }
    }), 120_000)

  it.effect("with 12 calls a minute of which 30 % fail", () =>
    Effect.gen(function*() {
      const { answers, opened } = yield* simulate({ gap: 5000, calls: 2000, serve: failing(0.3) })
      assert.lengthOf(opened, 0)
      assert.isAtLeast(answers.length, 1300)
    }), 60_000)

  it.effect("while 20 % of the answers break off after 8 seconds", () =>
    Effect.gen(function*() {
      const { opened } = yield* simulate({
        gap: 100,
        calls: effort(6000, 2000),
        serve: () =>
          Effect.map(Random.next, (draw) => ({
            first: 300,
            rest: 8000,
            broken: draw < 0.2 ? new ClaudeError.PartialAnswer({}) : undefined
          }))
      })
      assert.lengthOf(opened, 0)
    }), 60_000)
})

describe("a minute in which every answer breaks after its first content", () => {
  it.effect(
    "opens the circuit, reopens it when the answer to a probe breaks off, and is followed by a complete answer within 16 seconds",
    () =>
      Effect.gen(function*() {
        const { answers, opened, sent } = yield* simulate({
          gap: 1000,
          calls: 240,
          serve: () =>
            Effect.map(Clock.currentTimeMillis, (now) => ({
              first: 300,
              rest: 1000,
              broken: now < 60_000 ? new ClaudeError.PartialAnswer({}) : undefined
            }))
        })
        assert.isAtLeast(opened.length, 2)
        const whys = opened.flatMap((event) => event._tag === "CircuitOpened" ? [event.why] : [])
        assert.match(whys[0] ?? "", /^\d+ of \d+ calls failed: PartialAnswer$/)
        assert.strictEqual(whys[1], "the answer to the probe broke off: PartialAnswer")
        assert.isAtMost(Math.min(...answers), 60_000 + 16_000)
        assert.isAtMost(sent.total, 240)
      }),
    60_000
  )
})
