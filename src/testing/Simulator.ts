/**
 * Runs policies and guards against a simulated Claude in virtual time, to compare them before they ship.
 *
 * Policies, guards, stream reading and error classification are the library's own. Only the API, the network and the
 * clock are simulated. The same seed gives the same result, byte for byte, on every machine.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type { Contender } from "./simulator/contender.ts"
import type { Result } from "./simulator/recorder.ts"
import * as Run from "./simulator/run.ts"
import type { Scenario } from "./simulator/scenario.ts"

export type { Behaviour } from "./simulator/behaviour.ts"
export type { Limit, Limits } from "./simulator/buckets.ts"
export type { Size, Time } from "./simulator/chance.ts"
export type { Call, Contender, Library, Rival, Strategy } from "./simulator/contender.ts"
export type { Incident, Provider } from "./simulator/provider.ts"
export type { Alerted, Result, Share } from "./simulator/recorder.ts"
export type { Fault } from "./simulator/responses.ts"
export { outage, type Scenario } from "./simulator/scenario.ts"
export type { Counting } from "./simulator/tokens.ts"
export type { PromptSize, Traffic } from "./simulator/traffic.ts"
export type { Failure, Sent } from "./simulator/wire.ts"

// -----------------------------------------------------------------------------
// Running
// -----------------------------------------------------------------------------

/** Runs one contender through one scenario. Default seed: 1. A `TestClock` of the caller does not advance. */
export const run = (
  scenario: Scenario,
  contender: Contender,
  { seed = 1 }: { readonly seed?: number | string | undefined } = {}
): Effect.Effect<Result> => Run.run(scenario, contender, seed)

/**
 * Runs every contender through every scenario with every seed. Default seed: 1. The results are in the order of the
 * scenarios, then of the contenders, then of the seeds.
 */
export const compare = (
  scenarios: ReadonlyArray<Scenario>,
  contenders: ReadonlyArray<Contender>,
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

/** Fewer calls were answered than expected. `wanted` is a fraction of the calls, from 0 to 1. */
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
 * Runs a scenario once for each seed. Fails with `TooFewAnswered` at the first seed with which fewer calls are answered
 * than `share`, a fraction from 0 to 1. Default seeds: 1, 2 and 3.
 *
 * ```ts
 * export const survives = Simulator.assertAnswered(Simulator.outage("1 minute"), ours, 0.99)
 * ```
 */
export const assertAnswered = (
  scenario: Scenario,
  contender: Contender,
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

const percent = (share: number) => `${Math.floor(share * 1000) / 10} %`
