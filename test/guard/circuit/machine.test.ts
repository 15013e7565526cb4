/**
 * The rules of a circuit one by one, and properties of its window.
 *
 * `SEED=anything vitest run test/guard/circuit/machine.test.ts` tries other sequences.
 */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import * as Machine from "../../../src/guard/circuit/machine.ts"
import { sum } from "../../../src/guard/circuit/window.ts"
import { runs } from "../../support/effort.ts"

const seed = process.env["SEED"] ?? "resilient-claude"

const settings: Machine.Settings = {
  window: 10_000,
  minimumCalls: 4,
  failureRate: 0.5,
  slowRate: 0.75,
  openFor: 5000,
  maxOpenFor: 30_000,
  recheck: 1000
}

type Step = readonly [at: number, event: Machine.Event]

/** Applies a sequence of events. Between two of them the state is written as JSON and parsed again. */
const play = (steps: ReadonlyArray<Step>, from: Machine.State = Machine.initial, using = settings) => {
  let state = from
  const said: Array<string> = []
  for (const [at, event] of steps) {
    const [next, decision] = Machine.step(using, JSON.parse(JSON.stringify(state)), event, at)
    state = next
    said.push(decision._tag)
  }
  return { state, said, last: said.at(-1) }
}

const int = (minimum: number, maximum: number) =>
  Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum, maximum })))

const lease = 150_000
const ask: Machine.Event = { _tag: "Ask", lease }
const fail = (generation = 0, { kind = "Overloaded", retryAfter = 0 } = {}): Machine.Event => ({
  _tag: "Failure",
  generation,
  kind,
  retryAfter
})
const succeed = (generation = 0, slow = false): Machine.Event => ({ _tag: "Success", generation, slow })
/** An answer that had begun at `at` breaks off. */
const breakOff = (at: number, generation = 0, probe = false): Machine.Event => ({
  _tag: "Broken",
  generation,
  kind: "PartialAnswer",
  at,
  probe
})
const ignored = (generation = 0): Machine.Event => ({ _tag: "Ignored", generation })
const trip = (generation: number): Machine.Event => ({ _tag: "Trip", generation, until: 77_000, why: "no money" })
const times = (n: number, at: number, event: Machine.Event): ReadonlyArray<Step> =>
  Array.from({ length: n }, () => [
    at,
    event
  ])

const why = "4 of 4 calls failed: Overloaded"
/** Open since 0, for 5 seconds. */
const open = play(times(4, 0, fail())).state
/** Its probe began at 5 seconds: generation 2. */
const probing = play([[5000, ask]], open).state
/** The answer to the probe began 3 seconds later: generation 3. */
const closedAgain = play([[8000, succeed(2)]], probing).state

const until = (state: Machine.State) => state._tag === "Open" ? state.until : assert.fail(state._tag)

const slicesOf = (state: Machine.State) => state._tag === "Closed" ? state.slices : assert.fail(state._tag)

