/**
 * Tests a policy before it ships: runs the whole library against a simulated Claude, in virtual time. Four minutes of
 * traffic take about a second, and the same seed gives the same result on every machine.
 */
import { Console, Effect } from "effect"
import { Guards, Policy } from "resilient-claude"
import { Simulator } from "resilient-claude/testing"

/** The policy and the guards to ship. */
const ours: Simulator.Contender = {
  name: "ours",
  policy: { ...Policy.standard, overall: "2 minutes" },
  guards: Guards.standard
}

/** For your own tests: fails, with the numbers and the seed, if less than 99 % of the calls are answered. */
export const survives = Simulator.assertAnswered(Simulator.outage("1 minute"), ours, 0.99)

/** The traffic that you expect: long answers, a rate limit, and half a minute of overload. */
const afternoon: Simulator.Scenario = {
  name: "afternoon",
  provider: {
    firstToken: { median: "1 second", sigma: 0.5 },
    length: { uniform: ["2 seconds", "1 minute"] },
    limits: { requests: { perMinute: 300 } },
    faults: { overloaded: 0.02, break: 0.01 },
    incidents: [{ from: "1 minute", to: "90 seconds", fault: "overloaded" }]
  },
  traffic: { arrivals: { poisson: 2 }, to: "3 minutes", patience: "2 minutes" }
}

export const program = Effect.gen(function*() {
  yield* survives
  // The guards end a few calls early, and send far fewer requests during the overload.
  const results = yield* Simulator.compare([afternoon], [ours, { ...ours, name: "without guards", guards: undefined }])
  for (const { answered, calls, contender, requests } of results) {
    yield* Console.log(`${contender}: ${answered} of ${calls} answered, with ${requests} requests`)
  }
  return results
})

if (import.meta.main) await Effect.runPromise(program)
