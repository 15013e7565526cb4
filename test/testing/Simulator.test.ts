import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit } from "effect"
import { Policy } from "../../src/index.ts"
import { Simulator } from "../../src/testing/index.ts"
import * as Provider from "../../src/testing/simulator/provider.ts"
import * as Run from "../../src/testing/simulator/run.ts"
import { askOf } from "../../src/testing/simulator/traffic.ts"
import * as VirtualClock from "../../src/testing/simulator/virtualClock.ts"

const ours: Simulator.Contender = {
  name: "ours",
  policy: { ...Policy.standard, overall: "25 seconds" },
  guards: { concurrency: { max: 64, queue: 200 }, circuit: {} }
}

/** A strategy without retries. */
const once: Simulator.Contender = { name: "once", strategy: () => ({ send }) => send() }

const noisy: Simulator.Scenario = {
  name: "noisy",
  provider: {
    firstToken: { median: "800 millis", sigma: 0.6 },
    length: { uniform: ["1 second", "12 seconds"] },
    faults: { overloaded: 0.05, serverError: 0.05, reset: 0.05, htmlPage: 0.05, break: 0.05 },
    incidents: [{ from: "20 seconds", to: "30 seconds", fault: "overloaded", share: 0.8 }],
    limits: { requests: { perMinute: 300 }, outputTokens: { perMinute: 60_000 } }
  },
  traffic: [
    { arrivals: { poisson: 3 }, to: "1 minute", tenant: "a" },
    { arrivals: { burst: 10, every: "15 seconds" }, to: "1 minute", tenant: "b", priority: "background" }
  ],
  processes: 2
}

const text = (seed: number, contender = ours) => Effect.map(Simulator.run(noisy, contender, { seed }), JSON.stringify)

describe("a run", () => {
  it.effect("gives the same result for the same seed, and different results for different seeds", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* text(1), yield* text(1))
      assert.notStrictEqual(yield* text(1), yield* text(2))
      assert.strictEqual(yield* text(1, once), yield* text(1, once))
    }))

  it.effect("counts every call once, by tenant and by error", () =>
    Effect.gen(function*() {
      const { answered, calls, errors, tenants } = yield* Simulator.run(noisy, ours)
      assert.strictEqual(tenants["b"]?.calls, 40)
      assert.strictEqual((tenants["a"]?.calls ?? 0) + 40, calls)
      assert.strictEqual(Object.values(errors).reduce((sum, count) => sum + count, answered), calls)
    }))

  it.effect("gives all contenders the same calls and faults", () =>
    Effect.gen(function*() {
      const scenario: Simulator.Scenario = {
        name: "half",
        provider: { faults: { overloaded: 0.5 } },
        traffic: { arrivals: { poisson: 5 }, to: "20 seconds" }
      }
      const [library, rival] = yield* Simulator.compare([scenario], [{ name: "none" }, once], { seeds: [7] })
      assert.strictEqual(library?.answered, rival?.answered)
      assert.strictEqual(library?.calls, rival?.requests)
    }))

  it.effect("counts the requests whose client left before the end of the response", () =>
    Effect.gen(function*() {
      const silent: Simulator.Scenario = {
        name: "silent",
        provider: { faults: { stall: 1 } },
        traffic: { arrivals: { perSecond: 10 }, to: "2 seconds", patience: "5 seconds" }
      }
      const left = yield* Simulator.run(silent, once)
      assert.deepStrictEqual(left.errors, { abandoned: 20 })
      assert.strictEqual(left.abandoned, 20)
      assert.strictEqual(left.timeToError.max, 5001)
      const timed = yield* Simulator.run(silent, { name: "limited", policy: { firstToken: "1 second" } })
      assert.deepStrictEqual(timed.errors, { TimedOut: 20 })
      assert.strictEqual(timed.abandoned, 20)
    }))

  it.effect("counts a call as abandoned if its caller leaves in the middle of the answer", () =>
    Effect.gen(function*() {
      const { abandoned, answered } = yield* Simulator.run({
        name: "long",
        provider: { firstToken: "1 second", length: "1 minute" },
        traffic: { arrivals: { jobs: 3 }, patience: "30 seconds" }
      }, { name: "none" })
      assert.deepStrictEqual([answered, abandoned], [0, 3])
    }))

  it.effect("that answers too few calls fails assertAnswered, with a message that says why", () =>
    Effect.gen(function*() {
      const outage = Simulator.outage("1 minute")
      const patient = {
        name: "patient",
        policy: { ...Policy.standard, overall: "2 minutes" },
        guards: { circuit: {} }
      } as const
      yield* Simulator.assertAnswered(outage, patient, 0.9)
      const error = yield* Effect.flip(Simulator.assertAnswered(outage, once, 0.99))
      assert.strictEqual(
        error.message,
        "once answered 120 of 180 calls (66.6 %) through an outage of 1m, not 99 %: 60 529. It sent 180 requests. Seed: 1."
      )
    }))
})

// -----------------------------------------------------------------------------
// The provider
// -----------------------------------------------------------------------------

const chat = askOf({ arrivals: { jobs: 1 }, prompt: { characters: 4000 } })

const statusOf = (plan: Provider.Plan) =>
  plan.kind === "response" ? plan.status : plan.kind === "answer" ? 200 : plan.kind

const header = (plan: Provider.Plan, name: string) => "headers" in plan ? plan.headers[name] : undefined