describe("a closed circuit", () => {
  it("admits every request", () => {
    assert.deepStrictEqual(Machine.step(settings, Machine.initial, ask, 5), [
      Machine.initial,
      { _tag: "Admitted", generation: 0, probe: false, closed: false }
    ])
  })

  it("opens with the failure that reaches both minimumCalls and failureRate", () => {
    const table: ReadonlyArray<readonly [why: string, steps: ReadonlyArray<Step>, last: string]> = [
      ["three of three are too few calls", times(3, 0, fail()), "Counted"],
      ["four of four", times(4, 0, fail()), "Opened"],
      ["two of four are half of them", [...times(2, 0, succeed()), ...times(2, 0, fail())], "Opened"],
      ["two of five are not", [...times(3, 0, succeed()), ...times(2, 0, fail())], "Counted"],
      ["a success never opens it", [...times(3, 0, fail()), [0, succeed()]], "Counted"],
      ["but the next failure does", [...times(3, 0, fail()), [0, succeed()], [0, fail()]], "Opened"],
      ["neutral endings do not count", [...times(3, 0, fail()), ...times(9, 0, ignored())], "Counted"]
    ]
    for (const [why, steps, last] of table) assert.strictEqual(play(steps).last, last, why)
  })

  it("opens on a single failure with minimumCalls 1 and failureRate 1, unless a call succeeded", () => {
    const strict = { ...settings, minimumCalls: 1, failureRate: 1 }
    assert.strictEqual(play([[0, succeed()], ...times(50, 0, fail())], undefined, strict).last, "Counted")
    assert.strictEqual(play([[0, fail()]], undefined, strict).last, "Opened")
  })

  it("opens with the slow answer that reaches slowRate, and does not count it as a failure", () => {
    const slow = succeed(0, true)
    assert.strictEqual(play(times(4, 0, slow)).last, "Opened")
    assert.strictEqual(play([[0, succeed()], ...times(3, 0, slow)]).last, "Opened", "three of four")
    assert.strictEqual(play([...times(2, 0, succeed()), ...times(3, 0, slow)]).last, "Counted", "three of five")
    assert.strictEqual(play([...times(2, 0, fail()), ...times(3, 0, slow)]).last, "Counted", "three of five")
    assert.strictEqual(play(times(100, 0, slow), undefined, { ...settings, slowRate: Infinity }).last, "Counted")
  })

  it("G9: forgets failures that are older than the window, also after an hour without calls", () => {
    assert.strictEqual(play([...times(3, 0, fail()), [8999, fail()]]).last, "Opened")
    assert.strictEqual(play([...times(3, 0, fail()), [10_000, fail()]]).last, "Counted")
    assert.strictEqual(play([...times(3, 999, fail()), [10_000, fail()]]).last, "Counted", "by tenths of the window")
    assert.strictEqual(play([...times(3, 0, fail()), [3_600_000, fail()]]).last, "Counted")
    assert.deepStrictEqual(sum(settings, slicesOf(play(times(3, 0, fail())).state), 10_000), {
      calls: 0,
      failures: 0,
      slow: 0
    })
  })

  it("turns the success of an answer that breaks off into a failure, without counting the call twice", () => {
    const begun = play(times(4, 0, succeed())).state
    const { last, state } = play([[500, breakOff(0)], [800, breakOff(0)]], begun)
    assert.strictEqual(last, "Opened", "two of four")
    assert.deepInclude(state, { _tag: "Open", outage: { began: 800, why: "2 of 4 calls failed: PartialAnswer" } })
    const once = play([[500, breakOff(0)]], begun).state
    assert.deepStrictEqual(sum(settings, slicesOf(once), 500), { calls: 4, failures: 1, slow: 0 })
    assert.deepStrictEqual(
      sum(settings, slicesOf(once), 10_000),
      { calls: 0, failures: 0, slow: 0 },
      "in the tenth of the success"
    )
  })

  it("ignores the break of an answer that began before the window", () => {
    const { last, state } = play([...times(4, 0, succeed()), [9999, succeed()], [10_000, breakOff(0)]])
    assert.strictEqual(last, "Counted")
    assert.deepStrictEqual(sum(settings, slicesOf(state), 10_000), { calls: 1, failures: 0, slow: 0 })
    assert.strictEqual(play([...times(9, 0, succeed()), ...times(9, 600_000, breakOff(0))]).last, "Counted")
  })

  it("opens with a reason that counts the failed calls and their errors, the most frequent error first", () => {
    const table: ReadonlyArray<readonly [steps: ReadonlyArray<Step>, why: string]> = [
      [times(4, 0, fail()), why],
      [
        [[0, fail(0, { kind: "TimedOut" })], ...times(3, 0, succeed()), ...times(2, 2000, fail())],
        "3 of 6 calls failed: 2 Overloaded, 1 TimedOut"
      ],
      [times(4, 0, succeed(0, true)), "4 of 4 answers began late"]
    ]
    for (const [steps, why] of table) {
      const { state } = play(steps)
      assert.deepStrictEqual(Machine.step(settings, state, ask, 3000)[1], {
        _tag: "Rejected",
        retryAfter: until(state) - 3000,
        isolated: false,
        why
      })
    }
  })

  it("stores at most ten slices, one for each tenth of its window", () => {
    const steps = Array.from({ length: 1000 }, (_, i): Step => [i * 500, succeed()])
    assert.isAtMost(slicesOf(play(steps).state).length, 10)
  })

  it.effect.prop(
    "G9: counts all failures of the last nine tenths of its window, and no failure from before the window",
    {
      gaps: Arbitrary.array(
        Arbitrary.flatMap(
          int(0, 9),
          (i) => i === 0 ? int(0, 100_000) : i < 4 ? int(2000, 8000) : int(0, 1500)
        ),
        { minLength: 40, maxLength: 40 }
      ),
      window: int(10, 20_000)
    },
    ({ gaps, window }) =>
      Effect.sync(() => {
        const using = { ...settings, window }
        const failures: Array<number> = []
        let [state, now] = [Machine.initial, 1_700_000_000_000]
        for (const gap of gaps) {
          now += gap
          const before = state
          const [next, { _tag }] = Machine.step(using, before, fail(), now)
          failures.push(now)
          const within = (length: number) => failures.filter((at) => at > now - length).length
          if (within(window * 0.9) >= using.minimumCalls) assert.strictEqual(_tag, "Opened")
          if (within(window) < using.minimumCalls) assert.strictEqual(_tag, "Counted")
          if (_tag === "Opened") failures.length = 0
          state = _tag === "Opened" ? Machine.initial : next
        }
      }),
    { arbitrary: { runs: runs(250), seed, size: 100 }, timeout: 25_000 }
  )
})

