/**
 * The whole library against an imagined Claude, in virtual time: what a policy and guards are worth, before they ship.
 *
 * Policy, guards, reading and classification are those of the library; only the provider and the clock are imagined.
 * The same seed gives the same result, byte for byte, on every machine.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Contender from "./simulator/contender.ts"
import * as Provider from "./simulator/provider.ts"
import { Recorder, type Result, resultOf } from "./simulator/recorder.ts"
import { type Scenario, trafficOf } from "./simulator/scenario.ts"
import * as Traffic from "./simulator/traffic.ts"
import * as VirtualClock from "./simulator/virtualClock.ts"

export type { Limit, Limits } from "./simulator/buckets.ts"
export type { Size, Time } from "./simulator/chance.ts"
export type { Call, Contender, Library, Rival, Strategy } from "./simulator/contender.ts"
export type { Behaviour, Incident, Provider } from "./simulator/provider.ts"
export type { Alerted, Result, Share } from "./simulator/recorder.ts"
export type { Fault } from "./simulator/responses.ts"
export { outage, type Scenario } from "./simulator/scenario.ts"
export type { Counting } from "./simulator/tokens.ts"
export type { Prompt, Traffic } from "./simulator/traffic.ts"
export type { Failure, Sent } from "./simulator/wire.ts"

// -----------------------------------------------------------------------------
// Running
// -----------------------------------------------------------------------------

/** What to run with. */
export interface Options {
  /** Chooses the random numbers: 1. */
  readonly seed?: number | string | undefined
  /** The parts of the instrument, for tests that break one of them. */
  readonly provider?: typeof Provider.make | undefined
  readonly clock?: VirtualClock.Run | undefined
}

/**
 * Runs one contender through one scenario. The clock of the caller does not move. A clock that skips, or a request that
 * nobody closes, is a defect.
 */
export const run = (
  scenario: Scenario,
  contender: Contender.Contender,
  { clock = VirtualClock.run, provider = Provider.make, seed = 1 }: Options = {}
): Effect.Effect<Result> =>
  Effect.suspend(() => {
    const recorder = new Recorder()
    const traffic = trafficOf(scenario)
    const due = Traffic.due(traffic, seed)
    const all = Effect.gen(function*() {
      const machine = provider(scenario.provider, seed)
      const processes = yield* Effect.forEach(
        Array.from({ length: scenario.processes ?? 1 }),
        () => Contender.start(contender, scenario, machine, recorder)
      )
      // One effect for each kind of traffic in each process: a policy is compiled once.
      const answers = processes.map((answer) => traffic.map(answer))
      yield* Effect.forEach(due, ({ at, traffic: index }, number) => {
        const answer = answers[number % answers.length]?.[index]
        const asked = traffic[index]
        return answer === undefined || asked === undefined
          ? Effect.void
          : Effect.andThen(Effect.sleep(at), called(answer, asked, at, recorder))
      }, { concurrency: "unbounded", discard: true })
    })
    return all.pipe(
      Effect.scoped,
      Random.withSeed(`${seed}`),
      clock,
      Effect.map(() => {
        if (recorder.open !== 0) throw new Error(`${recorder.open} requests were never closed`)
        return resultOf(recorder, {
          scenario: scenario.name,
          contender: contender.name,
          seed,
          due,
          incidents: (scenario.provider.incidents ?? []).map(({ from, to }) => [millis(from), millis(to)] as const)
        })
      })
    )
  })

/** Runs all contenders through all scenarios, with each seed: scenario by scenario, then contender by contender. */
export const compare = (
  scenarios: ReadonlyArray<Scenario>,
  contenders: ReadonlyArray<Contender.Contender>,
  { seeds = [1] }: { readonly seeds?: ReadonlyArray<number | string> | undefined } = {}
): Effect.Effect<ReadonlyArray<Result>> =>
  Effect.forEach(
    scenarios.flatMap((scenario) =>
      contenders.flatMap((contender) => seeds.map((seed) => ({ scenario, contender, seed })))
    ),
    ({ contender, scenario, seed }) => run(scenario, contender, { seed })
  )

// -----------------------------------------------------------------------------
// Assertions
// -----------------------------------------------------------------------------

/** Fewer calls were answered than there should be. */
export class TooFewAnswered extends Data.TaggedError("TooFewAnswered")<{
  readonly wanted: number
  readonly result: Result
}> {
  override get message() {
    const { answered, calls, contender, errors, requests, scenario, seed } = this.result
    const why = Object.entries(errors).map(([tag, count]) => `${count} ${tag}`).join(", ")
    return `${contender} answered ${answered} of ${calls} calls (${
      percent(answered / calls)
    }) through ${scenario}, not `
      + `${percent(this.wanted)}: ${why}. It sent ${requests} requests. Seed: ${seed}.`
  }
}

/**
 * Fails with `TooFewAnswered` if less than this share of the calls is answered, with any of the seeds (1, 2 and 3).
 *
 * ```ts
 * Simulator.answers(Simulator.outage("1 minute"), { name: "ours", policy, guards }, 0.99)
 * ```
 */
export const answers = (
  scenario: Scenario,
  contender: Contender.Contender,
  share: number,
  { seeds = [1, 2, 3] }: { readonly seeds?: ReadonlyArray<number | string> | undefined } = {}
): Effect.Effect<ReadonlyArray<Result>, TooFewAnswered> =>
  Effect.forEach(
    seeds,
    (seed) =>
      Effect.flatMap(run(scenario, contender, { seed }), (result) =>
        result.answered >= share * result.calls
          ? Effect.succeed(result)
          : Effect.fail(new TooFewAnswered({ wanted: share, result })))
  )

// -----------------------------------------------------------------------------
// Internals
// -----------------------------------------------------------------------------

const millis = (input: Duration.Input) => Duration.toMillis(Duration.fromInputUnsafe(input))

const percent = (share: number) => `${Math.floor(share * 1000) / 10} %`

/** One call, until it ends or its caller leaves. */
const called = Effect.fnUntraced(function*(
  answer: Effect.Effect<unknown, unknown>,
  traffic: Traffic.Traffic,
  start: number,
  recorder: Recorder
) {
  const error = yield* answer.pipe(
    Effect.match({ onFailure: Contender.nameOf, onSuccess: () => undefined }),
    Effect.timeoutOrElse({ duration: Traffic.patienceOf(traffic) + 1, orElse: () => Effect.succeed("left") })
  )
  const end = yield* Clock.currentTimeMillis
  recorder.calls.push({
    start,
    end,
    error,
    tenant: traffic.tenant ?? "everybody",
    model: Traffic.modelOf(traffic)
  })
})