describe("the simulated provider", () => {
  it("refuses a request that exceeds its bucket, with the time until the bucket has room", () => {
    const machine = Provider.make({ limits: { requests: { perMinute: 60, burst: 2 } } }, 1)
    const plans = [0, 0, 0, 999, 1000].map((at) => machine.arrive(at, chat))
    assert.deepStrictEqual(plans.map(statusOf), [200, 200, 429, 429, 200])
    const name = "anthropic-ratelimit-requests"
    assert.deepStrictEqual(plans.map((plan) => header(plan, `${name}-remaining`)), ["1", "0", "0", "0", "0"])
    assert.strictEqual(header(plans[0] ?? assert.fail(), `${name}-limit`), "60")
    assert.strictEqual(header(plans[1] ?? assert.fail(), `${name}-reset`), "1970-01-01T00:00:02Z")
    assert.strictEqual(header(plans[2] ?? assert.fail(), "retry-after"), "1")
  })

  it("counts images, documents and uncached text against the limit of input tokens, but not input that is read from the cache", () => {
    const limits = { inputTokens: { perMinute: 100_000 } }
    const plain = Provider.make({ limits }, 1)
    const remaining = (plan: Provider.Plan) => header(plan, "anthropic-ratelimit-input-tokens-remaining")
    assert.strictEqual(remaining(plain.arrive(0, chat)), "99000")
    assert.strictEqual(remaining(plain.arrive(0, askOf({ arrivals: { jobs: 1 }, prompt: { documents: 1 } }))), "18990")
    assert.strictEqual(statusOf(plain.arrive(0, askOf({ arrivals: { jobs: 1 }, prompt: { images: 20 } }))), 429)
    const cached = askOf({ arrivals: { jobs: 1 }, prompt: { cached: 200_000, characters: 400 } })
    const caching = Provider.make({ limits }, 1)
    assert.deepStrictEqual([0, 0].map((at) => remaining(caching.arrive(at, cached))), ["49900", "49800"])
  })

  it("takes the output tokens of an answer from the bucket when the answer ends, or only those written so far if the client leaves before", () => {
    const config: Provider.Provider = {
      firstToken: "1 second",
      length: "10 seconds",
      output: 1000,
      limits: { outputTokens: { perMinute: 1000 } }
    }
    const whole = Provider.make(config, 1)
    whole.leave(11_000, whole.arrive(0, chat))
    assert.deepStrictEqual([11_000, 11_060].map((at) => statusOf(whole.arrive(at, chat))), [429, 200])
    const cut = Provider.make(config, 1)
    cut.leave(6000, cut.arrive(0, chat))
    assert.strictEqual(header(cut.arrive(6000, chat), "anthropic-ratelimit-output-tokens-remaining"), "500")
  })

  it("with a concurrency limit, admits another request when a running request ends", () => {
    const machine = Provider.make({ limits: { concurrent: 1 } }, 1)
    const first = machine.arrive(0, chat)
    assert.strictEqual(statusOf(machine.arrive(0, chat)), 429)
    machine.leave(100, first)
    assert.strictEqual(statusOf(machine.arrive(100, chat)), 200)
  })

  it("fails with the status that the API has for each kind of fault, or resets or stalls the connection", () => {
    const faults = ["overloaded", "serverError", "htmlError", "htmlPage", "rateLimited", "spendCap"] as const
    const statuses = faults.map((fault) => statusOf(Provider.make({ faults: { [fault]: 1 } }, 1).arrive(0, chat)))
    assert.deepStrictEqual(statuses, [529, 500, 502, 200, 429, 429])
    assert.strictEqual(statusOf(Provider.make({ faults: { reset: 1 } }, 1).arrive(0, chat)), "reset")
    assert.strictEqual(statusOf(Provider.make({ faults: { stall: 1 } }, 1).arrive(0, chat)), "stall")
  })
})

// -----------------------------------------------------------------------------
// The checks of the simulator
// -----------------------------------------------------------------------------

const limited: Simulator.Scenario = {
  name: "limited",
  provider: { limits: { requests: { perMinute: 60, burst: 3 } } },
  traffic: { arrivals: { perSecond: 2 }, to: "10 seconds" }
}

const defectOf = (parts: Partial<Run.Parts>) =>
  Effect.map(
    Effect.exit(Run.run(limited, ours, 1, { ...Run.parts, ...parts })),
    (exit) => Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "no defect"
  )

/** A clock on which every wait is longer by `millis`. */
const late = (millis: number): VirtualClock.Run => (self) =>
  VirtualClock.run(
    Clock.clockWith((clock) =>
      Effect.provideService(self, Clock.Clock, {
        ...clock,
        sleep: (duration) => Effect.andThen(clock.sleep(duration), clock.sleep(Duration.millis(millis)))
      })
    )
  )

describe("the checks of a run", () => {
  it.effect("pass with a correct provider and a correct clock", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* defectOf({}), "no defect")
      assert.strictEqual(yield* defectOf({ clock: late(0) }), "no defect")
    }))

  it.effect("fail for a provider that ignores its bucket", () =>
    Effect.gen(function*() {
      const forgetful: Run.Parts["provider"] = (config, seed) => Provider.make({ ...config, limits: undefined }, seed)
      assert.include(yield* defectOf({ provider: forgetful }), "exceeded its limit of 60 requests per minute (burst 3)")
    }))

  it.effect("fail for a clock whose timers fire late", () =>
    Effect.gen(function*() {
      assert.include(yield* defectOf({ clock: late(1) }), "The clock skipped")
    }))

  it.effect("fail for a contender that waits for something other than time", () =>
    Effect.gen(function*() {
      const waiting: Simulator.Contender = { name: "waiting", strategy: () => () => Effect.never }
      const forever: Simulator.Scenario = {
        name: "forever",
        provider: {},
        traffic: { arrivals: { perSecond: 2 }, to: "10 seconds", patience: "Infinity" }
      }
      const exit = yield* Effect.exit(Simulator.run(forever, waiting))
      assert.include(Exit.isFailure(exit) ? String(Cause.squash(exit.cause)) : "", "Virtual time stops at 9500 ms")
    }))
})