describe("an open circuit", () => {
  it("rejects requests until its time is over, and says when that is", () => {
    const [state, decision] = Machine.step(settings, open, ask, 3000)
    assert.deepStrictEqual(decision, { _tag: "Rejected", retryAfter: 2000, isolated: false, why })
    assert.strictEqual(state, open)
    assert.strictEqual(play([[4999, ask]], open).last, "Rejected")
  })

  it("G9: stays open while no request comes, and then admits the next request as a probe", () => {
    assert.deepStrictEqual(Machine.step(settings, open, ask, 1e9)[1], {
      _tag: "Admitted",
      generation: 2,
      probe: true,
      closed: false
    })
  })

  it("G3: ignores results of requests from before it opened", () => {
    for (const event of [succeed(0), fail(0), breakOff(0, 0), breakOff(8000, 2, true), ignored(0), trip(0)]) {
      for (const state of [open, probing, closedAgain]) {
        assert.deepStrictEqual(Machine.step(settings, state, event, 31_000), [state, { _tag: "Stale" }])
      }
    }
  })

  it("stays open for a quarter of the outage so far (at least 5 and at most 30 seconds), and for 5 seconds in the next outage after a successful probe", () => {
    let [state, now] = [open, 0]
    const found: Array<number> = [until(state) - now]
    for (let i = 0; i < 16; i++) {
      now = until(state)
      state = play([[now, ask]], state).state
      state = play([[now, fail(state.generation)]], state).state
      found.push(until(state) - now)
    }
    assert.deepStrictEqual(
      found.map((length) => Math.round(length / 1000)),
      [5, 5, 5, 5, 5, 6, 8, 10, 12, 15, 19, 24, 30, 30, 30, 30, 30]
    )

    now = until(state)
    state = play([[now, ask]], state).state
    state = play([[now, succeed(state.generation)]], state).state
    assert.deepInclude(state, { _tag: "Closed", since: now })
    state = play(times(4, now, fail(state.generation)), state).state
    assert.strictEqual(until(state) - now, 5000)
  })

  it("stays open as long as the server asks for, but at least 5 and at most 30 seconds", () => {
    const length = (retryAfter: number) => until(play([...times(3, 0, fail()), [0, fail(0, { retryAfter })]]).state)
    assert.deepStrictEqual([0, 4000, 22_000, 3_600_000].map(length), [5000, 5000, 22_000, 30_000])
  })
})

describe("the event Trip", () => {
  it("opens a closed or probing circuit at once, until the time in the event, unless the event has an old generation", () => {
    assert.deepStrictEqual(Machine.step(settings, Machine.initial, trip(0), 5), [
      { _tag: "Open", generation: 1, outage: { began: 5, why: "no money" }, until: 77_000, probe: null, at: 5 },
      { _tag: "Opened", why: "no money" }
    ])
    assert.strictEqual(play([[5000, trip(2)]], probing).last, "Opened", "a probe")
    assert.strictEqual(play([[5000, trip(1)]], probing).last, "Stale")
  })
})

describe("a probe", () => {
  it("is sent alone: other calls are rejected, with a retryAfter of at most a second", () => {
    const rejected = (at: number) => Machine.step(settings, probing, ask, at)
    assert.deepStrictEqual(rejected(5000), [probing, { _tag: "Rejected", retryAfter: 1000, isolated: false, why }])
    assert.deepInclude(rejected(5000 + lease - 300)[1], { _tag: "Rejected", retryAfter: 300 })
  })

  it("closes the circuit when its answer begins, and is the first success that the closed circuit counts", () => {
    const [state, decision] = Machine.step(settings, probing, succeed(2), 8000)
    assert.deepStrictEqual(decision, { _tag: "Closed", generation: 3 })
    assert.deepStrictEqual(state, closedAgain)
    assert.deepInclude(state, { _tag: "Closed", generation: 3, since: 8000, after: { began: 0, why } })
    assert.deepStrictEqual(sum(settings, slicesOf(state), 8000), { calls: 1, failures: 0, slow: 0 })
  })

  it("whose answer breaks off reopens the circuit, as part of the same outage, even if other calls succeeded", () => {
    const { last, state } = play([...times(50, 9000, succeed(3)), [16_000, breakOff(8000, 3, true)]], closedAgain)
    assert.strictEqual(last, "Opened")
    assert.deepInclude(state, { _tag: "Open", outage: { began: 0, why }, until: 21_000 })
    const long = { ...closedAgain, after: { began: -60_000, why } }
    assert.strictEqual(until(play([[16_000, breakOff(8000, 3, true)]], long).state), 16_000 + 76_000 / 4)
  })

  it("does not reopen the circuit if its answer breaks off a whole window after it began", () => {
    assert.strictEqual(play([[18_000, breakOff(8000, 3, true)]], closedAgain).last, "Counted")
  })

  it("reopens the circuit if its answer begins late", () => {
    const [state, decision] = Machine.step(settings, probing, succeed(2, true), 8000)
    assert.deepStrictEqual(decision, { _tag: "Opened", why: "the answer to the probe began late" })
    assert.deepInclude(state, { _tag: "Open", generation: 3, outage: { began: 0, why }, until: 13_000 })
  })

  it("G3: closes the circuit, which then ignores the results of requests that began earlier", () => {
    for (const event of [fail(2), ignored(2), succeed(1)]) {
      assert.deepStrictEqual(Machine.step(settings, closedAgain, event, 9000), [closedAgain, { _tag: "Stale" }])
    }
    assert.strictEqual(play(times(3, 9000, fail(3)), closedAgain).last, "Opened", "three of four")
    assert.strictEqual(play(times(2, 9000, fail(3)), closedAgain).last, "Counted", "a fresh window has too few calls")
  })

  it("G4: neither opens nor closes the circuit if its ending is neutral, and another probe may be sent at once", () => {
    const { said, state } = play([[6000, ignored(2)], [6000, ask]], probing)
    assert.deepStrictEqual(said, ["Counted", "Admitted"])
    assert.deepInclude(state, { _tag: "Open", generation: 4, until: 5000, probe: 6000 + lease })
    assert.deepStrictEqual(play([[6000, succeed(2)], [6000, fail(2)]], state), {
      state,
      said: ["Stale", "Stale"],
      last: "Stale"
    })
  })

  it("G5: is replaced by the next request if its lease ended without a result, and its late result changes nothing", () => {
    assert.strictEqual(play([[5000 + lease - 1, ask]], probing).last, "Rejected")
    const { last, state } = play([[5000 + lease, ask]], probing)
    assert.strictEqual(last, "Admitted")
    for (const event of [succeed(2), fail(2), ignored(2)]) {
      assert.deepStrictEqual(Machine.step(settings, state, event, 200_000), [state, { _tag: "Stale" }])
    }
    assert.strictEqual(play([[200_001, succeed(3)]], state).last, "Closed")
  })

  it("G5: closes or reopens the circuit even if its result comes long after its lease, if no other probe has replaced it", () => {
    assert.strictEqual(play([[1e7, succeed(2)]], probing).last, "Closed")
    assert.strictEqual(play([[1e7, fail(2)]], probing).last, "Opened")
  })
})

describe("an isolated circuit", () => {
  const isolated = play([[0, { _tag: "Isolate", until: null }]]).state
  const forAMinute = play([[0, { _tag: "Isolate", until: 60_000 }]]).state

  it("rejects all requests and ignores all results until it is reset", () => {
    assert.deepStrictEqual(Machine.step(settings, isolated, ask, 1e12), [
      isolated,
      { _tag: "Rejected", retryAfter: null, isolated: true, why: undefined }
    ])
    for (const event of [succeed(1), fail(1), breakOff(0, 1), ignored(1), trip(1), succeed(0), trip(0)]) {
      assert.deepStrictEqual(Machine.step(settings, isolated, event, 5), [isolated, { _tag: "Stale" }])
    }
    assert.deepStrictEqual(Machine.step(settings, isolated, { _tag: "Reset" }, 5), [
      { _tag: "Closed", generation: 2, since: 5, slices: [] },
      { _tag: "Closed", generation: 2 }
    ])
  })

  it("closes with the first request after its isolation ends, and ignores results of requests from before that", () => {
    assert.deepStrictEqual(Machine.step(settings, forAMinute, ask, 20_000)[1], {
      _tag: "Rejected",
      retryAfter: 40_000,
      isolated: true,
      why: undefined
    })
    const [state, decision] = Machine.step(settings, forAMinute, ask, 60_000)
    assert.deepStrictEqual(state, { _tag: "Closed", generation: 2, since: 60_000, slices: [] })
    assert.deepStrictEqual(decision, { _tag: "Admitted", generation: 2, probe: false, closed: true })
    assert.deepInclude(Machine.step(settings, state, ask, 60_000)[1], { closed: false })
    assert.strictEqual(play(times(4, 60_000, fail(0)), state).last, "Stale")
  })
})

describe("an open circuit, with or without a running probe", () => {
  it("is isolated by Isolate, is closed by Reset, and then ignores the result of the earlier probe", () => {
    for (const state of [open, probing]) {
      assert.deepStrictEqual(play([[31_000, { _tag: "Isolate", until: null }], [31_000, succeed(2)]], state).said, [
        "Isolated",
        "Stale"
      ])
      assert.deepStrictEqual(play([[31_000, { _tag: "Reset" }], [31_000, ask], [31_000, fail(2)]], state).said, [
        "Closed",
        "Admitted",
        state === open ? "Counted" : "Stale"
      ])
    }
  })
})

describe("a circuit whose clock is set back", () => {
  const [hour, now] = [3_600_000, 1_700_000_000_000]
  const opened = play(times(4, now, fail())).state
  const asked = (state: Machine.State, at: number) => Machine.step(settings, state, ask, at)

  it("stays open for no longer than it would have stayed open with an unchanged clock", () => {
    const [waiting, decision] = asked(opened, now - hour)
    assert.deepStrictEqual(decision, { _tag: "Rejected", retryAfter: 5000, isolated: false, why })
    assert.deepInclude(asked(waiting, now - hour + 4999)[1], { _tag: "Rejected", retryAfter: 1 })
    assert.deepInclude(asked(waiting, now - hour + 5000)[1], { _tag: "Admitted", probe: true })
    const tripped = play([[now, { _tag: "Trip", generation: 0, until: now + 9000, why: "no money" }]]).state
    assert.deepInclude(asked(tripped, now - hour)[1], { _tag: "Rejected", retryAfter: 9000 })
  })

  it("G5: waits for a running probe at most as long as its lease, and lets the next probe start at once if none is running", () => {
    const probing = play([[now + 5000, ask]], opened).state
    const [waiting, decision] = asked(probing, now - hour)
    assert.deepInclude(decision, { _tag: "Rejected", retryAfter: 1000 })
    assert.strictEqual(play([[now - hour, succeed(2)]], waiting).last, "Closed", "its result still counts")
    assert.deepInclude(asked(waiting, now - hour + lease - 1)[1], { _tag: "Rejected", retryAfter: 1 })
    assert.deepInclude(asked(waiting, now - hour + lease)[1], { _tag: "Admitted", probe: true })
    const freed = play([[now - hour, ignored(2)]], probing).state
    assert.deepInclude(asked(freed, now - hour)[1], { _tag: "Admitted", probe: true })
  })

  it("G9: ignores slices that lie more than a window in the future, and stores at most the slices of two windows", () => {
    const { state } = play(times(3, now, fail()))
    assert.strictEqual(play([[now - hour, fail()]], state).last, "Counted")
    assert.deepInclude(sum(settings, slicesOf(state), now - hour), { calls: 0, failures: 0 })
    assert.strictEqual(
      play([[now - 1000, fail()]], state).last,
      "Opened",
      "the clocks of processes may differ a little"
    )
    const back = Array.from({ length: 1000 }, (_, i): Step => [now - i * 500, succeed()])
    assert.isAtMost(slicesOf(play(back).state).length, 20)
  })

  it("keeps the length that the outage had before the clock was set back", () => {
    const probing = play([[now + 5000, ask], [now + 5000, fail(2)], [now + 10_000, ask]], opened).state
    const failed = play([[now - hour, ask], [now - hour, fail(4)]], probing).state
    assert.strictEqual(until(failed), now - hour + 5000)
    assert.deepInclude(failed, { outage: { began: now - hour - 10_000, why } })
  })

  it("stays isolated for no longer than it would have stayed isolated with an unchanged clock", () => {
    const isolated = play([[now, { _tag: "Isolate", until: now + 60_000 }]]).state
    const [waiting, decision] = asked(isolated, now - hour)
    assert.deepInclude(decision, { _tag: "Rejected", retryAfter: 60_000, isolated: true })
    assert.deepInclude(asked(waiting, now - hour + 60_000)[1], { _tag: "Admitted", closed: true })
    const forGood = play([[now, { _tag: "Isolate", until: null }]]).state
    assert.deepInclude(asked(forGood, now - hour)[1], { _tag: "Rejected", retryAfter: null })
  })
})
